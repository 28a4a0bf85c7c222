"""An answer of success is held against what was asked for: transaction, amount and status."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.support.rows import each_row
from vipps_async.core.operation import AuditInfo, Call
from vipps_async.core.unread_fields import unknown_words
from vipps_async.ecom.enums import TransactionStatus
from vipps_async.ecom.operations import CANCEL, CAPTURE, INITIATE, REFUND
from vipps_async.ecom.responses import (
    CancelResult,
    CaptureResult,
    InitiatedPayment,
    RefundResult,
    TransactionInfo,
    TransactionSummary,
)
from vipps_async.money import format_nok

NAMED = {"capture": CAPTURE, "refund": REFUND, "cancel": CANCEL}


def misfit(
    name: str,
    status: str | None,
    *,
    moved: int = 100,
    asked: int | None = 100,
    sums: TransactionSummary | None = None,
) -> str | None:
    """What is wrong with an answer to this operation; no status: it has no transaction."""
    operation: Any = NAMED[name]
    transaction: Any = None if status is None else TransactionInfo(amount=moved, status=TransactionStatus(status))
    call: Call[Any] = Call(operation=operation, path="/", payment="a", audit=AuditInfo(amount=asked, currency="NOK"))
    found: str | None = operation.misfit(
        call,
        {"capture": CaptureResult, "refund": RefundResult, "cancel": CancelResult}[name](
            order_id="a", transaction=transaction, transaction_summary=sums
        ),
    )
    return found


@each_row(
    ("name", "status"),
    [("capture", "Captured"), ("capture", "SALE"), ("refund", "Refund"), ("cancel", "Cancelled"), ("cancel", "VOID")],
)
@each_row("asked", [100, None])
def test_what_was_asked_for_fits(name: str, status: str, asked: int | None) -> None:
    """The operation's own words with its amount, or any amount where all was asked for."""
    assert misfit(name, status, asked=asked) is None


@each_row("name", NAMED)
@each_row("status", ["Failed", "Rejected", "Declined", "RESERVE", "Pending", "Expired"])
def test_a_word_of_failure_or_of_another_state(name: str, status: str) -> None:
    """A known word for something else does not fit."""
    assert misfit(name, status) is not None


@pytest.mark.parametrize(
    ("name", "status"),
    [("capture", "Refund"), ("capture", "Cancelled"), ("refund", "Captured"), ("cancel", "Captured")],
)
def test_the_word_of_another_operation(name: str, status: str) -> None:
    """One operation's word does not fit another."""
    assert misfit(name, status) is not None


@pytest.mark.parametrize("name", NAMED)
def test_an_unknown_word_with_the_right_amount_fits(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Vipps may add a word for the same: each is counted, and logged with its order; nothing but letters is shown."""
    caplog.set_level(logging.WARNING, "vipps_async")
    field = {"capture": "CaptureResult", "refund": "RefundResult", "cancel": "CancelResult"}[name] + ".status"
    before = unknown_words().get(field, 0)
    for word in ("Settled Elsewhere", "By +47 99999999\n" + "x" * 50):
        assert misfit(name, word) is None
    assert unknown_words()[field] == before + 2
    about = f"event=vipps.word_unknown operation=ecom.{name} payment=a field={field}"
    assert [record.getMessage() for record in caplog.records] == [
        f"{about} word=Settled_Elsewhere count={before + 1} level=warning",
        f"{about} word=By_{'x' * 37} count={before + 2} level=warning",
    ]


@pytest.mark.parametrize(
    ("status", "moved"), [("Captured", 100), ("SALE", 100), ("Settled Elsewhere", 99), ("Failed", 100)]
)
def test_a_known_word_and_what_does_not_fit_are_not_counted(
    status: str, moved: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Only what is taken as done on an unknown word's account is to be looked at."""
    before = dict(unknown_words())
    misfit("capture", status, moved=moved)
    assert dict(unknown_words()) == before
    assert not caplog.records


@each_row("name", NAMED)
@each_row("moved", [99, 101, 0])
def test_another_amount(name: str, moved: int) -> None:
    """More or less than was asked for does not fit, and both amounts are named."""
    status = {"capture": "Captured", "refund": "Refund", "cancel": "Cancelled"}[name]
    found = misfit(name, status, moved=moved)
    assert found is not None
    assert "1.00 NOK" in found
    assert format_nok(moved) in found


def left(amount: int) -> TransactionSummary:
    """The sums of a payment of which so many øre can still be captured."""
    return TransactionSummary(
        captured_amount=100, refunded_amount=0, remaining_amount_to_capture=amount, remaining_amount_to_refund=100
    )


def test_no_transaction() -> None:
    """Without one nothing says that a payment was cancelled, unless the sums do, by which nothing is left."""
    assert misfit("cancel", None) == "it has no transaction"
    assert misfit("cancel", None, sums=left(0)) is None


@pytest.mark.parametrize("status", ["Cancelled", "VOID", "Settled Elsewhere", None])
def test_a_cancel_after_which_something_can_be_captured(status: str | None) -> None:
    """Whatever word it says, what can still be captured has been neither cancelled nor released."""
    assert misfit("cancel", status, asked=None, sums=left(1)) == "it says that 1 øre can still be captured"
    assert misfit("cancel", status, asked=None, sums=left(0)) is None


@each_row("name", ["capture", "refund"])
@each_row(("moved", "fits"), [(0, False), (1, True), (500, True), (501, False)])
def test_where_all_that_remains_was_asked_for_the_sums_bound_it(name: str, moved: int, *, fits: bool) -> None:
    """Without an amount to hold it against, it is more than nothing and no more than was moved in all."""
    sums = TransactionSummary(
        captured_amount=500, refunded_amount=500, remaining_amount_to_capture=0, remaining_amount_to_refund=0
    )
    word = {"capture": "Captured", "refund": "Refund"}[name]
    assert (misfit(name, word, moved=moved, asked=None, sums=sums) is None) is fits


@pytest.mark.parametrize("captured", [0, 99])
def test_a_cancel_is_not_bound_by_the_sums(captured: int) -> None:
    """It moves nothing: what it released may be more than what was captured."""
    sums = TransactionSummary(
        captured_amount=captured, refunded_amount=0, remaining_amount_to_capture=0, remaining_amount_to_refund=captured
    )
    assert misfit("cancel", "Cancelled", sums=sums) is None


@pytest.mark.parametrize("url", ["", "https://vipps.example/pay"])
def test_a_payment_without_its_url(url: str) -> None:
    """Nobody can pay it."""
    assert INITIATE.misfit is not None
    call: Call[Any] = Call(operation=INITIATE, path="/", payment="a")
    assert (INITIATE.misfit(call, InitiatedPayment(order_id="a", url=url)) is None) == bool(url)
