"""The operations of the ePayment API as values: path, answer, how each may be repeated, how often Vipps takes it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from attrs import evolve, frozen

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
    MovedPayment,
    Payment,
    PaymentEvent,
    RefundedPayment,
    left_to_capture,
    left_to_refund,
    raised_by,
)
from vipps_async.errors import ApiError, CancelError, CaptureError, PaymentRefusedError, RefundError
from vipps_async.money import Money

R = TypeVar("R", bound=MovedPayment)

_PAYMENTS: Final = "/epayment/v1/payments"

# The limits are Vipps' own, for one reference and merchant serial number (API guide, rate limiting).


@frozen(kw_only=True)
class AmountOperation(MoneyOperation[R]):
    """An operation that is given an amount, and a key by which it is idempotent."""

    #: What it can still move, by a payment's sums.
    left: Callable[[Aggregate], Money]


def _without_url(call: Call[CreatedPayment], payment: CreatedPayment) -> str | None:
    body = call.body
    # A journal's record has no reference, a call that was made again from one no body: `get` has the URL.
    if not payment.reference or payment.redirect_url or not isinstance(body, CreatePaymentRequest):
        return None
    if body.user_flow is UserFlow.PUSH_MESSAGE:
        return None
    return "it has no URL to send the customer to"


def _misfit(event: EventName, call: Call[R], result: R) -> str | None:
    # By the sums: a status of 200 is no proof alone.
    asked, in_all = call.audit, raised_by(event, result.aggregate)
    if asked is None or asked.amount is None:
        return None
    if asked.currency == result.amount.currency == in_all.currency and asked.amount <= in_all.value:
        return None
    return f"{Money(asked.amount, asked.currency)} were asked for, and it says {in_all} in all of {result.amount}"


def _unproven(event: EventName, left: Callable[[Aggregate], Money], call: Call[R], result: R) -> str | None:
    # The sums prove what has moved all that there was to move. Those of a part may come from other parts.
    asked, in_all = call.audit, raised_by(event, result.aggregate)
    if asked is None or asked.amount is None or (asked.amount == in_all.value and not left(result.aggregate)):
        return None
    amount = Money(asked.amount, asked.currency)
    return f"{amount} were asked for, and the {in_all} in all that it says may come from other calls"


def _complete(call: Call[R], result: R) -> R:
    # Whether an answer's amount is the operation's or the payment's is not published. That no less was moved than was
    # asked for has been seen by the sums.
    asked, told = call.audit, result.amount
    if asked is None or asked.amount is None or (told.value, told.currency) == (asked.amount, asked.currency):
        return result
    return evolve(result, amount=Money(asked.amount, asked.currency))


def _with_amount(
    verb: str, result: type[R], error: type[ApiError], event: EventName, left: Callable[[Aggregate], Money]
) -> AmountOperation[R]:
    """Return an operation that is given an amount.

    Args:
        verb: its name, also in its path.
        result: what its answer is read into.
        error: the class of its errors.
        event: what tells of it, and raises a sum (`SUMS`).
        left: what it can still move, by a payment's sums.
    """
    return AmountOperation(
        dialect=EPAYMENT,
        verb=verb,
        method="POST",
        path=f"{_PAYMENTS}/{{}}/{verb}",
        result=result,
        repeat=Repeat.KEYED,
        error=error,
        per_minute=5,
        misfit=partial(_misfit, event),
        unproven=partial(_unproven, event, left),
        complete=_complete,
        in_history=frozenset({event}),
        left=left,
    )


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

CAPTURE: Final = _with_amount("capture", CapturedPayment, CaptureError, EventName.CAPTURED, left_to_capture)
REFUND: Final = _with_amount("refund", RefundedPayment, RefundError, EventName.REFUNDED, left_to_refund)

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
