"""ePayment, called over HTTP as a shop would: payments from create to refund, states, sums and events."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.sandbox.driver import Merchant
from tests.sandbox.epayment_driver import PAYMENTS, REFERENCE, Epayment, code, fields, values
from vipps_async.sandbox import SandboxServer


@pytest.fixture
def shop(merchant: Merchant) -> Epayment:
    """Talks to the sandbox by ePayment."""
    return Epayment(merchant)


@pytest.fixture
async def paid(sandbox: SandboxServer, shop: Epayment) -> Epayment:
    """With a payment of 499 NOK that is authorized."""
    await shop.create(key="create-key")
    await sandbox.approve(REFERENCE)
    return shop


async def test_from_create_to_refund(sandbox: SandboxServer, shop: Epayment) -> None:
    """Created, approved, captured in parts, refunded in part, and the rest cancelled: each answer has all sums."""
    created = await shop.create(key="create-key")
    assert created.status == 201
    assert created.json == {"reference": REFERENCE, "redirectUrl": sandbox.landing_url(REFERENCE)}
    waits = await shop.get()
    assert (waits.json["state"], values(waits), waits.json["profile"]) == ("CREATED", {}, {})
    assert waits.json["redirectUrl"] == created.json["redirectUrl"]
    await sandbox.approve(REFERENCE)
    got = await shop.get()
    assert (got.json["state"], values(got)) == ("AUTHORIZED", {"authorized": 49_900})
    assert got.json["paymentMethod"] == {"type": "WALLET", "cardBin": "411111"}
    assert got.json["amount"] == {"currency": "NOK", "value": 49_900}
    assert "redirectUrl" not in got.json
    first = await shop.capture(10_000, key="c1")
    assert first.status == 200
    assert first.json.keys() == {"amount", "state", "aggregate", "pspReference", "reference"}
    assert (await shop.capture(5_000, key="c2")).status == 200
    refunded = await shop.refund(4_000, key="r1")
    assert values(refunded) == {"authorized": 49_900, "captured": 15_000, "refunded": 4_000}
    cancelled = await shop.cancel()
    assert cancelled.json["state"] == "AUTHORIZED"
    assert values(cancelled) == {"authorized": 49_900, "captured": 15_000, "refunded": 4_000, "cancelled": 34_900}
    assert values(await shop.get()) == values(cancelled)
    snapshot = sandbox.payment(REFERENCE)
    assert (snapshot.captured, snapshot.refunded, snapshot.released) == (15_000, 4_000, 34_900)


async def test_events_of_each_operation(paid: Epayment) -> None:
    """Oldest first, each with its own amount and pspReference; the payment's is that of CREATED."""
    captured = await paid.capture(10_000, key="c1")
    await paid.refund(4_000, key="r1")
    await paid.cancel()
    events: list[dict[str, Any]] = (await paid.events()).json
    assert [(event["name"], event["amount"]["value"], event.get("idempotencyKey")) for event in events] == [
        ("CREATED", 49_900, "create-key"),
        ("AUTHORIZED", 49_900, "create-key"),
        ("CAPTURED", 10_000, "c1"),
        ("REFUNDED", 4_000, "r1"),
        ("CANCELLED", 39_900, None),
    ]
    numbers = [event["pspReference"] for event in events]
    assert len(set(numbers)) == 5
    assert captured.json["pspReference"] == (await paid.get()).json["pspReference"] == numbers[0]
    assert all(event["reference"] == REFERENCE and event["success"] for event in events)
    assert [datetime.fromisoformat(event["timestamp"]) for event in events] == sorted(
        datetime.fromisoformat(event["timestamp"]) for event in events
    )


@pytest.mark.parametrize(("act", "state", "name"), [("reject", "ABORTED", "ABORTED"), ("expire", "EXPIRED", "EXPIRED")])
async def test_ends_before_authorization(
    sandbox: SandboxServer, shop: Epayment, act: str, state: str, name: str
) -> None:
    """Declined, or timed out: no sum moves, and nothing can be captured, refunded or cancelled."""
    await shop.create()
    await getattr(sandbox, act)(REFERENCE)
    got = await shop.get()
    assert (got.json["state"], values(got)) == (state, {})
    assert (await shop.names())[-1] == (name, 49_900, True)
    assert code(await shop.capture(100)) == "6200"
    assert code(await shop.refund(100)) == "6210"
    assert code(await shop.cancel()) == "6050"


async def test_a_cancel_before_authorization_terminates(shop: Epayment) -> None:
    """The whole amount is cancelled though none of it was authorized; a second cancel is refused."""
    await shop.create()
    cancelled = await shop.cancel(body={"cancelTransactionOnly": True})
    assert (cancelled.json["state"], values(cancelled)) == ("TERMINATED", {"cancelled": 49_900})
    again = await shop.cancel()
    assert (again.status, code(again)) == (400, "6190")
    assert await shop.names() == [
        ("CREATED", 49_900, True),
        ("TERMINATED", 49_900, True),
        ("TERMINATED", 49_900, False),
    ]
    assert code(await shop.capture(100)) == "6070"


