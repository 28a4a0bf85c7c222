"""The sandbox under requests that Schemathesis makes up: such as the vendor's description allows, and others.

Whatever comes, it answers as documented, and never breaks.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.fuzzing import ORDERS, Running, fuzzed, running_sandbox
from tests.contract.schema import Schema, conform
from tests.contract.vendor import specification
from tests.sandbox.driver import MSN

#: The operations of the description that the sandbox serves; all others are served by the merchant.
OPERATIONS = [
    ("/ecomm/v2/payments", "POST"),
    ("/ecomm/v2/payments/{orderId}/capture", "POST"),
    ("/ecomm/v2/payments/{orderId}/cancel", "PUT"),
    ("/ecomm/v2/payments/{orderId}/refund", "POST"),
    ("/ecomm/v2/payments/{orderId}/details", "GET"),
    ("/ecomm/v2/payments/{orderId}/status", "GET"),
    ("/ecomm/v2/integration-test/payments/{orderId}/approve", "POST"),
]
#: What the gateway answers before a request reaches the API.
_GATEWAY = {401, 404, 405, 413}
#: For operations that only one of the orders fits: which.
_FITTING_ORDER = {
    "/ecomm/v2/payments/{orderId}/capture": "acme-reserved",
    "/ecomm/v2/payments/{orderId}/refund": "acme-captured",
}


@pytest.fixture
def running() -> Iterator[Running]:
    """A sandbox with some orders."""
    specification("ecom-v2.yaml")
    with running_sandbox() as server:
        yield server


def _make_known(body: Any, schema: Schema) -> None:
    """Write a sales unit and a number into a body that there are, and leave strange names out: then the rest counts."""
    if isinstance(body, dict):
        for name in body.keys() - schema.get("properties", {}).keys():
            del body[name]
        for name, inner in body.items():
            _make_known(inner, schema["properties"][name])
        merchant = body.get("merchantInfo")
        if isinstance(merchant, dict) and isinstance(merchant.get("merchantSerialNumber"), str):
            merchant["merchantSerialNumber"] = MSN
            urls = {name for name in merchant if name.endswith("Prefix") or name == "fallBack"}
            merchant |= dict.fromkeys(urls, "https://example.com/shop")
        if body.get("transactionText") == "":
            body["transactionText"] = "One pair of socks."
        if isinstance(body.get("amount"), int):
            # Small enough for some of them to be there.
            body["amount"] = min(body["amount"], 1_000)
        if "customerPhoneNumber" in body:
            body["customerPhoneNumber"] = "91234567"
            body.pop("token", None)


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=lambda value: value)
def test_whatever_comes_is_answered_as_documented(running: Running, path: str, method: str) -> None:
    """No answer of 5xx but the one for a sales unit given as a number, and no body of a shape that is not described."""
    spec = specification("ecom-v2.yaml")
    statuses: set[int] = set()

    @fuzzed(spec, path, method, ids=ORDERS)
    def check(case: Any, honest: bool, order_id: str | None) -> None:  # noqa: FBT001 - drawn
        if honest:
            case.headers.clear()
            _make_known(case.body, spec.request_body_schema(path, method) if method != "GET" else {})
            headers = {**running.headers, "X-Request-Id": uuid.uuid4().hex}
        else:
            headers = {}
        if honest and path in _FITTING_ORDER:
            # An order that it fits, and all that such a request must have, though the description does not ask for it:
            # by chance alone none might come through.
            order_id = _FITTING_ORDER[path]
            case.body.setdefault("merchantInfo", {"merchantSerialNumber": MSN})
            case.body.setdefault("transaction", {"transactionText": "One sock."})
        if order_id is not None and "orderId" in case.path_parameters:
            case.path_parameters["orderId"] = order_id
        answer = case.call(base_url=running.url, headers=headers)
        statuses.add(answer.status_code)
        if answer.status_code >= 500:
            assert answer.status_code == 500
            assert isinstance(case.body["merchantInfo"]["merchantSerialNumber"], int)
            assert [error["errorCode"] for error in answer.json()] == ["99"]
            return
        if answer.status_code in _GATEWAY and isinstance(answer.json(), dict) and "statusCode" in answer.json():
            # The gateway's own short shape, which the description leaves out: no key, or a path that is none.
            assert answer.json().keys() == {"statusCode", "message"}
            assert answer.json()["statusCode"] == answer.status_code
            return
        described = spec.response_schema(path, method.lower(), answer.status_code)
        if described:
            conform(answer.json(), described)
        else:
            assert answer.content == b""

    check()
    assert statuses - {400, 401}, "no request came through"
