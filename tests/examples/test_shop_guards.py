"""What guards the example shop: its pages, its password, forms of other sites, webhooks over restarts."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from examples.shop.orders import Api, State
from examples.shop.words import in_words
from tests.examples.running_shop import LOST, ONLY_ECOM, RunningShop, opened, running_shop
from vipps_async import Effect, IdempotencyMismatchError, JournalError, RecoveryReport, VippsSession
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox


@ONLY_ECOM
@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
async def test_a_form_of_another_site_is_refused(shop: RunningShop, origin: str) -> None:
    """No other page can make a browser buy or move money."""
    order = await shop.bought()
    form = await shop.form(order, "capture")
    for path in ("/pay", "/buy-now", f"/orders/{order.id}/again", f"/merchant/orders/{order.id}/capture"):
        assert (await shop.post(path, origin=origin, **form)).status == 403
    assert shop.payment(order).captured == 0


@ONLY_ECOM
async def test_the_shop_answers_to_its_own_name_only(shop: RunningShop) -> None:
    """A page that was brought here under a name of its own learns nothing."""
    assert (await shop.get("/merchant", Host="evil.example")).status == 400


async def test_the_merchants_pages_want_the_password(tmp_path: Path) -> None:
    """With a password set, nobody sees or moves anything without it; customers are not asked."""
    async with running_shop(tmp_path, password="fjord") as shop:
        order = await shop.begin()
        assert (await shop.get("/merchant")).status == 401
        assert (await shop.get("/merchant", Authorization=_basic("wrong"))).status == 401
        assert (await shop.post(f"/merchant/orders/{order.id}/cancel")).status == 401
        assert (await shop.get("/merchant", Authorization=_basic("fjord"))).status == 200
        assert (await shop.get("/")).status == 200


async def test_no_page_holds_a_secret(shop: RunningShop) -> None:
    """Neither the callback token nor the keys of the sales unit stand in any page; the customer's has no address."""
    order = await shop.bought(kind="static")
    customers = [await shop.get(path) for path in ("/", "/checkout", f"/orders/{order.id}")]
    merchants = [await shop.get(path) for path in ("/merchant", f"/merchant/orders/{order.id}")]
    for page in customers + merchants:
        assert page.status == 200
        webhook = shop.webhook_secret if shop.settings.api is Api.EPAYMENT else "none"
        for secret in (webhook, shop.settings.callback_token, "sandbox-secret", "sandbox-key"):
            assert secret not in page.text
    assert not any("Nordmann" in page.text or "Storgata" in page.text for page in customers)


@ONLY_ECOM
async def test_what_comes_from_outside_is_escaped(shop: RunningShop) -> None:
    """A name with markup in it is shown, not run."""
    order = await shop.begin()
    await shop.orders.settle(order, State.ACCEPTED, ship_to="<script>alert(1)</script>")
    page = await shop.get(f"/merchant/orders/{order.id}")
    assert "&lt;script&gt;alert(1)" in page.text
    assert "<script>alert" not in page.text


async def test_a_failing_vipps_is_told_in_words(shop: RunningShop) -> None:
    """When a payment cannot be begun, the customer reads that no money moved."""
    await shop.get("/")  # Open: while it starts, it asks which sandbox this is.
    async with shop.sandbox.refusing_connections():
        page = await shop.post("/pay")
    assert page.status == 502
    assert "Vipps cannot be reached just now. No money moved." in page.text


def test_a_key_with_another_payload_is_not_told_as_nothing_moved() -> None:
    """That nothing moved is true of this call alone: the earlier one with the key may have moved money."""
    said = in_words(IdempotencyMismatchError("another payload", status=409, effect=Effect.NONE))
    assert "No money moved." not in said
    assert "the first time money may have" in said


async def test_the_shop_keeps_looking_after_orders_when_that_failed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal that cannot be read for a moment does not end the looking after."""
    recover, failures = VippsSession.recover, [JournalError("the disk is slow")]

    async def fails_at_first(vipps: VippsSession) -> RecoveryReport:
        if failures:
            raise failures.pop()
        return await recover(vipps)

    monkeypatch.setattr(VippsSession, "recover", fails_at_first)
    async with running_shop(tmp_path, look_after_every=0.05) as shop:
        shop.sandbox.faults.script("callback", *LOST)
        order = await shop.begin()
        await shop.sandbox.approve(order.payment_id)
        await shop.settled(order, State.ACCEPTED)
    assert not failures


@pytest.mark.parametrize("lost", [False, True])
async def test_a_webhook_is_registered_once_over_restarts(tmp_path: Path, *, lost: bool) -> None:
    """Its secret is kept where only the shop can read it; one that was lost is replaced, with its registration."""
    kept = tmp_path / "webhooks.json"
    async with Sandbox(rate_limits=False) as sandbox:
        async with opened(sandbox, tmp_path, api=Api.EPAYMENT) as shop:
            port, first = int(shop.url.rpartition(":")[2]), shop.webhook_secret
            assert kept.stat().st_mode & 0o077 == 0
        if lost:
            kept.unlink()
        async with opened(sandbox, tmp_path, api=Api.EPAYMENT, port=port) as shop:
            order = await shop.begin()
            await sandbox.approve(order.payment_id)
            await shop.settled(order, State.ACCEPTED)
            assert (shop.webhook_secret != first) is lost
        async with sandbox.session() as vipps:
            assert len(await vipps.webhooks.list()) == 1


async def test_orders_are_looked_after_while_no_webhook_can_be_registered(tmp_path: Path) -> None:
    """A registration that fails does not keep the shop from asking by itself."""
    (tmp_path / "webhooks.json").write_text("{}", "utf-8")
    async with Sandbox(rate_limits=False) as sandbox:
        sandbox.faults.script("list_webhooks", *[Fault.HTTP_500_BEFORE] * 1_000)
        async with opened(sandbox, tmp_path, api=Api.EPAYMENT, look_after_every=0.05) as shop:
            order = await shop.begin()
            await sandbox.approve(order.payment_id)
            await shop.settled(order, State.ACCEPTED)
            assert (tmp_path / "webhooks.json").read_text("utf-8") == "{}"


def _basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"me:{password}".encode()).decode()
