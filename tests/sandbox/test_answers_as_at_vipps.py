"""Callers, answers and callbacks as at Vipps, by plain HTTP: each case names the page or program it is known from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.sandbox.driver import DETAILS, EXPRESS, METHOD, Merchant, Shop, merchant_at
from vipps_async.sandbox import SandboxServer, State

# -- force approve -----------------------------------------------------------------------------------------------------

APPROVE = "/ecomm/v2/integration-test/payments/acme-1/approve"


@pytest.mark.parametrize(
    "body", [None, {}, {"customerPhoneNumber": None, "token": None}, {"customerPhoneNumber": "+47 91234567"}]
)
async def test_force_approve_needs_none_of_its_fields(merchant: Merchant, body: Any) -> None:
    """API description: neither number nor token is required."""
    await merchant.initiate("acme-1")
    assert (await merchant.call("POST", APPROVE, body)).status == 200
    assert (await merchant.details("acme-1")).json["transactionLogHistory"][0]["operation"] == "RESERVE"


async def test_force_approve_is_idempotent_by_its_key(sandbox: SandboxServer, merchant: Merchant) -> None:
    """API description: with the same X-Request-Id it can be repeated; with none or another it is done already."""
    await merchant.initiate("acme-1")
    for _ in range(2):
        assert (await merchant.call("POST", APPROVE, {}, headers={"X-Request-Id": "k"})).status == 200
    other = await merchant.call("POST", APPROVE, {"customerPhoneNumber": "91234567"}, headers={"X-Request-Id": "k"})
    assert other.codes == [("Payment", "93")]
    for headers in ({"X-Request-Id": "k2"}, {}):
        assert (await merchant.call("POST", APPROVE, {}, headers=headers)).codes == [("VippsError", "92")]
    assert len(sandbox.payment("acme-1").moved("RESERVE")) == 1


# -- who calls ---------------------------------------------------------------------------------------------------------


async def _set(merchant: Merchant, **settings: Any) -> None:
    async with merchant.session.post(f"{merchant.url}/sandbox/settings", json=settings) as answer:
        assert answer.status == 200, await answer.text()


@pytest.fixture
async def partner(sandbox: SandboxServer) -> AsyncIterator[Merchant]:
    """Logged in with the keys of a partner who acts for one sales unit."""
    async with merchant_at(sandbox.url, log_in=False) as opened:
        keys = {"clientId": "partner-id", "clientSecret": "partner-secret", "subscriptionKey": "subscription-key"}
        await _set(opened, keys=[{**keys, "partner": True, "merchantSerialNumbers": ["123456"]}])
        await opened.log_in("partner")
        yield opened


async def test_partner_keys(partner: Merchant) -> None:
    """Partner page: without Merchant-Serial-Number, or with one that is not the partner's, 403 on every call."""
    assert (await partner.initiate("acme-1")).status == 200
    for msn in (None, "654321"):
        calls = [
            ("POST", "/ecomm/v2/payments", partner.initiation("acme-2")),
            ("GET", DETAILS, None),
            ("POST", "/ecomm/v2/payments/acme-1/capture", partner._body(None, "Shipped.")),
            ("GET", "/vipps-userinfo-api/userinfo/x", None),
        ]
        for method, path, body in calls:
            headers = {"Merchant-Serial-Number": msn, "X-Request-Id": "k"}
            answer = await partner.call(method, path, body, headers=headers)
            assert (answer.status, answer.codes) == (403, [("Merchant", "Unauthorized")])
            assert "This MSN is not valid for the provided super merchant id" in answer.message


async def test_user_info_without_the_subscription_key(sandbox: SandboxServer, merchant: Merchant) -> None:
    """User info page: the token is enough."""
    await merchant.initiate(transaction={"scope": "name address phoneNumber"})
    await sandbox.approve("acme-1")
    sub = (await merchant.details("acme-1")).json["sub"]
    headers = {"Ocp-Apim-Subscription-Key": None, "Merchant-Serial-Number": None}
    answer = await merchant.call("GET", f"/vipps-userinfo-api/userinfo/{sub}", headers=headers)
    assert answer.status == 200
    claims = answer.json
    # User info page: `sid` beside `sub`, and an address formatted as on an envelope.
    assert claims["sid"] != claims["sub"] == sub
    assert claims["phone_number_verified"] is True
    assert claims["address"]["formatted"] == "Storgata 1\n0155 OSLO\nNORWAY"


