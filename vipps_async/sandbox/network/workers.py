"""Background tasks: workers of a queue, started as work comes since a test's sandbox needs few, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

__all__ = ["cancelled", "run_workers", "worked_off"]

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


async def worked_off(queue: asyncio.Queue[T], running: asyncio.Task[None] | None, *, name: str) -> None:
    """Wait until all that is in a queue was done.

    Args:
        queue: what is to be done.
        running: runs its workers; None: nothing does, and nothing is waited for.
        name: that of the task that waits.
    """
    if running is None:
        return
    joined = asyncio.create_task(queue.join(), name=name)
    try:
        await asyncio.wait({joined, running}, return_when=asyncio.FIRST_COMPLETED)
        if not joined.done():
            # The workers end only when the sandbox is closed, or by an error that must be seen here.
            running.result()
    finally:
        joined.cancel()


async def cancelled(task: asyncio.Task[None] | None) -> None:
    """Cancel a task and wait for its end; raise the error that it ended by, if it did."""
    if task is not None:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()
