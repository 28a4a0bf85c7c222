"""Limits how much work is under way at once: more with good answers, less in trouble (AIMD), none while it pauses."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable

from vipps_async.core.rate_limit import SlotSource

#: Several signals within so many seconds are one: they come from requests that were on their way together.
_ONE_SIGNAL = 1.0
#: The factor of the limit after a response of overload.
AFTER_REFUSAL = 0.5
#: A response that takes so many seconds counts as overload, too. Usually Vipps answers within a second, and it advises
#: its callers to wait for at least 5: from then on they give up, and their repetitions make a queue longer.
SLOW_ANSWER = 5.0


class ConcurrencyLimiter:
    """Limits how much work is under way: more with good responses, far less when Vipps is in trouble, none in a pause.

    Additive increase and multiplicative decrease, as in the network's own congestion control: until the first signal
    the limit doubles with each round of responses, after it the limit grows by one a round. Its user decides what
    counts as a signal, and as a failure.
    """

    def __init__(
        self,
        *,
        most: int,
        start: float,
        pause_after: int,
        first_pause: float,
        longest_pause: float,
        rate: SlotSource | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start at the limit `start`.

        Args:
            most: the highest limit there may be; at least 1.
            start: the limit in the beginning, but no more than `most`.
            pause_after: how many failures, one after the other, it takes until nothing is begun for a while.
            first_pause: the first such pause, in seconds; it doubles with each further failure.
            longest_pause: the longest pause, in seconds.
            rate: how many may begin a second; None: any number.
            now: tells the time in monotonic seconds.
        """
        self._most = float(most)
        self._limit = min(float(start), self._most)
        self._pause_after, self._first_pause, self._longest_pause = pause_after, first_pause, longest_pause
        self._signalled_at: float | None = None
        self._in_a_row = 0
        self._failed_at = self._paused_until = float("-inf")
        self._now = now
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = asyncio.Event()
        self._rate = rate

    @property
    def limit(self) -> int:
        """How many may be in work at the same time now; at least 1."""
        return int(self._limit)

    @property
    def failures_in_a_row(self) -> int:
        """How many failures there were since the last success; those that were on their way together are one."""
        return self._in_a_row

    def pause(self, now: float) -> float:
        """Return for how many seconds nothing should be begun; `now` is in monotonic seconds."""
        return max(0.0, self._paused_until - now)

    def speed_up(self) -> None:
        """Record a good response."""
        self._limit = min(self._most, self._limit + (1.0 if self._signalled_at is None else 1.0 / self._limit))

    def slow_down(self, now: float, factor: float = AFTER_REFUSAL) -> bool:
        """Record a signal of trouble.

        Args:
            now: monotonic seconds.
            factor: the limit is multiplied by it.

        Returns:
            Whether the limit fell; it does not if the last signal was a moment ago.
        """
        if self._signalled_at is not None and now - self._signalled_at < _ONE_SIGNAL:
            return False
        self._signalled_at = now
        self._limit = max(1.0, self._limit * factor)
        return True

    def succeeded(self) -> None:
        """Record work whose outcome is known: Vipps can be reached."""
        self._in_a_row = 0

    def failed(self, began: float, now: float) -> None:
        """Record work without a usable response.

        Args:
            began: when it was begun, in monotonic seconds: of work that was under way together one counts.
            now: monotonic seconds.
        """
        if began < self._failed_at:
            return
        self._in_a_row += 1
        self._failed_at = now
        if self._in_a_row >= self._pause_after:
            doubled = self._first_pause * 2.0 ** (self._in_a_row - self._pause_after)
            self._paused_until = now + min(self._longest_pause, doubled)

    # --- letting work in -------------------------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is let in."""
        return self._closed.is_set()

    def close(self) -> None:
        """Let nothing more in: `acquire` returns False at once, also to those who wait."""
        self._closed.set()
        self._let_in()

    async def acquire(self, *, sends: bool = True) -> bool:
        """Wait for a place and a slot. False: it is closed; else `release` must follow.

        Args:
            sends: whether anything is sent for it; else it needs a place, but no slot of the rate.
        """
        if self._inside >= self.limit and not self.is_closed:
            await self._place()
        else:
            self._inside += 1
        try:
            while sends and not self.is_closed and (pause := self.pause(self._now())):
                await self._wait(pause)
            if sends and self._rate is not None and not self.is_closed and (slot := await self._rate.slot(self._now())):
                await self._wait(slot)
        except BaseException:
            self.release()
            raise
        if self.is_closed:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Give the place to the longest waiter, or more places if the limit has risen."""
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
                self.release()
            raise

    def _let_in(self) -> None:
        while self._waiting and (self.is_closed or self._inside < self.limit):
            place = self._waiting.popleft()
            if not place.done():
                self._inside += 1
                place.set_result(None)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()
