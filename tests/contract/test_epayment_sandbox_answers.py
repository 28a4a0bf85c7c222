"""Every answer of the sandbox's ePayment is held against the vendor's description.

Where the vendor's own reality departs from its description the sandbox follows reality; each such place is named here
with its reason.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from tests.contract.schema import Schema, undeclared_properties, validate
from tests.contract.vendor import Specification, specification
from tests.sandbox.driver import MSN, Answer, Shop
from tests.sandbox.driver import shop as shop_at
from tests.sandbox.epayment_driver import PAYMENTS, REFERENCE, Epayment, epayment_at
from vipps_async.sandbox import Fault, SandboxServer, SandboxSettings

BASE = "/epayment"
#: Newer than the description; and metadata has names of the merchant's own.
UNDECLARED = ("/captureGuaranteedUntil", "/metadata/")


def _conform(body: Any, schema: Schema) -> None:
    validate(body, schema)
    strange = [place for place in undeclared_properties(body, schema) if not place.startswith(UNDECLARED)]
    assert not strange, f"not in the description: {', '.join(strange)}"


def answer_schema(spec: Specification, method: str, path: str, status: int) -> Schema:
    """Return the schema of an answer; where the description names no such status, that of a problem."""
    if status >= 400:
        return spec.schema("Problem")
    schema = copy.deepcopy(spec.response_schema(spec.template_for(path.removeprefix(BASE)), method, status))
    if path.endswith("/events"):
        # No event has the field paymentAction, which the description requires and does not declare.
        schema["items"]["required"].remove("paymentAction")
    details = schema.get("properties", {}).get("userDetails", {})
    # A narrow scope shares less than the description requires, which was written when only express had user details.
    details.pop("required", None)
    return schema


@pytest.fixture
def spec() -> Specification:
    """The vendor's description of ePayment."""
    return specification("epayment-v1.yaml")


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    """With a sales unit that may do everything."""
    allowed = {MSN}
    async with SandboxServer(
        settings=SandboxSettings(sub_delay=0.0, express=allowed, long_living=allowed, skip_landing_page=allowed),
        rate_limits=False,
    ) as server:
        yield server


@pytest.fixture
async def merchant(sandbox: SandboxServer, spec: Specification) -> AsyncIterator[Epayment]:
    """Holds each answer that it gets against the description."""

    def check(method: str, path: str, answer: Answer) -> None:
        schema = answer_schema(spec, method, path, answer.status)
        if schema:
            _conform(answer.json, schema)
        else:
            assert answer.body == b""

    async with epayment_at(sandbox.url) as opened:
        opened.merchant.on_answer = check
        yield opened


async def test_every_operation(sandbox: SandboxServer, merchant: Epayment) -> None:
    """Each success at each stage, and the event log with all that has failed in it."""
    assert (await merchant.create(metadata={"a": "b"}, profile={"scope": "name birthDate"})).status == 201
    await merchant.get()
    assert (await merchant.capture(100)).status == 400
    assert (await merchant.approve()).status == 200
    await merchant.get()
    assert (await merchant.capture(10_000)).status == 200
    assert (await merchant.refund(1_000)).status == 200
    assert (await merchant.cancel()).status == 200
    assert len((await merchant.events()).json) == 6
    assert (await merchant.get()).status == 200


async def test_every_flow_and_end(sandbox: SandboxServer, merchant: Epayment) -> None:
    """Each user flow, and each way in which a payment ends."""
    parts: tuple[dict[str, Any], ...] = (
        {"userFlow": "NATIVE_REDIRECT"},
        {"userFlow": "QR"},
        {"userFlow": "QR", "qrFormat": {"format": "TEXT/TARGETURL"}},
        {"userFlow": "PUSH_MESSAGE", "customer": {"phoneNumber": "4712345678"}},
    )
    for number, part in enumerate(parts):
        assert (await merchant.create(f"acme-shop-{number}", **part)).status == 201
    await sandbox.reject("acme-shop-0")
    await sandbox.expire("acme-shop-1")
    await merchant.cancel("acme-shop-2")
    await sandbox.approve("acme-shop-3")
    states = []
    for number in range(4):
        states.append((await merchant.get(f"acme-shop-{number}")).json["state"])
        await merchant.events(f"acme-shop-{number}")
    assert states == ["ABORTED", "EXPIRED", "TERMINATED", "AUTHORIZED"]


