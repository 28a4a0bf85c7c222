"""The sandbox's ePayment under requests that Schemathesis makes up: it answers as documented, and never breaks."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.fuzzing import Running, fuzzed, running_sandbox
from tests.contract.schema import validate
from tests.contract.test_epayment_sandbox_answers import BASE, answer_schema
from tests.contract.vendor import specification

#: The operations of the description that the sandbox serves; the other one is the merchant's.
OPERATIONS = [
    ("/v1/payments", "POST"),
    ("/v1/payments/{Reference}", "GET"),
    ("/v1/payments/{Reference}/events", "GET"),
    ("/v1/payments/{Reference}/capture", "POST"),
    ("/v1/payments/{Reference}/refund", "POST"),
    ("/v1/payments/{Reference}/cancel", "POST"),
    ("/v1/test/payments/{Reference}/approve", "POST"),
]
#: Payments of both APIs, in several states.
_REFERENCES = ["acme-waits", "acme-reserved", "acme-captured", "acme-declined", "shop-waits", "shop-reserved"]
_FITTING = {"capture": "shop-reserved", "refund": "acme-captured", "cancel": "shop-reserved", "approve": "shop-waits"}


@pytest.fixture
def running() -> Iterator[Running]:
    """A sandbox with some payments."""
    specification("epayment-v1.yaml")
    with running_sandbox() as server:
        yield server


def _make_known(path: str, body: Any) -> None:
    """Write into a body what the sandbox knows, so that the rest counts."""
    if not isinstance(body, dict):
        return
    for amount in (body.get("amount"), body.get("modificationAmount")):
        if isinstance(amount, dict):
            amount |= {"currency": "NOK", "value": 100}
    if "reference" in body:
        body |= {"reference": uuid.uuid4().hex, "returnUrl": "https://example.com", "customer": None}
        body |= {"shipping": None, "expiresAt": None, "userFlow": "WEB_REDIRECT", "qrFormat": None, "receiptUrl": None}
        body |= {"paymentMethod": {"type": "WALLET"}, "metadata": None, "profile": None, "receipt": None}
    if path.endswith("/approve"):
        # Neither field is required by the description, and one of them by the service.
        body |= {"customer": {"phoneNumber": "4712345678"}}


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=lambda value: value)
def test_whatever_comes_is_answered_as_documented(running: Running, path: str, method: str) -> None:
    """No answer of 5xx, and no body of a shape that is not described."""
    spec = specification("epayment-v1.yaml")
    statuses: set[int] = set()

    @fuzzed(spec, path, method, ids=_REFERENCES)
    def check(case: Any, honest: bool, reference: str | None) -> None:  # noqa: FBT001 - drawn
        headers = {}
        if honest:
            case.headers.clear()
            _make_known(path, case.body)
            headers = {**running.headers, "Idempotency-Key": uuid.uuid4().hex}
            reference = _FITTING.get(path.rpartition("/")[2], reference)
        if reference is not None and "Reference" in case.path_parameters:
            case.path_parameters["Reference"] = reference
        answer = case.call(base_url=f"{running.url}{BASE}", headers=headers)
        statuses.add(answer.status_code)
        assert answer.status_code < 500
        if answer.status_code >= 400 and "traceId" not in answer.json():
            # The gateway's own shapes: no key, no token, or a path that is none.
            assert answer.status_code in {401, 404, 405, 413}
            return
        described = answer_schema(spec, method.lower(), f"{BASE}{path}", answer.status_code)
        if described:
            validate(answer.json(), described)
        else:
            assert answer.content == b""

    check()
    assert statuses & {200, 201}, "no request came through"
