"""What a create of ePayment may say: codes and fields of what is refused, and what living clients send otherwise."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.sandbox.driver import MSN, Answer, Merchant
from tests.sandbox.epayment_driver import PAYMENTS, REFERENCE, Epayment, code, fields
from tests.support.rows import each_row
from vipps_async.sandbox import SandboxError, SandboxServer

LINE = {"name": "Socks", "id": "1", "totalAmount": 49_900, "totalAmountExcludingTax": 39_920, "totalTaxAmount": 9_980}
RECEIPT = {"orderLines": [{**LINE, "taxRate": 2500}], "bottomLine": {"currency": "NOK"}}


@pytest.fixture
def shop(merchant: Merchant) -> Epayment:
    """Talks to the sandbox by ePayment."""
    return Epayment(merchant)


def _line(**changes: Any) -> dict[str, Any]:
    return {**RECEIPT, "orderLines": [{**LINE, "taxRate": 2500, **changes}]}


CODED = {
    "an amount with decimals": ({"value": 499.5}, "4040"),
    "a negative amount": ({"value": -1}, "4040"),
    "too large an amount": ({"value": 65_000_001}, "4040"),
    "less than the minimum": ({"value": 99}, "6010"),
    "nothing": ({"value": 0}, "6010"),
    "another currency": ({"amount": {"currency": "EUR", "value": 100}}, "5040"),
    "a phone number with a plus": ({"customer": {"phoneNumber": "+4712345678"}}, "4070"),
    "a phone number without its country": ({"customer": {"phoneNumber": "12345678"}}, "4070"),
    "a phone number of nobody": ({"customer": {"phoneNumber": "4740000081"}}, "7010"),
    "a short personal QR": ({"customer": {"personalQr": "x"}}, "4060"),
    "a scope that is none": ({"profile": {"scope": "name shoeSize"}}, "4080"),
    "nin without permission": ({"profile": {"scope": "nin"}}, "5030"),
    "a return URL without https": ({"returnUrl": "http://example.com"}, "4090"),
    "a return URL of a script": ({"returnUrl": "javascript://x"}, "4090"),
    "a word for a return URL": ({"returnUrl": "INTENT"}, "4090"),
    "too long a return URL": ({"returnUrl": "https://example.com/" + "x" * 2500}, "4090"),
    "a bad receipt URL": ({"receiptUrl": "receipt"}, "4090"),
    "no return URL": ({"returnUrl": None}, "4140"),
    "a push message to nobody": ({"userFlow": "PUSH_MESSAGE"}, "4140"),
    "a push message without permission": (
        {"userFlow": "PUSH_MESSAGE", "customer": {"phoneNumber": "4712345678"}},
        "5080",
    ),
    "six pairs of metadata": ({"metadata": {str(number): "" for number in range(6)}}, "4100"),
    "too long a metadata key": ({"metadata": {"k" * 101: ""}}, "4120"),
    "too long a metadata value": ({"metadata": {"k": "v" * 501}}, "4130"),
    "a metadata value that is no text": ({"metadata": {"k": True}}, "4130"),
    "a card in a QR": ({"paymentMethod": {"type": "CARD"}, "userFlow": "QR"}, "4160"),
    "a card passed through": ({"paymentMethod": {"type": "CARD_PASSTHROUGH"}}, "4160"),
    "blocked sources in Norway": (
        {"paymentMethod": {"type": "WALLET", "blockedSources": ["COMMERCIAL_CARDS"]}},
        "5010",
    ),
    "an expiry without a receipt": ({"expiresAt": "2030-01-01T00:00:00Z"}, "6130"),
    "a customer who is too young": ({"customer": {"phoneNumber": "4712345678"}, "minimumUserAge": 99}, "7010"),
}
BAD_FIELDS = {
    "a short reference": ({"reference": "acme-1"}, "reference"),
    "a long reference": ({"reference": "a" * 65}, "reference"),
    "a reference with a slash": ({"reference": "acme/shop/1"}, "reference"),
    "no reference": ({"reference": None}, "reference"),
    "another word for a flow": ({"userFlow": "NATIVE"}, "userFlow"),
    "an amount in text": ({"value": "49900"}, "amount.value"),
    "no amount": ({"amount": None}, "amount"),
    "another currency of the world": ({"amount": {"currency": "SEK", "value": 100}}, "amount.currency"),
    "two names for a customer": ({"customer": {"phoneNumber": "4712345678", "personalQr": "12345"}}, "customer"),
    "a short description": ({"paymentDescription": "So"}, "paymentDescription"),
    "a long description": ({"paymentDescription": "S" * 101}, "paymentDescription"),
    "an expiry without a zone": ({"expiresAt": "2030-01-01T00:00:00"}, "expiresAt"),
    "an expiry on no day": ({"expiresAt": "2030-02-31T00:00:00Z"}, "expiresAt"),
    "a flag for an age": ({"minimumUserAge": True}, "minimumUserAge"),
    "an age beyond all": ({"minimumUserAge": 101}, "minimumUserAge"),
    "a tiny PNG": ({"userFlow": "QR", "qrFormat": {"format": "IMAGE/PNG", "size": 99}}, "qrFormat.size"),
    "a QR format elsewhere": ({"qrFormat": {"format": "IMAGE/PNG"}}, "qrFormat"),
    "no lines": ({"receipt": {**RECEIPT, "orderLines": []}}, "receipt.orderLines"),
    "a line without tax": ({"receipt": {**RECEIPT, "orderLines": [LINE]}}, "receipt.orderLines[0].taxRate"),
    "a quantity as a number": (
        {"receipt": _line(unitInfo={"quantity": 1})},
        "receipt.orderLines[0].unitInfo.quantity",
    ),
    "too much tax": ({"receipt": _line(taxRate=10_001)}, "receipt.orderLines[0].taxRate"),
    "no code of an airline": (
        {"industryData": {"airlineData": {"agencyInvoiceNumber": "1"}}},
        "industryData.airlineData.airlineCode",
    ),
    "other blocked sources": ({"paymentMethod": {"type": "WALLET", "blockedSources": ["X"]}}, "paymentMethod"),
}


@each_row(("parts", "wanted"), CODED.values(), ids=CODED)
async def test_codes_of_what_is_refused(sandbox: SandboxServer, shop: Epayment, parts: Any, wanted: str) -> None:
    """Each in a problem, and no payment is made."""
    assert code(await shop.create(**parts)) == wanted
    assert sandbox.payments == ()


@each_row(("parts", "field"), BAD_FIELDS.values(), ids=BAD_FIELDS)
async def test_fields_of_what_is_refused(sandbox: SandboxServer, shop: Epayment, parts: Any, field: str) -> None:
    """Each by its name in the extra details, and no payment is made."""
    answer = await shop.create(**parts)
    assert answer.status == 400
    assert any(name.startswith(field) for name in fields(answer))
    assert sandbox.payments == ()


@each_row("body", [b"", b"{", b"[]", b'"text"', b"NaN", b'{"a": 1, "a": 2}', b'{"a": "\\ud800"}', b"\xff"])
async def test_bodies_that_are_no_object(shop: Epayment, body: bytes) -> None:
    """400 for each, in the API's shape: never 500."""
    answer = await shop.post(PAYMENTS, body)
    assert (answer.status, fields(answer)) == (400, ["body"])