async def test_cancel_of_the_transaction_only(paid: Epayment) -> None:
    """It spares what is authorized; without the flag, or with it false, all is released."""
    assert code(await paid.cancel(body={"cancelTransactionOnly": True})) == "6060"
    assert values(await paid.get()) == {"authorized": 49_900}
    assert values(await paid.cancel(body={"cancelTransactionOnly": False})) == {
        "authorized": 49_900,
        "cancelled": 49_900,
    }
    assert code(await paid.cancel(body={})) == "6190"
    assert code(await paid.capture(100)) == "6070"


async def test_a_cancel_with_a_list_is_no_cancel(paid: Epayment) -> None:
    """The empty list of a language that has no empty object is a type error."""
    answer = await paid.cancel(body=[])
    assert (answer.status, fields(answer)) == (400, ["body"])
    assert values(await paid.get()) == {"authorized": 49_900}


async def test_what_the_sums_forbid(paid: Epayment) -> None:
    """Too much, twice, or in the wrong order: each with its code, none of it moves money, and each leaves an event."""
    assert code(await paid.refund(100, key="early")) == "6210"
    assert code(await paid.capture(49_901, key="much")) == "6090"
    await paid.capture(49_900)
    assert code(await paid.capture(1)) == "6170"
    assert code(await paid.cancel()) == "6040"
    assert code(await paid.refund(49_901)) == "6150"
    await paid.refund(49_900)
    assert code(await paid.refund(1)) == "6180"
    failed = [event for event in (await paid.events()).json if not event["success"]]
    assert [(event["name"], event.get("idempotencyKey"), event["amount"]["value"]) for event in failed[:2]] == [
        ("REFUNDED", "early", 100),
        ("CAPTURED", "much", 49_901),
    ]
    assert len(failed) == 6
    assert values(await paid.get()) == {"authorized": 49_900, "captured": 49_900, "refunded": 49_900}


async def test_before_the_customer_has_acted(shop: Epayment) -> None:
    """Nothing is there to be captured or refunded."""
    await shop.create()
    early = await shop.capture(100)
    assert (early.status, code(early)) == (400, "6080")
    assert code(await shop.refund(100)) == "6020"


async def test_a_problem_has_the_vendors_shape(shop: Epayment) -> None:
    """RFC 7807 with trace id and extra details, also where there is no such payment."""
    unknown = await shop.get("nobody-knows")
    assert unknown.status == 404
    assert unknown.headers["Content-Type"] == "application/problem+json"
    body = unknown.json
    assert body.pop("traceId")
    assert body == {
        "type": "https://httpstatuses.io/404",
        "title": "Reference not found",
        "detail": "Reference not found.",
        "status": 404,
        "extraDetails": [{"name": "ErrorCode", "reason": "5090"}],
    }


async def test_headers_that_are_required(shop: Epayment) -> None:
    """Token and subscription key at the gateway, sales unit and key at the API; a word before the token."""
    for headers, status in (
        ({"Authorization": None}, 401),
        ({"Authorization": shop.merchant.token}, 401),
        ({"Ocp-Apim-Subscription-Key": None}, 401),
    ):
        answer = await shop.merchant.call("GET", f"{PAYMENTS}/{REFERENCE}", headers=headers)
        assert answer.status == status, headers
    for msn in (None, "123", "12345678901", "12x456"):
        answer = await shop.merchant.call("GET", f"{PAYMENTS}/{REFERENCE}", headers={"Merchant-Serial-Number": msn})
        assert (answer.status, fields(answer)) == (400, ["Merchant-Serial-Number"]), msn
    for key in (None, "", "k" * 51):
        answer = await shop.merchant.call("POST", PAYMENTS, shop.creation(), headers={"Idempotency-Key": key})
        assert (answer.status, fields(answer)) == (400, ["Idempotency-Key"]), key
    assert (await shop.create(key="k" * 50)).status == 201
    long = await shop.merchant.call("GET", f"{PAYMENTS}/{REFERENCE}", headers={"Vipps-System-Name": "n" * 31})
    assert fields(long) == ["Vipps-System-Name"]


async def test_another_sales_unit_has_another_payment(sandbox: SandboxServer, paid: Epayment) -> None:
    """What belongs to one is unknown to the other, who may use the same reference."""
    paid.merchant.msn = "7654321"
    assert code(await paid.get()) == "5090"
    assert code(await paid.capture(100)) == "5090"
    assert (await paid.create(key="create-key")).status == 201
    assert sandbox.payment(REFERENCE, msn="123456").state.value == "RESERVE"


