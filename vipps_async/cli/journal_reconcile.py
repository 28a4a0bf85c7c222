"""`vipps-async journal reconcile`: compares what a journal has as done on a day with Vipps, for bookkeeping."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from vipps_async.apis import APIS
from vipps_async.batch.tables import FileStyle, ReportFormat
from vipps_async.cli.batch_output import STDOUT, ReportFile, add_report, report_file
from vipps_async.cli.commands import Command, Options
from vipps_async.cli.exit_status import ExitStatus, exit_statuses
from vipps_async.cli.journal_place import add_journal, existing_place, guarded, opened
from vipps_async.cli.options import add_allow_host, check_allowed_host, number_from, positive
from vipps_async.cli.output import emit, json_line, plain, say
from vipps_async.config import Settings
from vipps_async.errors import JournalError
from vipps_async.money import format_amount
from vipps_async.reconciliation import ComparedOperation, Comparison, Day, DayEntries, compare_entries, entries_of_day
from vipps_async.reconciliation.comparison import DEFAULT_CONCURRENCY, MOST_AT_ONCE
from vipps_async.reconciliation.report import DaySums, Sum, sums_of, write_day_report
from vipps_async.session import VippsSession

#: A session's `settle_after` unless it is given another one, in seconds.
_SETTLE_AFTER = 86_400
#: Entries that are shown; the report has all of them.
_MOST_SHOWN = 20
#: Seconds between two lines of progress.
_PROGRESS_EVERY = 1.0
#: As a spreadsheet in Norway opens it.
_SEMICOLONS = FileStyle(separator=";", encoding="utf-8-sig", decimal_sign=",")
#: How those that compare each way are counted, for people and by name for machines. Others are shown if there are any.
_NAMES = {
    Comparison.AGREES: ("agree", "agree"),
    Comparison.OTHERWISE: ("carried out otherwise than asked", "otherwise"),
    Comparison.DIFFERS: ("differ", "differ"),
    Comparison.REPEATED: ("cancelled before: not counted again", "cancelled_before"),
    Comparison.ONLY_IN_JOURNAL: ("only in the journal", "only_in_journal"),
    Comparison.ONLY_AT_VIPPS: ("only at Vipps", "only_at_vipps"),
    Comparison.ONLY_AT_VIPPS_OTHER_DAY: ("only at Vipps, of another day: not added up", "only_at_vipps_other_day"),
    Comparison.OPEN: ("open, and tried that day", "open_that_day"),
    Comparison.INCONCLUSIVE: ("inconclusive", "inconclusive"),
}
#: What nothing is to be done about.
_AS_IT_SHOULD_BE = {Comparison.AGREES, Comparison.REPEATED}
_ALWAYS_SHOWN = {Comparison.AGREES, Comparison.DIFFERS, Comparison.ONLY_AT_VIPPS, Comparison.INCONCLUSIVE}
_UNSEEN = (
    "Not seen: payments that this journal did nothing with on that day. Neither API lists payments by day; Vipps' "
    "settlement report does."
)


def reconciliation() -> Command:
    """Make `journal reconcile`."""
    made = Command(
        "reconcile",
        guarded(_reconcile),
        "hold what is done of a day against what Vipps has",
        "Looks up each capture, refund and cancel that became known as done on a day, and says which agree "
        "with Vipps in their amounts, and what else Vipps has of the same payments. It only reads. "
        f"{exit_statuses('journal reconcile')} {_UNSEEN}",
        examples=(
            "journal reconcile --day yesterday",
            "journal reconcile --day 2026-11-27 --report day.csv --semicolons",
        ),
    )
    add_journal(made)
    made.option("--day", required=True, metavar="DATE", help="2026-11-27, today or yesterday")
    made.option("--api", type=click.Choice(sorted(APIS)), help="only what was done over this one (all)")
    made.option(
        "--concurrency",
        type=number_from(int, 1, MOST_AT_ONCE, f"not from 1 to {MOST_AT_ONCE}"),
        default=DEFAULT_CONCURRENCY,
        metavar="N",
        help="most payments at once",
    )
    made.option(
        "--rate",
        type=number_from(float, 1e-3, 1e6, "no number from 0.001 to 1000000"),
        metavar="N",
        help="most look-ups a second (as many as Vipps takes)",
    )
    made.option(
        "--settle-after",
        type=positive,
        default=_SETTLE_AFTER,
        metavar="SECONDS",
        help="your sessions' settle_after: until then the history may lack an operation",
    )
    add_report(made, default="none", zone_of="of that day and of all times")
    made.flag("--semicolons", "a CSV report as spreadsheets in Norway open it: a;1,50")
    made.flag("--json", "the sums as one JSON object, and no progress")
    add_allow_host(made)
    return made


async def _reconcile(options: Options) -> int:
    day = Day.of(options.day, options.time_zone)
    files = (await existing_place(options)).files
    report = None
    if options.report is not None:
        report = report_file(options.report, options.report_format, others=files, zone=options.time_zone)
    check_allowed_host(Settings.from_env(os.environ), options.allow_host)
    # Without the journal: it is read and given back before Vipps is asked, which may take minutes.
    async with VippsSession.from_env() as vipps:
        found = await _entries(options, vipps, day)
        if report is not None:
            report.check_size(len(found.entries) + len(found.open_entries) + len(found.damaged))
        if not options.json:
            where = f"sales unit {vipps.merchant_serial_number} in the {vipps.environment.value} environment"
            say(f"Day: {day}, by the time at which each became known as done; {where}.")
        entries = found.entries + found.open_entries
        compared = await compare_entries(
            vipps,
            entries,
            concurrency=options.concurrency,
            rate=options.rate,
            settle_after=options.settle_after,
            progress=None if options.json else _Progress(len(entries)),
            known=found.known,
            day=day,
            damaged=found.damaged,
        )
    return await _tell(options, day, found, compared, report)


async def _entries(options: Options, vipps: VippsSession, day: Day) -> DayEntries:
    world = await vipps.world()
    async with opened(options, thorough=False) as journal:
        bound = await journal.world()
        if bound not in {None, world}:
            text = f"the journal has the facts of {bound}, and the VIPPS_ variables name {world}"
            raise JournalError(text, advice="compare it with the Vipps that it is about")
        return await entries_of_day(journal, day, merchant_serial_number=vipps.merchant_serial_number, api=options.api)


class _Progress:
    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._next = time.monotonic() + _PROGRESS_EVERY

    def __call__(self, count: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_EVERY
            say(f"{count:,} of {self._entries:,} compared ...")


# --- what came of it --------------------------------------------------------------------------------------------------


async def _tell(
    options: Options,
    day: Day,
    found: DayEntries,
    compared: Sequence[ComparedOperation],
    report: ReportFile | None,
) -> int:
    sums = sums_of(compared)
    text = json_line(_facts(day, found, sums)) if options.json else _text(day, found, compared, sums)
    is_printed = True
    if options.report == STDOUT:
        say(text)
    else:
        is_printed = emit(text)
    if report is not None:

        def write(path: Path, kind: ReportFormat, style: FileStyle) -> None:
            write_day_report(path, compared, kind, day.zone, style)

        style = _SEMICOLONS if options.semicolons else FileStyle()
        is_printed = await report.write(write, style, quiet=options.json) and is_printed
    return _status(found, sums) if is_printed else ExitStatus.UNPRINTED


def _status(found: DayEntries, sums: DaySums) -> int:
    kinds = {kind for kind, count in sums.counts.items() if count}
    if kinds - _AS_IT_SHOULD_BE - {Comparison.OPEN, Comparison.INCONCLUSIVE}:
        return ExitStatus.REFUSED
    return ExitStatus.UNKNOWN if kinds - _AS_IT_SHOULD_BE or found.open or found.damaged else ExitStatus.DONE


def _text(day: Day, found: DayEntries, compared: Sequence[ComparedOperation], sums: DaySums) -> str:
    others = [each for each in compared if each.comparison not in _AS_IT_SHOULD_BE]
    lines = [_line(each, day) for each in others[:_MOST_SHOWN]]
    if len(others) > _MOST_SHOWN:
        lines.append(f"... and {len(others) - _MOST_SHOWN:,} more; --report lists them all.")
    for comparison, (name, _) in _NAMES.items():
        if comparison in _ALWAYS_SHOWN or sums.counts[comparison]:
            lines.append(f"{sums.counts[comparison]:>9,} {name}")
    lines += _table(sums)
    if found.of_other_units:
        what = "is" if found.of_other_units == 1 else "are"
        lines.append(f"{found.of_other_units:,} of other sales units {what} done that day: not looked at.")
    if found.open:
        what = "operation is" if found.open == 1 else "operations are"
        lines.append(
            f"{found.open:,} {what} open since that day or before, and may have been carried out on it: "
            "vipps-async journal recover"
        )
    if found.damaged:
        count = len(found.damaged)
        what = "entry of the journal cannot" if count == 1 else "entries of the journal cannot"
        them = "it" if count == 1 else "them"
        lines.append(
            f"{count:,} {what} be read and may be of that day: the journal's sums lack {them}, see "
            "vipps-async journal check"
        )
    lines.append(_UNSEEN)
    return "\n".join(lines)


def _line(each: ComparedOperation, day: Day) -> str:
    """Name an operation and say what is the matter with it, on one line."""
    amount = next((value for value in (each.asked, each.recorded or None, each.found) if value is not None), None)
    name = ".".join(filter(None, (each.api, each.operation)))
    parts = [
        name or "an operation",
        *([] if amount is None else [f"of {format_amount(amount, each.currency)}"]),
    ]
    about = [" ".join(parts), f"payment {plain(each.payment)}", *([f"key {plain(each.key)}"] if each.key else [])]
    moment = each.time if each.settled_at is None else each.settled_at
    if moment is not None:
        about.append(f"done {day.zone.local(moment):%Y-%m-%d %H:%M:%S} {day.zone.name}")
    return f"{each.comparison.value}: {', '.join(about)}: {plain(day.zone.in_text(each.reason))}"


def _table(sums: DaySums) -> list[str]:
    """Lay the sums out, below each other; without any there is no table."""
    rows: list[tuple[str, ...]] = [("", "journal", "Vipps", "difference", "not known at Vipps")]
    for currency in sorted({currency for currency, _ in sums.sums}):
        for (of, operation), sum_ in sums.sums.items():
            if of == currency:
                rows.append(_row(f"{operation} {currency}", sum_))
        rows.append(_row(f"captured less refunded {currency}", sums.net(currency)))
    if not any(sum_.not_known for sum_ in sums.sums.values()):
        rows = [row[:4] for row in rows]
    if len(rows) == 1:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [f"  {row[0]:<{widths[0]}}", *(f"{text:>{wide}}" for text, wide in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def _row(name: str, sum_: Sum) -> tuple[str, ...]:
    return (name, *(f"{_amount(value)}" for value in (sum_.journal, sum_.vipps, sum_.difference, sum_.not_known)))


def _amount(value: int) -> str:
    return format_amount(value, "").rstrip()


def _facts(day: Day, found: DayEntries, sums: DaySums) -> dict[str, Any]:
    """The same for machines: sums in minor units."""
    return {
        "day": day.on.isoformat(),
        "time_zone": day.zone.name,
        "from": day.begins,
        "until": day.ends,
        "entries": len(found.entries),
        **{name: sums.counts[comparison] for comparison, (_, name) in _NAMES.items()},
        "sums": [
            {
                "currency": currency,
                "operation": operation,
                "journal": sum_.journal,
                "vipps": sum_.vipps,
                "difference": sum_.difference,
                "not_known": sum_.not_known,
            }
            for (currency, operation), sum_ in sums.sums.items()
        ],
        "of_other_units": found.of_other_units,
        "open": found.open,
        "damaged": len(found.damaged),
        "damaged_entries": [
            {"position": row.position, "payment": row.payment, "reason": row.reason} for row in found.damaged
        ],
    }
