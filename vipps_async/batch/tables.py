"""Writes tables for people and programs, as CSV, JSON Lines or an Excel workbook: whole or not at all."""

from __future__ import annotations

import csv
import enum
import importlib.util
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import orjson
from attrs import field, frozen

from vipps_async.core.payment_api import Unit
from vipps_async.errors import ConfigurationError
from vipps_async.extras import text_for_missing
from vipps_async.printable import escaped

#: The most rows of a sheet below its heading (Excel specifications and limits), and the longest text of a cell.
MOST_SHEET_ROWS, _LONGEST_CELL = 1_048_575, 32_767
#: What makes a spreadsheet take a cell for a formula (OWASP, CSV injection); the wide forms are read like the others.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_SEPARATORS = ",;\t"
#: Where another line or, to a spreadsheet with another separator, another cell would begin with a formula, and the same
#: with the apostrophe that a report has there.
_FORMULA_AHEAD = r'(?=["\s]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r])'
_CELL_BEGINS = {own: rf"([{_SEPARATORS.replace(own, '')}]|(?<=.)[\r\n])" for own in _SEPARATORS}
_FORMULA_INSIDE = {own: re.compile(begins + _FORMULA_AHEAD, re.DOTALL) for own, begins in _CELL_BEGINS.items()}
_GUARD_AHEAD = _FORMULA_AHEAD.replace("\\s", "\\s'")
_GUARD_INSIDE = {own: re.compile(f"{begins}'{_GUARD_AHEAD}", re.DOTALL) for own, begins in _CELL_BEGINS.items()}
_MONTH = (
    "(?:jan(?:uary?)?|feb(?:ruary?)?|mar(?:s|ch)?|apr(?:il)?|mai|may|jun[ie]?|jul[iy]?|aug(?:ust)?"
    "|sep(?:t(?:ember)?)?|o[kc]t(?:ober)?|nov(?:ember)?|de[sc](?:ember)?)"
)
#: Texts that a spreadsheet would change, and would save changed: digits that it rounds to 15, shows as 1,2E+11, strips
#: of their zeros or takes for a power of ten; what it takes for a date (12-1, mai 26), a time, a percentage,
#: a number with decimals or thousands; and its words for true and false.
_CHANGED = re.compile(
    r"0[0-9]+|[0-9]{12,}|[0-9]+[eE][+-]?[0-9]+|(?=.*[^0-9])[0-9][0-9\s.,:/%-]*|u?sann|true|false"
    rf"|(?=.*[0-9])(?:[0-9]{{1,2}}\.?[-/.\s]?)?{_MONTH}\.?(?:[-/.\s]?[0-9]{{1,4}})?",
    re.IGNORECASE,
)
#: How a time is written in CSV: spreadsheets of all languages read it as one, and it sorts as text, too.
_TIME = "%Y-%m-%d %H:%M:%S"


class ReportFormat(enum.Enum):
    """How a table is written."""

    CSV = "csv"
    JSONL = "jsonl"
    XLSX = "xlsx"


@frozen(kw_only=True)
class FileStyle:
    """How a CSV file is written, so that a report can be written like the file that it is about."""

    separator: str = ","
    #: A codec of Python's; ``utf-8-sig`` is UTF-8 with a byte order mark.
    encoding: str = "utf-8"
    #: What stands before decimals.
    decimal_sign: str = "."
    #: Whether the first line says which separator it is, as Excel writes and reads it.
    names_separator: bool = False
    #: Columns that a report of it has not either.
    omitted: tuple[str, ...] = field(default=(), converter=tuple[str, ...])

    @property
    def is_spreadsheet(self) -> bool:
        """Whether a spreadsheet wrote such a file: no program separates by semicolons or begins with a mark."""
        return self.separator != "," or self.encoding != "utf-8" or self.names_separator


@frozen
class Amount:
    """Money in a table: a number, below 0 too. In JSON Lines it is text if it has decimals: floats cannot hold them."""

    minor_units: int
    #: What it is counted in.
    unit: Unit

    def text(self, sign: str = ".") -> str:
        """Write it with this sign before its decimals."""
        if not self.unit.decimals:
            return str(self.minor_units)
        whole, rest = divmod(abs(self.minor_units), 10**self.unit.decimals)
        return f"{'-' if self.minor_units < 0 else ''}{whole}{sign}{rest:0{self.unit.decimals}d}"


#: What a table has: texts, which may come from outside, whole numbers, sums, times (aware, in the zone in which they
#: are to be shown), and nothing.
Cell: TypeAlias = "str | int | Amount | datetime | None"


def check_writable(kind: ReportFormat) -> None:
    """Make sure that a table can be written so, before anything else is done.

    Raises:
        ConfigurationError: the library that it takes is not installed.
    """
    if kind is ReportFormat.XLSX and importlib.util.find_spec("xlsxwriter") is None:
        raise ConfigurationError(text_for_missing("an .xlsx report", "xlsx"), advice="or take --report-format csv")


