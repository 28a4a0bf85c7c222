"""What a journal costs: captures a second with `SqliteJournal` and without, side by side in one run.

Run it with `python -m benchmarks.journal_overhead`. The figure to quote is the median of the ratios. With
`--answer-time 0` the client's own work is all there is, which is the journal's worst case; `--answer-time 0.02` is a
server that takes 20 ms, which is quick for a payment.
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
from vipps_async import Credentials, VippsSession
from vipps_async.journals import SqliteJournal
from vipps_async.journals.protocol import Journal

_CREDENTIALS = Credentials(
    client_id="id", client_secret="secret", subscription_key="key", merchant_serial_number="123456"
)


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


def main() -> None:
    """Run pairs of measurements and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captures", type=int, default=5_000)
    parser.add_argument("--concurrent", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--answer-time", type=float, default=0.0, help="seconds that the server takes over an answer")
    options = parser.parse_args()
    bare, journalled = [], []
    with fixed_server.running(options.answer_time) as url, tempfile.TemporaryDirectory() as folder:
        for run in range(options.pairs):
            one = asyncio.run(_captures_a_second(url, options.captures, options.concurrent, None, run))
            journal = SqliteJournal(Path(folder) / f"{run}.db")
            two = asyncio.run(_captures_a_second(url, options.captures, options.concurrent, journal, run))
            bare.append(one)
            journalled.append(two)
            print(f"{run + 1:3}: {one:8,.0f} without, {two:8,.0f} with a journal, ratio {two / one:.2f}")
    ratios = [two / one for one, two in zip(bare, journalled, strict=True)]
    print(
        f"median at {options.concurrent} concurrent: {statistics.median(bare):,.0f} without, "
        f"{statistics.median(journalled):,.0f} with, ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f})"
    )


if __name__ == "__main__":
    main()
