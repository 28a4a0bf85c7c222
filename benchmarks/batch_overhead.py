"""What the batch layer costs: rows a second through `capture_many` and through bare `capture` calls, side by side.

Run it with `python -m benchmarks.batch_overhead`. Both have a journal; the figure to quote is the median of the
ratios. On a machine that others use, the ratio of the processor's time is the steadier one.
`--memory 1000000` captures so many rows instead, and tells the peak of the memory in the first tenth and in the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import fixed_server
from vipps_async import Credentials, SqliteJournal, VippsSession
from vipps_async.batch import BatchRow, RowOutcome, capture_many

_CREDENTIALS = Credentials(
    client_id="id", client_secret="secret", subscription_key="key", merchant_serial_number="123456"
)
_WARM_UP = 500


def _rows(run: str, count: int) -> Iterator[BatchRow]:
    return (
        BatchRow(payment=f"order-{run}-{number}", amount=1000, text="Benchmark", reference=str(number))
        for number in range(count)
    )


async def _batch(vipps: VippsSession, run: str, count: int, concurrent: int) -> None:
    async for result in capture_many(vipps.ecom, _rows(run, count), concurrency=concurrent):
        assert result.outcome is RowOutcome.DONE


async def _bare(vipps: VippsSession, run: str, count: int, concurrent: int) -> None:
    rows = _rows(run, count)

    async def work() -> None:
        for row in rows:
            await vipps.ecom.capture(row.payment, amount=row.amount, transaction_text=row.text)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrent):
            group.create_task(work())


async def _rows_a_second(url: str, path: Path, options: argparse.Namespace, *, batch: bool) -> tuple[float, float]:
    run = _batch if batch else _bare
    async with VippsSession(_CREDENTIALS, base_url=url, journal=SqliteJournal(path)) as vipps:
        await run(vipps, "warm-up", _WARM_UP, options.concurrent)
        started, used = time.perf_counter(), time.process_time()
        await run(vipps, "measured", options.rows, options.concurrent)
        return options.rows / (time.perf_counter() - started), options.rows / (time.process_time() - used)


def _resident() -> int:
    """The memory of this process that is in RAM, in bytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _memory(url: str, path: Path, options: argparse.Namespace) -> None:
    count, first = options.memory, options.memory // 10
    peaks = [0, 0]
    started = time.perf_counter()
    async with VippsSession(_CREDENTIALS, base_url=url, journal=SqliteJournal(path)) as vipps:
        done = 0
        async for result in capture_many(vipps.ecom, _rows("memory", count), concurrency=options.concurrent):
            assert result.outcome is RowOutcome.DONE
            done += 1
            if done % 1000 == 0:
                part = 0 if done <= first else 1
                peaks[part] = max(peaks[part], _resident())
            if done % first == 0:
                print(f"{done:>9,} rows: {_resident() / 2**20:.1f} MiB", flush=True)
    seconds = time.perf_counter() - started
    print(
        f"{count:,} rows in {seconds:,.0f} s ({count / seconds:,.0f} a second): peak of the first {first:,} "
        f"{peaks[0] / 2**20:.1f} MiB, of the rest {peaks[1] / 2**20:.1f} MiB, ratio {peaks[1] / peaks[0]:.3f}"
    )


def main() -> None:
    """Run pairs of measurements and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--concurrent", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--memory", type=int, metavar="ROWS")
    options = parser.parse_args()
    ratios: list[tuple[float, float]] = []
    with fixed_server.running() as url, tempfile.TemporaryDirectory() as folder:
        if options.memory is not None:
            asyncio.run(_memory(url, Path(folder) / "memory.db", options))
            return
        for run in range(options.pairs):
            bare = asyncio.run(_rows_a_second(url, Path(folder) / f"{run}-bare.db", options, batch=False))
            batch = asyncio.run(_rows_a_second(url, Path(folder) / f"{run}-batch.db", options, batch=True))
            ratios.append((batch[0] / bare[0], batch[1] / bare[1]))
            print(
                f"{run + 1:3}: {bare[0]:8,.0f} rows a second bare, {batch[0]:8,.0f} in a batch, "
                f"ratio {ratios[-1][0]:.2f}; of processor time {ratios[-1][1]:.2f}",
                flush=True,
            )
    for name, values in zip(("wall", "processor"), zip(*ratios, strict=True), strict=True):
        middle = statistics.median(values)
        print(
            f"median by {name} time at {options.concurrent} concurrent: ratio {middle:.3f} "
            f"({min(values):.2f} to {max(values):.2f}), overhead {1 / middle - 1:.1%}"
        )


if __name__ == "__main__":
    main()
