"""The rows of a batch as SQLite and PostgreSQL store them, and the report that is made of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import compress
from pathlib import Path
from typing import Any, LiteralString

from attrs import frozen

from vipps_async.batch.amounts import ALL
from vipps_async.batch.layout import ANOTHER, reference_heading
from vipps_async.batch.reading import InvalidRow, ValidRow
from vipps_async.batch.report_texts import money_moved, what_to_do
from vipps_async.batch.results import Hold, RowCause, RowOutcome, RowResult
from vipps_async.batch.tables import Amount, Cell, FileStyle, ReportFormat, write_table
from vipps_async.core.batch import BatchOperation, BatchRow, Origin
from vipps_async.core.payment_api import PaymentApi, Unit
from vipps_async.not_given import NOT_GIVEN, NotGiven
from vipps_async.time_zone import TimeZone

#: Outcomes after which a row is not tried again.
FINAL = [outcome.value for outcome in RowOutcome if outcome.is_final]

# ``{rows}`` is the table's name and whatever else says which batch is meant.

#: What a file says of a row.
ASKED_COLUMNS: LiteralString = "number, line, payment, amount, text, reference, another, violation, cells"
#: Rows that are to be carried out.
UNFINISHED: LiteralString = (
    "SELECT number, line, payment, amount, text, reference, another FROM {rows} AND violation IS NULL AND "
)
HELD_ROWS: LiteralString = (
    "SELECT line, payment, amount, reason, cause, count(*) OVER () FROM {rows} AND outcome = 'held' "
    "ORDER BY number LIMIT 20"
)
TOTALS: LiteralString = (
    "SELECT violation IS NOT NULL, coalesce(outcome, 'not begun'), count(*), coalesce(sum(moved), 0) "
    "FROM {rows} GROUP BY 1, 2"
)
REFUSALS: LiteralString = (
    "SELECT coalesce(code, ''), count(*) FROM {rows} AND outcome = 'refused' GROUP BY 1 ORDER BY 2 DESC, 1"
)
REPORT: LiteralString = (
    "SELECT number, line, payment, amount, text, reference, another, violation, cells, outcome, moved, time, key, "
    "reason, cause "
    "FROM {rows}"
)


@frozen(kw_only=True)
class HeldRow:
    """A row that is held."""

    line: int
    payment: str
    #: Minor units; None: all that is left, or a cancel.
    amount: int | None
    hold: Hold


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
    violation: str | None
    #: Of a row that is invalid the cells as they stand in its file, as JSON: see `InvalidRow`. None: it is not.
    cells: str | None = None
    #: None: it was not begun.
    outcome: RowOutcome | None
    #: Minor units that moved.
    moved: int | None
    #: When, by Vipps' clock; aware, UTC.
    time: datetime | None
    idempotency_key: str | None
    #: What happened, if that is not plain from its outcome.
    reason: str
    #: Why it is refused or held, where that changes what is to be done.
    cause: RowCause | None = None

    @property
    def asked(self) -> tuple[object, ...]:
        """What a file says of the row, without its number and line; the order is that of `ASKED_COLUMNS`."""
        return (self.payment, self.amount, self.text, self.reference, self.another, self.violation, self.cells)


@frozen(kw_only=True)
class Totals:
    """The sums of a batch."""

    rows: int
    bad: int
    #: How many rows ended each way; those that never came up count as NOT_BEGUN.
    outcomes: dict[RowOutcome, int]
    #: Minor units that moved, by outcome.
    moved: dict[RowOutcome, int]
    #: How many rows were refused, by Vipps' code or, where there is none, by what kind of refusal it is.
    refusals: dict[str, int]


def asked_values(row: ValidRow | InvalidRow) -> tuple[object, ...]:
    """Write a row of a file; the order is that of `ASKED_COLUMNS`."""
    if isinstance(row, InvalidRow):
        return (row.number, row.line, row.payment, None, "", None, False, row.reason, json.dumps(dict(row.cells)))
    amount = None if isinstance(row.amount, NotGiven) else row.amount
    return (row.number, row.line, row.payment, amount, row.text, row.reference, row.another, None, None)


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
    """Write what became of a row: its number, outcome, what moved, time, key, code, reason, cause of a refusal."""
    assert result.row.origin is not None  # noqa: S101 - `batch_row` has given it one
    return (
        result.row.origin.number,
        result.outcome.value,
        result.amount,
        result.time,
        result.idempotency_key,
        result.code or None,
        result.what_happened or None,
        None if result.cause is None else result.cause.value,
    )


def report_row(values: Sequence[Any]) -> ReportRow:
    """Read a row with what became of it; the order is that of `REPORT`."""
    _, line, payment, amount, text, reference, another, violation, cells, *ended = values
    outcome, moved, time, key, reason, cause = ended
    return ReportRow(
        line=line,
        payment=payment,
        amount=amount,
        text=text,
        reference=reference,
        another=bool(another),
        violation=violation,
        cells=cells,
        outcome=None if outcome is None else RowOutcome(outcome),
        moved=moved,
        # SQLite has no times of its own.
        time=datetime.fromisoformat(time) if isinstance(time, str) else time,
        idempotency_key=key,
        reason=reason or "",
        cause=_cause(cause),
    )


def _cause(stored: str | None) -> RowCause | None:
    return None if stored is None else RowCause(stored)


def held_rows(found: Sequence[Sequence[Any]]) -> tuple[list[HeldRow], int]:
    """Read what `HELD_ROWS` gives: the first rows, and how many there are in all."""
    rows = [
        HeldRow(line=line, payment=payment, amount=amount, hold=Hold(reason, _cause(cause)))
        for line, payment, amount, reason, cause, _ in found
    ]
    return rows, found[0][-1] if found else 0


def totals_of(groups: Sequence[Sequence[Any]], refusals: Iterable[Sequence[Any]]) -> Totals:
    """Add up what `TOTALS` and `REFUSALS` give."""
    return Totals(
        rows=sum(count for _, _, count, _ in groups),
        bad=sum(count for bad, _, count, _ in groups if bad),
        outcomes={RowOutcome(name): count for bad, name, count, _ in groups if not bad},
        moved={RowOutcome(name): int(moved) for bad, name, _, moved in groups if not bad},
        refusals={str(code): int(count) for code, count in refusals},
    )


def columns(
    api: PaymentApi,
    operation: BatchOperation,
    zone: TimeZone,
    unit: Unit | None = None,
    *,
    preview: bool = False,
    omitted: Collection[str] = (),
) -> tuple[str, ...]:
    """Return the columns of a report: what a row asks for, under the headings of its API's files, and what came of it.

    What was asked and what moved say what they are counted in: `unit`, or else the API's main one, such as kroner. The
    time is Vipps' own, and says its zone. A dry run moves nothing, and says what would move. `omitted` are columns that
    the file has not either.
    """
    counted = (unit or api.main_unit).name
    is_cancel = operation is BatchOperation.CANCEL
    names = (
        "line",
        "api",
        api.payment_heading,
        *(() if is_cancel else (f"amount_{counted}",)),
        *(() if api.text_heading is None else (api.text_heading,)),
        reference_heading(api),
        *(() if is_cancel else (ANOTHER,)),
        "outcome",
        f"{'would_move' if preview else 'moved'}_{counted}",
        f"time_{zone.name}",
        "idempotency_key",
        "money_moved",
        "what_happened",
        "what_to_do",
    )
    return tuple(name for name in names if name not in omitted)


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
    zone: TimeZone,
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
        zone: in which times are written.
        unit: what sums are counted in; None: the API's main unit.
        style: how CSV is written; None: with commas and points, in UTF-8.
        preview: whether the batch only said what it would do.

    Raises:
        OSError: it cannot be written; the older one is as it was.
        ConfigurationError: it cannot be written in that format.
    """
    counted = unit or api.main_unit
    style = style or FileStyle()
    everything = columns(api, operation, zone, counted, preview=preview)
    kept = [name not in style.omitted for name in everything]
    records = (list(compress(_cells(row, api, operation, counted, zone, preview=preview), kept)) for row in rows)
    write_table(path, list(compress(everything, kept)), records, kind, style)


