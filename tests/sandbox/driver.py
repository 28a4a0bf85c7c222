"""A merchant without any client library, and a shop that Vipps can call: bare aiohttp, as outsiders would write it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web
from attrs import define, field, frozen

__all__ = ["DETAILS", "EXPRESS", "METHOD", "MSN", "Answer", "Merchant", "Shop", "merchant_at", "shop", "until"]

MSN = "123456"
#: Express checkout at a shop that is asked for its ways of shipping, and one of these.
EXPRESS = {
    "paymentType": "eComm Express Payment",
    "consentRemovalPrefix": "https://example.com/consents",
    "shippingDetailsPrefix": "https://example.com/shipping",
}
METHOD = {"isDefault": "Y", "shippingCost": 49.5, "shippingMethod": "Parcel", "shippingMethodId": "parcel"}
DETAILS = "/ecomm/v2/payments/acme-1/details"


@frozen
class Answer:
    """An answer read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def codes(self) -> list[tuple[str, str]]:
        """Group and code of each error."""
        return [(error["errorGroup"], error["errorCode"]) for error in self.json]

    @property
    def message(self) -> str:
        """What the first error says."""
        text: str = self.json[0]["errorMessage"]
        return text


@define
class Merchant:
    """Calls the API with plain dictionaries."""

    session: aiohttp.ClientSession
    url: str
    msn: str = MSN
    token: str = ""
    headers: dict[str, str] = field(factory=dict)
    #: Sees each answer with the method and path it belongs to.
    on_answer: Callable[[str, str, Answer], None] | None = None

    async def call(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str | None] | None = None
    ) -> Answer:
        """Make one request; a header given as None is left out."""
        wanted: dict[str, str | None] = {
            "Authorization": f"Bearer {self.token}",
            "Ocp-Apim-Subscription-Key": "subscription-key",
            "Merchant-Serial-Number": self.msn,
            **self.headers,
            **(headers or {}),
        }
        data: bytes | None = None
        if body is not None:
            wanted.setdefault("Content-Type", "application/json")
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {name: value for name, value in wanted.items() if value is not None}
        async with self.session.request(method, self.url + path, data=data, headers=sent) as response:
            answer = Answer(response.status, response.headers, await response.read())
        if self.on_answer is not None:
            self.on_answer(method, path, answer)
        return answer

    async def log_in(self, owner: str = "client") -> Answer:
        """Fetch a token and keep it."""
        headers = {"client_id": f"{owner}-id", "client_secret": f"{owner}-secret", "Authorization": None}
        answer = await self.call("POST", "/accesstoken/get", headers=headers)
        if answer.status == 200:
            self.token = answer.json["access_token"]
        return answer

    def initiation(self, order_id: str, amount: int = 49900) -> dict[str, Any]:
        """Return the body of an initiate."""
        return {
            "customerInfo": {},
            "merchantInfo": {
                "merchantSerialNumber": self.msn,
                "callbackPrefix": "https://example.com/callbacks",
                "fallBack": "https://example.com/result",
            },
            "transaction": {"orderId": order_id, "amount": amount, "transactionText": "One pair of socks."},
        }

    async def initiate(self, order_id: str = "acme-1", amount: int = 49900, **parts: Any) -> Answer:
        """Initiate; `merchantInfo=`, `transaction=` and `customerInfo=` add to the body, other parts stand in it."""
        body = self.initiation(order_id, amount)
        for name, values in parts.items():
            if isinstance(values, dict) and isinstance(body.get(name), dict):
                body[name].update(values)
            else:
                body[name] = values
        return await self.call("POST", "/ecomm/v2/payments", body)

    def _body(self, amount: int | None, text: str) -> dict[str, Any]:
        transaction: dict[str, Any] = {"transactionText": text}
        if amount is not None:
            transaction["amount"] = amount
        return {"merchantInfo": {"merchantSerialNumber": self.msn}, "transaction": transaction}

    async def capture(
        self, order_id: str, amount: int | None = None, *, key: str | None = None, text: str = "Shipped."
    ) -> Answer:
        """Capture; without an amount all that remains."""
        return await self.call(
            "POST",
            f"/ecomm/v2/payments/{order_id}/capture",
            self._body(amount, text),
            headers={"X-Request-Id": key or uuid.uuid4().hex},
        )

    async def refund(
        self, order_id: str, amount: int | None = None, *, key: str | None = None, text: str = "Returned."
    ) -> Answer:
        """Refund; without an amount all that remains."""
        return await self.call(
            "POST",
            f"/ecomm/v2/payments/{order_id}/refund",
            self._body(amount, text),
            headers={"X-Request-Id": key or uuid.uuid4().hex},
        )

    async def cancel(self, order_id: str, *, release: bool | None = None) -> Answer:
        """Cancel, or release the rest."""
        body = self._body(None, "No socks.")
        if release is not None:
            body["shouldReleaseRemainingFunds"] = release
        return await self.call("PUT", f"/ecomm/v2/payments/{order_id}/cancel", body)

    async def details(self, order_id: str) -> Answer:
        """Ask details."""
        return await self.call("GET", f"/ecomm/v2/payments/{order_id}/details")

    async def status(self, order_id: str) -> Answer:
        """Ask status."""
        return await self.call("GET", f"/ecomm/v2/payments/{order_id}/status")

    async def force_approve(self, order_id: str, **body: str) -> Answer:
        """Force approve."""
        return await self.call("POST", f"/ecomm/v2/integration-test/payments/{order_id}/approve", body)


@asynccontextmanager
async def merchant_at(url: str, msn: str = MSN, *, log_in: bool = True) -> AsyncIterator[Merchant]:
    """Open a merchant that talks to this URL."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        merchant = Merchant(session, url, msn)
        if log_in:
            await merchant.log_in()
        yield merchant


@define
class Shop:
    """What Vipps calls: keeps what came, answers what it is told to."""

    url: str = ""
    received: list[tuple[str, str, Mapping[str, str], Any]] = field(factory=list)
    status: int = 200
    answer: Any = None
    headers: dict[str, str] = field(factory=dict)
    #: Set: answers at once. Cleared: waits.
    awake: asyncio.Event = field(factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        """Take a call."""
        body = await request.read()
        self.received.append((request.method, request.rel_url.raw_path, request.headers, json.loads(body or b"null")))
        await self.awake.wait()
        if isinstance(self.answer, bytes):
            return web.Response(status=self.status, body=self.answer, headers=self.headers)
        return web.json_response(self.answer, status=self.status, headers=self.headers)


@asynccontextmanager
async def shop() -> AsyncIterator[Shop]:
    """Open a shop on loopback."""
    place = Shop()
    place.awake.set()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", place.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    place.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield place
    finally:
        place.awake.set()
        await runner.cleanup()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, at most five seconds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the other side is a real socket: there is no event to wait on
            await asyncio.sleep(0.005)
