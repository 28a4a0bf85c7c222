"""Makes the calls of the eCom API: of a method, of a batch's row, or of an intent in the journal."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar

from vipps_async.core.operation import AuditInfo, Call
from vipps_async.core.payment_calls import adjusting_call, choose_key, has_flag, unknown_operation
from vipps_async.ecom.dialect import ECOM
from vipps_async.ecom.operations import CANCEL, INITIATE, OPERATIONS, EcomMoneyOperation
from vipps_async.ecom.reconcile import reconcile_cancel, reconcile_initiate, reconcile_money
from vipps_async.ecom.requests import (
    CancelPaymentActionRequest,
    CancelTransaction,
    InitiatePaymentCommand,
    MerchantInfoPayment,
    PaymentActionsRequest,
    Transaction,
)
from vipps_async.ecom.responses import CancelResult, InitiatedPayment
from vipps_async.input_rules import check_amount, check_flag, check_order_id, check_transaction_text
from vipps_async.journals.entries import Intent, KeyOrigin
from vipps_async.money import Money
from vipps_async.not_given import NOT_GIVEN, NotGiven

R = TypeVar("R")


def money_call(
    operation: EcomMoneyOperation[R],
    order_id: str,
    *,
    merchant: MerchantInfoPayment,
    transaction_text: str,
    amount: Money | int | NotGiven,
    idempotency_key: str | None,
    row_reference: str | None = None,
) -> Call[R]:
    """Make the call of an operation that is given an amount.

    Args:
        operation: CAPTURE or REFUND.
        order_id: the payment.
        merchant: the sales unit.
        transaction_text: what the customer reads.
        amount: Money in NOK or whole øre; left out: all that remains.
        idempotency_key: None: a new one is made.
        row_reference: what the batch's row calls itself, empty if it has no name; None: it is no row's.

    Raises:
        InvalidInputError: an argument breaks its rule.
    """
    check_order_id(order_id)
    sum_in_oere = None if amount is NOT_GIVEN else check_amount(amount)
    check_transaction_text(transaction_text)
    key, origin = choose_key(idempotency_key, row_reference, longest=ECOM.longest_key)
    return adjusting_call(
        operation,
        order_id,
        partial(reconcile_money, operation, order_id, idempotency_key=key, amount=sum_in_oere),
        AuditInfo(amount=sum_in_oere, currency="NOK", origin=origin, reference=row_reference or ""),
        key=key,
        body=PaymentActionsRequest(
            merchant_info=merchant,
            transaction=Transaction(amount=sum_in_oere, transaction_text=transaction_text),
        ),
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
    return adjusting_call(
        CANCEL,
        order_id,
        partial(reconcile_cancel, order_id, should_release_remaining_funds=should_release_remaining_funds),
        AuditInfo(
            amount=None,
            currency="NOK",
            # Vipps takes no key for a cancel: it is made by the journal, or stands for a row.
            origin=KeyOrigin.MADE if row_reference is None else KeyOrigin.ROW,
            reference=row_reference or "",
        ),
        body=CancelPaymentActionRequest(
            merchant_info=merchant,
            transaction=CancelTransaction(transaction_text=transaction_text),
            should_release_remaining_funds=should_release_remaining_funds or None,
        ),
        is_row=row_reference is not None,
    )


def initiate_call(
    order_id: str, *, amount: int | None, body: InitiatePaymentCommand | None = None, secrets: tuple[str, ...] = ()
) -> Call[InitiatedPayment]:
    """Make the call of an initiate, whose body and answer no journal keeps: they hold personal data and a token."""
    return Call(
        operation=INITIATE,
        path=INITIATE.path,
        payment=order_id,
        body=body,
        make_reconciliation=partial(reconcile_initiate, order_id),
        audit=AuditInfo(amount=amount, currency="NOK", keep_body=False, keep_answer=False),
        secrets=secrets,
    )


def rebuild_call(intent: Intent) -> Call[Any]:
    """Make the call that an intent was written for; its body is the intent's own bytes, not rendered anew.

    Raises:
        JournalError: the intent is of an operation that this version does not know.
    """
    order_id = intent.payment
    audit = AuditInfo(amount=intent.amount, currency=intent.currency, origin=intent.origin, reference=intent.reference)
    operation = OPERATIONS.get(intent.operation)
    if isinstance(operation, EcomMoneyOperation) and operation.has_amount:
        by_key = partial(reconcile_money, operation, order_id, idempotency_key=intent.key, amount=intent.amount)
        return adjusting_call(operation, order_id, by_key, audit, key=intent.key)
    if intent.operation == CANCEL.verb:
        release = has_flag(intent.body, "shouldReleaseRemainingFunds")
        by_state = partial(reconcile_cancel, order_id, should_release_remaining_funds=release)
        return adjusting_call(CANCEL, order_id, by_state, audit)
    if intent.operation == INITIATE.verb:
        return initiate_call(order_id, amount=intent.amount)
    raise unknown_operation(intent)
