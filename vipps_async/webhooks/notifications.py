"""Webhook deliveries as typed notifications. None proves a payment: `confirm` verifies it with Vipps."""

from __future__ import annotations

import enum
import hashlib
from datetime import datetime
from typing import Any, Final, Protocol

import orjson
from attrs import evolve, field, frozen

from vipps_async.core.converter import NOT_IN_JSON, UnreadableAnswer, decode, encode, load_json
from vipps_async.epayment.enums import EventName, PaymentState
from vipps_async.epayment.responses import SUMS, ChosenShipping, Payment, PaymentUser, raised_by
from vipps_async.errors import CallbackError, InvalidInputError, OrderNotFoundError
from vipps_async.input_rules import check_reference
from vipps_async.money import Money


class _Epayment(Protocol):
    async def get(self, reference: str) -> Payment:
        """Read a payment."""
        ...

    def notify(self, reference: str) -> None:
        """Wake the waits for a payment."""
        ...


class WebhookSession(Protocol):
    """The part of a session that notifications use; `VippsSession` has it."""

    @property
    def epayment(self) -> _Epayment:
        """The ePayment API."""
        ...

    @property
    def merchant_serial_number(self) -> str:
        """The sales unit that the session acts for."""
        ...


class Disagreed(enum.Enum):
    """A fact in which a notification and the payment at Vipps disagree."""

    PAYMENT = "payment"
    """Vipps knows no such payment in this sales unit."""
    SALES_UNIT = "sales unit"
    """It names another sales unit than the session's."""
    STATE = "state"
    """It tells of something that has not happened to the payment."""
    AMOUNT = "amount"
    """It tells of more, or of another currency, than the payment's sums have."""
    FAILED = "the operation failed"
    """It says itself that the operation failed: nothing has changed."""
    NAME = "name"
    """Its name is not known, so nothing is confirmed."""


@frozen(kw_only=True)
class NotificationConfirmed:
    """The payment at Vipps shows what the event tells. More may have happened since: the payment tells."""

    payment: Payment
    """The payment as Vipps has it: go by its sums."""


@frozen(kw_only=True)
class NotificationContradicted:
    """The payment at Vipps does not show what the event tells: do not act on it.

    An answer can lag behind an event. So one whose payment may still come to show it is redelivered to its handler if
    the session has a journal, whether the handler raises or not.
    """

    payment: Payment | None
    """The payment as Vipps has it; None: Vipps knows no such payment."""
    disagreements: tuple[Disagreed, ...]
    """In what they disagree; never empty."""

    def __str__(self) -> str:
        """Return in what they disagree, on one line."""
        return f"the event disagrees with the payment in: {', '.join(one.value for one in self.disagreements)}"


@frozen(kw_only=True, slots=False)
class PaymentNotification:
    """Something happened to a payment that ePayment has made, signed by Vipps.

    Vipps may deliver it several times, and after other events of the same payment: `confirm` asks how the payment
    stands. What a delivery leaves out is None; only the reference and the name are always there.
    """

    reference: str
    """The payment."""
    name: EventName
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
    shipping_details: ChosenShipping | None = None
    """What an express customer chose. A redelivered event has none: the payment has it."""
    user_details: PaymentUser | None = field(default=None, repr=False)
    """What the customer consented to share. A redelivered event has none: the payment has it."""
    sub: str | None = field(default=None, repr=False)
    """The customer's id for `userinfo`. A redelivered event has none: the payment has it."""
    is_redelivered: bool = field(default=False, metadata=NOT_IN_JSON)
    """Whether it was received earlier, and its handler has not succeeded since."""

    is_pending = False
    """Whether the last `confirm` found that the payment may still come to show it."""

    @property
    def payment(self) -> str:
        """The reference, as every API calls it."""
        return self.reference

    @property
    def record(self) -> bytes:
        """The notification without personal data, as JSON."""
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

    async def confirm(self, vipps: WebhookSession) -> NotificationConfirmed | NotificationContradicted:
        """Verify with Vipps what this event claims.

        Args:
            vipps: the session of the sales unit.

        Returns:
            `NotificationConfirmed` if the payment shows what this event tells, `NotificationContradicted` if not. An
            event that tells of a failure, or has a name that is not known, confirms nothing. Either has the payment,
            whose sums count: look at them before anything is shipped.

        Raises:
            VippsError: the payment could not be read; see `vipps_async.errors`.
        """
        try:
            payment = await vipps.epayment.get(self.reference)
        except OrderNotFoundError:
            return NotificationContradicted(payment=None, disagreements=(Disagreed.PAYMENT,))
        found = list(_disagreements(self, payment, vipps.merchant_serial_number))
        # What was received is frozen; this is what was found out about it.
        object.__setattr__(self, "is_pending", bool(found) and _may_come(self, payment, found))
        if found:
            return NotificationContradicted(payment=payment, disagreements=tuple(found))
        return NotificationConfirmed(payment=payment)


