"""Reads a batch file, CSV or JSON Lines, row by row: each is either well-formed or bad with a reason and a line."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO

from attrs import evolve, field, frozen

from vipps_async.batch.amounts import ALL, SumsByUnit, read_amount, read_json_amount
from vipps_async.batch.layout import (
    ANOTHER,
    BatchFileError,
    FileFormat,
    Layout,
    is_report,
    reference_heading,
    shown,
    without_own,
)
from vipps_async.batch.lines import LineReader, json_object
from vipps_async.batch.tables import FileStyle, unguarded
from vipps_async.core.batch import BatchOperation, check_reference
from vipps_async.core.payment_api import Unit
from vipps_async.errors import InvalidInputError
from vipps_async.not_given import NOT_GIVEN, NotGiven

#: The most lines of one row, whose text may be broken over some. Beyond them a quote was never closed.
_MOST_LINES = 100
#: How much of what is wrong with a row is shown, in characters.
_LONGEST_REASON = 1_000

_ANOTHER_WORDS: dict[object, bool] = {
    "yes": True,
    "ja": True,
    "no": False,
    "nei": False,
    "": False,
    True: True,
    False: False,
}
#: What may separate cells.
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
#: Excel's first line, which is none of the table; behind it Excel may have filled up the row with separators.
_SEP_LINE = re.compile(r'"?sep=(.)"?[,;\t]*\s*', re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


@frozen(kw_only=True)
class ValidRow:
    """A row that keeps all rules."""

    #: Which row of the file it is, the first being 1, and the line that it begins on.
    number: int
    line: int
    payment: str
    amount: int | NotGiven
    text: str
    reference: str | None
    #: Whether another operation of the same amount is meant, for a payment that had one.
    another: bool = False


@frozen(kw_only=True)
class InvalidRow:
    """A row that breaks a rule."""

    number: int
    line: int
    #: What stands where the payment's id should, if that much could be read; for people to find it by.
    payment: str
    #: What is wrong, on one line.
    reason: str
    #: The cells of the row by the names of their columns, as they stand in the file, for a report that can be corrected
    #: and sent again. Where nobody can tell which cell is which, or what it says, the whole row stands as the payment,
    #: which is none: sent again as it is, it stays invalid.
    cells: Mapping[str, str] = field(factory=dict)


class FileReader:
    """One pass over a batch file, in constant memory. Blocking: for a thread.

    Attributes:
        digest: the SHA-256 of all bytes read so far, in hexadecimal: after the last row, of the file.
        unit: what its amounts are counted in, once the first row is read; None: it has none.
        style: how it is written, once the last row is read.
        ignored: the headings of columns that were passed over, once the first row is read.
    """

    def __init__(self, stream: BinaryIO, layout: Layout) -> None:
        """Prepare to read.

        Args:
            stream: the file from its beginning.
            layout: what is known of it.
        """
        self._lines = LineReader(stream, layout)
        self._layout = layout
        self._row_began = 1
        self.unit: Unit | None = None
        self.style = FileStyle(encoding=layout.codec)
        self.ignored: tuple[str, ...] = ()
        self._takes_all = False
        self._sums: SumsByUnit | None = None
        self._decimal_signs: set[str] = set()

    @property
    def digest(self) -> str:
        """The SHA-256 of all bytes read so far."""
        return self._lines.digest

    def rows(self) -> Iterator[ValidRow | InvalidRow]:
        """Go through the rows in their order; may be called once.

        Raises:
            BatchFileError: the file as a whole cannot be read: its heading, its quotes, its encoding; or, after its
                last row, nothing says what its amounts are counted in.
            OSError: it cannot be read from the disk.
        """
        yield from self._rows()
        if self._lines.has_mark:
            self.style = evolve(self.style, encoding="utf-8-sig")
        if self._sums is not None:
            raise BatchFileError(self._sums.question(), advice=self._sums.advice)
        if len(self._decimal_signs) == 1:
            self.style = evolve(self.style, decimal_sign=self._decimal_signs.pop())

    def _rows(self) -> Iterator[ValidRow | InvalidRow]:
        first = self._lines.next()
        # Empty lines before the heading are none of the file.
        while first is not None and not first.strip("\r\n"):
            first = self._lines.next()
        if first is None:
            raise BatchFileError("the file is empty")
        self._row_began = self._lines.number
        kind = self._layout.format
        if kind is None:
            if first.lstrip().startswith("["):
                raise BatchFileError(
                    "this is a JSON array", advice="write JSON Lines: one object a line, without [ and ]"
                )
            kind = FileFormat.JSONL if first.lstrip().startswith("{") else FileFormat.CSV
        return self._json_rows(first) if kind is FileFormat.JSONL else self._csv_rows(first)

    # --- CSV -------------------------------------------------------------------------------------------------------

    def _csv_lines(self, first: str) -> Iterator[str]:
        line: str | None = first
        while line is not None:
            if self._lines.number - self._row_began >= _MOST_LINES:
                text = f"a row of more than {_MOST_LINES} lines: a quote is opened there and not closed"
                raise BatchFileError(text, line=self._row_began)
            yield line
            line = self._lines.next()

    def _csv_rows(self, first: str) -> Iterator[ValidRow | InvalidRow]:
        first, separator = self._begin_csv(first)
        records = csv.reader(self._csv_lines(first), delimiter=separator, strict=True)
        names: list[str | None] | None = None
        number = 0
        while (cells := self._next_record(records)) is not None:
            if not any(cells):
                # An empty line, as at the end of many files, or one of empty cells, as spreadsheets leave them.
                pass
            elif names is None:
                names = self._named(cells)
            else:
                number += 1
                yield self._csv_row(number, names, cells)
            self._row_began = self._lines.number + 1
            self._lines.violation = ""
        if names is None:
            raise BatchFileError("the file is empty")

    def _begin_csv(self, first: str) -> tuple[str, str]:
        """Return the line of the heading, and what separates its cells."""
        if self._lines.violation:
            raise BatchFileError(self._lines.violation, line=self._lines.number)
        found = _SEP_LINE.fullmatch(first)
        if found is None:
            separator = _separator(first, self._lines.number, self._layout)
        else:
            separator, heading = found[1], self._lines.next()
            if separator not in _SEPARATORS:
                known = ", ".join(_SEPARATORS.values())
                raise BatchFileError(f"cells separated by {separator!r}: there are {known}", line=self._row_began)
            if heading is None:
                raise BatchFileError("the file is empty")
            if self._lines.violation:
                raise BatchFileError(self._lines.violation, line=self._lines.number)
            first, self._row_began = heading, self._lines.number
        # A spreadsheet that separates by something else keeps the comma for its decimals.
        sign = "." if separator == "," else ","
        self.style = evolve(self.style, separator=separator, decimal_sign=sign, names_separator=found is not None)
        return first, separator

    def _named(self, headings: Sequence[str]) -> list[str | None]:
        """Return what each heading names; None: a column that is passed over."""
        if (violation := self._layout.violation_of(headings)) is not None:
            raise BatchFileError(violation, line=self._row_began)
        names = self._layout.names_of(headings)
        others = [heading for heading, name in zip(headings, names, strict=True) if name is None]
        self.ignored = tuple(map(shown, without_own(others) if is_report(headings) else others))
        # An empty cell there would be one that was forgotten.
        omitted = [name for name in (reference_heading(self._layout.api), ANOTHER) if name not in names]
        self.style = evolve(self.style, omitted=omitted)
        found = self._layout.amount_of([name for name in names if name is not None])
        self._takes_all = found is None and self._layout.operation is not BatchOperation.CANCEL
        self.unit = None if found is None else found[1]
        return names

    def _next_record(self, records: Iterator[list[str]]) -> list[str] | None:
        try:
            return next(records, None)
        except csv.Error as error:
            raise BatchFileError(f"not CSV: {error}", line=self._row_began) from error

    def _csv_row(self, number: int, names: list[str | None], cells: list[str]) -> ValidRow | InvalidRow:
        cells = [unguarded(cell, self.style.separator) for cell in cells]
        record = {name: cell for name, cell in zip(names, cells, strict=False) if name is not None}
        violation = self._lines.violation
        is_torn = bool(violation) or len(cells) != len(names)
        if not violation and len(cells) != len(names):
            violation = f"{len(cells)} cells where the heading has {len(names)}"
            if len(cells) == len(names) + 1 and self.style.separator == ",":
                violation += " (a decimal comma, as in 100,50, is read only in a file separated by semicolons or tabs)"
        if not violation:
            empty = [name for name, cell in record.items() if not cell and name != ANOTHER]
            violation = f"{' and '.join(empty)} must not be empty" if empty else ""
        whole = self.style.separator.join(cells) if is_torn else ""
        return self._row(number, record, violation, self._csv_amount, whole)

    def _csv_amount(self, cell: object, unit: Unit) -> int | NotGiven:
        text = str(cell)
        amount = read_amount(text, unit, self._layout.api, decimal_comma=self.style.separator != ",")
        # The last one: another one before it stands before thousands.
        if unit.decimals and (signs := re.findall("[.,](?=[0-9])", text)):
            self._decimal_signs.add(signs[-1])
        return amount

    # --- JSON Lines ------------------------------------------------------------------------------------------------

    def _json_rows(self, first: str) -> Iterator[ValidRow | InvalidRow]:
        fields: frozenset[str] | None = None
        number = 0
        line: str | None = first
        while line is not None:
            self._row_began = self._lines.number
            if line.strip():
                number += 1
                given, violation = json_object(line)
                names = self._layout.names_of(given)
                record = {name: value for name, value in zip(names, given.values(), strict=True) if name is not None}
                violation = self._lines.violation or violation
                if not violation and fields is None:
                    violation = self._layout.violation_of(list(given)) or ""
                    if not violation:
                        self._named(list(given))
                        fields = frozenset(record)
                elif not violation and fields is not None:
                    violation = self._violation_of_fields(fields, record, given)
                # Where it cannot be read the line stands for itself.
                whole = line.strip() if self._lines.violation or not given else ""
                yield self._row(number, record, violation, self._json_amount, whole)
            self._lines.violation = ""
            line = self._lines.next()

    def _violation_of_fields(
        self, fields: frozenset[str], record: Mapping[str, object], given: Mapping[str, object]
    ) -> str:
        if fields != record.keys():
            # A field that is missing in one line alone is a mistake: no amount would mean all that is left.
            return f"its fields are not those of the rows before it: {', '.join(sorted(fields))}"
        # Others may be passed over, unless one of them may be the amount.
        return (self._layout.violation_of(list(given)) or "") if len(given) != len(record) else ""

    # --- both ------------------------------------------------------------------------------------------------------

    def _row(
        self,
        number: int,
        record: Mapping[str, object],
        violation: str,
        read: Callable[[object, Unit], int | NotGiven],
        whole: str,
    ) -> ValidRow | InvalidRow:
        """Check a row; `whole` is all of it, where nobody can tell its cells apart or what they say."""
        api, heading = self._layout.api, self._layout.api.text_heading
        name = reference_heading(api)
        if not violation:
            try:
                return ValidRow(
                    number=number,
                    line=self._row_began,
                    payment=api.check_payment(record[api.payment_heading]),
                    amount=self._amount(record, read),
                    text="" if heading is None else api.check_text(record.get(heading, self._layout.text)),
                    reference=check_reference(record[name]) if name in record else None,
                    another=_another(record.get(ANOTHER, False)),
                )
            except InvalidInputError as error:
                violation = error.message
        text = _text(record.get(api.payment_heading, ""))
        cells = {"payment": whole} if whole else self._cells_of(record)
        return InvalidRow(
            number=number,
            line=self._row_began,
            payment=shown(text),
            reason=shown(violation, _LONGEST_REASON),
            cells=cells,
        )

    def _cells_of(self, record: Mapping[str, object]) -> dict[str, str]:
        """Return the cells of a row that is invalid, by the names that a report has for them in any API."""
        api, amount = self._layout.api, self._layout.amount_of(record)
        ours = {
            "payment": api.payment_heading,
            "amount": None if amount is None else amount[0],
            "text": api.text_heading,
            "reference": reference_heading(api),
            "another": ANOTHER,
        }
        # What the file says by having no such column at all.
        all_rows = {"amount": ALL} if self._takes_all else {}
        all_rows |= {} if self._layout.text is None else {"text": self._layout.text}
        return all_rows | {
            name: _text(record[heading]) for name, heading in ours.items() if heading and heading in record
        }

    def _amount(self, record: Mapping[str, object], read: Callable[[object, Unit], int | NotGiven]) -> int | NotGiven:
        found = self._layout.amount_of(record)
        if found is None:
            return NOT_GIVEN
        name, self.unit = found
        if self.unit is not None:
            return read(record[name], self.unit)
        # Read in both units to the end of the file, so that whoever has to choose sees what would move.
        self._sums = self._sums or SumsByUnit(self._layout.api)
        return self._sums.add(record[name], read)

    def _json_amount(self, value: object, unit: Unit) -> int | NotGiven:
        return read_json_amount(value, unit, self._layout.api)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # Half of a surrogate pair, which JSON can have, cannot be written into any file.
    return text.encode(errors="backslashreplace").decode()


def _another(value: object) -> bool:
    if isinstance(value, str | bool) and value in _ANOTHER_WORDS:
        return _ANOTHER_WORDS[value]
    raise InvalidInputError(ANOTHER, "yes or no, ja or nei (in JSON Lines also true or false)", value=value)


def _separator(heading: str, line: int, layout: Layout) -> str:
    """Find out what separates cells: what stands outside quotes or, of several, the one that makes a right heading."""
    outside = _QUOTED.sub("", heading)
    found = [each for each in _SEPARATORS if each in outside]
    if len(found) > 1:
        fits = [each for each in found if layout.violation_of(_cells(heading, each)) is None]
        if len(fits) != 1:
            kinds = " and ".join(_SEPARATORS[each] for each in found)
            advice = "quote headings that have one of them, or make sep=; (or what it is) the first line"
            raise BatchFileError(f"the heading has both {kinds}: which one separates?", line=line, advice=advice)
        return fits[0]
    return found[0] if found else ","


def _cells(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator))
    except csv.Error:
        return []
