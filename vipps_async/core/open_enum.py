"""Enums that stay open: a value that Vipps adds later is kept as it came instead of failing an answer."""

from __future__ import annotations

import enum
from typing import Self


class OpenEnum(enum.StrEnum):
    """A text enum that makes a pseudo-member for a text it does not know.

    A pseudo-member keeps its text, equals only the same text, has `known` False, and is not listed as a member.
    """

    @property
    def known(self) -> bool:
        """Whether this version of the package knows the value."""
        return self._value_ in type(self)._value2member_map_

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        # Not remembered: what a server sends must not make the process grow.
        member = str.__new__(cls, value)
        member._name_ = value
        member._value_ = value
        return member

    def __hash__(self) -> int:
        # Enum hashes the name, but these compare as text: equal things must hash alike.
        return str.__hash__(self)
