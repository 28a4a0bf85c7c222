"""The parts that body checks are put together from: what is wrong with one value, and with an object of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vipps_async.sandbox.problems import invalid_request, vipps_refusal

__all__ = [
    "ORDER_ID",
    "Breaches",
    "Field",
    "amount",
    "amount_or_all",
    "boolean",
    "cost",
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

ORDER_ID = re.compile(r"[a-zA-Z0-9-]{1,50}")
_MSN = re.compile(r"[0-9]{5,6}")
_HEADER_SAFE = re.compile(r"[!-~]([ -~]*[!-~])?")


class Breaches:
    """Collects what is wrong with a request, so that one answer names it all."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def add(self, name: str, message: str) -> None:
        """Note a breach of the named field."""
        self.found.append((name, message))

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
    """Check for an amount in øre."""
    good = isinstance(value, int) and not isinstance(value, bool) and MINIMUM_AMOUNT <= value < MAXIMUM
    return None if good else f"must be an integer of at least {MINIMUM_AMOUNT}"


def amount_or_all(value: object) -> str | None:
    """Check for an amount in øre, or for what means all that remains."""
    # Left out, null and 0 all mean "everything that remains": that is how the API behaves, whatever its description.
    return None if value is None or (_is_integer(value) and value == 0) else amount(value)


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
        Refusal: HTTP 500, for a number.
    """
    if _is_integer(value):
        # No slip of the sandbox: this is what the API answers to a number that is not a string.
        raise vipps_refusal("VippsError", "99")
    return None if isinstance(value, str) and _MSN.fullmatch(value) else "must be a string of 5 or 6 digits"


def valid_auth_token(value: object) -> str | None:
    """Check for a token that can go back in a header."""
    good = isinstance(value, str) and len(value) <= 255 and _HEADER_SAFE.fullmatch(value)
    return None if good else "must be 1 to 255 printable ASCII characters"


@dataclass(frozen=True, slots=True)
class Field:
    """What a field must be: a value that passes a check, an object, or a list of objects."""

    check: Check | None = None
    required: bool = False
    #: The fields of an object, or of each object in a list.
    fields: Mapping[str, Field] | None = None
    many: bool = False


def read_fields(value: Mapping[str, Any], fields: Mapping[str, Field], place: str, breaches: Breaches) -> None:
    """Collect what is wrong with an object: unknown names, missing ones, wrong values."""
    for name in value:
        if name not in fields:
            breaches.add(f"{place}{name}", "is not a known field")
    for name, rule in fields.items():
        if name not in value:
            if rule.required:
                breaches.add(f"{place}{name}", "is required")
            continue
        _read_field(value[name], rule, f"{place}{name}", breaches)


def _read_field(value: object, rule: Field, place: str, breaches: Breaches) -> None:
    if rule.check is not None:
        message = rule.check(value)
        if message is not None:
            breaches.add(place, message)
    elif rule.many:
        if not isinstance(value, list) or not value:
            breaches.add(place, "must be a list that is not empty")
            return
        for number, item in enumerate(value):
            _read_field(item, Field(fields=rule.fields), f"{place}[{number}]", breaches)
    elif isinstance(value, dict):
        read_fields(value, rule.fields or {}, f"{place}.", breaches)
    else:
        breaches.add(place, "must be an object")
