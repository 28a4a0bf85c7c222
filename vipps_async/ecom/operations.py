"""The operations of the eCom API as values: path, answer, how each may be repeated, and how often Vipps takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from attrs import frozen

from vipps_async.core.operation import Call, MoneyOperation, NoContent, Operation, Repeat
from vipps_async.core.unread_fields import note_unknown_word
from vipps_async.ecom.details import PaymentDetails
from vipps_async.ecom.dialect import ECOM
from vipps_async.ecom.enums import CAPTURES, REFUNDS, RELEASES, TransactionStatus
from vipps_async.ecom.responses import (
    CancelResult,
    CaptureResult,
    InitiatedPayment,
    PaymentStatus,
    RefundResult,
    TransactionSummary,
)
from vipps_async.errors import CancelError, CaptureError, PaymentRefusedError, RefundError
from vipps_async.money import format_nok

R = TypeVar("R")

_PAYMENTS = "/ecomm/v2/payments"


@frozen(kw_only=True)
class EcomMoneyOperation(MoneyOperation[R]):
    """Capture, cancel and refund: all that is told of one of them alone stands in its value below."""

    #: The state that an answer of success names.
    status: TransactionStatus


# The limits are Vipps' own, for one order and merchant serial number (API guide, rate limiting).


def _without_url(_call: Call[InitiatedPayment], payment: InitiatedPayment) -> str | None:
    return None if payment.url else "it has no URL to send the customer to"


#: What the answers to capture, refund and cancel say, in their own words and in those of the history. Any other word
#: that is known names another state than was asked for; one that is not known may be a new word for the same.
_CAPTURED = frozenset({"captured", "capture", "sale"})
_REFUNDED = frozenset({"refund", "refunded"})
_CANCELLED = frozenset({"cancelled", "canceled", "cancel", "void", "voided"})
_OTHER_WORDS = frozenset(
    {"failed", "failure", "fail", "rejected", "reject", "declined", "denied", "error", "expired", "pending"}
    | {"initiate", "initiated", "register", "registered", "reserve", "reserved", "reserve_failed", "sale_failed"}
)
_WORDS = _CAPTURED | _REFUNDED | _CANCELLED | _OTHER_WORDS


def _misfit(
    wanted: frozenset[str], moved: Callable[[TransactionSummary], int] | None
) -> Callable[[Call[Any], Any], str | None]:
    """Return what holds an answer against its call: transaction, amount, status and sums.

    An unknown word for the status fits where the rest does; it is counted and logged.

    Args:
        wanted: the words for the state that was asked for.
        moved: what the operation has moved in all, by the payment's sums; None: it moves nothing and leaves nothing to
            capture (API guide, cancelling after a partial capture). Sums that say so stand for the transaction.
    """

    def misfit(call: Call[Any], result: CaptureResult | RefundResult | CancelResult) -> str | None:
        transaction, sums = result.transaction, result.transaction_summary
        if moved is None and sums is not None and sums.remaining_amount_to_capture > 0:
            return f"it says that {sums.remaining_amount_to_capture} øre can still be captured"
        if transaction is None:
            return None if sums is not None else "it has no transaction"
        status = transaction.status.value.casefold()
        if status in _WORDS and status not in wanted:
            return f"it says {transaction.status.value!r}"
        asked = None if call.audit is None else call.audit.amount
        if asked is not None and transaction.amount != asked:
            return f"{format_nok(asked)} were asked for, and it says {format_nok(transaction.amount)}"
        # Where all that remains was asked for, the sums bound what this can have been.
        if moved is not None and sums is not None and not 0 < transaction.amount <= moved(sums):
            return f"it says {transaction.amount} øre, and {moved(sums)} in all"
        if status not in _WORDS:
            note_unknown_word(call, f"{type(result).__name__}.status", transaction.status.value)
        return None

    return misfit


#: Not idempotent: a second one with the same order id answers error 34.
INITIATE: Final = Operation(
    dialect=ECOM,
    verb="initiate",
    method="POST",
    path=_PAYMENTS,
    result=InitiatedPayment,
    repeat=Repeat.ONCE,
    adjusts=False,
    error=PaymentRefusedError,
    per_minute=2,
    misfit=_without_url,
)

#: Idempotent by its key.
CAPTURE: Final = EcomMoneyOperation(
    dialect=ECOM,
    verb="capture",
    method="POST",
    path=_PAYMENTS + "/{}/capture",
    result=CaptureResult,
    repeat=Repeat.KEYED,
    error=CaptureError,
    per_minute=5,
    misfit=_misfit(_CAPTURED, lambda sums: sums.captured_amount),
    in_history=CAPTURES,
    status=TransactionStatus.CAPTURED,
)

#: Takes no key; a second one is refused, and the history tells whether the first took effect.
CANCEL: Final = EcomMoneyOperation(
    dialect=ECOM,
    verb="cancel",
    method="PUT",
    path=_PAYMENTS + "/{}/cancel",
    result=CancelResult,
    repeat=Repeat.CONFIRM,
    error=CancelError,
    per_minute=5,
    misfit=_misfit(_CANCELLED, None),
    in_history=RELEASES,
    has_amount=False,
    status=TransactionStatus.CANCELLED,
)

#: Idempotent by its key.
REFUND: Final = EcomMoneyOperation(
    dialect=ECOM,
    verb="refund",
    method="POST",
    path=_PAYMENTS + "/{}/refund",
    result=RefundResult,
    repeat=Repeat.KEYED,
    error=RefundError,
    per_minute=5,
    misfit=_misfit(_REFUNDED, lambda sums: sums.refunded_amount),
    in_history=REFUNDS,
    status=TransactionStatus.REFUND,
)

#: A read; one needs no more than this.
DETAILS: Final = Operation(
    dialect=ECOM,
    verb="details",
    method="GET",
    path=_PAYMENTS + "/{}/details",
    result=PaymentDetails,
    repeat=Repeat.SAFE,
    per_minute=120,
)

#: A read that Vipps has deprecated.
STATUS: Final = Operation(
    dialect=ECOM,
    verb="status",
    method="GET",
    path=_PAYMENTS + "/{}/status",
    result=PaymentStatus,
    repeat=Repeat.SAFE,
    per_minute=120,
)

#: Does what the customer would do in the app; on Vipps' test host only. Idempotent by its key.
APPROVE: Final = Operation(
    dialect=ECOM,
    verb="approve",
    method="POST",
    path="/ecomm/v2/integration-test/payments/{}/approve",
    result=NoContent,
    repeat=Repeat.KEYED,
)

#: All of them, by their names within the API.
OPERATIONS: Final[dict[str, Operation[Any]]] = {
    operation.verb: operation for operation in (INITIATE, CAPTURE, CANCEL, REFUND, DETAILS, STATUS, APPROVE)
}


def ask_details(order_id: str) -> Call[PaymentDetails]:
    """Return the call that reads a payment with its whole history."""
    return Call(operation=DETAILS, path=DETAILS.path_for(order_id), payment=order_id)
