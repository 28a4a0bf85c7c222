"""The journal protocol and its values: an intent, durable before it is sent, and its outcome afterwards."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Final, Protocol

from attrs import field, frozen

from vipps_async.errors import InvalidInputError

__all__ = [
    "DROPPED",
    "AcquireResult",
    "Attempts",
    "DamagedEntry",
    "Entry",
    "Intent",
    "Journal",
    "KeyOrigin",
    "Outcome",
    "Settlement",
    "World",
    "is_storable",
]

#: How the `refusal` of an operation that somebody has dropped begins.
DROPPED: Final = b'{"dropped_at":'

#: The largest whole number that every store can hold: a signed 64-bit one.
_LARGEST_INTEGER = 2**63 - 1


def is_storable(text: object) -> bool:
    """Tell whether every store can hold it as a text."""
    # PostgreSQL holds no NUL in a text, and neither store a lone surrogate: one such text would fail a whole group.
    if not isinstance(text, str) or "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _are_storable(*texts: str) -> bool:
    try:
        return is_storable("".join(texts))
    except TypeError:
        return False


def _check_amount(value: object) -> None:
    if type(value) is int and 0 <= value <= _LARGEST_INTEGER:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST_INTEGER:
        raise InvalidInputError("amount", "whole minor units or None", value=value)


def _check_bytes(name: str, value: object) -> None:
    if not isinstance(value, bytes):
        raise InvalidInputError(name, "bytes", secret=True)


def _check_aware(name: str, value: object) -> None:
    if type(value) is datetime and value.tzinfo is UTC:
        return
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidInputError(name, "an aware datetime", value=value)


class KeyOrigin(enum.Enum):
    """Who chose an idempotency key. Decides whether an equal later call repeats the operation or is a new one."""

    MADE = "made"
    """The library, for one call: an equal call while that one is open repeats the same operation."""
    GIVEN = "given"
    """The caller: another key is another operation."""
    ROW = "row"
    """A row of a batch, whose key follows from the row."""


@frozen(kw_only=True)
class World:
    """Which Vipps the facts of a journal are about: two worlds never share a journal."""

    environment: str
    """``"test"`` or ``"production"``."""
    host: str
    """Who answers: ``"vipps"`` for Vipps' own hosts, else host and port."""
    instance: str = ""
    """What a sandbox calls itself, so that one restarted at the same port is another world; empty for Vipps."""

    def __str__(self) -> str:
        """Return the world as a person reads it."""
        sandbox = f" (sandbox {self.instance})" if self.instance else ""
        return f"{self.environment} at {self.host}{sandbox}"


@frozen(kw_only=True)
class Intent:
    """One operation that is about to be sent.

    Vipps knows an idempotency key per API, endpoint, payment and merchant serial number, so these five together are the
    identity of an intent; the rest is its payload.

    Raises:
        InvalidInputError: a part is of the wrong type or cannot be stored (a NUL character, a naive datetime).
    """

    key: str
    """The idempotency key; for an operation that has none at Vipps (initiate, cancel) a key made for the journal."""
    api: str
    """The API, such as ``"ecom"``."""
    operation: str
    """The operation within the API: ``"capture"``."""
    payment: str
    """What the API calls the payment."""
    merchant_serial_number: str
    """The sales unit."""
    amount: int | None
    """Minor units; None: all that remains (or, for a cancel, no amount at all)."""
    currency: str
    """The currency of the amount, such as ``"NOK"``."""
    digest: str
    """SHA-256 of the exact request body, in hexadecimal: what "the same payload" means."""
    body: bytes | None = field(default=None, repr=False)
    """The exact request body, so that recovery can send the same bytes again. None where it would hold personal data
    (initiate), and then the operation is never sent again by recovery.
    """
    created_at: datetime
    """When it was written; aware, UTC."""
    origin: KeyOrigin = KeyOrigin.GIVEN
    """Who chose the key."""
    reference: str = ""
    """What a row of a batch calls itself; empty: nothing."""
    adjusts: bool = True
    """Whether it changes what a payment has moved (a capture, refund or cancel): while such an operation is open at one
    API, none is begun at another one. Not what makes a payment, nor a notification that somebody handles.
    """

    def __attrs_post_init__(self) -> None:
        # In one piece and at one look where nothing is wrong: every call that moves money makes one of these.
        filled = (
            self.key,
            self.api,
            self.operation,
            self.payment,
            self.merchant_serial_number,
            self.currency,
            self.digest,
        )
        if not (all(filled) and _are_storable(*filled, self.reference)):
            self._refuse_texts()
        if self.amount is not None:
            _check_amount(self.amount)
        if self.body is not None:
            _check_bytes("body", self.body)
        _check_aware("created_at", self.created_at)

    def _refuse_texts(self) -> None:
        for name in ("key", "api", "operation", "payment", "merchant_serial_number", "currency", "digest"):
            if not getattr(self, name) or not is_storable(getattr(self, name)):
                rule = "text that is not empty and has no NUL characters and lone surrogates"
                raise InvalidInputError(name, rule, secret=True)
        raise InvalidInputError("reference", "text without NUL characters and lone surrogates", secret=True)

    @property
    def name(self) -> str:
        """The operation's name in logs and reports: ``ecom.capture``."""
        return f"{self.api}.{self.operation}"

    @property
    def identity(self) -> tuple[str, str, str, str, str]:
        """What makes it one and the same operation at Vipps."""
        return (self.key, self.api, self.operation, self.payment, self.merchant_serial_number)


