"""What operators do with a journal on a disk: look for damage, throw away what is old, erase one payment."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

from vipps_async.errors import Effect, InvalidInputError, JournalError
from vipps_async.journals.protocol import DamagedEntry, Entry

__all__ = ["DEFAULT_AGE", "LEAST_AGE", "Upkeep"]

#: How long settled entries are kept unless one says otherwise: a refund is possible for 365 days, and some more.
DEFAULT_AGE = timedelta(days=400)

#: Below this an entry may still be needed: its key protects a refund against being carried out twice.
LEAST_AGE = timedelta(days=365)

#: How many rows are deleted in one transaction: new captures wait for no longer than that takes.
_AT_ONCE = 500


class Upkeep(abc.ABC):
    """A journal that can be looked after while it is in use."""

    async def damaged(self, *, only_open: bool = False) -> list[DamagedEntry]:
        """Look through the journal for rows that cannot be read; oldest first.

        `open_entries`, `recent_entries` and `find` leave them out, and nothing is ever sent for them.

        Args:
            only_open: whether only what stands there as open is looked through, which is quickly done.

        Raises:
            JournalError: the store has failed.
        """
        if only_open:
            return [row async for _, row in self._open_rows() if isinstance(row, DamagedEntry)]
        return [row async for _, row in self._newest_rows() if isinstance(row, DamagedEntry)][::-1]

    async def prune(self, *, older_than: timedelta = DEFAULT_AGE, force: bool = False) -> int:
        """Delete settled entries; what is open stays, however old it is, and so does what cannot be read.

        Args:
            older_than: how long ago they were settled at least.
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
        """Delete all entries of one payment, for a person who has a right to that.

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
    async def _delete(self, positions: Sequence[int]) -> int:
        """Delete these rows unless they are open meanwhile; returns how many were deleted."""
