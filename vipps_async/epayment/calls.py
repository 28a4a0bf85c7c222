"""Makes the calls of the ePayment API: of a method, of a batch's row, or of an intent in the journal."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, TypeVar

from attrs import evolve

from vipps_async.core.operation import AuditInfo, Call, Repeat
from vipps_async.core.payment_calls import adjusting_call, choose_key, has_flag, unknown_operation
from vipps_async.epayment.dialect import EPAYMENT
from vipps_async.epayment.operations import CANCEL, CREATE, OPERATIONS, AmountOperation
from vipps_async.epayment.reconcile import reconcile_cancel, reconcile_create, reconcile_money
from vipps_async.epayment.request_bodies import CreatePaymentRequest
from vipps_async.epayment.requests import cancel_request, modification_request
from vipps_async.epayment.responses import CancelledPayment, CreatedPayment, MovedPayment
from vipps_async.input_rules import check_reference
from vipps_async.journals.entries import Intent, KeyOrigin
from vipps_async.money import Money

R = TypeVar("R", bound=MovedPayment)

#: ISO 4217's code for no currency: a cancel names none.
_NO_CURRENCY: Final = "XXX"
#: A creation as recovery has it. Its body is kept nowhere, so it can be looked up and never sent again.
_CREATED_BEFORE: Final = evolve(CREATE, repeat=Repeat.ONCE)
_choose_key = partial(choose_key, longest=EPAYMENT.longest_key)


def create_call(body: CreatePaymentRequest, *, idempotency_key: str | None) -> Call[CreatedPayment]:
    """Make the call of a create, whose body and answer no journal keeps: they hold personal data and a token.

    Args:
        body: what is sent.
        idempotency_key: None: a new one is made.

    Raises:
        InvalidInputError: the key breaks its rule.
    """
    return Call(
        operation=CREATE,
        path=CREATE.path,
        payment=body.reference,
        body=body,
        idempotency_key=_choose_key(idempotency_key, None)[0],
        make_reconciliation=partial(reconcile_create, body.reference, body.amount),
        audit=_audit_of_create(body.amount),
        secrets=body.secrets,
    )


def money_call(
    operation: AmountOperation[R],
    reference: str,
    *,
    amount: Money,
    idempotency_key: str | None,
    row_reference: str | None = None,
) -> Call[R]:
    """Make the call of an operation that is given an amount.

    Args:
        operation: which.
        reference: the payment.
        amount: how much.
        idempotency_key: None: a new one is made.
        row_reference: what the batch's row calls itself, empty if it has no name; None: it is no row's.

    Raises:
        InvalidInputError: an argument breaks its rule.
    """
    check_reference(reference)
    body = modification_request(amount)
    key, origin = _choose_key(idempotency_key, row_reference)
    return adjusting_call(
        operation,
        reference,
        partial(reconcile_money, operation, reference, idempotency_key=key, amount=amount),
        AuditInfo(amount=amount.value, currency=amount.currency, origin=origin, reference=row_reference or ""),
        key=key,
        body=body,
        is_row=row_reference is not None,
    )


def cancel_call(
    reference: str,
    *,
    cancel_transaction_only: bool,
    idempotency_key: str | None = None,
    row_reference: str | None = None,
) -> Call[CancelledPayment]:
    """Make the call of a cancel; see `money_call`.

    Raises:
        InvalidInputError: an argument breaks its rule.
    """
    check_reference(reference)
    key, origin = _choose_key(idempotency_key, row_reference)
    return adjusting_call(
        CANCEL,
        reference,
        partial(reconcile_cancel, reference, cancel_transaction_only=cancel_transaction_only),
        AuditInfo(amount=None, currency=_NO_CURRENCY, origin=origin, reference=row_reference or ""),
        key=key,
        body=cancel_request(cancel_transaction_only=cancel_transaction_only),
        is_row=row_reference is not None,
    )


def rebuild_call(intent: Intent) -> Call[Any]:
    """Make the call that an intent was written for; its body is the intent's own bytes, not rendered anew.

    Raises:
        JournalError: the intent is of an operation that this version does not know.
    """
    reference, key = intent.payment, intent.key
    audit = AuditInfo(amount=intent.amount, currency=intent.currency, origin=intent.origin, reference=intent.reference)
    if intent.operation == CANCEL.verb:
        only_unaccepted = has_flag(intent.body, "cancelTransactionOnly")
        by_state = partial(reconcile_cancel, reference, cancel_transaction_only=only_unaccepted)
        return adjusting_call(CANCEL, reference, by_state, audit, key=key)
    # Each of the others has an amount, whatever a damaged row says.
    operation = OPERATIONS.get(intent.operation)
    if intent.amount is not None and isinstance(operation, AmountOperation):
        amount = Money(intent.amount, intent.currency)
        by_key = partial(reconcile_money, operation, reference, idempotency_key=key, amount=amount)
        return adjusting_call(operation, reference, by_key, audit, key=key)
    if intent.amount is not None and operation is CREATE:
        amount = Money(intent.amount, intent.currency)
        return Call(
            operation=_CREATED_BEFORE,
            path=CREATE.path,
            payment=reference,
            idempotency_key=key,
            make_reconciliation=partial(reconcile_create, reference, amount),
            audit=_audit_of_create(amount),
        )
    raise unknown_operation(intent)


def _audit_of_create(amount: Money) -> AuditInfo:
    # GIVEN whoever made the key. An open creation whose body is not kept cannot be gone on with by an equal call, which
    # needs no protection either: the reference is taken once for ever, and the payment under it is looked at.
    return AuditInfo(
        amount=amount.value, currency=amount.currency, keep_body=False, keep_answer=False, origin=KeyOrigin.GIVEN
    )
