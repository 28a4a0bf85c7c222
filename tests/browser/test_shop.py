"""The example shop in a browser, through the sandbox's landing pages: from buying and declining to the refund."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from examples.shop import goods
from examples.shop.orders import Api, Order
from tests.browser.chromium import chromium, keep, opened, serious_findings
from tests.examples.running_shop import RunningShop, running_shop

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page


PRICE = goods.PRICE.value

BY_BOTH = pytest.mark.parametrize("api", list(Api))


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    """Chromium."""
    async with chromium() as started:
        yield started


@pytest.fixture
def api() -> Api:
    """Which API makes the shop's payments: eCom, unless a test says otherwise."""
    return Api.ECOM


@pytest_asyncio.fixture
async def shop(browser: Browser, tmp_path: Path, api: Api) -> AsyncIterator[RunningShop]:
    """A shop that is open; after the browser, so that nothing is opened where there is none."""
    async with running_shop(tmp_path, api=api) as running:
        yield running


@BY_BOTH
async def test_a_customer_buys_and_the_merchant_captures_in_parts_and_refunds(
    browser: Browser, shop: RunningShop
) -> None:
    """From the product to the refund, every page of the regular purchase works and is fit for everybody."""
    async with opened(browser) as page:
        await page.goto(shop.url)
        await _look(page, "shop-1-product")
        await page.get_by_role("link", name="To the checkout").click()
        await page.get_by_label("Your mobile number").fill("912 34 567")
        await _look(page, "shop-2-checkout")
        await page.get_by_role("button", name="Pay with Vipps").click()
        await page.get_by_role("button", name="Next").click()
        await page.get_by_role("link", name="Open the app").click()
        await page.get_by_role("button", name="Pay 249.00").click()
        await _heading(page, "Thank you!")
        await _look(page, "shop-3-thanks")
        order = await _order(page, shop)
        assert shop.payment(order).reserved == PRICE

        await page.get_by_role("link", name="Merchant").click()
        await _look(page, "shop-4-orders")
        await page.get_by_role("link", name=order.id).click()
        await _look(page, "shop-5-reserved")
        await page.get_by_label("Capture, in kroner").fill("100,00")
        await page.get_by_role("button", name="Capture").click()
        await page.get_by_text("At most 149.00 NOK").wait_for()
        await page.get_by_label("Refund, in kroner").fill("25.50")
        await page.get_by_role("button", name="Refund").click()
        await page.get_by_text("At most 74.50 NOK").wait_for()
        await _look(page, "shop-6-captured-and-refunded")
        await page.get_by_role("button", name="Release the rest").click()
        await page.get_by_role("button", name="Release the rest").wait_for(state="detached")
        await page.get_by_label("Refund, in kroner").fill("500")
        await page.get_by_role("button", name="Refund").click()
        await page.get_by_role("alert").get_by_text("No money moved").wait_for()
        await _look(page, "shop-7-refused")
        await page.get_by_role("link", name="Back to the order").click()
        await _look(page, "shop-8-released")
    moved = shop.payment(order)
    assert (moved.captured, moved.refunded, moved.released) == (10000, 2550, 14900)


@BY_BOTH
@pytest.mark.parametrize(
    ("button", "choice", "shipped"),
    [
        ("Buy now with Vipps", "Pick up in the shop", "Pick up in the shop (0.00 NOK)"),
        ("Buy now, shipping by address", "By bike, today", "By bike, today (89.00 NOK)"),
    ],
)
async def test_an_express_customer_chooses_the_shipping_at_vipps(
    browser: Browser, shop: RunningShop, button: str, choice: str, shipped: str
) -> None:
    """Buy now, choose one way of shipping of those that the shop offers, and the merchant knows where to send it."""
    async with opened(browser) as page:
        await page.goto(shop.url)
        await page.get_by_role("button", name=button).click()
        await page.get_by_label("Phone number").fill("91234567")
        await page.get_by_role("button", name="Next").click()
        await page.get_by_role("link", name="Open the app").click()
        await page.get_by_label(re.compile(choice)).check()
        await page.get_by_role("button", name=re.compile("^Pay")).click()
        await _heading(page, "Thank you!")
        order = await _order(page, shop)
        await page.goto(f"{shop.url}/merchant/orders/{order.id}")
        await page.get_by_text(shipped).wait_for()
        await page.get_by_text("Kari Nordmann").wait_for()
        await _look(page, f"shop-express-{order.kind}")


