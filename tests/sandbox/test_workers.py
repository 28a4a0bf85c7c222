"""The workers of a queue: as many as there is work for, and no more than were asked for."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from vipps_async.sandbox.network.workers import run_workers


@pytest.mark.parametrize(("items", "at_once"), [(1, 1), (2, 2), (3, 3), (9, 3)])
async def test_as_many_work_at_once_as_there_is_work_for(items: int, at_once: int) -> None:
    """Nothing waits while fewer than the most are at work, and each thing is done once."""
    queue: asyncio.Queue[int] = asyncio.Queue()
    begun, done = list[int](), list[int]()
    go_on = asyncio.Event()

    async def work(item: int) -> None:
        begun.append(item)
        await go_on.wait()
        done.append(item)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(run_workers(queue, work, most=3, name="worker"))
        for item in range(items):
            queue.put_nowait(item)
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(begun) == at_once
        assert sum(task.get_name().startswith("worker ") for task in asyncio.all_tasks()) == min(3, items + 1)
        go_on.set()
        await queue.join()
        running.cancel()
    assert sorted(done) == list(range(items))


async def test_what_was_begun_is_accounted_for_when_all_is_cancelled() -> None:
    """Cancelled in the midst of work, the workers end, and what was not begun is still in the queue."""
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def work(_: int) -> None:
        await asyncio.Event().wait()

    running = asyncio.create_task(run_workers(queue, work, most=2, name="worker"))
    for item in range(5):
        queue.put_nowait(item)
    for _ in range(10):
        await asyncio.sleep(0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert queue.qsize() == 3
