"""Opens and saves CSV as a spreadsheet does that is set up for Norway: what it takes for numbers, dates, formulas."""

from __future__ import annotations

import codecs
import csv
import io
import re
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

from attrs import frozen

__all__ = ["Changed", "Formula", "open_csv", "save_csv"]


@frozen
class Formula:
    """A cell that it would compute."""

    text: str


@frozen
class Changed:
    """A text that it would take for a date, a time, a percentage or a truth, and save as such."""

    text: str


Opened: TypeAlias = "str | Decimal | datetime | Formula | Changed"

_MONTHS = "jan|feb|mar|mars|apr|april|mai|jun|juni|jul|juli|aug|sep|sept|okt|nov|des|january|may|oct|dec"
_CHANGED = re.compile(
    r"[0-9]{1,4}[-./][0-9]{1,2}(?:[-./][0-9]{1,4})?"
    rf"|[0-9]{{1,2}}[-. /]*(?:{_MONTHS})\.?|(?:{_MONTHS})[-. /]*[0-9]{{1,4}}"
    r"|[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?|[0-9]+(?:,[0-9]+)? ?%|[0-9]+ [0-9]/[0-9]|sann|usann|true|false",
    re.IGNORECASE,
)

#: A number with a decimal comma, thousands apart or not. It keeps 15 digits.
_NUMBER = re.compile(r"[+-]?[0-9]+(?:,[0-9]+)?|[+-]?[0-9]{1,3}(?:[ \u00a0][0-9]{3})+(?:,[0-9]+)?|[0-9]+[eE][0-9]+")
#: With a point it is a date where there is such a day, and text else: a number in no case. The wide signs are read like
#: the others where Chinese or Japanese is typed.
_STARTS_FORMULA = "=+-@\t\r\uff1d\uff0b\uff0d\uff20"


def open_csv(content: bytes, separator: str = ";") -> list[list[Opened]]:
    """Return the cells of a file: without a byte order mark it is Windows-1252, and `separator` is the list separator.

    A first line ``sep=`` names another one. Lines end with CR and LF, or it is shown in one piece by older versions.
    """
    is_marked = content.startswith(codecs.BOM_UTF8)
    text = content.decode("utf-8-sig" if is_marked else "cp1252", errors="replace")
    first, _, rest = text.partition("\r\n")
    if first.startswith("sep="):
        separator, text = first[4:], rest
    assert text.endswith("\r\n")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return [[_opened(cell) for cell in row] for row in rows]


def save_csv(table: list[list[Opened]]) -> bytes:
    """Return what it saves of what it has opened: sums without zeros at their end, times as Norway writes them."""
    target = io.StringIO(newline="")
    csv.writer(target, delimiter=";").writerows([_saved(cell) for cell in row] for row in table)
    return target.getvalue().encode("utf-8-sig")


def _saved(cell: Opened) -> str:
    if isinstance(cell, Decimal):
        number = cell.normalize()
        text = f"{number:.5E}" if number.adjusted() >= 11 else f"{number:f}"
        return text.replace(".", ",")
    if isinstance(cell, datetime):
        return f"{cell:%d.%m.%Y %H:%M}"
    if isinstance(cell, str):
        return cell
    return "#NAVN?" if isinstance(cell, Formula) else f"01.01.{cell.text}"


def _opened(cell: str) -> Opened:
    if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", cell):
        return datetime.fromisoformat(cell)
    if _NUMBER.fullmatch(cell):
        plain = re.sub("[ \u00a0]", "", cell).replace(",", ".")
        number = Decimal(plain)
        return number if number.adjusted() < 15 else number.quantize(Decimal(1).scaleb(number.adjusted() - 14))
    if _CHANGED.fullmatch(cell):
        return Changed(cell)
    return Formula(cell) if cell[:1] and cell[0] in _STARTS_FORMULA else cell
