"""The responses of the ePayment operations, and properties derived from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Self
from urllib.parse import parse_qs, urlsplit

from attrs import field, frozen

from vipps_async.core.converter import NOT_IN_JSON
from vipps_async.core.operation import SettledBy
from vipps_async.epayment.enums import EventName, PaymentState
from vipps_async.epayment.request_enums import PaymentMethodType
from vipps_async.money import Money

_FINAL = frozenset({PaymentState.AUTHORIZED, PaymentState.ABORTED, PaymentState.EXPIRED, PaymentState.TERMINATED})


@frozen(kw_only=True)
class CreatedPayment:
    """A payment that waits for the customer."""

    # Empty only as a journal's record, which keeps nothing of a creation: `create` then looks the payment up.
    reference: str = ""
    """The reference, as asked."""
    redirect_url: str | None = field(default=None, repr=False)
    """Where to send the customer, unchanged, within 5 minutes; or a link to the QR code. None with `PUSH_MESSAGE`, and
    for a payment that was made before and does not wait for the customer any more. Holds a token, so that the repr
    leaves it out."""
    settled_by: SettledBy = field(default=SettledBy.ANSWER, metadata=NOT_IN_JSON)
    """What this result rests on."""

    @property
    def token(self) -> str | None:
        """The token in the URL, which `approve` takes; None if there is none."""
        try:
            values = parse_qs(urlsplit(self.redirect_url or "").query).get("token", [])
        except ValueError:
            return None
        return values[0] if values else None


@frozen(kw_only=True)
class PaymentEvent:
    """One thing that happened, or failed to happen, to a payment."""

    reference: str
    """The payment."""
    name: EventName
    """What happened."""
    amount: Money
    """The amount of this very operation."""
    success: bool
    """Whether it succeeded: failed operations stand among the events too."""
    timestamp: datetime | None = None
    """When, in UTC."""
    idempotency_key: str | None = None
    """The idempotency key that the operation was sent with; a cancel's event has none."""
    psp_reference: str | None = None
    """Vipps' id of this event."""


#: Event → the sum that it raises.
SUMS: Final = {
    EventName.AUTHORIZED: "authorized_amount",
    EventName.CANCELLED: "cancelled_amount",
    EventName.TERMINATED: "cancelled_amount",
    EventName.CAPTURED: "captured_amount",
    EventName.REFUNDED: "refunded_amount",
}


@frozen(kw_only=True)
class Aggregate:
    """The sums of a payment."""

    authorized_amount: Money
    """What the customer accepted; in express checkout with shipping."""
    cancelled_amount: Money
    """What was cancelled in all; of a payment that nobody accepted, its whole amount."""
    captured_amount: Money
    """What was captured in all, refunded since or not."""
    refunded_amount: Money
    """What was refunded in all."""

    @classmethod
    def of(cls, events: Iterable[PaymentEvent], currency: str) -> Self:
        """Add up what succeeded, in one currency."""
        sums = dict.fromkeys(SUMS.values(), 0)
        for event in events:
            if event.name in SUMS and event.success and event.amount.currency == currency:
                sums[SUMS[event.name]] += event.amount.value
        return cls(**{name: Money(value, currency) for name, value in sums.items()})


def raised_by(event: EventName, sums: Aggregate) -> Money:
    """Return the sum that an event raises.

    Raises:
        KeyError: it raises none.
    """
    raised: Money = getattr(sums, SUMS[event])
    return raised


def left_to_capture(sums: Aggregate) -> Money:
    """Return what can still be captured: never less than 0, whatever was cancelled before anybody accepted."""
    left = sums.authorized_amount.value - sums.captured_amount.value - sums.cancelled_amount.value
    return Money(max(0, left), sums.authorized_amount.currency)


def left_to_refund(sums: Aggregate) -> Money:
    """Return what can still be refunded."""
    return Money(max(0, sums.captured_amount.value - sums.refunded_amount.value), sums.captured_amount.currency)


@frozen(kw_only=True)
class _WithSums:
    """What a payment, and the result of an operation on it, have in common."""

    reference: str
    """The reference."""
    state: PaymentState
    """How far the customer has come; it does not tell of captures, refunds and cancels after the acceptance."""
    aggregate: Aggregate
    """The payment's sums."""
    psp_reference: str | None = None
    """Vipps' id of the payment: the same in every answer about it, so no key of an operation."""

    @property
    def remaining_to_capture(self) -> Money:
        """What can still be captured: never less than 0, whatever was cancelled before anybody accepted."""
        return left_to_capture(self.aggregate)

    @property
    def remaining_to_refund(self) -> Money:
        """What can still be refunded."""
        return left_to_refund(self.aggregate)

    @property
    def captured_in_full(self) -> bool:
        """Whether all that the customer accepted has been captured, refunded since or not."""
        return 0 < self.aggregate.authorized_amount.value <= self.aggregate.captured_amount.value

    @property
    def is_cancelled(self) -> bool:
        """Whether the merchant cancelled the payment, or what was not captured of it."""
        return self.state == PaymentState.TERMINATED or self.aggregate.cancelled_amount.value > 0


