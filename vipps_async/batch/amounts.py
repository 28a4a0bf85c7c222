"""Reads the amounts of a batch file: in the unit that was said, and never anything in between."""

from __future__ import annotations

import re
from collections.abc import Callable

from attrs import Factory, define

from vipps_async.core.payment_api import PaymentApi, Unit
from vipps_async.errors import InvalidInputError
from vipps_async.money import format_amount
from vipps_async.not_given import NOT_GIVEN, NotGiven

__all__ = ["ALL", "SumsByUnit", "read_amount", "read_json_amount"]

#: Takes all that is left.
ALL = "all"

# With fullmatch; digits by name, for \d takes those of every script. No sign, no exponent, no spaces, no leading zero
# that could mean something else elsewhere, and no more digits than the largest amount has.
_WHOLE = re.compile(r"[1-9][0-9]{0,11}")
_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,9})(?:\.([0-9]{1,2}))?")
_DECIMAL_WITH_COMMA = re.compile(r"(0|[1-9][0-9]{0,9})(?:[.,]([0-9]{1,2}))?")


def read_amount(text: str, unit: Unit, api: PaymentApi, *, decimal_comma: bool) -> int | NotGiven:
    """Read the amount of a CSV cell, in minor units.

    Args:
        text: the cell, exactly as it is.
        unit: what the file counts in.
        api: the API whose limits it must keep.
        decimal_comma: whether decimals may be written ``100,50``: in a file whose cells are separated by semicolons,
            which is how Norwegian spreadsheets write them.

    Raises:
        InvalidInputError: it is no amount that can be captured or refunded.
    """
    if text == ALL:
        return NOT_GIVEN
    if not unit.decimals:
        if not _WHOLE.fullmatch(text):
            raise InvalidInputError(
                "amount", f"whole {unit.word}, digits only, or the word {ALL}{_others(unit, api)}", value=text
            )
        return api.check_amount(int(text))
    if (found := (_DECIMAL_WITH_COMMA if decimal_comma else _DECIMAL).fullmatch(text)) is None:
        comma = ' or "100,50"' if decimal_comma else ' (a decimal comma is read only in a file separated by ";")'
        raise InvalidInputError(
            "amount", f'{unit.word} such as "100" or "100.50"{comma}, or the word {ALL}', value=text
        )
    whole, decimals = found.groups()
    return api.check_amount(int(whole + (decimals or "").ljust(unit.decimals, "0")))


def _others(unit: Unit, api: PaymentApi) -> str:
    others = [f"{each.word} need --unit {each.name}" for each in api.units if each != unit]
    return f" ({', '.join(others)})" if others else ""


def read_json_amount(value: object, unit: Unit, api: PaymentApi) -> int | NotGiven:
    """Read the amount of a JSON line: a whole number; in a unit with decimals also a text like ``"100.50"``.

    Raises:
        InvalidInputError: it is no amount that can be captured or refunded; floats never are.
    """
    if value == ALL:
        return NOT_GIVEN
    if isinstance(value, int) and not isinstance(value, bool):
        return api.check_amount(value * 10**unit.decimals)
    if unit.decimals:
        if isinstance(value, str):
            return read_amount(value, unit, api, decimal_comma=False)
        raise InvalidInputError(
            "amount", f'whole {unit.word}, a text like "100.50", or "{ALL}" (no float)', value=value
        )
    raise InvalidInputError(
        "amount", f'a whole number of {unit.word}, or "{ALL}" (no float, no other text)', value=value
    )


@define
class SumsByUnit:
    """What the amounts of a file add up to in each unit, while nothing says which one is meant."""

    api: PaymentApi
    #: Minor units, by the unit's name.
    sums: dict[str, int] = Factory(dict)
    #: How many amounts are none in that unit.
    unreadable: dict[str, int] = Factory(dict)

    def add(self, value: object, read: Callable[[object, Unit], int | NotGiven]) -> NotGiven:
        """Count one amount in; `read` reads it in a unit."""
        for unit in self.api.units:
            self.sums.setdefault(unit.name, 0)
            try:
                amount = read(value, unit)
            except InvalidInputError:
                self.unreadable[unit.name] = self.unreadable.get(unit.name, 0) + 1
            else:
                self.sums[unit.name] += 0 if isinstance(amount, NotGiven) else amount
        return NOT_GIVEN

    def question(self) -> str:
        """Say what would move in each unit."""
        told = ", ".join(f"{self._told(unit)} if they are {unit.word}" for unit in self.api.units)
        return f"nothing says what the amounts are counted in: {told}"

    def _told(self, unit: Unit) -> str:
        bad = self.unreadable.get(unit.name, 0)
        total = format_amount(self.sums.get(unit.name, 0), self.api.currency)
        return f"{total} in all{f' ({bad:,} amounts would be invalid)' if bad else ''}"

    @property
    def advice(self) -> str:
        """How to say it."""
        names = [unit.name for unit in self.api.units]
        options, columns = (f" or {before}".join(names) for before in ("--unit ", "amount_"))
        return f"say --unit {options}, or call the column amount_{columns}"
