"""What is read out of answers: sums and states, and what is left; whatever Vipps adds or leaves out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.epayment.payments import aggregate, event, events, payment
from tests.epayment.service import money
from tests.support.rows import each_row
from vipps_async import (
    Aggregate,
    CancelledPayment,
    CapturedPayment,
    CreatedPayment,
    EventName,
    Payment,
    PaymentEvent,
    PaymentState,
    RefundedPayment,
    SettledBy,
    nok,
)
from vipps_async.core.converter import UnreadableAnswer, decode, encode
from vipps_async.epayment.dialect import EPAYMENT

ORDER = "acme-order-1"
ADJUSTED = {
    "reference": ORDER,
    "amount": money(49900),
    "state": "AUTHORIZED",
    "aggregate": aggregate(49900, captured=10000),
    "pspReference": "psp-1",
}
RESULTS: list[type[Any]] = [CapturedPayment, RefundedPayment, CancelledPayment]


@each_row(
    ("sums", "to_capture", "to_refund", "in_full"),
    [
        (aggregate(), 0, 0, False),
        (aggregate(49900), 49900, 0, False),
        (aggregate(49900, 10000, 5000), 39900, 5000, False),
        (aggregate(49900, 49900, 49900), 0, 0, True),
        (aggregate(49900, 10000, 0, 39900), 0, 10000, False),
        # Cancelled before anybody accepted: less than nothing is nothing.
        (aggregate(cancelled=49900), 0, 0, False),
        (aggregate(49900, 49900, 50000), 0, 0, True),
    ],
)
@each_row("cls", [Payment, *RESULTS])
def test_what_is_left(cls: type[Any], sums: Any, to_capture: int, to_refund: int, *, in_full: bool) -> None:
    """Never less than nothing, on a payment and on each result."""
    found = decode(orjson.dumps(ADJUSTED | {"aggregate": sums}), cls)
    assert (found.remaining_to_capture.value, found.remaining_to_refund.value) == (to_capture, to_refund)
    assert found.captured_in_full is in_full


@given(st.tuples(*[st.integers(0, 10**9)] * 4))
def test_what_is_left_is_never_negative(sums: tuple[int, int, int, int]) -> None:
    """Whatever the sums say."""
    found = payment(sums=aggregate(*sums))
    assert 0 <= found.remaining_to_capture.value <= sums[0]
    assert 0 <= found.remaining_to_refund.value <= sums[1]


@pytest.mark.parametrize("cls", RESULTS)
def test_each_result_has_an_amount(cls: type[Any]) -> None:
    """Money, without a None in its way; a cancel's is what was cancelled."""
    body = ADJUSTED | {"aggregate": aggregate(49900, 10000, 0, 39900)}
    amount = decode(orjson.dumps(body), cls).amount
    assert amount == (nok(399) if cls is CancelledPayment else nok(499))


def test_everything_that_a_payment_can_have() -> None:
    """Fields of express checkout, of a scope, and newer ones; unknown ones are passed over."""
    found = payment(
        captureGuaranteedUntil="2026-02-01T10:00:00+00:00",
        redirectUrl="https://x/?token=a",
        metadata={"order": "7", "count": 3, "nothing": None},
        profile={"sub": "sub-1", "new": True},
        paymentMethod={"type": "CARD", "cardBin": 540185},
        shippingDetails={
            "address": {"addressLine1": "Gate 5", "city": "Oslo", "country": "NO", "postCode": "0154"},
            "shippingCost": 9900,
            "shippingOptionId": "post-1",
            "shippingOptionName": "Post",
        },
        userDetails={"email": "a@b.no", "mobileNumber": 4791234567, "dateOfBirth": "1988-12-3", "addresses": [{}]},
        ofLater={"a": [1]},
    )
    assert found.capture_guaranteed_until == datetime(2026, 2, 1, 10, tzinfo=UTC)
    assert found.metadata == {"order": "7", "count": "3"}
    assert found.profile is not None
    assert found.profile.sub == "sub-1"
    assert found.payment_method is not None
    assert (found.payment_method.type, found.payment_method.card_bin) == ("CARD", "540185")
    assert found.shipping_details is not None
    assert (found.shipping_details.shipping_cost, found.shipping_details.shipping_option_id) == (9900, "post-1")
    assert found.user_details is not None
    assert (found.user_details.mobile_number, found.user_details.date_of_birth) == ("4791234567", "1988-12-3")
    assert found.user_details.first_name is None


def test_unknown_words_are_kept() -> None:
    """A state or an event of later is itself, and known to be unknown."""
    found = payment("PAUSED")
    assert (found.state, found.state.known, found.has_outcome, found.is_authorized) == ("PAUSED", False, False, False)
    (of_later,) = events(event("DISPUTED"))
    assert (of_later.name, of_later.name.known) == ("DISPUTED", False)


@pytest.mark.parametrize(
    ("state", "has_outcome"), [(state, state is not PaymentState.CREATED) for state in PaymentState]
)
def test_states(state: PaymentState, *, has_outcome: bool) -> None:
    """All but the first end the wait for the customer."""
    found = payment(state)
    assert (found.has_outcome, found.is_authorized) == (has_outcome, state is PaymentState.AUTHORIZED)
    assert found.is_cancelled is (state is PaymentState.TERMINATED)


