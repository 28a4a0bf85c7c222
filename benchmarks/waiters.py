"""What it costs to wait for many customers at once: memory for each, work for the machine, questions to Vipps.

Run it with `python -m benchmarks.waiters`. The minutes are virtual: the event loop's clock jumps to the next timer, so
that ten minutes of waiting take as long as the work in them. Vipps answers at once, and nobody ever accepts.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import gc
import time
import tracemalloc
from collections import Counter, deque
from collections.abc import Coroutine, Iterable
from typing import Any

from tests.core.virtual_time import run_in_virtual_time
from vipps_async import PaymentDetails
from vipps_async.core.polling import PaymentPoller
from vipps_async.one_loop import OneLoop

_INITIATED = PaymentDetails(order_id="order")


async def _idle() -> None:
    await asyncio.get_running_loop().create_future()


async def _memory(waits: Iterable[Coroutine[Any, Any, object]]) -> int:
    """Return how many bytes these take while they wait, and end them."""
    gc.collect()
    tracemalloc.start()
    tasks = [asyncio.create_task(wait) for wait in waits]
    await asyncio.sleep(0)
    gc.collect()
    memory, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return memory


async def _measure(waiters: int, minutes: int) -> None:
    asked: list[tuple[float, str]] = []
    loop = asyncio.get_running_loop()

    async def ask(order_id: str) -> PaymentDetails:
        asked.append((loop.time(), order_id))
        return _INITIATED

    order_ids = [f"order-{number}" for number in range(waiters)]
    poller: PaymentPoller[PaymentDetails] = PaymentPoller(OneLoop())
    wait = functools.partial(poller.wait, timeout=1e6, unit="123456", ask=ask)
    memory = await _memory(wait(order_id) for order_id in order_ids)
    task_alone = await _memory(_idle() for _ in order_ids)

    started = time.process_time()
    waits = [asyncio.create_task(wait(order_id)) for order_id in order_ids]
    await asyncio.sleep(0)
    beginning = time.process_time() - started
    tasks = len(asyncio.all_tasks()) - waiters - 1
    asked.clear()

    started = time.process_time()
    await asyncio.sleep(60 * minutes)
    work = time.process_time() - started
    window: deque[float] = deque()
    busiest = 0
    for at, _ in asked:
        window.append(at)
        while window[0] <= at - 60:
            window.popleft()
        busiest = max(busiest, len(window))
    turns = Counter(order_id for _, order_id in asked)
    fewest = min(turns.values()) if len(turns) == waiters else 0

    started = time.process_time()
    for task in waits:
        task.cancel()
    await asyncio.wait(waits)
    ending = time.process_time() - started

    print(f"{waiters:>10,} waiting, {minutes} minutes")
    print(f"{memory / waiters:>10,.0f} bytes for each (of which a task that does nothing: {task_alone / waiters:,.0f})")
    print(f"{tasks:>10,} further tasks")
    print(f"{beginning / waiters * 1e6:>10.1f} µs to begin a wait, {ending / waiters * 1e6:.1f} µs to end it")
    print(f"{work / minutes * 1000:>10.1f} ms of work a minute")
    print(f"{len(asked) / minutes:>10.1f} questions a minute, {busiest} in the busiest (Vipps takes 120)")
    print(f"{fewest:>10,} to {max(turns.values()):,} questions an order")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waiters", type=int, default=100_000)
    parser.add_argument("--minutes", type=int, default=10)
    options = parser.parse_args()
    run_in_virtual_time(_measure(options.waiters, options.minutes))


if __name__ == "__main__":
    main()