@frozen(kw_only=True)
class _Adjusted(_WithSums):
    """A result of capture, refund or cancel."""

    settled_by: SettledBy = field(default=SettledBy.ANSWER, metadata=NOT_IN_JSON)
    """What this result rests on."""


@frozen(kw_only=True)
class MovedPayment(_Adjusted):
    """A result of an operation that is given an amount."""

    amount: Money
    """What this very operation captured or paid back."""
    time: datetime | None = None
    """When, by Vipps' clock, in UTC, as its event tells; None: no event was asked for, and the answer has no time."""


@frozen(kw_only=True)
class CapturedPayment(MovedPayment):
    """A payment after a capture that took effect."""


@frozen(kw_only=True)
class RefundedPayment(MovedPayment):
    """A payment after a refund that took effect."""


@frozen(kw_only=True)
class CancelledPayment(_Adjusted):
    """A payment after a cancel that took effect."""

    @property
    def amount(self) -> Money:
        """What was cancelled: all that was not captured; of a payment that nobody accepted, its whole amount."""
        return self.aggregate.cancelled_amount


@frozen(kw_only=True)
class PostalAddress:
    """A postal address."""

    address_line1: str | None = field(default=None, repr=False)
    """Street and number."""
    address_line2: str | None = field(default=None, repr=False)
    """The rest of it, such as a c/o."""
    city: str | None = field(default=None, repr=False)
    """City."""
    country: str | None = field(default=None, repr=False)
    """Country, by ISO 3166-1: ``"NO"``."""
    post_code: str | None = field(default=None, repr=False)
    """Post code."""


@frozen(kw_only=True)
class ChosenShipping:
    """What the customer of an express checkout chose."""

    address: PostalAddress | None = field(default=None, repr=False)
    """Where to ship."""
    shipping_cost: int | None = None
    """The cost in minor units of the payment's currency; a part of what was authorized, not of the payment's amount."""
    shipping_option_id: str | None = None
    """Your own id of it."""
    shipping_option_name: str | None = None
    """Its name."""


@frozen(kw_only=True)
class PaymentUser:
    """The customer, as far as asked for and consented to."""

    email: str | None = field(default=None, repr=False)
    """E-mail address."""
    first_name: str | None = field(default=None, repr=False)
    """First name."""
    last_name: str | None = field(default=None, repr=False)
    """Last name."""
    mobile_number: str | None = field(default=None, repr=False)
    """Phone number, the country's code first."""
    date_of_birth: str | None = field(default=None, repr=False)
    """Date of birth as Vipps writes it, such as ``"1988-12-3"``."""
    addresses: tuple[PostalAddress, ...] = field(default=(), repr=False)
    """Addresses."""


@frozen(kw_only=True)
class PaymentProfile:
    """The customer in this sales unit."""

    sub: str | None = field(default=None, repr=False)
    """The customer's id for `userinfo.get`, if the payment had a scope and is authorized."""


@frozen(kw_only=True)
class UsedPaymentMethod:
    """What the customer pays with."""

    type: PaymentMethodType | None = None
    """Wallet or card."""
    card_bin: str | None = field(default=None, repr=False)
    """The first six digits of the card."""


@frozen(kw_only=True)
class Payment(_WithSums):
    """A payment: its state and its sums. What happened when is told by `events`."""

    amount: Money
    """What was asked for; in express checkout without shipping. What can be captured is told by the sums."""
    payment_method: UsedPaymentMethod | None = None
    """What the customer pays with."""
    profile: PaymentProfile | None = None
    """The customer's id, if the payment had a scope."""
    redirect_url: str | None = field(default=None, repr=False)
    """Where to send the customer while the payment waits. Holds a token."""
    metadata: Mapping[str, str] | None = field(default=None, repr=False)
    """What was given at creation."""
    shipping_details: ChosenShipping | None = None
    """What an express customer chose."""
    user_details: PaymentUser | None = field(default=None, repr=False)
    """The customer, as far as asked for."""
    capture_guaranteed_until: datetime | None = None
    """Until when a capture is guaranteed, in UTC; later ones are refused more and more often. None: it is not told."""

    @property
    def has_outcome(self) -> bool:
        """Whether the customer need not be waited for any more: accepted, declined, run out of time or cancelled."""
        return self.state in _FINAL

    @property
    def is_authorized(self) -> bool:
        """Whether the customer has accepted the payment, whatever happened to it since."""
        return self.state == PaymentState.AUTHORIZED
