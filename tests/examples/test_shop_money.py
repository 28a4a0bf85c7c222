"""The merchant's money in the example shop: captured, paid back and released once, whoever clicks how often."""

from __future__ import annotations

import asyncio

import pytest

from tests.examples.running_shop import ONLY_ECOM, PRICE, RunningShop
from vipps_async.sandbox import Fault


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
