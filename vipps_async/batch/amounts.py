"""Reads the amounts of a batch file in the unit that is given; an ambiguous amount is refused."""

from __future__ import annotations

import re
from collections.abc import Callable

from attrs import Factory, define

from vipps_async.batch.tables import Amount
from vipps_async.core.payment_api import PaymentApi, Unit
from vipps_async.errors import InvalidInputError
from vipps_async.money import format_amount
from vipps_async.not_given import NOT_GIVEN, NotGiven

#: Takes all that is left.
ALL = "all"

# With fullmatch; digits by name, for \d takes those of every script. No sign, no exponent, no leading zero that could
# mean something else elsewhere, and no more digits than the largest amount has. Spaces, the fixed (U+00A0) and the
# narrow one (U+202F) among them, stand before each three digits or nowhere, and are all the same.
_WHOLE = r"[1-9][0-9]{0,2}(?:(?P<space>[ \u00a0\u202f])[0-9]{3}(?:(?P=space)[0-9]{3}){0,2})?|[1-9][0-9]{0,11}"
_AMOUNT = re.compile(rf"(?P<whole>0|{_WHOLE})(?:(?P<sign>[.,])(?P<decimals>[0-9]{{1,2}}))?")
#: Two different signs, the one before groups of three digits and the other before two decimals: `1.234,50` means one
#: sum, and so does `1,234.50`, whoever wrote them.
_GROUPED = re.compile(
    r"(?P<whole>[1-9][0-9]{0,2}(?:(?P<group>[.,])[0-9]{3})(?:(?P=group)[0-9]{3}){0,2})"
    r"(?!(?P=group))[.,](?P<decimals>[0-9]{2})"
)
#: Thousands in English or decimals in Norwegian, or the other way round.
_AMBIGUOUS = re.compile(r"[0-9]{1,3}(?:[.,][0-9]{3})+")
#: A number with a letter in it, and letters that people type, or a scanner reads, in place of a digit.
_MIXED = re.compile(r"(?=.*[0-9])[0-9 .,\u00a0\u202f]*(?P<letter>[A-Za-z])[0-9A-Za-z .,\u00a0\u202f]*")
_LOOKS_LIKE = {"O": "0", "o": "0", "l": "1", "I": "1", "i": "1", "S": "5", "B": "8", "Z": "2"}
#: What may stand before or behind an amount that is counted in a currency's main unit, whatever its case.
_CURRENCY_WORDS = {"NOK": ("kr", "kr.", "nok"), "DKK": ("kr", "kr.", "dkk"), "EUR": ("\u20ac", "eur")}
_BEFORE = re.compile(r"(?P<word>[A-Za-z]+\.?|\u20ac)[ \u00a0\u202f]?(?P<number>[0-9].*)")
_BEHIND = re.compile(r"(?P<number>.*[0-9])[ \u00a0\u202f]?(?P<word>[A-Za-z]+\.?|\u20ac)")


def read_amount(text: str, unit: Unit, api: PaymentApi, *, decimal_comma: bool) -> int | NotGiven:
    """Read the amount of a CSV cell, in minor units.

    Thousands may be kept apart by spaces (``1 234``), and by points or commas where another sign stands before decimals
    (``1.234,50``, ``1,234.50``); and an amount of kroner may have ``kr`` or ``NOK`` beside it.

    Args:
        text: the cell, exactly as it is.
        unit: what the file counts in.
        api: the API whose limits it must keep.
        decimal_comma: whether decimals may be written ``100,50``: in a file whose cells are not separated by commas,
            such as those of Norwegian spreadsheets.

    Raises:
        InvalidInputError: it is no amount that can be captured or refunded, or could mean more than one.
    """
    if text == ALL:
        return NOT_GIVEN
    number, found = text, _AMOUNT.fullmatch(text)
    if found is None:
        number, word = _without_currency(text)
        if word is not None and len(word) == 1 and word.isascii():
            raise InvalidInputError("amount", _letter_rule(word), value=text)
        if word is not None and (not unit.decimals or word.lower() not in _CURRENCY_WORDS[api.currency]):
            raise InvalidInputError("amount", f"in {unit.word}, as the file says, and not in {word!r}", value=text)
        found = _AMOUNT.fullmatch(number)
    if unit.decimals and (grouped := _GROUPED.fullmatch(number)) is not None:
        return _minor_units(re.sub("[.,]", "", grouped["whole"]), grouped["decimals"], text, unit, api)
    if found is None or (found["sign"] and not unit.decimals) or (found["sign"] == "," and not decimal_comma):
        raise InvalidInputError("amount", _rule(number, unit, api, decimal_comma=decimal_comma), value=text)
    whole = found["whole"] if found["space"] is None else found["whole"].replace(found["space"], "")
    return _minor_units(whole, found["decimals"] or "", text, unit, api)


