"""What create sends, and what it refuses before anything is sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest

from tests.epayment.creations import (
    AIRLINE,
    EVERYTHING,
    RETURN_URL,
    create,
    dynamic,
    fixed,
    group,
    line,
    option,
    receipt,
)
from tests.support.rows import each_row
from vipps_async import InvalidInputError, Money, Scope, dkk, eur, nok
from vipps_async.core.converter import encode
from vipps_async.epayment.request_bodies import CreatePaymentRequest, MerchantLegalLinks, QrFormat
from vipps_async.epayment.request_enums import BlockedSource, CustomerInteraction, PaymentMethodType, QrImage, UserFlow
from vipps_async.epayment.requests import (
    cancel_request,
    create_request,
    force_approve_request,
    modification_request,
    next_attempt,
)

LEAST = {
    "amount": {"value": 49_900, "currency": "NOK"},
    "paymentMethod": {"type": "WALLET"},
    "reference": "acme-shop-7",
    "userFlow": "WEB_REDIRECT",
    "returnUrl": RETURN_URL,
}
SCOPES = {"name", "address", "email", "phoneNumber"}
TOO_OLD = "https://shop.example.com/" + "x" * 2_476


def sent(request: object) -> Any:
    """Return the JSON of a request."""
    return orjson.loads(encode(request))


def refused(**arguments: Any) -> InvalidInputError:
    """Return the refusal of a request with these arguments."""
    with pytest.raises(InvalidInputError) as caught:
        create(**arguments)
    return caught.value


# -- what is sent -----------------------------------------------------------------------------------------------------


def test_the_least() -> None:
    """A reference, an amount and a URL make a payment out of a wallet, by a link, and nothing else is sent."""
    assert sent(create()) == LEAST
    assert sent(create(payment_description="Socks.")) == {**LEAST, "paymentDescription": "Socks."}


def test_everything() -> None:
    """Each part stands where Vipps looks for it, under its own name; a receipt's sums are bare numbers."""
    socks = {"name": "Socks", "id": "socks-41", "totalAmount": 1_000, "totalAmountExcludingTax": 800}
    assert sent(create(**EVERYTHING)) == {
        **LEAST,
        "paymentDescription": "One pair of socks.",
        "customer": {"phoneNumber": "4712345678"},
        "customerInteraction": "CUSTOMER_PRESENT",
        "minimumUserAge": 18,
        "profile": {"scope": "name phoneNumber"},
        "expiresAt": "2030-02-01T12:30:00+00:00",
        "receipt": {
            "orderLines": [
                {
                    **socks,
                    "totalTaxAmount": 200,
                    "taxRate": 2_500,
                    "unitInfo": {"unitPrice": 500, "quantity": "0.822", "quantityUnit": "KG"},
                    "discount": 0,
                    "productUrl": "https://shop.example.com/socks",
                    "isReturn": False,
                    "isShipping": False,
                },
                {**socks, "totalTaxAmount": 200, "taxPercentage": 25},
            ],
            "bottomLine": {
                "currency": "NOK",
                "tipAmount": 100,
                "posId": "till-7",
                "paymentSources": {"giftCard": 400, "card": 300, "voucher": 200, "cash": 100},
                "barcode": {"format": "CODE 39", "data": "ABC-1"},
                "receiptNumber": "1007",
            },
        },
        "receiptUrl": "https://shop.example.com/receipts/7",
        "metadata": {"shop_id": "7", "channel": ""},
        "industryData": {
            "airlineData": {
                "passengerName": "FLYER / MARY MS.",
                "airlineCode": "074",
                "airlineDesignatorCode": "KL",
                "ticketNumber": "074-5799804843",
                "agencyInvoiceNumber": "123456",
            }
        },
        "merchantLegalLinks": {
            "termsOfSaleUrl": "https://shop.example.com/terms",
            "privacyPolicyUrl": "https://shop.example.com/privacy",
        },
    }


