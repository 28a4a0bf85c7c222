"""The audit blames what must be blamed, and does not blame Vipps for ending a payment that nobody approved."""

from __future__ import annotations

import pytest
from attrs import evolve

from tests.faults.audit import Asked, Moved, Noted, Paid, Told, Verdict, audit, told_by_error
from tests.support.rows import each_row
from vipps_async import Outcome
from vipps_async.errors import Effect, OrderLockedError

_ORDER = Asked(order_id="a-1", operation="initiate", text="order 1", amount=1_000, told=[Told(Verdict.DONE)])
_INITIATED = Moved("INITIATE", 1_000, "order 1", "")


def _paid(*moved: Moved, captured: int = 0) -> Paid:
    return Paid(order_id="a-1", amount=1_000, captured=captured, refunded=0, moved=(_INITIATED, *moved))


def _noted(operation: str, text: str, outcome: Outcome | None) -> Noted:
    return Noted(key="k", order_id="a-1", operation=operation, text=text, outcome=outcome, amount=None)


_ORDER_NOTED = _noted("initiate", "", Outcome.DONE)


def test_a_payment_that_ran_out_of_time_is_as_good_as_cancelled() -> None:
    """A cancel that came after Vipps itself had ended the payment may be called done: no money is in it."""
    cancel = Asked(order_id="a-1", operation="cancel", text="cancel 0", told=[Told(Verdict.UNKNOWN)])
    expired = _paid(Moved("CANCEL", 1_000, "order 1", ""))
    assert audit([_ORDER, cancel], [expired], [_ORDER_NOTED, _noted("cancel", "cancel 0", Outcome.DONE)]).words == []


def test_a_cancel_that_is_called_done_while_nothing_ended_is_lost() -> None:
    """A cancel that is noted as done must have ended the payment."""
    cancel = Asked(order_id="a-1", operation="cancel", text="cancel 0", told=[Told(Verdict.UNKNOWN)])
    assert audit([_ORDER, cancel], [_paid()], [_ORDER_NOTED, _noted("cancel", "cancel 0", Outcome.DONE)]).lost == 1


