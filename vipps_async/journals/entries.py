"""The values that a journal stores: intents, attempts, settlements, and the world that they are about."""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import Final

from attrs import field, frozen

from vipps_async.errors import InvalidInputError

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
    """Which Vipps a journal is about, by environment and host: two worlds never share a journal."""

    environment: str
    """``"test"`` or ``"production"``."""
    host: str
    """Who answers: ``"vipps"`` for Vipps' own hosts, else host and port."""
    instance: str = ""
    """What a sandbox calls itself, so that one restarted at the same port is another world; empty for Vipps."""

    def __str__(self) -> str:
        """Return the world as text for people."""
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
    """How an operation ended."""

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
    """The row of one operation: its intent, attempts, settlement and lease."""

    intent: Intent
    """The intent."""
    attempts: Attempts
    """Its attempts."""
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
    """Its number in the order of arrival."""
    payment: str
    """The payment, as far as it can be read; perhaps damaged itself."""
    reason: str
    """What is wrong with it."""
    earliest: datetime | None = None
    """The earliest of the times that stand in it, one of which may be damaged; None: not all of them can be read."""
