"""The example shop over real sockets: customers buy, and only Vipps' own word counts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from examples.shop.orders import Api, Kind, Order, State
from examples.shop.payments import LIFETIME
from tests.examples.running_shop import ONLY_ECOM, ONLY_EPAYMENT, PRICE, RunningShop, opened, until
from vipps_async import (
    ExpressCheckout,
    Shipping,
    ShippingBrand,
    ShippingDetails,
    ShippingGroup,
    ShippingOption,
    ShippingType,
    nok,
)
from vipps_async.testing import Sandbox

BY_POST = ExpressCheckout(
    consent_removal_prefix="https://example.com/vipps",
    static_shipping_details=(
        ShippingDetails(
            shipping_method_id="post", shipping_method="By post", shipping_cost=nok("59.00"), is_default=True
        ),
    ),
)


FOR_59 = Shipping(
    fixed_options=[
        ShippingGroup(
            type=ShippingType.HOME_DELIVERY,
            brand=ShippingBrand.POSTEN,
            options=[ShippingOption(id="post", name="By post", amount=nok("59.00"), is_default=True)],
        )
    ]
)


async def test_a_customer_buys_and_the_merchant_captures_all(shop: RunningShop) -> None:
    """A payment that was accepted is thanked for, and the prefilled form captures all of it."""
    order = await shop.bought()
    page = await shop.press(order, "capture")
    assert (page.status, page.location) == (303, f"/merchant/orders/{order.id}")
    assert shop.payment(order).captured == PRICE


async def test_the_checkout_takes_a_phone_number_as_people_write_it(shop: RunningShop) -> None:
    """Blanks and the country code are taken off the number before Vipps gets it."""
    assert (await shop.post("/pay", mobile_number="+47 912 34 567")).status == 303
    sent = next(request for request in shop.sandbox.requests if request.operation in {"initiate", "create"})
    expected = b'"mobileNumber":"91234567"' if shop.settings.api is Api.ECOM else b'"phoneNumber":"4791234567"'
    assert expected in sent.body


async def test_a_phone_number_that_is_none_is_answered_in_words(shop: RunningShop) -> None:
    """A number that cannot be one leads to a sentence, not to Vipps, and is not repeated."""
    page = await shop.post("/pay", mobile_number="<b>12")
    assert page.status == 400
    assert "No money moved" in page.text
    assert "<b>12" not in page.text
    assert shop.sandbox.payments == ()


async def test_a_declined_payment_is_tried_again_under_a_new_suffix(shop: RunningShop) -> None:
    """After a decline nothing is owed, and the next attempt has an order id of its own."""
    first = await shop.begin()
    await shop.sandbox.reject(first.payment_id)
    await shop.told(first, "Not paid")
    page = await shop.again(first)
    assert page.location.startswith(shop.sandbox.url)
    second = await shop.order(first.id)
    assert (first.payment_id, second.payment_id) == (f"{first.id}-1", f"{first.id}-2")
    await shop.sandbox.approve(second.payment_id)
    await shop.told(second, "Thank you")
    assert shop.payment(first).reserved == 0


async def test_a_second_click_on_try_again_begins_one_attempt(shop: RunningShop) -> None:
    """However often the button is pressed at the same moment, one new payment is made."""
    order = await shop.begin()
    await shop.sandbox.reject(order.payment_id)
    await asyncio.gather(*(shop.again(order) for _ in range(4)))
    assert {payment.order_id for payment in shop.sandbox.payments} == {f"{order.id}-1", f"{order.id}-2"}


async def test_an_old_page_begins_nothing(shop: RunningShop) -> None:
    """The button of a page that shows an earlier attempt leads to the order, and leaves the newer attempt alone."""
    first = await shop.begin()
    await shop.again(first)
    assert (await shop.again(first)).location == f"/orders/{first.id}"
    assert shop.payment(await shop.order(first.id)).state.value == "INITIATE"


async def test_starting_over_takes_the_first_payment_out_of_the_way(shop: RunningShop) -> None:
    """Whoever starts over while the payment still waits can accept the new one only."""
    order = await shop.begin()
    assert (await shop.again(order)).location.startswith(shop.sandbox.url)
    assert shop.payment(order).state.value == "CANCEL"


async def test_starting_over_does_not_undo_a_payment_that_was_accepted(shop: RunningShop) -> None:
    """Whoever has paid and presses the button of an old page is thanked, and pays once."""
    order = await shop.begin()
    await shop.sandbox.approve(order.payment_id)
    page = await shop.again(order)
    assert page.location == f"/orders/{order.id}"
    assert shop.payment(order).reserved == PRICE
    assert len(shop.sandbox.payments) == 1


async def test_a_payment_that_timed_out_is_told_as_not_paid(shop: RunningShop) -> None:
    """A customer who did nothing in Vipps reads that nothing was taken."""
    order = await shop.begin()
    shop.sandbox.clock.advance(LIFETIME)
    await shop.told(order, "Not paid")


@ONLY_ECOM
async def test_a_refusal_by_the_bank_is_told_and_can_be_tried_again(
    shop: RunningShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A customer whose bank refuses reads so, and may try again: nothing was reserved, and the order id is new."""
    monkeypatch.setattr("examples.shop.payments.PRICE", nok("1.51"))  # the test amount for: insufficient funds
    order = await shop.begin()
    await shop.sandbox.approve(order.payment_id)
    await shop.told(order, "Your bank said no")
    assert (await shop.again(order)).location.startswith(shop.sandbox.url)
    assert (await shop.order(order.id)).payment_id == f"{order.id}-2"
    assert shop.payment(order).reserved == 0


