"""The operations of the ePayment API as values: path, answer, how each may be repeated, how often Vipps takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from attrs import evolve

from vipps_async.core.operation import Call, MoneyOperation, NoContent, Operation, Repeat
from vipps_async.epayment.dialect import EPAYMENT
from vipps_async.epayment.enums import EventName, PaymentState
from vipps_async.epayment.request_bodies import CreatePaymentRequest
from vipps_async.epayment.request_enums import UserFlow
from vipps_async.epayment.responses import (
    Aggregate,
    CancelledPayment,
    CapturedPayment,
    CreatedPayment,
    Payment,
    PaymentEvent,
    RefundedPayment,
)
from vipps_async.errors import CancelError, CaptureError, PaymentRefusedError, RefundError
from vipps_async.money import Money

__all__ = [
    "APPROVE",
    "CANCEL",
    "CAPTURE",
    "CREATE",
    "EVENTS",
    "GET",
    "OPERATIONS",
    "REFUND",
    "get_call",
    "get_events_call",
]

R = TypeVar("R", CapturedPayment, RefundedPayment)

_PAYMENTS: Final = "/epayment/v1/payments"

# The limits are Vipps' own, for one reference and merchant serial number (API guide, rate limiting).


def _without_url(call: Call[CreatedPayment], payment: CreatedPayment) -> str | None:
    body = call.body
    # A journal's record has no reference, a call that was made again from one no body: `get` has the URL.
    if not payment.reference or payment.redirect_url or not isinstance(body, CreatePaymentRequest):
        return None
    if body.user_flow is UserFlow.PUSH_MESSAGE:
        return None
    return "it has no URL to send the customer to"


def _misfit(moved: Callable[[Aggregate], Money]) -> Callable[[Call[R], R], str | None]:
    """Return what holds an answer of success against its call: by the sums, for a status of 200 is no proof alone.

    Args:
        moved: what the operation has moved in all, by the payment's sums.
    """

    def misfit(call: Call[R], result: R) -> str | None:
        asked, in_all = call.audit, moved(result.aggregate)
        if asked is None or asked.amount is None:
            return None
        if asked.currency == result.amount.currency == in_all.currency and asked.amount <= in_all.value:
            return None
        return f"{Money(asked.amount, asked.currency)} were asked for, and it says {in_all} in all of {result.amount}"

    return misfit


def _unproven(
    moved: Callable[[Aggregate], Money], left: Callable[[CapturedPayment | RefundedPayment], Money]
) -> Callable[[Call[R], R], str | None]:
    """Return what says whether an answer of success proves its call.

    The sums prove what has moved all that there was to move. Those of a part may come from other parts.

    Args:
        moved: what the operation has moved in all, by the payment's sums.
        left: what it can still move.
    """

    def unproven(call: Call[R], result: R) -> str | None:
        asked, in_all = call.audit, moved(result.aggregate)
        if asked is None or asked.amount is None or (asked.amount == in_all.value and not left(result)):
            return None
        amount = Money(asked.amount, asked.currency)
        return f"{amount} were asked for, and the {in_all} in all that it says may come from other calls"

    return unproven


def _complete(call: Call[R], result: R) -> R:
    # Whether an answer's amount is the operation's or the payment's is not published. That no less was moved than was
    # asked for has been seen by the sums.
    asked, told = call.audit, result.amount
    if asked is None or asked.amount is None or (told.value, told.currency) == (asked.amount, asked.currency):
        return result
    return evolve(result, amount=Money(asked.amount, asked.currency))


def _not_cancelled(_call: Call[CancelledPayment], result: CancelledPayment) -> str | None:
    if result.state != PaymentState.TERMINATED and not result.is_cancelled:
        return f"it says {result.state.value}, and nothing was cancelled"
    if result.remaining_to_capture:
        return f"it says that {result.remaining_to_capture} can still be captured"
    sums = result.aggregate
    gone = sums.captured_amount.value + sums.cancelled_amount.value
    if result.state == PaymentState.AUTHORIZED and gone != sums.authorized_amount.value:
        return f"its sums do not add up: {sums.cancelled_amount} cancelled of {sums.authorized_amount}"
    return None


#: Idempotent by its key; without it a second one is refused, as its reference is taken.
CREATE: Final = Operation(
    dialect=EPAYMENT,
    verb="create",
    method="POST",
    path=_PAYMENTS,
    result=CreatedPayment,
    repeat=Repeat.KEYED,
    adjusts=False,
    error=PaymentRefusedError,
    per_minute=5,
    misfit=_without_url,
)

#: Idempotent by its key.
CAPTURE: Final = MoneyOperation(
    dialect=EPAYMENT,
    verb="capture",
    method="POST",
    path=_PAYMENTS + "/{}/capture",
    result=CapturedPayment,
    repeat=Repeat.KEYED,
    error=CaptureError,
    per_minute=5,
    misfit=_misfit(lambda sums: sums.captured_amount),
    unproven=_unproven(lambda sums: sums.captured_amount, lambda result: result.remaining_to_capture),
    complete=_complete,
    in_history=frozenset({EventName.CAPTURED}),
)

#: Idempotent by its key.
REFUND: Final = MoneyOperation(
    dialect=EPAYMENT,
    verb="refund",
    method="POST",
    path=_PAYMENTS + "/{}/refund",
    result=RefundedPayment,
    repeat=Repeat.KEYED,
    error=RefundError,
    per_minute=5,
    misfit=_misfit(lambda sums: sums.refunded_amount),
    unproven=_unproven(lambda sums: sums.refunded_amount, lambda result: result.remaining_to_refund),
    complete=_complete,
    in_history=frozenset({EventName.REFUNDED}),
)

#: The description declares no key for it. Its key is sent all the same, as Vipps recommends, but nothing rests on it: a
#: second one is refused, and state and sums tell whether the first took effect.
CANCEL: Final = MoneyOperation(
    dialect=EPAYMENT,
    verb="cancel",
    method="POST",
    path=_PAYMENTS + "/{}/cancel",
    result=CancelledPayment,
    repeat=Repeat.CONFIRM,
    error=CancelError,
    per_minute=5,
    misfit=_not_cancelled,
    in_history=frozenset({EventName.CANCELLED, EventName.TERMINATED}),
    has_amount=False,
)

#: A read.
GET: Final = Operation(
    dialect=EPAYMENT,
    verb="get",
    method="GET",
    path=_PAYMENTS + "/{}",
    result=Payment,
    repeat=Repeat.SAFE,
    per_minute=120,
)

#: A read, whose answer is a bare list.
EVENTS: Final = Operation(
    dialect=EPAYMENT,
    verb="events",
    method="GET",
    path=_PAYMENTS + "/{}/events",
    result=tuple[PaymentEvent, ...],
    repeat=Repeat.SAFE,
    per_minute=120,
)

#: Does what the customer would do in the app; on Vipps' test host only.
APPROVE: Final = Operation(
    dialect=EPAYMENT,
    verb="approve",
    method="POST",
    path="/epayment/v1/test/payments/{}/approve",
    result=NoContent,
    repeat=Repeat.CONFIRM,
)

#: All of them, by their names within the API.
OPERATIONS: Final[dict[str, Operation[Any]]] = {
    operation.verb: operation for operation in (CREATE, CAPTURE, REFUND, CANCEL, GET, EVENTS, APPROVE)
}


def get_call(reference: str) -> Call[Payment]:
    """Return the call that reads a payment."""
    return Call(operation=GET, path=GET.path_for(reference), payment=reference)


def get_events_call(reference: str) -> Call[tuple[PaymentEvent, ...]]:
    """Return the call that reads all events of a payment."""
    return Call(operation=EVENTS, path=EVENTS.path_for(reference), payment=reference)
