"""The states of a payment, the entries of its history, and the sums that follow from them."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Self

from vipps_async.sandbox.ledger.reasons import Reason


class State(enum.Enum):
    """The state of a payment."""

    INITIATE = "INITIATE"
    """Waiting for the customer."""
    RESERVE = "RESERVE"
    """The customer accepted: money is reserved, and some of it perhaps captured and refunded."""
    SALE = "SALE"
    """Reserved and captured at once."""
    CANCEL = "CANCEL"
    """Ended before any reservation: declined, cancelled or timed out."""
    VOID = "VOID"
    """What was reserved and not captured has been released by the merchant."""
    FAILED = "FAILED"
    """The bank refused the reservation."""


class PaymentOutcome(enum.Enum):
    """How a payment ended by its customer, its bank, or time."""

    RESERVED = "RESERVED"
    SALE = "SALE"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    DECLINED = "DECLINED"
    EXPIRED = "EXPIRED"
    #: What was not captured in time has been released.
    RELEASED = "RELEASED"


@dataclass(frozen=True, slots=True)
class Meaning:
    """The meaning of one operation of the history."""

    raises: tuple[str, ...] = ()
    """The sums that a success raises, by their names in `Sums`."""
    events: tuple[str, ...] = ()
    """The events that it is; empty: that depends on how the payment ended."""
    takes: str = ""
    """What it takes from, if the merchant says how much: the name of a remainder in `Sums`."""


#: The words of a history. With direct capture, SALE stands for RESERVE and CAPTURE.
MEANINGS = {
    "INITIATE": Meaning(events=("CREATED",)),
    "RESERVE": Meaning(raises=("reserved",), events=("AUTHORIZED",)),
    "SALE": Meaning(raises=("reserved", "captured"), events=("AUTHORIZED", "CAPTURED")),
    "CAPTURE": Meaning(raises=("captured",), events=("CAPTURED",), takes="remaining_to_capture"),
    "REFUND": Meaning(raises=("refunded",), events=("REFUNDED",), takes="remaining_to_refund"),
    "VOID": Meaning(raises=("released",), events=("CANCELLED",)),
    "CANCEL": Meaning(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One line of a payment's history."""

    operation: str
    amount: int
    """In minor units."""
    success: bool
    time: datetime
    text: str
    transaction_id: str
    request_id: str = ""
    """The idempotency key; empty for operations without one."""
    shown_at: datetime | None = None
    """When the history begins to show it; None: at once."""

    def visible(self, now: datetime, as_of: datetime) -> bool:
        """Whether a view shows it that is asked for now and tells how things stood at `as_of`."""
        return (self.shown_at or self.time) <= now and self.time <= as_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """What a fault does to an operation that the rules allow."""

    #: Why it fails all the same; None: it does not.
    reason: Reason | None = None
    #: Whether that failure stands in the history.
    in_history: bool = True
    #: How long the history does not show the entry.
    shown_after: timedelta = timedelta(0)
    #: Whether only half of the amount moves.
    half: bool = False


#: Nothing goes wrong.
UNDISTURBED = Disturbance()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """The sums of a payment at one moment, in minor units."""

    reserved: int = 0
    captured: int = 0
    refunded: int = 0
    released: int = 0

    @classmethod
    def of(cls, history: Sequence[LogEntry]) -> Self:
        """Add up what succeeded."""
        sums: Counter[str] = Counter()
        for entry in history:
            for name in MEANINGS[entry.operation].raises if entry.success else ():
                sums[name] += entry.amount
        return cls(**sums)

    @property
    def remaining_to_capture(self) -> int:
        """What is reserved, not captured and not released."""
        return self.reserved - self.captured - self.released

    @property
    def remaining_to_refund(self) -> int:
        """What is captured and not refunded."""
        return self.captured - self.refunded

    @property
    def by_name(self) -> dict[str, int]:
        """All of them, and what remains."""
        return {name: getattr(self, name) for name in (*asdict(self), "remaining_to_capture", "remaining_to_refund")}


def told_sums(history: Sequence[LogEntry]) -> Sums | None:
    """Return the sums that a history tells, or None as long as the customer has not acted in it."""
    has_acted = any("reserved" in MEANINGS[entry.operation].raises for entry in history)
    return Sums.of(history) if has_acted else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """A done operation: its line in the history, and the sums as they stood then."""

    entry: LogEntry
    #: None as long as the customer has not acted.
    sums: Sums | None


@dataclass(frozen=True, slots=True)
class Seen:
    """The first use of an idempotency key."""

    fingerprint: str
    #: None: it was refused.
    movement: Movement | None


@dataclass(frozen=True, slots=True)
class MerchantRequest:
    """A request of the merchant for one operation."""

    operation: str
    text: str
    now: datetime
    fault: Disturbance
    key: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSnapshot:
    """The sums and the history of one payment, for the assertions of tests. All amounts in minor units (øre)."""

    order_id: str
    merchant_serial_number: str
    currency: str = "NOK"
    state: State
    amount: int
    """What the merchant asked for, without shipping."""
    reserved: int
    """What the customer accepted; in express checkout with the chosen shipping."""
    captured: int
    refunded: int
    released: int
    history: tuple[LogEntry, ...]
    """Oldest first; failed operations are in it too."""

    @property
    def request_ids(self) -> tuple[str, ...]:
        """The idempotency keys of all successful operations, oldest first."""
        return tuple(entry.request_id for entry in self.history if entry.success and entry.request_id)

    def moved(self, operation: str) -> tuple[LogEntry, ...]:
        """Return the successful entries of one operation, such as ``"CAPTURE"``."""
        return tuple(entry for entry in self.history if entry.success and entry.operation == operation)
