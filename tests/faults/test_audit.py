"""The audit blames what must be blamed, and does not blame Vipps for ending a payment that nobody approved."""

from __future__ import annotations

import pytest

from tests.faults.audit import Asked, Moved, Noted, Paid, Told, Verdict, audit
from vipps_async.journals import Outcome

_ORDER = Asked(order_id="a-1", operation="initiate", text="order 1", amount=1_000, told=[Told(Verdict.DONE)])
_INITIATED = Moved("INITIATE", 1_000, "order 1", "")


def _paid(*moved: Moved, captured: int = 0) -> Paid:
    return Paid(order_id="a-1", amount=1_000, captured=captured, refunded=0, moved=(_INITIATED, *moved))


def _noted(operation: str, text: str, outcome: Outcome | None) -> Noted:
    return Noted(key="k", order_id="a-1", operation=operation, text=text, outcome=outcome, amount=None)


_ORDER_NOTED = _noted("initiate", "order 1", Outcome.DONE)


def test_a_payment_that_ran_out_of_time_is_as_good_as_cancelled() -> None:
    """A cancel that came after Vipps itself had ended the payment may be called done: no money is in it."""
    cancel = Asked(order_id="a-1", operation="cancel", text="cancel 0", told=[Told(Verdict.UNKNOWN)])
    expired = _paid(Moved("CANCEL", 1_000, "order 1", ""))
    assert audit([_ORDER, cancel], [expired], [_ORDER_NOTED, _noted("cancel", "cancel 0", Outcome.DONE)]).words == []


def test_a_cancel_that_is_called_done_while_nothing_ended_is_lost() -> None:
    """A cancel that is noted as done must have ended the payment."""
    cancel = Asked(order_id="a-1", operation="cancel", text="cancel 0", told=[Told(Verdict.UNKNOWN)])
    assert audit([_ORDER, cancel], [_paid()], [_ORDER_NOTED, _noted("cancel", "cancel 0", Outcome.DONE)]).lost == 1


@pytest.mark.parametrize(
    ("told", "moved", "outcome", "figure"),
    [
        (Told(Verdict.DONE), [], Outcome.DONE, "lost"),
        (Told(Verdict.NO_EFFECT), [100], Outcome.DONE, "told_untruly"),
        (Told(Verdict.UNKNOWN, doubtful=False), [], Outcome.REFUSED, "needless_doubt"),
        (Told(Verdict.UNKNOWN), [100], Outcome.NOT_DONE, "told_untruly"),
        (Told(Verdict.DONE), [100, 100], Outcome.DONE, "moved_twice"),
        (Told(Verdict.DONE), [200], Outcome.DONE, "wrong_amounts"),
        (Told(Verdict.DONE, 300), [100], Outcome.DONE, "wrong_amounts"),
        (Told(Verdict.UNKNOWN), [100], None, "open"),
    ],
)
def test_what_does_not_agree_is_blamed(told: Told, moved: list[int], outcome: Outcome | None, figure: str) -> None:
    """Each way in which asked, told, noted and moved can disagree shows in its figure."""
    capture = Asked(order_id="a-1", operation="capture", text="capture 1", key="k", amount=100, told=[told])
    entries = [Moved("CAPTURE", amount, "capture 1", "k") for amount in moved]
    paid = _paid(*entries, captured=sum(moved))
    found = audit([_ORDER, capture], [paid], [_ORDER_NOTED, _noted("capture", "capture 1", outcome)])
    assert getattr(found, figure) > 0