# -- answers -----------------------------------------------------------------------------------------------------------


async def test_texts_of_401(sandbox: SandboxServer, merchant: Merchant) -> None:
    """FAQ: the three texts by which wrong keys are told from a wrong token."""
    await _set(merchant, keys=[{"clientId": "client-id", "clientSecret": "client-secret", "subscriptionKey": "other"}])
    for key, text in ((None, "due to missing subscription key"), ("wrong", "due to invalid subscription key")):
        answer = await merchant.call("GET", DETAILS, headers={"Ocp-Apim-Subscription-Key": key})
        assert (answer.status, answer.json["statusCode"]) == (401, 401)
        assert text in answer.json["message"]
    headers = {"Ocp-Apim-Subscription-Key": "other", "Authorization": "Bearer wrong"}
    answer = await merchant.call("GET", DETAILS, headers=headers)
    assert answer.status == 401
    assert answer.json["result"]["message"].startswith("Something went wrong, please try again later")


async def test_texts_name_order_and_sales_unit(sandbox: SandboxServer, merchant: Merchant) -> None:
    """API guide, error codes, and what shops have logged: 34, 35, 62 and 72 in the vendor's words."""
    await merchant.initiate("acme-1")
    refused = {
        "orderId is already used, and must be unique": await merchant.initiate("acme-1"),
        "The amount you tried to capture is not reserved": await merchant.capture("acme-1"),
    }
    await sandbox.approve("acme-1")
    refused["Cannot refund for reserved order, please use Cancel API"] = await merchant.refund("acme-1")
    for text, answer in refused.items():
        assert answer.message == f"{text} (orderId: acme-1, merchantSerialNumber: 123456)"
    for unknown in (
        await merchant.details("acme-2"),
        await merchant.capture("acme-2"),
        await merchant.cancel("acme-2"),
    ):
        assert (unknown.status, unknown.codes) == (404, [("Merchant", "35")])
        assert unknown.message == "Requested Order not found (orderId: acme-2, merchantSerialNumber: 123456)"


async def test_status_after_a_time_out(sandbox: SandboxServer, merchant: Merchant) -> None:
    """API guide, payment states: REJECTED if it ran out, CANCEL if declined; details say CANCEL of both."""
    for order_id in ("acme-1", "acme-2", "acme-3"):
        await merchant.initiate(order_id)
    await sandbox.reject("acme-2")
    await merchant.cancel("acme-3")
    sandbox.clock.advance(301)
    seen = {}
    for order_id in ("acme-1", "acme-2", "acme-3"):
        seen[order_id] = (await merchant.status(order_id)).json["transactionInfo"]["status"]
        assert (await merchant.details(order_id)).json["transactionLogHistory"][0]["operation"] == "CANCEL"
    assert seen == {"acme-1": "REJECTED", "acme-2": "CANCEL", "acme-3": "CANCEL"}


