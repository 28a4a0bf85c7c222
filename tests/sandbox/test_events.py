"""The ledger tells each event of a payment once, in order, to whoever listens: what webhooks are made of."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from tests.sandbox.epayment_driver import REFERENCE, epayment_at
from vipps_async.sandbox import SandboxServer
from vipps_async.sandbox.ledger.changes import Changes
from vipps_async.sandbox.ledger.entries import MEANINGS, PaymentOutcome, Sums
from vipps_async.sandbox.ledger.events import NAMES, Event, events_of
from vipps_async.sandbox.ledger.orders import Order
from vipps_async.sandbox.ledger.payment import Payment
from vipps_async.sandbox.ledger.reasons import Reason, Refused
from vipps_async.sandbox.ledger.terms import Terms

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _order(amount: int = 49_900, *, terms: Terms | None = None, direct_capture: bool = False) -> Order:
    numbers = count(1)
    payment = Payment(
        reference="acme-shop-1",
        sales_unit="123456",
        amount=amount,
        text="Socks",
        initiated_at=_NOW,
        key="create",
        new_transaction_id=lambda: str(next(numbers)),
        terms=terms or Terms(),
        direct_capture=direct_capture,
    )
    return Order(payment=payment, api="epayment", return_url="https://example.com")


def _told(events: list[Event]) -> list[tuple[str, int, bool, str]]:
    return [(event.name, event.amount, event.success, event.idempotency_key) for event in events]


def test_each_event_of_a_paid_order() -> None:
    """With its own amount, id and time; an authorization has the key of the create, a cancel none."""
    payment = _order().payment
    payment.approve(_NOW)
    payment.move("CAPTURE", 10_000, key="c", fingerprint="", text="", now=_NOW + timedelta(seconds=5))
    payment.move("REFUND", 4_000, key="r", fingerprint="", text="", now=_NOW)
    payment.cancel(release_remaining=True, text="", now=_NOW)
    events = events_of(payment)
    assert _told(events) == [
        ("CREATED", 49_900, True, "create"),
        ("AUTHORIZED", 49_900, True, "create"),
        ("CAPTURED", 10_000, True, "c"),
        ("REFUNDED", 4_000, True, "r"),
        ("CANCELLED", 39_900, True, ""),
    ]
    assert len({event.psp_reference for event in events}) == 5
    assert events[2].time == _NOW + timedelta(seconds=5)
    assert events == events_of(payment)


def test_failed_ones_are_events_too() -> None:
    """A capture too much, and a cancel of what has ended, tell of no success; nothing moves."""
    payment = _order().payment
    with pytest.raises(Refused):
        payment.move("CAPTURE", 1, key="c", fingerprint="", text="", now=_NOW)
    payment.cancel(release_remaining=True, text="", now=_NOW)
    with pytest.raises(Refused):
        payment.cancel(release_remaining=True, text="", now=_NOW)
    assert _told(events_of(payment))[1:] == [
        ("CAPTURED", 1, False, "c"),
        ("TERMINATED", 49_900, True, ""),
        ("TERMINATED", 49_900, False, ""),
    ]
    authorized = _order().payment
    authorized.approve(_NOW)
    authorized.move("CAPTURE", 49_900, key="c", fingerprint="", text="", now=_NOW)
    with pytest.raises(Refused):
        authorized.cancel(release_remaining=True, text="", now=_NOW)
    assert events_of(authorized)[-1].name == "CANCELLED"
    assert not events_of(authorized)[-1].success


def test_how_the_customer_ends_it() -> None:
    """Declined, and timed out."""
    declined, expired = _order().payment, _order().payment
    declined.decline(_NOW)
    expired.expire(_NOW)
    assert [event.name for event in events_of(declined)] == ["CREATED", "ABORTED"]
    assert [event.name for event in events_of(expired)] == ["CREATED", "EXPIRED"]


def test_captured_at_once() -> None:
    """An eCom sale is an authorization and a capture, each with an id of its own."""
    payment = _order(direct_capture=True).payment
    payment.approve(_NOW)
    events = events_of(payment)
    assert [event.name for event in events] == ["CREATED", "AUTHORIZED", "CAPTURED"]
    assert len({event.psp_reference for event in events}) == 3


def test_another_card_may_be_tried_where_a_refusal_is_no_end() -> None:
    """Each attempt is an event of its own; the payment goes on waiting."""
    payment = _order(151, terms=Terms(refusal_ends=False)).payment
    assert payment.approve(_NOW) is payment.approve(_NOW) is PaymentOutcome.FAILED
    events = events_of(payment)
    assert _told(events[1:]) == [("AUTHORIZED", 151, False, "create")] * 2
    assert len({event.psp_reference for event in events}) == 3
    payment.decline(_NOW)
    assert events_of(payment)[-1].name == "ABORTED"


def test_what_is_not_captured_in_time_is_released() -> None:
    """By itself where the terms say so, at its own time, once; captures and cancels come too late then."""
    payment = _order(terms=Terms(capture_days=14, released_in_time=True)).payment
    payment.approve(_NOW)
    payment.move("CAPTURE", 9_900, key="c", fingerprint="", text="", now=_NOW)
    end = _NOW + timedelta(days=14)
    assert payment.settle(end - timedelta(seconds=1)) is None
    assert payment.settle(end + timedelta(days=1)) is PaymentOutcome.RELEASED
    assert payment.settle(end + timedelta(days=1)) is None
    last = events_of(payment)[-1]
    assert (last.name, last.amount, last.time) == ("CANCELLED", 40_000, end)
    with pytest.raises(Refused) as refused:
        payment.move("CAPTURE", 1, key="d", fingerprint="", text="", now=end)
    assert refused.value.reason is Reason.RESERVED_TOO_LONG_AGO
    later = end + timedelta(days=1)
    with pytest.raises(Refused) as refused:
        payment.move("CAPTURE", 1, key="d", fingerprint="", text="", now=later)
    assert refused.value.reason is Reason.RESERVED_TOO_LONG_AGO
    with pytest.raises(Refused) as refused:
        payment.cancel(release_remaining=True, text="", now=later)
    assert refused.value.reason is Reason.RESERVED_TOO_LONG_AGO


def test_listeners_are_told_of_each_event_once() -> None:
    """In order, whoever changes the payment, and however often the word is spread."""
    changes, order = Changes(), _order()
    told: list[tuple[Order, Event]] = []
    changes.tell_events_to(lambda whose, event: told.append((whose, event)))
    changes.note(order)
    changes.note(order)
    order.payment.approve(_NOW)
    order.payment.move("CAPTURE", 10_000, key="c", fingerprint="", text="", now=_NOW)
    changes.note(order)
    changes.note()
    assert [event.name for _, event in told] == ["CREATED", "AUTHORIZED", "CAPTURED"]
    assert [event for _, event in told] == events_of(order.payment)
    assert all(whose is order for whose, _ in told)


async def test_a_restart_tells_nothing_again(tmp_path: Path) -> None:
    """What was told before is told; what happens afterwards comes alone."""
    file = tmp_path / "state.db"
    async with SandboxServer(state=file) as sandbox, epayment_at(sandbox.url) as shop:
        await shop.create()
    told: list[str] = []
    sandbox = SandboxServer(state=file)
    sandbox._changes.tell_events_to(lambda _, event: told.append(event.name))
    async with sandbox:
        await sandbox.approve(REFERENCE)
    assert told == ["AUTHORIZED"]


def test_each_operation_with_an_amount_has_its_row() -> None:
    """What takes from a remainder raises a sum and has an event, which takes that much from the remainder."""
    moving = {word: meaning for word, meaning in MEANINGS.items() if meaning.takes}
    for meaning in moving.values():
        before = Sums(reserved=1_000, captured=500)
        (raised,) = meaning.raises
        after = replace(before, **{raised: getattr(before, raised) + 100})
        assert getattr(after, meaning.takes) == getattr(before, meaning.takes) - 100
        assert NAMES.issuperset(meaning.events)
        assert len(meaning.events) == 1
    assert {"CAPTURE", "REFUND"} <= moving.keys()
