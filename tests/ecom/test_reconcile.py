"""What details proves about an operation whose answer got lost."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from tests.ecom.payments import details, entry, summary
from tests.support.rows import each_row
from vipps_async import CancelResult, CaptureResult, InitiatedPayment, PaymentDetails, RefundResult
from vipps_async.core.operation import Applied, Evidence, Inconclusive, NotApplied, Reconciliation, Repeat, SettledBy
from vipps_async.ecom.operations import CAPTURE, REFUND
from vipps_async.ecom.reconcile import reconcile_cancel, reconcile_initiate, reconcile_money
from vipps_async.errors import ApiError, ErrorInfo, OrderNotFoundError

RESERVE = entry("RESERVE", key="")
INITIATE = entry("INITIATE", key="")
ALL: list[Reconciliation[Any, PaymentDetails]] = [
    reconcile_initiate("acme-1"),
    reconcile_money(CAPTURE, "acme-1", idempotency_key="k", amount=None),
    reconcile_money(REFUND, "acme-1", idempotency_key="k", amount=None),
    reconcile_cancel("acme-1", should_release_remaining_funds=False),
]
ALL_BUT_INITIATE = ALL[1:]


def capture(*history: Any, amount: int | None = 10000, **fields: Any) -> Evidence[CaptureResult]:
    """Judge a capture of 100 NOK with the key k."""
    return reconcile_money(CAPTURE, "acme-1", idempotency_key="k", amount=amount).interpret(details(*history, **fields))


def refund(*history: Any, amount: int | None = 10000) -> Evidence[RefundResult]:
    """Judge a refund of 100 NOK with the key k."""
    return reconcile_money(REFUND, "acme-1", idempotency_key="k", amount=amount).interpret(details(*history))


def cancel(*history: Any, release: bool = False, **fields: Any) -> Evidence[CancelResult]:
    """Judge a cancel."""
    return reconcile_cancel("acme-1", should_release_remaining_funds=release).interpret(details(*history, **fields))


@pytest.mark.parametrize("reconciliation", ALL)
def test_the_question_is_details(reconciliation: Reconciliation[Any, PaymentDetails]) -> None:
    """Each asks details of the order, a read."""
    question = reconciliation.lookup
    assert (question.path, question.payment) == ("/ecomm/v2/payments/acme-1/details", "acme-1")
    assert Repeat.SAFE is question.operation.repeat


def test_a_capture_that_is_in_the_history() -> None:
    """A successful capture with the key proves it, and the result is built from the history."""
    found = capture(entry("CAPTURE", 10000, "k", at="2026-01-01T10:00:00Z"), RESERVE, transactionSummary=summary(10000))
    assert isinstance(found, Applied)
    result = found.result
    assert (result.order_id, result.settled_by) == ("acme-1", SettledBy.HISTORY)
    assert result.transaction is not None
    assert (
        result.transaction.amount,
        result.transaction.status,
        result.transaction.transaction_id,
    ) == (10000, "Captured", "5001446662")
    assert result.transaction_summary is not None
    assert result.transaction_summary.captured_amount == 10000


def test_a_direct_capture_is_a_capture() -> None:
    """Where sales are captured at once, a SALE with the key proves it."""
    assert isinstance(capture(entry("SALE", 10000, "k"), INITIATE), Applied)


def test_a_capture_of_everything_takes_any_amount() -> None:
    """Where no amount was asked for, whatever was captured with the key is it."""
    assert isinstance(capture(entry("CAPTURE", 777, "k"), RESERVE, amount=None), Applied)


def test_a_refund_that_is_in_the_history() -> None:
    """A successful refund with the key proves it."""
    found = refund(entry("REFUND", 10000, "k"), entry("CAPTURE", 49900, "k"), RESERVE)
    assert isinstance(found, Applied)
    assert found.result.transaction is not None
    assert (found.result.settled_by, found.result.transaction.status) == (SettledBy.HISTORY, "Refund")


def test_a_key_proves_nothing_about_another_operation() -> None:
    """A capture and a refund may have the same key: neither stands for the other."""
    assert NotApplied("the history does not have this idempotency key") == capture(entry("REFUND", 10000, "k"), RESERVE)
    assert NotApplied("the history does not have this idempotency key") == refund(entry("CAPTURE", 10000, "k"), RESERVE)


def test_a_key_that_is_not_there() -> None:
    """Without the key in the history nothing has happened so far, and it may be sent again."""
    found = capture(entry("CAPTURE", 10000, "other"), RESERVE, INITIATE)
    assert isinstance(found, NotApplied)
    assert found.failed == 0


def test_a_failed_operation_is_the_end_of_one_attempt() -> None:
    """A failed entry with the key says that it did not and will not take effect."""
    found = capture(entry("CAPTURE", 10000, "k", success=False), RESERVE)
    assert isinstance(found, NotApplied)
    assert found.failed == 1


def test_success_outweighs_failure() -> None:
    """Where the key failed first and succeeded then, it has taken effect."""
    failed, done = entry("CAPTURE", 10000, "k", success=False), entry("CAPTURE", 10000, "k")
    assert isinstance(capture(failed, done, RESERVE), Applied)
    assert isinstance(capture(done, failed, RESERVE), Applied)


def test_another_amount_is_done_otherwise() -> None:
    """The key with another amount has taken effect, but not as it was asked for: both amounts are named."""
    found = capture(entry("CAPTURE", 9999, "k"), RESERVE)
    assert isinstance(found, Applied)
    assert found.misfit == "100.00 NOK were asked for, and 99.99 NOK were moved"
    assert found.result.transaction is not None
    assert found.result.transaction.amount == 9999


def test_a_failed_entry_with_another_amount_is_a_failed_attempt() -> None:
    """Whatever amount it names, a failed entry moved nothing."""
    assert capture(entry("CAPTURE", 9999, "k", success=False), RESERVE) == NotApplied(
        "the history has this idempotency key with a failed operation only", failed=1
    )


def test_each_failed_entry_counts() -> None:
    """Each failed attempt leaves an entry of its own."""
    failed = entry("CAPTURE", 10000, "k", success=False)
    found = capture(failed, failed, RESERVE)
    assert isinstance(found, NotApplied)
    assert found.failed == 2


def test_an_unknown_kind_of_operation_with_the_key_decides_nothing() -> None:
    """Vipps may give a capture a new name: the key is there, so it cannot be called absent."""
    assert isinstance(capture(entry("PARTIAL_CAPTURE", 10000, "k"), RESERVE), Inconclusive)
    assert isinstance(capture(entry("PARTIAL_CAPTURE", 10000, "other"), RESERVE), NotApplied)


@pytest.mark.parametrize("key", [None, ""])
def test_an_operation_without_a_key_decides_nothing(key: str | None) -> None:
    """A capture of this amount in the history that names no key may be this one; a failed one is none."""
    assert isinstance(capture(entry("CAPTURE", 10000, key), RESERVE), Inconclusive)
    assert isinstance(capture(entry("CAPTURE", 9999, key), RESERVE), NotApplied)
    assert isinstance(capture(entry("CAPTURE", 10000, key, success=False), RESERVE), NotApplied)
    assert isinstance(refund(entry("CAPTURE", 10000, key), RESERVE), NotApplied)


@pytest.mark.parametrize("reconciliation", ALL)
def test_another_order_decides_nothing(reconciliation: Reconciliation[Any, PaymentDetails]) -> None:
    """Details about another order prove nothing."""
    found = evolve(details(entry("VOID", 1, "k"), RESERVE), order_id="acme-2")
    assert Inconclusive("details answered about another order") == reconciliation.interpret(found)


@pytest.mark.parametrize("reconciliation", ALL_BUT_INITIATE)
def test_an_empty_history_decides_nothing(reconciliation: Reconciliation[Any, PaymentDetails]) -> None:
    """Each payment begins with an entry: no history at all is no proof of absence."""
    assert Inconclusive("details answered without a history") == reconciliation.interpret(details())


def test_an_answer_without_order_id_is_taken() -> None:
    """Vipps may leave the order id out of details."""
    found = evolve(details(entry("CAPTURE", 10000, "k"), RESERVE), order_id=None)
    assert isinstance(reconcile_money(CAPTURE, "acme-1", idempotency_key="k", amount=10000).interpret(found), Applied)


def test_a_payment_that_exists() -> None:
    """Any details prove that an initiate arrived; its URL cannot be found again."""
    for history in ([], [INITIATE]):
        found = reconcile_initiate("acme-1").interpret(details(*history))
        assert Applied(InitiatedPayment(order_id="acme-1", url="")) == found


@pytest.mark.parametrize("reconciliation", ALL)
def test_an_order_that_vipps_does_not_know(reconciliation: Reconciliation[Any, PaymentDetails]) -> None:
    """Vipps' own word that the order is unknown proves that nothing has happened so far."""
    unknown = OrderNotFoundError("no", status=404, errors=(ErrorInfo("Merchant", "35", "Requested Order not found"),))
    assert NotApplied("Vipps does not know the order") == reconciliation.interpret_refusal(unknown)


