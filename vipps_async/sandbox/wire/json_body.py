"""Reads the body of a request as one JSON object, and says where one that does not parse is broken."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from vipps_async.sandbox.wire.refusals import Refusal, invalid_request, vipps_refusal

__all__ = ["read_json"]

#: What the vendor's quick start has in its bodies, and JSON does not take.
_TRAILING_COMMA = re.compile(r",\s*[}\]]")


def read_json(body: bytes, content_type: str) -> dict[str, Any]:
    """Read a body as one JSON object.

    Raises:
        Refusal: 500, for a body that does not parse (NaN included): Vipps validates after parsing, and so answers its
            internal error. 415, for another content type or none. 400, for no body, a name given twice, half a
            surrogate, or no object.
    """
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise invalid_request([("Content-Type", "must be application/json")], status=415)
    if not body:
        raise invalid_request([("body", "must be a JSON object, and is empty")])
    value = _parsed(body)
    if not isinstance(value, dict):
        raise invalid_request([("body", "must be a JSON object")])
    return value


def _parsed(body: bytes) -> Any:
    try:
        text = body.decode(json.detect_encoding(body))
    except UnicodeDecodeError as error:
        raise _not_json(f"byte {error.start} is no text") from error
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise _not_json(_place(text, error)) from error
    except RecursionError as error:
        raise _not_json("it is nested too deeply") from error
    except ValueError as error:
        # An integer of more digits than Python reads.
        raise _not_json("a number in it is too long") from error
    if "\\u" in text:
        try:
            # Half of a surrogate pair is no text: nobody could be answered with it.
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise invalid_request([("body", "must not have half of a surrogate pair")]) from error
    return value


def _place(text: str, error: json.JSONDecodeError) -> str:
    # Python's own words for a trailing comma, and the place it names, differ from version to version.
    for comma in _TRAILING_COMMA.finditer(text):
        if comma.start() <= error.pos <= comma.end():
            line = text.count("\n", 0, comma.start()) + 1
            return f"the comma in line {line} stands before {comma[0][-1]}, where JSON takes none"
    return f"line {error.lineno}, column {error.colno}: {error.msg}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise invalid_request([("body", "must be JSON with no name given twice")])
    return value


def _no_constant(name: str) -> NoReturn:
    raise _not_json(f"{name} is no number of JSON")


def _not_json(reason: str) -> Refusal:
    return vipps_refusal("VippsError", "99", f"the body is not JSON: {reason}")