async def test_bank_id_of_payments_with_a_scope(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """API guide, user details: `bankIdVerified` in callback and details of a payment with a scope."""
    await merchant.initiate(transaction={"scope": "name"}, merchantInfo={"callbackPrefix": place.url})
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    assert place.received[0][3]["userDetails"]["bankIdVerified"] == "Y"
    assert (await merchant.details("acme-1")).json["userDetails"]["bankIdVerified"] == "Y"


BACK = [
    ("approve", "https://example.com/result", "https://example.com/result?status=100"),
    ("decline", "https://example.com/result?order=1", "https://example.com/result?order=1&status=301"),
    ("approve", "https://example.com/result#top", "https://example.com/result?status=100#top"),
    ("approve", "myapp://result", "myapp://result?status=100"),
    ("expire", "https://example.com/result", "https://example.com/result"),
]


@pytest.mark.parametrize(("answer", "fall_back", "back"), BACK)
async def test_the_way_back_carries_a_status(merchant: Merchant, answer: str, fall_back: str, back: str) -> None:
    """FAQ, fallback URL: the parameter is phased out, and still sent; 100 accepted, 301 declined."""
    url = (await merchant.initiate(merchantInfo={"fallBack": fall_back})).json["url"]
    form = {"token": url.partition("token=")[2], "answer": answer}
    async with merchant.session.post(url.partition("?")[0], data=form, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, back)


PREFIXES = [
    ("/callbacks", "/callbacks/v2/payments/acme-1"),
    ("/callbacks/", "/callbacks//v2/payments/acme-1"),
    ("/callbacks?shop=acme", "/callbacks"),
]


@pytest.mark.parametrize(("prefix", "path"), PREFIXES)
async def test_callbacks_go_to_the_prefix_verbatim(
    sandbox: SandboxServer, merchant: Merchant, place: Shop, prefix: str, path: str
) -> None:
    """API guide, callbacks: the path is put behind the prefix as it is; behind a query it becomes a part of that."""
    await merchant.initiate(merchantInfo={"callbackPrefix": f"{place.url}{prefix}"})
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    ((_, received, _, _),) = place.received
    assert received == path
    assert sandbox.callbacks[0].url == f"{place.url}{prefix}/v2/payments/acme-1"


async def test_shipping_and_consent_go_to_their_prefixes_verbatim(
    sandbox: SandboxServer, merchant: Merchant, place: Shop
) -> None:
    """API guide, express checkout: a slash at the end of these prefixes doubles, too."""
    place.answer = {"addressId": 100, "orderId": "acme-1", "shippingDetails": [METHOD]}
    urls = {
        name: f"{place.url}/{name}/" for name in ("callbackPrefix", "consentRemovalPrefix", "shippingDetailsPrefix")
    }
    await merchant.initiate(merchantInfo={**EXPRESS, **urls})
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    await sandbox.remove_consent((await merchant.details("acme-1")).json["userDetails"]["userId"])
    paths = [path for _, path, _, _ in place.received]
    assert paths[0] == "/shippingDetailsPrefix//v2/payments/acme-1/shippingDetails"
    assert paths[1] == "/callbackPrefix//v2/payments/acme-1"
    assert paths[2].startswith("/consentRemovalPrefix//v2/consents/")


async def test_a_merchants_shipping_answer_may_hold_more(
    sandbox: SandboxServer, merchant: Merchant, place: Shop
) -> None:
    """Shops' plug-ins: fields that Vipps does not know, and nulls, in the answer to the question for shipping."""
    method = {**METHOD, "priority": None, "description": "By van."}
    place.answer = {"addressId": 100, "orderId": "acme-1", "shippingDetails": [method], "country": None}
    await merchant.initiate(merchantInfo={**EXPRESS, "shippingDetailsPrefix": place.url})
    assert (await sandbox.approve("acme-1")).state is State.RESERVE


# -- settings ----------------------------------------------------------------------------------------------------------


async def test_the_sales_unit_of_callbacks_by_switch(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """API guide and shops' logs: `merchantSerialNumber` comes as text or as a number."""
    await merchant.initiate("acme-1", merchantInfo={"callbackPrefix": place.url})
    await sandbox.approve("acme-1")
    await _set(merchant, numericCallbackMsn=True)
    await merchant.initiate("acme-2", merchantInfo={"callbackPrefix": place.url})
    await sandbox.approve("acme-2")
    await sandbox.callbacks_delivered()
    told = {body["orderId"]: body["merchantSerialNumber"] for _, _, _, body in place.received}
    assert told == {"acme-1": "123456", "acme-2": 123456}


async def test_permissions_by_switch(merchant: Merchant) -> None:
    """API guide: skipLandingPage is 38 and the scope nin 403/51 until the sales unit may."""
    skip: dict[str, Any] = {"transaction": {"skipLandingPage": True}, "customerInfo": {"mobileNumber": "91234567"}}
    nin: dict[str, Any] = {"transaction": {"scope": "nin"}}
    assert (await merchant.initiate("acme-1", **skip)).codes == [("Merchant", "38")]
    refused = await merchant.initiate("acme-2", **nin)
    assert (refused.status, refused.codes) == (403, [("Merchant", "51")])
    await _set(merchant, skipLandingPage=["123456"], nin=["123456"])
    assert (await merchant.initiate("acme-1", **skip)).status == 200
    assert (await merchant.initiate("acme-2", **nin)).status == 200


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("40000081", ("User", "81")),
        ("40000082", ("User", "82")),
        ("40001082", ("Payment", "1082")),
        ("40001501", ("Payment", "1501")),
    ],
)
async def test_numbers_that_stand_for_who_cannot_pay(merchant: Merchant, number: str, code: tuple[str, str]) -> None:
    """API guide, error codes: each of what a customer's number may lead to can be had by one, however it is written."""
    assert (await merchant.initiate("acme-1", customerInfo={"mobileNumber": f"+47 {number}"})).codes == [code]
    url = (await merchant.initiate("acme-1")).json["url"]
    assert (await merchant.force_approve("acme-1", customerPhoneNumber=number)).codes == [code]
    form = {"token": url.partition("token=")[2], "answer": "number", "number": number}
    async with merchant.session.post(url.partition("?")[0], data=form, allow_redirects=False) as page:
        assert page.status == 400
        assert f"({code[1]})." in await page.text()


