"""Requests that Vipps takes and refuses, by plain HTTP: each case names the page or program that it is known from."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.sandbox.driver import EXPRESS, METHOD, Merchant, Shop, merchant_at
from vipps_async.sandbox import SandboxServer, SandboxSettings

# -- requests that are taken -------------------------------------------------------------------------------------------

PATHS = [
    ("quick start and Postman collection: a slash at the end", "/ecomm/v2/payments/", "/ecomm/v2/payments/{}/details/"),
    ("shops' plug-ins: a capital letter", "/Ecomm/v2/payments", "/Ecomm/v2/payments/{}/details"),
    ("the same, in each part up to the id", "/ECOMM/V2/Payments/", "/eComm/V2/PAYMENTS/{}/details"),
]


@pytest.mark.parametrize(("source", "initiate", "details"), PATHS, ids=[row[0] for row in PATHS])
async def test_paths(merchant: Merchant, source: str, initiate: str, details: str) -> None:
    """A slash at the end and the case up to the id change nothing."""
    answer = await merchant.call("POST", initiate, merchant.initiation("Acme-1"))
    assert answer.status == 200, source
    assert (await merchant.call("GET", details.format("Acme-1"))).status == 200
    # API description: order ids are case-sensitive.
    assert (await merchant.call("GET", details.format("acme-1"))).codes == [("Merchant", "35")]


@pytest.mark.parametrize("path", ["/accesstoken/get", "/accessToken/get", "/AccessToken/Get/", "/accesstoken/get/"])
async def test_paths_of_the_token(merchant: Merchant, path: str) -> None:
    """Getting-started page and quick start: both spellings, and whatever stands between them."""
    answer = await merchant.call("POST", path, headers={"client_id": "a", "client_secret": "b"})
    assert answer.status == 200


async def test_every_operation_is_known_by_any_of_its_paths(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Shops' plug-ins: what is scripted, counted and shown for an operation holds for each spelling of its path."""
    await merchant.initiate("acme-1")
    calls = [
        ("POST", "/ECOMM/v2/integration-test/payments/acme-1/approve/", {}),
        ("POST", "/Ecomm/v2/payments/acme-1/capture/", merchant._body(10_000, "Shipped.")),
        ("POST", "/Ecomm/v2/payments/acme-1/refund", merchant._body(5_000, "Returned.")),
        ("GET", "/Ecomm/v2/payments/acme-1/status/", None),
        (
            "PUT",
            "/Ecomm/v2/payments/acme-1/cancel/",
            {**merchant._body(None, "-"), "shouldReleaseRemainingFunds": True},
        ),
    ]
    for method, path, body in calls:
        assert (await merchant.call(method, path, body, headers={"X-Request-Id": path[-9:]})).status == 200
    assert [record.operation for record in sandbox.requests][2:] == ["approve", "capture", "refund", "status", "cancel"]
    async with merchant.session.get(f"{merchant.url}/sandbox/payments/123456/acme-1") as page:
        html = await page.text()
    assert all(f"<strong>{operation}</strong>" in html for operation in ("approve", "capture", "refund", "cancel"))


#: Source, and the parts of an initiate that it has.
TAKEN: list[tuple[str, dict[str, Any]]] = [
    ("quick start: timeStamp", {"transaction": {"timeStamp": "2018-12-12T11:18:38.246Z"}}),
    ("old API guide: refOrderId", {"transaction": {"refOrderId": "acme-0"}}),
    ("old plug-ins: fields of their own", {"additionalInfo": {"shop": "acme"}, "customerInfo": {"ssn": ""}}),
    ("plug-ins in PHP: null for what is not set", {"customerInfo": {"mobileNumber": None}}),
    (
        "the same, in each part",
        {
            "merchantInfo": {"authToken": None, "paymentType": None, "shippingDetailsPrefix": None, "isApp": None},
            "transaction": {"scope": None, "skipLandingPage": None, "additionalData": None},
        },
    ),
    (
        "API description: flags that are false",
        {
            "merchantInfo": {"isApp": False},
            "transaction": {"skipLandingPage": False, "useExplicitCheckoutFlow": False},
        },
    ),
    ("API description: no smallest length of texts", {"merchantInfo": {"authToken": ""}, "transaction": {"scope": ""}}),
    ("API guide: paymentType of a regular payment", {"merchantInfo": {"paymentType": "eComm Regular Payment"}}),
    (
        "Postman collection: express prefixes on a regular payment",
        {"merchantInfo": {**EXPRESS, "paymentType": "eComm Regular Payment"}},
    ),
    (
        "Postman collection: the same without paymentType",
        {"merchantInfo": {"consentRemovalPrefix": "https://example.com/"}},
    ),
    ("API guide: express with a prefix", {"merchantInfo": EXPRESS}),
    ("API guide: express with both ways of shipping", {"merchantInfo": {**EXPRESS, "staticShippingDetails": [METHOD]}}),
    ("API description: an empty list of shipping", {"merchantInfo": {**EXPRESS, "staticShippingDetails": []}}),
    ("vendor's Python example: a phone number as a number", {"customerInfo": {"mobileNumber": 91234567}}),
    ("API guide: null where express takes none", {"merchantInfo": EXPRESS, "transaction": {"scope": None}}),
]