@each_row(
    "error",
    [
        OrderNotFoundError("no", status=404),
        OrderNotFoundError("no", status=404, errors=(ErrorInfo("", "404", "Resource not found"),)),
        ApiError("no", status=400, errors=(ErrorInfo("Merchant", "35", "no"),)),
        ApiError("no", status=500),
    ],
)
@each_row("reconciliation", ALL)
def test_any_other_refusal_decides_nothing(
    reconciliation: Reconciliation[Any, PaymentDetails], error: ApiError
) -> None:
    """A bare 404 may come from a gateway, and other errors say nothing about the order."""
    assert isinstance(reconciliation.interpret_refusal(error), Inconclusive)


CAPTURED = entry("CAPTURE", 10000, "c")


@pytest.mark.parametrize(("operation", "history"), [("CANCEL", [INITIATE]), ("VOID", [RESERVE, INITIATE])])
@pytest.mark.parametrize("release", [True, False])
def test_a_cancelled_payment(operation: str, history: list[Any], *, release: bool) -> None:
    """A successful CANCEL or VOID proves a cancel."""
    found = cancel(entry(operation), *history, release=release)
    assert isinstance(found, Applied)
    assert found.result.transaction is not None
    assert (found.result.settled_by, found.result.transaction.status) == (SettledBy.HISTORY, "Cancelled")