async def test_another_content_type(shop: Epayment) -> None:
    """415, as a problem."""
    headers = {"Content-Type": "text/plain", "Idempotency-Key": "k"}
    answer = await shop.merchant.call("POST", PAYMENTS, b"{}", headers=headers)
    assert (answer.status, answer.json["title"]) == (415, "Unsupported Media Type")


async def test_what_living_clients_send(sandbox: SandboxServer, shop: Epayment) -> None:
    """Numbers for reference and phone, a size beside an SVG, fields that nobody knows, nulls, URLs of an app."""
    created = await shop.create(12345678, customer={"phoneNumber": 4712345678}, customerInteraction=None)
    assert created.json["reference"] == "12345678"
    assert (await shop.get("12345678")).status == 200
    odd: tuple[dict[str, Any], ...] = (
        {"userFlow": "QR", "qrFormat": {"format": "IMAGE/SVG+XML", "size": 1}},
        {"customer": {"phoneNumber": "4712345678", "customerInteraction": "CUSTOMER_PRESENT"}},
        {"userFlow": "NATIVE_REDIRECT", "returnUrl": "myapp://result"},
        {"userFlow": "NATIVE_REDIRECT", "returnUrl": None},
        {"receipt": RECEIPT, "receiptUrl": "https://example.com/receipt"},
        {"paymentMethod": {"type": "CARD"}, "paymentDescription": None},
        {"customer": {"personalQr": "https://qr.vipps.no/28/2/01/031/4712345678?v=1"}, "minimumUserAge": 18},
        {"customer": {"customerToken": "token"}, "extra": {"a": None}},
        {"merchantLegalLinks": {"termsOfSaleUrl": "https://example.com"}, "metadata": {}},
    )
    for number, parts in enumerate(odd):
        assert (await shop.create(f"acme-shop-{number}", **parts)).status == 201, parts
    assert ("create", "customer.customerInteraction", "unknown") in sandbox.ignored
    assert ("create", "extra", "unknown") in sandbox.ignored


