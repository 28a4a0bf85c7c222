"""Reads a batch file, CSV or JSON Lines, row by row: each is either well-formed or bad with a reason and a line."""

from __future__ import annotations

import codecs
import csv
import enum
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO, NoReturn

from attrs import field, frozen

from vipps_async.batch.amounts import SumsByUnit, read_amount, read_json_amount
from vipps_async.core.batch import BatchOperation, check_reference
from vipps_async.core.payment_api import PaymentApi, Unit
from vipps_async.errors import InvalidInputError, VippsError
from vipps_async.not_given import NOT_GIVEN, NotGiven

__all__ = ["BatchFileError", "FileFormat", "FileReader", "InvalidRow", "Layout", "ValidRow", "reference_heading"]

#: The longest line, in bytes, many times longer than an honest row's; and the most lines of one row, whose text may
#: be broken over some. Beyond them it is another kind of file, or a quote that was never closed.
_LONGEST_LINE, _MOST_LINES = 65_536, 100
#: How much of what cannot be read is kept to show it, in characters.
_SHOWN = 80

_AMOUNT = "amount"
#: Says of a row that another capture or refund of the same amount is meant.
_ANOTHER = "another"
_ANOTHER_WORDS: dict[object, bool] = {"yes": True, "no": False, "": False, True: True, False: False}
_OTHER_ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


class BatchFileError(VippsError, ValueError):
    """A batch file as a whole cannot be read; nothing was sent.

    Attributes:
        line: the line that it was found on; the first line is 1.
    """

    default_advice = "correct the file, then run the batch again"

    def __init__(self, message: str, *, line: int | None = None, advice: str | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}", advice=advice)
        self.line = line


class FileFormat(enum.Enum):
    """How a batch file is written."""

    CSV = "csv"
    JSONL = "jsonl"


def reference_heading(api: PaymentApi) -> str:
    """Return the heading of a row's own name: `reference`, unless the API calls the payment's id so."""
    return "row_reference" if api.payment_heading == "reference" else "reference"


@frozen(kw_only=True)
class Layout:
    """What is known of a batch file before it is read."""

    api: PaymentApi
    operation: BatchOperation
    #: None: JSON Lines if the file begins with ``{``, else CSV.
    format: FileFormat | None = None
    #: What a column `amount` is counted in; None: the heading has to say so, `amount_ore` for example.
    unit: Unit | None = None
    #: The text of every row, for a file that has none of its own.
    text: str | None = None
    #: What to say of a heading that this file cannot have, but one over another API or in another currency could.
    elsewhere: Mapping[str, str] = field(factory=dict)

    def fields(self) -> tuple[str, ...]:
        """Return the fields that a row may have."""
        is_cancel, text = self.operation is BatchOperation.CANCEL, self.api.text_heading
        money = () if is_cancel else (_AMOUNT, *self._amount_in)
        texts = () if text is None else (text,)
        return (
            self.api.payment_heading,
            *money,
            *texts,
            reference_heading(self.api),
            *(() if is_cancel else (_ANOTHER,)),
        )

    @property
    def _amount_in(self) -> dict[str, Unit]:
        """Columns of amounts that say what they are counted in."""
        return {f"{_AMOUNT}_{unit.name}": unit for unit in self.api.units}

    def amount_of(self, fields: Iterable[str]) -> tuple[str, Unit | None] | None:
        """Return the name of the field that has the amounts and what they are counted in; None: there is no such field.

        The unit is None where neither the heading nor the layout says it.
        """
        for name in fields:
            if name == _AMOUNT:
                return name, self.unit
            if name in self._amount_in:
                return name, self._amount_in[name]
        return None

    def flaw_of(self, fields: list[str]) -> str | None:
        """Say what is wrong with the fields that a file has."""
        known = ", ".join(self.fields())
        for name in fields:
            if name not in (*self.fields(), _AMOUNT, *self._amount_in):
                return f"{_shown(name)} is no column of a batch file; there are {known}{self.elsewhere.get(name, '')}"
            if fields.count(name) > 1:
                return f"the column {name} stands there {fields.count(name)} times"
        text = self.api.text_heading
        if self.text is not None and text is None:
            return f"{self.api.name} takes no text: give none for all rows"
        needed = [self.api.payment_heading, *([] if text is None or self.text is not None else [text])]
        if missing := [name for name in needed if name not in fields]:
            return f"there is no column {' and no column '.join(missing)}"
        if self.text is not None and text in fields:
            return f"the file has a column {text}: give no text for all rows beside it"
        return self._flaw_of_amounts([name for name in fields if name == _AMOUNT or name in self._amount_in])

    def _flaw_of_amounts(self, names: list[str]) -> str | None:
        if names and self.operation is BatchOperation.CANCEL:
            return "a cancel has no amount: leave that column out"
        if len(names) > 1:
            return f"the amounts stand in {' and in '.join(names)}: which ones are meant?"
        if names and self.unit is not None and self.unit != self._amount_in.get(names[0], self.unit):
            return f"the column {names[0]} is not counted in {self.unit.name}: give no other unit beside it"
        return None


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


