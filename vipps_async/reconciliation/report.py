"""The sums of a compared day, and a table with a row for each of its operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from attrs import define, field, frozen

from vipps_async.batch.tables import Amount, Cell, FileStyle, ReportFormat, write_table
from vipps_async.core.batch import BatchOperation
from vipps_async.core.payment_api import Unit
from vipps_async.reconciliation.compared import ComparedOperation, Comparison
from vipps_async.time_zone import TimeZone

#: All currencies that there are have a hundred minor units.
_MAIN: Final = Unit(name="main", word="main unit", decimals=2)
#: What to do about an operation, by how it compares.
WHAT_TO_DO: Final = {
    Comparison.AGREES: "",
    Comparison.OTHERWISE: "book what moved; capture or refund the difference by hand if it is wanted",
    Comparison.DIFFERS: "look the payment up in the Vipps portal, and book what Vipps has",
    Comparison.REPEATED: "",
    Comparison.ONLY_IN_JOURNAL: "look the payment up in the Vipps portal before anything else is done with it",
    Comparison.ONLY_AT_VIPPS: "find out who made it (the portal, another system), and book it",
    Comparison.ONLY_AT_VIPPS_OTHER_DAY: "see that it is booked on its own day",
    Comparison.OPEN: "vipps-async journal recover, then compare again; do nothing by hand meanwhile",
    Comparison.INCONCLUSIVE: "compare again later",
}


def what_to_do(each: ComparedOperation) -> str:
    """Say what to do about an operation."""
    if not each.damaged:
        return WHAT_TO_DO[each.comparison]
    if each.comparison is not Comparison.INCONCLUSIVE:
        return "book it, unless the books have it already: this journal may have carried it out"
    return (
        f"vipps-async payment show {each.payment}; hold that against the books, and then: vipps-async journal discard "
        f"{each.damaged[0]}"
    )


@define
class Sum:
    """What moved by an operation in a currency, over all operations of the day; in minor units."""

    journal: int = 0
    vipps: int = 0
    #: What the journal has of operations whose amount at Vipps is not known.
    not_known: int = 0

    @property
    def difference(self) -> int:
        """What Vipps has less what the journal has, of those whose amount at Vipps is known."""
        return self.vipps + self.not_known - self.journal

    def add(self, journal: int, vipps: int, not_known: int) -> None:
        """Add what moved by one operation, or by more."""
        self.journal += journal
        self.vipps += vipps
        self.not_known += not_known


@frozen(kw_only=True)
class DaySums:
    """The sums of a compared day."""

    #: How many operations compare each way.
    counts: Counter[Comparison] = field(factory=Counter)
    #: By currency and operation. What is of another day is not added up.
    sums: dict[tuple[str, str], Sum] = field(factory=dict)

    def net(self, currency: str) -> Sum:
        """Return what was taken from customers less what was paid back to them."""
        net = Sum()
        for operation in BatchOperation:
            moved, sign = self.sums.get((currency, operation.value), Sum()), operation.facts.sign
            net.add(sign * moved.journal, sign * moved.vipps, sign * moved.not_known)
        return net


def sums_of(compared: Iterable[ComparedOperation]) -> DaySums:
    """Add a day up."""
    sums = DaySums()
    for each in compared:
        sums.counts[each.comparison] += 1
        is_of_day = each.comparison is not Comparison.ONLY_AT_VIPPS_OTHER_DAY
        if is_of_day and not (each.recorded is None and each.found is None):
            recorded = each.recorded or 0
            of_operation = sums.sums.setdefault((each.currency, each.operation), Sum())
            of_operation.add(recorded, each.found or 0, recorded if each.found is None else 0)
    return sums


def columns(zone: TimeZone) -> tuple[str, ...]:
    """Return the columns of a report.

    Times say their zone. Amounts are in `currency`, with two decimals; the two differences are what Vipps has less what
    the journal has, and less what was asked for.
    """
    return (
        "comparison",
        "api",
        "operation",
        "payment",
        "reference",
        "idempotency_key",
        f"done_{zone.name}",
        f"vipps_time_{zone.name}",
        "currency",
        "asked",
        "journal",
        "vipps",
        "vipps_less_journal",
        "vipps_less_asked",
        "what_happened",
        "what_to_do",
    )


def write_day_report(
    path: Path,
    compared: Sequence[ComparedOperation],
    kind: ReportFormat,
    zone: TimeZone,
    style: FileStyle | None = None,
) -> None:
    """Write a row for each operation in place of an older report; see `write_table`. Blocking: for a thread.

    Args:
        path: where to.
        compared: all operations of the day.
        kind: how to write it.
        zone: in which times are written.
        style: how CSV is written; None: with commas and points, in UTF-8.

    Raises:
        OSError: it cannot be written; the older one is as it was.
        ConfigurationError: it cannot be written in that format.
    """
    write_table(path, columns(zone), (_cells(each, zone) for each in compared), kind, style or FileStyle())


def _cells(each: ComparedOperation, zone: TimeZone) -> list[Cell]:
    amounts = (each.asked, each.recorded, each.found, each.vipps_less_journal, each.vipps_less_asked)
    return [
        each.comparison.value,
        each.api or None,
        each.operation or None,
        each.payment,
        each.reference or None,
        each.key,
        None if each.settled_at is None else zone.local(each.settled_at),
        None if each.time is None else zone.local(each.time),
        each.currency or None,
        *(None if value is None else Amount(value, _MAIN) for value in amounts),
        zone.in_text(each.reason),
        what_to_do(each),
    ]
