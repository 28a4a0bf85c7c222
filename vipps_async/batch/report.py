"""A batch's rows as SQLite and PostgreSQL hold them, and the report that is written of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString

from attrs import frozen

from vipps_async.batch.layout import reference_heading
from vipps_async.batch.reading import InvalidRow, ValidRow
from vipps_async.batch.results import RowOutcome, RowResult
from vipps_async.batch.tables import Amount, Cell, FileStyle, ReportFormat, write_table
from vipps_async.core.batch import BatchOperation, BatchRow, Origin
from vipps_async.core.payment_api import PaymentApi, Unit
from vipps_async.not_given import NOT_GIVEN, NotGiven

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


def columns(api: PaymentApi, unit: Unit | None = None, *, preview: bool = False) -> tuple[str, ...]:
    """Return the columns of a report: the payment and its text under the headings of its API's files.

    What was asked and what moved say what they are counted in: `unit`, or else the API's main one, such as kroner.
    `time` is Vipps' own, in UTC. A dry run moves nothing, and says what would move.
    """
    counted = (unit or api.main_unit).name
    text = () if api.text_heading is None else (api.text_heading,)
    ours = (
        reference_heading(api),
        "outcome",
        f"{'would_move' if preview else 'moved'}_{counted}",
        "time",
        "idempotency_key",
        "reason",
    )
    return ("line", "api", api.payment_heading, f"amount_{counted}", *text, *ours)


def outcome_word(outcome: RowOutcome | None, operation: BatchOperation, *, preview: bool = False) -> str:
    """Say how a row ended, such as ``"captured"`` or ``"captured before"``."""
    done = operation.done
    if preview and outcome in {RowOutcome.DONE, RowOutcome.REFUSED}:
        return f"would be {done if outcome is RowOutcome.DONE else 'refused'}"
    words = {
        None: RowOutcome.NOT_BEGUN.value,
        RowOutcome.DONE: done,
        RowOutcome.DONE_BEFORE: f"{done} before",
        RowOutcome.FOUND_DONE: f"found {done}",
        RowOutcome.OTHERWISE: f"{done} otherwise",
        RowOutcome.OTHERWISE_BEFORE: f"{done} otherwise before",
    }
    if outcome is None or outcome in words:
        return words[outcome]
    other: str = outcome.value
    return other


def write_report(
    path: Path,
    rows: Iterable[ReportRow],
    api: PaymentApi,
    operation: BatchOperation,
    kind: ReportFormat,
    *,
    unit: Unit | None = None,
    style: FileStyle | None = None,
    preview: bool = False,
) -> None:
    """Write a report in place of an older one; see `write_table`. Blocking: for a thread.

    Args:
        path: where to.
        rows: all rows of the file.
        api: the API that the batch goes over.
        operation: what the batch did.
        kind: how to write it.
        unit: what sums are counted in; None: the API's main unit.
        style: how CSV is written; None: with commas and points, in UTF-8.
        preview: whether the batch only said what it would do.

    Raises:
        OSError: it cannot be written; the older one is as it was.
        ConfigurationError: it cannot be written in that format.
    """
    counted = unit or api.main_unit
    records = (_cells(row, api, operation, counted, preview=preview) for row in rows)
    write_table(path, columns(api, counted, preview=preview), records, kind, style or FileStyle())


def _cells(row: ReportRow, api: PaymentApi, operation: BatchOperation, unit: Unit, *, preview: bool) -> list[Cell]:
    asked: Cell = None if row.amount is None else Amount(row.amount, unit)
    if asked is None and operation is not BatchOperation.CANCEL and row.flaw is None:
        asked = "all"
    return [
        row.line,
        api.name,
        row.payment,
        asked,
        *(() if api.text_heading is None else (row.text,)),
        row.reference,
        "invalid" if row.flaw is not None else outcome_word(row.outcome, operation, preview=preview),
        None
        if row.moved is None or (preview and row.outcome is not None and row.outcome.is_earlier)
        else Amount(row.moved, unit),
        row.time,
        row.idempotency_key,
        row.flaw or row.reason,
    ]
