"""What ePayment tells by webhook, as a typed event: none says that a payment is good, only `confirm` finds out."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Generic, Protocol, TypeVar

import orjson
from attrs import evolve, field, frozen

from vipps_async.core.converter import NOT_IN_JSON, encode
from vipps_async.core.open_enum import OpenEnum
from vipps_async.errors import OrderNotFoundError
from vipps_async.money import Money

__all__ = [
    "EventAddress",
    "EventConfirmed",
    "EventContradicted",
    "EventDisagreement",
    "EventShipping",
    "EventUser",
    "PaymentEvent",
    "PaymentEventName",
    "PaymentState",
    "WebhookSession",
]


class PaymentEventName(OpenEnum):
    """What has happened to a payment."""

    CREATED = "CREATED"
    AUTHORIZED = "AUTHORIZED"
    ABORTED = "ABORTED"
    EXPIRED = "EXPIRED"
    TERMINATED = "TERMINATED"
    CANCELLED = "CANCELLED"
    CAPTURED = "CAPTURED"
    REFUNDED = "REFUNDED"


# -- what confirming needs of the ePayment API -------------------------------------------------------------------------


class _Aggregate(Protocol):
    @property
    def authorized_amount(self) -> Money: ...
    @property
    def cancelled_amount(self) -> Money: ...
    @property
    def captured_amount(self) -> Money: ...
    @property
    def refunded_amount(self) -> Money: ...


class PaymentState(Protocol):
    """What `confirm` looks at of a payment."""

    @property
    def state(self) -> str:
        """CREATED, AUTHORIZED, ABORTED, EXPIRED or TERMINATED."""
        ...

    @property
    def aggregate(self) -> _Aggregate:
        """The payment's sums."""
        ...


P = TypeVar("P", bound=PaymentState)
P_co = TypeVar("P_co", bound=PaymentState, covariant=True)


class _Epayment(Protocol[P_co]):
    async def get(self, reference: str) -> P_co:
        """Read a payment."""
        ...

    def notify(self, reference: str) -> None:
        """Wake whoever waits for news of a payment."""
        ...


class WebhookSession(Protocol[P_co]):
    """What deliveries need of a session; `VippsSession` is one."""

    @property
    def epayment(self) -> _Epayment[P_co]:
        """The ePayment API."""
        ...

    @property
    def merchant_serial_number(self) -> str:
        """The sales unit that the session acts for."""
        ...


class EventDisagreement(enum.Enum):
    """In what an event and the payment at Vipps disagree."""

    #: Vipps knows no such payment in this sales unit.
    PAYMENT = "payment"
    #: It names another sales unit than the session's.
    SALES_UNIT = "sales unit"
    #: It tells of something that has not happened to the payment.
    STATE = "state"
    #: It tells of more, or of another currency, than the payment's sums have.
    AMOUNT = "amount"
    #: It says itself that the operation failed: nothing has changed.
    FAILED = "the operation failed"
    #: Its name is not known, so nothing is confirmed.
    NAME = "name"


@frozen(kw_only=True)
class EventConfirmed(Generic[P]):
    """The payment at Vipps shows what the event tells. More may have happened since: the payment tells."""

    payment: P
    """The payment as Vipps has it: go by its sums."""


@frozen(kw_only=True)
class EventContradicted(Generic[P]):
    """The payment at Vipps does not show what the event tells: do not act on it.

    An answer can lag behind an event. So one whose payment may still come to show it is redelivered to its handler if
    the session has a journal, whether the handler raises or not.
    """

    payment: P | None
    """The payment as Vipps has it; None: Vipps knows no such payment."""
    disagreements: tuple[EventDisagreement, ...]
    """In what they disagree; never empty."""

    def __str__(self) -> str:
        """Return in what they disagree, on one line."""
        return f"the event disagrees with the payment in: {', '.join(one.value for one in self.disagreements)}"


# -- the event ---------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class EventAddress:
    """An address of the customer. The repr shows none of it but the country."""

    address_line1: str | None = field(default=None, repr=False)
    address_line2: str | None = field(default=None, repr=False)
    city: str | None = field(default=None, repr=False)
    country: str | None = None
    post_code: str | None = field(default=None, repr=False)


@frozen(kw_only=True)
class EventUser:
    """What the customer consented to share; what was not asked for is None. The repr shows nothing."""

    email: str | None = field(default=None, repr=False)
    first_name: str | None = field(default=None, repr=False)
    last_name: str | None = field(default=None, repr=False)
    mobile_number: str | None = field(default=None, repr=False)
    date_of_birth: str | None = field(default=None, repr=False)
    """As Vipps writes it, such as ``1988-12-3``."""
    addresses: tuple[EventAddress, ...] = field(default=(), repr=False)


@frozen(kw_only=True)
class EventShipping:
    """What an express customer chose."""

    address: EventAddress | None = None
    shipping_cost: int | None = None
    """In minor units."""
    shipping_option_id: str | None = None
    shipping_option_name: str | None = None


