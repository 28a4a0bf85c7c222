"""The example shop over real sockets: money moves once, and only Vipps' own word counts."""

from __future__ import annotations

import asyncio
import base64
import re
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from examples.shop import goods
from examples.shop.__main__ import main
from examples.shop.orders import Api, Kind, Order, Orders, State
from examples.shop.payments import LIFETIME
from examples.shop.settings import Settings
from tests.cli.processes import environment
from tests.examples.running_shop import PATIENCE, RunningShop, opened, running_shop, until
from tests.webhooks.delivered import AUTHORIZED, headers_for
from vipps_async import (
    ExpressCheckout,
    JournalError,
    RecoveryReport,
    Shipping,
    ShippingBrand,
    ShippingDetails,
    ShippingGroup,
    ShippingOption,
    ShippingType,
    VippsSession,
    nok,
)
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox

PRICE = goods.PRICE.value

#: What is the same whichever API there is, or is one API's alone.
ONLY_ECOM = pytest.mark.parametrize("api", [Api.ECOM])
ONLY_EPAYMENT = pytest.mark.parametrize("api", [Api.EPAYMENT])

BY_POST = ExpressCheckout(
    consent_removal_prefix="https://example.com/vipps",
    static_shipping_details=(
        ShippingDetails(
            shipping_method_id="post", shipping_method="By post", shipping_cost=nok("59.00"), is_default=True
        ),
    ),
)

#: ePayment tells of the creation, too, before it tells of the acceptance.
LOST = (Fault.CALLBACK_LOST, Fault.CALLBACK_LOST)

FOR_59 = Shipping(
    fixed_options=[
        ShippingGroup(
            type=ShippingType.HOME_DELIVERY,
            brand=ShippingBrand.POSTEN,
            options=[ShippingOption(id="post", name="By post", amount=nok("59.00"), is_default=True)],
        )
    ]
)

# -- buying -----------------------------------------------------------------------------------------------------------


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


# -- callbacks, early, late and never ---------------------------------------------------------------------------------


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


# -- the fallBack -----------------------------------------------------------------------------------------------------


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


# -- the merchant's money ---------------------------------------------------------------------------------------------


async def test_a_payment_is_captured_in_parts_and_the_rest_released(shop: RunningShop) -> None:
    """Two parts are captured, with a comma or a point, and what is left goes back to the customer."""
    order = await shop.bought()
    await shop.press(order, "capture", amount="100,50")
    await shop.press(order, "capture", amount="48.50")
    page = await shop.get(f"/merchant/orders/{order.id}")
    assert "Release the rest" in page.text
    assert (await shop.press(order, "cancel")).status == 303
    moved = shop.payment(order)
    assert (moved.captured, moved.released) == (14900, 10000)


async def test_equal_parts_are_captured_as_often_as_they_are_asked_for(shop: RunningShop) -> None:
    """The same amount, asked for on a page that shows the first capture, is a second capture."""
    order = await shop.bought()
    await shop.press(order, "capture", amount="50")
    await shop.press(order, "capture", amount="50")
    assert shop.payment(order).captured == 10000


async def test_a_part_is_paid_back(shop: RunningShop) -> None:
    """A refund of a part moves just that part."""
    order = await shop.bought()
    await shop.press(order, "capture")
    await shop.press(order, "refund", amount="99.00")
    assert shop.payment(order).refunded == 9900


async def test_a_payment_is_cancelled(shop: RunningShop) -> None:
    """Cancelled before any capture, nothing is reserved any more, and the customer reads so."""
    order = await shop.bought()
    assert (await shop.press(order, "cancel")).status == 303
    assert shop.payment(order).released == PRICE
    await shop.get(f"/merchant/orders/{order.id}")
    await shop.told(order, "Not paid")


@pytest.mark.parametrize("operation", ["capture", "refund"])
async def test_clicks_at_the_same_moment_move_money_once(shop: RunningShop, operation: str) -> None:
    """A form that is sent five times at once moves its amount once."""
    order = await shop.bought()
    if operation == "refund":
        await shop.press(order, "capture")
    form = (await shop.form(order, operation)) | {"amount": "40"}
    answers = await asyncio.gather(*(shop.send(order, operation, form) for _ in range(5)))
    assert {answer.status for answer in answers} <= {303, 409}
    assert 303 in {answer.status for answer in answers}
    assert len(shop.payment(order).moved(operation.upper())) == 1


