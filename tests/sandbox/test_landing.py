"""The landing page: shows what is to be paid, takes the answer, and sends the customer back to the shop."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.sandbox.driver import METHOD, Merchant, Shop, merchant_at, until
from vipps_async.sandbox import SandboxServer, SandboxSettings, State

FALL_BACK = "https://example.com/result?order=acme-1&x=%2F"


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    """Follows no redirects by itself, so that tests see them."""
    async with aiohttp.ClientSession() as session:
        yield session


async def _initiate(merchant: Merchant, **parts: Any) -> str:
    merchant_info = {"fallBack": FALL_BACK, **parts.pop("merchantInfo", {})}
    answer = await merchant.initiate("acme-1", merchantInfo=merchant_info, **parts)
    url: str = answer.json["url"]
    return url


async def _get(browser: aiohttp.ClientSession, url: str) -> tuple[int, str, Any]:
    async with browser.get(url, allow_redirects=False) as response:
        return response.status, await response.text(), response.headers


def _at(url: str, step: str) -> str:
    return url.replace("vippsgateway?v=2&", f"vippsgateway/{step}?")


async def _post(browser: aiohttp.ClientSession, url: str, **form: str) -> tuple[int, str, Any]:
    path, _, query = url.partition("?")
    form.setdefault("token", query.partition("token=")[2])
    async with browser.post(path, data=form, allow_redirects=False) as response:
        return response.status, await response.text(), response.headers


async def test_the_page_shows_what_is_to_be_paid(
    sandbox: SandboxServer, merchant: Merchant, browser: aiohttp.ClientSession
) -> None:
    """Amount, text and sales unit stand on it, and a form that works without scripts."""
    url = await _initiate(merchant)
    status, html, headers = await _get(browser, url)
    assert status == 200
    assert "499.00 NOK" in html
    assert "One pair of socks." in html
    assert "123456" in html
    assert re.search(r'<form method="post" action="(/[^"]*)">', html)
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"


async def test_text_is_escaped(merchant: Merchant, browser: aiohttp.ClientSession) -> None:
    """What the merchant writes cannot become markup."""
    url = await _initiate(merchant, transaction={"transactionText": "<script>\"&'"})
    _, html, _ = await _get(browser, url)
    assert "<script>" not in html
    assert "&lt;script&gt;&#34;&amp;&#39;" in html


async def test_approving_reserves_and_goes_back(
    sandbox: SandboxServer, merchant: Merchant, browser: aiohttp.ClientSession
) -> None:
    """Approve reserves the money and redirects to fallBack, with the status that the vendor still sends behind it."""
    url = await _initiate(merchant)
    status, _, headers = await _post(browser, url, answer="approve")
    assert (status, headers["Location"]) == (303, f"{FALL_BACK}&status=100")
    assert sandbox.payment("acme-1").state is State.RESERVE


async def test_declining_cancels_and_goes_back(
    sandbox: SandboxServer, merchant: Merchant, browser: aiohttp.ClientSession
) -> None:
    """Decline goes to the same fallBack, with another status: the shop must ask details to know."""
    url = await _initiate(merchant)
    status, _, headers = await _post(browser, url, answer="decline")
    assert (status, headers["Location"]) == (303, f"{FALL_BACK}&status=301")
    assert sandbox.payment("acme-1").state is State.CANCEL


async def test_a_link_works_once(sandbox: SandboxServer, merchant: Merchant, browser: aiohttp.ClientSession) -> None:
    """An answered payment shows an end and a way back, and a second answer moves nothing."""
    url = await _initiate(merchant)
    await _post(browser, url, answer="approve")
    for status, html, _ in (await _get(browser, url), await _post(browser, url, answer="decline")):
        assert status == 410
        assert 'href="https://example.com/result?order=acme-1&amp;x=%2F"' in html
    assert sandbox.payment("acme-1").reserved == 49900


async def test_a_link_runs_out(sandbox: SandboxServer, merchant: Merchant, browser: aiohttp.ClientSession) -> None:
    """Five minutes for the link; who opened it in the app in time has five more."""
    url = await _initiate(merchant)
    sandbox.clock.advance(299)
    assert (await _get(browser, url))[0] == 200
    assert (await _get(browser, _at(url, "app")))[0] == 200
    sandbox.clock.advance(299)
    assert (await _get(browser, url))[0] == 200
    sandbox.clock.advance(2)
    assert (await _get(browser, url))[0] == 410


async def test_unknown_links_and_answers(merchant: Merchant, browser: aiohttp.ClientSession) -> None:
    """A wrong token finds nothing; an answer must be one of the two."""
    url = await _initiate(merchant)
    assert (await _get(browser, url + "x"))[0] == 404
    assert (await _post(browser, url, token="x", answer="approve"))[0] == 404
    assert (await _post(browser, url, answer="perhaps"))[0] == 400


@pytest.mark.parametrize("fall_back", ["INTENT", "javascript:alert(1)", "http://192.0.2.1/"])
async def test_no_redirect_to_strange_places(
    merchant: Merchant, browser: aiohttp.ClientSession, fall_back: str
) -> None:
    """With isApp URLs are not checked at initiate, but the page never redirects to anything but a shop or an app."""
    answer = await merchant.initiate("acme-1", merchantInfo={"fallBack": fall_back, "isApp": True})
    token = answer.json["url"].partition("token=")[2]
    url = f"{merchant.url}/dwo-api-application/v1/deeplink/vippsgateway?v=2&token={token}"
    status, _, headers = await _post(browser, url, answer="approve")
    assert status == 200
    assert "Location" not in headers
    _, html, _ = await _get(browser, url)
    assert "<a" not in html


async def test_an_app_gets_a_deep_link(sandbox: SandboxServer, merchant: Merchant) -> None:
    """With isApp the URL opens the test app, and the customer is sent back by the app's scheme."""
    url = await _initiate(merchant, merchantInfo={"fallBack": "myapp://result", "isApp": True})
    assert url.startswith("vippsMT://?token=")
    assert sandbox.landing_url("acme-1") == url