@pytest.mark.parametrize(("source", "parts"), TAKEN, ids=[row[0] for row in TAKEN])
async def test_initiates_that_are_taken(merchant: Merchant, source: str, parts: dict[str, Any]) -> None:
    """Whatever a client of another make sends by these pages, the payment is initiated."""
    assert (await merchant.initiate(**parts)).status == 200, source


async def test_static_shipping_wins(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """API guide: with prefix and static details, nobody is asked for shipping."""
    urls = dict.fromkeys(("callbackPrefix", "consentRemovalPrefix", "shippingDetailsPrefix"), place.url)
    answer = await merchant.initiate(merchantInfo={**EXPRESS, **urls, "staticShippingDetails": [METHOD]})
    assert answer.status == 200
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    assert [path for _, path, _, _ in place.received] == ["/v2/payments/acme-1"]
    assert (await merchant.details("acme-1")).json["shippingDetails"]["shippingMethodId"] == "parcel"


async def test_what_is_ignored_is_counted_and_shown(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Quick start: unknown fields and nulls are taken; here they are counted, so that a misspelt name is found."""
    for order_id in ("acme-1", "acme-2"):
        await merchant.initiate(order_id, transaction={"skiplandingpage": True}, customerInfo={"mobileNumber": None})
    await sandbox.approve("acme-1")
    body = merchant._body(10_000, "Shipped.")
    body["transaction"]["orderid<b>"] = "acme-1"
    answer = await merchant.call("POST", "/ecomm/v2/payments/acme-1/capture", body, headers={"X-Request-Id": "k"})
    assert answer.status == 200
    counted = {
        ("initiate", "transaction.skiplandingpage", "unknown"): 2,
        ("initiate", "customerInfo.mobileNumber", "null"): 2,
        ("capture", "transaction.orderid<b>", "unknown"): 1,
    }
    assert sandbox.ignored == counted
    async with merchant.session.get(f"{merchant.url}/sandbox/requests") as page:
        html = await page.text()
    assert re.search(r"transaction\.skiplandingpage(</\w+>)+ unknown, 2 times", html)
    assert "orderid<b>" not in html
    async with merchant.session.get(f"{merchant.url}/sandbox/ignored") as listed:
        lines = (await listed.json())["ignored"]
    assert {(line["operation"], line["place"], line["kind"]): line["count"] for line in lines} == counted


async def test_a_strict_sandbox_refuses_what_is_ignored() -> None:
    """Not as Vipps does, but to find misspelt names: with `strict` they are refused, and so are nulls."""
    async with (
        SandboxServer(settings=SandboxSettings(strict=True), rate_limits=False) as sandbox,
        merchant_at(sandbox.url) as merchant,
    ):
        misspelt = await merchant.initiate(transaction={"skiplandingpage": True})
        assert misspelt.codes == [("InvalidRequest", "transaction.skiplandingpage")]
        assert (await merchant.initiate(merchantInfo={"isApp": None})).codes == [
            ("InvalidRequest", "merchantInfo.isApp")
        ]
        assert (await merchant.initiate()).status == 200
        assert sandbox.ignored == {}


async def test_a_null_amount_takes_all_that_remains(sandbox: SandboxServer, merchant: Merchant) -> None:
    """API guide: no amount captures the full amount; null is the same as left out."""
    await merchant.initiate("acme-1")
    await sandbox.approve("acme-1")
    body = merchant._body(None, "Shipped.")
    for amount in ({"amount": None}, {}):
        sent = {**body, "transaction": {**body["transaction"], **amount}}
        answer = await merchant.call("POST", "/ecomm/v2/payments/acme-1/capture", sent, headers={"X-Request-Id": "k"})
        assert (answer.status, answer.json["transactionInfo"]["amount"]) == (200, 49_900)
    assert sandbox.payment("acme-1").captured == 49_900


async def test_captures_with_all_of_an_initiates_merchant(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Vendor's Python example: captures and refunds repeat the merchantInfo and customerInfo of the initiate."""
    await merchant.initiate("acme-1")
    await sandbox.approve("acme-1")
    body = merchant.initiation("acme-1", 10_000)
    for operation in ("capture", "refund"):
        path = f"/ecomm/v2/payments/acme-1/{operation}"
        assert (await merchant.call("POST", path, body, headers={"X-Request-Id": "k"})).status == 200
    assert sandbox.payment("acme-1").refunded == 10_000


@pytest.mark.parametrize("number", ["+47 480 59 528", "4748059528", "004748059528", "48 05 95 28", "(+47) 480-59-528"])
async def test_phone_numbers_are_corrected(sandbox: SandboxServer, merchant: Merchant, number: str) -> None:
    """API description: Vipps attempts to correct numbers instead of refusing them."""
    assert (await merchant.initiate(customerInfo={"mobileNumber": number}, transaction={"scope": "name"})).status == 200
    await sandbox.approve("acme-1")
    assert (await merchant.details("acme-1")).json["userDetails"]["mobileNumber"] == "48059528"


# -- requests that are refused -----------------------------------------------------------------------------------------

BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("FAQ: a numeric MSN", {"merchantInfo": {"merchantSerialNumber": 123456}}, "merchantSerialNumber"),
    ("FAQ: an amount with decimals", {"transaction": {"amount": 499.5}}, "transaction.amount"),
    ("the same, a whole number with a point", {"transaction": {"amount": 49900.0}}, "transaction.amount"),
    ("the same, text", {"transaction": {"amount": "49900"}}, "transaction.amount"),
    ("FAQ: fallback for fallBack", {"merchantInfo": {"fallBack": None, "fallback": "https://example.com"}}, "fallBack"),
    ("the same, for each required name", {"transaction": {"orderId": None, "orderid": "acme-1"}}, "orderId"),
]


@pytest.mark.parametrize(("source", "parts", "place"), BROKEN, ids=[row[0] for row in BROKEN])
async def test_what_vipps_breaks_at(merchant: Merchant, source: str, parts: dict[str, Any], place: str) -> None:
    """It answers 500 instead of 400; the message here names the field."""
    answer = await merchant.initiate(**parts)
    assert (answer.status, answer.codes) == (500, [("VippsError", "99")]), source
    assert place in answer.message


async def test_the_quick_starts_own_body(merchant: Merchant) -> None:
    """Quick start: its initiate has commas that JSON does not take. 500, and here the message names the line."""
    body = json.dumps(merchant.initiation("acme-1"), indent=2).replace('socks."', 'socks.",').encode()
    answer = await merchant.call("POST", "/ecomm/v2/payments/", body)
    assert (answer.status, answer.codes) == (500, [("VippsError", "99")])
    line = 1 + body[: body.index(b'socks.",')].count(b"\n")
    assert f"the comma in line {line} stands before }}" in answer.message


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "text/json", ""])
async def test_other_content_types(merchant: Merchant, media: str) -> None:
    """API description: bodies are application/json. Anything else is 415, whatever the body holds."""
    answer = await merchant.call(
        "POST", "/ecomm/v2/payments", merchant.initiation("acme-1"), headers={"Content-Type": media}
    )
    assert answer.status == 415
    assert answer.codes == [("InvalidRequest", "Content-Type")]