async def test_a_click_that_comes_again_later_moves_nothing_more(shop: RunningShop) -> None:
    """An old page, sent again by the browser's own doing, leads to the order and moves no money."""
    order = await shop.bought()
    form = (await shop.form(order, "capture")) | {"amount": "40"}
    pages = [await shop.send(order, "capture", form) for _ in range(3)]
    assert [page.status for page in pages] == [303, 303, 303]
    assert shop.payment(order).captured == 4000


@pytest.mark.parametrize("fault", [Fault.RESET_AFTER_EFFECT, Fault.HTTP_503_BEFORE, Fault.ANSWER_CUT_IN_HALF])
async def test_a_capture_on_a_bad_line_moves_money_once(shop: RunningShop, fault: Fault) -> None:
    """Whether the request or its answer got lost, the money has moved once, and the merchant sees the order."""
    order = await shop.bought()
    shop.sandbox.faults.script("capture", fault)
    assert (await shop.press(order, "capture")).status == 303
    assert len(shop.payment(order).moved("CAPTURE")) == 1


async def test_nothing_new_is_begun_while_an_earlier_operation_is_open(shop: RunningShop) -> None:
    """After a capture of unknown outcome another amount is not taken, but the same form may be sent again."""
    order = await shop.bought()
    form = (await shop.form(order, "capture")) | {"amount": "40"}
    shop.sandbox.faults.script("capture", *[Fault.RESET_BEFORE_EFFECT] * 4)
    for look in ("details", "get", "events"):
        shop.sandbox.faults.script(look, *[Fault.RESET_BEFORE_EFFECT] * 60)
    page = await shop.send(order, "capture", form)
    assert page.status == 502
    assert "Money may have moved" in page.text
    assert f'href="/merchant/orders/{order.id}"' in page.text
    shop.sandbox.faults.clear()
    assert (await shop.press(order, "capture", amount="41")).status == 409
    assert (await shop.press(order, "cancel")).status == 409
    assert (await shop.send(order, "capture", form)).status == 303
    assert shop.payment(order).captured == 4000


@ONLY_ECOM
@pytest.mark.parametrize("amount", ["0", "-5", "abc", "1e3", "0.50", "1.001", "", "99999999999"])
async def test_an_amount_that_is_none_moves_nothing(shop: RunningShop, amount: str) -> None:
    """What is no amount is answered in words, and nothing is sent."""
    order = await shop.bought()
    page = await shop.press(order, "capture", amount=amount)
    assert page.status == 400
    assert shop.payment(order).history[-1].operation == "RESERVE"


async def test_more_than_there_is_can_be_neither_captured_nor_refunded(shop: RunningShop) -> None:
    """Vipps refuses, the merchant reads why, and the right amount goes through afterwards."""
    order = await shop.bought()
    page = await shop.press(order, "capture", amount="500")
    assert (page.status, "more was asked for than is reserved" in page.text) == (409, True)
    await shop.press(order, "capture")
    page = await shop.press(order, "refund", amount="500")
    assert (page.status, "more was asked for than was taken" in page.text) == (409, True)
    assert (shop.payment(order).captured, shop.payment(order).refunded) == (PRICE, 0)


@ONLY_ECOM
async def test_the_list_shows_the_orders(shop: RunningShop) -> None:
    """The merchant's list is empty at first, and then shows each order with its state."""
    assert "Nobody has bought" in (await shop.get("/merchant")).text
    order = await shop.bought()
    page = await shop.get("/merchant")
    assert order.id in page.text
    assert "accepted" in page.text


# -- guards -----------------------------------------------------------------------------------------------------------


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