class FileReader:
    """One pass over a batch file, in constant memory. Blocking: for a thread.

    Attributes:
        digest: the SHA-256 of all bytes read so far, in hexadecimal: after the last row, of the file.
        unit: what its amounts are counted in, once the first row is read; None: it has none.
    """

    def __init__(self, stream: BinaryIO, layout: Layout) -> None:
        """Prepare to read.

        Args:
            stream: the file from its beginning.
            layout: what is known of it.
        """
        self._stream = stream
        self._layout = layout
        self._hash = hashlib.sha256()
        self._line = 0
        self._row_began = 1
        self._flaw = ""
        self.unit: Unit | None = None
        self._sums: SumsByUnit | None = None

    @property
    def digest(self) -> str:
        """The SHA-256 of all bytes read so far."""
        return self._hash.hexdigest()

    def rows(self) -> Iterator[ValidRow | InvalidRow]:
        """Go through the rows in their order; may be called once.

        Raises:
            BatchFileError: the file as a whole cannot be read: its heading, its quotes, its encoding; or, after its
                last row, nothing says what its amounts are counted in.
            OSError: it cannot be read from the disk.
        """
        yield from self._rows()
        if self._sums is not None:
            raise BatchFileError(self._sums.question(), advice=self._sums.advice)

    def _rows(self) -> Iterator[ValidRow | InvalidRow]:
        first = self._next_line()
        if first is None:
            raise BatchFileError("the file is empty")
        kind = self._layout.format
        if kind is None:
            kind = FileFormat.JSONL if first.lstrip().startswith("{") else FileFormat.CSV
        return self._json_rows(first) if kind is FileFormat.JSONL else self._csv_rows(first)

    # --- lines -----------------------------------------------------------------------------------------------------

    def _next_line(self) -> str | None:
        raw = self._stream.readline(_LONGEST_LINE + 1)
        if not raw:
            return None
        self._hash.update(raw)
        self._line += 1
        if len(raw) > _LONGEST_LINE:
            raise BatchFileError(f"longer than {_LONGEST_LINE} bytes: this is no batch file", line=self._line)
        if self._line == 1:
            for mark, name in _OTHER_ENCODINGS.items():
                if raw.startswith(mark):
                    raise BatchFileError(f"the file is written in {name}", line=1, advice="save it as UTF-8")
            raw = raw.removeprefix(codecs.BOM_UTF8)
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            text = raw.decode(errors="replace")
            self._flaw = f"not UTF-8 (byte 0x{raw[error.start]:02x} in line {self._line}): save the file as UTF-8"
        if "\0" in text:
            self._flaw = f"a NUL character in line {self._line}"
        return text

    # --- CSV -------------------------------------------------------------------------------------------------------

    def _csv_lines(self, first: str) -> Iterator[str]:
        line: str | None = first
        while line is not None:
            if self._line - self._row_began >= _MOST_LINES:
                text = f"a row of more than {_MOST_LINES} lines: a quote is opened there and not closed"
                raise BatchFileError(text, line=self._row_began)
            yield line
            line = self._next_line()

    def _csv_rows(self, first: str) -> Iterator[ValidRow | InvalidRow]:
        if self._flaw:
            raise BatchFileError(self._flaw, line=1)
        separator = _separator(first)
        records = csv.reader(self._csv_lines(first), delimiter=separator, strict=True)
        heading: list[str] | None = None
        number = 0
        while (cells := self._next_record(records)) is not None:
            if not cells:
                # An empty line, as at the end of many files.
                pass
            elif heading is None:
                heading = cells
                if (flaw := self._layout.flaw_of(heading)) is not None:
                    raise BatchFileError(flaw, line=self._row_began)
            else:
                number += 1
                yield self._csv_row(number, heading, cells, separator)
            self._row_began = self._line + 1
            self._flaw = ""
        if heading is None:
            raise BatchFileError("the file is empty")

    def _next_record(self, records: Iterator[list[str]]) -> list[str] | None:
        try:
            return next(records, None)
        except csv.Error as error:
            raise BatchFileError(f"not CSV: {error}", line=self._row_began) from error

    def _csv_row(self, number: int, heading: list[str], cells: list[str], separator: str) -> ValidRow | InvalidRow:
        comma = separator == ";"
        record = dict(zip(heading, cells, strict=False))
        flaw = self._flaw
        if not flaw and len(cells) != len(heading):
            flaw = f"{len(cells)} cells where the heading has {len(heading)}"
            if len(cells) == len(heading) + 1 and not comma:
                flaw += " (a decimal comma, as in 100,50, is read only in a file separated by semicolons)"
        if not flaw:
            empty = [name for name in heading if not record[name] and name != _ANOTHER]
            flaw = f"{' and '.join(empty)} must not be empty" if empty else ""
        return self._row(
            number, record, flaw, lambda cell, unit: read_amount(str(cell), unit, self._layout.api, decimal_comma=comma)
        )

    # --- JSON Lines ------------------------------------------------------------------------------------------------

    def _json_rows(self, first: str) -> Iterator[ValidRow | InvalidRow]:
        fields: frozenset[str] | None = None
        number = 0
        line: str | None = first
        while line is not None:
            self._row_began = self._line
            if line.strip():
                number += 1
                record, flaw = _json_object(line)
                flaw = self._flaw or flaw
                if not flaw and fields is None:
                    flaw = self._layout.flaw_of(list(record)) or ""
                    fields = None if flaw else frozenset(record)
                elif not flaw and fields is not None and fields != record.keys():
                    # A field that is missing in one line alone is a mistake: no amount would mean all that is left.
                    flaw = f"its fields are not those of the rows before it: {', '.join(sorted(fields))}"
                yield self._row(number, record, flaw, self._json_amount)
            self._flaw = ""
            line = self._next_line()

    # --- both ------------------------------------------------------------------------------------------------------

    def _row(
        self, number: int, record: Mapping[str, object], flaw: str, read: Callable[[object, Unit], int | NotGiven]
    ) -> ValidRow | InvalidRow:
        api, heading = self._layout.api, self._layout.api.text_heading
        name = reference_heading(api)
        if not flaw:
            try:
                return ValidRow(
                    number=number,
                    line=self._row_began,
                    payment=api.check_payment(record[api.payment_heading]),
                    amount=self._amount(record, read),
                    text="" if heading is None else api.check_text(record.get(heading, self._layout.text)),
                    reference=check_reference(record[name]) if name in record else None,
                    another=_another(record.get(_ANOTHER, False)),
                )
            except InvalidInputError as error:
                flaw = error.message
        payment = record.get(api.payment_heading, "")
        shown = payment if isinstance(payment, str) else repr(payment)
        return InvalidRow(number=number, line=self._row_began, payment=_shown(shown), reason=_shown(flaw, 300))

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


