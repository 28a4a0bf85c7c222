"""The vendor's Postman collection against the sandbox: its requests as data, in its order.

It is the collection of May 2022: paths with a slash at the end, `/accessToken/get`, four headers that name the system,
a new `authToken` for each payment, order ids of digits alone, and the order id as `X-Request-Id`.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.end_to_end.outsider import KEYS, Outsider, Sent, outsider_at
from tests.sandbox.driver import Shop, shop
from vipps_async.sandbox import SandboxServer, SandboxSettings, State

#: Øre.
PRICE = 49_900
#: On every request.
_OF_ALL = {
    "Merchant-Serial-Number": "123456",
    "Vipps-System-Name": "postman",
    "Vipps-System-Version": "2.0",
    "Vipps-System-Plugin-Name": "vipps-postman",
    "Vipps-System-Plugin-Version": "2.0",
    # What Postman itself adds.
    "User-Agent": "PostmanRuntime/7.29.0",
    "Cache-Control": "no-cache",
    "Postman-Token": str(uuid.uuid4()),
}


class Collection:
    """Runs the collection's requests, with an environment that its scripts write to."""

    def __init__(self, outsider: Outsider, place: Shop) -> None:
        self.outsider = outsider
        self.place = place
        self.bearer = ""
        self.order_id = ""
        self.payment_token = ""
        self.auth_token = ""

    def _headers(self, **further: str) -> dict[str, str]:
        return {
            **_OF_ALL,
            "Ocp-Apim-Subscription-Key": "key",
            "Authorization": f"Bearer {self.bearer}",
            "Content-Type": "application/json",
            **further,
        }

    async def _send(self, method: str, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        # Its bodies are laid out over lines, which end as on Windows.
        laid_out = json.dumps(body, indent=4).replace("\n", "\r\n").encode()
        return await self.outsider.send(Sent(method, path, self._headers(**headers), laid_out))

    async def log_in(self) -> None:
        """Get an access token."""
        headers = {
            "client_id": "client-id",
            "client_secret": "client-secret",
            "Ocp-Apim-Subscription-Key": "key",
            **_OF_ALL,
        }
        status, answer = await self.outsider.send(Sent("POST", "/accessToken/get", headers))
        assert status == 200
        self.bearer = answer["access_token"]

    async def initiate(self, merchant: dict[str, Any], transaction: dict[str, Any]) -> None:
        """Initiate; its scripts make the order id of the sales unit and the time, and cut the token out of the URL."""
        self.order_id = f"123456{time.time_ns() // 1_000_000}"
        self.auth_token = str(uuid.uuid4())
        body = {
            "merchantInfo": {
                "authToken": self.auth_token,
                "callbackPrefix": f"{self.place.url}/callbacks",
                "fallBack": f"{self.place.url}/result",
                "merchantSerialNumber": "123456",
                **merchant,
            },
            "customerInfo": {"mobileNumber": "91234567"},
            "transaction": {
                "amount": PRICE,
                "orderId": self.order_id,
                "transactionText": "One pair of socks.",
                **transaction,
            },
        }
        status, answer = await self._send("POST", "/ecomm/v2/payments/", body)
        assert (status, answer["orderId"]) == (200, self.order_id)
        self.payment_token = answer["url"].split("=")[2]

    async def approve(self) -> int:
        """Force approve, with the order id as key."""
        path = f"/ecomm/v2/integration-test/payments/{self.order_id}/approve"
        body = {"customerPhoneNumber": "91234567", "token": self.payment_token}
        return (await self._send("POST", path, body, **{"X-Request-Id": self.order_id}))[0]

    async def details(self) -> Any:
        """Ask details, without a content type."""
        headers = self._headers()
        del headers["Content-Type"]
        status, answer = await self.outsider.send(Sent("GET", f"/ecomm/v2/payments/{self.order_id}/details", headers))
        assert status == 200
        return answer

    async def act(self, method: str, operation: str, transaction: dict[str, Any], **headers: str) -> tuple[int, Any]:
        """Capture, refund or cancel."""
        body = {"merchantInfo": {"merchantSerialNumber": "123456"}, "transaction": transaction}
        return await self._send(method, f"/ecomm/v2/payments/{self.order_id}/{operation}", body, **headers)


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    """One that looks at the keys."""
    async with SandboxServer(settings=SandboxSettings(credentials=[KEYS], sub_delay=0.0)) as server:
        yield server


@pytest.fixture
async def collection(sandbox: SandboxServer) -> AsyncIterator[Collection]:
    """The collection, logged in, with a shop behind its prefixes."""
    async with outsider_at(sandbox.url) as outsider, shop() as place:
        opened = Collection(outsider, place)
        await opened.log_in()
        yield opened


def operations(details: Any) -> list[tuple[str, int]]:
    """Return operation and amount of each entry of a history, oldest first."""
    return [(entry["operation"], entry["amount"]) for entry in reversed(details["transactionLogHistory"])]


async def test_from_initiate_to_refund(collection: Collection, sandbox: SandboxServer) -> None:
    """Initiate, force approve, details, capture of all by 0, refund of all by no amount, details; one key for three."""
    await collection.initiate({}, {"skipLandingPage": False})
    assert await collection.approve() == 200
    assert operations(await collection.details()) == [("INITIATE", PRICE), ("RESERVE", PRICE)]
    key = {"X-Request-Id": collection.order_id}
    for _ in range(2):
        # Pressed twice: the same key is answered again, and moves nothing.
        status, answer = await collection.act("POST", "capture", {"amount": 0, "transactionText": "Captured."}, **key)
        assert (status, answer["transactionInfo"]["amount"]) == (200, PRICE)
    status, answer = await collection.act("POST", "refund", {"transactionText": "Refunded."}, **key)
    assert (status, answer["transaction"]["amount"]) == (200, PRICE)
    assert operations(await collection.details())[2:] == [("CAPTURE", PRICE), ("REFUND", PRICE)]
    await sandbox.callbacks_delivered()
    ((_, path, headers, _),) = collection.place.received
    assert (path, headers["Authorization"]) == (
        f"/callbacks/v2/payments/{collection.order_id}",
        collection.auth_token,
    )


async def test_a_payment_that_is_cancelled(collection: Collection, sandbox: SandboxServer) -> None:
    """Cancel takes no key."""
    await collection.initiate({}, {"skipLandingPage": False})
    status, answer = await collection.act("PUT", "cancel", {"transactionText": "Cancelled."})
    assert (status, answer["transactionInfo"]["status"]) == (200, "Cancelled")
    assert sandbox.payment(collection.order_id).state is State.CANCEL


async def test_express_with_prefix_and_static_shipping(collection: Collection, sandbox: SandboxServer) -> None:
    """It sends both: the static ways of shipping win, the shop is not asked, and the chosen one is added."""
    methods = [
        {"isDefault": "Y", "priority": 1, "shippingCost": 30, "shippingMethod": "One", "shippingMethodId": "id-1"},
        {"isDefault": "N", "priority": 2, "shippingCost": 100, "shippingMethod": "Two", "shippingMethodId": "id-2"},
    ]
    express = {
        "consentRemovalPrefix": f"{collection.place.url}/consents",
        "paymentType": "eComm Express Payment",
        "shippingDetailsPrefix": f"{collection.place.url}/shipping",
        "staticShippingDetails": methods,
    }
    await collection.initiate(express, {})
    # Force approve is not for express checkout, as its description says.
    assert await collection.approve() == 400
    await sandbox.approve(collection.order_id, shipping_method_id="id-2")
    await sandbox.callbacks_delivered()
    ((_, path, _, told),) = collection.place.received
    assert path == f"/callbacks/v2/payments/{collection.order_id}"
    assert (told["transactionInfo"]["status"], told["transactionInfo"]["amount"]) == ("RESERVE", PRICE + 10_000)
    details = await collection.details()
    assert operations(details) == [("INITIATE", PRICE), ("RESERVE", PRICE + 10_000)]
    key = {"X-Request-Id": collection.order_id}
    status, answer = await collection.act("POST", "capture", {"amount": 0, "transactionText": "Captured."}, **key)
    assert (status, answer["transactionInfo"]["amount"]) == (200, PRICE + 10_000)


async def test_the_profile_flow(collection: Collection) -> None:
    """A payment with a scope; details give `sub`, and user info is asked with the token and without the key."""
    scope = "address name email birthDate phoneNumber"
    await collection.initiate({}, {"skipLandingPage": False, "scope": scope})
    assert await collection.approve() == 200
    sub = (await collection.details())["sub"]
    headers = {**_OF_ALL, "Authorization": f"Bearer {collection.bearer}"}
    status, claims = await collection.outsider.send(Sent("GET", f"/vipps-userinfo-api/userinfo/{sub}", headers))
    assert (status, claims["sub"]) == (200, sub)
    assert claims.keys() >= {"address", "name", "email", "birthdate", "phone_number"}


async def test_the_qr_code_is_another_api(collection: Collection) -> None:
    """Its first request asks another API for a picture of the landing page's URL: 404 here."""
    sent = Sent("POST", "/qr/v1", collection._headers(Accept="image/png"), {"url": "https://example.com"})
    async with collection.outsider.session.post(
        collection.outsider.url + sent.path, json=sent.body, headers=dict(sent.headers)
    ) as answer:
        assert answer.status == 404