async def test_ten_minutes_to_act(sandbox: SandboxServer, shop: Epayment) -> None:
    """Opened in the app or not: the payment expires ten minutes after the create."""
    await shop.create()
    sandbox.clock.advance(400)
    await sandbox.open(REFERENCE)
    sandbox.clock.advance(199)
    assert (await shop.get()).json["state"] == "CREATED"
    sandbox.clock.advance(1.1)
    assert (await shop.get()).json["state"] == "EXPIRED"


async def test_deadlines_in_norway(sandbox: SandboxServer, shop: Epayment) -> None:
    """What is not captured after 180 days is released by itself; refunds end after 365 days."""
    await shop.create()
    await sandbox.approve(REFERENCE)
    until = datetime.fromisoformat((await shop.get()).json["captureGuaranteedUntil"])
    assert timedelta(days=6.9) < until - sandbox.clock.now() <= timedelta(days=7)
    assert (await shop.get()).json["captureGuaranteedUntil"].endswith("+00:00")
    sandbox.clock.advance(timedelta(days=179))
    await shop.merchant.log_in()
    assert (await shop.capture(10_000)).status == 200
    sandbox.clock.advance(timedelta(days=2))
    await shop.merchant.log_in()
    assert values(await shop.get()) == {"authorized": 49_900, "captured": 10_000, "cancelled": 39_900}
    assert (await shop.names())[-1] == ("CANCELLED", 39_900, True)
    assert code(await shop.capture(1)) == "6100"
    assert code(await shop.cancel()) == "6030"
    sandbox.clock.advance(timedelta(days=183))
    await shop.merchant.log_in()
    assert (await shop.refund(1_000)).status == 200
    sandbox.clock.advance(timedelta(days=2))
    await shop.merchant.log_in()
    assert code(await shop.refund(1_000)) == "6220"


@pytest.mark.parametrize("value", [151, 182, 183, 184, 186, 187, 197, 202])
async def test_the_bank_refuses_and_the_customer_may_try_again(
    sandbox: SandboxServer, shop: Epayment, value: int
) -> None:
    """The payment waits on, with an authorization in its log that failed; a force approve ignores the bank."""
    await shop.create(value=value)
    await sandbox.approve(REFERENCE)
    assert ((await shop.get()).json["state"], values(await shop.get())) == ("CREATED", {})
    assert await shop.names() == [("CREATED", value, True), ("AUTHORIZED", value, False)]
    assert (await shop.approve()).status == 200
    assert (await shop.get()).json["state"] == "AUTHORIZED"


async def test_a_bank_that_does_not_know_for_an_hour(sandbox: SandboxServer, shop: Epayment) -> None:
    """Until then the payment is processing, and cannot be cancelled; its ten minutes do not end it."""
    await shop.create(value=201)
    await sandbox.approve(REFERENCE)
    sandbox.clock.advance(1_200)
    refused = await shop.cancel()
    assert (refused.status, code(refused)) == (423, "6250")
    assert (await shop.get()).json["state"] == "CREATED"
    sandbox.clock.advance(2_401)
    await shop.merchant.log_in()
    assert (await shop.get()).json["state"] == "AUTHORIZED"


async def test_refunds_of_the_test_amounts(paid: Epayment) -> None:
    """123: the customer is gone. 124: the period is over. Both leave an event, and move nothing."""
    await paid.capture(49_900)
    assert code(await paid.refund(123)) == "5100"
    assert code(await paid.refund(124)) == "6220"
    assert (await paid.names())[-2:] == [("REFUNDED", 123, False), ("REFUNDED", 124, False)]
    assert "refunded" not in values(await paid.get())


async def test_force_approve(shop: Epayment) -> None:
    """By a number, by the token, or by a number beside a placeholder; not by a wrong token, nothing, or twice."""
    url = (await shop.create()).json["redirectUrl"]
    assert fields(await shop.approve(token="{{token}}")) == ["token"]
    assert code(await shop.approve(customer={})) == "4140"
    assert code(await shop.approve(customer={"phoneNumber": "1234"})) == "4070"
    assert code(await shop.approve(customer={"phoneNumber": "4740000081"})) == "7010"
    approved = await shop.approve(customer={"phoneNumber": 4712345678}, token="{{token}}")
    assert (approved.status, approved.body) == (200, b"")
    assert code(await shop.approve()) == "10010"
    other = await shop.create("acme-shop-2")
    assert (await shop.approve("acme-shop-2", token=other.json["redirectUrl"].rpartition("=")[2])).status == 200
    assert url != other.json["redirectUrl"]


async def test_ends_are_final(sandbox: SandboxServer, shop: Epayment) -> None:
    """What ended cannot be approved."""
    await shop.create()
    await shop.cancel()
    assert code(await shop.approve()) == "10010"
    assert (await shop.get()).json["state"] == "TERMINATED"


async def test_metadata_comes_back(sandbox: SandboxServer, shop: Epayment) -> None:
    """As it was given, numbers as text."""
    await shop.create(metadata={"order": 42, "ø": "å"})
    assert (await shop.get()).json["metadata"] == {"order": "42", "ø": "å"}