@pytest.mark.parametrize("number", ["+46 70 123 45 67", "123", "", "no number"])
async def test_numbers_that_are_none(merchant: Merchant, number: str) -> None:
    """API description: what cannot be corrected is error 81."""
    assert (await merchant.initiate(customerInfo={"mobileNumber": number})).codes == [("User", "81")]


#: Source, URL, whether a prefix may be it, whether a fallBack may.
URLS = [
    ("API guide: https", "https://example.com/vipps", True, True),
    ("Apache: a port", "https://example.com:8443/vipps", True, True),
    ("Apache: a query", "https://example.com/vipps?shop=acme&x=%2F", True, True),
    ("Apache: an internationalised name", "https://bløt.no/vipps", True, True),
    ("Apache: the same in ASCII", "https://xn--blt-0na.no/vipps", True, True),
    ("Apache: an address", "https://192.0.2.7/vipps", True, True),
    ("Apache: a dot at the end of the name", "https://example.com./vipps", True, True),
    ("Apache: dots that are no step up", "https://example.com/a..b/...", True, True),
    ("FAQ: no localhost", "https://localhost/vipps", False, False),
    ("FAQ: 127.0.0.1 instead; of prefixes only here", "http://127.0.0.1:3000/vipps", True, True),
    ("API guide: no http", "http://example.com/vipps", False, False),
    ("Apache: a bare name", "https://shop/vipps", False, False),
    ("Apache: an underscore", "https://my_shop.example.com/vipps", False, False),
    ("Apache: an empty label", "https://shop..example.com/vipps", False, False),
    ("Apache: a label of a hyphen", "https://-.example.com/vipps", False, False),
    ("Apache: a number as the last label", "https://shop.123/vipps", False, False),
    ("Apache: two slashes", "https://example.com//vipps", False, False),
    ("the same on loopback", "http://127.0.0.1:3000/shop//vipps", False, False),
    ("Apache: a step up", "https://example.com/shop/../vipps", False, False),
    ("Apache: braces", "https://example.com/{shop}", False, False),
    ("Apache: a bar", "https://example.com/a|b", False, False),
    ("Apache: a bad escape", "https://example.com/%zz", False, False),
    ("Apache: braces in the query", "https://example.com/?shop={shop}", False, False),
    ("Apache: a letter that wants escaping", "https://example.com/bløt", False, False),
    ("API guide: an app's scheme", "myapp://result", False, True),
    ("API guide: Android", "INTENT", False, True),
]


