"""A batch's rows as SQLite and PostgreSQL hold them, and the report that is written of them: whole or not at all."""

from __future__ import annotations

import csv
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString, TextIO

import orjson
from attrs import frozen

from vipps_async.batch.reading import FileFormat, InvalidRow, ValidRow, reference_heading
from vipps_async.batch.results import RowOutcome, RowResult
from vipps_async.core.batch import BatchOperation, BatchRow, Origin
from vipps_async.core.payment_api import PaymentApi
from vipps_async.not_given import NOT_GIVEN, NotGiven
from vipps_async.printable import escaped

__all__ = [
    "ASKED_COLUMNS",
    "FINAL",
    "HELD_ROWS",
    "REFUSALS",
    "REPORT",
    "TOTALS",
    "UNFINISHED",
    "HeldRow",
    "ReportRow",
    "Totals",
    "asked_values",
    "batch_row",
    "columns",
    "held_rows",
    "outcome_word",
    "report_row",
    "result_values",
    "totals_of",
    "utc_text",
    "write_report",
]

#: What makes a spreadsheet take a cell for a formula (OWASP, CSV injection); the wide forms are read like the others.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
#: Where a spreadsheet that separates by semicolons, as it does in Norway, would see a formula begin inside a cell.
_FORMULA_INSIDE = re.compile(r'(;|(?<=.)[\r\n])(?=["\s]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r])', re.DOTALL)
#: Outcomes after which a row is not tried again.
FINAL = [outcome.value for outcome in RowOutcome if outcome.is_final]

# ``{rows}`` is the table's name and whatever else says which batch is meant.

#: What a file says of a row.
ASKED_COLUMNS: LiteralString = "number, line, payment, amount, text, reference, another, flaw"
#: Rows that are to be carried out.
UNFINISHED: LiteralString = (
    "SELECT number, line, payment, amount, text, reference, another FROM {rows} AND flaw IS NULL AND "
)
HELD_ROWS: LiteralString = (
    "SELECT line, payment, amount, reason, count(*) OVER () FROM {rows} AND outcome = 'held' ORDER BY number LIMIT 20"
)
TOTALS: LiteralString = (
    "SELECT flaw IS NOT NULL, coalesce(outcome, 'not begun'), count(*), coalesce(sum(moved), 0) "
    "FROM {rows} GROUP BY 1, 2"
)
REFUSALS: LiteralString = (
    "SELECT coalesce(code, ''), count(*) FROM {rows} AND outcome = 'refused' GROUP BY 1 ORDER BY 2 DESC, 1"
)
REPORT: LiteralString = (
    "SELECT number, line, payment, amount, text, reference, another, flaw, outcome, moved, time, key, reason "
    "FROM {rows}"
)

#: A row that is held: its line, its payment, its amount in minor units, and what it meets.
HeldRow = tuple[int, str, int, str]


@frozen(kw_only=True)
class ReportRow:
    """One row of the file and what became of it."""

    line: int
    payment: str
    #: Minor units as asked; None: all that was left, or no amount.
    amount: int | None
    text: str
    reference: str | None
    #: Whether another operation of the same amount is meant.
    another: bool = False
    #: What is wrong with the row itself; then it was not sent.
    flaw: str | None
    #: None: it was not begun.
    outcome: RowOutcome | None
    #: Minor units that moved.
    moved: int | None
    time: str | None
    idempotency_key: str | None
    reason: str


@frozen(kw_only=True)
class Totals:
    """The sums of a batch."""

    rows: int
    bad: int
    #: How many rows ended each way; those that never came up count as NOT_BEGUN.
    outcomes: dict[RowOutcome, int]
    #: Minor units that moved, by outcome.
    moved: dict[RowOutcome, int]
    #: How many rows were refused, by Vipps' code or, where there is none, the name of the error.
    refusals: dict[str, int]


def asked_values(row: ValidRow | InvalidRow) -> tuple[object, ...]:
    """Write a row of a file; the order is that of `ASKED_COLUMNS`."""
    if isinstance(row, InvalidRow):
        return (row.number, row.line, row.payment, None, "", None, False, row.reason)
    amount = None if isinstance(row.amount, NotGiven) else row.amount
    return (row.number, row.line, row.payment, amount, row.text, row.reference, row.another, None)


def batch_row(digest: str, values: Sequence[Any]) -> BatchRow:
    """Read a row that is to be carried out, of the file with this digest.

    Raises:
        InvalidInputError: it was put there by somebody else, or by a version with other rules.
    """
    number, line, payment, amount, text, reference, *_ = values
    return BatchRow(
        payment=payment,
        text=text,
        amount=NOT_GIVEN if amount is None else amount,
        reference=reference,
        origin=Origin(digest=digest, number=number, line=line),
    )


def result_values(result: RowResult) -> tuple[object, ...]:
    """Write what became of a row: its number, outcome, what moved, time, key, code, reason."""
    assert result.row.origin is not None  # noqa: S101 - `batch_row` has given it one
    return (
        result.row.origin.number,
        result.outcome.value,
        result.amount,
        result.time,
        result.idempotency_key,
        result.code or None,
        result.reason or None,
    )


def report_row(values: Sequence[Any]) -> ReportRow:
    """Read a row with what became of it; the order is that of `REPORT`."""
    _, line, payment, amount, text, reference, another, flaw, outcome, moved, time, key, reason = values
    return ReportRow(
        line=line,
        payment=payment,
        amount=amount,
        text=text,
        reference=reference,
        another=bool(another),
        flaw=flaw,
        outcome=None if outcome is None else RowOutcome(outcome),
        moved=moved,
        time=utc_text(time) if isinstance(time, datetime) else time,
        idempotency_key=key,
        reason=reason or "",
    )


def held_rows(found: Sequence[Sequence[Any]]) -> tuple[list[HeldRow], int]:
    """Read what `HELD_ROWS` gives: the first rows, and how many there are in all."""
    rows = [(line, payment, amount, reason) for line, payment, amount, reason, _ in found]
    return rows, found[0][4] if found else 0


def totals_of(groups: Sequence[Sequence[Any]], refusals: Iterable[Sequence[Any]]) -> Totals:
    """Add up what `TOTALS` and `REFUSALS` give."""
    return Totals(
        rows=sum(count for _, _, count, _ in groups),
        bad=sum(count for bad, _, count, _ in groups if bad),
        outcomes={RowOutcome(name): count for bad, name, count, _ in groups if not bad},
        moved={RowOutcome(name): int(moved) for bad, name, _, moved in groups if not bad},
        refusals={str(code): int(count) for code, count in refusals},
    )


def utc_text(moment: datetime) -> str:
    """Write a time as a report does: UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def columns(api: PaymentApi) -> tuple[str, ...]:
    """Return the columns of a report: the payment and its text under the headings of its API's files.

    `amount` is what was asked, `moved` what moved, both in minor units; `time` is Vipps' own, in UTC.
    """
    text = () if api.text_heading is None else (api.text_heading,)
    ours = (reference_heading(api), "outcome", "moved", "time", "idempotency_key", "reason")
    return ("line", "api", api.payment_heading, "amount", *text, *ours)


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
    api: PaymentApi,
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


def _facts(row: ReportRow, api: PaymentApi, operation: BatchOperation, *, preview: bool) -> dict[str, object]:
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
