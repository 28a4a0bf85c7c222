"""The landing page: shows what is to be paid, takes the answer, and sends the customer back to the shop."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.sandbox.driver import Merchant
from vipps_async.sandbox import SandboxServer, State

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
    assert "&lt;script&gt;&quot;&amp;&#x27;" in html


async def test_approving_reserves_and_goes_back(
    sandbox: SandboxServer, merchant: Merchant, browser: aiohttp.ClientSession
) -> None:
    """Approve reserves the money and redirects to fallBack, byte by byte as it was given."""
    url = await _initiate(merchant)
    status, _, headers = await _post(browser, url, answer="approve")
    assert (status, headers["Location"]) == (303, FALL_BACK)
    assert sandbox.payment("acme-1").state is State.RESERVE


async def test_declining_cancels_and_goes_back(
    sandbox: SandboxServer, merchant: Merchant, browser: aiohttp.ClientSession
) -> None:
    """Decline goes to the same fallBack: the shop must ask details to know."""
    url = await _initiate(merchant)
    status, _, headers = await _post(browser, url, answer="decline")
    assert (status, headers["Location"]) == (303, FALL_BACK)
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
    assert (await _post(browser, url, answer="approve"))[2]["Location"] == "myapp://result"


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
