"""What events and sums prove about an operation whose answer got lost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.epayment.payments import aggregate, event, events, payment
from tests.support.rows import each_row
from vipps_async import (
    ApiError,
    CancelledPayment,
    CapturedPayment,
    CreatedPayment,
    ErrorInfo,
    OrderNotFoundError,
    RefundedPayment,
    SettledBy,
    eur,
    nok,
)
from vipps_async.core.operation import Applied, Evidence, Inconclusive, NotApplied, Reconciliation, Repeat
from vipps_async.epayment.operations import CANCEL, CAPTURE, REFUND
from vipps_async.epayment.reconcile import reconcile_cancel, reconcile_create, reconcile_money

ORDER = "acme-order-1"
CREATED, AUTHORIZED = event("CREATED", key="c"), event("AUTHORIZED", key="c")
ALL: dict[str, Reconciliation[Any, Any]] = {
    f"/epayment/v1/payments/{ORDER}": reconcile_create(ORDER, nok(499)),
    f"/epayment/v1/payments/{ORDER}/events": reconcile_money(CAPTURE, ORDER, idempotency_key="k", amount=nok(100)),
}


def capture(*found: Any) -> Evidence[CapturedPayment]:
    """Interpret a capture of 100 NOK with the key k."""
    reconciliation = reconcile_money(CAPTURE, ORDER, idempotency_key="k", amount=nok(100))
    return reconciliation.interpret(events(*found))


def refund(*found: Any) -> Evidence[RefundedPayment]:
    """Interpret a refund of 100 NOK with the key k."""
    reconciliation = reconcile_money(REFUND, ORDER, idempotency_key="k", amount=nok(100))
    return reconciliation.interpret(events(*found))


def cancel(state: str, sums: Any = None, *, only: bool = False, **fields: Any) -> Evidence[CancelledPayment]:
    """Interpret a cancel."""
    return reconcile_cancel(ORDER, cancel_transaction_only=only).interpret(payment(state, sums=sums, **fields))


@pytest.mark.parametrize("path", ALL)
def test_each_is_looked_up_by_a_read(path: str) -> None:
    """A create and a cancel by the payment, money by its events."""
    call = ALL[path].lookup
    assert (call.path, call.payment, call.operation.repeat) == (path, ORDER, Repeat.SAFE)
    assert reconcile_cancel(ORDER, cancel_transaction_only=False).lookup.operation.verb == "get"


def test_a_capture_that_is_among_the_events() -> None:
    """Name, key and success prove it; the result has amount, sums and what it rests on."""
    found = capture(CREATED, AUTHORIZED, event("CAPTURED", 20000, "other"), event("CAPTURED", 10000, "k"))
    assert isinstance(found, Applied)
    result = found.result
    assert (result.reference, result.amount, result.settled_by, result.state) == (
        ORDER,
        nok(100),
        SettledBy.HISTORY,
        "AUTHORIZED",
    )
    assert (result.aggregate.authorized_amount, result.aggregate.captured_amount) == (nok(499), nok(300))
    assert result.remaining_to_capture == nok(199)
    assert not found.misfit
    assert CAPTURE.misfit is not None


def test_a_refund_that_is_among_the_events() -> None:
    """It has the name of a refund, though a capture has the same key."""
    found = refund(AUTHORIZED, event("CAPTURED", 10000, "k"), event("REFUNDED", 10000, "k"))
    assert isinstance(found, Applied)
    assert (found.result.amount, found.result.remaining_to_refund) == (nok(100), nok(0))


@pytest.mark.parametrize("name", ["AUTHORIZED", "REFUNDED", "CANCELLED", "CREATED"])
def test_a_key_under_another_name_proves_nothing(name: str) -> None:
    """An acceptance repeats the key of the creation, and a capture may have a refund's."""
    assert capture(CREATED, event(name, 10000, "k")) == NotApplied("the events do not have this idempotency key")


