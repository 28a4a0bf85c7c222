"""From ensure to a handler: registered, created, approved and captured, with each event delivered and confirmed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from vipps_async import (
    PAYMENT_EVENTS,
    DynamicOptions,
    Shipping,
    ShippingBrand,
    ShippingGroup,
    ShippingOption,
    ShippingType,
    VippsSession,
    nok,
)
from vipps_async.journals.memory import MemoryJournal
from vipps_async.receiver import (
    EpaymentShipping,
    Limits,
    NotificationConfirmed,
    OtherNotification,
    PaymentNotification,
    Receiver,
    ShippingQuestion,
    Webhooks,
    aiohttp_context,
    aiohttp_routes,
)
from vipps_async.sandbox import Fault, SandboxClock, SandboxSettings
from vipps_async.testing import Sandbox

REFERENCE = "acme-shop-123-order124"


class _Shop:
    """A shop that keeps secrets, confirms events, and fails as often as told."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.confirmed: list[str] = []
        self.failures = 0

    async def on_event(self, event: PaymentNotification | OtherNotification, vipps: VippsSession) -> None:
        """Confirm an event."""
        assert isinstance(event, PaymentNotification)
        if self.failures:
            self.failures -= 1
            raise KeyError
        outcome = await event.confirm(vipps)
        assert isinstance(outcome, NotificationConfirmed), str(outcome)
        self.confirmed.append(event.name)


async def _until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the other side is a real socket
            await asyncio.sleep(0.005)


async def _serve(receiver: Receiver, sandbox: Sandbox, journal: MemoryJournal, port: int) -> web.AppRunner:
    app = web.Application()
    app.cleanup_ctx.append(aiohttp_context(lambda: sandbox.session(journal=journal), receiver))
    app.add_routes(aiohttp_routes(receiver, prefix="/vipps"))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    return runner


@pytest.mark.parametrize("faulty", [False, True])
async def test_each_event_is_handled_once(unused_tcp_port: int, faulty: bool) -> None:  # noqa: FBT001 - a parameter
    """Whether it comes once, twice or late, each event is handled once, in order, and whoever waits is woken."""
    shop, journal = _Shop(), MemoryJournal()
    url = f"http://127.0.0.1:{unused_tcp_port}/vipps/webhooks"
    receiver = Receiver(
        Webhooks(url=url, secrets=shop.secrets, on_event=shop.on_event), limits=Limits(redeliver_after=0.02)
    )
    async with Sandbox(
        settings=SandboxSettings(sub_delay=0.0), rate_limits=False, clock=SandboxClock(running=False)
    ) as sandbox:
        runner = await _serve(receiver, sandbox, journal, unused_tcp_port)
        try:
            async with sandbox.session() as vipps:
                hook = await vipps.webhooks.ensure(url=url, events=PAYMENT_EVENTS)
                assert hook.secret is not None
                if not faulty:
                    shop.secrets[hook.id] = hook.secret
                else:
                    # Its secret is not there yet, so the first delivery is refused, and repeated.
                    sandbox.faults.script("callback", Fault.CALLBACK_TWICE, Fault.CALLBACK_TWICE)
                    shop.failures = 2
                await vipps.epayment.create(
                    reference=REFERENCE,
                    amount=nok("499.00"),
                    payment_description="One pair of socks.",
                    return_url="https://example.com/result",
                )
                await sandbox.approve(REFERENCE)
                await sandbox.callbacks_delivered()
                if faulty:
                    assert receiver.counts.invalid == 1
                    shop.secrets[hook.id] = hook.secret
                    sandbox.clock.advance(2)
                    await sandbox.callbacks_delivered()
                await vipps.epayment.capture(REFERENCE, amount=nok("100.00"))
                await sandbox.callbacks_delivered()
                await _until(lambda: len(shop.confirmed) == 3)
        finally:
            await runner.cleanup()
    assert sorted(shop.confirmed) == ["AUTHORIZED", "CAPTURED", "CREATED"]
    assert receiver.counts.handled == 3
    assert receiver.counts.received == (5 if faulty else 3)


async def test_ensure_and_delete_at_the_sandbox() -> None:
    """The client's operations and the sandbox's agree: register, list, ensure with other events, delete."""
    async with Sandbox() as sandbox, sandbox.session() as vipps:
        first = await vipps.webhooks.register("http://127.0.0.1:9/hooks", PAYMENT_EVENTS[:1])
        ensured = await vipps.webhooks.ensure(url="http://127.0.0.1:9/hooks", events=PAYMENT_EVENTS)
        assert ensured.deleted == (first.id,)
        assert [hook.id for hook in await vipps.webhooks.list()] == [ensured.id]
        await vipps.webhooks.delete(ensured.id)
        assert await vipps.webhooks.list() == ()


async def test_shipping_is_asked_for_while_the_customer_waits(unused_tcp_port: int) -> None:
    """The sandbox asks with the address, the shop answers, and what the customer chooses is authorized on top."""
    countries: list[str | None] = []

    async def on_shipping(question: ShippingQuestion, _: VippsSession) -> list[ShippingGroup]:
        countries.append(question.country)
        option = ShippingOption(id="post", name="At your door", amount=nok("49.00"), is_default=True)
        return [ShippingGroup(type=ShippingType.HOME_DELIVERY, brand=ShippingBrand.POSTEN, options=[option])]

    receiver = Receiver(EpaymentShipping(path="/vipps/shipping", auth_tokens="token-1", on_shipping=on_shipping))
    async with Sandbox(settings=SandboxSettings(express={"123456"})) as sandbox:
        runner = await _serve(receiver, sandbox, MemoryJournal(), unused_tcp_port)
        try:
            async with sandbox.session() as vipps:
                await vipps.epayment.create(
                    reference=REFERENCE,
                    amount=nok("499.00"),
                    payment_description="One pair of socks.",
                    return_url="https://example.com/result",
                    scope="name address email phoneNumber",
                    shipping=Shipping(
                        dynamic_options=DynamicOptions(
                            callback_url=f"http://127.0.0.1:{unused_tcp_port}/vipps/shipping",
                            callback_authorization_token="token-1",
                        )
                    ),
                )
                await sandbox.approve(REFERENCE)
                payment = await vipps.epayment.get(REFERENCE)
        finally:
            await runner.cleanup()
    assert countries == ["NO"]
    assert payment.aggregate.authorized_amount == nok("548.00")
