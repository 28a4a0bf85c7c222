"""The methods of a journal that are the same for every store."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

from vipps_async.errors import Effect, InvalidInputError, JournalError
from vipps_async.journals.entries import Attempts, DamagedEntry, Entry, Intent, Settlement
from vipps_async.journals.protocol import AcquireResult
from vipps_async.journals.rules import (
    Attempt,
    Begin,
    Claim,
    Command,
    CommandResult,
    Release,
    Settle,
    acquired_by,
    checked_hold,
    clean_note,
)

#: How long settled entries are kept unless one says otherwise: a refund is possible for 365 days, and some more.
DEFAULT_AGE = timedelta(days=400)

#: Below this an entry may still be needed: its key protects a refund against being carried out twice.
LEAST_AGE = timedelta(days=365)

#: How many rows are deleted in one transaction: new captures wait for no longer than that takes.
_AT_ONCE = 500


class JournalMethods(abc.ABC):
    """What a caller asks of a journal, and an operator of one that is in use, as commands and walks over rows."""

    async def begin(
        self, intent: Intent, *, owner: str, lease: float, adopt: bool = False
    ) -> tuple[AcquireResult, Entry]:
        """Make the intent durable and lease it; see `Journal.begin`."""
        return acquired_by(await self._ask(Begin(intent, owner, checked_hold(owner, lease), adopt)), intent)

    async def attempt(self, intent: Intent, *, owner: str, at: datetime) -> AcquireResult:
        """Count one more attempt; see `Journal.attempt`."""
        return acquired_by(await self._ask(Attempt(intent, owner, at)), intent)[0]

    async def claim(self, intent: Intent, *, owner: str, lease: float) -> tuple[AcquireResult, Entry]:
        """Lease an open entry; see `Journal.claim`."""
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
        rows = await self.rows_of(payment=payment, merchant_serial_number=merchant_serial_number)
        return [row for row in rows if isinstance(row, Entry)]

    async def rows_of(self, *, payment: str, merchant_serial_number: str) -> list[Entry | DamagedEntry]:
        """Return all rows of one payment, oldest first; unreadable ones as `DamagedEntry`."""
        return [row for _, row in await self._rows_of_payment(payment, merchant_serial_number)]

    async def all_rows(self) -> AsyncIterator[Entry | DamagedEntry]:
        """Go through all rows, newest first, a page at a time; unreadable ones as `DamagedEntry`.

        Raises:
            JournalError: the store has failed.
        """
        async for _, row in self._newest_rows():
            yield row

    # --- upkeep ------------------------------------------------------------------------------------------------------

    async def damaged(self, *, only_open: bool = False) -> list[DamagedEntry]:
        """Find the rows that cannot be read, oldest first.

        `open_entries`, `recent_entries` and `find` leave them out, and nothing is ever sent for them.

        Args:
            only_open: whether only open rows are read, which are few.

        Raises:
            JournalError: the store has failed.
        """
        if only_open:
            return [row async for _, row in self._open_rows() if isinstance(row, DamagedEntry)]
        return [row async for _, row in self._newest_rows() if isinstance(row, DamagedEntry)][::-1]

    async def prune(self, *, older_than: timedelta = DEFAULT_AGE, force: bool = False) -> int:
        """Delete old settled entries; open ones stay, however old they are, and so do unreadable ones.

        Args:
            older_than: the least time since they were settled.
            force: whether that may be less than 365 days. A key that is given again after its entry was deleted is a
                new operation to the journal.

        Returns:
            How many were deleted.

        Raises:
            InvalidInputError: `older_than` is less than 365 days, and not forced; or negative.
            JournalError: the store has failed.
        """
        if older_than < timedelta(0) or (older_than < LEAST_AGE and not force):
            raise InvalidInputError("older_than", "at least 365 days, unless it is forced", value=older_than)
        until = datetime.now(UTC) - older_than
        deleted = 0
        old: list[int] = []
        async for position, row in self._newest_rows():
            if isinstance(row, Entry) and row.settlement is not None and row.settlement.settled_at < until:
                old.append(position)
            if len(old) == _AT_ONCE:
                deleted += await self._delete(old)
                old = []
        return deleted + await self._delete(old)

    async def erase(self, *, payment: str, merchant_serial_number: str) -> int:
        """Delete all entries of one payment, for a customer who has a right to erasure.

        Returns:
            How many were deleted.

        Raises:
            JournalError: something of the payment is open, so that nothing was deleted; or the store has failed.
        """
        found: list[int] = []
        for position, entry in await self._rows_of_payment(payment, merchant_serial_number):
            if isinstance(entry, Entry) and entry.settlement is None:
                text = f"the {entry.intent.name} of {payment} is open, so nothing of the payment was erased"
                raise JournalError(text, effect=Effect.POSSIBLE, advice="settle it by recovery, then erase again")
            found.append(position)
        return await self._delete(found)

    async def discard(self, position: int) -> DamagedEntry:
        """Delete one row that cannot be read, after somebody has compared its payment at Vipps with the books.

        Such a row keeps operations of its payment from being sent; once deleted, it does not.

        Args:
            position: its position, as `damaged` returns it.

        Returns:
            What was deleted.

        Raises:
            JournalError: nothing was deleted: it can be read, or is not there; or the store has failed.
        """
        found = next((row for row in await self.damaged() if row.position == position), None)
        if found is None:
            text = f"entry {position} of the journal can be read, or is not there; nothing was deleted"
            raise JournalError(text, advice="`vipps-async journal check` lists the entries that cannot be read")
        await self._delete([position], also_open=True)
        return found

    # --- what a store does -------------------------------------------------------------------------------------------

    @abc.abstractmethod
    async def _ask(self, command: Command) -> CommandResult:
        """Carry out a command; returns its answer when that is durable."""

    @abc.abstractmethod
    async def _accept(self, command: Settle | Release) -> None:
        """Queue a command without waiting for its commit; it becomes durable soon after."""

    @abc.abstractmethod
    def _open_rows(self) -> AsyncIterator[tuple[int, Entry | DamagedEntry]]:
        """Go through all open rows with their positions, oldest first."""

    @abc.abstractmethod
    def _newest_rows(self) -> AsyncIterator[tuple[int, Entry | DamagedEntry]]:
        """Go through all rows with their positions, newest first."""

    @abc.abstractmethod
    async def _rows_of_payment(
        self, payment: str, merchant_serial_number: str
    ) -> Sequence[tuple[int, Entry | DamagedEntry]]:
        """Return the rows of one payment with their positions."""

    @abc.abstractmethod
    async def _delete(self, positions: Sequence[int], *, also_open: bool = False) -> int:
        """Delete these rows; open ones only if that is asked for. Returns how many were deleted."""