def _cells(
    row: ReportRow, api: PaymentApi, operation: BatchOperation, unit: Unit, zone: TimeZone, *, preview: bool
) -> list[Cell]:
    is_cancel = operation is BatchOperation.CANCEL
    asked: list[Cell] = [row.payment, ALL if row.amount is None else Amount(row.amount, unit), row.text, row.reference]
    # What another one was meant for is not said again: a report that is sent again would do it a second time.
    another: Cell = ""
    if row.violation is not None and row.cells is not None:
        cells = json.loads(row.cells)
        asked = [cells.get(name) for name in ("payment", "amount", "text", "reference")]
        another = cells.get("another", "")
    payment, amount, text, reference = asked
    ended: list[Cell] = ["invalid", None, None, None, "not by this row", row.violation, "correct the row"]
    if row.violation is None:
        # What a dry run says of a row that took effect before is no plan.
        is_earlier = row.outcome is RowOutcome.FOUND_DONE or (row.outcome is not None and row.outcome.is_earlier)
        is_plan = preview and not is_earlier and row.cause is not RowCause.TAKEN_EFFECT
        is_told = row.moved is not None and (is_plan or not preview)
        ended = [
            outcome_word(row.outcome, operation, preview=preview),
            Amount(row.moved, unit) if row.moved is not None and is_told else None,
            None if row.time is None else zone.local(row.time),
            # No history shows one of a cancel, and not every API takes one.
            row.idempotency_key if operation.has_amount else None,
            money_moved(row.outcome, row.cause, is_plan=is_plan),
            zone.in_text(row.reason),
            what_to_do(row.outcome, row.cause, row.payment, row.reference, reference_heading(api), preview=preview),
        ]
    return [
        row.line,
        api.name,
        payment,
        *(() if is_cancel else (amount,)),
        *(() if api.text_heading is None else (text,)),
        reference,
        *(() if is_cancel else (another,)),
        *ended,
    ]
