"""A clock for tests: sleeping moves its hands at once, or waits until the test moves them."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta

from vipps_async.core.clock import Timers

__all__ = ["FakeClock"]

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """See vipps_async.core.clock.Clock.

    Attributes:
        pauses: every sleep asked for, in seconds and in order.
        asleep: set as soon as somebody has begun to sleep.
    """

    def __init__(self, *, start: float = 1000.0, by_hand: bool = False) -> None:
        self.pauses: list[float] = []
        self.asleep = asyncio.Event()
        self._start = self._time = start
        self._by_hand = by_hand
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        """Seconds since some start."""
        return self._time

    def now(self) -> datetime:
        """A day in 2026, as far on as the monotonic time is."""
        return _EPOCH + timedelta(seconds=self._time - self._start)

    async def sleep(self, seconds: float) -> None:
        """Move the hands at once; by hand, wait until `advance` has moved them far enough."""
        self.pauses.append(seconds)
        self.asleep.set()
        if not self._by_hand:
            self._time += seconds
            await asyncio.sleep(0)
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._time + seconds, len(self.pauses), wake))
        await wake

    def timers(self) -> Timers:
        """See Clock."""
        return asyncio.get_running_loop()

    def advance(self, seconds: float) -> None:
        """Move the hands and wake whoever has slept long enough."""
        self._time += seconds
        while self._sleepers and self._sleepers[0][0] <= self._time:
            _, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                wake.set_result(None)