@each_row(
    "name", ["paymentMethod", "profile", "pspReference", "metadata", "shippingDetails", "userDetails", "redirectUrl"]
)
@each_row("value", [[1.5], 1.5, {"type": [1.5], "sub": 1.5, "address": 1.5}, None])
def test_what_decides_nothing_never_sinks_a_payment(name: str, value: Any) -> None:
    """One field that cannot be read is None; state and sums are told all the same."""
    found = payment(**{name: value})
    assert found.remaining_to_capture == nok(499)
    attribute = {"pspReference": "psp_reference"}.get(name)
    if attribute:
        assert getattr(found, attribute) is None


@each_row("cls", [Payment, *RESULTS])
@each_row(
    ("changes", "reason"),
    [
        ({"reference": None}, "reference is missing"),
        ({"state": 7}, "state is not a text"),
        ({"aggregate": None}, "aggregate is missing"),
        ({"aggregate": aggregate() | {"capturedAmount": None}}, "aggregate.capturedAmount is missing"),
        ({"aggregate": aggregate() | {"capturedAmount": 100}}, "aggregate.capturedAmount is not an object"),
        ({"aggregate": aggregate() | {"capturedAmount": money(-1)}}, "aggregate.capturedAmount is not readable"),
    ],
)
def test_what_tells_of_money_must_be_readable(cls: type[Any], changes: Any, reason: str) -> None:
    """Payment, state and sums are not guessed."""
    with pytest.raises(UnreadableAnswer, match=f"^{reason}$"):
        decode(orjson.dumps(ADJUSTED | changes), cls)


def test_events_are_a_bare_list() -> None:
    """A ghost field that the description requires is not missed; seven digits of a second and numeric ids are read."""
    (found,) = events(event("CAPTURED", 100, "k", timestamp="2026-01-01T10:00:00.1234567Z", pspReference=7))
    assert found == PaymentEvent(
        reference=ORDER,
        name=EventName.CAPTURED,
        amount=nok(1),
        success=True,
        timestamp=datetime(2026, 1, 1, 10, 0, 0, 123456, UTC),
        idempotency_key="k",
        psp_reference="7",
    )
    assert events() == ()
    for body in (b"{}", b"null", b'"text"', b'[{"name": "CAPTURED"}]', b"[1]"):
        with pytest.raises(UnreadableAnswer):
            decode(body, tuple[PaymentEvent, ...])


def test_which_payment_an_answer_is_about() -> None:
    """Events of several payments are about no payment that anybody asked for; none at all do not say."""
    mixed = events(event("CREATED"), event("CREATED", reference="other-order"))
    assert [EPAYMENT.payment_of(each) for each in (events(event("CREATED")), events(), mixed, payment(), object())] == [
        ORDER,
        None,
        "",
        ORDER,
        None,
    ]


def test_sums_of_events() -> None:
    """What failed and what is in another currency counts nothing."""
    found = events(
        event("AUTHORIZED", 500),
        event("CAPTURED", 200),
        event("CAPTURED", 100, success=False),
        event("CAPTURED", 50, amount=money(50, "EUR")),
        event("CAPTURED", 100),
        event("REFUNDED", 10),
        event("CANCELLED", 200),
    )
    assert Aggregate.of(found, "NOK") == decode(orjson.dumps(aggregate(500, 300, 10, 200)), Aggregate)
    assert Aggregate.of(events(event("TERMINATED", 500)), "NOK").cancelled_amount == nok(5)


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("https://pay-mt.vipps.no/?token=eyJ.a-b_c", "eyJ.a-b_c"),
        ("vippsMT://?token=eyJ.x&v=2", "eyJ.x"),
        ("https://example.com/", None),
        ("https://[broken", None),
        (None, None),
    ],
)
def test_the_token_of_a_payment(url: str | None, token: str | None) -> None:
    """The token is taken out of the URL, if it has one; neither stands in the repr."""
    created = CreatedPayment(reference=ORDER, redirect_url=url)
    assert created.token == token
    assert "token" not in repr(created)


@pytest.mark.parametrize("cls", RESULTS)
def test_a_result_is_read_again_as_it_was_written(cls: type[Any]) -> None:
    """The journal gives back what an operation brought; what it rests on it says itself."""
    result = decode(orjson.dumps(ADJUSTED | {"settledBy": "history"}), cls)
    assert result.settled_by is SettledBy.ANSWER
    assert decode(encode(result), cls) == result


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from([*ADJUSTED, "redirectUrl", "metadata", "profile", "userDetails", "shippingDetails", "events"])


@given(st.dictionaries(NAMES, JSON), st.sampled_from([Payment, CreatedPayment, *RESULTS, tuple[PaymentEvent, ...]]))
def test_whatever_comes_is_read_or_unreadable(changes: dict[str, Any], cls: Any) -> None:
    """No other exception comes out of an answer, whatever is in it."""
    for body in (ADJUSTED | changes, changes, [changes], [event("CAPTURED") | changes]):
        try:
            found = decode(orjson.dumps(body), cls)
        except (UnreadableAnswer, orjson.JSONEncodeError):
            continue
        assert isinstance(EPAYMENT.payment_of(found), str | None)
