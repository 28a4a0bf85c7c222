"""What each piece of work passes before it is begun."""

from __future__ import annotations

import asyncio

import pytest

from vipps_async.core.batch_limit import BatchLimiter
from vipps_async.core.rate_limit import RateLimiter


def limiter_for(most: int, *, rate: float | None = None) -> BatchLimiter:
    """A limiter by the loop's own time."""
    now = asyncio.get_running_loop().time
    return BatchLimiter(most=most, rate=None if rate is None else RateLimiter(rate), now=now)


async def test_only_so_many_are_inside_and_the_longest_waiting_comes_next() -> None:
    """First come, first served."""
    limiter = limiter_for(1)
    assert await limiter.acquire()
    waiting = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    for number in range(3):
        limiter.release()
        assert await waiting[number]
        assert [task.done() for task in waiting] == [True] * (number + 1) + [False] * (2 - number)


async def test_whoever_is_cancelled_while_waiting_takes_no_place() -> None:
    """Neither one that still waits, nor one that was given a place in that very moment."""
    limiter = limiter_for(1)
    assert await limiter.acquire()
    early, late = asyncio.create_task(limiter.acquire()), asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    early.cancel()
    await asyncio.wait({early})
    limiter.release()
    late.cancel()
    await asyncio.wait({late})
    async with asyncio.timeout(5):
        assert await limiter.acquire()


async def test_whoever_is_cancelled_before_its_turn_gives_its_place_back() -> None:
    """A row that waits for its second is inside already."""
    limiter = limiter_for(1, rate=0.01)
    assert await limiter.acquire()
    limiter.release()
    waits = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
    limiter.close()
    assert not await limiter.acquire()


async def test_a_closed_limiter_tells_everybody_at_once() -> None:
    """Those who wait for a place, those who wait for a turn, and those who come."""
    limiter = limiter_for(2, rate=0.01)
    assert await limiter.acquire()
    waiting = [asyncio.create_task(limiter.acquire()) for _ in range(4)]
    await asyncio.sleep(0)
    limiter.close()
    async with asyncio.timeout(5):
        assert [await task for task in waiting] == [False] * 4
        assert not await limiter.acquire()


async def test_whoever_is_cancelled_while_it_pauses_gives_its_place_back() -> None:
    """A pause holds a place only as long as somebody waits in it: then the next one comes."""
    time = 3.0
    limiter = BatchLimiter(most=1, now=lambda: time)
    for moment in (1.0, 2.0, 3.0):
        limiter.row_failed(moment, moment)
    pausing, next_one = asyncio.create_task(limiter.acquire()), asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    time = 10.0
    pausing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pausing
    async with asyncio.timeout(5):
        assert await next_one
