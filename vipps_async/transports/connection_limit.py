"""Limits the requests that a transport has under way; the others wait in the order they came."""

from __future__ import annotations

import asyncio
from collections import deque

from attrs import evolve

from vipps_async.errors import RequestNotSent
from vipps_async.transports.protocol import Request

#: Seconds that a request must have left when its turn comes: one that had less would only add one more unknown.
_SHORTEST = 0.05


class ConnectionLimit:
    """Counts the requests that are under way in one event loop.

    A request takes a slot with `try_acquire`, or else with `acquire`, and gives it back with `release`.

    Args:
        limit: how many may be under way.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        #: Slots that nobody has taken.
        self.free: int = limit
        self._waiting: deque[asyncio.Future[None]] = deque()

    def try_acquire(self) -> bool:
        """Take a slot if there is a free one."""
        # Nobody waits while one is free: whoever gives one back hands it on.
        if self.free:
            self.free -= 1
            return True
        return False

    async def acquire(self, request: Request, peer: str) -> Request:
        """Wait for a slot, for as long as the request may wait, and return the request with the time that it has left.

        Args:
            request: what is to be sent.
            peer: the server, as people write it.

        Raises:
            vipps_async.errors.RequestNotSent: there was none in time.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        timeouts = request.timeouts
        left = min(timeouts.connect, timeouts.total) if request.deadline is None else request.deadline
        slot: asyncio.Future[None] = loop.create_future()
        self._waiting.append(slot)
        timer = loop.call_later(max(0.0, left - _SHORTEST), slot.cancel)
        try:
            await asyncio.wait((slot,))
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                # It was given a slot in the very moment in which it was cancelled.
                self.release()
            slot.cancel()
            raise
        finally:
            timer.cancel()
        if slot.cancelled():
            raise RequestNotSent(f"no connection to {peer} within {left:g} s: all {self._limit} of the pool are in use")
        waited = loop.time() - began
        ends = timeouts.total if request.deadline is None else request.deadline
        return evolve(request, timeouts=evolve(timeouts, total=max(_SHORTEST, min(timeouts.total, ends - waited))))

    def release(self) -> None:
        """Give a slot back: to the request that has waited longest, if one waits."""
        while self._waiting:
            slot = self._waiting.popleft()
            if not slot.done():
                slot.set_result(None)
                return
        self.free += 1
