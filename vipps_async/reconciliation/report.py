"""The sums of a compared day, and a table with a row for each of its entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from attrs import field, frozen

from vipps_async.batch.tables import Amount, Cell, FileStyle, ReportFormat, write_table
from vipps_async.core.payment_api import Unit
from vipps_async.reconciliation.comparison import ComparedEntry, Comparison

__all__ = ["COLUMNS", "DaySums", "sums_of", "write_day_report"]

#: The columns of a report. Times are in UTC; `asked`, `journal`, `vipps` and `difference` (Vipps' amount less the
#: journal's) are in `currency`, with two decimals.
COLUMNS: Final = (
    "comparison",
    "api",
    "operation",
    "payment",
    "reference",
    "idempotency_key",
    "done_at",
    "vipps_time",
    "currency",
    "asked",
    "journal",
    "vipps",
    "difference",
    "reason",
)
#: All currencies that there are have a hundred minor units.
_MAIN: Final = Unit(name="main", word="main unit", decimals=2)


@frozen(kw_only=True)
class DaySums:
    """The sums of a compared day."""

    #: How many entries compare each way.
    counts: Counter[Comparison] = field(factory=Counter)
    #: What moved by Vipps' history, of the entries that agree, in minor units by operation and currency.
    moved: Counter[tuple[str, str]] = field(factory=Counter)


def sums_of(compared: Iterable[ComparedEntry]) -> DaySums:
    """Add a day up."""
    sums = DaySums()
    for each in compared:
        sums.counts[each.comparison] += 1
        if each.comparison is Comparison.AGREES and each.found is not None:
            sums.moved[each.intent.operation, each.intent.currency] += each.found
    return sums


def write_day_report(
    path: Path, compared: Sequence[ComparedEntry], kind: ReportFormat, style: FileStyle | None = None
) -> None:
    """Write a row for each entry in place of an older report; see `write_table`. Blocking: for a thread.

    Args:
        path: where to.
        compared: all entries of the day.
        kind: how to write it.
        style: how CSV is written; None: with commas and points, in UTF-8.

    Raises:
        OSError: it cannot be written; the older one is as it was.
        ConfigurationError: it cannot be written in that format.
    """
    write_table(path, COLUMNS, map(_cells, compared), kind, style or FileStyle())


def _cells(each: ComparedEntry) -> list[Cell]:
    intent, found, recorded = each.intent, each.found, each.recorded
    difference = None if found is None or recorded is None else found - recorded
    amounts = [
        None if value is None else Amount(value, _MAIN) for value in (intent.amount, recorded, found, difference)
    ]
    return [
        each.comparison.value,
        intent.api,
        intent.operation,
        intent.payment,
        intent.reference or None,
        intent.key,
        _utc(each.settled_at),
        None if each.time is None else _utc(each.time),
        intent.currency,
        *amounts,
        each.reason,
    ]


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
