"""Every page in light and dark, on a desk and on a phone: kept as a picture, and held against axe."""

from __future__ import annotations

from typing import Literal

import pytest

from tests.browser.chromium import chromium, keep, opened, serious_findings
from tests.sandbox.driver import MSN, Merchant, Shop, merchant_at, shop
from vipps_async.sandbox import Fault, SandboxServer

METHODS = [
    {"isDefault": "Y", "shippingCost": 49.5, "shippingMethod": "Parcel, to the door", "shippingMethodId": "parcel"},
    {"isDefault": "N", "shippingCost": 0, "shippingMethod": "Fetch it in the shop", "shippingMethodId": "shop"},
]
ORDER = f"/sandbox/payments/{MSN}"


async def _some_of_everything(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> dict[str, str]:
    prefixes = {"callbackPrefix": place.url, "fallBack": f"{place.url}/result", "authToken": "shop-token"}
    express = {
        **prefixes,
        "paymentType": "eComm Express Payment",
        "consentRemovalPrefix": place.url,
        "staticShippingDetails": METHODS,
    }
    await merchant.initiate("acme-shop-1001-socks", merchantInfo=prefixes)
    await sandbox.approve("acme-shop-1001-socks")
    await merchant.capture("acme-shop-1001-socks", 30000, key="capture-1001-1")
    await merchant.capture("acme-shop-1001-socks", 90000, key="capture-1001-2")
    await merchant.refund("acme-shop-1001-socks", 9900, key="refund-1001-1")
    await merchant.initiate("acme-shop-1002-declined", 12900, merchantInfo=prefixes)
    await sandbox.reject("acme-shop-1002-declined")
    await merchant.initiate("acme-shop-1003-refused", 151, merchantInfo=prefixes)
    await sandbox.approve("acme-shop-1003-refused")
    await merchant.initiate("acme-shop-1004-void", 1_249_900, merchantInfo=prefixes)
    await sandbox.approve("acme-shop-1004-void")
    await merchant.cancel("acme-shop-1004-void")
    sandbox.faults.script("capture", Fault.HTTP_503_AFTER)
    sandbox.faults.randomise(rate=0.05, seed=42, operations=["details"])
    waiting = await merchant.initiate(
        "acme-shop-1005-waits", merchantInfo=prefixes, customerInfo={"mobileNumber": "91234567"}
    )
    shipped = await merchant.initiate("acme-shop-1006-express", 79900, merchantInfo=express)
    await sandbox.callbacks_delivered()
    landing, app = waiting.json["url"], shipped.json["url"].replace("vippsgateway?v=2&", "vippsgateway/app?")
    return {
        "payments": f"{sandbox.url}/",
        "payment": f"{sandbox.url}{ORDER}/acme-shop-1001-socks",
        "payment-waits": f"{sandbox.url}{ORDER}/acme-shop-1006-express",
        "requests": f"{sandbox.url}/sandbox/requests",
        "controls": f"{sandbox.url}/sandbox/controls",
        "missing": f"{sandbox.url}{ORDER}/none",
        "landing-number": landing,
        "landing-waiting": landing.replace("vippsgateway?v=2&", "vippsgateway/waiting?"),
        "landing-app": landing.replace("vippsgateway?v=2&", "vippsgateway/app?"),
        "landing-app-express": app,
        "landing-unknown": landing + "x",
    }


@pytest.mark.parametrize("size", ["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_each_page_can_be_read_by_all(scheme: Literal["light", "dark"], size: Literal["desk", "phone"]) -> None:
    """No page has a serious finding of axe, is wider than its screen, or asks another host for anything."""
    async with (
        chromium() as browser,
        SandboxServer(rate_limits=False) as sandbox,
        merchant_at(sandbox.url) as merchant,
        shop() as place,
    ):
        empty = {"payments-empty": f"{sandbox.url}/"}
        async with opened(browser, scheme=scheme, size=size) as page:
            for name, url in empty.items():
                await page.goto(url, wait_until="domcontentloaded")
                await keep(page, f"{name}-{scheme}-{size}")
                assert await serious_findings(page) == []
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            for name, url in (await _some_of_everything(sandbox, merchant, place)).items():
                await page.goto(url, wait_until="domcontentloaded")
                if name == "payment":
                    await page.locator("#requests details").first.evaluate("details => { details.open = true }")
                await keep(page, f"{name}-{scheme}-{size}")
                assert await serious_findings(page) == [], name
                wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                assert wide <= 0, name
        assert all(url.startswith(sandbox.url) for url in asked)
