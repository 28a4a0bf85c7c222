"""The parts that body checks are put together from: what is wrong with one value, and with an object of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vipps_async.sandbox.wire.ignored import Ignored
from vipps_async.sandbox.wire.refusals import Refusal, invalid_request, vipps_refusal

__all__ = [
    "ORDER_ID",
    "Breaches",
    "BrokenValueError",
    "Field",
    "amount",
    "amount_or_all",
    "boolean",
    "cost",
    "drop_nulls",
    "integer",
    "one_of",
    "read_fields",
    "string",
    "text_of",
    "text_or_number",
    "valid_auth_token",
    "valid_merchant_serial_number",
    "valid_order_id",
]

#: Returns what is wrong with a value, or None.
Check = Callable[[object], str | None]

#: The smallest amount in øre: 1 NOK.
MINIMUM_AMOUNT = 100
#: Integers go as signed 32-bit numbers in the vendor's systems.
MAXIMUM = 2**31

#: Characters of the name of a place that are worth keeping, however deep it is.
_LONGEST_PLACE = 200

ORDER_ID = re.compile(r"[a-zA-Z0-9-]{1,50}")
_MSN = re.compile(r"[0-9]{5,6}")
_HEADER_SAFE = re.compile(r"[!-~]([ -~]*[!-~])?")


class BrokenValueError(Exception):
    """A value at which Vipps breaks: it answers 500, not 400. The text says what it must be."""


class Breaches:
    """Collects what is wrong with a request, so that one answer names it all.

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
        """Note a breach of the named field."""
        self.found.append((name, message))

    def ignore(self, name: str, kind: str, message: str) -> None:
        """Note what Vipps ignores, ``"unknown"`` or ``"null"``: a breach where it is not to be taken."""
        if self._strict:
            self.add(name, message)
        elif self._ignored is not None:
            self._ignored.count(self._operation, name, kind)

    def settle(self) -> None:
        """Let the request pass if nothing is wrong with it.

        Raises:
            Refusal: 400 with one InvalidRequest for each breach.
        """
        if self.found:
            raise invalid_request(self.found)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def text_of(least: int, most: int) -> Check:
    """Return the check for text of so many characters that is not all blanks."""

    def check(value: object) -> str | None:
        good = isinstance(value, str) and least <= len(value) <= most and (bool(value.strip()) or not least)
        return None if good else f"must be text of {least} to {most} characters"

    return check


def boolean(value: object) -> str | None:
    """Check for true or false."""
    return None if isinstance(value, bool) else "must be true or false"


def amount(value: object) -> str | None:
    """Check for an amount in øre.

    Raises:
        BrokenValueError: it is no integer.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise BrokenValueError(f"must be an integer of at least {MINIMUM_AMOUNT}, in øre")
    return None if MINIMUM_AMOUNT <= value < MAXIMUM else f"must be an integer of at least {MINIMUM_AMOUNT}"


def amount_or_all(value: object) -> str | None:
    """Check for an amount in øre, or for 0, which means all that remains; raises as `amount`."""
    # Left out, null and 0 all mean "everything that remains": that is how the API behaves, whatever its description.
    return None if _is_integer(value) and value == 0 else amount(value)


def cost(value: object) -> str | None:
    """Check for a cost in NOK, which may have decimals."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MAXIMUM // 100
    return None if good else "must be a number of NOK, not negative"


def integer(value: object) -> str | None:
    """Check for a whole number."""
    good = isinstance(value, int) and not isinstance(value, bool) and abs(value) < MAXIMUM
    return None if good else "must be an integer"


def string(value: object) -> str | None:
    """Check for text."""
    return None if isinstance(value, str) else "must be text"


def text_or_number(value: object) -> str | None:
    """Check for text, or for a whole number that stands for it: so the vendor's Python example sends phone numbers."""
    return None if isinstance(value, str) or _is_integer(value) else "must be text"


def one_of(*words: str) -> Check:
    """Return the check for one of these words."""

    def check(value: object) -> str | None:
        return None if isinstance(value, str) and value in words else f"must be one of {', '.join(words)}"

    return check


def valid_order_id(value: object) -> str | None:
    """Check for an order id."""
    good = isinstance(value, str) and ORDER_ID.fullmatch(value)
    return None if good else "must be 1 to 50 letters, digits or hyphens"


def valid_merchant_serial_number(value: object) -> str | None:
    """Check for a sales unit's number, which must be a string.

    Raises:
        BrokenValueError: it is a number.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise BrokenValueError("must be a string of 5 or 6 digits, not a number")
    return None if isinstance(value, str) and _MSN.fullmatch(value) else "must be a string of 5 or 6 digits"


def valid_auth_token(value: object) -> str | None:
    """Check for a token that can go back in a header."""
    good = isinstance(value, str) and len(value) <= 255 and (not value or _HEADER_SAFE.fullmatch(value))
    return None if good else "must be at most 255 printable ASCII characters"


@dataclass(frozen=True, slots=True)
class Field:
    """What a field must be: a value that passes a check, an object, or a list of objects."""

    check: Check | None = None
    required: bool = False
    #: The fields of an object, or of each object in a list.
    fields: Mapping[str, Field] | None = None
    many: bool = False


def drop_nulls(body: dict[str, Any], breaches: Breaches) -> None:
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
                breaches.ignore(f"{place}{name}", "null", "is null")
            waiting.extend((f"{place}{name}."[-_LONGEST_PLACE:], inner) for name, inner in value.items())


def read_fields(value: Mapping[str, Any], fields: Mapping[str, Field], place: str, breaches: Breaches) -> None:
    """Collect what is wrong with an object: missing names, wrong values, and unknown names, which are ignored.

    Raises:
        Refusal: 500, for what Vipps breaks at.
    """
    for name in value:
        if name not in fields:
            breaches.ignore(f"{place}{name}", "unknown", "is not a known field")
    for name, rule in fields.items():
        if name in value:
            _read_field(value[name], rule, f"{place}{name}", breaches)
        elif rule.required:
            other = next((given for given in value if given.lower() == name.lower()), None)
            if other is not None:
                # No slip of the sandbox: `fallback` for `fallBack` is answered so.
                raise _broken(f"{place}{name}", f"is required, and {other} is not its name")
            breaches.add(f"{place}{name}", "is required")


def _broken(place: str, message: str) -> Refusal:
    return vipps_refusal("VippsError", "99", f"{place} {message}; Vipps answers that with 500")


def _read_field(value: object, rule: Field, place: str, breaches: Breaches) -> None:
    if rule.check is not None:
        try:
            message = rule.check(value)
        except BrokenValueError as error:
            raise _broken(place, str(error)) from error
        if message is not None:
            breaches.add(place, message)
    elif rule.many:
        if not isinstance(value, list) or (not value and rule.required):
            breaches.add(place, "must be a list that is not empty" if rule.required else "must be a list")
            return
        for number, item in enumerate(value):
            _read_field(item, Field(fields=rule.fields), f"{place}[{number}]", breaches)
    elif isinstance(value, dict):
        read_fields(value, rule.fields or {}, f"{place}.", breaches)
    else:
        breaches.add(place, "must be an object")
