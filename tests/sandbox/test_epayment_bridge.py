"""Payments that eCom made, seen and adjusted by ePayment; never the other way round."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.sandbox.driver import Merchant
from tests.sandbox.epayment_driver import REFERENCE, Epayment, code, fields, values
from vipps_async.sandbox import SandboxServer, SandboxSettings


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    """With a second sales unit that captures directly."""
    async with SandboxServer(
        settings=SandboxSettings(sub_delay=0.0, direct_capture={"654321"}), rate_limits=False
    ) as server:
        yield server


@pytest.fixture
async def shop(sandbox: SandboxServer, merchant: Merchant) -> Epayment:
    """Talks to the sandbox by ePayment; its merchant by eCom."""
    return Epayment(merchant)


async def test_an_ecom_payment_through_its_life(sandbox: SandboxServer, shop: Epayment) -> None:
    """Read at each stage, captured and refunded by both, and cancelled by ePayment; both tell the same sums."""
    ecom = shop.merchant
    await ecom.initiate(REFERENCE)
    got = await shop.get()
    assert (got.json["state"], values(got), got.json["amount"]["value"]) == ("CREATED", {}, 49_900)
    assert got.json["redirectUrl"] == sandbox.landing_url(REFERENCE)
    await sandbox.approve(REFERENCE)
    assert values(await shop.get()) == {"authorized": 49_900}
    assert (await ecom.capture(REFERENCE, 10_000, key="e1")).status == 200
    assert (await shop.capture(5_000, key="p1")).status == 200
    assert (await shop.refund(1_000, key="p2")).status == 200
    assert (await ecom.refund(REFERENCE, 2_000, key="e2")).status == 200
    # A plain cancel after a partial capture succeeds here, where eCom refuses it.
    assert (await ecom.cancel(REFERENCE)).codes == [("Payment", "51")]
    cancelled = await shop.cancel()
    assert values(cancelled) == {"authorized": 49_900, "captured": 15_000, "refunded": 3_000, "cancelled": 34_900}
    assert cancelled.json["state"] == "AUTHORIZED"
    keys = [(event["name"], event.get("idempotencyKey")) for event in (await shop.events()).json if event["success"]]
    assert keys == [
        ("CREATED", None),
        ("AUTHORIZED", None),
        ("CAPTURED", "e1"),
        ("CAPTURED", "p1"),
        ("REFUNDED", "p2"),
        ("REFUNDED", "e2"),
        ("CANCELLED", None),
    ]
    summary = (await ecom.details(REFERENCE)).json["transactionSummary"]
    assert (summary["capturedAmount"], summary["refundedAmount"], summary["remainingAmountToCapture"]) == (
        15_000,
        3_000,
        0,
    )


async def test_how_ecom_payments_end(sandbox: SandboxServer, shop: Epayment) -> None:
    """By the customer, by time, by the merchant, by the bank: each has a state of ePayment."""
    ecom = shop.merchant
    for number, amount in enumerate((49_900, 49_900, 49_900, 151)):
        await ecom.initiate(f"acme-shop-{number}", amount)
    await sandbox.reject("acme-shop-0")
    await sandbox.expire("acme-shop-1")
    await ecom.cancel("acme-shop-2")
    await sandbox.approve("acme-shop-3")
    states = [(await shop.get(f"acme-shop-{number}")).json["state"] for number in range(4)]
    assert states == ["ABORTED", "EXPIRED", "TERMINATED", "ABORTED"]
    assert values(await shop.get("acme-shop-2")) == {"cancelled": 49_900}
    assert [code(await shop.cancel(f"acme-shop-{number}")) for number in range(4)] == ["6050", "6050", "6190", "6050"]


async def test_a_payment_that_ecom_captured_at_once(sandbox: SandboxServer, shop: Epayment) -> None:
    """Authorized and captured; it can be refunded, and not captured again."""
    shop.merchant.msn = "654321"
    await shop.merchant.initiate(REFERENCE)
    await sandbox.approve(REFERENCE)
    assert values(await shop.get()) == {"authorized": 49_900, "captured": 49_900}
    assert [name for name, _, _ in await shop.names()] == ["CREATED", "AUTHORIZED", "CAPTURED"]
    assert code(await shop.capture(100)) == "6170"
    assert (await shop.refund(100)).status == 200


async def test_keys_of_the_two_apis_are_apart(sandbox: SandboxServer, shop: Epayment) -> None:
    """The same word in the other API is another request."""
    await shop.merchant.initiate(REFERENCE)
    await sandbox.approve(REFERENCE)
    for _ in range(2):
        await shop.merchant.capture(REFERENCE, 10_000, key="k")
        await shop.capture(10_000, key="k")
    assert sandbox.payment(REFERENCE).captured == 20_000


async def test_ecom_knows_no_payment_of_epayment(sandbox: SandboxServer, shop: Epayment) -> None:
    """It cannot read, adjust or approve one, nor use its reference: 35 and 34; nothing moves."""
    ecom = shop.merchant
    await shop.create()
    for answer in (await ecom.details(REFERENCE), await ecom.status(REFERENCE), await ecom.force_approve(REFERENCE)):
        assert (answer.status, answer.codes) == (404, [("Merchant", "35")])
    assert (await ecom.initiate(REFERENCE)).codes == [("Merchant", "34")]
    await sandbox.approve(REFERENCE)
    for answer in (await ecom.capture(REFERENCE), await ecom.refund(REFERENCE), await ecom.cancel(REFERENCE)):
        assert (answer.status, answer.codes) == (404, [("Merchant", "35")])
    assert values(await shop.get()) == {"authorized": 49_900}


async def test_what_cannot_cross_the_bridge(sandbox: SandboxServer, shop: Epayment) -> None:
    """Short ids, a force approve, and a reference that eCom has used."""
    await shop.merchant.initiate("acme-1")
    await shop.merchant.initiate(REFERENCE)
    assert fields(await shop.get("acme-1")) == ["reference"]
    assert code(await shop.approve()) == "10020"
    refused = await shop.create()
    assert (refused.status, code(refused)) == (409, "4150")


async def test_the_control_and_the_pages_tell_which_api_made_a_payment(sandbox: SandboxServer, shop: Epayment) -> None:
    """In the lists and on the payment's page."""
    await shop.merchant.initiate("acme-shop-0")
    await shop.create(metadata={"colour": "red"})
    listed = (await shop.merchant.call("GET", "/sandbox/payments")).json["payments"]
    assert [(payment["orderId"], payment["api"]) for payment in listed] == [
        (REFERENCE, "epayment"),
        ("acme-shop-0", "ecom"),
    ]
    overview = (await shop.merchant.call("GET", "/")).body.decode()
    page = (await shop.merchant.call("GET", f"/sandbox/payments/123456/{REFERENCE}")).body.decode()
    assert "ePayment" in overview
    assert "eCom" in overview
    for text in ("ePayment", "WEB_REDIRECT", "Metadata: colour", "red"):
        assert text in page


async def test_what_the_page_of_a_payment_says(sandbox: SandboxServer, shop: Epayment) -> None:
    """All that only ePayment knows, but no secret: neither the shop's token nor those of links."""
    sandbox.settings.express = {"123456"}
    sandbox.settings.currencies = {"123456": "DKK"}
    shop.currency = "DKK"
    shipping = {"callbackUrl": "https://example.com/shipping", "callbackAuthorizationToken": "hunter2"}
    created = await shop.create(
        minimumUserAge=18,
        profile={"scope": "name address email phoneNumber"},
        shipping={"dynamicOptions": shipping},
    )
    page = (await shop.merchant.call("GET", f"/sandbox/payments/123456/{REFERENCE}")).body.decode()
    for text in ("https://example.com/shipping (with a token, hidden)", "Minimum age", "the whole amount alone"):
        assert text in page
    assert "hunter2" not in page
    # The links to the customer's pages have it once each; the answer on record has it not.
    token = created.json["redirectUrl"].rpartition("=")[2]
    assert page.count(token) == 2
