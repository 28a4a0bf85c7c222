"""Holds JSON against a schema, as OpenAPI 3.0 has them.

Usage::

    conform(body, CONTRACT.request_body_schema("/ecomm/v2/payments", "post"))
    conform(answer, CONTRACT.response_schema("/ecomm/v2/payments/{orderId}/capture", "post", 200))
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from openapi_schema_validator import OAS30Validator, oas30_format_checker

from tests.contract import facts

__all__ = ["CONTRACT", "Contract", "Schema", "conform", "template_for", "undeclared_properties", "validate"]

Schema = Mapping[str, Any]


class Contract:
    """The contract of the eCom API, as `tests/contract/facts.py` has it."""

    def paths(self) -> tuple[tuple[str, str], ...]:
        """Return every operation as path template and method in small letters."""
        return tuple(facts.REQUESTS)

    def template_for(self, path: str) -> str:
        """Return the path template that a path of a request belongs to."""
        return template_for(path, (template for template, _ in facts.REQUESTS))

    def request_body_schema(self, path: str, method: str) -> Schema:
        """Return the schema of an operation's request body."""
        body = facts.REQUESTS[path, method.lower()]
        assert body is not None, f"{method} {path} has no body"
        return body

    def response_schema(self, path: str, method: str, status: int) -> Schema:
        """Return the schema of an operation's answer with this status; empty for an answer that has no body."""
        return facts.ANSWERS.get((path, method.lower()), {}) if status == 200 else facts.ERRORS

    def schema(self, name: str) -> Schema:
        """Return a form by the vendor's name of it."""
        return facts.FORMS[name]

    def header_rules(self, path: str, method: str) -> dict[str, tuple[bool, Schema]]:
        """Return the headers of an operation: name → (required, schema)."""
        rules = facts.HEADERS.get((path, method.lower()), {})
        return {name.rstrip("!"): (name.endswith("!"), rule) for name, rule in rules.items()}


#: What the vendor's description lacks, though the API sends it: the guide has it for payments with a scope.
UNDECLARED = frozenset({"/userDetails/bankIdVerified"})

#: The contract that tests go by, on every machine.
CONTRACT = Contract()


def template_for(path: str, templates: Iterable[str]) -> str:
    """Return the path template that a path belongs to: of those that match, the one with the fewest placeholders."""
    found = [template for template in templates if _matches(template, path)]
    assert found, f"there is no path for {path}"
    return min(found, key=lambda template: template.count("{"))


def validate(instance: Any, schema: Schema) -> None:
    """Hold JSON against a schema by the rules of OpenAPI 3.0; undeclared properties pass.

    Raises:
        AssertionError: one line for each breach, with the place it stands.
    """
    breaches = [
        f"{'/'.join(map(str, error.absolute_path)) or '(root)'}: {error.message}"
        for error in OAS30Validator(schema, format_checker=oas30_format_checker).iter_errors(instance)
    ]
    assert not breaches, "\n".join(breaches)


def undeclared_properties(instance: Any, schema: Schema) -> list[str]:
    """Return the places of all properties that the schema does not name: how a misspelt field shows.

    The vendor's schemas forbid no further properties, so `validate` alone lets a misspelt optional field pass. Where
    a schema offers alternatives, the one that declares most of the instance counts.
    """
    return sorted(_undeclared(instance, schema, ""))


def _undeclared(instance: Any, schema: Schema, place: str) -> Iterator[str]:
    alternatives = schema.get("oneOf") or schema.get("anyOf")
    if alternatives:
        yield from min((list(_undeclared(instance, one, place)) for one in alternatives), key=len)
    elif isinstance(instance, list):
        for number, item in enumerate(instance):
            yield from _undeclared(item, schema.get("items", {}), f"{place}/{number}")
    elif isinstance(instance, dict):
        declared = schema.get("properties", {})
        for name, value in instance.items():
            if name in declared:
                yield from _undeclared(value, declared[name], f"{place}/{name}")
            elif not schema.get("additionalProperties"):
                yield f"{place}/{name}"


def conform(instance: Any, schema: Schema) -> None:
    """Hold JSON against a schema, and refuse every property that neither schema nor `UNDECLARED` names.

    Raises:
        AssertionError: one line for each breach.
    """
    validate(instance, schema)
    strange = [place for place in undeclared_properties(instance, schema) if place not in UNDECLARED]
    assert not strange, f"not in the description: {', '.join(strange)}"


def _matches(template: str, path: str) -> bool:
    pattern = "".join(
        "[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^}]*\})", template)
    )
    return re.fullmatch(pattern, path) is not None