@frozen(kw_only=True, slots=False)
class PaymentEvent:
    """Something happened to a payment that ePayment has made, signed by Vipps.

    Vipps may deliver it several times, and after other events of the same payment: `confirm` asks how the payment
    stands. What a delivery leaves out is None; only the reference and the name are always there.
    """

    reference: str
    """The payment."""
    name: PaymentEventName
    """What has happened; a name that this version does not know is kept as it came."""
    success: bool | None = None
    """Whether it took effect. False: it was tried and failed, and nothing has changed; None: it does not say."""
    amount: Money | None = None
    """The amount of this operation alone."""
    psp_reference: str | None = None
    """Vipps' id of the operation."""
    msn: str | None = None
    """The sales unit."""
    timestamp: datetime | None = None
    """When, in UTC."""
    idempotency_key: str | None = None
    """The key of the request that did it; a cancel has none, and an authorization that of its create."""
    capture_guaranteed_until: datetime | None = None
    """Until when a capture is guaranteed; of an authorization."""
    shipping_details: EventShipping | None = None
    """What an express customer chose. A redelivered event has none: the payment has it."""
    user_details: EventUser | None = field(default=None, repr=False)
    """What the customer consented to share. A redelivered event has none: the payment has it."""
    sub: str | None = field(default=None, repr=False)
    """The customer's id for `userinfo`. A redelivered event has none: the payment has it."""
    is_redelivered: bool = field(default=False, metadata=NOT_IN_JSON)
    """Whether it was received earlier, and its handler has not succeeded since."""

    #: Whether the last `confirm` found that the payment may still come to show it.
    is_pending = False

    @property
    def payment(self) -> str:
        """The reference, as every API calls it."""
        return self.reference

    @property
    def record(self) -> bytes:
        """What it says without anything personal, as JSON."""
        return encode(evolve(self, shipping_details=None, user_details=None, sub=None))

    @property
    def dedup_key(self) -> str:
        """The same for every delivery of the same news, in every process; 40 characters, nothing personal in it.

        By reference, name and `psp_reference`; and by `success`, so that a failure never hides the success after it.
        Without a `psp_reference`, by all that it says.
        """
        news = [self.reference, self.name.value, self.psp_reference or "", str(self.success)]
        told = orjson.dumps(news) if self.psp_reference else self.record
        return hashlib.sha256(told).hexdigest()[:40]

    async def confirm(self, vipps: WebhookSession[P]) -> EventConfirmed[P] | EventContradicted[P]:
        """Ask Vipps whether it is so.

        Args:
            vipps: the session of the sales unit.

        Returns:
            `EventConfirmed` if the payment shows what this event tells, `EventContradicted` if not; an event that
            tells of a failure, or has a name that is not known, confirms nothing. Either has the payment, whose sums
            count: look at them before anything is shipped.

        Raises:
            VippsError: the payment could not be read; see `vipps_async.errors`.
        """
        try:
            payment = await vipps.epayment.get(self.reference)
        except OrderNotFoundError:
            return EventContradicted(payment=None, disagreements=(EventDisagreement.PAYMENT,))
        found = list(_disagreements(self, payment, vipps.merchant_serial_number))
        # What was received is frozen; this is what was found out about it.
        object.__setattr__(self, "is_pending", bool(found) and _may_come(self, payment, found))
        return (
            EventContradicted(payment=payment, disagreements=tuple(found)) if found else EventConfirmed(payment=payment)
        )


_ENDS: Final = frozenset({"ABORTED", "EXPIRED", "TERMINATED"})
#: The sum that each of them moves.
_SUMS: Final[Mapping[str, str]] = {
    "AUTHORIZED": "authorized_amount",
    "CAPTURED": "captured_amount",
    "REFUNDED": "refunded_amount",
    "CANCELLED": "cancelled_amount",
}


def _disagreements(event: PaymentEvent, payment: PaymentState, msn: str) -> list[EventDisagreement]:
    found = []
    # Without leading zeros: a serial number that comes as a number has lost them.
    if event.msn is not None and event.msn.lstrip("0") != msn.lstrip("0"):
        found.append(EventDisagreement.SALES_UNIT)
    if not event.name.known:
        return [*found, EventDisagreement.NAME]
    if event.success is not True:
        return [*found, EventDisagreement.FAILED]
    if (event.name in _ENDS or event.name == "AUTHORIZED") and payment.state != event.name:
        return [*found, EventDisagreement.STATE]
    if event.name in _SUMS:
        moved: Money = getattr(payment.aggregate, _SUMS[event.name])
        least = event.amount or Money(1, moved.currency)
        if least.currency != moved.currency or moved < least:
            found.append(EventDisagreement.AMOUNT)
    return found


def _may_come(event: PaymentEvent, payment: PaymentState, found: list[EventDisagreement]) -> bool:
    if found == [EventDisagreement.STATE]:
        return payment.state == "CREATED"
    return found == [EventDisagreement.AMOUNT] and (event.amount is None or event.amount.currency == _currency(payment))


def _currency(payment: PaymentState) -> str:
    return payment.aggregate.captured_amount.currency
