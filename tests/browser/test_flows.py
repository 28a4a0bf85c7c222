"""What a developer and a customer do in the browser: with script and without, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from attrs import define

from tests.browser.chromium import chromium, keep, opened
from tests.sandbox.driver import MSN, Merchant, Shop, merchant_at, shop
from vipps_async.sandbox import Fault, SandboxServer, State
from vipps_async.sandbox.pages.layout import WAITING_PATH

METHODS = [
    {"isDefault": "Y", "shippingCost": 49.5, "shippingMethod": "Parcel", "shippingMethodId": "parcel"},
    {"isDefault": "N", "shippingCost": 0, "shippingMethod": "Fetch it", "shippingMethodId": "shop"},
]
ORDER = f"/sandbox/payments/{MSN}/acme-1"
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\u202eevil"


@define
class World:
    """A sandbox, a merchant and its shop."""

    sandbox: SandboxServer
    merchant: Merchant
    place: Shop

    async def initiate(self, order_id: str = "acme-1", *, express: bool = False, **transaction: str) -> str:
        """Initiate a payment and return the link for the customer."""
        info: dict[str, object] = {"callbackPrefix": self.place.url, "fallBack": f"{self.place.url}/result"}
        if express:
            info |= {
                "paymentType": "eComm Express Payment",
                "consentRemovalPrefix": self.place.url,
                "shippingDetailsPrefix": self.place.url,
            }
        answer = await self.merchant.initiate(order_id, merchantInfo=info, transaction=transaction)
        url: str = answer.json["url"]
        return url


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A fresh one for each test."""
    async with (
        SandboxServer(rate_limits=False) as sandbox,
        merchant_at(sandbox.url) as merchant,
        shop() as place,
    ):
        place.answer = {"addressId": 100, "orderId": "acme-1", "shippingDetails": METHODS}
        yield World(sandbox, merchant, place)


@pytest.mark.parametrize("script", [True, False])
async def test_a_payment_is_approved(world: World, *, script: bool) -> None:
    """Number, app, approve, back in the shop; with script and without."""
    url = await world.initiate()
    async with chromium() as browser, opened(browser, script=script, size="phone") as page:
        await page.goto(url)
        await page.get_by_label("Phone number").fill("912 34 567")
        await page.get_by_role("button", name="Next").click()
        await page.get_by_role("link", name="Open the app").click()
        await page.get_by_role("button", name="Pay 499.00 NOK").click()
        await page.wait_for_url(f"{world.place.url}/result?status=100")
    assert world.sandbox.payment("acme-1").state is State.RESERVE


async def test_express_is_approved_by_keyboard(world: World) -> None:
    """The shipping that was chosen with the arrow keys is what the shop is told."""
    url = await world.initiate(express=True)
    async with chromium() as browser, opened(browser) as page:
        await page.goto(url.replace("vippsgateway?v=2&", "vippsgateway/app?"))
        await page.get_by_label("Parcel").focus()
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{world.place.url}/result?status=100")
    details = (await world.merchant.details("acme-1")).json
    assert details["shippingDetails"]["shippingMethodId"] == "shop"


@pytest.mark.parametrize(("button", "status"), [("Decline", "?status=301"), ("Let it time out", "")])
async def test_a_payment_is_not_approved(world: World, button: str, status: str) -> None:
    """Declined or timed out, the customer comes back to the shop and no money moves."""
    url = await world.initiate()
    async with chromium() as browser, opened(browser) as page:
        await page.goto(url.replace("vippsgateway?v=2&", "vippsgateway/app?"))
        await page.get_by_role("button", name=button).click()
        await page.wait_for_url(f"{world.place.url}/result{status}")
    assert world.sandbox.payment("acme-1").state is State.CANCEL


async def test_the_landing_page_goes_on_by_itself(world: World) -> None:
    """Whoever waits on it is sent to the shop when the payment is answered elsewhere."""
    url = await world.initiate()
    async with chromium() as browser, opened(browser) as page:
        await page.goto(url.replace("vippsgateway?v=2&", "vippsgateway/waiting?"))
        await world.sandbox.approve("acme-1")
        await page.wait_for_url(f"{world.place.url}/result?status=100")


async def test_the_landing_page_ends_where_there_is_no_shop_to_go_to(world: World) -> None:
    """Whoever waits on it sees that the payment is done when no page of the shop can be opened."""
    info = {"callbackPrefix": world.place.url, "fallBack": "javascript:alert(1)", "isApp": True}
    url: str = (await world.merchant.initiate("acme-1", merchantInfo=info)).json["url"]
    async with chromium() as browser, opened(browser) as page:
        await page.goto(f"{world.sandbox.url}{WAITING_PATH}?token={url.rpartition('=')[2]}")
        await world.sandbox.approve("acme-1")
        await page.get_by_role("heading", name="Done").wait_for()


