"""The outcomes that were accepted and are not durable yet: how many there may be, and who waits for room."""

from __future__ import annotations

import asyncio
import copy
from collections import deque

from vipps_async.errors import JournalError

__all__ = ["Backlog", "is_count", "own_copy"]


def is_count(value: object) -> bool:
    """Tell whether it is a whole number from 1 on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def own_copy(error: JournalError) -> JournalError:
    """Return the error anew, for one more caller: each adds its own traceback, and perhaps facts, to what it gets."""
    twin = copy.copy(error)
    twin.__cause__ = error.__cause__
    return twin


class Backlog:
    """Counts accepted outcomes and makes callers wait, or fail, while there are too many. Used on the loop alone."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._failure: JournalError | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def count(self) -> int:
        """How many outcomes are accepted and not durable."""
        return self._count

    def try_enter(self) -> bool:
        """Take a place if one is free; tell whether it was."""
        if self._count >= self._limit:
            return False
        self._count += 1
        return True

    async def enter(self) -> None:
        """Take a place, waiting for one if need be.

        Raises:
            JournalError: there is none, and the store fails, so that none is in sight.
        """
        while self._count >= self._limit:
            if self._failure is not None:
                raise own_copy(self._failure)
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                await place
            finally:
                # Whoever is cancelled just when its place came hands it on: all are woken, and look again.
                self._wake()
        self._count += 1

    def left(self, durable: int, failure: JournalError | None) -> None:
        """Note how a commit went: so many places became free, or it failed."""
        self._count -= durable
        self._failure = failure
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
