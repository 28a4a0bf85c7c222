"""Sales units of Denmark and Finland, the customer's pages for ePayment, and keys that are checked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.sandbox.epayment_driver import REFERENCE, Epayment, code, epayment_at, values
from vipps_async.sandbox import SandboxCredentials, SandboxServer, SandboxSettings

DANISH, FINNISH, BIG = "1234567", "7654321", "1111111"


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    """With a Danish unit, a Finnish one, and a Danish one with permits."""
    async with SandboxServer(
        settings=SandboxSettings(
            currencies={DANISH: "DKK", FINNISH: "EUR", BIG: "DKK"}, partial_capture={BIG}, late_capture={BIG}
        ),
        rate_limits=False,
    ) as server:
        yield server


@pytest.fixture
async def danish(sandbox: SandboxServer) -> AsyncIterator[Epayment]:
    """Logged in."""
    async with epayment_at(sandbox.url, DANISH, currency="DKK") as shop:
        yield shop


async def test_the_sales_unit_decides_the_currency(sandbox: SandboxServer, danish: Epayment) -> None:
    """Its minimum is one of the smallest units; no other currency is taken; all is told in it."""
    danish.currency = "NOK"
    assert code(await danish.create()) == "5040"
    danish.currency = "DKK"
    assert code(await danish.create(value=0)) == "6010"
    assert (await danish.create(value=1)).status == 201
    got = (await danish.get()).json
    assert got["amount"] == {"currency": "DKK", "value": 1}
    assert {amount["currency"] for amount in got["aggregate"].values()} == {"DKK"}
    async with epayment_at(sandbox.url, FINNISH, currency="EUR") as finnish:
        assert (await finnish.create()).status == 201
        assert sandbox.payment(REFERENCE, msn=FINNISH).currency == "EUR"


async def test_all_is_captured_or_nothing(sandbox: SandboxServer, danish: Epayment) -> None:
    """Unless the unit may capture in parts."""
    await danish.create()
    await sandbox.approve(REFERENCE)
    assert code(await danish.capture(10_000)) == "6140"
    assert (await danish.capture(49_900)).status == 200
    assert (await danish.refund(10_000)).status == 200
    async with epayment_at(sandbox.url, BIG, currency="DKK") as big:
        await big.create()
        await sandbox.approve(REFERENCE, msn=BIG)
        assert (await big.capture(10_000)).status == 200


async def test_fourteen_days_to_capture(sandbox: SandboxServer, danish: Epayment) -> None:
    """Then the rest is released; a unit with a permit has as long as in Norway."""
    async with epayment_at(sandbox.url, BIG, currency="DKK") as big:
        for shop in (danish, big):
            await shop.create()
            await sandbox.approve(REFERENCE, msn=shop.merchant.msn)
        sandbox.clock.advance(timedelta(days=14, seconds=1))
        for shop in (danish, big):
            await shop.merchant.log_in()
        assert code(await danish.capture(49_900)) == "6100"
        assert code(await danish.cancel()) == "6030"
        assert values(await danish.get()) == {"authorized": 49_900, "cancelled": 49_900}
        assert (await big.capture(49_900)).status == 200


async def test_blocked_sources_and_local_numbers(sandbox: SandboxServer, danish: Epayment) -> None:
    """Both are taken there, and the amounts that Norwegian banks alone refuse are good."""
    method = {"type": "WALLET", "blockedSources": ["COMMERCIAL_CARDS"]}
    customer = {"phoneNumber": "4512345678"}
    scope = {"scope": "phoneNumber"}
    assert (await danish.create(value=197, paymentMethod=method, customer=customer, profile=scope)).status == 201
    await sandbox.approve(REFERENCE)
    sandbox.clock.advance(1)
    got = (await danish.get()).json
    assert got["state"] == "AUTHORIZED"
    assert got["userDetails"] == {"mobileNumber": "4512345678"}


async def test_no_ecom_outside_norway(sandbox: SandboxServer) -> None:
    """A sales unit with another currency is not available there."""
    sandbox.settings.currencies = {"123456": "DKK"}
    async with epayment_at(sandbox.url) as shop:
        assert (await shop.merchant.initiate()).codes == [("Merchant", "37")]


async def test_settings_over_http(sandbox: SandboxServer, danish: Epayment) -> None:
    """Currencies and permits can be changed while it runs."""
    wanted = {"currencies": {DANISH: "EUR"}, "partialCapture": [DANISH], "lateCapture": [], "longLiving": ["1234"]}
    answer = await danish.merchant.call("POST", "/sandbox/settings", wanted)
    assert {name: answer.json[name] for name in wanted} == wanted
    danish.currency = "EUR"
    assert (await danish.create()).status == 201
    wrongs: tuple[dict[str, object], ...] = (
        {"currencies": {DANISH: "SEK"}},
        {"currencies": []},
        {"currencies": {"12": "NOK"}},
    )
    for wrong in wrongs:
        assert (await danish.merchant.call("POST", "/sandbox/settings", wrong)).status == 400


async def test_keys_for_some_sales_units() -> None:
    """Another unit's payments are unknown to them, and they can create none there."""
    keys = SandboxCredentials(
        client_id="client-id",
        client_secret="client-secret",
        subscription_key="subscription-key",
        merchant_serial_numbers={"123456"},
    )
    async with SandboxServer(settings=SandboxSettings(credentials=[keys])) as sandbox, epayment_at(sandbox.url) as shop:
        assert (await shop.create()).status == 201
        shop.merchant.msn = "654321"
        refused = await shop.create()
        assert (refused.status, refused.json["title"], refused.json["extraDetails"]) == (403, "Forbidden", None)
        assert code(await shop.get()) == "5090"
        assert code(await shop.capture(100)) == "5090"


async def test_the_customer_on_the_pages(sandbox: SandboxServer) -> None:
    """The landing page shows the amount in its currency, and after a refusal by the bank lets try again or decline."""
    async with epayment_at(sandbox.url, DANISH, currency="DKK") as shop:
        url = (await shop.create(value=151)).json["redirectUrl"]
        page = (await shop.merchant.call("GET", url.removeprefix(sandbox.url))).body.decode()
        assert "1.51 DKK" in page
        token = url.rpartition("=")[2]
        for number, status in (("+45 12 34 56 78", 303), ("12", 400), ("40000081", 400), ("+4712345678", 303)):
            data = {"token": token, "answer": "number", "number": number}
            async with shop.merchant.session.post(url, data=data, allow_redirects=False) as answer:
                assert answer.status == status, number
                assert ("Customer not found (7010)" in await answer.text()) is (number == "40000081")
        seen = []
        for form in ({"answer": "approve"}, {"answer": "decline"}, {"answer": "approve"}):
            data = {"token": token, **form}
            async with shop.merchant.session.post(url, data=data, allow_redirects=False) as answer:
                seen.append((answer.status, answer.headers.get("Location"), "bank refused" in await answer.text()))
        assert seen == [(409, None, True), (303, "https://example.com/result", False), (410, None, False)]
        assert (await shop.get()).json["state"] == "ABORTED"
