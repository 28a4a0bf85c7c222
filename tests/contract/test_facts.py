"""Our data of the contract say what the vendor's description says, word for word where a test could tell."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract import facts
from tests.contract.schema import CONTRACT, Schema
from tests.contract.vendor import Specification, specification
from tests.support.rows import each_row

#: What no body is refused for: documentation, and a `format` that is a sentence or a kind of float.
_UNHEARD = {"default", "description", "example", "format", "title"}


@pytest.fixture(scope="module")
def vendor() -> Specification:
    """The vendor's description of eCom."""
    return specification("ecom-v2.yaml")


def _plain(schema: Schema) -> dict[str, Any]:
    plain = {name: value for name, value in schema.items() if name not in _UNHEARD}
    if plain.get("type") == "integer":
        # A pattern holds for text alone.
        plain.pop("pattern", None)
    if "required" in plain:
        plain["required"] = sorted(plain["required"])
    if "enum" in plain:
        plain["enum"] = sorted(plain["enum"])
    if "properties" in plain:
        plain["properties"] = {name: _plain(inner) for name, inner in plain["properties"].items()}
    if "items" in plain:
        plain["items"] = _plain(plain["items"])
    if "oneOf" in plain:
        plain["oneOf"] = [_plain(inner) for inner in plain["oneOf"]]
    return plain


def test_the_paths_are_the_vendors(vendor: Specification) -> None:
    """Each path and method of the description is in the data, and no other."""
    assert set(CONTRACT.paths()) == set(vendor.paths())


@pytest.mark.parametrize(("path", "method"), [pair for pair, body in facts.REQUESTS.items() if body is not None])
def test_the_requests_are_the_vendors(vendor: Specification, path: str, method: str) -> None:
    """Fields, types, limits and words of each request's body."""
    described = _plain(vendor.request_body_schema(path, method))
    assert _plain(CONTRACT.request_body_schema(path, method)) == described


@each_row(("path", "method"), facts.REQUESTS)
def test_the_headers_are_the_vendors(vendor: Specification, path: str, method: str) -> None:
    """Each header, whether it must be there, and how long it may be."""
    described = {name: (required, _plain(rule)) for name, (required, rule) in vendor.header_rules(path, method).items()}
    assert CONTRACT.header_rules(path, method) == described


@each_row("status", [200, 400])
@each_row(("path", "method"), facts.HEADERS)
def test_the_answers_are_the_vendors(vendor: Specification, path: str, method: str, status: int) -> None:
    """Each success, and each error that Vipps answers; how a merchant fails is the merchant's own affair."""
    if status == 200 or path.startswith("/ecomm/"):
        assert _plain(CONTRACT.response_schema(path, method, status)) == _plain(
            vendor.response_schema(path, method, status)
        )


@each_row("name", facts.FORMS)
def test_the_forms_are_the_vendors(vendor: Specification, name: str) -> None:
    """The forms under the vendor's own names."""
    assert _plain(CONTRACT.schema(name)) == _plain(vendor.schema(name))


def test_a_fact_that_is_wrong_is_found(vendor: Specification) -> None:
    """The comparison works: a limit, a word, a field or an asterisk more, and it is not the vendor's any more."""
    described = _plain(vendor.schema("TransactionInfoInitiate"))
    for name, change in {
        "orderId": {"maxLength": 49},
        "amount": {"minimum": 99},
        "scope": {"enum": ["name"]},
        "skipLandingPage": {"type": "string"},
    }.items():
        ours = _plain(CONTRACT.schema("TransactionInfoInitiate"))
        ours["properties"][name] = ours["properties"][name] | change
        assert ours != described
