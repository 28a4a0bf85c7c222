"""Events of payments: read leniently, kept without anything personal, known again, and confirmed with Vipps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from attrs import evolve, field, frozen

from tests.support.rows import each_row
from tests.webhooks.delivered import AUTHORIZED, ID, SECRET, URL, delivery
from vipps_async import Aggregate, CallbackError, EventName, OrderNotFoundError, Payment, PaymentState
from vipps_async.money import Money, dkk, nok
from vipps_async.receiver import (
    Disagreed,
    NotificationConfirmed,
    NotificationContradicted,
    OtherNotification,
    PaymentNotification,
    Receiver,
    Webhooks,
)
from vipps_async.webhooks.operations import RECEIVED

SOURCE: Webhooks[Any] = Webhooks(url=URL, secrets={ID: SECRET}, on_event=lambda *_: None)
PERSONAL = ("Kari", "Nordmann", "kari@example.com", "4798765432", "Storgata", "1988-12-3", "c06c4afe")


def read(event: Any) -> Any:
    """Read an event that is signed as it should be."""
    headers, body = delivery(event)
    return Receiver(SOURCE).read("POST", "/vipps/webhooks", headers, body)


def test_everything_is_read() -> None:
    """All that an authorization can hold is there, amounts as Money and times in UTC."""
    event = read(AUTHORIZED)
    assert isinstance(event, PaymentNotification)
    assert event.name is EventName.AUTHORIZED
    assert (event.reference, event.payment, event.msn) == ("acme-shop-123-order124",) * 2 + ("123456",)
    assert (event.amount, event.success, event.idempotency_key) == (nok("499.00"), True, "create-key-1")
    assert event.timestamp == datetime(2026, 1, 19, 16, 26, 31, 123456, tzinfo=UTC)
    assert event.capture_guaranteed_until == datetime(2026, 1, 26, 16, 26, 31, tzinfo=UTC)
    assert event.user_details is not None
    assert event.user_details.addresses[0].post_code == "0154"
    assert (event.user_details.date_of_birth, event.user_details.mobile_number) == ("1988-12-3", "4798765432")
    assert event.shipping_details is not None
    assert (event.shipping_details.shipping_cost, event.shipping_details.shipping_option_id) == (4900, "post")
    assert event.sub == AUTHORIZED["sub"]
    assert not event.is_redelivered


@each_row("name", list(EventName))
def test_the_eight_names(name: EventName) -> None:
    """Each name is known, by its bare word."""
    assert read(AUTHORIZED | {"name": name.value}).name is name


def test_where_the_sub_may_stand() -> None:
    """The customer's id is read at the top and within the profile."""
    at_top = {key: value for key, value in AUTHORIZED.items() if key != "sub"}
    assert read(at_top | {"profile": {"sub": "abc"}}).sub == "abc"
    assert read(AUTHORIZED | {"profile": {"sub": "abc"}}).sub == AUTHORIZED["sub"]
    assert read(at_top | {"profile": None}).sub is None


@each_row(
    ("changes", "found"),
    [
        ({"name": "SOMETHING_NEW"}, {"name": "SOMETHING_NEW"}),
        ({"reference": 12345678}, {"reference": "12345678"}),
        ({"msn": 123456}, {"msn": "123456"}),
        ({"amount": None}, {"amount": None}),
        ({"amount": {"value": "x"}}, {"amount": None}),
        ({"amount": {"value": -5, "currency": "NOK"}}, {"amount": None}),
        ({"amount": {"value": "500", "currency": "DKK"}}, {"amount": dkk(5)}),
        ({"success": False}, {"success": False}),
        ({"success": "maybe"}, {"success": None}),
        ({"timestamp": "yesterday"}, {"timestamp": None}),
        ({"pspReference": None}, {"psp_reference": None}),
        ({"userDetails": []}, {"user_details": None}),
        ({"userDetails": {"email": "a@example.com"}}, {"sub": AUTHORIZED["sub"]}),
        ({"newField": {"x": 1}}, {"name": "AUTHORIZED"}),
    ],
)
def test_lenient_reading(changes: dict[str, Any], found: dict[str, Any]) -> None:
    """What is left out or cannot be read is None, what is unknown is ignored, and the news is not lost."""
    event = read(AUTHORIZED | changes)
    assert {name: getattr(event, name) for name in found} == found


