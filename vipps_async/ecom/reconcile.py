"""Finds out from details whether an initiate, capture, cancel or refund took effect."""

from __future__ import annotations

from functools import partial
from typing import TypeVar, cast

from vipps_async.core.operation import Applied, Evidence, Inconclusive, NotApplied, Reconciliation, SettledBy
from vipps_async.ecom.details import PaymentDetails, TransactionLogEntry
from vipps_async.ecom.enums import TransactionStatus
from vipps_async.ecom.errors import UNKNOWN_ORDER, has_code
from vipps_async.ecom.operations import CANCEL, EcomMoneyOperation, ask_details
from vipps_async.ecom.responses import CancelResult, CaptureResult, InitiatedPayment, RefundResult, TransactionInfo
from vipps_async.errors import ApiError, OrderNotFoundError
from vipps_async.money import format_nok

R = TypeVar("R")


def reconcile_initiate(order_id: str) -> Reconciliation[InitiatedPayment, PaymentDetails]:
    """Return how to find out whether a payment exists. Its URL cannot be found again: the result's is empty."""
    return Reconciliation(
        lookup=ask_details(order_id),
        interpret=partial(_interpret_initiate, order_id=order_id),
        interpret_refusal=_interpret_refusal,
    )


def reconcile_money(
    operation: EcomMoneyOperation[R], order_id: str, *, idempotency_key: str, amount: int | None
) -> Reconciliation[R, PaymentDetails]:
    """Return how to find out whether an operation that is given an amount took effect.

    Args:
        operation: CAPTURE or REFUND.
        order_id: the order.
        idempotency_key: the key that it was sent with.
        amount: its amount in øre; None if it asked for all that remained.
    """
    return Reconciliation(
        lookup=ask_details(order_id),
        interpret=partial(
            _interpret_by_key, operation=operation, order_id=order_id, idempotency_key=idempotency_key, amount=amount
        ),
        interpret_refusal=_interpret_refusal,
    )


def reconcile_cancel(
    order_id: str, *, should_release_remaining_funds: bool
) -> Reconciliation[CancelResult, PaymentDetails]:
    """Return how to find out whether a payment is cancelled, or the rest of it released."""
    return Reconciliation(
        lookup=ask_details(order_id),
        interpret=partial(
            _interpret_cancel, order_id=order_id, should_release_remaining_funds=should_release_remaining_funds
        ),
        interpret_refusal=_interpret_refusal,
    )


def _interpret_refusal(error: ApiError) -> NotApplied | Inconclusive:
    """Interpret an error of details: only Vipps' own error for an unknown order proves that there is none.

    A bare 404 may come from a gateway that has not reached Vipps.
    """
    if isinstance(error, OrderNotFoundError) and has_code(error.errors, UNKNOWN_ORDER):
        return NotApplied("Vipps does not know the order")
    return Inconclusive(f"details was refused with HTTP status {error.status}")


def _unusable(details: PaymentDetails, order_id: str) -> Inconclusive | None:
    if details.order_id is not None and details.order_id != order_id:
        return Inconclusive("details answered about another order")
    if not details.transaction_log_history:
        return Inconclusive("details answered without a history")
    return None


def _interpret_initiate(details: PaymentDetails, *, order_id: str) -> Evidence[InitiatedPayment]:
    if details.order_id is not None and details.order_id != order_id:
        return Inconclusive("details answered about another order")
    return Applied(InitiatedPayment(order_id=order_id, url=""))


def _interpret_by_key(
    details: PaymentDetails,
    *,
    operation: EcomMoneyOperation[R],
    order_id: str,
    idempotency_key: str,
    amount: int | None,
) -> Evidence[R]:
    found = _unusable(details, order_id) or _look_for(details, idempotency_key, amount, operation.in_history)
    if not isinstance(found, TransactionLogEntry):
        return found
    moved = found.amount
    misfit = ""
    if amount is not None and moved != amount:
        misfit = f"{format_nok(amount)} were asked for, and {format_nok(moved)} were moved"
    result = cast("type[CaptureResult | RefundResult]", operation.result)(
        order_id=order_id,
        transaction=_transaction(found, operation.status),
        transaction_summary=details.transaction_summary,
        settled_by=SettledBy.HISTORY,
    )
    return Applied(cast("R", result), misfit)


def _look_for(
    details: PaymentDetails, idempotency_key: str, amount: int | None, operations: frozenset[str]
) -> TransactionLogEntry | NotApplied | Inconclusive:
    with_key = details.entries(idempotency_key)
    # Vipps keeps keys apart by operation, so an entry of a capture says nothing about a refund with the same key.
    found = [entry for entry in with_key if entry.operation in operations]
    succeeded = next((entry for entry in found if entry.operation_success), None)
    if succeeded is not None:
        return succeeded
    if any(entry.operation_success and not entry.operation.known for entry in with_key):
        return Inconclusive("the history has this idempotency key with an operation of a kind that is not known here")
    if any(
        entry.operation_success
        and entry.operation in operations
        and not entry.request_id
        and amount in {None, entry.amount}
        for entry in details.transaction_log_history
    ):
        return Inconclusive("the history has such an operation without an idempotency key, which may be this one")
    if found:
        return NotApplied("the history has this idempotency key with a failed operation only", failed=len(found))
    return NotApplied("the history does not have this idempotency key")


def _interpret_cancel(
    details: PaymentDetails, *, order_id: str, should_release_remaining_funds: bool
) -> Evidence[CancelResult]:
    unusable = _unusable(details, order_id)
    if unusable is not None:
        return unusable
    history = details.transaction_log_history
    # Whoever did it: cancelling again what is cancelled, or the rest of which is released, is no error.
    for entry in history:
        if entry.operation_success and entry.operation in CANCEL.in_history:
            return Applied(_cancelled(order_id, details, _transaction(entry, CANCEL.status)))
    summary = details.transaction_summary
    if (
        summary is not None
        and summary.remaining_amount_to_capture == 0
        and 0 < summary.captured_amount < details.reserved_amount
    ):
        # Less was captured than reserved, and nothing is left: the rest has been released.
        released = details.reserved_amount - summary.captured_amount
        transaction = TransactionInfo(amount=released, status=CANCEL.status)
        return Applied(_cancelled(order_id, details, transaction))
    if any(entry.operation_success and not entry.operation.known for entry in history):
        return Inconclusive("the history has an operation of a kind that is not known here")
    if details.is_captured and not should_release_remaining_funds:
        # Such a cancel is refused (error 51), and what is captured stays so; after a cancel nothing can be captured.
        return NotApplied("something is captured, and this cancel did not ask to release the rest", excluded=True)
    return NotApplied("the history has no successful cancel")


def _cancelled(order_id: str, details: PaymentDetails, transaction: TransactionInfo | None) -> CancelResult:
    sums = details.transaction_summary
    return CancelResult(
        order_id=order_id,
        transaction=transaction,
        # Sums by which something can still be captured are older than the cancel in the history.
        transaction_summary=None if sums is not None and sums.remaining_amount_to_capture > 0 else sums,
        settled_by=SettledBy.HISTORY,
    )


def _transaction(entry: TransactionLogEntry, status: TransactionStatus) -> TransactionInfo:
    return TransactionInfo(
        amount=entry.amount,
        status=status,
        time_stamp=entry.time_stamp,
        transaction_id=entry.transaction_id,
        transaction_text=entry.transaction_text,
    )