def test_fixed_shipping() -> None:
    """An express checkout asks for the four scopes, and names each way of shipping with its cost."""
    shipping = fixed(
        group(
            option(is_default=True, priority=1, meta="Storgata 1", estimated_delivery="1-2 days"),
            option("letter", amount=nok(0)),
            is_default=True,
            priority=2,
        ),
        group(brand="OTHER"),
        allowed_countries=["NO", "SE"],
    )
    parcel = {"id": "parcel", "name": "Parcel", "amount": {"value": 5_900, "currency": "NOK"}}
    letter = {"id": "letter", "name": "Letter", "amount": {"value": 0, "currency": "NOK"}}
    more = {"isDefault": True, "priority": 1, "meta": "Storgata 1", "estimatedDelivery": "1-2 days"}
    assert sent(create(shipping=shipping)) == {
        **LEAST,
        "profile": {"scope": "name address email phoneNumber"},
        "shipping": {
            "fixedOptions": [
                {
                    "type": "MAILBOX",
                    "brand": "POSTEN",
                    "options": [{**parcel, **more}, letter],
                    "isDefault": True,
                    "priority": 2,
                },
                {"type": "MAILBOX", "brand": "OTHER", "options": [parcel]},
            ],
            "allowedCountries": ["NO", "SE"],
        },
    }


def test_dynamic_shipping() -> None:
    """The URL that Vipps asks is sent as it is, with its query, and the token beside it."""
    options = sent(create(shipping=dynamic()))["shipping"]["dynamicOptions"]
    url = "https://shop.example.com/shipping?shop=1"
    assert options == {"callbackUrl": url, "callbackAuthorizationToken": "s3cret-token"}
    assert sent(create(shipping=dynamic(url + "/", None)))["shipping"] == {"dynamicOptions": {"callbackUrl": url + "/"}}


@pytest.mark.parametrize(
    ("flow", "further"),
    [
        (UserFlow.WEB_REDIRECT, {}),
        (UserFlow.NATIVE_REDIRECT, {"return_url": "acme://back"}),
        (UserFlow.NATIVE_REDIRECT, {"return_url": None}),
        (UserFlow.PUSH_MESSAGE, {"return_url": None, "phone_number": "4712345678"}),
        (UserFlow.PUSH_MESSAGE, {"personal_qr": "https://qr.example.com/28/2/01/031/4712345678?v=1"}),
        (UserFlow.PUSH_MESSAGE, {"customer_token": "ey%382jf8+qk3"}),
        (UserFlow.QR, {"return_url": None}),
    ],
)
def test_user_flows(flow: UserFlow, further: dict[str, Any]) -> None:
    """Each of the four ways to the customer can be taken, by its member or its text, with what it needs."""
    assert sent(create(user_flow=flow, **further)) == sent(create(user_flow=flow.value, **further))
    assert flow == create(user_flow=flow, **further).user_flow


@pytest.mark.parametrize(
    ("argument", "written"),
    [("phone_number", "phoneNumber"), ("personal_qr", "personalQr"), ("customer_token", "customerToken")],
)
def test_customers(argument: str, written: str) -> None:
    """A customer is known by one of three things."""
    assert sent(create(**{argument: "4712345678"}))["customer"] == {written: "4712345678"}


@pytest.mark.parametrize("amount", [nok(1), dkk("0.01"), eur("0.01"), Money(65_000_000, "NOK")])
def test_amounts(amount: Money) -> None:
    """From the least amount of each currency to the largest of all."""
    assert sent(create(amount=amount))["amount"] == {"value": amount.value, "currency": amount.currency}


def test_an_amount_of_nothing_says_what_that_may_mean() -> None:
    """What is left after a capture whose answer got lost is 0: that it may be done is said, not only the rule."""
    with pytest.raises(InvalidInputError, match="may be done; see its events"):
        modification_request(nok(0))
    with pytest.raises(InvalidInputError) as caught:
        modification_request(nok("0.50"))
    assert caught.value.advice == ""


def test_payment_methods() -> None:
    """A card can be asked for, and in Denmark and Finland cards of firms refused."""
    assert sent(create(payment_method="CARD"))["paymentMethod"] == {"type": "CARD"}
    blocked = create(amount=dkk(5), blocked_sources=[BlockedSource.COMMERCIAL_CARDS], payment_method="WALLET")
    assert sent(blocked)["paymentMethod"] == {"type": "WALLET", "blockedSources": ["COMMERCIAL_CARDS"]}


@pytest.mark.parametrize(
    ("form", "written"),
    [
        (QrFormat(format=QrImage.SVG), {"format": "IMAGE/SVG+XML"}),
        (QrFormat(format=QrImage.PNG, size=100), {"format": "IMAGE/PNG", "size": 100}),
        (QrFormat(format=QrImage("IMAGE/PNG"), size=2_000), {"format": "IMAGE/PNG", "size": 2_000}),
        (QrFormat(format=QrImage.TARGET_URL), {"format": "TEXT/TARGETURL"}),
    ],
)
def test_qr_formats(form: QrFormat, written: dict[str, Any]) -> None:
    """A QR code comes as a drawing, as a picture of some size, or not as an image."""
    assert sent(create(user_flow="QR", qr_format=form))["qrFormat"] == written


