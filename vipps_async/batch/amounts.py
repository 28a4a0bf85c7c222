"""Reads the amounts of a batch file: whole øre, or kroner where that was said, and never anything in between."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable

from attrs import Factory, define

from vipps_async.errors import InvalidInputError
from vipps_async.money import LARGEST_AMOUNT, MINIMUM_AMOUNT, format_nok, nok
from vipps_async.not_given import NOT_GIVEN, NotGiven

__all__ = ["ALL", "BothSums", "Unit", "read_amount", "read_json_amount"]

#: Takes all that is left.
ALL = "all"

# With fullmatch; digits by name, for \d takes those of every script. No sign, no exponent, no spaces, no leading zero
# that could mean something else elsewhere, and no more digits than the largest amount has.
_OERE = re.compile(r"[1-9][0-9]{0,11}")
_KRONER = re.compile(r"(0|[1-9][0-9]{0,9})(\.[0-9]{1,2})?")
_KRONER_WITH_COMMA = re.compile(r"(0|[1-9][0-9]{0,9})([.,][0-9]{1,2})?")


class Unit(enum.Enum):
    """What the amounts of a file are counted in."""

    ORE = "ore"
    NOK = "nok"


def read_amount(text: str, unit: Unit, *, decimal_comma: bool) -> int | NotGiven:
    """Read the amount of a CSV cell.

    Args:
        text: the cell, exactly as it is.
        unit: what the file counts in.
        decimal_comma: whether kroner may be written ``100,50``: in a file whose cells are separated by semicolons,
            which is how Norwegian spreadsheets write them.

    Raises:
        InvalidInputError: it is no amount that can be captured or refunded.
    """
    if text == ALL:
        return NOT_GIVEN
    if unit is Unit.ORE:
        if not _OERE.fullmatch(text):
            rule = f"whole øre, digits only, or the word {ALL} (kroner need --unit nok)"
            raise InvalidInputError("amount", rule, value=text)
        return _in_range(int(text))
    if not (_KRONER_WITH_COMMA if decimal_comma else _KRONER).fullmatch(text):
        rule = f'kroner such as "100" or "100.50"{_comma(allowed=decimal_comma)}, or the word {ALL}'
        raise InvalidInputError("amount", rule, value=text)
    return _in_range(nok(text.replace(",", ".")))


def _in_range(oere: int) -> int:
    if not MINIMUM_AMOUNT <= oere <= LARGEST_AMOUNT:
        rule = f"from {MINIMUM_AMOUNT} to {LARGEST_AMOUNT} øre ({format_nok(MINIMUM_AMOUNT)} at least)"
        raise InvalidInputError("amount", rule, value=oere)
    return oere


def _comma(*, allowed: bool) -> str:
    return ' or "100,50"' if allowed else ' (a decimal comma is read only in a file separated by ";")'


def read_json_amount(value: object, unit: Unit) -> int | NotGiven:
    """Read the amount of a JSON line: a whole number of øre; with kroner a whole number, or a text like ``"100.50"``.

    Raises:
        InvalidInputError: it is no amount that can be captured or refunded; floats never are.
    """
    if value == ALL:
        return NOT_GIVEN
    if unit is Unit.NOK:
        if isinstance(value, str):
            return read_amount(value, unit, decimal_comma=False)
        if isinstance(value, int) and not isinstance(value, bool):
            return _in_range(nok(value))
        raise InvalidInputError("amount", f'whole kroner, a text like "100.50", or "{ALL}" (no float)', value=value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInputError("amount", f'a whole number of øre, or "{ALL}" (no float, no other text)', value=value)
    return _in_range(value)


@define
class BothSums:
    """What the amounts of a file add up to in either unit, while nothing says which one is meant."""

    #: Øre, by unit.
    sums: dict[Unit, int] = Factory(lambda: dict.fromkeys(Unit, 0))
    #: How many amounts are none in that unit.
    unreadable: dict[Unit, int] = Factory(lambda: dict.fromkeys(Unit, 0))

    def add(self, value: object, read: Callable[[object, Unit], int | NotGiven]) -> NotGiven:
        """Count one amount in; `read` reads it in a unit."""
        for unit in Unit:
            try:
                amount = read(value, unit)
            except InvalidInputError:
                self.unreadable[unit] += 1
            else:
                self.sums[unit] += 0 if isinstance(amount, NotGiven) else amount
        return NOT_GIVEN

    def question(self) -> str:
        """Say what would move in each unit."""
        return (
            f"nothing says what the amounts are counted in: {self._told(Unit.ORE)} if they are øre, "
            f"{self._told(Unit.NOK)} if they are kroner"
        )

    def _told(self, unit: Unit) -> str:
        bad = self.unreadable[unit]
        return f"{format_nok(self.sums[unit])} in all{f' ({bad:,} amounts would be invalid)' if bad else ''}"

    @property
    def advice(self) -> str:
        """How to say it."""
        return "say --unit ore or --unit nok, or call the column amount_ore or amount_nok"
