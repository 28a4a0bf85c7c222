"""The journal protocol: an intent becomes durable before it is sent, and its outcome afterwards."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Protocol

from vipps_async.journals.entries import Attempts, DamagedEntry, Entry, Intent, Settlement, World


class AcquireResult(enum.Enum):
    """The answer of `begin`, `claim` and `attempt`."""

    ACQUIRED = "acquired"
    """The entry is open and leased to the caller, who may send it."""
    SETTLED = "settled"
    """The entry is settled: its outcome stands in the entry."""
    HELD = "held"
    """Another owner has a lease on it that has not expired."""
    MISMATCH = "mismatch"
    """The same identity stands there with another digest: it must not be sent. With another key in the entry (see
    `begin`'s `adopt`): an open operation of the same amount, with another text.
    """
    CLOSED = "closed"
    """An adjustment of the same payment is open at another API, and stands in the entry: it must not be sent before
    that one is settled. Or, with `adopt`, an equal one is open at this API under a key that the caller chose.
    """
    DROPPED = "dropped"
    """The entry is open, and somebody has decided that it is never sent again. `begin` alone returns it."""


class Journal(Protocol):
    """Stores intents and outcomes. Every method may be called from many tasks at once.

    All failures of the store itself are raised as `vipps_async.errors.JournalError`.
    """

    @property
    def is_open(self) -> bool:
        """Whether it is open: `open` was called more often than `aclose`."""
        ...

    @property
    def on_overruled(self) -> list[Callable[[Entry], None]]:
        """Functions that are called, in the loop, with each entry that is DONE though it was settled as without effect.

        The entry's owner is who settled it as DONE; empty: that is not known.
        Called once that is durable, and before a `flush` that was asked for later returns. It must not raise. Anyone
        who has the journal open may add to the list, and takes out again what it has added.
        """
        ...

    async def open(self) -> None:
        """Open the store, creating it if need be. Called by each session that uses it; the last to close it closes it.

        Raises:
            JournalError: it cannot be opened: in use by another process (which is named), damaged, written by another
                version, another user's, read-only, or unreachable. Nothing has been overwritten.
        """
        ...

    async def bind(self, world: World) -> None:
        """Bind the journal to a world at first use; afterwards check that it is the same one.

        Raises:
            JournalError: it is bound to another world; nothing was changed.
        """
        ...

    async def rebind(self, world: World) -> None:
        """Bind the journal to another world: for an operator who has checked that it is the same Vipps.

        Raises:
            JournalError: the store has failed.
        """
        ...

    async def world(self) -> World | None:
        """Return the world that the journal is bound to; None: it has not been used yet.

        Raises:
            JournalError: the store has failed.
        """
        ...

    async def begin(
        self, intent: Intent, *, owner: str, lease: float, adopt: bool = False
    ) -> tuple[AcquireResult, Entry]:
        """Make the intent durable and lease it to `owner`, unless the journal has it already.

        New, or settled as NOT_DONE, or open with a lease that has run out or that `owner` itself holds: it is taken
        (its lease now ends `lease` seconds from now) and ACQUIRED is returned, only after that is durable.
        An entry taken over keeps its original intent, `created_at` included. A different digest is a MISMATCH whatever
        became of the entry. A cancelled `begin` may or may not have left the intent in the journal.

        Taking an entry that stands there already counts one attempt more, begun at the new intent's `created_at`.

        With `adopt`, an open entry with a made key of the same sales unit, payment and operation counts as this intent.
        If its digest is the same, ACQUIRED or HELD is returned with *that* entry, whose key differs from the intent's,
        and the intent is not written. If only its amount is the same: MISMATCH with that entry.

        An open entry that was dropped is DROPPED, and stays as it is: only `claim` takes it.

        What would be ACQUIRED is CLOSED, and not written, while an adjustment of the same payment and sales unit is
        open at another API: both may be the same operation. So it is with `adopt` while an operation of the same name
        and amount is open under a key that was not made. Atomic over all processes and machines.

        Args:
            intent: what is about to be sent.
            owner: the owner of the lease; not empty.
            lease: for how many seconds nobody else may take it; 0 or more.
            adopt: whether the intent's key was made for this call alone, so that an equal open one counts as it.

        Raises:
            JournalError: it could not be made durable; the caller must not send.
            InvalidInputError: `owner` is empty, or `lease` is negative or not finite.
        """
        ...

    async def settle(self, intent: Intent, settlement: Settlement, *, owner: str | None = None) -> None:
        """Store the outcome. Returns when it is queued; it becomes durable soon after, in a group with others.

        An entry that is settled as DONE stays as it is, and so does one that is settled as REFUSED, except that DONE
        outranks it: what Vipps has carried out is done, whatever was concluded before. The entry's note then tells what
        it was settled as, and `on_overruled` is called. One with another digest stays as it is. An entry that is not
        there (a file restored from an older copy) is put there, settled.
        Waits only while too many outcomes are queued. Whatever is asked of this journal afterwards knows of it.

        Args:
            intent: what was sent.
            settlement: what became of it.
            owner: who says so. If given, NOT_DONE counts only while that owner is the last one to have had it: a late
                one must not reopen what another has sent again meanwhile. DONE and REFUSED count from anyone.

        Raises:
            JournalError: the store has failed. The operation itself is not undone by that.
        """
        ...

    async def attempt(self, intent: Intent, *, owner: str, at: datetime) -> AcquireResult:
        """Count one more attempt of an entry that `owner` holds; returns when that is durable.

        Args:
            intent: what was begun or claimed.
            owner: the owner of the lease.
            at: when the attempt begins; aware, UTC.

        Returns:
            ACQUIRED: it is counted and may be sent. HELD or SETTLED: the owner holds it no longer, nothing was
            counted, and it must not be sent.

        Raises:
            JournalError: it could not be made durable, or there is no such entry; the caller must not send.
        """
        ...

    async def release(
        self,
        intent: Intent,
        *,
        note: str,
        owner: str | None = None,
        attempts: Attempts | None = None,
        unsent: bool = False,
    ) -> None:
        """Leave the entry open, with the reason, and end its lease: anyone may go on with it. Queued like `settle`.

        Does nothing to an entry that is settled, is not there, or has another digest.

        Args:
            intent: what was begun or claimed.
            note: why it stays open, without personal data; cut to 1,000 characters.
            owner: who releases it. If given, it is released only while that owner is the last one to have had it.
            attempts: what is known of its attempts now; None: what was known. `begun` never becomes less.
            unsent: whether the attempt that was being counted last never left, and so ended without effect: the one
                that the owner's `begin` counted or, with `attempts`, one that stands in the journal beyond them.

        Raises:
            JournalError: the store has failed.
        """
        ...

    async def claim(self, intent: Intent, *, owner: str, lease: float) -> tuple[AcquireResult, Entry]:
        """Lease an open entry for recovery, if no other owner holds it. Atomic over all processes and machines.

        Unlike `begin`, it neither creates an entry nor reopens one that is settled as NOT_DONE (that is SETTLED here).
        What `owner` itself holds is ACQUIRED, so recovery beside running work needs an owner of its own.

        Raises:
            JournalError: there is no such entry, or the store has failed.
            InvalidInputError: as for `begin`.
        """
        ...

    def open_entries(self, *, merchant_serial_number: str | None = None) -> AsyncIterator[Entry]:
        """Iterate over all open entries, oldest first, in constant memory; leased ones are included.

        Oldest first means: in the order in which the journal first noted them. Those that are noted after the walk
        began are left out, so that it ends; those that are settled meanwhile may be left out.

        Raises:
            JournalError: the store has failed.
        """
        ...

    async def damaged(self, *, only_open: bool = False) -> list[DamagedEntry]:
        """Find the rows that cannot be read, oldest first: the walks leave them out, and nothing is ever sent for them.

        Args:
            only_open: whether only open rows are read, which are few.

        Raises:
            JournalError: the store has failed.
        """
        ...

    def recent_entries(self, *, limit: int = 50) -> AsyncIterator[Entry]:
        """Go through the newest entries, open or settled, newest first."""
        ...

    async def find(self, *, payment: str, merchant_serial_number: str) -> list[Entry]:
        """Return all entries of one payment that can be read, oldest first."""
        ...

    async def rows_of(self, *, payment: str, merchant_serial_number: str) -> list[Entry | DamagedEntry]:
        """Return all rows of one payment, oldest first; unreadable ones as `DamagedEntry`."""
        ...

    async def flush(self) -> None:
        """Return when all queued outcomes are durable.

        Raises:
            JournalError: it could not be made so; what was accepted is kept and tried again.
        """
        ...

    async def aclose(self) -> None:
        """Flush, and close if nobody else has it open. Safe to call once more when it is closed.

        Raises:
            JournalError: outcomes could not be made durable, or the store does not answer. It is closed all the same,
                and what has no outcome in it is open for recovery.
        """
        ...