def _another(value: object) -> bool:
    if isinstance(value, str | bool) and value in _ANOTHER_WORDS:
        return _ANOTHER_WORDS[value]
    raise InvalidInputError(_ANOTHER, "yes or no (in JSON Lines true or false)", value=value)


def _shown(text: str, longest: int = _SHOWN) -> str:
    # From the file to a terminal and a report: on one line, and not without end.
    line = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _separator(heading: str) -> str:
    if ";" in heading and "," in heading:
        raise BatchFileError("the heading has both commas and semicolons: which one separates?", line=1)
    return ";" if ";" in heading else ","


class _StrictnessError(ValueError):
    """JSON that is read by others and refused here."""


def _refuse_number(text: str) -> NoReturn:
    raise _StrictnessError(f"{text[:_SHOWN]} is no whole number: floats are refused")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _StrictnessError("a field stands there twice")
    return found


def _json_object(line: str) -> tuple[dict[str, object], str]:
    try:
        value = json.loads(line, parse_float=_refuse_number, parse_constant=_refuse_number, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        return {}, f"not JSON: {error.msg} (column {error.colno})"
    except RecursionError:
        return {}, "not JSON: nested too deeply"
    except ValueError as error:
        return {}, str(error)
    return (value, "") if isinstance(value, dict) else ({}, "not a JSON object")