async def test_the_page_goes_back_into_an_app(merchant: Merchant, browser: aiohttp.ClientSession) -> None:
    """A fallBack with an app's scheme is redirected to as it is."""
    url = await _initiate(merchant, merchantInfo={"fallBack": "myapp://result"})
    assert (await _post(browser, url, answer="approve"))[2]["Location"] == "myapp://result?status=100"


async def test_express_without_shipping_cannot_be_approved(
    sandbox: SandboxServer, merchant: Merchant, browser: aiohttp.ClientSession
) -> None:
    """The page says why, and the payment still waits."""
    express = {
        "paymentType": "eComm Express Payment",
        "consentRemovalPrefix": "https://example.com/c",
        "shippingDetailsPrefix": "https://example.com/s",
    }
    url = await _initiate(merchant, merchantInfo=express)
    status, html, _ = await _post(browser, url, answer="approve")
    assert status == 409
    assert "no shipping methods" in html
    assert sandbox.payment("acme-1").state is State.INITIATE


async def test_the_whole_way(sandbox: SandboxServer, merchant: Merchant, browser: aiohttp.ClientSession) -> None:
    """Number, notification, app, answer, and back to the shop: by plain forms and links."""
    url = await _initiate(merchant)
    status, _, headers = await _post(browser, url, answer="number", number="+47 91 23 45 67")
    assert status == 303
    waiting = merchant.url + headers["Location"]
    status, html, _ = await _get(browser, waiting)
    assert status == 200
    assert "ends in 567" in html
    assert "1234567" not in html.replace(url.partition("token=")[2], "")
    assert sandbox._book.only("acme-1").payment.opened_at is None
    link = re.search(r'href="([^"]*/app[^"]*)"', html)
    assert link is not None
    status, html, _ = await _get(browser, merchant.url + link[1])
    assert status == 200
    for text in ("499.00 NOK", "One pair of socks.", "Sales unit 123456", "Pay 499.00 NOK", "Decline"):
        assert text in html
    status, _, headers = await _post(browser, url, answer="approve")
    assert (status, headers["Location"]) == (303, f"{FALL_BACK}&status=100")
    status, _, headers = await _get(browser, waiting)
    assert (status, headers["Location"]) == (303, f"{FALL_BACK}&status=100")


async def test_a_number_that_is_none(merchant: Merchant, browser: aiohttp.ClientSession) -> None:
    """The page asks again, and keeps what was written."""
    url = await _initiate(merchant)
    for number in ("", "1234567", "123456789", "+46 12345678", '"><script>', "９１２３４５６７"):
        status, html, _ = await _post(browser, url, answer="number", number=number)
        assert status == 400
        assert "eight digits" in html
        assert "<script>" not in html


async def test_a_known_number_stands_there(merchant: Merchant, browser: aiohttp.ClientSession) -> None:
    """The merchant's number is filled in; another one that the customer gives wins."""
    url = await _initiate(merchant, customerInfo={"mobileNumber": "99887766"}, transaction={"scope": "phoneNumber"})
    assert 'value="99887766"' in (await _get(browser, url))[1]
    await _post(browser, url, answer="number", number="91919191")
    assert 'value="91919191"' in (await _get(browser, url))[1]
    assert "The shop asks for your phoneNumber." in (await _get(browser, _at(url, "app")))[1]
    await _post(browser, url, answer="approve")
    sub = (await merchant.details("acme-1")).json["sub"]
    claims = (await merchant.call("GET", f"/vipps-userinfo-api/userinfo/{sub}")).json
    assert claims["phone_number"] == "4791919191"