def write_table(
    path: Path, heading: Sequence[str], rows: Iterable[Sequence[Cell]], kind: ReportFormat, style: FileStyle
) -> None:
    r"""Write a table in place of an older one; until it is complete, the older one stays. Blocking: for a thread.

    In CSV a text that a spreadsheet would take for a formula gets an apostrophe in front, behind another spreadsheet's
    separator too; so does, in a file as spreadsheets write them, a text that they would change, such as ``0007`` or
    ``12-1``; `unguarded` takes them away. What steers a terminal is written as an escape (``\u001b``). Times are to the
    second, without their zone, which the heading says. In a workbook every text is a cell of text, and every time one
    of time. JSON Lines has everything as it is, and times with their offset. Only its owner can read the file.

    Args:
        path: where to.
        heading: the names of the columns.
        rows: as many cells each.
        kind: how to write it.
        style: how CSV is written; a character that its encoding lacks is written as an escape.

    Raises:
        OSError: it cannot be written; the older one is as it was.
        ConfigurationError: the library for workbooks is not installed, or a sheet is too short.
    """
    check_writable(kind)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "r+b") as file:
            if kind is ReportFormat.CSV:
                _write_csv(name, heading, rows, style)
            elif kind is ReportFormat.JSONL:
                file.writelines(_json(heading, row) for row in rows)
            else:
                _write_workbook(name, heading, rows)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)  # noqa: PTH105 - the name comes from mkstemp
    except BaseException:
        os.unlink(name)  # noqa: PTH108 - as above
        raise


# --- JSON Lines -------------------------------------------------------------------------------------------------------


def _json(heading: Sequence[str], row: Sequence[Cell]) -> bytes:
    return orjson.dumps(dict(zip(heading, map(_json_value, row), strict=True)), option=orjson.OPT_APPEND_NEWLINE)


def _json_value(cell: Cell) -> str | int | None:
    if isinstance(cell, datetime):
        return cell.isoformat(timespec="milliseconds")
    if isinstance(cell, Amount):
        return cell.text() if cell.unit.decimals else cell.minor_units
    return cell


# --- CSV --------------------------------------------------------------------------------------------------------------


def _write_csv(name: str, heading: Sequence[str], rows: Iterable[Sequence[Cell]], style: FileStyle) -> None:
    # With the line breaks of CSV (RFC 4180), and a \\u escape for what Windows-1252 lacks.
    with open(name, "w", encoding=style.encoding, errors="backslashreplace", newline="") as file:  # noqa: PTH123
        if style.names_separator:
            file.write(f"sep={style.separator}\r\n")
        writer = csv.writer(file, delimiter=style.separator)
        writer.writerow(heading)
        writer.writerows([_csv_cell(cell, style) for cell in row] for row in rows)


def _csv_cell(cell: Cell, style: FileStyle) -> str | int | None:
    if isinstance(cell, Amount):
        return cell.text(style.decimal_sign)
    if isinstance(cell, datetime):
        return f"{cell:{_TIME}}"
    if not isinstance(cell, str):
        return cell
    text = _FORMULA_INSIDE[style.separator].sub(r"\1'", escaped(cell, keep="\t\r\n"))
    is_changed = style.is_spreadsheet and _CHANGED.fullmatch(text)
    return f"'{text}" if is_changed or text.startswith(_FORMULA) else text


def unguarded(text: str, separator: str) -> str:
    """Return a cell of CSV without the apostrophes that a report has in front of what a spreadsheet would change.

    So that a report that is corrected and sent again has the same references: ``'0007`` would be another one, and its
    capture a second one.
    """
    if "'" not in text:
        # Nearly every one.
        return text
    text = _GUARD_INSIDE[separator].sub(r"\1", text)
    rest = text[1:]
    is_guarded = text.startswith("'") and (rest.startswith(_FORMULA) or _CHANGED.fullmatch(rest))
    return rest if is_guarded else text


# --- workbooks --------------------------------------------------------------------------------------------------------


def _write_workbook(name: str, heading: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    import xlsxwriter  # noqa: PLC0415 - an extra
    from xlsxwriter.exceptions import FileCreateError  # noqa: PLC0415 - as above

    try:
        # Row by row to the disk: memory stays the same for any number of rows.
        with xlsxwriter.Workbook(name, {"constant_memory": True}) as book:
            _fill(book, heading, rows)
    except FileCreateError as error:
        raise OSError(str(error)) from error


def _fill(book: Any, heading: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    sheet = book.add_worksheet("Report")
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, len(heading) - 1, 18)
    bold, money = book.add_format({"bold": True}), book.add_format({"num_format": "0.00"})
    time = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    for column, text in enumerate(heading):
        sheet.write_string(0, column, text, bold)
    for number, row in enumerate(rows, 1):
        if number > MOST_SHEET_ROWS:
            raise ConfigurationError(
                f"a sheet of an .xlsx report has {MOST_SHEET_ROWS:,} rows at most",
                advice="take --report-format csv or jsonl",
            )
        for column, cell in enumerate(row):
            if isinstance(cell, str):
                # Never taken for a formula, a link or a number, whatever it begins with.
                sheet.write_string(number, column, escaped(cell, keep="\t\r\n")[:_LONGEST_CELL])
            elif isinstance(cell, Amount):
                decimals = cell.unit.decimals
                sheet.write_number(number, column, cell.minor_units / 10**decimals, money if decimals else None)
            elif isinstance(cell, datetime):
                sheet.write_datetime(number, column, cell.replace(tzinfo=None), time)
            elif cell is not None:
                sheet.write_number(number, column, cell)