def test_a_failed_event_is_the_end_of_one_attempt() -> None:
    """Each one counts; a success under the key outranks them, in whichever order they come."""
    failed, done = event("CAPTURED", 10000, "k", success=False), event("CAPTURED", 10000, "k")
    found = capture(AUTHORIZED, failed, failed)
    assert isinstance(found, NotApplied)
    assert (found.failed, found.excluded) == (2, False)
    assert isinstance(capture(failed, done), Applied)
    assert isinstance(capture(done, failed), Applied)


@pytest.mark.parametrize(("amount", "said"), [({"value": 9999}, "99.99 NOK"), ({"currency": "EUR"}, "100.00 EUR")])
def test_another_sum_under_the_key(amount: dict[str, Any], said: str) -> None:
    """It took effect, but not as asked for: both sums are named, and the result is what was moved."""
    done = event("CAPTURED", 10000, "k")
    found = capture(AUTHORIZED, done | {"amount": done["amount"] | amount})
    assert isinstance(found, Applied)
    assert found.misfit == f"100.00 NOK were asked for, and {said} were moved"
    assert str(found.result.amount) == said


def test_an_unknown_event_with_the_key_decides_nothing() -> None:
    """Vipps may give a capture a new name; a failed one, or one with another key, is none of ours."""
    assert isinstance(capture(AUTHORIZED, event("PART_CAPTURED", 10000, "k")), Inconclusive)
    assert isinstance(capture(AUTHORIZED, event("PART_CAPTURED", 10000, "k", success=False)), NotApplied)
    assert isinstance(capture(AUTHORIZED, event("PART_CAPTURED", 10000, "other")), NotApplied)


@pytest.mark.parametrize("key", [None, ""])
def test_an_event_without_a_key_decides_nothing(key: str | None) -> None:
    """A capture of this sum that names no key may be this one."""
    assert isinstance(capture(AUTHORIZED, event("CAPTURED", 10000, key)), Inconclusive)
    assert isinstance(capture(AUTHORIZED, event("CAPTURED", 9999, key)), NotApplied)
    assert isinstance(capture(AUTHORIZED, event("CAPTURED", 10000, key, success=False)), NotApplied)
    assert isinstance(refund(AUTHORIZED, event("CAPTURED", 10000, key)), NotApplied)


@each_row(
    ("others", "capture_excluded", "refund_excluded"),
    [
        ([event("CAPTURED", 49900, "other")], True, False),
        ([event("CAPTURED", 49900, "other"), event("REFUNDED", 49900, "other")], True, True),
        ([event("CAPTURED", 19900, "other"), event("CANCELLED", 30000, None)], True, False),
        ([event("CANCELLED", 49900, None)], True, True),
        # Something is left, or may be captured and refunded later.
        ([event("CAPTURED", 49899, "other")], False, False),
        ([event("CAPTURED", 10000, "other"), event("REFUNDED", 10000, "other")], False, False),
        ([event("CAPTURED", 49900, "other", success=False)], False, False),
        ([], False, False),
    ],
)
def test_what_others_have_used_up_can_be_moved_no_more(
    others: list[Any], *, capture_excluded: bool, refund_excluded: bool
) -> None:
    """All that was accepted is captured or cancelled by others, and for a refund also paid back: nothing can come."""
    found = capture(CREATED, AUTHORIZED, *others), refund(CREATED, AUTHORIZED, *others)
    assert [isinstance(each, NotApplied) and each.excluded for each in found] == [capture_excluded, refund_excluded]
    assert isinstance(capture(CREATED, *others), NotApplied)
    assert not capture(CREATED, *others).excluded  # type: ignore[union-attr]  # it is one


def test_no_events_decide_nothing() -> None:
    """Each payment begins with one: none at all is no proof of absence."""
    assert isinstance(capture(), Inconclusive)


@pytest.mark.parametrize(
    ("state", "url"), [("CREATED", "https://x/?token=a"), ("AUTHORIZED", None), ("EXPIRED", None), ("NEW", None)]
)
def test_a_payment_of_our_amount_is_ours(state: str, url: str | None) -> None:
    """Its URL is of use only while it waits for the customer."""
    found = reconcile_create(ORDER, nok(499)).interpret(payment(state, redirectUrl="https://x/?token=a"))
    assert found == Applied(CreatedPayment(reference=ORDER, redirect_url=url, settled_by=SettledBy.HISTORY))