@pytest.mark.parametrize("row", URLS, ids=[row[0] for row in URLS])
async def test_urls(merchant: Merchant, row: tuple[str, str, bool, bool]) -> None:
    """The validator of Apache Commons, which Vipps uses, decides; the prefixes of express are held to it, too."""
    source, url, as_prefix, as_fall_back = row
    for name, good in (
        *((name, as_prefix) for name in ("callbackPrefix", "consentRemovalPrefix", "shippingDetailsPrefix")),
        ("fallBack", as_fall_back),
    ):
        body = merchant.initiation(f"acme-{name}")
        body["merchantInfo"][name] = url
        answer = await merchant.call("POST", "/ecomm/v2/payments", body)
        assert answer.status == (200 if good else 400), (source, name)
        if not good:
            assert answer.codes == [("InvalidRequest", f"merchantInfo.{name}")]


async def test_hosts_that_the_sandbox_was_told_of() -> None:
    """Not as Vipps does: a container's name is no public one, and passes once `--callback-hosts` names it."""
    async with (
        SandboxServer(callback_hosts=["my_shop", "localhost"], rate_limits=False) as sandbox,
        merchant_at(sandbox.url) as merchant,
    ):
        for number, host in enumerate(("my_shop", "MY_SHOP:3000", "localhost:8000")):
            urls = {"callbackPrefix": f"http://{host}/vipps", "fallBack": f"https://{host}/result"}
            body = merchant.initiation(f"acme-{number}")
            body["merchantInfo"].update(urls)
            assert (await merchant.call("POST", "/ecomm/v2/payments", body)).status == 200
        assert (await merchant.initiate(merchantInfo={"callbackPrefix": "http://my_shop/{x}"})).status == 400


async def test_the_page_says_what_vipps_would_not_take(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """API guide: prefixes are https. Http on loopback is taken here, and the payment's page says so."""
    await merchant.initiate(merchantInfo={"callbackPrefix": place.url})
    async with merchant.session.get(f"{merchant.url}/sandbox/payments/123456/acme-1") as page:
        assert "Vipps itself refuses http" in await page.text()
