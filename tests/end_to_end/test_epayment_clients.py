"""Clients of another make against ePayment and webhooks of the sandbox: their requests as data, to the byte.

The vendor's two SDKs of npm, its Postman collections and its WooCommerce plug-in differ in all that HTTP and JSON leave
open: which headers a request has, whether it has a body and how that is laid out, numbers for text, when a key is new.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from attrs import field, frozen

from tests.end_to_end.outsider import KEYS, Outsider, Sent, outsider_at
from vipps_async.sandbox import SandboxServer, SandboxSettings

PAYMENTS, HOOKS = "/epayment/v1/payments", "/webhooks/v1/webhooks"
_UNIT = {"Ocp-Apim-Subscription-Key": "key", "Merchant-Serial-Number": "123456"}
_LOG_IN = {"client_id": "client-id", "client_secret": "client-secret", "Ocp-Apim-Subscription-Key": "key"}
_JSON = {"Content-Type": "application/json"}


@frozen
class Client:
    """How a client writes its requests. In bodies, ``%s`` stands for a reference or an amount in øre."""

    name: str
    #: Path and headers of its request for a token, and on every other one the headers but token and key.
    token: tuple[str, Mapping[str, str]]
    headers: Mapping[str, str]
    create: bytes
    move: bytes
    approve: bytes
    #: It may be none at all.
    cancel: bytes = b""
    register: bytes = b""
    #: Further headers of requests with a body, and of those without.
    with_body: Mapping[str, str] = field(factory=dict)
    without_body: Mapping[str, str] = field(factory=dict)
    #: Requests with a key, by the last part of their path; None: all of them.
    with_key: frozenset[str] | None = frozenset({"payments", "capture", "refund", "cancel"})
    #: Its key for these; None: a new one each time.
    key: Mapping[str, str] | None = None
    reference: str = "acme-shop-1"

    def request(self, bearer: str, method: str, path: str, body: bytes = b"", key: str | None = None) -> Sent:
        """Return a request; its key, if it has one, is the one given, its own or a new one."""
        headers = {
            **self.headers,
            **(self.with_body if body else self.without_body),
            "Authorization": f"Bearer {bearer}",
        }
        last = path.rpartition("/")[2]
        if self.with_key is None or (method == "POST" and last in self.with_key):
            headers["Idempotency-Key"] = key or (self.key or {}).get(last) or str(uuid.uuid4())
        return Sent(method, path, headers, body)


_SDK = {
    **_JSON,
    **_UNIT,
    "User-Agent": "Vipps/Deno-SDK/npm-module/2.4.1",
    "Vipps-System-Name": "",
    "Vipps-System-Version": "",
    "Vipps-System-Plugin-Name": "",
    "Vipps-System-Plugin-Version": "",
}
#: `@vippsmobilepay/sdk` 2.4.2 of npm: a content type and a key on every request, reads and that for the token among
#: them, that one with an empty bearer; system headers that are empty; a UUID for a reference; a cancel without a body.
SDK = Client(
    name="@vippsmobilepay/sdk",
    token=("/accesstoken/get", {**_SDK, **_LOG_IN, "Authorization": "Bearer", "Idempotency-Key": "token-1"}),
    headers=_SDK,
    create=(
        b'{"amount":{"currency":"NOK","value":1000},"paymentMethod":{"type":"WALLET"},'
        b'"customer":{"phoneNumber":"4712345678"},"returnUrl":"https://example.com/redirect",'
        b'"userFlow":"WEB_REDIRECT","paymentDescription":"One pair of socks","reference":"%s"}'
    ),
    move=b'{"modificationAmount":{"currency":"NOK","value":%s}}',
    approve=b'{"customer":{"phoneNumber":"4712345678"}}',
    register=b'{"events":["epayments.payment.created.v1","user.checked-in.v1"],"url":"https://example.com/hook"}',
    with_key=None,
    reference="c633122b-f2e3-4d5f-a7d5-a72996728e48",
)
#: `@vippsno/vipps-sdk` 0.9.13 of npm: a charset in quotation marks, bodies in chunks, no key on reads and force
#: approve, a cancel without a body, and nothing but the keys on its request for a token.
NODE = Client(
    name="@vippsno/vipps-sdk",
    token=("/accesstoken/get", {**_LOG_IN, "User-Agent": "Vipps/Node SDK/0.9.13"}),
    headers={
        **_UNIT,
        "User-Agent": "Vipps/Node SDK/0.9.13",
        "Content-Type": 'application/json; charset="utf-8"',
        "Vipps-System-Name": "",
        "Vipps-System-Version": "",
        "Vipps-System-Plugin-Name": "acme-plugin",
        "Vipps-System-Plugin-Version": "4.5.6",
    },
    create=(
        '{"amount":{"currency":"NOK","value":1000},"reference":"%s","paymentMethod":{"type":"WALLET"},'
        '"userFlow":"WEB_REDIRECT","returnUrl":"https://example.com/result","customer":{"phoneNumber":"4712345678"},'
        '"paymentDescription":"Et par blå sokker"}'
    ).encode(),
    move=b'{"modificationAmount":{"currency":"NOK","value":%s}}',
    approve=b'{"customer":{"phoneNumber":"4712345678"}}',
    with_body={"Transfer-Encoding": "chunked"},
)
_POSTMAN = {
    **_UNIT,
    "User-Agent": "PostmanRuntime/7.32.3",
    "Vipps-System-Name": "acme-enterprises",
    "Vipps-System-Version": "3.1.2",
    "Vipps-System-Plugin-Name": "acme-webshop",
    "Vipps-System-Plugin-Version": "4.5.6",
}
_ONE_KEY = dict.fromkeys(("payments", "capture", "refund", "cancel"), "2f1c0c2e-6a0e-4b0e-9d3b-0f5a4f7f2f11")
#: The vendor's Postman collections of ePayment and of webhooks, 2023: reference and phone number as numbers, the key of
#: the create on all that follows, a problem as the only answer that it accepts, and a token that its scripts never set.
POSTMAN = Client(
    name="Postman collections",
    token=("/accessToken/get", {**_POSTMAN, **_LOG_IN}),
    headers=_POSTMAN,
    create=(
        b'{\n  "amount": {\n    "value": 1000,\n    "currency": "NOK"\n  },\n  "paymentMethod": {\n'
        b'    "type": "WALLET"\n  },\n  "customer": {\n    "phoneNumber": 4712345678\n  },\n'
        b'  "reference": %s,\n  "userFlow": "WEB_REDIRECT",\n'
        b'  "returnUrl": "https://example.com/redirect?reference=1234561701197606333",\n'
        b'  "paymentDescription": "Purchase of socks"\n}'
    ),
    move=b'{\n  "modificationAmount": {\n    "value": %s,\n    "currency": "NOK"\n  }\n}',
    approve=b'{\n  "customer": {\n    "phoneNumber": 4712345678\n  },\n  "token": "{{payment_token}}"\n}',
    register=(b'{\r\n    "url": "https://example.com/hook",\r\n    "events": ["epayments.payment.captured.v1"]\r\n}'),
    with_body={**_JSON, "Accept": "application/problem+json"},
    without_body={"Accept": "application/problem+json"},
    key=_ONE_KEY,
    reference="1234561701197606333",
)
_WOO = {
    **_UNIT,
    "User-Agent": "WordPress/6.8.1; https://shop.example.com",
    "X-TimeStamp": "2025-06-02T10:00:00+00:00",
    "X-Source-Address": "127.0.0.1",
    "Vipps-System-Name": "woocommerce",
    "Vipps-System-Version": "6.8.1/9.8.5",
    "Vipps-System-Plugin-Name": "woo-vipps",
    "Vipps-System-Plugin-Version": "4.1.0",
    "Connection": "close",
}
#: The vendor's plug-in for WooCommerce, 2025: slashes and letters escaped, a receipt with a discount as a line of its
#: own, a field in the wrong place, a number for text, a null, the key 1, and a form's content type on its request for a
#: token.
WOO = Client(
    name="WooCommerce",
    token=(
        "/accessToken/get",
        {
            **_LOG_IN,
            "User-Agent": _WOO["User-Agent"],
            "Connection": "close",
            "Content-Type": "application/x-www-form-urlencoded",
        },
    ),
    headers=_WOO,
    create=(
        b'{"reference":"%s","paymentMethod":{"type":"WALLET"},"amount":{"currency":"NOK","value":1000},'
        b'"returnUrl":"https:\\/\\/shop.example.com\\/?wc-api=wc_gateway_vipps&id=1042&ls=abc",'
        b'"customer":{"customerInteraction":"CUSTOMER_NOT_PRESENT","phoneNumber":"4712345678"},'
        b'"metadata":{"orderid":1042},"minimumUserAge":null,"userFlow":"WEB_REDIRECT",'
        b'"paymentDescription":"Confirm your order from https:\\/\\/shop.example.com",'
        b'"receipt":{"orderLines":[{"name":"Bl\\u00e5 sokker","id":"17","totalAmount":1100,'
        b'"totalAmountExcludingTax":880,"totalTaxAmount":220,"taxRate":2500,'
        b'"unitInfo":{"unitPrice":550,"quantity":"2","quantityUnit":"PCS"},"discount":0,'
        b'"productUrl":"https:\\/\\/shop.example.com\\/product\\/sokker\\/","isShipping":false},'
        b'{"name":"Coupon","id":"coupon","totalAmount":-100,"totalAmountExcludingTax":-100,"totalTaxAmount":0,'
        b'"discount":0,"taxRate":0},'
        b'{"name":"Free shipping","id":"free_shipping:1","totalAmount":0,"totalAmountExcludingTax":0,'
        b'"totalTaxAmount":0,"taxRate":0,"unitInfo":{"unitPrice":0,"quantity":"1","quantityUnit":"PCS"},"discount":0,'
        b'"isShipping":true}],"bottomLine":{"tipAmount":0,"giftCardAmount":0,"terminalId":"woocommerce",'
        b'"currency":"NOK","receiptNumber":"1042"}}}'
    ),
    move=b'{"modificationAmount":{"value":%s,"currency":"NOK"}}',
    approve=b'{"customer":{"phoneNumber":"4712345678"}}',
    cancel=b'{"cancelTransactionOnly":false}',
    register=(
        b'{"url":"https:\\/\\/shop.example.com\\/?wc-api=wc_gateway_vipps&callback=webhook",'
        b'"events":["epayments.payment.authorized.v1","epayments.payment.aborted.v1",'
        b'"epayments.payment.expired.v1","epayments.payment.terminated.v1"]}'
    ),
    with_body=_JSON,
    key=dict.fromkeys(("payments", "capture", "refund", "cancel"), "1"),
    reference="Woo01042",
)
CLIENTS = [SDK, NODE, POSTMAN, WOO]


@frozen
class Till:
    """A client at work."""

    client: Client
    outsider: Outsider
    bearer: str = field(repr=False)

    async def send(self, method: str, path: str, body: bytes = b"", key: str | None = None) -> tuple[int, Any]:
        """Send a request in the client's way."""
        return await self.outsider.send(self.client.request(self.bearer, method, path, body, key))

    async def create(self, reference: str, key: str | None = None) -> tuple[int, Any]:
        """Create a payment."""
        return await self.send("POST", PAYMENTS, self.client.create % reference.encode(), key)

    async def move(self, operation: str, value: int) -> tuple[int, Any]:
        """Capture or refund."""
        body = self.client.move % str(value).encode()
        return await self.send("POST", f"{PAYMENTS}/{self.client.reference}/{operation}", body)


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    """One that looks at the keys."""
    async with SandboxServer(settings=SandboxSettings(credentials=[KEYS], sub_delay=0.0)) as server:
        yield server