# -- the one command --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "api"), [(signal.SIGINT, "ecom"), (signal.SIGTERM, "epayment")])
async def test_the_one_command_serves_and_ends_when_it_is_told_to(number: signal.Signals, api: str) -> None:
    """`python -m examples.shop` prints where it is, serves a purchase, and ends with status 0."""
    process = await _start("--port", "0", "--api", api, env=environment())
    try:
        urls = await _urls(process, 3)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as http:
            answer = await http.post(f"{urls['Shop']}/pay", headers={"Origin": urls["Shop"]}, allow_redirects=False)
            assert answer.headers["Location"].startswith(urls["Vipps sandbox"])
            landing = await http.get(answer.headers["Location"])
            assert landing.status == 200
        process.send_signal(number)
        _, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        await _end(process)
    assert (process.returncode, err) == (0, b"")


async def test_with_keys_the_shop_talks_to_that_vipps(tmp_path: Path) -> None:
    """With `VIPPS_…` set no sandbox is started, and the merchant's pages want the password."""
    async with Sandbox() as sandbox:
        env = environment(
            VIPPS_CLIENT_ID="id",
            VIPPS_CLIENT_SECRET="secret",
            VIPPS_SUBSCRIPTION_KEY="key",
            VIPPS_MERCHANT_SERIAL_NUMBER="123456",
            VIPPS_BASE_URL=sandbox.url,
            SHOP_URL="http://127.0.0.1:8000/",
            SHOP_DATA=str(tmp_path),
            SHOP_CALLBACK_TOKEN="token",
            SHOP_MERCHANT_PASSWORD="fjord",
        )
        missing = {**env}
        del missing["SHOP_MERCHANT_PASSWORD"]
        process = await _start("--port", "0", env=missing)
        _, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert (process.returncode, b"SHOP_MERCHANT_PASSWORD" in err, b"Traceback" in err) == (1, True, False)
        process = await _start("--port", "0", env=env)
        try:
            urls = await _urls(process, 2)
            process.send_signal(signal.SIGINT)
            out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
        finally:
            await _end(process)
        assert (process.returncode, set(urls), b"sandbox" in out) == (0, {"Shop", "Merchant"}, False)
        assert (tmp_path / "orders.db").exists()


def test_settings_that_are_none_are_refused_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that ePayment could not send, and an API that there is not, are told before the shop opens."""
    env = {"SHOP_URL": "https://example.com", "SHOP_DATA": str(tmp_path), "SHOP_MERCHANT_PASSWORD": "fjord"}
    assert Settings.from_env({**env, "SHOP_CALLBACK_TOKEN": "a-token"}, Api.EPAYMENT).api is Api.EPAYMENT
    with pytest.raises(SystemExit, match="SHOP_CALLBACK_TOKEN must be"):
        Settings.from_env({**env, "SHOP_CALLBACK_TOKEN": "a_token"}, Api.EPAYMENT)
    monkeypatch.setenv("SHOP_API", "bank")
    monkeypatch.setattr(sys, "argv", ["shop", "--port", "0"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2


async def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    """Whoever has something else on the port reads so, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = await _start("--port", str(taken.getsockname()[1]), env=environment())
        _, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 1
    assert re.fullmatch(rb"cannot listen on port [0-9]+: .*; --port 0 takes a free one\n", err)


async def _start(*arguments: str, env: object) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "examples.shop",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env,  # type: ignore[arg-type] # a Mapping will do
        cwd=Path(__file__).parents[2],
    )


async def _urls(process: asyncio.subprocess.Process, count: int) -> dict[str, str]:
    assert process.stdout is not None
    found: dict[str, str] = {}
    for _ in range(count):
        line = (await asyncio.wait_for(process.stdout.readline(), PATIENCE)).decode()
        assert line, "the shop ended before it served"
        match = re.fullmatch(r"([A-Z][a-z ]+): +(http://\S+)\n", line)
        assert match is not None, line
        found[match[1]] = match[2]
    return found


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def _basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"me:{password}".encode()).decode()


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


async def _asked_for_shipping(shop: RunningShop, path: str, address: dict[str, object]) -> Any:
    """Ask as Vipps does while the customer waits."""
    headers = {"Authorization": shop.settings.callback_token}
    async with shop.http.post(f"{shop.url}/vipps/{path}", json=address | {"country": "NO"}, headers=headers) as answer:
        return await answer.json()


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