async def test_problems(sandbox: SandboxServer, merchant: Epayment) -> None:
    """With a code, with fields, and with neither; whatever the status."""
    await merchant.create()
    sandbox.faults.script("capture", Fault.LOCKED_94)
    answers = [
        await merchant.create(),
        await merchant.create(None),
        await merchant.create("acme-shop-2", 99),
        await merchant.get("nobody-knows"),
        await merchant.get("short"),
        await merchant.capture(100),
        await merchant.post(PAYMENTS, b"{"),
        await merchant.cancel(body=[]),
        await merchant.approve("nobody-knows"),
    ]
    assert [answer.status for answer in answers] == [409, 400, 400, 404, 400, 423, 400, 400, 404]


async def test_express(sandbox: SandboxServer, merchant: Epayment, spec: Specification) -> None:
    """The payment conforms; the question for shipping does but for the case of its names."""
    option = {"id": "a", "name": "A", "amount": {"currency": "NOK", "value": 100}}
    groups = {"groups": [{"type": "OTHER", "brand": "OTHER", "options": [option]}]}
    shipping = "/merchant-dynamic-shipping-callback"
    _conform(groups, spec.response_schema(shipping, "post", 200))
    async with shop_at() as place:
        place.answer = groups
        body: dict[str, Any] = {
            "profile": {"scope": "name address email phoneNumber"},
            "shipping": {"dynamicOptions": {"callbackUrl": place.url}},
        }
        await merchant.create(**body)
        await sandbox.approve(REFERENCE)
        _hold_question(place, spec.request_body_schema(shipping, "post"))
    assert {"shippingDetails", "userDetails"} <= (await merchant.get()).json.keys()


def _hold_question(place: Shop, schema: Schema) -> None:
    ((_, _, _, question),) = place.received
    with pytest.raises(AssertionError, match="'AddressLine1' is a required property"):
        validate(question, schema)
    # Both of the vendor's plug-ins read camel case, and nothing else.
    declared = {name[0].upper() + name[1:] if name != "reference" else name: value for name, value in question.items()}
    _conform(declared, schema)


async def test_what_ecom_made(sandbox: SandboxServer, merchant: Epayment) -> None:
    """Its payments conform as ePayment's own do."""
    ecom = merchant.merchant
    check, ecom.on_answer = ecom.on_answer, None
    for reference in (REFERENCE, "acme-shop-2"):
        await ecom.initiate(reference)
    await sandbox.approve(REFERENCE)
    await ecom.capture(REFERENCE, 10_000)
    ecom.on_answer = check
    for reference in (REFERENCE, "acme-shop-2"):
        await merchant.get(reference)
        await merchant.events(reference)
    assert (await merchant.cancel()).status == 200


async def test_the_sandbox_knows_every_field_of_a_create(
    sandbox: SandboxServer, merchant: Epayment, spec: Specification
) -> None:
    """Nothing that the description names is counted as ignored, and its own examples are taken."""
    schema = spec.request_body_schema("/v1/payments", "post")
    everything = [_filled(schema, place) for place in range(2)]
    merchant.merchant.on_answer = None
    for body in everything:
        await merchant.post(PAYMENTS, body)
    assert {place for _, place, kind in sandbox.ignored if kind == "unknown"} == set()
    moment = (sandbox.clock.now() + timedelta(days=1)).isoformat()
    examples = _examples(spec, schema)
    for number, example in enumerate(examples):
        body = {**example, "reference": f"acme-shop-1{number}"}
        body |= {"expiresAt": moment} if "expiresAt" in body else {}
        assert (await merchant.post(PAYMENTS, body)).status == 201
    assert len(examples) == 3


def _examples(spec: Specification, schema: Schema) -> list[dict[str, Any]]:
    """Return the examples of a create, their references followed."""
    examples: dict[str, Any] = spec._resolved(dict(schema["x-examples"]), spec.name)
    for example in examples.values():
        # The first one has a list where the description has an object.
        if isinstance(example.get("receipt", {}).get("bottomLine"), list):
            example["receipt"]["bottomLine"] = example["receipt"]["bottomLine"][0]
    return list(examples.values())


def _filled(schema: Schema, turn: int) -> Any:
    """Return a body with every field of a schema in it, none of them right."""
    if "oneOf" in schema:
        merged: dict[str, Any] = {}
        for alternative in schema["oneOf"]:
            merged |= _filled(alternative, turn)
        return merged
    if "properties" in schema:
        return {name: _filled(inner, turn) for name, inner in schema["properties"].items()}
    if schema.get("type") == "array":
        return [_filled(schema["items"], turn)]
    return None if schema.get("type") == "object" else schema.get("example", turn)
