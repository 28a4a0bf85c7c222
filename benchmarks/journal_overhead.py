"""What a journal costs: captures a second with `SqliteJournal` and without, side by side in one run.

Run it with `python -m benchmarks.journal_overhead`. The figures to quote are the medians of the ratios. How much of the
journal shows depends on how long an answer takes: with a server that takes no time, nothing but the client's own work
is left, and the journal's thread competes with it for the interpreter and the processor; a payment takes Vipps hundreds
of milliseconds, in which a journal that costs a few of them is hardly seen.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import fixed_server
from vipps_async import Credentials, SqliteJournal, VippsSession
from vipps_async.journals.protocol import Journal

_CREDENTIALS = Credentials(
    client_id="id", client_secret="secret", subscription_key="key", merchant_serial_number="123456"
)

#: Below so many seconds it is the client that the rate depends on, which is then about this many captures a second.
_UNNOTICED, _BUSY_RATE = 0.02, 3_000


async def _captures_a_second(url: str, captures: int, concurrent: int, journal: Journal | None, run: int) -> float:
    async with VippsSession(_CREDENTIALS, base_url=url, journal=journal) as vipps:
        await vipps.ecom.capture(f"warm-up-{run}", amount=1000, transaction_text="Benchmark")
        orders: Iterator[int] = iter(range(captures))

        async def work() -> None:
            for number in orders:
                await vipps.ecom.capture(f"order-{run}-{number}", amount=1000, transaction_text="Benchmark")

        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrent):
                group.create_task(work())
        return captures / (time.perf_counter() - started)


def _captures(answer_time: float, seconds: float, concurrent: int) -> int:
    """How many captures take about so long."""
    return round(seconds * (concurrent / answer_time if answer_time > _UNNOTICED else _BUSY_RATE))


def main() -> None:
    """Run pairs of measurements for each answer time and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concurrent", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5, help="about how long each side of a pair takes")
    parser.add_argument(
        "--answer-time",
        type=float,
        nargs="+",
        default=[0.0, 0.02, 0.1, 0.25],
        help="seconds that the server takes over an answer; several are measured one after the other",
    )
    options = parser.parse_args()
    for answer_time in options.answer_time:
        captures = _captures(answer_time, options.seconds, options.concurrent)
        print(f"{options.concurrent} at a time, answers take {answer_time * 1000:g} ms, {captures:,} captures each")
        with fixed_server.running(answer_time) as url, tempfile.TemporaryDirectory() as folder:
            _compare(url, Path(folder), captures, options.concurrent, options.pairs)


def _compare(url: str, folder: Path, captures: int, concurrent: int, pairs: int) -> None:
    bare, journalled = [], []
    for run in range(pairs):
        one = asyncio.run(_captures_a_second(url, captures, concurrent, None, run))
        journal = SqliteJournal(folder / f"{run}.db")
        two = asyncio.run(_captures_a_second(url, captures, concurrent, journal, run))
        bare.append(one)
        journalled.append(two)
        print(f"{run + 1:3}: {one:8,.0f} without, {two:8,.0f} with a journal, ratio {two / one:.2f}")
    ratios = [two / one for one, two in zip(bare, journalled, strict=True)]
    print(
        f"median: {statistics.median(bare):,.0f} without, {statistics.median(journalled):,.0f} with, "
        f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )


if __name__ == "__main__":
    main()