async def test_strict_refuses_what_is_ignored(sandbox: SandboxServer, shop: Epayment) -> None:
    """By its switch, which eCom has too."""
    sandbox.settings.strict = True
    assert fields(await shop.create(extra=1)) == ["extra"]
    assert (await shop.create()).status == 201


async def test_paths_that_name_no_payment(shop: Epayment) -> None:
    """A reference of fewer than eight characters, or with others than it may have, is refused as such."""
    for reference in ("acme-1", "a" * 65, "acme%20shop", "acme_shop"):
        for answer in (await shop.get(reference), await shop.capture(100, reference), await shop.cancel(reference)):
            assert (answer.status, fields(answer)) == (400, ["reference"]), reference
    assert (await shop.create("approve-1")).status == 201
    assert (await shop.get("approve-1")).json["reference"] == "approve-1"


@pytest.mark.parametrize(
    ("amount", "wanted"),
    [
        ({"currency": "NOK", "value": 0}, "4040"),
        ({"currency": "NOK", "value": 1.5}, "4040"),
        ({"currency": "NOK", "value": 2**40}, "4040"),
        ({"currency": "DKK", "value": 100}, "5040"),
    ],
)
async def test_amounts_of_adjustments(sandbox: SandboxServer, shop: Epayment, amount: Any, wanted: str) -> None:
    """None, with decimals, of another currency, or too large: refused with a code, nothing moves."""
    await shop.create()
    await sandbox.approve(REFERENCE)
    for operation in ("capture", "refund"):
        answer = await shop.post(f"{PAYMENTS}/{REFERENCE}/{operation}", {"modificationAmount": amount})
        assert code(answer) == wanted
    assert sandbox.payment(REFERENCE).captured == 0


async def test_when_a_payment_may_expire(sandbox: SandboxServer, shop: Epayment) -> None:
    """By permission, with a receipt, more than 10 minutes and less than 60 days from now; and then it does."""

    async def create(reference: str, wait: timedelta) -> Answer:
        moment = (sandbox.clock.now() + wait).isoformat()
        return await shop.create(reference, expiresAt=moment, receipt=RECEIPT)

    assert code(await create("acme-shop-0", timedelta(days=1))) == "5050"
    sandbox.settings.long_living = {MSN}
    assert code(await create("acme-shop-1", timedelta(minutes=10))) == "6120"
    assert code(await create("acme-shop-2", timedelta(days=60, seconds=5))) == "6110"
    assert (await create("acme-shop-3", timedelta(days=1))).status == 201
    moment = (sandbox.clock.now() + timedelta(days=1)).isoformat()
    card: dict[str, Any] = {"paymentMethod": {"type": "CARD"}, "expiresAt": moment, "receipt": RECEIPT}
    assert fields(await shop.create("acme-shop-4", **card)) == ["expiresAt"]
    sandbox.clock.advance(timedelta(hours=23))
    assert sandbox.payment("acme-shop-3").state.value == "INITIATE"
    sandbox.clock.advance(timedelta(hours=1))
    await shop.merchant.log_in()
    assert (await shop.get("acme-shop-3")).json["state"] == "EXPIRED"


async def test_too_young_in_the_app(sandbox: SandboxServer, shop: Epayment) -> None:
    """Where the merchant does not know who pays, the app says so; the payment waits on."""
    await shop.create(minimumUserAge=99)
    with pytest.raises(SandboxError, match="under 99 years old"):
        await sandbox.approve(REFERENCE)
    assert code(await shop.approve()) == "7010"
    assert (await shop.get()).json["state"] == "CREATED"
    assert (await shop.create("acme-shop-2", minimumUserAge=18)).status == 201
    await sandbox.approve("acme-shop-2")


