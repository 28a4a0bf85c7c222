"""Every request of the ePayment API keeps the vendor's description, and each example of it can be made."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import attrs
import orjson
import pytest

from tests.contract.schema import undeclared_properties, validate
from tests.contract.vendor import Specification, specification
from tests.epayment.creations import EVERYTHING, create, dynamic, fixed, group, option
from tests.support.rows import each_row
from vipps_async import Money, dkk, nok
from vipps_async.core.converter import encode
from vipps_async.epayment import request_enums
from vipps_async.epayment.receipt import BottomLine, OrderLine, PaymentSources, Receipt, UnitInfo
from vipps_async.epayment.request_bodies import QrFormat
from vipps_async.epayment.requests import cancel_request, create_request, force_approve_request, modification_request

PAYMENTS = "/v1/payments"
PAYMENT = PAYMENTS + "/{Reference}"
#: Newer than the description.
NEWER = {
    "/shipping/allowedCountries",
    "/merchantLegalLinks",
}


@pytest.fixture(scope="module")
def spec() -> Specification:
    """Return the vendor's description of the ePayment API."""
    return specification("epayment-v1.yaml")


#: What create takes beyond its least: each alone is tried with each other.
OPTIONS: list[list[dict[str, Any]]] = [
    [
        {},
        {"user_flow": "NATIVE_REDIRECT"},
        {"user_flow": "PUSH_MESSAGE", "personal_qr": "qr:12345"},
        {"user_flow": "QR", "qr_format": QrFormat(format=request_enums.QrImage.PNG, size=100)},
    ],
    [{}, {"customer_token": "token", "personal_qr": None}],
    [{}, {"amount": dkk("0.01"), "blocked_sources": ["COMMERCIAL_CARDS"]}],
    [
        {},
        {"shipping": dynamic()},
        {"shipping": fixed(group(option(amount=nok(0), priority=1)), allowed_countries=["NO"]), "amount": nok(1)},
    ],
]


def creations() -> Iterator[dict[str, Any]]:
    """Return the arguments of every kind of create."""
    yield EVERYTHING
    for options in itertools.product(*OPTIONS):
        arguments = {name: value for option in options for name, value in option.items()}
        if "shipping" in arguments and arguments.get("amount", nok(1)).currency == "NOK":
            arguments.pop("blocked_sources", None)
        yield arguments


@each_row("arguments", list(creations()))
def test_create(spec: Specification, arguments: dict[str, Any]) -> None:
    """Whatever create sends keeps the description, and names nothing that it does not."""
    body = orjson.loads(encode(create(**arguments)))
    schema = spec.request_body_schema(PAYMENTS, "post")
    validate(body, schema)
    assert set(undeclared_properties(body, schema)) <= NEWER


@pytest.mark.parametrize(
    ("path", "request_"),
    [
        (PAYMENT + "/capture", modification_request(nok(1))),
        (PAYMENT + "/refund", modification_request(dkk(1))),
        (PAYMENT + "/cancel", cancel_request(cancel_transaction_only=True)),
        (PAYMENT + "/cancel", cancel_request(cancel_transaction_only=False)),
        ("/v1/test/payments/{Reference}/approve", force_approve_request(phone_number="4712345678", token="eyJ0")),
    ],
)
def test_the_other_bodies(spec: Specification, path: str, request_: object) -> None:
    """Captures, refunds, cancels and forced approvals keep the description."""
    body = orjson.loads(encode(request_))
    schema = spec.request_body_schema(path, "post")
    validate(body, schema)
    assert undeclared_properties(body, schema) == []


@each_row(
    ("words", "path"),
    [
        (request_enums.UserFlow, ("CreatePaymentRequest", "properties", "userFlow")),
        (request_enums.CustomerInteraction, ("CreatePaymentRequest", "properties", "customerInteraction")),
        (request_enums.QrImage, ("CreatePaymentRequest", "properties", "qrFormat", "properties", "format")),
        (request_enums.PaymentMethodType, ("PaymentMethodType",)),
        (request_enums.BlockedSource, ("BlockedPaymentSources",)),
        (request_enums.QuantityUnit, ("UnitInfo", "properties", "quantityUnit")),
        (request_enums.BarcodeFormat, ("Barcode", "properties", "format")),
        (request_enums.ShippingType, ("ShippingType",)),
        (request_enums.ShippingBrand, ("ShippingBrand",)),
    ],
)
def test_words(spec: Specification, words: Any, path: tuple[str, ...]) -> None:
    """The words that requests are made of are those of the description, no more and no fewer."""
    schema: Any = spec.schema(path[0])
    for name in path[1:]:
        schema = schema[name]
    assert {word.value for word in words} == set(schema["enum"])


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _made(cls: type[Any], json: Mapping[str, Any], currency: str, **further: Any) -> Any:
    """Make a part of a receipt from JSON; bare numbers that are sums become Money."""
    fields = {field.name: str(field.type) for field in attrs.fields(cls)}
    given = {_snake(name): value for name, value in json.items()}
    sums = {name: Money(value, currency) for name, value in given.items() if "Money" in fields[name]}
    return cls(**{**given, **sums, **further})


def _receipt(json: Mapping[str, Any]) -> Receipt:
    (end,) = json["bottomLine"]
    currency = end["currency"]
    return Receipt(
        order_lines=[
            _made(OrderLine, line, currency, unit_info=_made(UnitInfo, line["unitInfo"], currency))
            for line in json["orderLines"]
        ],
        bottom_line=_made(
            BottomLine, end, currency, payment_sources=_made(PaymentSources, end["paymentSources"], currency)
        ),
    )


#: How the JSON of each field becomes arguments.
_ARGUMENTS: Mapping[str, Any] = {
    "amount": lambda json: {"amount": Money(json["value"], json["currency"])},
    "paymentMethod": lambda json: {"payment_method": json["type"]},
    # One example has the number as a number.
    "customer": lambda json: {_snake(name): str(value) for name, value in json.items()},
    "profile": lambda json: {"scope": json["scope"]},
    "expiresAt": lambda json: {"expires_at": datetime.fromisoformat(json)},
    "receipt": lambda json: {"receipt": _receipt(json)},
}


@pytest.mark.parametrize("name", ["example with order lines", "example with personal Qr", "example with user info"])
def test_each_example(spec: Specification, name: str) -> None:
    """Each example of the description can be made, and comes out as the same JSON but for its slips."""
    examples = spec.schema("CreatePaymentRequest")["x-examples"]
    assert len(examples) == 3, "a new example"
    example = orjson.loads(orjson.dumps(examples[name]))
    arguments: dict[str, Any] = {}
    for field, json in example.items():
        arguments |= _ARGUMENTS[field](json) if field in _ARGUMENTS else {_snake(field): json}
    # Its slips: a phone number that is none, and a bottom line in a list, both against its own schema.
    for field, value in example["customer"].items():
        example["customer"][field] = str(value)
    if "receipt" in example:
        (example["receipt"]["bottomLine"],) = example["receipt"]["bottomLine"]
    # The time is long past: only Vipps' own clock, or a sandbox's, says so.
    made = create_request(**arguments, is_vipps=False)
    assert orjson.loads(encode(made)) == example