@each_row(
    "said",
    [
        {"reference": "short", "name": "CAPTURED"},
        {"eventType": "recurring.charge-captured.v1", "agreementId": "agr_1", "amount": 5},
        {"customerToken": "abc", "msn": "123456"},
        {"auth_req_id": "qwiu"},
        {"reference": {"not": "text"}, "name": "CAPTURED"},
        {"reference": "", "name": "CAPTURED"},
        {"reference": "x" * 65, "name": "CAPTURED"},
        {"reference": "acme-shop-1", "name": None},
        ["a", "list"],
        "a text",
        None,
        7,
    ],
)
def test_other_events_come_as_they_are(said: Any) -> None:
    """What is no event of a payment is handed over with its raw body, and shows nothing of it."""
    event = read(said)
    assert isinstance(event, OtherNotification)
    assert (event.data, event.body, event.payment, event.is_pending) == (said, orjson.dumps(said), None, False)
    assert repr(event) == "OtherNotification(is_redelivered=False)"
    again = SOURCE.restore(RECEIVED, event.record)
    assert again == evolve(event, is_redelivered=True)
    assert again.dedup_key == event.dedup_key


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 3_000, b'{"reference":"a"'])
def test_what_is_no_json(body: bytes) -> None:
    """A body that is signed and no JSON is refused, and nothing of it travels along."""
    with pytest.raises(CallbackError) as caught:
        read(body)
    assert (caught.value.status, caught.value.__cause__, caught.value.__context__) == (400, None, None)


# -- in the journal ----------------------------------------------------------------------------------------------------


def test_nothing_personal_is_kept_or_shown() -> None:
    """Neither the journal's record nor a repr has personal data."""
    event = read(AUTHORIZED)
    for text in (event.record.decode(), repr(event), str(event), event.dedup_key):
        assert not [word for word in PERSONAL if word in text]


def test_restoring() -> None:
    """What was kept comes back as the same event without what is personal, and as the same news."""
    event = read(AUTHORIZED)
    again = SOURCE.restore(RECEIVED, event.record)
    assert again == evolve(event, user_details=None, shipping_details=None, sub=None, is_redelivered=True)
    assert again.dedup_key == event.dedup_key
    assert len(event.dedup_key) == 40
    with pytest.raises(CallbackError):
        SOURCE.restore(RECEIVED, b"{")


def test_duplicates_are_known() -> None:
    """By reference, name and pspReference, whatever else differs; a success is no duplicate of a failure."""
    key = read(AUTHORIZED).dedup_key
    assert read(AUTHORIZED | {"timestamp": "2026-02-02T02:02:02Z", "extra": 1}).dedup_key == key
    others = ({"reference": "acme-shop-123-order125"}, {"name": "CAPTURED"}, {"pspReference": "2"}, {"success": False})
    assert key not in {read(AUTHORIZED | other).dedup_key for other in others}
    without = {key: value for key, value in AUTHORIZED.items() if key != "pspReference"}
    later = without | {"timestamp": "2026-02-02T02:02:02Z"}
    assert read(without).dedup_key == read(without).dedup_key != read(later).dedup_key


# -- confirming --------------------------------------------------------------------------------------------------------


def _payment(state: PaymentState, **sums: Money) -> Payment:
    names = ("authorized_amount", "cancelled_amount", "captured_amount", "refunded_amount")
    aggregate = Aggregate(**{name: sums.get(name, nok(0)) for name in names})
    return Payment(reference=AUTHORIZED["reference"], state=state, aggregate=aggregate, amount=nok("499.00"))


@frozen
class _Session:
    """An ePayment API that knows one payment, or none."""

    found: Payment | None
    merchant_serial_number: str = "123456"
    asked: list[str] = field(factory=list)

    @property
    def epayment(self) -> _Session:
        """The API."""
        return self

    async def get(self, reference: str) -> Payment:
        """Return the payment."""
        self.asked.append(reference)
        if self.found is None:
            raise OrderNotFoundError("no such payment", status=404)
        return self.found

    def notify(self, reference: str) -> None:
        """Note who is woken."""
        self.asked.append(f"wake {reference}")


