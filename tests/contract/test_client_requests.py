"""Every request that the client can send keeps the vendor's description, and names nothing that it does not."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import attrs
import orjson
import pytest

from tests.contract.schema import CONTRACT, Contract, conform
from tests.ecom.scripted_runner import ScriptedRunner
from tests.support.rows import each_row
from vipps_async import AirlineData, EcomApi, ExpressCheckout, OperationName, OrderStatus, Scope, ShippingDetails, nok
from vipps_async.config import Environment
from vipps_async.core.converter import encode
from vipps_async.core.operation import Call, Repeat
from vipps_async.ecom import requests
from vipps_async.ecom.operations import OPERATIONS

ORDER = "acme-shop-123-order123abc"
URL = "https://example.com/vipps"


@pytest.fixture(scope="module")
def spec() -> Contract:
    """Return the vendor's description of the eCom API."""
    return CONTRACT


def shipping(number: int) -> ShippingDetails:
    """Return a way of shipping, with and without what is optional."""
    return ShippingDetails(
        is_default=number == 0,
        priority=number or None,
        shipping_cost=(0, 4_990, nok(120))[number],
        shipping_method="Post",
        shipping_method_id=f"post-{number}",
    )


EXPRESS = [
    ExpressCheckout(consent_removal_prefix=URL, shipping_details_prefix=URL),
    ExpressCheckout(
        consent_removal_prefix=URL,
        static_shipping_details=[shipping(number) for number in range(3)],
        use_explicit_checkout_flow=True,
    ),
]
AIRLINE = [
    AirlineData(passenger_name="X", airline_code="074", airline_designator_code="KL", agency_invoice_number="1"),
    AirlineData(
        passenger_name="FLYER / MARY MS.",
        airline_code="074",
        airline_designator_code="KL",
        ticket_number="074-5799804843",
        agency_invoice_number="123456",
    ),
]
#: What initiate takes beyond its least: each alone is tried with each other.
OPTIONS: list[list[dict[str, Any]]] = [
    [{}, {"mobile_number": "91234567"}, {"mobile_number": "91234567", "skip_landing_page": True}],
    [{}, {"is_app": True, "fall_back": "myapp://back"}],
    [{}, {"auth_token": "s3cret"}],
    [{}, {"scope": list(Scope)}, *({"express": express} for express in EXPRESS)],
    [{}, *({"airline_data": airline} for airline in AIRLINE)],
]


def initiates() -> Iterator[dict[str, Any]]:
    """Return the arguments of every kind of initiate."""
    least = {
        "order_id": ORDER,
        "amount": 100,
        "transaction_text": "Socks",
        "callback_prefix": URL,
        "fall_back": URL,
    }
    for options in itertools.product(*OPTIONS):
        yield least | {name: value for option in options for name, value in option.items()}


Send = Callable[[EcomApi], Awaitable[object]]
REQUESTS: dict[str, list[Send]] = {
    "initiate": [lambda ecom, given=given: ecom.initiate(**given) for given in initiates()],  # type: ignore[misc]  # mypy does not infer a lambda's default
    "capture": [
        lambda ecom: ecom.capture(ORDER, transaction_text="Shipped."),
        lambda ecom: ecom.capture(ORDER, transaction_text="Shipped.", amount=2**31 - 1, idempotency_key="k"),
    ],
    "refund": [
        lambda ecom: ecom.refund(ORDER, transaction_text="Returned."),
        lambda ecom: ecom.refund(ORDER, transaction_text="Returned.", amount=100),
    ],
    "cancel": [
        lambda ecom: ecom.cancel(ORDER, transaction_text="Sold out."),
        lambda ecom: ecom.cancel(ORDER, transaction_text="Sold out.", should_release_remaining_funds=True),
    ],
    "details": [lambda ecom: ecom.details(ORDER)],
    "status": [lambda ecom: ecom.status(ORDER)],
    "approve": [lambda ecom: ecom.approve(ORDER, mobile_number="91234567", token="eyJ.x")],
}


async def sent(send: Send) -> Call[Any]:
    """Return the call that a method makes."""
    runner = ScriptedRunner()
    await send(EcomApi(runner, merchant_serial_number="123456", environment=Environment.TEST))
    return runner.only


@pytest.mark.parametrize("name", list(REQUESTS))
async def test_requests_keep_the_description(spec: Contract, name: str) -> None:
    """Path, method and every body of an operation are what the description says, and no field is misspelt."""
    for send in REQUESTS[name]:
        call = await sent(send)
        assert call.operation is OPERATIONS[name]
        template, method = spec.template_for(call.path), call.operation.method.lower()
        assert (template, method) in spec.paths()
        assert template.replace("{orderId}", ORDER) == call.path
        rules = spec.header_rules(template, method)
        if call.operation.repeat is Repeat.KEYED:
            assert "X-Request-Id" in rules
            assert call.idempotency_key
        else:
            assert "X-Request-Id" not in rules
        if call.body is not None:
            conform(orjson.loads(encode(call.body)), spec.request_body_schema(template, method))


def test_every_operation_is_declared(spec: Contract) -> None:
    """The client has each operation of the description, merchant endpoints aside, and no other."""
    described = {pair for pair in spec.paths() if "/payments" in pair[0] and pair[0].startswith("/ecomm/")}
    declared = {
        (operation.path.replace("{}", "{orderId}"), operation.method.lower()) for operation in OPERATIONS.values()
    }
    assert described == declared
    assert set(REQUESTS) == set(OPERATIONS)


async def test_every_field_is_sent(spec: Contract) -> None:
    """Each field that the description has for initiate can be sent by the client."""
    seen: set[str] = set()
    for send in REQUESTS["initiate"]:
        seen.update(_places(orjson.loads(encode((await sent(send)).body))))
    assert set(_declared(spec.request_body_schema("/ecomm/v2/payments", "post"))) <= seen


def _places(value: Any, place: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield f"{place}/{name}"
            yield from _places(item, f"{place}/{name}")
    elif isinstance(value, list):
        for item in value:
            yield from _places(item, place)


def _declared(schema: Any, place: str = "") -> Iterator[str]:
    for name, item in schema.get("properties", {}).items():
        yield f"{place}/{name}"
        yield from _declared(item.get("items", item), f"{place}/{name}")


@each_row("model", [each for each in vars(requests).values() if getattr(each, "__module__", "") == requests.__name__])
def test_a_misspelt_field_is_noticed(spec: Contract, model: type[Any]) -> None:
    """The check works: a field that the description does not name fails it, in each model."""
    schema = spec.schema(model.__name__)
    for attribute in attrs.fields(model):
        with pytest.raises(AssertionError, match=f"{attribute.name}x"):
            conform({f"{attribute.name}x": 1}, {**schema, "required": []})


def test_words_are_the_vendors(spec: Contract) -> None:
    """The known operations and states are those of the description."""
    log = spec.schema("TransactionLogHistory")["properties"]["operation"]["enum"]
    assert set(log) == set(OperationName)
    status = spec.schema("OrderStatusInfoTransactionInfo")["properties"]["status"]["enum"]
    assert set(status) == set(OrderStatus)
