"""An API of one's own beside Vipps': it shares payments, clock, limits, faults, pages and state with the others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.driver import MSN, Answer, Merchant, Shop, merchant_at
from tests.sandbox.toy_face import ToyFace
from vipps_async.sandbox import FACES, Fault, SandboxServer, State


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    """With the toy beside eCom."""
    async with SandboxServer(faces=[*FACES, ToyFace]) as server:
        yield server


async def _create(merchant: Merchant, place: Shop, reference: str = "toy-1") -> Answer:
    amount = {"currency": "EUR", "value": 1_000}
    body = {
        "reference": reference,
        "amount": amount,
        "description": "Socks",
        "events": place.url,
        "returnUrl": place.url,
    }
    return await merchant.call("POST", "/Toy/payments/", body)


async def _capture(merchant: Merchant, value: int, key: str, reference: str = "toy-1") -> Answer:
    body = {"amount": {"currency": "EUR", "value": value}}
    headers = {"Idempotency-Key": key}
    return await merchant.call("POST", f"/toy/payments/{reference}/capture", body, headers=headers)


async def _told(merchant: Merchant) -> list[Any]:
    events: list[Any] = (await merchant.call("GET", "/toy/payments/toy-1")).json
    return [(event["name"], event["amount"]["value"], event["amount"]["currency"]) for event in events]


async def test_a_payment_of_another_api(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """Created, approved, told of by its own kind of event, captured by its own header, refused in its own words."""
    created = await _create(merchant, place)
    assert created.status == 201
    assert created.json["redirectUrl"] == sandbox.landing_url("toy-1")
    early = await _capture(merchant, 400, "key-0")
    assert (early.status, early.json["title"]) == (409, "NOT_RESERVED")
    assert early.headers["Content-Type"] == "application/problem+json"
    await sandbox.approve("toy-1")
    await sandbox.callbacks_delivered()
    assert place.received[0][3] == {
        "reference": "toy-1",
        "name": "RESERVED",
        "amount": {"currency": "EUR", "value": 1_000},
    }
    assert (await _capture(merchant, 400, "key-1")).json == {"captured": {"currency": "EUR", "value": 400}}
    snapshot = sandbox.payment("toy-1")
    assert (snapshot.captured, snapshot.currency, snapshot.request_ids) == (400, "EUR", ("key-1",))
    assert ("CAPTURE", 400, "EUR") in await _told(merchant)
    assert (await merchant.call("GET", "/toy/payments/none")).status == 404
    assert (await merchant.call("GET", "/toy/payments/toy-1", headers={"Authorization": None})).status == 401


async def test_one_payment_has_one_name_in_all_apis(merchant: Merchant, place: Shop) -> None:
    """A reference is used up for eCom, too; but eCom knows no payment that it did not initiate."""
    await _create(merchant, place)
    assert (await merchant.initiate("toy-1")).codes == [("Merchant", "34")]
    for answer in (await merchant.details("toy-1"), await merchant.status("toy-1"), await merchant.cancel("toy-1")):
        assert (answer.status, answer.codes) == (404, [("Merchant", "35")])


async def test_it_shares_clock_and_limits(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """Its calls are counted by themselves, a minute later they pass, and its payments run out of time."""
    await _create(merchant, place)
    for _ in range(2):
        assert (await _capture(merchant, 1, "k")).status == 409
    throttled = await _capture(merchant, 1, "k")
    assert (throttled.status, throttled.json["statusCode"]) == (429, 429)
    assert int(throttled.headers["Retry-After"]) > 50
    sandbox.clock.advance(301)
    assert (await _capture(merchant, 1, "k")).json["title"] == "ENDED"
    assert sandbox.payment("toy-1").state is State.CANCEL


async def test_it_shares_the_faults(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """Those of its operations by their names and of its own ones; whatever needs words of an API has some."""
    await _create(merchant, place)
    await sandbox.approve("toy-1")
    faults = (Fault.LOCKED_94, Fault.HTTP_503_BEFORE, Fault.FAILED_ENTRY, Fault.UNSETTLED_92_BEFORE)
    sandbox.faults.unsettled_status = 422
    for fault, status in zip(faults, (409, 503, 409, 422), strict=True):
        sandbox.faults.script("capture", fault)
        assert (await _capture(merchant, 100, "k")).status == status, fault
        sandbox.clock.advance(61)
    assert sandbox.payment("toy-1").captured == 0
    sandbox.faults.script("capture", Fault.LATE_ENTRY, order_id="toy-1")
    sandbox.faults.lag_seconds = 60
    assert (await _capture(merchant, 100, "k")).status == 200
    assert ("CAPTURE", 100, "EUR") not in await _told(merchant)
    sandbox.faults.script("tell", Fault.STALE_DETAILS, Fault.EMPTY_200_AFTER)
    assert (await _told(merchant))[0][0] == "INITIATE"
    assert (await merchant.call("GET", "/toy/payments/toy-1")).body == b""
    with pytest.raises(ValueError, match="does not fit"):
        sandbox.faults.script("tell", Fault.LOCKED_94)


async def test_its_payments_stand_on_the_pages(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """With its currency, with what only it knows of them, and with its requests."""
    await _create(merchant, place)
    await sandbox.approve("toy-1")
    await _capture(merchant, 400, "key-1")
    page = (await merchant.call("GET", f"/sandbox/payments/{MSN}/toy-1")).body.decode()
    for text in ("10.00 EUR", "4.00 EUR", "Events to", place.url, "/toy/payments/toy-1/capture", "key-1"):
        assert text in page
    assert "10.00 EUR" in (await merchant.call("GET", "/")).body.decode()


async def test_its_payments_survive_a_restart(tmp_path: Path, place: Shop) -> None:
    """The state file keeps what only it knows, without knowing it."""
    file = tmp_path / "state.db"
    async with SandboxServer(faces=[*FACES, ToyFace], state=file) as sandbox, merchant_at(sandbox.url) as merchant:
        await _create(merchant, place)
    async with SandboxServer(faces=[*FACES, ToyFace], state=file) as sandbox:
        await sandbox.approve("toy-1")
        await sandbox.callbacks_delivered()
        assert place.received[0][3]["reference"] == "toy-1"


async def test_what_an_api_says_nothing_about(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """It needs no words for numbers, ways back and contradictions: the sandbox's own, and the right answers, do."""
    url, token = (await _create(merchant, place)).json["redirectUrl"].split("?v=2&token=")
    forms = ({"answer": "number", "number": "40000081"}, {"answer": "approve"})
    answers = []
    for form in forms:
        async with merchant.session.post(url, data={"token": token, **form}, allow_redirects=False) as answer:
            answers.append((answer.status, answer.headers.get("Location", ""), await answer.text()))
    assert "no customer has this number" in answers[0][2]
    assert answers[1][:2] == (303, place.url)
    sandbox.faults.script("capture", Fault.FAILURE_STATUS_AFTER, Fault.REFUSAL_AS_XML)
    assert (await _capture(merchant, 100, "key-1")).json == {"captured": {"currency": "EUR", "value": 100}}
    refused = await _capture(merchant, 100, "key-2")
    assert (refused.status, refused.json["title"]) == (409, "LOCKED")
