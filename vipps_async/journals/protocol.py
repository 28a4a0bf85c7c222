"""What a journal is: a durable note of each operation before it leaves, and of its outcome afterwards."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol

from attrs import field, frozen

__all__ = ["Entry", "Intent", "Journal", "Outcome", "Settlement", "Standing"]


@frozen(kw_only=True)
class Intent:
    """One operation that is about to be sent.

    Vipps knows an idempotency key per order, merchant serial number and endpoint, so these four together are the
    identity of an intent; the rest is its payload.
    """

    #: The idempotency key; for an operation that has none at Vipps (initiate, cancel) a key made for the journal.
    key: str
    #: The name of the operation: ``"capture"``, ``"refund"``, ``"cancel"`` or ``"initiate"``.
    operation: str
    order_id: str
    merchant_serial_number: str
    #: Øre; None: all that remains (or, for a cancel, no amount at all).
    amount: int | None
    transaction_text: str
    #: SHA-256 of the exact request body, in hexadecimal: what "the same payload" means.
    digest: str
    #: The exact request body, so that recovery can send the same bytes again. None where it would hold personal data
    #: (initiate), and then the operation is never sent again by recovery.
    body: bytes | None = field(default=None, repr=False)
    #: When it was written; aware, UTC.
    created_at: datetime

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What makes it one and the same operation at Vipps."""
        return (self.key, self.operation, self.order_id, self.merchant_serial_number)


class Outcome(enum.Enum):
    """How an operation ended, as far as the journal is concerned."""

    #: It took effect.
    DONE = "done"
    #: Vipps refused it for good: it had no effect, and the same key will not have one.
    REFUSED = "refused"
    #: It had no effect, and it may be begun again with the same key.
    NOT_DONE = "not_done"


@frozen(kw_only=True)
class Settlement:
    """A known outcome."""

    outcome: Outcome
    #: For DONE: the answer's body as JSON. For REFUSED: the error, as JSON. Free of personal data.
    answer: bytes = field(default=b"", repr=False)
    #: When it became known; aware, UTC.
    settled_at: datetime


@frozen(kw_only=True)
class Entry:
    """What a journal holds of one operation."""

    intent: Intent
    #: None while the entry is open.
    settlement: Settlement | None = None
    #: Who has it in hand; a fresh random text for each session.
    owner: str = ""
    #: Until when the owner has it to itself; aware, UTC. Later, anyone may take it over.
    lease_until: datetime
    #: Why it is still open, if that is known.
    note: str = ""


class Standing(enum.Enum):
    """What `begin` and `claim` found."""

    #: The entry is now open and in the hands of the asker: it may be sent.
    MINE = "mine"
    #: The entry is settled: its outcome stands in the entry.
    SETTLED = "settled"
    #: Another owner has it in hand, and its lease has not run out.
    TAKEN = "taken"
    #: The same identity stands there with another digest: it must not be sent.
    MISMATCH = "mismatch"


class Journal(Protocol):
    """Keeps intents and outcomes. Every method may be called from many tasks at once.

    All failures of the store itself are raised as `vipps_async.errors.JournalError`.
    """

    async def open(self) -> None:
        """Open the store, creating or migrating it if need be. Called once by the session; a second call does nothing.

        Raises:
            JournalError: it cannot be opened: in use by another process (which is named), damaged, written by a newer
                version, read-only, or unreachable. Nothing has been overwritten.
        """
        ...

    async def begin(self, intent: Intent, *, owner: str, lease: float) -> tuple[Standing, Entry]:
        """Make the intent durable and take it in hand, unless it stands there already.

        New, or settled as NOT_DONE, or open with a lease that has run out or that `owner` itself holds: it is taken
        (its lease now ends `lease` seconds from now) and MINE is returned, only after that is durable.
        An entry taken over keeps its original intent, `created_at` included.

        Raises:
            JournalError: it could not be made durable; the caller must not send.
        """
        ...

    async def prepare(self, intents: Sequence[Intent], *, owner: str, lease: float) -> list[tuple[Standing, Entry]]:
        """Do what `begin` does for a whole chunk of intents in one commit; answers in the same order."""
        ...

    async def settle(self, intent: Intent, settlement: Settlement) -> None:
        """Note the outcome. Returns when it is accepted; it becomes durable soon after, in a group with others.

        An entry that is settled as DONE or REFUSED stays as it is: the first truth wins. Waits only while too many
        outcomes are queued.

        Raises:
            JournalError: the store has failed. The operation itself is not undone by that.
        """
        ...

    async def release(self, intent: Intent, *, note: str) -> None:
        """Leave the entry open, with the reason, and end its lease: anyone may go on with it. Queued like `settle`."""
        ...

    async def claim(self, intent: Intent, *, owner: str, lease: float) -> tuple[Standing, Entry]:
        """Take an open entry in hand for recovery, if nobody else has it. Atomic over all processes and machines."""
        ...

    def open_entries(self, *, merchant_serial_number: str | None = None) -> AsyncIterator[Entry]:
        """Go through all open entries, oldest first, in constant memory; also those that somebody has in hand."""
        ...

    def recent_entries(self, *, limit: int = 50) -> AsyncIterator[Entry]:
        """Go through the newest entries, open or settled, newest first."""
        ...

    async def find(self, *, order_id: str, merchant_serial_number: str) -> list[Entry]:
        """Return all entries of one order, oldest first."""
        ...

    async def flush(self) -> None:
        """Return when all that was accepted is durable."""
        ...

    async def aclose(self) -> None:
        """Flush and close. Safe to call twice."""
        ...
