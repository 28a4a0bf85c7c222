"""Lets work through: as many at once as the pace allows, as many a second as was asked, and none while it pauses."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Protocol

from vipps_async.core.adaptive_pace import AdaptivePace

__all__ = ["Gate", "Turns"]


class Turns(Protocol):
    """Says when the next piece of work may be begun: for a rate that several processes share."""

    async def turn(self, now: float) -> float:
        """Take one turn and return in how many seconds it comes; `now` is in monotonic seconds. Raises nothing."""
        ...


class Gate:
    """What each piece of work passes before it is begun, in the order in which they come."""

    def __init__(self, pace: AdaptivePace, rate: Turns | None, *, now: Callable[[], float]) -> None:
        """Make a gate that is open.

        Args:
            pace: how many may be inside, and when to pause.
            rate: how many may pass a second; None: any number.
            now: tells the time in monotonic seconds.
        """
        self._pace = pace
        self._rate = rate
        self._now = now
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = asyncio.Event()

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is let in."""
        return self._closed.is_set()

    def close(self) -> None:
        """Let nothing more in: whoever waits, or comes, is told so at once."""
        self._closed.set()
        self._let_in()

    async def enter(self) -> bool:
        """Wait for a place and a turn. False: the gate is closed; else `leave` must follow."""
        if self._inside >= self._pace.limit and not self.is_closed:
            await self._place()
        else:
            self._inside += 1
        try:
            while not self.is_closed and (pause := self._pace.pause(self._now())):
                await self._wait(pause)
            if self._rate is not None and not self.is_closed and (turn := await self._rate.turn(self._now())):
                await self._wait(turn)
        except BaseException:
            self.leave()
            raise
        if self.is_closed:
            self.leave()
            return False
        return True

    def leave(self) -> None:
        """Give the place to whoever waits longest, or more of them if the limit has risen."""
        self._inside -= 1
        self._let_in()

    async def _place(self) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                # It was given a place in the very moment in which it was cancelled.
                self.leave()
            raise

    def _let_in(self) -> None:
        while self._waiting and (self.is_closed or self._inside < self._pace.limit):
            place = self._waiting.popleft()
            if not place.done():
                self._inside += 1
                place.set_result(None)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()
