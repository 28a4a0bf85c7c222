"""The methods of a journal that are the same for every store, over the few that are not."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator
from datetime import datetime

from vipps_async.journals.protocol import AcquireResult, Attempts, Entry, Intent, Settlement
from vipps_async.journals.rules import (
    Answer,
    Attempt,
    Begin,
    Claim,
    Command,
    Release,
    Settle,
    acquired_by,
    checked_hold,
    clean_note,
)
from vipps_async.journals.upkeep import Upkeep

__all__ = ["JournalMethods"]


class JournalMethods(Upkeep):
    """What a caller asks of a journal, as commands and walks over rows; see `Journal`."""

    async def begin(
        self, intent: Intent, *, owner: str, lease: float, adopt: bool = False
    ) -> tuple[AcquireResult, Entry]:
        """Make the intent durable and take it in hand; see `Journal.begin`."""
        return acquired_by(await self._ask(Begin(intent, owner, checked_hold(owner, lease), adopt)), intent)

    async def attempt(self, intent: Intent, *, owner: str, at: datetime) -> AcquireResult:
        """Count one more attempt; see `Journal.attempt`."""
        return acquired_by(await self._ask(Attempt(intent, owner, at)), intent)[0]

    async def claim(self, intent: Intent, *, owner: str, lease: float) -> tuple[AcquireResult, Entry]:
        """Take an open entry in hand; see `Journal.claim`."""
        return acquired_by(await self._ask(Claim(intent, owner, checked_hold(owner, lease))), intent)

    async def settle(self, intent: Intent, settlement: Settlement, *, owner: str | None = None) -> None:
        """Note the outcome; see `Journal.settle`."""
        await self._accept(Settle(intent, settlement, owner))

    async def release(
        self,
        intent: Intent,
        *,
        note: str,
        owner: str | None = None,
        attempts: Attempts | None = None,
        unsent: bool = False,
    ) -> None:
        """Leave the entry open and end its lease; see `Journal.release`."""
        await self._accept(Release(intent, clean_note(note), owner, attempts, unsent))

    async def open_entries(self, *, merchant_serial_number: str | None = None) -> AsyncIterator[Entry]:
        """Go through all open entries, oldest first, a page at a time; see `Journal.open_entries`."""
        async for _, row in self._open_rows():
            if isinstance(row, Entry) and merchant_serial_number in {None, row.intent.merchant_serial_number}:
                yield row

    async def recent_entries(self, *, limit: int = 50) -> AsyncIterator[Entry]:
        """Go through the newest entries, newest first, a page at a time; see `Journal.recent_entries`."""
        async for _, row in self._newest_rows():
            if limit <= 0:
                return
            if isinstance(row, Entry):
                limit -= 1
                yield row

    async def find(self, *, payment: str, merchant_serial_number: str) -> list[Entry]:
        """Return all entries of one payment that can be read, oldest first."""
        rows = await self._rows_of_payment(payment, merchant_serial_number)
        return [row for _, row in rows if isinstance(row, Entry)]

    @abc.abstractmethod
    async def _ask(self, command: Command) -> Answer:
        """Do a command; returns its answer when that is durable."""

    @abc.abstractmethod
    async def _accept(self, command: Settle | Release) -> None:
        """Accept a command that nobody waits for; it becomes durable soon after."""
