"""What the eCom API has of its own for batches: fields and headings, how a row becomes a call, and what it would do."""

from __future__ import annotations

from typing import Any, Final

from vipps_async.core.batch import BatchApi, BatchOperation, DryRun, Moved, RowCommand, Unit
from vipps_async.core.operation import Call, Operation
from vipps_async.ecom.calls import cancel_call, money_call
from vipps_async.ecom.details import PaymentDetails
from vipps_async.ecom.dialect import ECOM
from vipps_async.ecom.enums import OperationName
from vipps_async.ecom.operations import CANCEL, CAPTURE, DETAILS, REFUND, ask_details
from vipps_async.ecom.requests import MerchantInfoPayment
from vipps_async.ecom.responses import CancelResult, CaptureResult, RefundResult
from vipps_async.input_rules import check_order_id, check_transaction_text
from vipps_async.money import LARGEST_AMOUNT, MINIMUM_AMOUNT, format_nok

__all__ = ["ECOM_BATCH"]

_OPERATIONS: Final[dict[BatchOperation, Operation[Any]]] = {
    BatchOperation.CAPTURE: CAPTURE,
    BatchOperation.REFUND: REFUND,
    BatchOperation.CANCEL: CANCEL,
}
#: What the history calls each of them. A sales unit with direct capture has SALE in place of RESERVE and CAPTURE.
_IN_HISTORY: Final = {
    BatchOperation.CAPTURE: frozenset({OperationName.CAPTURE, OperationName.SALE}),
    BatchOperation.REFUND: frozenset({OperationName.REFUND}),
}


def _call(command: RowCommand) -> Call[Any]:
    row = command.row
    merchant = MerchantInfoPayment(merchant_serial_number=command.merchant_serial_number)
    # The journal notes the row's reference (empty: it has none): what a row may repeat is told by it.
    reference = row.reference or ""
    if command.operation is BatchOperation.CANCEL:
        return cancel_call(
            row.payment,
            merchant=merchant,
            transaction_text=row.text,
            should_release_remaining_funds=command.release_remaining,
            row_reference=reference,
        )
    return money_call(
        _OPERATIONS[command.operation],
        row.payment,
        merchant=merchant,
        transaction_text=row.text,
        amount=row.amount,
        idempotency_key=command.key,
        row_reference=reference,
    )


def _moved(result: CaptureResult | RefundResult | CancelResult) -> Moved:
    transaction = result.transaction
    if transaction is None:
        return Moved()
    return Moved(amount=transaction.amount, time=transaction.time_stamp)


def _dry_run(command: RowCommand, details: PaymentDetails, planned: int) -> DryRun:
    if command.operation is BatchOperation.CANCEL:
        may = command.release_remaining or not details.is_captured
        if may and _is_released(details):
            return DryRun(is_done=True)
        return DryRun(is_refused=not may or (details.is_approved and not details.is_reserved))
    for entry in details.entries(command.key):
        if entry.operation_success and entry.operation in _IN_HISTORY[command.operation]:
            return DryRun(is_done=True, moved=Moved(amount=entry.amount, time=entry.time_stamp))
    capture = command.operation is BatchOperation.CAPTURE
    left = (details.remaining_to_capture if capture else details.remaining_to_refund) - planned
    asked = command.row.minor_units
    wanted = left if asked is None else asked
    if left <= 0 or wanted > left:
        return DryRun(is_refused=True)
    return DryRun(moved=Moved(amount=wanted))


def _is_released(details: PaymentDetails) -> bool:
    if details.is_cancelled:
        return True
    return 0 < details.captured_amount < details.reserved_amount and details.remaining_to_capture == 0


def _describe(details: PaymentDetails) -> str:
    parts = [
        f"reserved {format_nok(details.reserved_amount)}",
        f"captured {format_nok(details.captured_amount)}",
        f"refunded {format_nok(details.refunded_amount)}",
        f"left to capture {format_nok(details.remaining_to_capture)}",
    ]
    state = " It is cancelled." if _is_released(details) else ""
    return f"Vipps has of this order: {', '.join(parts)}.{state}"


ECOM_BATCH: Final = BatchApi(
    dialect=ECOM,
    payment_heading="order_id",
    text_heading="transaction_text",
    currency="NOK",
    units=(Unit(name="ore", word="øre", decimals=0), Unit(name="nok", word="kroner", decimals=2)),
    least=MINIMUM_AMOUNT,
    largest=LARGEST_AMOUNT,
    check_payment=check_order_id,
    check_text=check_transaction_text,
    operations=_OPERATIONS,
    make_call=_call,
    moved=_moved,
    read_state=lambda runner, order_id: runner.run(ask_details(order_id)),
    read=DETAILS,
    dry_run=_dry_run,
    is_released=_is_released,
    describe=_describe,
)
