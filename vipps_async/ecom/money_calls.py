"""Makes the calls that capture, refund and cancel, of a method or of a batch's row, out of checked arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from vipps_async.core.operation import Call, Note, Operation, Verification
from vipps_async.ecom.operations import CANCEL, CAPTURE
from vipps_async.ecom.requests import (
    CancelPaymentActionRequest,
    CancelTransaction,
    MerchantInfoPayment,
    PaymentActionsRequest,
    Transaction,
)
from vipps_async.ecom.responses import CancelResult
from vipps_async.ecom.verification import verify_cancel, verify_capture, verify_refund
from vipps_async.idempotency_keys import new_idempotency_key
from vipps_async.input_rules import (
    check_amount,
    check_flag,
    check_idempotency_key,
    check_order_id,
    check_transaction_text,
)
from vipps_async.journals.protocol import KeyOrigin
from vipps_async.not_given import NOT_GIVEN, NotGiven

__all__ = ["cancel_call", "money_call"]


def money_call(
    operation: Operation[Any],
    order_id: str,
    *,
    merchant: MerchantInfoPayment,
    transaction_text: str,
    amount: int | NotGiven,
    idempotency_key: str | None,
    row_reference: str | None = None,
) -> Call[Any]:
    """Make the call of a capture or a refund.

    Args:
        operation: CAPTURE or REFUND.
        order_id: the payment.
        merchant: the sales unit.
        transaction_text: what the customer reads.
        amount: øre; left out: all that remains.
        idempotency_key: None: a new one is made.
        row_reference: what the batch's row calls itself, empty if it has no name; None: it is no row's.

    Raises:
        InvalidInputError: an argument breaks its rule.
    """
    check_order_id(order_id)
    sum_in_oere = None if amount is NOT_GIVEN else check_amount(amount)
    check_transaction_text(transaction_text)
    if idempotency_key is None:
        key, origin = new_idempotency_key(), KeyOrigin.MADE
    else:
        key = check_idempotency_key(idempotency_key)
        origin = KeyOrigin.GIVEN if row_reference is None else KeyOrigin.ROW
    verify: Callable[..., Verification[Any, Any]] = verify_capture if operation is CAPTURE else verify_refund
    return Call(
        operation=operation,
        path=operation.path_for(order_id),
        payment=order_id,
        body=PaymentActionsRequest(
            merchant_info=merchant,
            transaction=Transaction(amount=sum_in_oere, transaction_text=transaction_text),
        ),
        idempotency_key=key,
        make_verification=partial(verify, order_id, idempotency_key=key, amount=sum_in_oere),
        note=Note(amount=sum_in_oere, origin=origin, reference=row_reference or ""),
        is_row=row_reference is not None,
    )


def cancel_call(
    order_id: str,
    *,
    merchant: MerchantInfoPayment,
    transaction_text: str,
    should_release_remaining_funds: bool,
    row_reference: str | None = None,
) -> Call[CancelResult]:
    """Make the call of a cancel; see `money_call`.

    Raises:
        InvalidInputError: an argument breaks its rule.
    """
    check_order_id(order_id)
    check_transaction_text(transaction_text)
    check_flag("should_release_remaining_funds", should_release_remaining_funds)
    return Call(
        operation=CANCEL,
        path=CANCEL.path_for(order_id),
        payment=order_id,
        body=CancelPaymentActionRequest(
            merchant_info=merchant,
            transaction=CancelTransaction(transaction_text=transaction_text),
            should_release_remaining_funds=should_release_remaining_funds or None,
        ),
        make_verification=partial(
            verify_cancel, order_id, should_release_remaining_funds=should_release_remaining_funds
        ),
        note=Note(
            amount=None,
            # Vipps takes no key for a cancel: it is made by the journal, or stands for a row.
            origin=KeyOrigin.MADE if row_reference is None else KeyOrigin.ROW,
            reference=row_reference or "",
        ),
        is_row=row_reference is not None,
    )
