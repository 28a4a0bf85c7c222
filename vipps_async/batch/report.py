"""Writes the report of a batch: a line for each row of the file, CSV or JSON Lines, whole or not at all."""

from __future__ import annotations

import csv
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import orjson

from vipps_async.batch.reading import FileFormat
from vipps_async.batch.results import RowOutcome
from vipps_async.batch.stored_rows import ReportRow
from vipps_async.core.batch import BatchApi, BatchOperation
from vipps_async.printable import escaped

__all__ = ["columns", "outcome_word", "write_report"]


def columns(api: BatchApi) -> tuple[str, ...]:
    """Return the columns of a report: the payment and its text under the headings of its API's files.

    `amount` is what was asked, `moved` what moved, both in minor units; `time` is Vipps' own, in UTC.
    """
    text = () if api.text_heading is None else (api.text_heading,)
    ours = ("reference", "outcome", "moved", "time", "idempotency_key", "reason")
    return ("line", "api", api.payment_heading, "amount", *text, *ours)


#: What makes a spreadsheet take a cell for a formula (OWASP, CSV injection); the wide forms are read like the others.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
#: Where a spreadsheet that separates by semicolons, as it does in Norway, would see a formula begin inside a cell.
_FORMULA_INSIDE = re.compile(r'(;|(?<=.)[\r\n])(?=["\s]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r])', re.DOTALL)


def outcome_word(outcome: RowOutcome | None, operation: BatchOperation, *, preview: bool = False) -> str:
    """Say how a row ended, such as ``"captured"`` or ``"captured before"``."""
    if outcome is RowOutcome.DONE:
        return f"would be {operation.done}" if preview else operation.done
    if outcome is RowOutcome.DONE_BEFORE:
        return f"{operation.done} before"
    if outcome is RowOutcome.OTHERWISE:
        return f"{operation.done} otherwise"
    if outcome is RowOutcome.REFUSED and preview:
        return "would be refused"
    word: str = (outcome or RowOutcome.NOT_BEGUN).value
    return word


def write_report(
    path: Path,
    rows: Iterable[ReportRow],
    api: BatchApi,
    operation: BatchOperation,
    kind: FileFormat,
    *,
    preview: bool = False,
) -> None:
    r"""Write a report in place of an older one; until it is complete, the older one stays. Blocking: for a thread.

    In CSV what a spreadsheet would take for a formula gets an apostrophe in front, behind a semicolon too, and what
    steers a terminal is written as an escape (``\u001b``); JSON Lines has everything as it is. Only its owner can read
    the file.

    Args:
        path: where to.
        rows: all rows of the file.
        api: the API that the batch goes over.
        operation: what the batch did.
        kind: how to write it.
        preview: whether the batch only said what it would do.

    Raises:
        OSError: it cannot be written; the older one is as it was.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123 - a descriptor
            _write(file, columns(api), (_facts(row, api, operation, preview=preview) for row in rows), kind)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)  # noqa: PTH105 - the name comes from mkstemp
    except BaseException:
        os.unlink(name)  # noqa: PTH108 - as above
        raise


def _write(file: TextIO, heading: tuple[str, ...], records: Iterable[dict[str, object]], kind: FileFormat) -> None:
    if kind is FileFormat.JSONL:
        file.writelines(orjson.dumps(record).decode() + "\n" for record in records)
        return
    writer = csv.writer(file)
    writer.writerow(heading)
    for record in records:
        writer.writerow([_cell(value) for value in record.values()])


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = _FORMULA_INSIDE.sub(r"\1'", escaped(value, keep="\t\r\n"))
    return f"'{text}" if text.startswith(_FORMULA) else text


def _facts(row: ReportRow, api: BatchApi, operation: BatchOperation, *, preview: bool) -> dict[str, object]:
    asked: object = row.amount
    if asked is None and operation is not BatchOperation.CANCEL and row.flaw is None:
        asked = "all"
    values = (
        row.line,
        api.name,
        row.payment,
        asked,
        *(() if api.text_heading is None else (row.text,)),
        row.reference,
        "invalid" if row.flaw is not None else outcome_word(row.outcome, operation, preview=preview),
        row.moved,
        row.time,
        row.idempotency_key,
        row.flaw or row.reason,
    )
    return dict(zip(columns(api), values, strict=True))
