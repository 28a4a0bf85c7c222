"""One side in a process of its own: it reads what to measure on its standard input, and answers in JSON.

A process for each side keeps its heap, its loop and its garbage away from the other's figures.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from benchmarks import machine
from benchmarks.sides import open_side
from benchmarks.sides.protocol import Side

__all__ = ["load"]


async def load(call: Callable[[str], Awaitable[object]], orders: Iterator[str], concurrent: int) -> None:
    """Make one call for each order, at most so many at a time."""

    async def work() -> None:
        for order_id in orders:
            await call(order_id)

    if concurrent == 1:
        await work()
        return
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrent):
            group.create_task(work())


async def _measure(side: Side, numbers: Iterator[int], task: dict[str, Any]) -> dict[str, Any]:
    call = getattr(side, task["operation"])
    orders = (f"acme-shop-{number}" for number in numbers)
    await load(call, itertools.islice(orders, task["warm_up"]), task["concurrent"])
    gc.collect()
    used, started = time.process_time(), time.perf_counter()
    await load(call, itertools.islice(orders, task["calls"]), task["concurrent"])
    return {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - used}


def _new_loop(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if name == "uvloop":
        import uvloop  # noqa: PLC0415 - only where it is asked for

        return uvloop.new_event_loop
    return asyncio.new_event_loop


def main() -> None:
    """Measure as long as there is something on the standard input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side")
    parser.add_argument("--url", required=True)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--limit", type=int, help="connections at a time")
    options = parser.parse_args()
    machine.pin(0, machine.CLIENT_CORE)
    machine.raise_file_limit()
    side = open_side(options.side, options.url, options.limit)
    numbers = itertools.count()
    with asyncio.Runner(loop_factory=_new_loop(options.loop)) as runner:
        print(json.dumps({"ready": True}), flush=True)
        try:
            for line in sys.stdin:
                print(json.dumps(runner.run(_measure(side, numbers, json.loads(line)))), flush=True)
        finally:
            runner.run(side.aclose())


if __name__ == "__main__":
    main()
