"""Every answer of the ePayment API that the vendor describes is read in full, and every operation is the vendor's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs
import orjson
import pytest

from tests.contract.schema import Schema, validate
from tests.contract.test_client_answers import OWN
from tests.contract.vendor import Specification, specification
from tests.epayment.service import EpaymentService, problem
from tests.epayment.sessions import ORDER, opened
from tests.epayment.test_errors import ROWS
from tests.support.rows import each_row
from vipps_async import EventName, PaymentState, nok
from vipps_async.core.converter import decode
from vipps_async.core.operation import Repeat
from vipps_async.epayment.dialect import EPAYMENT
from vipps_async.epayment.operations import OPERATIONS
from vipps_async.epayment.request_enums import PaymentMethodType
from vipps_async.transports.protocol import Request

PREFIX = "/epayment"


@pytest.fixture(scope="module")
def spec() -> Specification:
    """Return the vendor's description of the ePayment API."""
    return specification("epayment-v1.yaml")


def path_of(name: str) -> str:
    """Return the vendor's path of an operation."""
    return OPERATIONS[name].path.removeprefix(PREFIX).replace("{}", "{Reference}")


def operation_of(request: Request) -> str:
    """Return the operation that a request to the payment of these tests calls."""
    path = urlsplit(request.url).path
    return next(
        name for name, op in OPERATIONS.items() if (op.method, op.path.replace("{}", ORDER)) == (request.method, path)
    )


def answer_schema(spec: Specification, name: str) -> Schema:
    """Return what an operation answers when it succeeds."""
    return spec.response_schema(path_of(name), OPERATIONS[name].method, 201 if name == "create" else 200)


def example(schema: Schema) -> Any:
    """Make JSON with every property that a schema declares, from its own examples."""
    if "properties" in schema:
        return {name: example(item) for name, item in schema["properties"].items()}
    if schema.get("type") == "array":
        return [example(schema["items"])]
    if "example" in schema:
        return schema["example"]
    return schema.get("enum", [{"integer": 7, "boolean": True}.get(schema["type"], "text-of-it")])[0]


def leaves(value: Any) -> list[str]:
    """Return the scalars of JSON, or of a model, as text; nothing for what a model does not hold."""
    if isinstance(value, Mapping):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in leaves(item)]
    if attrs.has(type(value)):
        return [
            leaf
            for one in attrs.fields(type(value))
            if one.name not in OWN
            for leaf in leaves(getattr(value, one.name))
        ]
    return [] if value is None else [str(value)]


#: Newer than the description.
NEWER = {"get": {"captureGuaranteedUntil": "2026-02-01T10:00:00+00:00"}}


@pytest.mark.parametrize("name", ["create", "get", "events", "capture", "refund", "cancel"])
def test_answers_are_read_in_full(spec: Specification, name: str) -> None:
    """From an answer with everything in it everything is read: no field is passed over under a misspelt name."""
    answer = example(answer_schema(spec, name))
    validate_lenient(answer, answer_schema(spec, name))
    if name in NEWER:
        answer |= NEWER[name]
    found = leaves(decode(orjson.dumps(answer), OPERATIONS[name].result))
    wanted = leaves(answer)
    # A cancel's amount is what was cancelled; times are read as such.
    if name == "cancel":
        wanted = wanted[2:]
    assert len(found) == len(wanted)
    assert {text for text in wanted if "T" not in text or ":" not in text} <= {*found, "49900"}


def validate_lenient(instance: Any, schema: Schema) -> None:
    """Hold JSON against a schema, but for what the vendor requires and never sends."""
    item = schema.get("items", {})
    if "paymentAction" in item.get("required", ()):
        item = {**item, "required": [name for name in item["required"] if name != "paymentAction"]}
        schema = {**schema, "items": item}
    validate(instance, schema)


def test_every_operation_is_declared(spec: Specification) -> None:
    """The client has each operation of the description, the merchant's endpoint aside, and no other."""
    described = {pair for pair in spec.paths() if pair[0].startswith("/v1/")}
    declared = {(path_of(name), operation.method.lower()) for name, operation in OPERATIONS.items()}
    assert described == declared


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_headers_are_the_vendors(spec: Specification, name: str) -> None:
    """A key goes where the vendor wants one, and is no longer than the vendor takes; no other header is required."""
    rules = spec.header_rules(path_of(name), OPERATIONS[name].method)
    assert (EPAYMENT.idempotency_header in rules) is (OPERATIONS[name].repeat is Repeat.KEYED)
    if EPAYMENT.idempotency_header in rules:
        assert rules[EPAYMENT.idempotency_header][1]["maxLength"] == EPAYMENT.longest_key
    required = {header for header, (is_required, _) in rules.items() if is_required}
    sent = {EPAYMENT.idempotency_header, "Ocp-Apim-Subscription-Key", "Merchant-Serial-Number"}
    assert required <= sent


async def test_headers_are_sent(spec: Specification) -> None:
    """Sales unit, subscription key and system go with every call, and keep their rules."""
    service = EpaymentService()
    service.authorized(ORDER, 49900)
    transport = service.transport
    async with opened(service, transport=transport) as vipps:
        await vipps.epayment.capture(ORDER, amount=nok(1))
        await vipps.epayment.refund(ORDER, amount=nok(1))
        await vipps.epayment.cancel(ORDER)
        await vipps.epayment.get(ORDER)
        await vipps.epayment.events(ORDER)
    # The capture and the refund of a part read the payment's events, too.
    called = [operation_of(request) for request in transport.requests]
    assert list(dict.fromkeys(called)) == ["capture", "events", "refund", "cancel", "get"]
    for request, name in zip(transport.requests, called, strict=True):
        for header, (is_required, rule) in spec.header_rules(path_of(name), OPERATIONS[name].method).items():
            assert header in request.headers or not is_required
            if header in request.headers:
                validate(request.headers[header], rule)


def test_words_are_the_vendors(spec: Specification) -> None:
    """The known states, events and payment methods are those of the description."""
    assert set(spec.schema("State")["enum"]) == set(PaymentState)
    assert set(spec.schema("PaymentEventName")["enum"]) == set(EventName)
    assert set(spec.schema("PaymentMethodType")["enum"]) == set(PaymentMethodType)


@each_row(("code", "status"), [(code, status) for code, _, status, _, _ in ROWS])
def test_the_errors_of_our_tests_are_the_vendors(spec: Specification, code: str, status: int) -> None:
    """What the tests answer for Vipps has the described shape."""
    validate(orjson.loads(problem(status, code).body), spec.schema("Problem"))


def test_the_answers_of_our_tests_are_the_vendors(spec: Specification) -> None:
    """So have payments and events."""
    service = EpaymentService()
    service.authorized(ORDER, 49900)
    validate(service.payments[ORDER], answer_schema(spec, "get"))
    validate_lenient(service.events[ORDER], answer_schema(spec, "events"))