async def test_no_landing_page_where_it_is_skipped(browser: aiohttp.ClientSession) -> None:
    """The notification is on its way already: the link goes to the page that waits for the app."""
    async with (
        SandboxServer(settings=SandboxSettings(skip_landing_page={"123456"})) as sandbox,
        merchant_at(sandbox.url) as merchant,
    ):
        url = await _initiate(
            merchant, transaction={"skipLandingPage": True}, customerInfo={"mobileNumber": "91234567"}
        )
        status, _, headers = await _get(browser, url)
        assert (status, merchant.url + headers["Location"]) == (303, _at(url, "waiting"))


async def test_letting_it_time_out(
    sandbox: SandboxServer, merchant: Merchant, browser: aiohttp.ClientSession, place: Shop
) -> None:
    """The customer who does nothing comes back to the shop, too; the shop is told REJECTED."""
    url = await _initiate(merchant, merchantInfo={"callbackPrefix": place.url})
    status, _, headers = await _post(browser, url, answer="expire")
    assert (status, headers["Location"]) == (303, FALL_BACK)
    await sandbox.callbacks_delivered()
    assert place.received[0][3]["transactionInfo"]["status"] == "REJECTED"


async def test_shipping_is_chosen_in_the_app(
    sandbox: SandboxServer, merchant: Merchant, browser: aiohttp.ClientSession, place: Shop
) -> None:
    """The shop is asked once, its ways stand beside the address, and the chosen one is told to it."""
    place.answer = {
        "addressId": 100,
        "orderId": "acme-1",
        "shippingDetails": [
            {"isDefault": "N", "shippingCost": 0, "shippingMethod": "Fetch it", "shippingMethodId": "shop"},
            {"isDefault": "Y", "shippingCost": 49.5, "shippingMethod": "Parcel", "shippingMethodId": "parcel"},
        ],
    }
    express = {
        "paymentType": "eComm Express Payment",
        "callbackPrefix": place.url,
        "consentRemovalPrefix": place.url,
        "shippingDetailsPrefix": place.url,
    }
    url = await _initiate(merchant, merchantInfo=express)
    for _ in range(2):
        _, html, _ = await _get(browser, _at(url, "app"))
        for text in ("Storgata 1", "0155 Oslo", "Fetch it", "49.50\u00a0NOK"):
            assert text in html
        assert re.findall(r'value="(\w+)"[^>]* checked', html) == ["parcel"]
    status, html, _ = await _post(browser, url, answer="approve", shipping="drone")
    assert status == 409
    assert "there is no shipping method" in html
    assert "Fetch it" in html
    assert (await _post(browser, url, answer="approve", shipping="shop"))[0] == 303
    await sandbox.callbacks_delivered()
    assert [path.rpartition("/")[2] for _, path, _, _ in place.received] == ["shippingDetails", "acme-1"]
    assert place.received[1][3]["shippingDetails"]["shippingMethodId"] == "shop"


async def test_a_shop_that_takes_too_long_to_tell_its_shipping(
    sandbox: SandboxServer, merchant: Merchant, browser: aiohttp.ClientSession, place: Shop
) -> None:
    """A payment that ended while the shop was thinking shows its end."""
    place.awake.clear()
    place.answer = {"addressId": 100, "orderId": "acme-1", "shippingDetails": [METHOD]}
    express = {
        "paymentType": "eComm Express Payment",
        "consentRemovalPrefix": place.url,
        "shippingDetailsPrefix": place.url,
    }
    url = await _initiate(merchant, merchantInfo=express)
    page = asyncio.create_task(_get(browser, _at(url, "app")))
    await until(lambda: len(place.received) == 1)
    await sandbox.expire("acme-1")
    place.awake.set()
    assert (await page)[0] == 410


async def test_every_step_knows_unknown_links_and_ends(
    sandbox: SandboxServer, merchant: Merchant, browser: aiohttp.ClientSession
) -> None:
    """A wrong token is 404 at each step; after the end a number is not taken any more."""
    url = await _initiate(merchant)
    for step in ("app", "waiting"):
        assert (await _get(browser, _at(url, step) + "x"))[0] == 404
    await sandbox.expire("acme-1")
    assert (await _get(browser, _at(url, "app")))[0] == 410
    assert (await _post(browser, url, answer="number", number="91234567"))[0] == 410


@pytest.mark.parametrize(("amount", "text"), [(151, "the bank will refuse it"), (201, "not know for an hour")])
async def test_the_app_warns_of_test_amounts(
    merchant: Merchant, browser: aiohttp.ClientSession, amount: int, text: str
) -> None:
    """So that nobody wonders; and the customer goes back to the shop all the same."""
    url = await _initiate(merchant, transaction={"amount": amount})
    assert text in (await _get(browser, _at(url, "app")))[1]
    assert (await _post(browser, url, answer="approve"))[0] == 303
