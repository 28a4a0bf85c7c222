"""The example shop as its visitors meet it: over sockets, with a sandbox, in this process so that tests can look in."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import uvicorn
from attrs import frozen

from examples.shop import goods
from examples.shop.app import make_app
from examples.shop.orders import Api, Order, Orders, State
from examples.shop.settings import Settings
from vipps_async import RetryPolicy, SqliteJournal, Timeouts
from vipps_async.sandbox import Fault, PaymentSnapshot
from vipps_async.sandbox.pages.layout import LANDING_PATH
from vipps_async.testing import Sandbox, SandboxSettings

__all__ = [
    "LOST",
    "ONLY_ECOM",
    "ONLY_EPAYMENT",
    "PATIENCE",
    "PRICE",
    "Page",
    "RunningShop",
    "opened",
    "running_shop",
    "until",
]

#: Seconds that anything here may take: far more than it needs.
PATIENCE = 20.0

PRICE = goods.PRICE.value

#: What is the same whichever API there is, or is one API's alone.
ONLY_ECOM = pytest.mark.parametrize("api", [Api.ECOM])
ONLY_EPAYMENT = pytest.mark.parametrize("api", [Api.EPAYMENT])

#: ePayment tells of the creation, too, before it tells of the acceptance.
LOST = (Fault.CALLBACK_LOST, Fault.CALLBACK_LOST)


@frozen
class Page:
    """What a visitor was answered."""

    status: int
    text: str
    location: str = ""


@frozen
class RunningShop:
    """A shop that is open."""

    url: str
    sandbox: Sandbox
    orders: Orders
    settings: Settings
    http: aiohttp.ClientSession

    async def get(self, path: str, **headers: str) -> Page:
        """Open a page, without following where it leads."""
        async with self.http.get(f"{self.url}{path}", headers=headers, allow_redirects=False) as answer:
            return Page(answer.status, await answer.text(), answer.headers.get("Location", ""))

    async def post(self, path: str, *, origin: str | None = None, **form: str) -> Page:
        """Send a form as a page of the shop does, or as one of another origin does."""
        headers = {"Origin": self.url if origin is None else origin}
        address = f"{self.url}{path}"
        async with self.http.post(address, data=form, headers=headers, allow_redirects=False) as answer:
            return Page(answer.status, await answer.text(), answer.headers.get("Location", ""))

    async def begin(self, **express: str) -> Order:
        """Press the button that leads to Vipps; return the order that came of it."""
        page = await (self.post("/buy-now", **express) if express else self.post("/pay"))
        assert page.status == 303, page.text
        assert page.location.startswith(f"{self.sandbox.url}{LANDING_PATH}?")
        assert parse_qs(urlsplit(page.location).query)["token"]
        return (await self.orders.newest())[0]

    async def bought(self, **express: str) -> Order:
        """Buy: to Vipps, accept, and back."""
        order = await self.begin(**express)
        await self.sandbox.approve(order.payment_id)
        await self.told(order, "Thank you")
        return await self.order(order.id)

    async def order(self, order_id: str) -> Order:
        """Return what the shop has of an order."""
        found = await self.orders.get(order_id)
        assert found is not None
        return found

    async def result(self, order: Order) -> Page:
        """Come back from Vipps."""
        return await self.get(f"/orders/{order.id}")

    async def told(self, order: Order, text: str) -> None:
        """Come back from Vipps, and load the page again, as browsers do, until it says something."""

        async def is_told() -> bool:
            return text in (await self.result(order)).text

        await until(is_told)

    async def again(self, order: Order) -> Page:
        """Press the button for a new attempt on the page of an attempt."""
        return await self.post(f"/orders/{order.id}/again", attempt=str(order.attempt))

    async def settled(self, order: Order, state: State) -> None:
        """Wait until the shop has an order in a state."""

        async def is_so() -> bool:
            return (await self.order(order.id)).state is state

        await until(is_so)

    async def press(self, order: Order, operation: str, **changed: str) -> Page:
        """Load the merchant's page of an order, and send one of its forms with some of its fields changed."""
        return await self.send(order, operation, (await self.form(order, operation)) | changed)

    async def send(self, order: Order, operation: str, form: dict[str, str]) -> Page:
        """Send a form that was loaded before."""
        return await self.post(f"/merchant/orders/{order.id}/{operation}", **form)

    async def form(self, order: Order, operation: str) -> dict[str, str]:
        """Load the merchant's page of an order; return the fields of one of its forms."""
        page = await self.get(f"/merchant/orders/{order.id}")
        assert page.status == 200, page.text
        forms = re.findall(r'<form[^>]*action="([^"]*)"[^>]*>(.*?)</form>', page.text, re.DOTALL)
        fields = dict(forms)[f"/merchant/orders/{order.id}/{operation}"]
        inputs = re.findall(r"<input([^>]*)>", fields)
        return {_attribute(tag, "name"): _attribute(tag, "value") for tag in inputs}

    @property
    def webhook_secret(self) -> str:
        """The secret of the shop's only registration."""
        (secret,) = json.loads((self.settings.data / "webhooks.json").read_text("utf-8")).values()
        return str(secret)

    def payment(self, order: Order) -> PaymentSnapshot:
        """Return what really moved."""
        return self.sandbox.payment(order.payment_id)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds that nobody tells of."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - what is looked at has no event to wait for
            await asyncio.sleep(0.02)


async def _is_registered(data: Path) -> bool:
    """Tell whether the shop has a webhook's secret: until then it receives nothing."""
    return (data / "webhooks.json").exists()


def _attribute(tag: str, name: str) -> str:
    found = re.search(rf'{name}="([^"]*)"', tag)
    assert found is not None
    return found[1]


@asynccontextmanager
async def running_shop(
    data: Path, *, api: Api = Api.ECOM, password: str | None = None, look_after_every: float = 600.0
) -> AsyncIterator[RunningShop]:
    """Open a shop with a sandbox.

    Args:
        data: the directory of its files.
        api: which API makes its payments.
        password: the merchant's.
        look_after_every: seconds; at its start the shop looks in any case.
    """
    async with (
        Sandbox(settings=SandboxSettings(express={"123456"}), rate_limits=False) as sandbox,
        opened(sandbox, data, api=api, password=password, look_after_every=look_after_every) as shop,
    ):
        yield shop


@asynccontextmanager
async def opened(
    sandbox: Sandbox,
    data: Path,
    *,
    api: Api = Api.ECOM,
    password: str | None = None,
    look_after_every: float = 600.0,
    port: int = 0,
) -> AsyncIterator[RunningShop]:
    """Open a shop with a sandbox that is there already."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = Settings(url=url, data=data, api=api, merchant_password=password, look_after_every=look_after_every)
        journal = SqliteJournal(data / "journal.db")
        fast = RetryPolicy(base=0.01, cap=0.05, deadline=PATIENCE)
        app = make_app(settings, lambda: sandbox.session(journal=journal, retry=fast, timeouts=Timeouts(read=2.0)))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as http:
                shop = RunningShop(url, sandbox, app.state.shop.orders, settings, http)
                if api is Api.EPAYMENT:
                    await until(lambda: _is_registered(data))
                yield shop
        finally:
            server.should_exit = True
            await asyncio.wait_for(serving, PATIENCE)
