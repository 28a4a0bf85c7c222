"""What each piece of work passes before it is begun."""

from __future__ import annotations

import asyncio

import pytest

from vipps_async.batch.pace import Pace, RateLimit
from vipps_async.core.gate import Gate


def gate_for(most: int, *, rate: float | None = None) -> Gate:
    """A gate by the loop's own time."""
    now = asyncio.get_running_loop().time
    return Gate(Pace(most=most), None if rate is None else RateLimit(rate), now=now)


async def test_only_so_many_are_inside_and_the_longest_waiting_comes_next() -> None:
    """First come, first served."""
    gate = gate_for(1)
    assert await gate.enter()
    waiting = [asyncio.create_task(gate.enter()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    for number in range(3):
        gate.leave()
        assert await waiting[number]
        assert [task.done() for task in waiting] == [True] * (number + 1) + [False] * (2 - number)


async def test_whoever_is_cancelled_while_waiting_takes_no_place() -> None:
    """Neither one that still waits, nor one that was given a place in that very moment."""
    gate = gate_for(1)
    assert await gate.enter()
    early, late = asyncio.create_task(gate.enter()), asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    early.cancel()
    await asyncio.wait({early})
    gate.leave()
    late.cancel()
    await asyncio.wait({late})
    async with asyncio.timeout(5):
        assert await gate.enter()


async def test_whoever_is_cancelled_before_its_turn_gives_its_place_back() -> None:
    """A row that waits for its second is inside already."""
    gate = gate_for(1, rate=0.01)
    assert await gate.enter()
    gate.leave()
    waits = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
    gate.close()
    assert not await gate.enter()


async def test_a_closed_gate_tells_everybody_at_once() -> None:
    """Those who wait for a place, those who wait for a turn, and those who come."""
    gate = gate_for(2, rate=0.01)
    assert await gate.enter()
    waiting = [asyncio.create_task(gate.enter()) for _ in range(4)]
    await asyncio.sleep(0)
    gate.close()
    async with asyncio.timeout(5):
        assert [await task for task in waiting] == [False] * 4
        assert not await gate.enter()


async def test_whoever_is_cancelled_while_it_pauses_gives_its_place_back() -> None:
    """A pause holds a place only as long as somebody waits in it: then the next one comes."""
    pace, time = Pace(most=1), 0.0
    for moment in (1.0, 2.0, 3.0):
        pace.row_failed(moment, moment)
    time = 3.0
    gate = Gate(pace, None, now=lambda: time)
    pausing, next_one = asyncio.create_task(gate.enter()), asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    time = 10.0
    pausing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pausing
    async with asyncio.timeout(5):
        assert await next_one