@pytest.fixture(params=CLIENTS, ids=lambda client: client.name)
async def till(sandbox: SandboxServer, request: pytest.FixtureRequest) -> AsyncIterator[Till]:
    """Each client, with a token that it asked for in its own way."""
    client: Client = request.param
    async with outsider_at(sandbox.url) as outsider:
        status, answer = await outsider.send(Sent("POST", *client.token))
        assert (status, answer["token_type"]) == (200, "Bearer")
        yield Till(client, outsider, answer["access_token"])


async def test_from_create_to_cancel(till: Till, sandbox: SandboxServer) -> None:
    """Create, get, event log, force approve, capture and refund of a part, cancel of the rest."""
    reference = till.client.reference
    one = f"{PAYMENTS}/{reference}"
    status, made = await till.create(reference)
    assert (status, made) == (201, {"reference": reference, "redirectUrl": sandbox.landing_url(reference)})
    status, found = await till.send("GET", one)
    assert (status, found["state"], found["redirectUrl"]) == (200, "CREATED", made["redirectUrl"])
    approve = f"/epayment/v1/test/payments/{reference}/approve"
    # Status 200 and no body: what stands for JSON is None.
    assert await till.send("POST", approve, till.client.approve) == (200, None)
    for operation, value in (("capture", 600), ("refund", 100)):
        status, moved = await till.move(operation, value)
        assert (status, moved["aggregate"][f"{operation.removesuffix('e')}edAmount"]["value"]) == (200, value)
    status, cancelled = await till.send("POST", f"{one}/cancel", till.client.cancel)
    sums = {name.removesuffix("Amount"): amount["value"] for name, amount in cancelled["aggregate"].items()}
    assert (status, sums) == (200, {"authorized": 1000, "cancelled": 400, "captured": 600, "refunded": 100})
    status, events = await till.send("GET", f"{one}/events")
    assert (status, [(event["name"], event["amount"]["value"], event["success"]) for event in events]) == (
        200,
        [
            ("CREATED", 1000, True),
            ("AUTHORIZED", 1000, True),
            ("CAPTURED", 600, True),
            ("REFUNDED", 100, True),
            ("CANCELLED", 400, True),
        ],
    )


