"""The dashboard without a browser: what its pages say, what its buttons do, and what they make of hostile texts."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.sandbox.driver import MSN, Merchant, Shop, merchant_at
from tests.support.rows import each_row
from vipps_async.sandbox import Fault, SandboxServer, SandboxSettings, State
from vipps_async.sandbox.pages import dashboard as dashboard_module

ORDER = f"/sandbox/payments/{MSN}/acme-1"
CONTROLS = "/sandbox/controls"
PAGES = ("/", "/sandbox/requests", CONTROLS, ORDER)
#: Markup, quotes, text that turns the line around, an end of a comment, a NUL.
HOSTILE = "<script>alert(1)</script>\"'&\u202egpj.exe\u2066-->\x00"


async def _get(merchant: Merchant, path: str) -> tuple[int, str, Any]:
    async with merchant.session.get(merchant.url + path) as answer:
        return answer.status, await answer.text(), answer.headers


async def _post(merchant: Merchant, path: str, **form: Any) -> tuple[int, str, Any]:
    async with merchant.session.post(merchant.url + path, data=form, allow_redirects=False) as answer:
        return answer.status, await answer.text(), answer.headers


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def _elements(html: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Elements()
    parser.feed(html)
    return parser.seen


async def test_all_payments_with_state_and_sums(sandbox: SandboxServer, merchant: Merchant) -> None:
    """The newest first, each with what is reserved, captured and refunded."""
    await merchant.initiate("acme-1")
    await merchant.initiate("acme-2", 1_234_567)
    await sandbox.approve("acme-1")
    await merchant.capture("acme-1", 30_000)
    await merchant.refund("acme-1", 9_900)
    status, html, _ = await _get(merchant, "/")
    assert status == 200
    rows = re.findall(r"<tr id=.*?</tr>", html, re.DOTALL)
    assert [re.sub("<[^>]+>", " ", row).replace("\u00a0", "").split()[:-1] for row in rows] == [
        ["acme-2", "INITIATE", "12345.67", "–", "–", "–", "eCom", MSN],
        ["acme-1", "REFUND", "499.00", "499.00", "300.00", "99.00", "eCom", MSN],
    ]


@pytest.mark.parametrize(
    ("captured", "refunded", "direct", "word"),
    [
        (0, 0, False, "RESERVE"),
        (100, 0, False, "CAPTURE"),
        (49_900, 0, False, "CAPTURE"),
        (49_900, 100, False, "REFUND"),
        (0, 0, True, "SALE"),
        (0, 100, True, "REFUND"),
    ],
)
async def test_what_is_captured_or_paid_back_says_so(captured: int, refunded: int, direct: bool, word: str) -> None:  # noqa: FBT001
    """A payment of which money has moved is not shown as a reservation, in the list, on its page or in the news."""
    units = {MSN} if direct else set()
    async with (
        SandboxServer(settings=SandboxSettings(direct_capture=units)) as sandbox,
        merchant_at(sandbox.url) as merchant,
    ):
        await merchant.initiate("acme-1")
        await sandbox.approve("acme-1")
        if captured:
            await merchant.capture("acme-1", captured)
        if refunded:
            await merchant.refund("acme-1", refunded)
        for path in ("/", ORDER):
            _, html, _ = await _get(merchant, path)
            assert re.findall(r'class="badge state \w+" title="[^"]+">(\w+)<', html) == [word]


async def test_without_payments_it_says_how_to_begin(merchant: Merchant) -> None:
    """The variables to export stand there."""
    _, html, _ = await _get(merchant, "/")
    assert f"export VIPPS_BASE_URL={merchant.url}" in html


async def test_many_payments_come_in_pages(merchant: Merchant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page has its part; a search finds by any part of the order id."""
    monkeypatch.setattr(dashboard_module, "PAGE_SIZE", 2)
    for number in range(5):
        await merchant.initiate(f"acme-{number}")
    for page, orders in ((1, "43"), (2, "21"), (3, "0"), (4, "")):
        _, html, _ = await _get(merchant, f"/?page={page}")
        assert re.findall(r">acme-(\d)</a>", html) == list(orders)
    assert 'href="/?page=2"' in (await _get(merchant, "/"))[1]
    assert re.findall(r">acme-(\d)</a>", (await _get(merchant, "/?query=me-3"))[1]) == ["3"]
    assert "No order id has that in it." in (await _get(merchant, "/?query=none"))[1]
    for strange in ("x", "-1", "²", "9" * 400):
        assert (await _get(merchant, f"/?page={strange}"))[0] == 200


