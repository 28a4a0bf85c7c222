"""A rate that all workers of a batch share: a row in the database hands out slots, in small lots."""

from __future__ import annotations

import asyncio
import contextlib

from vipps_async.batch.distributed import sql as statements
from vipps_async.batch.distributed.database import BatchDatabase
from vipps_async.errors import JournalError

__all__ = ["SharedRateLimiter"]

#: How many seconds' worth of slots a worker takes at a time: at 1 ms each, ten workers keep the row busy a tenth of the
#: time.
_LOT = 0.1
#: The most slots of a lot: a worker that ends with a lot of its own wastes no more.
_LARGEST_LOT = 20
#: How many seconds late a slot may be used: what a busy loop needs. Later, it is lost.
_GRACE = 0.1


class SharedRateLimiter:
    """Hands out the slots of one batch to one worker; see `vipps_async.core.limits.SlotSource`.

    The database lays all slots of a batch one after the other, whoever takes them, so all workers together begin no
    more rows than the rate allows, in any second, but for those of `_GRACE`; and fewer where a worker lets slots lapse.
    """

    def __init__(self, database: BatchDatabase, batch: int, rate: float, *, stop: asyncio.Event) -> None:
        """Begin with no slots.

        Args:
            database: where the batch is.
            batch: its id.
            rate: rows a second over all workers.
            stop: once it is set nobody is kept waiting.
        """
        self._database = database
        self._batch = batch
        self._interval = 1.0 / rate
        self._size = max(1, min(_LARGEST_LOT, round(rate * _LOT)))
        self._stop = stop
        self._now = asyncio.get_running_loop().time
        self._lot: list[float] = []
        self._lock = asyncio.Lock()

    async def slot(self, now: float) -> float:  # noqa: ARG002 - it may have passed while others were served
        """Wait for a slot. Those behind have none reserved, so a worker that ends wastes no more than a lot."""
        async with self._lock:
            if self._stop.is_set():
                return 0.0
            while self._lot and self._lot[-1] < self._now() - _GRACE:
                self._lot.pop()
            if not self._lot and not await self._fill():
                return 0.0
            if (seconds := self._lot.pop() - self._now()) > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._stop.wait()
            return 0.0

    async def _fill(self) -> bool:
        lasts = self._size * self._interval
        try:
            found = await self._database.rows(statements.TAKE_SLOTS, (lasts, self._batch))
        except JournalError:
            # Without the database nothing is sent in any case: the journal refuses to begin.
            return False
        first = self._now() + found[0][0] - lasts
        # The last one first: they are taken from the end.
        self._lot = [first + number * self._interval for number in reversed(range(self._size))]
        return True