@ONLY_EPAYMENT
async def test_a_card_that_the_bank_refuses_leaves_the_payment_waiting(
    shop: RunningShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ePayment the customer takes another card in the app, or starts over: the payment before is cancelled."""
    monkeypatch.setattr("examples.shop.payments.PRICE", nok("1.51"))  # the test amount for: insufficient funds
    order = await shop.begin()
    await shop.sandbox.approve(order.payment_id)
    assert "Waiting for Vipps" in (await shop.result(order)).text
    assert (await shop.again(order)).location.startswith(shop.sandbox.url)
    assert shop.payment(order).state.value == "CANCEL"


@pytest.mark.parametrize(
    ("kind", "shipping"), [("static", "By post, 2-4 days (59.00 NOK)"), ("dynamic", "By bike, today (89.00 NOK)")]
)
async def test_an_express_customer_brings_address_and_shipping(shop: RunningShop, kind: str, shipping: str) -> None:
    """With either kind of shipping the merchant sees where to send the socks, and how."""
    order = await shop.bought(kind=kind)
    page = await shop.get(f"/merchant/orders/{order.id}")
    assert f"Kari Nordmann\nStorgata 1\n0155 Oslo\n{shipping}" in page.text


@pytest.mark.parametrize(("kind", "total", "told"), [("static", 30_800, "308.00"), ("dynamic", 33_800, "338.00")])
async def test_goods_and_shipping_are_told_and_captured(shop: RunningShop, kind: str, total: int, told: str) -> None:
    """The shop asks for the goods, Vipps adds the shipping: the sum of both is told to both sides, and taken."""
    order = await shop.bought(kind=kind)
    assert (order.amount, order.reserved, shop.payment(order).amount) == (PRICE, total, PRICE)
    assert f"Your payment of {told} NOK is reserved." in (await shop.result(order)).text
    assert (await shop.form(order, "capture"))["amount"] == told
    assert (await shop.press(order, "capture")).status == 303
    assert shop.payment(order).captured == total
    assert (await shop.press(order, "refund")).status == 303
    assert shop.payment(order).refunded == total


async def test_an_express_customer_may_choose_another_way_of_shipping(shop: RunningShop) -> None:
    """What the customer chose stands on the order, not the default."""
    order = await shop.begin(kind="dynamic")
    await shop.sandbox.approve(order.payment_id, shipping_method_id="pickup")
    await shop.settled(order, State.ACCEPTED)
    assert (await shop.order(order.id)).reserved == PRICE
    assert "Pick up in the shop (0.00 NOK)" in ((await shop.order(order.id)).ship_to or "")


@pytest.mark.parametrize(("post_code", "costs"), [("0155", [89.0, 0.0]), ("5003", [59.0]), ("9008", [99.0])])
async def test_shipping_costs_depend_on_the_address(shop: RunningShop, post_code: str, costs: list[float]) -> None:
    """Vipps, asking while the customer waits, is told what shipping to that address costs, in its API's unit."""
    order = await shop.begin(kind="dynamic")
    if shop.settings.api is Api.ECOM:
        told = await _asked_for_shipping(
            shop, f"v2/payments/{order.payment_id}/shippingDetails", {"addressId": 7, "postCode": post_code}
        )
        assert (told["addressId"], told["orderId"]) == (7, order.payment_id)
        assert [float(method["shippingCost"]) for method in told["shippingDetails"]] == costs
    else:
        told = await _asked_for_shipping(shop, "shipping", {"reference": order.payment_id, "postCode": post_code})
        oere = [option["amount"]["value"] for group in told["groups"] for option in group["options"]]
        assert [value / 100 for value in oere] == costs


@ONLY_ECOM
async def test_an_unknown_kind_of_express_checkout_is_refused(shop: RunningShop) -> None:
    """A form that was tampered with is answered by a page that says so."""
    page = await shop.post("/buy-now", kind="free")
    assert page.status == 400
    assert "Something is missing" in page.text


@ONLY_ECOM
async def test_the_shop_forgets_a_customer_who_takes_back_the_consent(shop: RunningShop) -> None:
    """Name and address are gone, and a later look at the payment does not bring them back."""
    order = await shop.bought(kind="static")
    customer_id = (await shop.order(order.id)).customer_id
    assert customer_id is not None
    await shop.sandbox.remove_consent(customer_id)

    async def is_forgotten() -> bool:
        return (await shop.order(order.id)).ship_to is None

    await until(is_forgotten)
    await shop.press(order, "cancel")
    assert "Nordmann" not in (await shop.get(f"/merchant/orders/{order.id}")).text
    assert (await shop.order(order.id)).state is State.ENDED


@ONLY_ECOM
@pytest.mark.parametrize(("amount", "express"), [(100, None), (PRICE - 100, BY_POST)])
async def test_a_payment_over_less_than_the_order_costs_is_not_taken_for_it(
    shop: RunningShop, amount: int, express: ExpressCheckout | None
) -> None:
    """Socks are not sent for one krone, nor for a price that their shipping makes up for, whoever made the payment."""
    order = Order(id="socks-cheap", kind=Kind.REGULAR, amount=PRICE)
    await shop.orders.add(order)
    async with shop.sandbox.session() as vipps:
        await vipps.ecom.initiate(
            order_id=order.payment_id,
            amount=amount,
            transaction_text="Socks",
            callback_prefix=f"{shop.url}/vipps",
            fall_back=shop.url,
            express=express,
        )
    await shop.sandbox.approve(order.payment_id)
    assert "Waiting for Vipps" in (await shop.result(order)).text
    assert (await shop.order(order.id)).state is State.WAITING


@ONLY_EPAYMENT
@pytest.mark.parametrize("express", [False, True])
async def test_an_epayment_over_less_than_the_order_costs_is_not_taken_for_it(
    shop: RunningShop,
    express: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Nor are they sent for less by ePayment, with or without shipping on top."""
    order = Order(id="socks-cheap", kind=Kind.REGULAR, amount=PRICE, api=Api.EPAYMENT)
    await shop.orders.add(order)
    async with shop.sandbox.session() as vipps:
        await vipps.epayment.create(
            reference=order.payment_id,
            amount=nok("248.00" if express else "1.00"),
            payment_description="Socks",
            return_url=shop.url,
            shipping=FOR_59 if express else None,
        )
    await shop.sandbox.approve(order.payment_id)
    assert "Waiting for Vipps" in (await shop.result(order)).text
    assert (await shop.order(order.id)).state is State.WAITING


@pytest.mark.parametrize("api", [Api.ECOM])
async def test_orders_of_both_apis_go_on_when_the_setting_changes(tmp_path: Path, api: Api) -> None:
    """An order that eCom has begun is captured by eCom after the shop has turned to ePayment, and tried again by it."""
    async with Sandbox(rate_limits=False) as sandbox:
        async with opened(sandbox, tmp_path, api=api) as shop:
            paid, declined = await shop.bought(), await shop.begin()
            await sandbox.reject(declined.payment_id)
            await shop.told(declined, "Not paid")
        async with opened(sandbox, tmp_path, api=Api.EPAYMENT) as shop:
            assert (await shop.press(paid, "capture")).status == 303
            assert shop.payment(paid).captured == PRICE
            await shop.again(declined)
            again = await shop.order(declined.id)
            await sandbox.approve(again.payment_id)
            await shop.settled(again, State.ACCEPTED)
            assert (await shop.press(again, "capture")).status == 303
            assert [order.api for order in (paid, declined, again)] == [Api.ECOM, Api.ECOM, Api.EPAYMENT]
    captures = [(request.method, request.path) for request in sandbox.requests if request.operation == "capture"]
    assert captures == [
        ("POST", f"/ecomm/v2/payments/{paid.payment_id}/capture"),
        ("POST", f"/epayment/v1/payments/{again.payment_id}/capture"),
    ]


async def test_a_forged_fall_back_proves_nothing(shop: RunningShop) -> None:
    """Whoever opens the fallBack without paying is told to pay, whatever the URL says."""
    order = await shop.begin()
    page = await shop.get(f"/orders/{order.id}?status=RESERVED&paid=true&state=ACCEPTED")
    assert "Waiting for Vipps" in page.text
    assert 'http-equiv="refresh"' in page.text
    assert (await shop.order(order.id)).state is State.WAITING


@ONLY_ECOM
@pytest.mark.parametrize("order_id", ["socks-1", "..%2F..%2Fmerchant", "%27%20OR%201=1--", "socks-%00", "<script>"])
async def test_an_order_id_that_was_tampered_with_leads_nowhere(shop: RunningShop, order_id: str) -> None:
    """Ids that were guessed, climb or inject are answered 404, and nothing of them stands in the page."""
    await shop.begin()
    for page in (await shop.get(f"/orders/{order_id}"), await shop.post(f"/orders/{order_id}/again", attempt="1")):
        assert page.status == 404
        assert "<script>" not in page.text


@ONLY_ECOM
async def test_an_attempt_cannot_be_named_from_outside(shop: RunningShop) -> None:
    """The order's id at Vipps opens nothing here: the shop alone knows which attempt counts."""
    order = await shop.bought()
    assert (await shop.get(f"/orders/{order.payment_id}")).status == 404


async def test_the_script_learns_of_news_as_soon_as_they_come(shop: RunningShop) -> None:
    """The page's question is answered when the customer accepts, long before its time is up."""
    order = await shop.begin()
    question = asyncio.create_task(shop.get(f"/orders/{order.id}/state"))
    await shop.sandbox.approve(order.payment_id)
    assert (await question).text == '{"state":"ACCEPTED"}'


async def test_the_fall_back_says_so_when_vipps_cannot_be_reached(shop: RunningShop) -> None:
    """An outage is not told as a failed payment, and the page goes on asking."""
    order = await shop.begin()
    async with shop.sandbox.refusing_connections():
        await shop.told(order, "Your payment is safe")
        assert 'http-equiv="refresh"' in (await shop.result(order)).text


async def _asked_for_shipping(shop: RunningShop, path: str, address: dict[str, object]) -> Any:
    """Ask as Vipps does while the customer waits."""
    headers = {"Authorization": shop.settings.callback_token}
    async with shop.http.post(f"{shop.url}/vipps/{path}", json=address | {"country": "NO"}, headers=headers) as answer:
        return await answer.json()