@pytest.mark.parametrize("wanted", ["5060", "5070"])
async def test_a_sales_unit_that_may_create_nothing(sandbox: SandboxServer, shop: Epayment, wanted: str) -> None:
    """By switch, with the code that was chosen; eCom's codes are eCom's."""
    sandbox.settings.change({"refuse": {MSN: wanted}})
    refused = await shop.create()
    assert (refused.status, code(refused)) == ({"5060": 403, "5070": 422}[wanted], wanted)
    assert (await shop.merchant.initiate()).status == 200
    sandbox.settings.change({"refuse": {MSN: "31"}})
    assert (await shop.create()).status == 201


async def test_the_way_there_by_each_flow(sandbox: SandboxServer, shop: Epayment) -> None:
    """A page, a link of the app, the image of a QR code that leads to the page, or nothing at all."""
    sandbox.settings.skip_landing_page = {MSN}
    web = await shop.create("acme-shop-1")
    assert web.json["redirectUrl"] == sandbox.landing_url("acme-shop-1")
    native = await shop.create("acme-shop-2", userFlow="NATIVE_REDIRECT")
    assert native.json["redirectUrl"].startswith("vippsMT://?token=")
    push = await shop.create("acme-shop-3", userFlow="PUSH_MESSAGE", customer={"phoneNumber": "4712345678"})
    assert push.json == {"reference": "acme-shop-3"}
    assert "redirectUrl" not in (await shop.get("acme-shop-3")).json
    target = await shop.create("acme-shop-4", userFlow="QR", qrFormat={"format": "TEXT/TARGETURL"})
    assert target.json["redirectUrl"] == sandbox.landing_url("acme-shop-4")
    for reference, wanted, media in (
        ("acme-shop-5", None, "image/svg+xml"),
        ("acme-shop-6", {"format": "IMAGE/SVG+XML"}, "image/svg+xml"),
        ("acme-shop-7", {"format": "IMAGE/PNG", "size": 200}, "image/png"),
    ):
        made = await shop.create(reference, userFlow="QR", qrFormat=wanted)
        async with shop.merchant.session.get(made.json["redirectUrl"]) as image:
            assert (image.status, image.content_type) == (200, media)
            assert sandbox.landing_url(reference).replace("&", "&amp;" if "svg" in media else "&").encode() in (
                await image.read()
            )
    async with shop.merchant.session.get(f"{sandbox.url}/qr-image/v1?token=none") as image:
        assert image.status == 404


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each value in a body."""
    yield place
    parts: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in parts:
        yield from _places(inner, (*place, name))


async def test_no_value_anywhere_breaks_it(sandbox: SandboxServer, shop: Epayment) -> None:
    """Whatever stands in any place of any body: 2xx or 4xx, never 5xx."""
    sandbox.settings.express = sandbox.settings.long_living = sandbox.settings.skip_landing_page = {MSN}
    option = {"id": "a", "name": "A", "amount": {"currency": "NOK", "value": 1}}
    whole = shop.creation(
        customer={"phoneNumber": "4712345678"},
        receipt=_line(unitInfo={"quantity": "1"}),
        metadata={"a": "b"},
        profile={"scope": "name address email phoneNumber"},
        qrFormat={"format": "IMAGE/PNG", "size": 200},
        expiresAt="2030-01-01T00:00:00Z",
        minimumUserAge=1,
        industryData={"airlineData": {"airlineCode": "074"}},
        shipping={
            "fixedOptions": [{"type": "OTHER", "brand": "DHL", "options": [option]}],
            "dynamicOptions": {"callbackUrl": "https://example.com", "callbackAuthorizationToken": "t"},
        },
        receiptUrl="https://example.com",
    )
    bodies = {
        PAYMENTS: whole,
        f"{PAYMENTS}/{REFERENCE}/capture": {"modificationAmount": {"currency": "NOK", "value": 1}},
        f"{PAYMENTS}/{REFERENCE}/cancel": {"cancelTransactionOnly": True},
        f"/epayment/v1/test/payments/{REFERENCE}/approve": {"customer": {"phoneNumber": "4712345678"}, "token": "t"},
    }
    await shop.create()
    odd: tuple[Any, ...] = (None, True, -1, 1.5, 10**30, "", "x", "\n", [], [1], [[]], {}, {"a": {}}, {"": None})
    for path, body in bodies.items():
        for place in _places(body):
            for value in odd:
                changed = copy.deepcopy(body)
                if place:
                    inner: Any = changed
                    for name in place[:-1]:
                        inner = inner[name]
                    inner[place[-1]] = value
                answer = await shop.post(path, changed if place else value)
                assert answer.status < 500, (path, place, value)
