"""Callbacks to the example shop come early, late, twice or never: what it then knows is what Vipps says."""

from __future__ import annotations

from pathlib import Path

import orjson

from examples.shop.orders import Api, Kind, Order, Orders, State
from examples.shop.payments import LIFETIME
from tests.examples.running_shop import LOST, PRICE, RunningShop, opened, running_shop, until
from tests.webhooks.delivered import AUTHORIZED, headers_for
from vipps_async.testing import Sandbox


async def test_a_callback_before_the_customer_is_back_settles_the_order(shop: RunningShop) -> None:
    """The order is settled while the customer's browser is still away."""
    order = await shop.begin()
    await shop.sandbox.approve(order.payment_id)
    await shop.settled(order, State.ACCEPTED)


async def test_a_customer_who_is_back_before_the_callback_waits_no_longer_for_it(shop: RunningShop) -> None:
    """The fallBack page asks by itself, and the callback that comes afterwards changes nothing."""
    shop.sandbox.faults.script("callback", *LOST)
    order = await shop.bought()
    assert await _deliver(shop, order) == 200
    assert (await shop.order(order.id)).state is State.ACCEPTED


async def test_without_callback_and_without_customer_the_shop_finds_out(tmp_path: Path, api: Api) -> None:
    """An order whose callback got lost and whose customer closed the browser is settled all the same."""
    async with running_shop(tmp_path, api=api, look_after_every=0.1) as shop:
        shop.sandbox.faults.script("callback", *LOST)
        order = await shop.begin()
        await shop.sandbox.approve(order.payment_id)
        await shop.settled(order, State.ACCEPTED)


async def test_an_order_that_nobody_pays_is_ended(tmp_path: Path, api: Api) -> None:
    """What waits for longer than Vipps gives is cancelled, and what never reached Vipps is ended too."""
    async with Sandbox(rate_limits=False) as sandbox:
        async with opened(sandbox, tmp_path, api=api) as shop:
            waits = await shop.begin()
            lost = Order(id="socks-lost", kind=Kind.REGULAR, amount=PRICE, begun_at=0.0, api=api)
            await shop.orders.add(lost)
        _make_old(tmp_path)
        async with opened(sandbox, tmp_path, api=api) as shop:
            await shop.settled(waits, State.ENDED)
            await shop.settled(lost, State.ENDED)
            assert shop.payment(waits).state.value == "CANCEL"
            assert "knows nothing" in (await shop.get("/merchant/orders/socks-lost")).text


async def test_one_order_in_trouble_does_not_keep_others_from_being_looked_after(tmp_path: Path) -> None:
    """An order that cannot be asked about is left for the next time; the one after it is settled."""
    async with Sandbox(rate_limits=False) as sandbox:
        async with opened(sandbox, tmp_path) as shop:
            sandbox.faults.script("callback", *LOST)
            await shop.orders.add(Order(id="no_such id", kind=Kind.REGULAR, amount=PRICE, begun_at=0.0))
            order = await shop.begin()
            await sandbox.approve(order.payment_id)
        async with opened(sandbox, tmp_path) as shop:
            await shop.settled(order, State.ACCEPTED)


async def test_a_forged_callback_is_refused(shop: RunningShop) -> None:
    """Without the token nobody's word is even read."""
    order = await shop.begin()
    assert await _deliver(shop, order, forged=True) == 401
    assert (await shop.order(order.id)).state is State.WAITING


async def test_a_callback_that_lies_settles_nothing(shop: RunningShop) -> None:
    """Even with the right token a callback only makes the shop ask Vipps."""
    order = await shop.begin()
    assert await _deliver(shop, order) == 200
    await _asked(shop, order)
    assert (await shop.order(order.id)).state is State.WAITING


async def test_callbacks_about_no_order_of_the_shop_do_no_harm(shop: RunningShop) -> None:
    """An order that the shop or Vipps does not know is passed over."""
    unknown = Order(id="socks-unknown", kind=Kind.REGULAR, amount=PRICE, api=shop.settings.api)
    assert await _deliver(shop, unknown) == 200
    await shop.orders.add(unknown)
    assert await _deliver(shop, unknown, ended=True) == 200
    await _asked(shop, unknown)
    assert (await shop.order(unknown.id)).state is State.WAITING


async def test_an_earlier_attempt_that_is_accepted_late_is_released(shop: RunningShop) -> None:
    """A customer who manages to accept an attempt that was given up does not pay twice."""
    order = await shop.begin()
    assert await shop.orders.begin_again(order, order.api) is not None  # as if the cancel had not come through
    await shop.sandbox.approve(order.payment_id)

    async def is_released() -> bool:
        return shop.payment(order).state.value == "VOID"

    await until(is_released)
    assert (await shop.order(order.id)).state is State.WAITING


async def _deliver(shop: RunningShop, order: Order, *, ended: bool = False, forged: bool = False) -> int:
    """Send news as Vipps does, or as somebody does who would like to be Vipps."""
    if shop.settings.api is Api.ECOM:
        address = f"{shop.url}/vipps/v2/payments/{order.payment_id}"
        status = "CANCELLED" if ended else "RESERVED"
        body = orjson.dumps(
            {
                "merchantSerialNumber": "123456",
                "orderId": order.payment_id,
                "transactionInfo": {"amount": order.amount, "status": status, "timeStamp": "2026-01-01T12:00:00.000Z"},
            }
        )
        headers = {"Authorization": "guessed" if forged else shop.settings.callback_token}
    else:
        address = f"{shop.url}/vipps/webhooks"
        event = {
            **AUTHORIZED,
            "reference": order.payment_id,
            "name": "TERMINATED" if ended else "AUTHORIZED",
            "amount": {"currency": "NOK", "value": order.amount},
        }
        body = orjson.dumps(event)
        secret = "guessed" if forged else shop.webhook_secret
        headers = headers_for(body, secret=secret, target="/vipps/webhooks", host=shop.url.removeprefix("http://"))
    async with shop.http.post(address, data=body, headers=headers) as answer:
        return answer.status


async def _asked(shop: RunningShop, order: Order) -> None:
    """Wait until Vipps has been asked about an order, and the shop has done what follows."""

    async def is_asked() -> bool:
        return any(
            request.operation in {"details", "get"} and order.payment_id in request.path
            for request in shop.sandbox.requests
        )

    await until(is_asked)
    # Handed over one after the other: when the page has asked as well, the handler is through.
    await shop.result(order)


def _make_old(data: Path) -> None:
    """Make all orders of a closed shop older than Vipps waits."""
    orders = Orders(data / "orders.db")
    orders._db.execute("UPDATE orders SET begun_at = begun_at - ?", (LIFETIME + 1,))
    orders.close()