@pytest.mark.parametrize("scope", [[Scope.NAME, "nin"], "name nin", ("name", "nin", "name")])
def test_scopes(scope: Any) -> None:
    """Scopes are sent as one text, each once."""
    assert sent(create(scope=scope))["profile"] == {"scope": "name nin"}


@pytest.mark.parametrize("scope", [None, "phoneNumber email address name", SCOPES])
def test_scopes_of_an_express_checkout(scope: Any) -> None:
    """Vipps wants exactly the four, in any order; left out, they are filled in."""
    assert set(sent(create(shipping=fixed(), scope=scope))["profile"]["scope"].split()) == SCOPES


@pytest.mark.parametrize("url", ["https://shop.example.com/" + "x" * 2_475, "acme://back?order=7"])
def test_return_urls(url: str) -> None:
    """A customer comes back to a page of up to 2,500 characters in all, or to an app."""
    assert sent(create(return_url=url))["returnUrl"] == url


def test_urls_of_this_machine() -> None:
    """Where no real Vipps is called, its URLs may lead to this machine."""
    url = "http://127.0.0.1:8080/back"
    made = create(return_url=url, shipping=dynamic(url), loopback=True, is_vipps=False)
    assert (made.return_url, sent(made)["shipping"]["dynamicOptions"]["callbackUrl"]) == (url, url)
    refused(return_url=url)


def test_a_callback_url_that_is_not_reached() -> None:
    """Vipps takes a port that it does not call; the merchant is warned."""
    with pytest.warns(UserWarning, match="callback_url has port 8443") as warned:
        create(shipping=dynamic("https://shop.example.com:8443/shipping"))
    assert warned[0].filename == __file__


@pytest.mark.parametrize("ahead", [timedelta(minutes=11), timedelta(days=59, hours=23)])
def test_long_living_payments(ahead: timedelta) -> None:
    """A payment may live up to 60 days; the time is sent with its zone."""
    ends = datetime.now(UTC) + ahead
    assert datetime.fromisoformat(sent(create(expires_at=ends, receipt=receipt()))["expiresAt"]) == ends
    there = ends.astimezone(timezone(timedelta(hours=2))).replace(microsecond=0)
    assert sent(create(expires_at=there, receipt=receipt()))["expiresAt"] == f"{there:%Y-%m-%dT%H:%M:%S}+02:00"


@pytest.mark.parametrize("ahead", [timedelta(minutes=6), timedelta(days=60, minutes=4)])
def test_a_bound_of_time_that_is_not_certain(ahead: timedelta) -> None:
    """Within what clocks may differ, and against a sandbox with a clock of its own, Vipps decides."""
    create(expires_at=datetime.now(UTC) + ahead, receipt=receipt())
    create(expires_at=datetime(2020, 1, 1, tzinfo=UTC), receipt=receipt(), is_vipps=False)


def test_metadata_at_its_bounds() -> None:
    """Five pairs, names of 100 and texts of 500 characters; a later change to the mapping changes nothing."""
    given = {f"{number}" * 100: "x" * 500 for number in range(5)}
    made = create(metadata=given)
    given.clear()
    assert len(made.metadata or {}) == 5


# -- what is refused --------------------------------------------------------------------------------------------------