async def test_the_dashboard_is_live(world: World) -> None:
    """Payments appear and change without a reload, and a screen reader is told."""
    async with chromium() as browser, opened(browser) as page:
        await page.goto(f"{world.sandbox.url}/")
        await page.locator("body.live").wait_for()
        await page.evaluate("window.untouched = true")
        await world.initiate()
        row = page.locator("tr", has_text="acme-1")
        await row.get_by_text("INITIATE").wait_for()
        await page.get_by_role("status").get_by_text("Order acme-1: INITIATE.").wait_for()
        # The focus stays where it was, though the table is another one now.
        await row.get_by_role("link").focus()
        await world.sandbox.approve("acme-1")
        await row.get_by_text("RESERVE", exact=True).wait_for()
        assert await page.evaluate("document.activeElement.textContent") == "acme-1"
        await world.merchant.capture("acme-1", 12_300)
        await row.get_by_text("123.00").wait_for()
        assert await page.evaluate("window.untouched") is True
        await keep(page, "payments-live")


async def test_a_payment_page_is_live(world: World) -> None:
    """History, callbacks and requests grow as they come, and a body that was opened stays open."""
    await world.initiate()
    async with chromium() as browser, opened(browser) as page:
        await page.goto(world.sandbox.url + ORDER)
        await page.locator("body.live").wait_for()
        await page.locator("#requests summary").first.click()
        await page.locator("#requests details[open]").wait_for()
        await page.get_by_role("button", name="Approve").click()
        await page.locator("#state").get_by_text("RESERVE").wait_for()
        await page.locator("body.live").wait_for()
        await page.locator("#callbacks summary").wait_for()
        await page.locator("#requests summary").first.click()
        await world.merchant.capture("acme-1", 12_300, key="key-1")
        await page.locator("#history").get_by_text("key-1").wait_for()
        await page.locator("#requests li").nth(1).wait_for()
        assert await page.locator("#requests details[open] summary").first.inner_text() != ""
        assert "initiate" in await page.locator("#requests details[open] summary").first.inner_text()


@pytest.mark.parametrize("script", [True, False])
async def test_the_buttons_of_the_dashboard(world: World, *, script: bool) -> None:
    """Decline a payment, script a fault, move the clock, clear: with script and without."""
    await world.initiate()
    async with chromium() as browser, opened(browser, script=script) as page:
        await page.goto(f"{world.sandbox.url}/")
        await page.get_by_role("link", name="acme-1").click()
        await page.get_by_role("button", name="Decline").click()
        await page.locator("#state").get_by_text("CANCEL").wait_for()
        await page.get_by_role("link", name="Faults and clock").click()
        before = world.sandbox.clock.now()
        await page.get_by_role("button", name="+ 1 day", exact=True).click()
        await page.get_by_label("Operation").select_option("capture")
        await page.get_by_label("Fault", exact=True).select_option("HTTP_503_AFTER")
        await page.get_by_role("button", name="Script it").click()
        await page.locator("#faults").get_by_text("HTTP_503_AFTER").wait_for()
        assert (world.sandbox.clock.now() - before).days == 1
        assert world.sandbox.faults.scripts == {("capture", None): (Fault.HTTP_503_AFTER,)}
        await page.get_by_role("button", name="Let nothing fail").click()
        await page.locator("#faults").get_by_text("Nothing.").wait_for()
        assert not world.sandbox.faults.active


async def test_the_dashboard_waits_for_a_sandbox_that_went_away(world: World) -> None:
    """It says so, and follows again once the sandbox is back."""
    async with chromium() as browser, opened(browser) as page:
        await page.goto(f"{world.sandbox.url}/")
        await page.locator("body.live").wait_for()
        await world.sandbox.aclose()
        await page.get_by_text("The sandbox does not answer.").wait_for()
        await world.sandbox.start()
        await page.locator("body.live").wait_for()
        await world.initiate()
        await page.locator("tr", has_text="acme-1").wait_for()


async def test_hostile_texts_do_nothing(world: World) -> None:
    """Markup in an order's text is shown as it was written, on each page that shows it; no script runs."""
    url = await world.initiate(transactionText=HOSTILE)
    async with chromium() as browser, opened(browser) as page:
        ran: list[str] = []
        page.on("dialog", lambda dialog: ran.append(dialog.message))
        for place in (url, url.replace("vippsgateway?v=2&", "vippsgateway/app?"), world.sandbox.url + ORDER):
            await page.goto(place, wait_until="load")
            await page.get_by_text("<script>alert(2)</script>[U+202E]evil").first.wait_for()
            assert await page.locator("img").count() == 0
        assert ran == []


async def test_a_page_from_elsewhere_can_do_nothing(world: World) -> None:
    """A form of another site, posted by the customer's own browser, is refused."""
    await world.initiate()
    world.place.headers = {"Content-Type": "text/html"}
    world.place.answer = (
        f'<form method="post" action="{world.sandbox.url}{ORDER}/approve"><button>Win a prize</button></form>'
    ).encode()
    async with chromium() as browser, opened(browser) as page:
        await page.goto(f"{world.place.url}/prize")
        async with page.expect_navigation() as navigation:
            await page.get_by_role("button").click()
        answer = await navigation.value
        assert answer is not None
        assert answer.status == 403
    assert world.sandbox.payment("acme-1").state is State.INITIATE