@pytest.mark.parametrize("left", [0, 39900])
def test_the_sums_of_a_cancelled_payment(left: int) -> None:
    """Sums by which something can still be captured are older than the cancel, and not passed on as its own."""
    found = cancel(entry("VOID", 39900), CAPTURED, RESERVE, transactionSummary=summary(captured=10000, to_capture=left))
    assert isinstance(found, Applied)
    assert (found.result.transaction_summary is None) is (left > 0)


@pytest.mark.parametrize(
    "history", [[INITIATE], [RESERVE, INITIATE], [entry("VOID", success=False), RESERVE, INITIATE]]
)
@pytest.mark.parametrize("release", [True, False])
def test_a_payment_that_is_not_cancelled(history: list[Any], *, release: bool) -> None:
    """Without a successful CANCEL or VOID it has not been cancelled, and may be."""
    assert NotApplied("the history has no successful cancel") == cancel(*history, release=release)


def test_the_rest_that_was_released() -> None:
    """A successful VOID after a partial capture proves that the rest was released."""
    assert isinstance(cancel(entry("VOID", 39900), CAPTURED, RESERVE, release=True), Applied)


def test_the_rest_that_is_gone_was_released() -> None:
    """Where less was captured than reserved and nothing is left, the rest was released, entry or not."""
    found = cancel(CAPTURED, RESERVE, release=True, transactionSummary=summary(captured=10000))
    assert isinstance(found, Applied)
    assert found.result.amount == 39900


@pytest.mark.parametrize("sums", [None, summary(captured=10000, to_capture=39900), summary(captured=49900)])
def test_the_rest_that_is_still_there(sums: Any) -> None:
    """A rest that can still be captured, or that never was, has not been released."""
    assert isinstance(cancel(CAPTURED, RESERVE, release=True, transactionSummary=sums), NotApplied)


@pytest.mark.parametrize(
    ("history", "sums"),
    [
        ([CAPTURED, RESERVE], None),
        ([entry("VOID", success=False), CAPTURED, RESERVE], None),
        ([CAPTURED, RESERVE], summary(captured=10000, to_capture=39900)),
        ([CAPTURED, RESERVE], summary(captured=49900)),
        ([entry("SALE")], None),
    ],
)
def test_what_is_captured_excludes_a_plain_cancel(history: list[Any], sums: Any) -> None:
    """Vipps refuses to cancel a captured payment unless asked to release the rest: it never takes effect."""
    found = cancel(*history, transactionSummary=sums)
    assert isinstance(found, NotApplied)
    assert (found.failed, found.excluded) == (0, True)
    asked_to_release = cancel(*history, release=True, transactionSummary=sums)
    assert isinstance(asked_to_release, NotApplied)
    assert not asked_to_release.excluded


def test_a_plain_cancel_of_what_was_released_already_is_done() -> None:
    """Where another request has released the rest nothing remains to cancel: doing it again is no error."""
    found = cancel(entry("VOID", 39900), CAPTURED, RESERVE)
    assert isinstance(found, Applied)
    assert found.result.amount == 39900
    gone = cancel(CAPTURED, RESERVE, transactionSummary=summary(captured=10000))
    assert isinstance(gone, Applied)
    assert gone.result.amount == 39900


def test_an_unknown_kind_of_operation_excludes_nothing() -> None:
    """It may be what released the rest."""
    assert isinstance(cancel(entry("RELEASE"), CAPTURED, RESERVE), Inconclusive)


def test_an_unknown_kind_of_operation_leaves_a_cancel_undecided() -> None:
    """An operation of a new kind may be the cancel."""
    assert isinstance(cancel(entry("RELEASE"), RESERVE), Inconclusive)
    assert isinstance(cancel(entry("RELEASE", success=False), RESERVE), NotApplied)