_STATES: Final = {
    EventName.AUTHORIZED: PaymentState.AUTHORIZED,
    EventName.ABORTED: PaymentState.ABORTED,
    EventName.EXPIRED: PaymentState.EXPIRED,
    EventName.TERMINATED: PaymentState.TERMINATED,
}


def _disagreements(event: PaymentNotification, payment: Payment, msn: str) -> list[Disagreed]:
    found = []
    # Without leading zeros: a serial number that comes as a number has lost them.
    if event.msn is not None and event.msn.lstrip("0") != msn.lstrip("0"):
        found.append(Disagreed.SALES_UNIT)
    if not event.name.known:
        return [*found, Disagreed.NAME]
    if event.success is not True:
        return [*found, Disagreed.FAILED]
    if _STATES.get(event.name, payment.state) is not payment.state:
        return [*found, Disagreed.STATE]
    # That a payment is terminated its state tells alone.
    if event.name in SUMS and event.name != EventName.TERMINATED:
        moved = raised_by(event.name, payment.aggregate)
        least = event.amount or Money(1, moved.currency)
        if least.currency != moved.currency or moved < least:
            found.append(Disagreed.AMOUNT)
    return found


def _may_come(event: PaymentNotification, payment: Payment, found: list[Disagreed]) -> bool:
    if found == [Disagreed.STATE]:
        return payment.state is PaymentState.CREATED
    currency = payment.aggregate.captured_amount.currency
    return found == [Disagreed.AMOUNT] and (event.amount is None or event.amount.currency == currency)


# -- reading -----------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class OtherNotification:
    """An event of another product than ePayment, as it came. What it holds may be personal: the repr shows nothing."""

    body: bytes = field(repr=False)
    """The raw body: JSON."""
    is_redelivered: bool = False
    """Whether it was received earlier, and its handler has not succeeded since."""

    payment = None
    """None of ePayment's."""
    is_pending = False
    """There is nothing to confirm."""

    @property
    def data(self) -> Any:
        """The body, parsed."""
        return load_json(self.body)

    @property
    def record(self) -> bytes:
        """The body, without which it could not be handled after a crash."""
        return self.body

    @property
    def dedup_key(self) -> str:
        """The same for every delivery of the same bytes; 40 characters, nothing personal in it."""
        return hashlib.sha256(self.body).hexdigest()[:40]


def read_notification(body: bytes) -> PaymentNotification | OtherNotification:
    """Read a body that is authentic.

    Raises:
        CallbackError: it is no JSON (400).
    """
    # Raised outside the except block, so that nothing of the body travels along.
    try:
        return _read_payment_event(load_json(body)) or OtherNotification(body=body)
    except UnreadableAnswer as error:
        reason = error.reason
    raise CallbackError(f"the delivery cannot be read: {reason}", status=400)


def _read_payment_event(said: object) -> PaymentNotification | None:
    if not isinstance(said, dict) or not {"reference", "name"} <= said.keys():
        return None
    profile = said.get("profile")
    if said.get("sub") is None and isinstance(profile, dict):
        said["sub"] = profile.get("sub")
    try:
        event = decode(orjson.dumps(said), PaymentNotification)
        check_reference(event.reference)
    except (UnreadableAnswer, InvalidInputError):
        return None
    return event