def _minor_units(whole: str, decimals: str, text: str, unit: Unit, api: PaymentApi) -> int:
    return _checked(int(whole + decimals.ljust(unit.decimals, "0")), text, unit, api)


def _checked(amount: int, value: object, unit: Unit, api: PaymentApi) -> int:
    """Return an amount that the API takes; else say which ones it does, in what the file counts in."""
    if api.least <= amount <= api.largest:
        return amount
    least, largest = (Amount(each, unit).text() for each in (api.least, api.largest))
    raise InvalidInputError("amount", f"from {least} to {largest} {unit.word}", value=value)


def _without_currency(text: str) -> tuple[str, str | None]:
    for pattern in (_BEFORE, _BEHIND):
        if found := pattern.fullmatch(text):
            return found["number"], found["word"]
    return text, None


def _rule(number: str, unit: Unit, api: PaymentApi, *, decimal_comma: bool) -> str:
    if _AMBIGUOUS.fullmatch(number):
        return _both_readings(number, unit, decimal_comma=decimal_comma)
    if (mixed := _MIXED.fullmatch(number)) is not None:
        return _letter_rule(mixed["letter"])
    if not unit.decimals:
        return f"whole {unit.word}, digits only, or the word {ALL}{_others(unit, api)}"
    comma = ' or "100,50"' if decimal_comma else ' (a decimal comma is read in a file separated by ";" or tabs only)'
    return f'{unit.word} such as "100" or "100.50"{comma}, or the word {ALL}'


def _letter_rule(letter: str) -> str:
    digit = _LOOKS_LIKE.get(letter)
    return f"digits: it has the letter {letter!r}{f' (is it a {digit}?)' if digit else ''}"


def _both_readings(number: str, unit: Unit, *, decimal_comma: bool) -> str:
    """Say what an amount such as ``1.234`` may mean, and how each is written so that it means nothing else."""
    sign, whole = number[-4], re.sub("[.,]", "", number)
    readings = f'{whole} {unit.word} if {sign!r} stands before thousands (then write "{whole}")'
    # With several signs, as in 1.234.567, the last one stands before no decimals.
    if unit.decimals and len(number) == len(whole) + 1:
        mark = sign if decimal_comma or sign == "." else "."
        two = f"{number[:-4]}{mark}{number[-3:-1]}"
        readings += f', or {number} {unit.word} if it stands before decimals (two at most: write "{two}")'
    return f"one with a single meaning: it is {readings}"


def _others(unit: Unit, api: PaymentApi) -> str:
    others = [f"{each.word}: --unit {each.name}, or a column amount_{each.name}" for each in api.units if each != unit]
    return f" (if the file is in {', '.join(others)})" if others else ""


def read_json_amount(value: object, unit: Unit, api: PaymentApi) -> int | NotGiven:
    """Read the amount of a JSON line: a whole number; in a unit with decimals also a text like ``"100.50"``.

    Raises:
        InvalidInputError: it is no amount that can be captured or refunded; floats never are.
    """
    if value == ALL:
        return NOT_GIVEN
    if isinstance(value, int) and not isinstance(value, bool):
        return _checked(value * 10**unit.decimals, value, unit, api)
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
        """Return the sum in each unit, as text."""
        told = ", ".join(f"{self._told(unit)} if they are {unit.word}" for unit in self.api.units)
        return f"nothing says what the amounts are counted in: {told}"

    def _told(self, unit: Unit) -> str:
        bad = self.unreadable.get(unit.name, 0)
        total = format_amount(self.sums.get(unit.name, 0), self.api.currency)
        return f"{total} in all{f' ({bad:,} amounts would be invalid)' if bad else ''}"

    @property
    def advice(self) -> str:
        """How to name the unit, as text."""
        names = [unit.name for unit in self.api.units]
        options = " or ".join(f"--unit {unit.name} for {unit.word}" for unit in self.api.units)
        return f"say {options}, or call the column amount_{' or amount_'.join(names)}"
