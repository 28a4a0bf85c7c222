"""Tells from a payment's details what a row would do to it, without doing it."""

from __future__ import annotations

from vipps_async.batch.results import RowResult, done, failed
from vipps_async.batch.rows import BatchOperation, BatchRow
from vipps_async.ecom.details import PaymentDetails, TransactionLogEntry
from vipps_async.ecom.enums import OperationName, TransactionStatus
from vipps_async.ecom.operations import OPERATIONS
from vipps_async.ecom.responses import CancelResult, CaptureResult, RefundResult, TransactionInfo
from vipps_async.money import format_nok
from vipps_async.not_given import NotGiven

__all__ = ["foresee", "is_released", "sums"]

_CAPTURES = frozenset({OperationName.CAPTURE, OperationName.SALE})


def foresee(
    row: BatchRow,
    operation: BatchOperation,
    key: str,
    details: PaymentDetails,
    *,
    taken: int,
    should_release_remaining_funds: bool,
) -> RowResult:
    """Say what would become of a row.

    Args:
        row: the row.
        operation: what would be done.
        key: the row's idempotency key.
        details: what Vipps has on the order now.
        taken: øre that earlier rows of the same batch would take from the order.
        should_release_remaining_funds: whether a cancel releases what is left of a partly captured payment.
    """
    if operation is BatchOperation.CANCEL:
        return _cancel(row, key, details, rest_too=should_release_remaining_funds)
    capture = operation is BatchOperation.CAPTURE
    for entry in details.entries(key):
        if entry.operation_success and (entry.operation in _CAPTURES if capture else entry.operation == "REFUND"):
            return done(row, key, _moved(row, entry.amount, entry, capture=capture), before=True)
    left = (details.remaining_to_capture if capture else details.remaining_to_refund) - taken
    wanted = left if isinstance(row.amount, NotGiven) else row.amount
    if left <= 0 or wanted > left:
        return _refused(row, operation, key, details, taken)
    return done(row, key, _moved(row, wanted, None, capture=capture))


def _cancel(row: BatchRow, key: str, details: PaymentDetails, *, rest_too: bool) -> RowResult:
    result = CancelResult(order_id=row.order_id, transaction_summary=details.transaction_summary)
    may = rest_too or not details.is_captured
    if may and is_released(details):
        return done(row, key, result, before=True)
    if not may or (details.is_approved and not details.is_reserved):
        return _refused(row, BatchOperation.CANCEL, key, details, 0)
    return done(row, key, result)


def is_released(details: PaymentDetails) -> bool:
    """Whether a payment is cancelled, or what was not captured of it has been released."""
    if details.is_cancelled:
        return True
    return 0 < details.captured_amount < details.reserved_amount and details.remaining_to_capture == 0


def sums(details: PaymentDetails) -> str:
    """Say on one line what has happened to a payment."""
    parts = [
        f"reserved {format_nok(details.reserved_amount)}",
        f"captured {format_nok(details.captured_amount)}",
        f"refunded {format_nok(details.refunded_amount)}",
        f"left to capture {format_nok(details.remaining_to_capture)}",
    ]
    state = " It is cancelled." if is_released(details) else ""
    return f"Vipps has of this order: {', '.join(parts)}.{state}"


def _refused(row: BatchRow, operation: BatchOperation, key: str, details: PaymentDetails, taken: int) -> RowResult:
    earlier = f", of which earlier rows take {format_nok(taken)}" if taken else ""
    error = OPERATIONS[operation.value].error(
        f"it would be refused{earlier}",
        status=0,
        operation=OPERATIONS[operation.value].name,
        payment=row.order_id,
        idempotency_key=key,
        advice="see what Vipps has of the order",
    )
    return failed(row, key, error, remark=sums(details))


def _moved(
    row: BatchRow, amount: int, entry: TransactionLogEntry | None, *, capture: bool
) -> CaptureResult | RefundResult:
    transaction = TransactionInfo(
        amount=amount,
        status=TransactionStatus.CAPTURED if capture else TransactionStatus.REFUND,
        time_stamp=None if entry is None else entry.time_stamp,
        transaction_id=None if entry is None else entry.transaction_id,
    )
    if capture:
        return CaptureResult(order_id=row.order_id, transaction=transaction)
    return RefundResult(order_id=row.order_id, transaction=transaction)
