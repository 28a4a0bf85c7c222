"""What tests in other languages use: payments and callbacks as JSON, settings, faults of one order, the customer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.driver import Merchant, Shop, merchant_at
from tests.support.rows import each_row
from vipps_async.sandbox import SandboxServer
from vipps_async.sandbox.ledger.reasons import Reason, Refused
from vipps_async.sandbox.ledger.settings import SandboxSettings, SettingsError
from vipps_async.sandbox.wire.ecom_errors import UNIT_CODES, refusal_for


async def _get(merchant: Merchant, path: str) -> tuple[int, Any]:
    async with merchant.session.get(merchant.url + path) as answer:
        return answer.status, await answer.json()


async def _post(merchant: Merchant, path: str, body: Any) -> tuple[int, Any]:
    async with merchant.session.post(merchant.url + path, json=body) as answer:
        return answer.status, await answer.json()


async def test_payments_as_json(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Sums in øre and the history, the newest first; of one order, or the last few."""
    for order_id in ("acme-1", "acme-2", "acme-3"):
        await merchant.initiate(order_id)
    await sandbox.approve("acme-2")
    await merchant.capture("acme-2", 10_000, key="k")
    _, listed = await _get(merchant, "/sandbox/payments")
    assert [payment["orderId"] for payment in listed["payments"]] == ["acme-3", "acme-2", "acme-1"]
    _, last = await _get(merchant, "/sandbox/payments?limit=1")
    assert [payment["orderId"] for payment in last["payments"]] == ["acme-3"]
    _, one = await _get(merchant, "/sandbox/payments?orderId=acme-2")
    (payment,) = one["payments"]
    history = payment.pop("history")
    assert payment == {
        "orderId": "acme-2",
        "merchantSerialNumber": "123456",
        "api": "ecom",
        "currency": "NOK",
        "state": "RESERVE",
        "amount": 49_900,
        "reserved": 49_900,
        "captured": 10_000,
        "refunded": 0,
        "released": 0,
    }
    assert [(entry["operation"], entry["amount"]) for entry in history] == [
        *(("CAPTURE", 10_000), ("RESERVE", 49_900), ("INITIATE", 49_900))
    ]
    assert (history[0]["requestId"], history[0]["operationSuccess"]) == ("k", True)
    assert (await _get(merchant, "/sandbox/payments?orderId=none"))[1] == {"payments": []}


async def test_payments_are_listed_as_they_are_now(sandbox: SandboxServer, merchant: Merchant) -> None:
    """What is due by the clock has happened in the list, too."""
    await merchant.initiate("acme-1")
    sandbox.clock.advance(301)
    assert (await _get(merchant, "/sandbox/payments"))[1]["payments"][0]["state"] == "CANCEL"


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", "", "99999999"])
async def test_how_many_are_listed_is_bounded(merchant: Merchant, limit: str) -> None:
    """From 1 to 1000."""
    for path in ("/sandbox/payments", "/sandbox/callbacks"):
        assert (await _get(merchant, f"{path}?limit={limit}"))[0] == 400


