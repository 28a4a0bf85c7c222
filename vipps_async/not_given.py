"""The sentinel for an argument that was left out, where None would have a meaning of its own."""

from __future__ import annotations

import enum
from typing import Final


class NotGiven(enum.Enum):
    """The type of `NOT_GIVEN`, for annotations such as ``amount: int | NotGiven = NOT_GIVEN``."""

    NOT_GIVEN = "not given"

    def __repr__(self) -> str:
        return "NOT_GIVEN"


#: Stands for "this argument was left out". A sum that came out as None or 0 by mistake is something else, and refused.
NOT_GIVEN: Final = NotGiven.NOT_GIVEN
