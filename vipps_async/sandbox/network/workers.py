"""Workers of a queue, started as work comes, since the sandbox of a test needs few; and the end of background tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def run_workers(queue: asyncio.Queue[T], work: Callable[[T], Awaitable[object]], *, most: int, name: str) -> None:
    """Process the items of a queue until cancelled, or until `work` raises.

    Args:
        queue: the items; `queue.join` returns when all of them were processed.
        work: processes one item.
        most: how many items are processed at once.
        name: the name of the workers' tasks.
    """
    async with asyncio.TaskGroup() as group:

        async def worker(number: int) -> None:
            # Each worker starts the next one with its first item: one is always free, up to `most`.
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
    """Wait until all items of a queue were processed.

    Args:
        queue: the items.
        running: the task of its workers; None: there are none, and it returns at once.
        name: the name of the task that waits.
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
