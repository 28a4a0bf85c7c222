"""Callbacks, webhooks and questions that reach an application without a port."""

from __future__ import annotations

from collections.abc import Sequence

import fastapi
import httpx
import pytest
from fastapi.testclient import TestClient

from vipps_async import PAYMENT_EVENTS, ExpressCheckout, RegisteredWebhook, ShippingDetails, VippsSession, nok
from vipps_async.receiver import (
    EcomCallbacks,
    OtherNotification,
    PaymentNotification,
    PaymentUpdate,
    Receiver,
    ShippingDetailsRequest,
    Webhooks,
    starlette_app,
    starlette_lifespan,
)
from vipps_async.testing import Sandbox, SandboxThread, State

URL = "https://shop.example/vipps"


async def _on_payment(event: PaymentUpdate, vipps: VippsSession) -> None:
    await event.confirm(vipps)


async def _on_shipping(_request: ShippingDetailsRequest, _vipps: VippsSession) -> Sequence[ShippingDetails]:
    cost = nok("99.00")
    return [ShippingDetails(shipping_method_id="home", shipping_method="Home", shipping_cost=cost, is_default=True)]


def _app(receiver: Receiver) -> fastapi.FastAPI:
    app = fastapi.FastAPI()
    app.mount("/vipps", starlette_app(receiver))
    return app


async def test_webhooks_and_questions_by_asgi_transport(vipps: VippsSession, vipps_sandbox: Sandbox) -> None:
    """Signed events come in their order, and express checkout is told the ways of shipping."""
    secrets: dict[str, str] = {}
    events: list[str] = []

    async def save(hook: RegisteredWebhook) -> None:
        secrets[hook.id] = hook.secret

    async def on_event(event: PaymentNotification | OtherNotification, _: VippsSession) -> None:
        if isinstance(event, PaymentNotification):
            events.append(event.name)

    receiver = Receiver(
        Webhooks(url=f"{URL}/webhooks", secrets=secrets, on_event=on_event),
        EcomCallbacks("token", on_payment=_on_payment, on_shipping_details=_on_shipping),
    )
    async with (
        receiver.serving(vipps),
        httpx.AsyncClient(transport=httpx.ASGITransport(_app(receiver)), base_url="https://shop.example") as client,
    ):
        vipps_sandbox.deliver_to(client.request)
        await vipps.webhooks.ensure(url=f"{URL}/webhooks", events=PAYMENT_EVENTS, save=save)
        await vipps.epayment.create(
            reference="acme-shop-1", amount=nok(499), payment_description="Socks.", return_url="https://shop.example/"
        )
        await vipps_sandbox.approve("acme-shop-1")
        await vipps_sandbox.callbacks_delivered()
        await vipps.ecom.initiate(
            order_id="acme-shop-2",
            amount=nok(499),
            transaction_text="Socks.",
            callback_prefix=URL,
            fall_back="https://shop.example/",
            auth_token="token",
            express=ExpressCheckout(consent_removal_prefix=URL, shipping_details_prefix=URL),
        )
        assert (await vipps_sandbox.approve("acme-shop-2")).reserved == 59_800
        await vipps_sandbox.callbacks_delivered()
    assert events == ["CREATED", "AUTHORIZED"]
    assert {callback.status for callback in vipps_sandbox.callbacks} == {200}
    assert {callback.kind for callback in vipps_sandbox.callbacks} == {"webhook", "shippingDetails", "payment"}


@pytest.mark.parametrize("is_broken", [False, True])
def test_callbacks_by_test_client(vipps_sandbox_thread: SandboxThread, *, is_broken: bool) -> None:
    """A callback is answered; an application that raises gives no answer. Without it nobody is called."""
    sandbox = vipps_sandbox_thread
    receiver = Receiver(EcomCallbacks("token", on_payment=_on_payment))
    app = fastapi.FastAPI(lifespan=starlette_lifespan(sandbox.session, receiver))
    app.mount("/vipps", starlette_app(receiver))

    @app.post("/buy/{order_id}")
    async def buy(order_id: str, request: fastapi.Request) -> None:
        vipps: VippsSession = request.state.vipps_session
        await vipps.ecom.initiate(
            order_id=order_id,
            amount=nok(499),
            transaction_text="Socks.",
            callback_prefix=f"{URL}/broken" if is_broken else URL,
            fall_back="https://shop.example/",
            auth_token="token",
        )

    @app.post("/vipps/broken/{rest:path}")
    async def broken(rest: str) -> None:
        raise KeyError(rest)

    app.router.routes.sort(key=lambda route: "broken" not in getattr(route, "path", ""))
    with TestClient(app) as client:
        for order_id, deliver in (("order-1", client.request), ("order-2", None)):
            sandbox.deliver_to(deliver)
            assert client.post(f"/buy/{order_id}").status_code == 200
            assert sandbox.approve(order_id).state is State.RESERVE
            sandbox.callbacks_delivered()
    first, second = sandbox.callbacks
    assert (first.status, first.failure) == ((None, "no answer: KeyError") if is_broken else (200, ""))
    assert second.failure.startswith("not called")