async def test_a_payment_that_is_cancelled_at_once(till: Till) -> None:
    """Another payment than the first, under another key; the cancel's key may be the one of every cancel."""
    for number in ("20000001", "20000002"):
        assert (await till.create(number, key=number))[0] == 201
        status, cancelled = await till.send("POST", f"{PAYMENTS}/{number}/cancel", till.client.cancel)
        assert (status, cancelled["state"]) == (200, "TERMINATED")


async def test_what_is_refused(till: Till) -> None:
    """A used reference, an unknown one, and a capture of what nobody accepted: the codes and shape that Vipps names."""
    reference = till.client.reference
    assert (await till.create(reference))[0] == 201
    for status, code, (found, problem) in (
        (409, "4150", await till.create(reference, key="another")),
        (400, "6080", await till.move("capture", 1000)),
        (404, "5090", await till.send("GET", f"{PAYMENTS}/20000003")),
    ):
        assert (found, problem["status"]) == (status, status)
        assert problem["extraDetails"] == [{"name": "ErrorCode", "reason": code}]
        assert {"type", "title", "traceId"} <= problem.keys()


@pytest.mark.parametrize("till", [SDK, POSTMAN, WOO], indirect=True, ids=lambda client: client.name)
async def test_webhooks(till: Till) -> None:
    """Register, list, delete: 201 with id and secret, 200, 204 without a body. The older SDK has none of them."""
    status, made = await till.send("POST", HOOKS, till.client.register)
    assert (status, made.keys()) == (201, {"id", "secret"})
    status, listed = await till.send("GET", HOOKS)
    assert (status, [one["id"] for one in listed["webhooks"]]) == (200, [made["id"]])
    assert await till.send("DELETE", f"{HOOKS}/{made['id']}") == (204, None)
    assert (await till.send("GET", HOOKS))[1] == {"webhooks": []}


async def test_an_older_collection_wants_to_return_by_http(sandbox: SandboxServer) -> None:
    """The first Postman collections had `http` in `returnUrl`, which the API description excludes: 4090."""
    async with outsider_at(sandbox.url) as outsider:
        _, answer = await outsider.send(Sent("POST", *POSTMAN.token))
        body = POSTMAN.create.replace(b"https://", b"http://") % POSTMAN.reference.encode()
        status, problem = await outsider.send(POSTMAN.request(answer["access_token"], "POST", PAYMENTS, body))
    assert (status, problem["extraDetails"]) == (400, [{"name": "ErrorCode", "reason": "4090"}])
