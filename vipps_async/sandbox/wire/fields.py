"""Parses a JSON body, and the building blocks of field checks."""

from __future__ import annotations

import abc
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson

from vipps_async.sandbox.ledger.reasons import SandboxError
from vipps_async.sandbox.ledger.settings import SALES_UNIT
from vipps_async.sandbox.wire.face import MSN_HEADER, Ignored, Json, Refusal

#: What the vendor's quick start has in its bodies, and JSON does not take.
_TRAILING_COMMA = re.compile(r",\s*[}\]]")

#: Returns what is wrong with a value, or None.
Check = Callable[[object], str | None]

#: Integers go as signed 32-bit numbers in the vendor's systems.
MAXIMUM = 2**31

#: The words that `scope` may hold.
SCOPES = frozenset({"name", "address", "email", "phoneNumber", "birthDate", "nin"})
#: What stands for a header's bytes that are no UTF-8.
SURROGATE = re.compile("[\ud800-\udfff]")

#: Characters of the name of a place that are worth keeping, however deep it is.
_LONGEST_PLACE = 200


class BrokenValueError(Exception):
    """A value at which some APIs break: they answer 500, not 400. The text says what it must be."""


class Violations(abc.ABC):
    """Collects what is wrong with a request, so that one answer names it all, in the words of an API.

    Args:
        operation: the request's operation, for the count.
        ignored: counts what Vipps takes and ignores; None: nobody counts.
        strict: whether that is refused.
    """

    def __init__(self, operation: str = "", ignored: Ignored | None = None, *, strict: bool = False) -> None:
        self.found: list[tuple[str, str]] = []
        self._operation = operation
        self._ignored = ignored
        self._strict = strict

    def add(self, name: str, message: str) -> None:
        """Note a violation of the named field."""
        self.found.append((name, message))

    def ignore(self, name: str, kind: str, message: str) -> None:
        """Note what Vipps ignores, ``"unknown"`` or ``"null"``: a violation where it is not to be taken."""
        if self._strict:
            self.add(name, message)
        elif self._ignored is not None:
            self._ignored.count(self._operation, name, kind)

    def settle(self) -> None:
        """Let the request pass if nothing is wrong with it.

        Raises:
            Refusal: 400, for each violation.
        """
        if self.found:
            raise self.refusal(self.found)

    @abc.abstractmethod
    def refusal(self, found: Sequence[tuple[str, str]], *, status: int = 400) -> Refusal:
        """Return the refusal of these places and what is wrong with each."""

    def unreadable(self, reason: str) -> Refusal:
        """Return the refusal of a body that does not parse."""
        return self.refusal([("body", f"is not JSON: {reason}")])

    def broken(self, name: str, message: str) -> None:
        """Note a value at which some APIs break, or a required name in another case."""
        self.add(name, message)


#: The vendor's limit on each of the four headers that name the calling system, in characters.
MAX_SYSTEM_HEADER = 30
SYSTEM_HEADERS = (
    "Vipps-System-Name",
    "Vipps-System-Version",
    "Vipps-System-Plugin-Name",
    "Vipps-System-Plugin-Version",
)
_HEADER_SAFE = re.compile(r"[!-~]([ -~]*[!-~])?")


def check_system_headers(headers: Mapping[str, str], violations: Violations) -> None:
    """Hold the headers that name the calling system against their length."""
    for name in SYSTEM_HEADERS:
        if len(headers.get(name, "")) > MAX_SYSTEM_HEADER:
            violations.add(name, f"must have at most {MAX_SYSTEM_HEADER} characters")


def read_sales_unit(headers: Mapping[str, str], violations: Violations) -> str:
    """Return the sales unit that the headers name; those that name the calling system are checked, too.

    Raises:
        Refusal: 400, for each header that is wrong.
    """
    check_system_headers(headers, violations)
    msn = headers.get(MSN_HEADER, "")
    if not SALES_UNIT.fullmatch(msn):
        violations.add(MSN_HEADER, "is required and must have 4 to 10 digits")
    violations.settle()
    return msn


def check_that(good: Callable[[Any], bool], message: str) -> Check:
    """Return the check that answers with a message whatever is not good."""
    return lambda value: None if good(value) else message


def is_integer(value: object) -> bool:
    """Whether a value of JSON is a whole number: a flag is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def text_of(least: int, most: int) -> Check:
    """Return the check for text of so many characters that is not all blanks."""
    return check_that(
        lambda value: isinstance(value, str) and least <= len(value) <= most and bool(value.strip()),
        f"must be text of {least} to {most} characters",
    )


def one_of(*words: str) -> Check:
    """Return the check for one of these words."""
    return check_that(lambda value: isinstance(value, str) and value in words, f"must be one of {', '.join(words)}")


boolean: Check = check_that(lambda value: isinstance(value, bool), "must be true or false")
string: Check = check_that(lambda value: isinstance(value, str), "must be text")
integer: Check = check_that(lambda value: is_integer(value) and abs(value) < MAXIMUM, "must be an integer")
#: Text, or a whole number that stands for it: so the vendor's Python example sends phone numbers.
text_or_number: Check = check_that(lambda value: isinstance(value, str) or is_integer(value), "must be text")


#: A token that can go back in a header.
auth_token: Check = check_that(
    lambda value: (
        isinstance(value, str) and len(value) <= 255 and (not value or _HEADER_SAFE.fullmatch(value) is not None)
    ),
    "must be at most 255 printable ASCII characters",
)


@dataclass(frozen=True, slots=True)
class Field:
    """What a field must be: a value that passes a check, an object, or a list of objects."""

    check: Check | None = None
    required: bool = False
    #: The fields of an object, or of each object in a list.
    fields: Mapping[str, Field] | None = None
    many: bool = False


def drop_nulls(body: dict[str, Any], violations: Violations) -> None:
    """Take the nulls out of a body's objects: to Vipps they are the same as left out."""
    # With a list of what is still to do: JSON is nested deeper than Python calls.
    waiting: list[tuple[str, Any]] = [("", body)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, list):
            waiting.extend((place, item) for item in value)
        elif isinstance(value, dict):
            for name in [name for name, inner in value.items() if inner is None]:
                del value[name]
                violations.ignore(f"{place}{name}", "null", "is null")
            waiting.extend((f"{place}{name}."[-_LONGEST_PLACE:], inner) for name, inner in value.items())