async def test_one_payment_shows_its_history(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """Operations with their request ids and refusals, requests with answers, callbacks with what the shop said."""
    place.answer = {"said": "thank you"}
    await merchant.initiate("acme-1", merchantInfo={"callbackPrefix": place.url, "authToken": "shop-secret"})
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    await merchant.capture("acme-1", 10_000, key="key-1")
    await merchant.capture("acme-1", 90_000, key="key-2")
    _, html, _ = await _get(merchant, ORDER)
    for text in ("key-1", "key-2", "refused", "INITIATE", "RESERVE", "CAPTURE", "thank you", "capturedAmount"):
        assert text in html
    assert f"{place.url}/v2/payments/acme-1" in html
    # The landing page's link is there to be used; no other secret is.
    for secret in ("shop-secret", merchant.token, "subscription-key"):
        assert secret not in html


async def test_two_sales_units_with_one_order_id(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Each has its own page, with its own requests."""
    await merchant.initiate("acme-1", 10_000)
    merchant.msn = "654321"
    await merchant.initiate("acme-1", 20_000)
    await merchant.capture("acme-1", 100, key="key-of-the-other")
    first, second = (await _get(merchant, ORDER))[1], (await _get(merchant, ORDER.replace(MSN, "654321")))[1]
    assert "100.00 NOK" in first
    assert "200.00 NOK" in second
    assert "key-of-the-other" not in first
    assert "key-of-the-other" in second


async def test_pages_that_are_not_there(merchant: Merchant) -> None:
    """No payment, no file, no action, no control: 404."""
    await merchant.initiate("acme-1")
    assert (await _get(merchant, f"/sandbox/payments/{MSN}/none"))[0] == 404
    assert (await _get(merchant, "/sandbox/payments/1/acme-1"))[0] == 404
    assert (await _get(merchant, "/sandbox/pages/frame.py"))[0] == 404
    assert (await _get(merchant, "/sandbox/pages/..%2Fframe.py"))[0] == 404
    assert (await _post(merchant, f"{ORDER}/steal"))[0] == 404
    assert (await _post(merchant, f"/sandbox/payments/{MSN}/none/approve"))[0] == 404
    assert (await _post(merchant, f"{CONTROLS}/self-destruction"))[0] == 404


async def test_an_action_that_there_is_not_is_answered_with_those_that_there_are(merchant: Merchant) -> None:
    """Who guesses at a button over HTTP is told its name."""
    await merchant.initiate("acme-1")
    status, text, _ = await _post(merchant, f"{ORDER}/reject")
    assert status == 404
    assert "There is no such action: approve, decline, open or expire." in text


@pytest.mark.parametrize(
    ("action", "state"),
    [("approve", State.RESERVE), ("decline", State.CANCEL), ("expire", State.CANCEL), ("open", State.INITIATE)],
)
async def test_what_a_customer_can_do(sandbox: SandboxServer, merchant: Merchant, action: str, state: State) -> None:
    """Each button does it and goes back to the payment; what makes no sense any more is said on its page."""
    await merchant.initiate("acme-1")
    status, _, headers = await _post(merchant, f"{ORDER}/{action}")
    assert (status, headers["Location"]) == (303, ORDER)
    assert sandbox.payment("acme-1").state is state
    if action != "open":
        status, html, _ = await _post(merchant, f"{ORDER}/{action}")
        assert status == 409
        assert "does not wait for the customer" in html


async def test_the_bank_refuses_a_test_amount(sandbox: SandboxServer, merchant: Merchant) -> None:
    """The page says so beforehand; approving then fails the payment, or leaves it unknown for an hour."""
    await merchant.initiate("acme-1", 151)
    assert "the bank refuses it" in (await _get(merchant, ORDER))[1]
    await _post(merchant, f"{ORDER}/approve")
    assert sandbox.payment("acme-1").state is State.FAILED
    await merchant.initiate("acme-2", 201)
    other = ORDER.replace("acme-1", "acme-2")
    assert "will not know for an hour" in (await _get(merchant, other))[1]
    await _post(merchant, f"{other}/approve")
    assert "REGISTER" in (await _get(merchant, other))[1]
    await _post(merchant, f"{CONTROLS}/clock", seconds="3600")
    assert sandbox.payment("acme-2").state is State.RESERVE


async def test_shipping_is_chosen_in_express(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """The page offers the ways of shipping; the chosen one stands in details, an unknown one is an error."""
    methods = [
        {"isDefault": "Y", "shippingCost": 49.5, "shippingMethod": "Parcel", "shippingMethodId": "parcel"},
        {"isDefault": "N", "shippingCost": 0, "shippingMethod": "Shop", "shippingMethodId": "shop"},
    ]
    express = {"paymentType": "eComm Express Payment", "consentRemovalPrefix": place.url}
    await merchant.initiate("acme-1", merchantInfo={**express, "staticShippingDetails": methods})
    assert "Parcel, 49.50 NOK" in (await _get(merchant, ORDER))[1]
    assert (await _post(merchant, f"{ORDER}/approve", shipping="drone"))[0] == 409
    await _post(merchant, f"{ORDER}/approve", shipping="shop")
    assert (await merchant.details("acme-1")).json["shippingDetails"]["shippingMethodId"] == "shop"
    assert "Shop, 0.00 NOK" in (await _get(merchant, ORDER))[1].replace("<bdi>", "").replace("</bdi>", "")
    dynamic = {**express, "shippingDetailsPrefix": place.url}
    await merchant.initiate("acme-2", merchantInfo=dynamic)
    assert "The shop is asked" in (await _get(merchant, ORDER.replace("acme-1", "acme-2")))[1]


async def test_everything_that_the_shop_said(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """Prefixes, scope, app, direct capture, expired personal data: what explains a payment stands on its page."""
    await merchant.initiate("acme-1", merchantInfo={"isApp": True}, transaction={"scope": "name email"})
    await sandbox.approve("acme-1")
    sandbox.clock.advance(8 * 86_400)
    _, html, _ = await _get(merchant, ORDER)
    assert "in an app" in html
    assert "email, name" in html
    assert "older than 7 days" in html


async def test_hostile_texts_stay_texts(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """On no page do they become an element or an attribute; what turns text around is shown as its number."""
    place.answer = HOSTILE.encode("utf-8", "replace")
    prefixes = {"callbackPrefix": place.url, "fallBack": "myapp://?a=\"'><script>alert(1)</script>"}
    url = (await merchant.initiate("acme-1", merchantInfo=prefixes, transaction={"transactionText": HOSTILE})).json[
        "url"
    ]
    method = {"isDefault": "Y", "shippingCost": 1, "shippingMethod": HOSTILE, "shippingMethodId": HOSTILE}
    express = {**prefixes, "paymentType": "eComm Express Payment", "consentRemovalPrefix": place.url}
    answer = await merchant.initiate("acme-2", merchantInfo={**express, "staticShippingDetails": [method]})
    assert answer.status == 200
    await merchant.capture("acme-1", key='"><script>alert(1)</script>')
    await merchant.call("GET", "/ecomm/v2/payments/%3Cscript%3E/details")
    sandbox.faults.script("capture", Fault.HTTP_500_AFTER, order_id=HOSTILE)
    app = answer.json["url"].replace("vippsgateway?v=2&", "vippsgateway/app?")
    await sandbox.approve("acme-2")
    again = (await merchant.initiate("acme-3", merchantInfo={**express, "staticShippingDetails": [method]})).json["url"]
    app = again.replace("vippsgateway?v=2&", "vippsgateway/app?")
    paths = [*PAGES, ORDER.replace("acme-1", "acme-2"), ORDER.replace("acme-1", "acme-3"), f"/?query={HOSTILE[:-1]}"]
    paths += [found.removeprefix(merchant.url) for found in (url, app, url.replace("?v=2&", "/waiting?"))]
    for path in paths:
        status, html, headers = await _get(merchant, path.replace("#", "%23").replace("&\u202e", "%26\u202e"))
        assert status == 200, path
        assert re.search("[\u202e\u2066\x00]", html) is None
        scripts = [attributes for tag, attributes in _elements(html) if tag == "script"]
        assert all((each.get("src") or "").startswith("/sandbox/pages/") for each in scripts), path
        assert not any(name.startswith("on") or name == "style" for _, found in _elements(html) for name in found)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


async def test_a_fall_back_to_a_strange_place_is_no_link(merchant: Merchant) -> None:
    """With isApp any text can stand there; the page shows it, and links to none but shops and apps."""
    await merchant.initiate("acme-1", merchantInfo={"fallBack": "javascript:alert(1)", "isApp": True})
    _, html, _ = await _get(merchant, ORDER)
    assert "javascript:alert(1)" in html
    assert not any("javascript" in (found.get("href") or "") for _, found in _elements(html))


async def test_requests_that_failed_and_those_that_are_private(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Faults are named, an answer that never came too; no token, no `sub` and no page is shown."""
    await merchant.initiate("acme-1", transaction={"scope": "name"})
    await sandbox.approve("acme-1")
    sub = (await merchant.details("acme-1")).json["sub"]
    await merchant.call("GET", f"/vipps-userinfo-api/userinfo/{sub}")
    sandbox.faults.script("capture", Fault.HTTP_503_AFTER)
    await merchant.capture("acme-1")
    await merchant.call("POST", "/ecomm/v2/payments", b"\xff no JSON" + b"x" * 5_000)
    await merchant.call("POST", "/ecomm/v2/payments", b'[{"token": "hidden-token"}]')
    _, html, _ = await _get(merchant, "/sandbox/requests")
    assert "fault: HTTP_503_AFTER" in html
    assert "more characters" in html
    paths = re.findall(r"<summary>.*?</summary>", html, re.DOTALL)
    assert not any(sub in path for path in paths)
    for secret in (merchant.token, "client-secret", "hidden-token"):
        assert secret not in html


async def test_a_consent_removal_hides_the_customer(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """The user id stays out of the page, and of the record's repr."""
    method = {"isDefault": "Y", "shippingCost": 1, "shippingMethod": "Parcel", "shippingMethodId": "parcel"}
    express = {"paymentType": "eComm Express Payment", "consentRemovalPrefix": place.url}
    await merchant.initiate("acme-1", merchantInfo={**express, "staticShippingDetails": [method]})
    await sandbox.approve("acme-1")
    user_id = (await merchant.details("acme-1")).json["userDetails"]["userId"]
    await sandbox.remove_consent(user_id)
    record = sandbox.callbacks[-1]
    assert record.kind == "consentRemoval"
    assert "consents" not in repr(record)
    _, html, _ = await _get(merchant, ORDER)
    assert "/v2/consents/…" in html
    await merchant.call("GET", "/vipps-userinfo-api/userinfo/some-sub")
    assert "some-sub" not in repr(sandbox.requests[-1])


async def test_faults_are_scripted_and_cleared(sandbox: SandboxServer, merchant: Merchant) -> None:
    """The forms do what the Python interface does, and the page shows what is set and what has happened."""
    form = {"operation": "capture", "fault": "HTTP_503_AFTER", "times": "2", "order": "acme-1"}
    assert (await _post(merchant, f"{CONTROLS}/script", **form))[0] == 303
    assert sandbox.faults.scripts == {("capture", "acme-1"): (Fault.HTTP_503_AFTER,) * 2}
    chance = {"rate": "12.5", "seed": "42", "operations": "details", "kinds": "HTTP_429"}
    assert (await _post(merchant, f"{CONTROLS}/randomise", **chance))[0] == 303
    randomness = sandbox.faults.randomness
    assert randomness is not None
    assert (randomness.rate, randomness.seed, randomness.kinds) == (0.125, 42, (Fault.HTTP_429,))
    await merchant.initiate("acme-1")
    await merchant.capture("acme-1")
    _, html, _ = await _get(merchant, CONTROLS)
    for text in ("12.5% of the requests", "at details", "seed 42", "HTTP_503_AFTER", "Faults so far"):
        assert text in html
    assert (await _post(merchant, f"{CONTROLS}/clear"))[0] == 303
    assert not sandbox.faults.active


@each_row(
    ("control", "form"),
    [
        ("script", {"operation": "capture", "fault": "NONE", "times": "1"}),
        ("script", {"operation": "steal", "fault": "HTTP_429", "times": "1"}),
        ("script", {"operation": "capture", "fault": "HTTP_429", "times": "0"}),
        ("script", {"operation": "capture", "fault": "HTTP_429", "times": "9" * 5_000}),
        ("script", {"operation": "callback", "fault": "HTTP_429", "times": "1"}),
        ("randomise", {"rate": "200", "seed": "1"}),
        ("randomise", {"rate": "nan", "seed": "1"}),
        ("randomise", {"rate": "x", "seed": "1"}),
        ("randomise", {"rate": "1", "seed": "x"}),
        ("clock", {"seconds": "a while"}),
        ("clock", {"count": "a few", "seconds": "86400"}),
        ("clock", {"count": "-1", "seconds": "86400"}),
        ("clock", {"count": "inf", "seconds": "86400"}),
        ("clock", {"count": "inf", "seconds": "0"}),
        ("clock", {"count": "1e300", "seconds": "86400"}),
        ("clock", {"count": "9999999", "seconds": "86400"}),
        ("clock", {"count": "1"}),
    ],
)
async def test_forms_that_make_no_sense(
    sandbox: SandboxServer, merchant: Merchant, control: str, form: dict[str, str]
) -> None:
    """The page says what is wrong, and nothing changes."""
    status, html, _ = await _post(merchant, f"{CONTROLS}/{control}", **form)
    assert status == 400
    assert 'role="alert"' in html
    assert not sandbox.faults.active


async def test_the_clock_is_advanced(sandbox: SandboxServer, merchant: Merchant) -> None:
    """By a step or by any time; what came due has happened."""
    await merchant.initiate("acme-1")
    before = sandbox.clock.now()
    await _post(merchant, f"{CONTROLS}/clock", count="1.5", seconds="3600")
    assert 5_400 <= (sandbox.clock.now() - before).total_seconds() < 5_460
    assert sandbox.payment("acme-1").state is State.CANCEL


async def test_pages_name_the_last_change(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Every page of the dashboard says in words what changed last, for who cannot see it change."""
    assert '<p id="news" role="status" data-live></p>' in (await _get(merchant, "/"))[1]
    await merchant.initiate("acme-1")
    assert "Order acme-1: INITIATE." in (await _get(merchant, "/"))[1]
    await sandbox.approve("acme-1")
    await merchant.capture("acme-1", 100)
    await _post(merchant, f"{CONTROLS}/clear")
    for path in PAGES:
        assert "Order acme-1: CAPTURE." in (await _get(merchant, path))[1]


async def test_looking_is_not_recorded(sandbox: SandboxServer, merchant: Merchant) -> None:
    """A dashboard that is left open does not push the API's requests out of the record."""
    for path in PAGES:
        await _get(merchant, path)
    assert [record.operation for record in sandbox.requests] == ["token"]


async def test_the_files_of_the_pages(merchant: Merchant) -> None:
    """Style, scripts and icon come from the package, with their types."""
    for name, kind in (("style.css", "text/css"), ("live.js", "text/javascript"), ("icon.svg", "image/svg+xml")):
        status, text, headers = await _get(merchant, f"/sandbox/pages/{name}")
        assert status == 200
        assert text
        assert headers["Content-Type"].startswith(kind)
        assert headers["X-Content-Type-Options"] == "nosniff"
