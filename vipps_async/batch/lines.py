"""Reads the lines of a batch file: decodes them, computes the file's digest, and refuses other kinds of files."""

from __future__ import annotations

import codecs
import hashlib
import json
from typing import Any, BinaryIO, NoReturn

from vipps_async.batch.layout import BatchFileError, Layout

#: The longest line, in bytes, many times longer than an honest row's. Beyond it it is another kind of file.
_LONGEST_LINE = 65_536
#: How much of a number that is none is shown, in characters.
_SHOWN = 80
_OTHER_ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
#: How files begin that are none of text: what they are, and what makes one of them.
_OTHER_KINDS = {
    b"PK\x03\x04": ("a workbook (.xlsx), or another archive", "save it as CSV (in Excel: CSV UTF-8)"),
    b"\xd0\xcf\x11\xe0": ("a workbook of an older Excel (.xls)", "save it as CSV (in Excel: CSV UTF-8)"),
    b"%PDF": ("a PDF document", "export it as CSV from the program that made it"),
}


class LineReader:
    """The lines of a batch file, in constant memory. Blocking: for a thread.

    Attributes:
        number: that of the line that was read last; the first line is 1.
        violation: what is wrong with a line; whoever reads takes it away when the row has ended.
        has_mark: whether the file begins with the mark of UTF-8.
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
        self.number = 0
        self.violation = ""
        self.has_mark = False

    @property
    def digest(self) -> str:
        """The SHA-256 of all bytes read so far, in hexadecimal."""
        return self._hash.hexdigest()

    def next(self) -> str | None:
        """Return the next line, decoded; None: there is none.

        Raises:
            BatchFileError: this is no batch file, or it is written in another encoding.
            OSError: it cannot be read from the disk.
        """
        raw = self._stream.readline(_LONGEST_LINE + 1)
        if not raw:
            return None
        self._hash.update(raw)
        self.number += 1
        if self.number == 1:
            _check_kind(raw)
        if len(raw) > _LONGEST_LINE:
            raise BatchFileError(f"longer than {_LONGEST_LINE} bytes: this is no batch file", line=self.number)
        if self.number == 1:
            for mark, name in _OTHER_ENCODINGS.items():
                if raw.startswith(mark):
                    raise BatchFileError(f"the file is written in {name}", line=1, advice="save it as UTF-8")
            raw = self._without_mark(raw)
        text = self._decoded(raw)
        if "\0" in text:
            self.violation = f"a NUL character in line {self.number}"
        return text

    def _without_mark(self, raw: bytes) -> bytes:
        if not raw.startswith(codecs.BOM_UTF8):
            return raw
        if self._layout.codec != "utf-8":
            text = f"the file begins with the mark of UTF-8, so it is not written in {self._layout.encoding_name}"
            raise BatchFileError(text, line=1, advice="leave --encoding out")
        self.has_mark = True
        return raw.removeprefix(codecs.BOM_UTF8)

    def _decoded(self, raw: bytes) -> str:
        codec, name = self._layout.codec, self._layout.encoding_name
        try:
            text = raw.decode(codec)
        except UnicodeDecodeError as error:
            how = ": save the file as UTF-8, or say --encoding windows-1252" if codec == "utf-8" else ""
            self.violation = f"not {name} (byte 0x{raw[error.start]:02x} in line {self.number}){how}"
            return raw.decode(codec, errors="replace")
        if codec != "utf-8" and not text.isascii() and _is_utf_8(raw):
            # No text of people looks so by chance, and a customer would read "BlÃ¥bÃ¦r".
            self.violation = f"line {self.number} is UTF-8 and not {name}: leave --encoding out"
        return text


def _check_kind(first: bytes) -> None:
    """Make sure that a file is one of text, by its first line.

    Raises:
        BatchFileError: it is not.
    """
    for begins, (kind, advice) in _OTHER_KINDS.items():
        if first.startswith(begins):
            raise BatchFileError(f"this is {kind}, and no file of text", advice=advice)


def _is_utf_8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


class _StrictnessError(ValueError):
    """JSON that is read by others and refused here."""


def _refuse_number(text: str) -> NoReturn:
    raise _StrictnessError(f"{text[:_SHOWN]} is no whole number: floats are refused")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _StrictnessError("a field stands there twice")
    return found


def json_object(line: str) -> tuple[dict[str, object], str]:
    """Read a line of JSON Lines; returns its fields, and what is wrong with it: empty if it is an object."""
    try:
        value = json.loads(line, parse_float=_refuse_number, parse_constant=_refuse_number, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        return {}, f"not JSON: {error.msg} (column {error.colno})"
    except RecursionError:
        return {}, "not JSON: nested too deeply"
    except ValueError as error:
        return {}, str(error)
    return (value, "") if isinstance(value, dict) else ({}, "not a JSON object")