@pytest.mark.parametrize("amount", [nok(498), eur(499)])
def test_a_payment_of_another_amount_is_not(amount: Any) -> None:
    """A reference is given once for ever: ours can never come into being under it."""
    found = reconcile_create(ORDER, amount).interpret(payment("CREATED"))
    assert isinstance(found, NotApplied)
    assert found.excluded


@each_row("only", [True, False])
@each_row(
    ("state", "sums", "amount"),
    [
        ("TERMINATED", aggregate(cancelled=49900), nok(499)),
        ("TERMINATED", aggregate(), nok(0)),
        ("AUTHORIZED", aggregate(49900, cancelled=49900), nok(499)),
        ("AUTHORIZED", aggregate(49900, captured=10000, cancelled=39900), nok(399)),
    ],
)
def test_a_cancelled_payment(state: str, sums: Any, amount: Any, *, only: bool) -> None:
    """State or sums prove it, whoever cancelled; and the result passes for an answer of success."""
    found = cancel(state, sums, only=only)
    assert isinstance(found, Applied)
    assert (found.result.amount, found.result.settled_by) == (amount, SettledBy.HISTORY)
    assert CANCEL.misfit is not None
    assert CANCEL.misfit(None, found.result) is None  # type: ignore[arg-type]  # it looks at the result alone


@each_row(
    ("state", "sums", "only", "excluded"),
    [
        ("CREATED", None, False, False),
        ("CREATED", None, True, False),
        ("AUTHORIZED", None, False, False),
        ("AUTHORIZED", aggregate(49900, captured=10000), False, False),
        # An acceptance, a full capture and an end are final: no cancel that arrives later changes them.
        ("AUTHORIZED", None, True, True),
        ("AUTHORIZED", aggregate(49900, captured=49900), False, True),
        ("AUTHORIZED", aggregate(49900, captured=49900, refunded=49900), False, True),
        ("ABORTED", None, False, True),
        ("EXPIRED", None, False, True),
    ],
)
def test_a_payment_that_is_not_cancelled(state: str, sums: Any, *, only: bool, excluded: bool) -> None:
    """It may be yet, unless what has happened to it excludes that for good."""
    found = cancel(state, sums, only=only)
    assert isinstance(found, NotApplied)
    assert found.excluded is excluded


def test_what_leaves_a_cancel_undecided() -> None:
    """A state that is not known, or something cancelled while something can still be captured."""
    assert isinstance(cancel("PAUSED"), Inconclusive)
    assert isinstance(cancel("AUTHORIZED", aggregate(49900, cancelled=100)), Inconclusive)


EVERY = [*ALL.values(), reconcile_cancel(ORDER, cancel_transaction_only=False)]


@pytest.mark.parametrize("reconciliation", EVERY)
def test_a_payment_that_vipps_does_not_know(reconciliation: Reconciliation[Any, Any]) -> None:
    """Vipps' own word that the reference is unknown proves that nothing has happened so far."""
    unknown = OrderNotFoundError("no", status=404, errors=(ErrorInfo("ErrorCode", "5090", "No."),))
    assert NotApplied("Vipps does not know the payment") == reconciliation.interpret_refusal(unknown)


@each_row(
    "error",
    [
        OrderNotFoundError("no", status=404),
        OrderNotFoundError("no", status=404, errors=(ErrorInfo("", "5090", "a field"),)),
        ApiError("no", status=404, errors=(ErrorInfo("ErrorCode", "5090", "no"),)),
        ApiError("no", status=500),
    ],
)
@each_row("reconciliation", EVERY)
def test_any_other_refusal_decides_nothing(reconciliation: Reconciliation[Any, Any], error: ApiError) -> None:
    """A bare 404 may come from a gateway, and other errors say nothing about the payment."""
    assert isinstance(reconciliation.interpret_refusal(error), Inconclusive)