@each_row(
    ("parameter", "value"),
    [
        ("reference", None),
        ("reference", "shop-17"),
        ("reference", "x" * 65),
        ("reference", "acme_shop_7"),
        ("reference", "acme-shop-7\n"),
        ("reference", "acme-shøp-7"),
        ("reference", 12345678),
        ("amount", None),
        ("amount", 49_900),
        ("amount", 499.0),
        ("amount", "499.00"),
        ("amount", nok("0.99")),
        ("amount", dkk(0)),
        ("amount", eur(0)),
        ("amount", Money(65_000_001, "NOK")),
        ("amount", Money(10_000, "SEK")),
        ("amount", Money(10_000, "nok")),
        ("payment_description", "ab"),
        ("payment_description", "x" * 101),
        ("payment_description", "   "),
        ("payment_description", "so\x00cks"),
        ("payment_description", 499),
        ("return_url", None),
        ("return_url", "http://shop.example.com"),
        ("return_url", "javascript://alert(1)"),
        ("return_url", "https://localhost/back"),
        ("return_url", "https://shop.example.com/a b"),
        ("return_url", TOO_OLD),
        ("return_url", 5),
        ("user_flow", "NATIVE"),
        ("user_flow", "web_redirect"),
        ("user_flow", None),
        ("payment_method", "CARD_PASSTHROUGH"),
        ("payment_method", "wallet"),
        ("payment_method", None),
        ("phone_number", "12345678"),
        ("phone_number", "1" * 16),
        ("phone_number", "+4712345678"),
        ("phone_number", "47 12 34 56 78"),
        ("phone_number", "٤٧١٢٣٤٥٦٧٨"),
        ("phone_number", 4712345678),
        ("personal_qr", "qr:1"),
        ("personal_qr", "x" * 256),
        ("personal_qr", 12345),
        ("customer_token", ""),
        ("customer_token", "x" * 4_097),
        ("customer_interaction", "PRESENT"),
        ("customer_interaction", True),
        ("minimum_user_age", -1),
        ("minimum_user_age", 101),
        ("minimum_user_age", "18"),
        ("minimum_user_age", 18.0),
        ("minimum_user_age", True),
        ("scope", ""),
        ("scope", []),
        ("scope", "name,email"),
        ("scope", "phonenumber"),
        ("scope", 5),
        ("expires_at", "2030-02-01T12:30:00Z"),
        ("expires_at", datetime(2030, 2, 1, 12, 30)),  # noqa: DTZ001 - that is what is refused
        ("expires_at", datetime.max.replace(tzinfo=UTC)),
        ("expires_at", datetime(2020, 2, 1, tzinfo=UTC)),
        ("qr_format", "IMAGE/PNG"),
        ("receipt", {"orderLines": []}),
        ("receipt_url", "http://shop.example.com/receipt"),
        ("receipt_url", "x"),
        ("metadata", []),
        ("metadata", "a=b"),
        ("metadata", {f"name-{number}": "" for number in range(6)}),
        ("metadata", {"x" * 101: ""}),
        ("metadata", {"": "x"}),
        ("metadata", {1: "x"}),
        ("metadata", {"x": 1}),
        ("metadata", {"x": None}),
        ("metadata", {"x": "x" * 501}),
        ("metadata", {"x": "\ud800"}),
        ("shipping", {"fixedOptions": []}),
        ("airline_data", {"airlineCode": "074"}),
        ("blocked_sources", "COMMERCIAL_CARDS"),
        ("blocked_sources", []),
        ("blocked_sources", ["PREPAID_CARDS"]),
        ("blocked_sources", [1]),
        ("merchant_legal_links", "https://shop.example.com/terms"),
    ],
)
def test_each_rule(parameter: str, value: Any) -> None:
    """An argument that breaks its rule is refused by its name."""
    further: dict[str, Any] = {"amount": dkk(5)} if parameter == "blocked_sources" else {}
    if parameter == "expires_at":
        further = {"receipt": receipt()}
    assert refused(**{**further, parameter: value}).parameter == parameter


