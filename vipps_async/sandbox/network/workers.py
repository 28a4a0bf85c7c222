"""Workers of a queue: started as work comes, so that a sandbox of a test, which delivers little, starts few."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

__all__ = ["run_workers"]

T = TypeVar("T")


async def run_workers(queue: asyncio.Queue[T], work: Callable[[T], Awaitable[object]], *, most: int, name: str) -> None:
    """Work a queue off until cancelled, or until the work raises.

    Args:
        queue: what is to be done; `queue.join` tells when all of it was.
        work: does one thing.
        most: how many things are done at once.
        name: that of the workers' tasks.
    """
    async with asyncio.TaskGroup() as group:

        async def worker(number: int) -> None:
            # Each starts the next one with its first work: there is always one that waits, until there are enough.
            has_next = number >= most
            while True:
                item = await queue.get()
                if not has_next:
                    group.create_task(worker(number + 1), name=f"{name} {number + 1}")
                    has_next = True
                try:
                    await work(item)
                finally:
                    queue.task_done()

        group.create_task(worker(1), name=f"{name} 1")