@BY_BOTH
async def test_a_declined_payment_is_tried_again(browser: Browser, shop: RunningShop) -> None:
    """After a decline the customer reads that nothing was taken, and pays at the second attempt."""
    async with opened(browser) as page:
        await _to_the_app(page, shop)
        await page.get_by_role("button", name="Decline").click()
        await _heading(page, "Not paid")
        await _look(page, "shop-declined")
        await page.get_by_role("button", name="Try again with Vipps").click()
        await page.get_by_label("Phone number").fill("91234567")
        await page.get_by_role("button", name="Next").click()
        await page.get_by_role("link", name="Open the app").click()
        await page.get_by_role("button", name="Pay 249.00").click()
        await _heading(page, "Thank you!")
        assert (await _order(page, shop)).attempt == 2
    assert sorted(payment.reserved for payment in shop.sandbox.payments) == [0, PRICE]


async def test_a_payment_that_times_out_is_told_as_not_paid(browser: Browser, shop: RunningShop) -> None:
    """A customer who lets the time run out comes back to a page that says that nothing was taken."""
    async with opened(browser) as page:
        await _to_the_app(page, shop)
        await page.get_by_role("button", name="Let it time out").click()
        await _heading(page, "Not paid")


@pytest.mark.parametrize("script", [True, False])
async def test_the_page_that_waits_notices_by_itself(browser: Browser, shop: RunningShop, *, script: bool) -> None:
    """With script or without, the customer's page turns when the payment is accepted on the phone."""
    order = await shop.begin()
    async with opened(browser, script=script) as page:
        await page.goto(f"{shop.url}/orders/{order.id}")
        await _heading(page, "Waiting for Vipps")
        if script:
            await _look(page, "shop-waiting")
        await shop.sandbox.approve(order.payment_id)
        await _heading(page, "Thank you!")


async def test_two_presses_in_one_breath_capture_once(browser: Browser, shop: RunningShop) -> None:
    """A double click on the button moves the money once, and ends on the order."""
    order = await shop.bought()
    async with opened(browser) as page:
        await page.goto(f"{shop.url}/merchant/orders/{order.id}")
        await page.get_by_label("Capture, in kroner").fill("40")
        await page.get_by_role("button", name="Capture").dblclick()
        await page.get_by_text("At most 209.00 NOK").wait_for()
    assert len(shop.payment(order).moved("CAPTURE")) == 1


async def test_the_pages_are_fit_for_a_phone_in_the_dark(browser: Browser, shop: RunningShop) -> None:
    """On a phone, in dark colours, nothing is cut off sideways, and axe finds nothing serious."""
    order = await shop.bought(kind="static")
    await shop.press(order, "capture", amount="100")
    paths = {
        "product": "/",
        "checkout": "/checkout",
        "thanks": f"/orders/{order.id}",
        "orders": "/merchant",
        "order": f"/merchant/orders/{order.id}",
        "missing": "/orders/none",
    }
    async with opened(browser, scheme="dark", size="phone") as page:
        for name, path in paths.items():
            await page.goto(shop.url + path)
            await _look(page, f"shop-phone-{name}")
            too_wide = await page.evaluate(
                "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            )
            assert not too_wide, name


async def _to_the_app(page: Page, shop: RunningShop) -> None:
    await page.goto(f"{shop.url}/checkout")
    await page.get_by_label("Your mobile number").fill("91234567")
    await page.get_by_role("button", name="Pay with Vipps").click()
    await page.get_by_role("button", name="Next").click()
    await page.get_by_role("link", name="Open the app").click()


async def _heading(page: Page, text: str) -> None:
    await page.get_by_role("heading", name=text).wait_for()


async def _look(page: Page, name: str) -> None:
    """Keep a picture of the page, and hold it against axe."""
    await keep(page, name)
    assert await serious_findings(page) == []


async def _order(page: Page, shop: RunningShop) -> Order:
    """Return the order whose page is open."""
    return await shop.order(urlsplit(page.url).path.rpartition("/")[2])