@each_row(
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


_UNDOUBTED = Told(Verdict.UNKNOWN, error="OutcomeUnknown", effect="POSSIBLE", call=3, doubtful=False)


@each_row(
    ("before", "told", "journalled", "figure"),
    [
        # No attempt was in doubt, in this call or before it.
        ([], _UNDOUBTED, True, "needless_doubt"),
        ([Told(Verdict.NO_EFFECT, call=1, doubtful=False)], _UNDOUBTED, True, "needless_doubt"),
        # A call without a journal knows nothing of the one before it, and one with a journal nothing of a later one.
        ([Told(Verdict.UNKNOWN, call=1)], _UNDOUBTED, False, "needless_doubt"),
        ([Told(Verdict.UNKNOWN, call=9)], _UNDOUBTED, True, "needless_doubt"),
        # With a journal it knows of the one before it, and of its twin.
        ([Told(Verdict.UNKNOWN, call=1)], _UNDOUBTED, True, ""),
        ([Told(Verdict.UNKNOWN, call=4)], _UNDOUBTED, True, ""),
        # Only where somebody else was there can it have been in somebody else's hands.
        ([], evolve(_UNDOUBTED, leased_elsewhere=True), True, "needless_doubt"),
        ([Told(Verdict.DONE, call=1, doubtful=False)], evolve(_UNDOUBTED, leased_elsewhere=True), True, ""),
        ([Told(Verdict.CANCELLED, call=1, doubtful=False)], _UNDOUBTED, True, "doubt_by_cancelling"),
        ([Told(Verdict.CANCELLED, call=1, doubtful=False)], _UNDOUBTED, False, "needless_doubt"),
        ([], evolve(_UNDOUBTED, by_journal=True), True, "doubt_by_journal"),
    ],
)
def test_doubt_needs_an_attempt_in_doubt(before: list[Told], told: Told, *, journalled: bool, figure: str) -> None:
    """Who is told "perhaps" must have had an attempt in doubt, or one before it that the journal knows of."""
    capture = Asked(order_id="a-1", operation="capture", text="capture 1", key="k", told=[*before, told])
    notes = [_ORDER_NOTED, _noted("capture", "capture 1", Outcome.NOT_DONE)] if journalled else None
    found = audit([_ORDER, capture], [_paid()], notes)
    counted = {"needless_doubt", "doubt_by_cancelling", "doubt_by_journal"}
    assert {name for name in counted if getattr(found, name)} == {figure} - {""}


_REFUSED = Told(Verdict.REFUSED, error="RefundError", call=5)
_LOCKED = Told(Verdict.UNKNOWN, error="OrderLockedError", call=6, leased_elsewhere=True)


@pytest.mark.parametrize(
    ("told", "untrue"),
    [
        ([_REFUSED], True),
        # What came before the refusal, or did nothing, does not take it back.
        ([Told(Verdict.UNKNOWN, call=4), _REFUSED], True),
        ([_LOCKED, _REFUSED], True),
        ([_LOCKED, _REFUSED, Told(Verdict.NO_EFFECT, call=7)], True),
        # A later call began it again with its key, and was told that it may be done.
        ([_LOCKED, _REFUSED, Told(Verdict.UNKNOWN, call=7)], False),
        ([_REFUSED, Told(Verdict.CANCELLED, call=7)], False),
        # Refused once more, it is refused.
        ([_REFUSED, Told(Verdict.UNKNOWN, call=7), evolve(_REFUSED, call=8)], True),
    ],
)
def test_a_refusal_stands_until_a_later_call_is_left_in_doubt(told: list[Told], *, untrue: bool) -> None:
    """A recovery may carry out what was begun again with a refused key, and nothing else that was refused."""
    capture = Asked(order_id="a-1", operation="capture", text="capture 1", key="k", amount=100, told=told)
    paid = _paid(Moved("CAPTURE", 100, "capture 1", "k", call=0), captured=100)
    found = audit([_ORDER, capture], [paid], [_ORDER_NOTED, _noted("capture", "capture 1", Outcome.DONE)])
    assert found.told_untruly == untrue


def test_what_is_open_is_named_with_its_reason() -> None:
    """Who reads the figures learns which entry it is, and why."""
    capture = Asked(
        order_id="a-1", operation="capture", text="capture 1", key="k", amount=100, told=[Told(Verdict.UNKNOWN)]
    )
    noted = evolve(_noted("capture", "capture 1", None), note="details did not answer")
    found = audit([_ORDER, capture], [_paid()], [_ORDER_NOTED, noted])
    assert found.words == ["open: capture 1 of a-1 (capture): it is open: details did not answer"]


def test_vipps_own_lock_is_leased_by_nobody() -> None:
    """An order that Vipps has locked is no excuse for doubt; that another worker has leased it may be one."""
    assert not told_by_error(OrderLockedError("locked", status=409, effect=Effect.POSSIBLE)).leased_elsewhere
    assert told_by_error(OrderLockedError("leased", status=0, effect=Effect.POSSIBLE)).leased_elsewhere


@pytest.mark.parametrize(
    ("asked_for", "lied", "figure"),
    [(None, True, "lies_believed"), (None, False, "wrong_amounts"), (100, True, "wrong_amounts")],
)
def test_a_wrong_amount_is_excused_where_vipps_lied_and_none_was_asked_for(
    asked_for: int | None, *, lied: bool, figure: str
) -> None:
    """All that remains has no amount to hold an answer against; whatever else is told of the amount must be so."""
    capture = Asked(order_id="a-1", operation="capture", text="capture 1", key="k", amount=asked_for)
    capture.told.append(Told(Verdict.DONE, 200))
    paid = _paid(Moved("CAPTURE", 100, "capture 1", "k", lied=lied), captured=100)
    found = audit([_ORDER, capture], [paid], [_ORDER_NOTED, _noted("capture", "capture 1", Outcome.DONE)])
    assert [found.wrong_amounts, found.lies_believed] == [figure == "wrong_amounts", figure == "lies_believed"]


def test_what_is_asked_for_without_a_key_has_one_key() -> None:
    """The key that the library makes is one, in the journal and at Vipps."""
    capture = Asked(order_id="a-1", operation="capture", text="capture 1", amount=100, told=[Told(Verdict.DONE, 100)])
    notes = [_ORDER_NOTED, _noted("capture", "capture 1", Outcome.DONE)]
    for key, lost in (("k", 0), ("another", 1)):
        paid = _paid(Moved("CAPTURE", 100, "capture 1", key), captured=100)
        assert audit([_ORDER, capture], [paid], notes).lost == lost


def _over_epayment(key: str | None, *told: Told, operation: str = "capture", amount: int | None = 100) -> Asked:
    """Ask for something over ePayment, whose history has no texts."""
    asked = Asked(order_id="a-1", operation=operation, text=f"{operation} 1", api="epayment", key=key, amount=amount)
    asked.told.extend(evolve(one, api="epayment") for one in told)
    return asked


@pytest.mark.parametrize(
    ("key", "moved", "noted", "figure"),
    [
        # By the key that it was given, or that was made for its call, whatever text the history has.
        ("k", ["k"], "k", ""),
        (None, ["made"], "made", ""),
        ("k", ["k", "k"], "k", "moved_twice"),
        ("k", [], "k", "lost"),
        # A key that nobody asked with.
        ("k", ["k", "another"], "k", "lost"),
        (None, ["another"], "made", "lost"),
    ],
)
def test_what_went_over_epayment_is_told_by_its_key(key: str | None, moved: list[str], noted: str, figure: str) -> None:
    """Nothing else in its history tells whose an entry is."""
    capture = _over_epayment(key, Told(Verdict.DONE, 100, call=1, made_keys=("made",) if key is None else ()))
    entries = [Moved("CAPTURE", 100, "order 1", each, call=1) for each in moved]
    note = evolve(_noted("capture", "", Outcome.DONE), key=noted)
    found = audit([_ORDER, capture], [_paid(*entries, captured=100 * len(moved))], [_ORDER_NOTED, note])
    assert (found.violations > 0) == bool(figure), found.words
    assert not figure or getattr(found, figure) > 0


@pytest.mark.parametrize(("call", "outcome", "figure"), [(1, Outcome.DONE, ""), (1, Outcome.NOT_DONE, "told_untruly")])
def test_a_cancel_over_epayment_is_told_by_the_payment(call: int, outcome: Outcome, figure: str) -> None:
    """Its event has neither a text nor a key."""
    cancel = _over_epayment(None, Told(Verdict.UNKNOWN, call=call), operation="cancel", amount=None)
    paid = _paid(Moved("VOID", 1_000, "order 1", "", call=call))
    found = audit([_ORDER, cancel], [paid], [_ORDER_NOTED, _noted("cancel", "", outcome)])
    assert [found.violations, found.told_untruly] == [bool(figure), figure == "told_untruly"], found.words


def test_what_was_told_done_and_has_not_moved_is_lost() -> None:
    """Whatever Vipps' answer said."""
    capture = _over_epayment("k", Told(Verdict.DONE, 100, call=2))
    noted = evolve(_noted("capture", "capture 1", Outcome.DONE), key="k")
    found = audit([_ORDER, capture], [_paid()], [_ORDER_NOTED, noted])
    assert [found.lies_believed, found.lost] == [0, 2]


_CLOSED = Told(
    Verdict.UNKNOWN, error="OrderLockedError", call=10, ended=12, doubtful=False, leased_elsewhere=True, api="epayment"
)


@pytest.mark.parametrize(
    ("other", "closed"),
    [
        # Open since before, or under way at the same time.
        (Told(Verdict.UNKNOWN, call=1, ended=2), True),
        (Told(Verdict.DONE, call=1, ended=11), True),
        # Over the same API, over before, or begun after.
        (Told(Verdict.UNKNOWN, call=1, ended=2, api="epayment"), False),
        (Told(Verdict.DONE, call=1, ended=2), False),
        (Told(Verdict.UNKNOWN, call=13, ended=14), False),
    ],
)
def test_a_payment_is_closed_to_an_api_only_while_it_is_open_at_the_other(other: Told, *, closed: bool) -> None:
    """Else who is told so is told of a doubt that is none."""
    asked = _over_epayment("k", _CLOSED)
    asked.told[:] = [_CLOSED]
    earlier = Asked(order_id="a-1", operation="refund", text="refund 2", key="l", amount=100, told=[other])
    found = audit([_ORDER, earlier, asked], [_paid()], [_ORDER_NOTED])
    assert [found.closed, found.needless_doubt] == [closed, not closed]