def _captured(oere: int, **sums: Money) -> Payment:
    amounts = {"authorized_amount": nok("499.00"), "captured_amount": Money(oere, "NOK")} | sums
    return _payment(PaymentState.AUTHORIZED, **amounts)


async def _confirm(changes: dict[str, Any], found: Payment | None) -> tuple[Any, bool]:
    event = read(AUTHORIZED | changes)
    session = _Session(found)
    outcome = await event.confirm(session)
    assert session.asked == [AUTHORIZED["reference"]]
    assert outcome.payment is found
    return outcome, event.is_pending


@each_row(
    ("changes", "found"),
    [
        ({"name": "CREATED"}, _payment(PaymentState.CREATED)),
        ({"name": "CREATED"}, _captured(49900)),
        ({}, _captured(0)),
        ({"amount": None}, _captured(0)),
        ({"msn": "0123456"}, _captured(0)),
        ({"msn": None}, _captured(0)),
        ({"name": "ABORTED"}, _payment(PaymentState.ABORTED)),
        ({"name": "EXPIRED"}, _payment(PaymentState.EXPIRED)),
        ({"name": "TERMINATED"}, _payment(PaymentState.TERMINATED)),
        ({"name": "CAPTURED"}, _captured(49900)),
        ({"name": "CAPTURED", "amount": {"value": 100, "currency": "NOK"}}, _captured(49900)),
        ({"name": "REFUNDED"}, _captured(49900, refunded_amount=nok("499.00"))),
        ({"name": "CANCELLED", "amount": None}, _captured(0, cancelled_amount=nok("1.00"))),
    ],
)
async def test_confirmed(changes: dict[str, Any], found: Payment) -> None:
    """What the payment shows is confirmed, and comes with the payment."""
    outcome, is_pending = await _confirm(changes, found)
    assert (type(outcome), is_pending) == (NotificationConfirmed, False)


@each_row(
    ("changes", "found", "disagreement", "pending"),
    [
        ({}, None, Disagreed.PAYMENT, False),
        ({}, _payment(PaymentState.CREATED), Disagreed.STATE, True),
        ({}, _payment(PaymentState.ABORTED), Disagreed.STATE, False),
        ({"name": "ABORTED"}, _captured(0), Disagreed.STATE, False),
        ({"name": "CAPTURED"}, _captured(100), Disagreed.AMOUNT, True),
        ({"name": "CAPTURED", "amount": None}, _captured(0), Disagreed.AMOUNT, True),
        (
            {"name": "CAPTURED", "amount": {"value": 1, "currency": "DKK"}},
            _captured(9),
            Disagreed.AMOUNT,
            False,
        ),
        ({"name": "REFUNDED"}, _captured(49900), Disagreed.AMOUNT, True),
        ({"name": "CANCELLED"}, _captured(49900), Disagreed.AMOUNT, True),
        ({"name": "CAPTURED", "success": False}, _captured(49900), Disagreed.FAILED, False),
        ({"name": "CAPTURED", "success": None}, _captured(49900), Disagreed.FAILED, False),
        ({"name": "FROZEN"}, _captured(49900), Disagreed.NAME, False),
        ({"msn": "654321"}, _captured(49900), Disagreed.SALES_UNIT, False),
    ],
)
async def test_contradicted(
    changes: dict[str, Any],
    found: Payment | None,
    disagreement: Disagreed,
    pending: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """What the payment does not show is not confirmed; if it may still come, the event is offered again."""
    outcome, is_pending = await _confirm(changes, found)
    assert isinstance(outcome, NotificationContradicted)
    assert (outcome.disagreements, is_pending) == ((disagreement,), pending)
    assert disagreement.value in str(outcome)


def test_waking() -> None:
    """Whoever waits for a payment is told by its reference."""
    session: Any = _Session(None)
    SOURCE.notify(session, "acme-shop-1")
    assert session.asked == ["wake acme-shop-1"]