@each_row(
    ("parameter", "arguments"),
    [
        # The flow and what it needs.
        ("return_url", {"return_url": None, "user_flow": "WEB_REDIRECT"}),
        ("phone_number", {"user_flow": "PUSH_MESSAGE"}),
        ("user_flow", {"payment_method": "CARD", "user_flow": "QR"}),
        ("user_flow", {"payment_method": "CARD", "user_flow": "NATIVE_REDIRECT"}),
        ("user_flow", {"payment_method": "CARD", "user_flow": "PUSH_MESSAGE", "phone_number": "4712345678"}),
        ("qr_format", {"qr_format": QrFormat(format=QrImage.SVG)}),
        ("qr_format", {"qr_format": "IMAGE/PNG", "user_flow": "QR"}),
        # One customer.
        ("personal_qr", {"phone_number": "4712345678", "personal_qr": "qr:12345"}),
        ("customer_token", {"phone_number": "4712345678", "customer_token": "token"}),
        ("customer_token", {"personal_qr": "qr:12345", "customer_token": "token"}),
        # Long-living payments; the times are those of the file's import, some minutes ago at worst.
        ("expires_at", {"expires_at": datetime.now(UTC) + timedelta(hours=1)}),
        ("expires_at", {"expires_at": datetime.now(UTC) + timedelta(minutes=1), "receipt": receipt()}),
        ("expires_at", {"expires_at": datetime.now(UTC) + timedelta(days=61), "receipt": receipt()}),
        (
            "expires_at",
            {
                "expires_at": datetime.now(UTC) + timedelta(hours=1),
                "receipt": receipt(),
                "payment_method": PaymentMethodType.CARD,
            },
        ),
        # Express checkouts.
        ("shipping", {"shipping": fixed(), "payment_method": "CARD"}),
        ("scope", {"shipping": fixed(), "scope": "name address email"}),
        ("scope", {"shipping": fixed(), "scope": "name address email phoneNumber birthDate"}),
        ("shipping", {"shipping": fixed(group(option(amount=dkk(59))))}),
        ("callback_url", {"shipping": dynamic("http://shop.example.com/shipping")}),
        ("callback_url", {"shipping": dynamic("https://shop.example.com/shipping#part")}),
        ("callback_url", {"shipping": dynamic("https://localhost/shipping")}),
        ("callback_url", {"shipping": dynamic("acme://shipping")}),
        ("callback_url", {"shipping": dynamic("https://u:p@shop.example.com/")}),
        # One currency.
        ("receipt", {"receipt": receipt(), "amount": dkk(5)}),
        ("blocked_sources", {"blocked_sources": ["COMMERCIAL_CARDS"]}),
        ("blocked_sources", {"blocked_sources": ["COMMERCIAL_CARDS"], "amount": eur(5), "payment_method": "CARD"}),
        # Links.
        ("terms_of_sale_url", {"merchant_legal_links": MerchantLegalLinks(terms_of_sale_url="terms")}),
        ("privacy_policy_url", {"merchant_legal_links": MerchantLegalLinks(privacy_policy_url="http://a.no")}),
    ],
)
def test_what_does_not_go_together(parameter: str, arguments: dict[str, Any]) -> None:
    """An argument that does not go with another is refused by its name."""
    assert refused(**arguments).parameter == parameter


@pytest.mark.parametrize(
    ("parameter", "fields"),
    [
        ("format", {"format": "IMAGE/JPEG"}),
        ("format", {"format": None}),
        ("size", {"format": "IMAGE/PNG", "size": 99}),
        ("size", {"format": "IMAGE/PNG", "size": 2_001}),
        ("size", {"format": "IMAGE/PNG", "size": 1024.0}),
        ("size", {"format": "IMAGE/SVG+XML", "size": 1_024}),
        ("size", {"format": "TEXT/TARGETURL", "size": 1_024}),
    ],
)
def test_qr_formats_that_are_none(parameter: str, fields: dict[str, Any]) -> None:
    """Only a PNG has a size, and only from 100 to 2000."""
    with pytest.raises(InvalidInputError) as caught:
        QrFormat(**fields)
    assert caught.value.parameter == parameter


# -- the other bodies -------------------------------------------------------------------------------------------------


def test_capture_and_refund() -> None:
    """The sum to capture or refund is always named."""
    assert encode(modification_request(eur("0.01"))) == b'{"modificationAmount":{"value":1,"currency":"EUR"}}'
    for amount in (None, 100, nok(0), nok("0.99"), Money(100, "SEK"), Money(65_000_001, "DKK")):
        with pytest.raises(InvalidInputError) as caught:
            modification_request(amount)  # type: ignore[arg-type]
        assert caught.value.parameter == "amount"


def test_cancel() -> None:
    """Nothing is sent but a flag that is set; the body is an object always."""
    assert encode(cancel_request(cancel_transaction_only=True)) == b'{"cancelTransactionOnly":true}'
    assert encode(cancel_request(cancel_transaction_only=False)) == b"{}"
    for flag in (None, 0, "true"):
        with pytest.raises(InvalidInputError) as caught:
            cancel_request(cancel_transaction_only=flag)  # type: ignore[arg-type]
        assert caught.value.parameter == "cancel_transaction_only"


def test_force_approve() -> None:
    """A test user is named by number, by the payment's token, or by both."""
    both = force_approve_request(phone_number="4712345678", token="eyJ0")
    assert encode(both) == b'{"customer":{"phoneNumber":"4712345678"},"token":"eyJ0"}'
    assert encode(force_approve_request()) == b"{}"
    assert both.secrets == ("4712345678", "eyJ0")
    assert force_approve_request().secrets == ()
    for arguments in ({"token": "a b"}, {"phone_number": "12345678"}, {"personal_qr": "qr:12345", "phone_number": "4"}):
        with pytest.raises(InvalidInputError) as caught:
            force_approve_request(**arguments)
        assert caught.value.parameter in arguments