@pytest.mark.parametrize("code", ["21", "22", "31", "32", "33", "36", "37", "39", "97"])
async def test_merchants_that_are_refused(sandbox: SandboxServer, merchant: Merchant, code: str) -> None:
    """API guide, error codes: a blocked merchant and its like can initiate nothing; other sales units can."""
    await merchant.initiate("acme-1")
    await sandbox.approve("acme-1")
    await _set(merchant, refuse={"123456": code})
    assert (await merchant.initiate("acme-2")).codes == [("Merchant", code)]
    assert (await merchant.capture("acme-1")).status == 200
    merchant.msn = "654321"
    assert (await merchant.initiate("acme-2")).status == 200
    await _set(merchant, refuse={})
    merchant.msn = "123456"
    assert (await merchant.initiate("acme-2")).status == 200


@pytest.mark.parametrize("amount", [151, 182, 183, 184, 186, 187, 197, 202])
async def test_test_amounts_are_refused(sandbox: SandboxServer, merchant: Merchant, amount: int) -> None:
    """Test-environment page: the bank refuses these amounts in the app; force approve ignores that."""
    for order_id in ("acme-1", "acme-2"):
        await merchant.initiate(order_id, amount)
    await sandbox.approve("acme-1")
    newest = (await merchant.details("acme-1")).json["transactionLogHistory"][0]
    assert (newest["operation"], newest["operationSuccess"]) == ("RESERVE", False)
    assert (await merchant.force_approve("acme-2")).status == 200
    assert sandbox.payment("acme-2").reserved == amount


async def test_the_test_amount_201_by_switch(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Test-environment page: 201 is unknown for one hour; here for as long as wanted."""
    await _set(merchant, unknownFor=60, subDelay=0)
    await merchant.initiate("acme-1", 201)
    await sandbox.approve("acme-1")
    assert (await merchant.status("acme-1")).json["transactionInfo"]["status"] == "REGISTER"
    sandbox.clock.advance(61)
    assert (await merchant.status("acme-1")).json["transactionInfo"]["status"] == "RESERVE"


async def test_a_late_sub_by_switch(sandbox: SandboxServer, merchant: Merchant) -> None:
    """User info page: `sub` appears some time after the approval."""
    await _set(merchant, subDelay=5)
    await merchant.initiate(transaction={"scope": "name"})
    await sandbox.approve("acme-1")
    assert "sub" not in (await merchant.details("acme-1")).json
    sandbox.clock.advance(6)
    assert "sub" in (await merchant.details("acme-1")).json