async def test_callbacks_as_json(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """What was sent where, and what the shop answered, without its token; also what was not sent, and why."""
    urls = {"callbackPrefix": place.url, "authToken": "a token"}
    await merchant.initiate("acme-1", merchantInfo=urls)
    await merchant.initiate("acme-2")
    for order_id in ("acme-1", "acme-2"):
        await sandbox.approve(order_id)
    await sandbox.callbacks_delivered()
    _, listed = await _get(merchant, "/sandbox/callbacks")
    assert "a token" not in str(listed)
    assert {callback["orderId"] for callback in listed["callbacks"]} == {"acme-1", "acme-2"}
    _, one = await _get(merchant, "/sandbox/callbacks?orderId=acme-1")
    (callback,) = one["callbacks"]
    assert (callback["kind"], callback["method"], callback["status"]) == ("payment", "POST", 200)
    assert callback["url"] == f"{place.url}/v2/payments/acme-1"
    assert callback["body"]["transactionInfo"]["status"] == "RESERVED"
    _, other = await _get(merchant, "/sandbox/callbacks?orderId=acme-2")
    assert other["callbacks"][0]["failure"].startswith("not called: ")


async def test_a_callback_to_a_port_that_vipps_does_not_call(sandbox: SandboxServer, merchant: Merchant) -> None:
    """FAQ: Vipps reaches the ports 80, 443 and 8080. The record says so of any other."""
    await merchant.initiate("acme-1", merchantInfo={"callbackPrefix": "https://shop.vipps-test.no:8443/x"})
    await merchant.initiate("acme-2", merchantInfo={"callbackPrefix": "https://shop.vipps-test.no:8080/x"})
    for order_id in ("acme-1", "acme-2"):
        await sandbox.approve(order_id)
    await sandbox.callbacks_delivered()
    said = {record.order_id: record.failure for record in sandbox.callbacks}
    assert said["acme-1"].endswith("; and Vipps calls no port but 80, 443, 8080")
    assert said["acme-2"].endswith("(--callback-hosts)")


async def test_faults_of_one_order_over_http(merchant: Merchant) -> None:
    """A script that names an order holds for it alone; without, for the next of any."""
    script = {"script": {"initiate": ["HTTP_503_BEFORE"]}, "orderId": "acme-2"}
    status, state = await _post(merchant, "/sandbox/faults", script)
    assert status == 200
    assert state["script"] == [{"operation": "initiate", "orderId": "acme-2", "faults": ["HTTP_503_BEFORE"]}]
    assert (await merchant.initiate("acme-1")).status == 200
    assert (await merchant.initiate("acme-2")).status == 503
    assert (await merchant.initiate("acme-2")).status == 200
    assert (await _post(merchant, "/sandbox/faults", {**script, "orderId": 1}))[0] == 400


async def test_the_customer_over_http(merchant: Merchant) -> None:
    """What the buttons of a payment's page do, a bare POST does."""
    for number, (action, state) in enumerate((("approve", "RESERVE"), ("decline", "CANCEL"), ("expire", "CANCEL"))):
        await merchant.initiate(f"acme-{number}")
        url = f"{merchant.url}/sandbox/payments/123456/acme-{number}/{action}"
        async with merchant.session.post(url, allow_redirects=False) as answer:
            assert answer.status == 303
        _, listed = await _get(merchant, f"/sandbox/payments?orderId=acme-{number}")
        assert listed["payments"][0]["state"] == state


# -- settings ----------------------------------------------------------------------------------------------------------

KEYS = {"clientId": "client-id", "clientSecret": "hunter2", "subscriptionKey": "hunter3"}


async def test_settings_show_no_secret_and_go_back(merchant: Merchant) -> None:
    """Keys are shown without secrets; null takes any keys again."""
    status, shown = await _post(merchant, "/sandbox/settings", {"keys": [KEYS]})
    assert status == 200
    assert "hunter" not in str(shown)
    assert (await merchant.details("acme-1")).status == 401
    await _post(merchant, "/sandbox/settings", {"keys": None})
    assert (await merchant.details("acme-1")).status == 404


@each_row(
    "wrong",
    [
        [],
        {"Strict": True},
        {"strict": 1},
        {"skipLandingPage": "123456"},
        {"nin": ["12"]},
        {"directCapture": [123456]},
        {"refuse": {"123456": "34"}},
        {"refuse": {"12": "31"}},
        {"refuse": ["31"]},
        {"subDelay": -1},
        {"subDelay": True},
        {"unknownFor": "60"},
        {"unknownFor": 1e12},
        {"keys": []},
        {"keys": ["x"]},
        {"keys": [{**KEYS, "clientSecret": ""}]},
        {"keys": [{**KEYS, "secret": "x"}]},
        {"keys": [{**KEYS, "partner": 1}]},
        {"keys": [{**KEYS, "merchantSerialNumbers": ["1"]}]},
    ],
)
async def test_settings_that_make_no_sense(sandbox: SandboxServer, merchant: Merchant, wrong: Any) -> None:
    """They are refused, and none of those that came with them is taken over."""
    before = sandbox.settings.as_json()
    both = {"numericCallbackMsn": True, **wrong} if isinstance(wrong, dict) else wrong
    status, answer = await _post(merchant, "/sandbox/settings", both)
    assert (status, answer["statusCode"]) == (400, 400)
    assert "hunter" not in str(answer)
    assert sandbox.settings.as_json() == before


def test_settings_are_read_as_they_are_written() -> None:
    """What `as_json` shows, keys aside, is what `change` takes."""
    settings = SandboxSettings(
        unit_codes=UNIT_CODES, direct_capture={"123456"}, refused_units={"123456": "31"}, sub_delay=3.0
    )
    shown = settings.as_json()
    other = SandboxSettings(unit_codes=UNIT_CODES)
    other.change(shown)
    assert other.as_json() == shown
    with pytest.raises(SettingsError, match="there is no setting 'x'"):
        other.change({"x": 1})


def test_every_reason_has_its_words() -> None:
    """Whatever the ledger refuses for, eCom has an answer to."""
    for reason in Reason:
        answer = refusal_for(Refused(reason, reference="acme-1", wait=1), "capture")
        assert 400 <= answer.status < 500


async def test_direct_capture_by_switch(sandbox: SandboxServer, merchant: Merchant) -> None:
    """A sales unit that is named captures with the reservation from then on."""
    await _post(merchant, "/sandbox/settings", {"directCapture": ["123456"]})
    await merchant.initiate("acme-1")
    assert (await sandbox.approve("acme-1")).captured == 49_900


async def test_settings_are_those_of_one_sandbox(merchant: Merchant) -> None:
    """Another one knows nothing of them."""
    await _post(merchant, "/sandbox/settings", {"strict": True})
    async with SandboxServer() as other, merchant_at(other.url) as stranger:
        assert (await _get(stranger, "/sandbox/settings"))[1]["strict"] is False