class Outcome(enum.Enum):
    """How an operation ended, as far as the journal is concerned."""

    DONE = "done"
    """It took effect."""
    REFUSED = "refused"
    """Vipps refused it for good: it had no effect, and the same key will not have one."""
    NOT_DONE = "not_done"
    """It had no effect, and it may be begun again with the same key."""


@frozen(kw_only=True)
class Settlement:
    """A known outcome."""

    outcome: Outcome
    """How it ended."""
    answer: bytes = field(default=b"", repr=False)
    """For DONE: the answer's body as JSON. For REFUSED: the error, as JSON. Free of personal data."""
    settled_at: datetime
    """When it became known; aware, UTC."""

    def __attrs_post_init__(self) -> None:
        _check_bytes("answer", self.answer)
        _check_aware("settled_at", self.settled_at)


@frozen(kw_only=True)
class Attempts:
    """What is known of the attempts to carry out one operation."""

    begun: int = 1
    """How many were ever begun, each counted durably before its first byte leaves; the intent counts the first."""
    ended: int = 0
    """How many of them are known to have ended without effect: refused in their own right, or never sent."""
    last_at: datetime
    """When the last one began; aware, UTC. The horizon (`settle_after`) counts from here."""
    refusal: bytes = field(default=b"", repr=False)
    """What the last one was refused with, as a settlement's answer would have it, or that it was dropped; empty:
    neither.
    """
    looked_at: datetime | None = None
    """When details showed first, beyond the horizon, that it has not taken effect; None: they have not."""

    @property
    def in_doubt(self) -> int:
        """How many attempts may have taken effect, or may still."""
        return self.begun - self.ended

    @property
    def is_dropped(self) -> bool:
        """Whether somebody has decided that it is never sent again. One more attempt undoes that."""
        return self.refusal.startswith(DROPPED)


@frozen(kw_only=True)
class Entry:
    """What a journal holds of one operation."""

    intent: Intent
    """What is to be done."""
    attempts: Attempts
    """What is known of the attempts at it."""
    settlement: Settlement | None = None
    """None while the entry is open."""
    owner: str = ""
    """The owner of the lease, or the last one; a new random text for each session. Empty after a release."""
    lease_until: datetime
    """Until when the owner has it to itself; aware, UTC. Later, anyone may take it over."""
    note: str = ""
    """Why it is still open, if that is known. Stays until the next release or the settlement. Of a settled one: what it
    was settled as before Vipps' own answer overruled that.
    """


@frozen(kw_only=True)
class DamagedEntry:
    """A row that cannot be read. Nothing is sent for it."""

    position: int
    """Its place in the order of arrival."""
    payment: str
    """The payment, as far as it can be read; perhaps damaged itself."""
    reason: str
    """What is wrong with it."""
    earliest: datetime | None = None
    """The earliest of the times that stand in it, one of which may be damaged; None: not all of them can be read."""


class AcquireResult(enum.Enum):
    """What `begin` and `claim` found."""

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
    """Keeps intents and outcomes. Every method may be called from many tasks at once.

    All failures of the store itself are raised as `vipps_async.errors.JournalError`.
    """

    @property
    def is_open(self) -> bool:
        """Whether `open` has been called more often than `aclose`: whoever opens a journal closes it."""
        ...

    @property
    def on_overruled(self) -> list[Callable[[Entry], None]]:
        """What is called, in the loop, with each entry that is DONE though it was settled as without effect.

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
        """Bind the journal to its world at first use, and hold it to that ever after.

        Raises:
            JournalError: it is bound to another world; nothing was changed.
        """
        ...

    async def rebind(self, world: World) -> None:
        """Bind the journal to another world: only for an operator who has seen that it is the same Vipps.

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
            owner: who asks; not empty.
            lease: for how many seconds nobody else may take it; 0 or more.
            adopt: whether the intent's key was made for this call alone, so that an equal open one counts as it.

        Raises:
            JournalError: it could not be made durable; the caller must not send.
            InvalidInputError: `owner` is empty, or `lease` is negative or not finite.
        """
        ...

    async def settle(self, intent: Intent, settlement: Settlement, *, owner: str | None = None) -> None:
        """Note the outcome. Returns when it is accepted; it becomes durable soon after, in a group with others.

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
        """Look for rows that cannot be read, oldest first: the walks leave them out, and nothing is ever sent for them.

        Args:
            only_open: whether only what stands there as open is looked through, which is quickly done.

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
        """Return the same, and in their places what stands there of the payment and cannot be read."""
        ...

    async def flush(self) -> None:
        """Return when all that was accepted is durable.

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
