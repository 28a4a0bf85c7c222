"""Finds out from events and sums whether a create, capture, refund or cancel took effect."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar

from vipps_async.core.operation import (
    Applied,
    Evidence,
    Inconclusive,
    NotApplied,
    Reconciliation,
    SettledBy,
)
from vipps_async.epayment.enums import PaymentState
from vipps_async.epayment.errors import UNKNOWN_REFERENCE, has_code
from vipps_async.epayment.operations import AmountOperation, get_call, get_events_call
from vipps_async.epayment.responses import (
    Aggregate,
    CancelledPayment,
    CreatedPayment,
    MovedPayment,
    Payment,
    PaymentEvent,
    left_to_capture,
)
from vipps_async.errors import ApiError, OrderNotFoundError
from vipps_async.money import Money

R = TypeVar("R", bound=MovedPayment)
Events = tuple[PaymentEvent, ...]


def reconcile_create(reference: str, amount: Money) -> Reconciliation[CreatedPayment, Payment]:
    """Return how to find out whether a payment of this amount exists; its URL is found again while it waits."""
    return Reconciliation(
        lookup=get_call(reference),
        interpret=partial(_interpret_create, amount=amount),
        interpret_refusal=_interpret_refusal,
    )


def reconcile_money(
    operation: AmountOperation[R], reference: str, *, idempotency_key: str, amount: Money
) -> Reconciliation[R, Events]:
    """Return how to find out whether an operation that is given an amount took effect.

    Args:
        operation: which.
        reference: the payment.
        idempotency_key: the key that it was sent with.
        amount: its amount.
    """
    return Reconciliation(
        lookup=get_events_call(reference),
        interpret=partial(_interpret_by_key, operation=operation, idempotency_key=idempotency_key, amount=amount),
        interpret_refusal=_interpret_refusal,
    )


def reconcile_cancel(reference: str, *, cancel_transaction_only: bool) -> Reconciliation[CancelledPayment, Payment]:
    """Return how to find out whether a payment is cancelled. Its event has no key: state and sums tell."""
    return Reconciliation(
        lookup=get_call(reference),
        interpret=partial(_interpret_cancel, cancel_transaction_only=cancel_transaction_only),
        interpret_refusal=_interpret_refusal,
    )


def _interpret_refusal(error: ApiError) -> NotApplied | Inconclusive:
    """Read a refusal of the lookup: only Vipps' own word that the reference is unknown proves anything.

    A bare 404 may come from a gateway that has never asked.
    """
    if isinstance(error, OrderNotFoundError) and has_code(error.errors, UNKNOWN_REFERENCE):
        return NotApplied("Vipps does not know the payment")
    return Inconclusive(f"the lookup was refused with HTTP status {error.status}")


def _interpret_create(payment: Payment, *, amount: Money) -> Evidence[CreatedPayment]:
    if payment.amount != amount:
        # A reference is given once for ever, so this payment can never come into being under it.
        return NotApplied(f"the reference is a payment's over {payment.amount}, not {amount}", excluded=True)
    url = payment.redirect_url if payment.state == PaymentState.CREATED else None
    return Applied(CreatedPayment(reference=payment.reference, redirect_url=url, settled_by=SettledBy.HISTORY))


def _interpret_by_key(
    events: Events, *, operation: AmountOperation[R], idempotency_key: str, amount: Money
) -> Evidence[R]:
    if not events:
        return Inconclusive("the payment has no events")
    with_key = [event for event in events if event.idempotency_key == idempotency_key]
    # The acceptance repeats the key of the creation, and a capture and a refund may have the same: the name counts too.
    found = [event for event in with_key if event.name in operation.in_history]
    for event in found:
        if event.success:
            moved = event.amount
            result = operation.result(
                reference=event.reference,
                state=PaymentState.AUTHORIZED,
                aggregate=Aggregate.of(events, moved.currency),
                amount=moved,
                time=event.timestamp,
                settled_by=SettledBy.HISTORY,
            )
            misfit = "" if moved == amount else f"{amount} were asked for, and {moved} were moved"
            return Applied(result, misfit)
    if any(event.success and not event.name.known for event in with_key):
        return Inconclusive("an event of a kind that is not known here has this idempotency key")
    if any(
        event.success and event.name in operation.in_history and not event.idempotency_key and event.amount == amount
        for event in events
    ):
        return Inconclusive("an event of this kind and amount has no idempotency key, and may be this one")
    reason = "the events have this idempotency key with a failed operation only"
    return NotApplied(
        reason if found else "the events do not have this idempotency key",
        failed=len(found),
        excluded=_is_used_up(operation, Aggregate.of(events, amount.currency)),
    )


def _is_used_up(operation: AmountOperation[Any], sums: Aggregate) -> bool:
    """Whether others have taken all that the customer accepted, so that nothing of it can be moved any more.

    What a log that lags does not show is not taken in it: then something is left.
    """
    return sums.authorized_amount.value > 0 and not left_to_capture(sums) and not operation.left(sums)


def _interpret_cancel(payment: Payment, *, cancel_transaction_only: bool) -> Evidence[CancelledPayment]:
    state, left = payment.state, payment.remaining_to_capture
    # Whoever did it: cancelling again what is cancelled is no error.
    if payment.is_cancelled and not left:
        return Applied(_cancelled(payment))
    if payment.is_cancelled:
        return Inconclusive(f"something is cancelled, and {left} can still be captured")
    if not state.known:
        return Inconclusive("the payment is in a state that is not known here")
    is_accepted = state == PaymentState.AUTHORIZED
    # All states but the first are final, and so is a capture.
    for is_so, reason in (
        (state in {PaymentState.ABORTED, PaymentState.EXPIRED}, f"the payment ended as {state.value} before"),
        (is_accepted and cancel_transaction_only, "the customer has accepted, and this cancel leaves that alone"),
        (is_accepted and payment.captured_in_full, "all of the payment is captured"),
    ):
        if is_so:
            return NotApplied(reason, excluded=True)
    return NotApplied("nothing of the payment is cancelled")


def _cancelled(payment: Payment) -> CancelledPayment:
    return CancelledPayment(
        reference=payment.reference,
        state=payment.state,
        aggregate=payment.aggregate,
        psp_reference=payment.psp_reference,
        settled_by=SettledBy.HISTORY,
    )