def read_fields(value: Mapping[str, Any], fields: Mapping[str, Field], place: str, violations: Violations) -> None:
    """Collect what is wrong with an object: missing names, wrong values, and unknown names, which are ignored.

    Raises:
        Refusal: the API breaks at it.
    """
    for name in value:
        if name not in fields:
            violations.ignore(f"{place}{name}", "unknown", "is not a known field")
    for name, rule in fields.items():
        if name in value:
            _read_field(value[name], rule, f"{place}{name}", violations)
        elif rule.required:
            other = next((given for given in value if given.lower() == name.lower()), None)
            if other is None:
                violations.add(f"{place}{name}", "is required")
            else:
                violations.broken(f"{place}{name}", f"is required, and {other} is not its name")


def _read_field(value: object, rule: Field, place: str, violations: Violations) -> None:
    if rule.check is not None:
        try:
            message = rule.check(value)
        except BrokenValueError as error:
            violations.broken(place, str(error))
        else:
            if message is not None:
                violations.add(place, message)
    elif rule.many:
        if not isinstance(value, list) or (not value and rule.required):
            violations.add(place, "must be a list that is not empty" if rule.required else "must be a list")
            return
        for number, item in enumerate(value):
            _read_field(item, Field(fields=rule.fields), f"{place}[{number}]", violations)
    elif isinstance(value, dict):
        read_fields(value, rule.fields or {}, f"{place}.", violations)
    else:
        violations.add(place, "must be an object")


# -- JSON -------------------------------------------------------------------------------------------------------------


def read_json(body: bytes, content_type: str, violations: Violations) -> dict[str, Any]:
    """Read a body as one JSON object.

    Args:
        body: the body.
        content_type: the header.
        violations: makes the refusals.

    Raises:
        Refusal: `Violations.unreadable`, for a body that does not parse (NaN included). 415, for another content type
            or none. 400, for no body, a name given twice, half a surrogate, or no object.
    """
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise violations.refusal([("Content-Type", "must be application/json")], status=415)
    if not body:
        raise violations.refusal([("body", "must be a JSON object, and is empty")])
    value = _parsed(body, violations)
    if not isinstance(value, dict):
        raise violations.refusal([("body", "must be a JSON object")])
    return value


def read_merchant_answer(answer: tuple[int, bytes] | None, what: str) -> dict[str, Any]:
    """Read what a merchant answered, as one JSON object.

    Args:
        answer: status and body; None: there was no answer.
        what: what was asked for, such as ``"shipping methods"``.

    Raises:
        SandboxError: it was not answered with one.
    """
    if answer is None:
        raise SandboxError(f"no {what}: the merchant gave no answer")
    status, body = answer
    if status != 200:
        raise SandboxError(f"no {what}: the merchant answered HTTP {status}")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise SandboxError(f"no {what}: the merchant's answer is no JSON") from error
    if not isinstance(value, dict):
        raise SandboxError(f"no {what}: the merchant's answer is no JSON object")
    return value


def _parsed(body: bytes, violations: Violations) -> Any:
    def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            raise violations.refusal([("body", "must be JSON with no name given twice")])
        return value

    def no_constant(name: str) -> NoReturn:
        raise violations.unreadable(f"{name} is no number of JSON")

    try:
        text = body.decode(json.detect_encoding(body))
    except UnicodeDecodeError as error:
        raise violations.unreadable(f"byte {error.start} is no text") from error
    try:
        value = json.loads(text, object_pairs_hook=unique_names, parse_constant=no_constant)
    except json.JSONDecodeError as error:
        raise violations.unreadable(_place(text, error)) from error
    except RecursionError as error:
        raise violations.unreadable("it is nested too deeply") from error
    except ValueError as error:
        # An integer of more digits than Python reads.
        raise violations.unreadable("a number in it is too long") from error
    if "\\u" in text:
        try:
            # Half of a surrogate pair is no text: nobody could be answered with it.
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise violations.refusal([("body", "must not have half of a surrogate pair")]) from error
    return value


def _place(text: str, error: json.JSONDecodeError) -> str:
    # Python's own words for a trailing comma, and the place it names, differ from version to version.
    for comma in _TRAILING_COMMA.finditer(text):
        if comma.start() <= error.pos <= comma.end():
            line = text.count("\n", 0, comma.start()) + 1
            return f"the comma in line {line} stands before {comma[0][-1]}, where JSON takes none"
    return f"line {error.lineno}, column {error.colno}: {error.msg}"


def check_body(body: Json, wanted: Mapping[str, Field], violations: Violations) -> None:
    """Hold a body against its fields, and drop its nulls.

    Raises:
        Refusal: 400, for each violation.
    """
    drop_nulls(body, violations)
    read_fields(body, wanted, "", violations)
    violations.settle()
