"""Reads phone numbers as people and shops write them."""

from __future__ import annotations

import re

__all__ = ["corrected_number"]

#: What people put between digits.
_SEPARATORS = re.compile(r"[\s().\-/]+")
#: Eight digits, perhaps behind the country code.
_NUMBER = re.compile(r"(?:\+47|0047|47)?([0-9]{8})")


def corrected_number(given: str) -> str | None:
    """Return the eight digits of a Norwegian number however it is written; None for what is no such number."""
    found = _NUMBER.fullmatch(_SEPARATORS.sub("", given))
    return None if found is None else found[1]