@pytest.mark.parametrize(
    ("reference", "attempt", "following"),
    [
        ("acme-shop-7", 1, "acme-shop-7-1"),
        ("acme-shop-7", 2, "acme-shop-7-2"),
        ("acme-shop-7-1", 1, "acme-shop-7-1-1"),
        ("x" * 62, 1, "x" * 62 + "-1"),
        ("x" * 61, 12, "x" * 61 + "-12"),
    ],
)
def test_next_attempt(reference: str, attempt: int, following: str) -> None:
    """A further attempt has a number behind the reference; a number that stands there is never counted up."""
    assert next_attempt(reference, attempt=attempt) == following
    assert sent(create(reference=following))["reference"] == following


@pytest.mark.parametrize(
    ("parameter", "reference", "attempt"),
    [
        ("reference", "x" * 63, 1),
        ("reference", "x" * 62, 10),
        ("reference", "short", 1),
        ("attempt", "acme-shop-7", 0),
        ("attempt", "acme-shop-7", True),
        ("attempt", "acme-shop-7", "1"),
    ],
)
def test_no_next_attempt(parameter: str, reference: str, attempt: Any) -> None:
    """A reference is never cut: two of them could become the same."""
    with pytest.raises(InvalidInputError) as caught:
        next_attempt(reference, attempt=attempt)
    assert caught.value.parameter == parameter


# -- what is shown ----------------------------------------------------------------------------------------------------

CANARY = "canary-4"


@each_row(
    "arguments",
    [
        {"phone_number": "4712345678"},
        {"personal_qr": CANARY},
        {"customer_token": CANARY},
        {"return_url": f"https://shop.example.com/?key={CANARY}"},
        {"receipt_url": f"https://shop.example.com/?key={CANARY}"},
        {"metadata": {"name": CANARY}},
        {"shipping": dynamic(f"https://shop.example.com/?key={CANARY}", CANARY)},
        {"airline_data": AIRLINE},
        {"receipt": receipt(line(name=CANARY))},
    ],
)
def test_reprs_show_nothing_personal(arguments: dict[str, Any]) -> None:
    """The repr of a request has no number, token, passenger, receipt or URL."""
    shown = repr(create(**arguments))
    assert not any(value in shown for value in ("4712345678", CANARY, "MARY", "5799804843"))


def test_secrets() -> None:
    """What must not stand in an error or a log is named: customer, token of the callback, passenger, ticket."""
    assert create(**EVERYTHING).secrets == ("4712345678", "FLYER / MARY MS.", "074-5799804843")
    assert create(personal_qr="qr:12345").secrets == ("qr:12345",)
    assert create(customer_token="token", shipping=dynamic()).secrets == ("token", "s3cret-token")
    assert create().secrets == ()


@each_row(
    "arguments",
    [
        {"phone_number": f"+{CANARY}"},
        {"personal_qr": CANARY * 64},
        {"customer_token": CANARY * 1024},
        {"phone_number": CANARY, "personal_qr": CANARY},
        {"personal_qr": CANARY, "customer_token": CANARY},
        {"return_url": f"http://shop.example.com/?key={CANARY}"},
        {"return_url": f"https://{CANARY}@example.com/"},
        {"metadata": {CANARY * 20: CANARY}},
        {"metadata": {"name": CANARY * 100}},
        {"airline_data": {"passengerName": CANARY}},
        {"shipping": {"token": CANARY}},
        {"shipping": dynamic("http://a.no", CANARY)},
        {"shipping": dynamic("https://a.no", CANARY), "payment_method": "CARD"},
    ],
)
def test_refusals_show_nothing_personal(arguments: dict[str, Any]) -> None:
    """An error about an argument shows neither it nor another one, if it is secret or personal."""
    error = refused(**arguments)
    assert CANARY not in f"{error} {error!r} {vars(error)}"


def test_create_takes_keywords_only() -> None:
    """No two texts are mixed up, and what is made is a frozen request."""
    with pytest.raises(TypeError):
        create_request("acme-shop-7", nok(5))  # type: ignore[call-arg]
    assert isinstance(create(customer_interaction=CustomerInteraction.CUSTOMER_PRESENT), CreatePaymentRequest)
