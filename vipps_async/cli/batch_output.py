"""The output of a batch: progress, sums at the end, and the report, whose file is checked beforehand."""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import stat
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from attrs import evolve, frozen

from vipps_async.batch.job import Progress, Wait
from vipps_async.batch.layout import BatchFileError
from vipps_async.batch.report import ReportRow, Totals, outcome_word
from vipps_async.batch.results import RowOutcome
from vipps_async.batch.tables import MOST_SHEET_ROWS, FileStyle, ReportFormat, check_writable
from vipps_async.cli.commands import Command
from vipps_async.cli.options import one_of
from vipps_async.cli.output import discard, emit_lines, plain, say
from vipps_async.core.batch import BatchOperation
from vipps_async.core.payment_api import PaymentApi
from vipps_async.errors import ConfigurationError
from vipps_async.money import format_amount
from vipps_async.time_zone import DEFAULT_ZONE, TimeZone

#: Standard output, as the command line names it.
STDOUT = "-"
#: Rows of a dry run that are shown, and rows that are named as they are not done; a report has all of them.
MOST_ROWS = MOST_NAMED = 20
#: Seconds between two looks at the progress: of a live display, and of plain lines in a log.
_LIVE_EVERY, _LINE_EVERY = 0.25, 5.0
#: Terminals that cannot draw in place.
_DUMB = {"", "dumb", "unknown"}


@asynccontextmanager
async def shown(
    progress: Progress, api: PaymentApi, operation: BatchOperation, *, quiet: bool, preview: bool
) -> AsyncIterator[None]:
    """Show the progress on stderr for as long as this lasts; `quiet` shows nothing."""
    if quiet:
        yield
        return
    with _screen(progress, api, operation, preview=preview) as (update, every):
        ticker = asyncio.create_task(_tick(update, every), name="vipps batch display")
        try:
            yield
        finally:
            ticker.cancel()
            await asyncio.wait({ticker})
            update()


async def _tick(update: Callable[[], None], every: float) -> None:
    while True:
        await asyncio.sleep(every)
        update()


@contextmanager
def _screen(
    progress: Progress, api: PaymentApi, operation: BatchOperation, *, preview: bool
) -> Iterator[tuple[Callable[[], None], float]]:
    if sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM", "") not in _DUMB:
        try:
            from rich.console import Console  # noqa: PLC0415 - an extra
            from rich.live import Live  # noqa: PLC0415 - as above
            from rich.text import Text  # noqa: PLC0415 - as above
        except ImportError:
            pass
        else:
            live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)

            def draw() -> None:
                # Text, not markup: a refusal's code comes from outside.
                _unless_closed(
                    lambda: live.update(
                        Text("\n".join(_panel(progress, api, operation, preview=preview))), refresh=True
                    )
                )

            _unless_closed(live.start)
            draw()
            try:
                yield draw, _LIVE_EVERY
            finally:
                _unless_closed(live.stop)
            return

    def line() -> None:
        say(progress_line(progress, api, operation, preview=preview))

    yield line, _LINE_EVERY


def _unless_closed(draw: Callable[[], object]) -> None:
    # A terminal may go away in the middle of it: what is shown must not end what is done.
    try:
        draw()
    except (OSError, ValueError):
        discard(sys.stderr)


def progress_line(progress: Progress, api: PaymentApi, operation: BatchOperation, *, preview: bool) -> str:
    """Say on one line how far it has come."""
    parts = [f"{progress.ended:,} of {progress.rows:,}", f"{progress.rate:,.0f} a second", _left(progress)]
    if not preview:
        parts.append(f"{format_amount(progress.moved, api.currency)} {operation.done}")
    parts += [
        f"{outcome_word(outcome, operation, preview=preview)} {count:,}"
        for outcome, count in progress.outcomes.items()
        if outcome not in {RowOutcome.DONE, RowOutcome.NOT_BEGUN} and count
    ]
    text = ", ".join(part for part in parts if part)
    return text if progress.wait is None else f"{text}; {_waits(progress.wait)}"


def _waits(wait: Wait) -> str:
    seconds = max(0.0, wait.until - time.monotonic())
    return f"waits for {seconds:,.0f} s: {wait.reason}; {wait.left:,} left"


def _left(progress: Progress) -> str:
    seconds = progress.seconds_left
    if seconds is None or progress.ended >= progress.rows:
        return ""
    return f"{time.strftime('%H:%M:%S', time.gmtime(min(seconds, 86_399)))} left"


def _panel(progress: Progress, api: PaymentApi, operation: BatchOperation, *, preview: bool) -> list[str]:
    width = 40
    full = width if not progress.rows else width * progress.ended // progress.rows
    lines = [f"{'█' * full}{'░' * (width - full)}", progress_line(progress, api, operation, preview=preview)]
    lines += [f"  refused, {plain(code) or 'no code'}: {count:,}" for code, count in progress.refusals.most_common(8)]
    return lines


def rows_text(rows: Iterable[ReportRow], count: int, api: PaymentApi, operation: BatchOperation) -> str:
    """Say of the first rows of a dry run what would become of them; `count`: of how many."""
    lines = []
    for row in itertools.islice(rows, MOST_ROWS):
        outcome = "invalid" if row.violation is not None else outcome_word(row.outcome, operation, preview=True)
        amount = row.amount if row.moved is None else row.moved
        money = "" if amount is None else f"{format_amount(amount, api.currency)}, "
        reason = plain(row.violation or row.reason)
        lines.append(f"line {row.line}: {plain(row.payment)}: {money}{outcome}{f': {reason}' if reason else ''}")
    if count > MOST_ROWS:
        lines.append(f"... and {count - MOST_ROWS:,} more; --report lists them all.")
    return "\n".join(lines)


#: How a row ends that was begun and is not done as it was asked for.
_NOT_DONE = (
    RowOutcome.UNKNOWN,
    RowOutcome.OTHERWISE,
    RowOutcome.OTHERWISE_BEFORE,
    RowOutcome.REFUSED,
    RowOutcome.NOT_DONE,
)


def say_what_is_not_done(
    rows: Sequence[tuple[int, str, str | None, RowOutcome, str]],
    totals: Totals,
    operation: BatchOperation,
    *,
    preview: bool,
) -> None:
    """Name the first rows that are not done as asked, where no report has them; see `RowStore.unsuccessful_rows`."""
    for line, payment, reference, outcome, reason in rows:
        named = f" (reference {plain(reference)})" if reference else ""
        word = outcome_word(outcome, operation, preview=preview)
        say(f"line {line}: {plain(payment)}{named}: {word}: {plain(reason)}")
    count = sum(totals.outcomes.get(outcome, 0) for outcome in _NOT_DONE)
    if count > len(rows):
        say(f"... and {count - len(rows):,} more: --report lists them all.")


def counted(count: int, noun: str) -> str:
    """Write how many there are of something, such as ``"1 row"`` or ``"1,000 rows"``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def summary(totals: Totals, api: PaymentApi, operation: BatchOperation, *, preview: bool) -> str:
    """Say at the end what became of the rows."""
    lines = []
    for outcome in RowOutcome:
        if count := totals.outcomes.get(outcome, 0):
            moved = totals.moved.get(outcome, 0)
            money = f", {format_amount(moved, api.currency)}" if moved else ""
            lines.append(f"{count:>9,} {outcome_word(outcome, operation, preview=preview)}{money}")
    lines += [f"          {plain(code) or 'no code'}: {count:,}" for code, count in totals.refusals.items()]
    if totals.bad:
        lines.append(f"{totals.bad:>9,} invalid, not sent")
    earlier = sum(moved for outcome, moved in totals.moved.items() if outcome.is_earlier)
    if earlier and not preview:
        now = totals.moved.get(RowOutcome.DONE, 0) + totals.moved.get(RowOutcome.OTHERWISE, 0)
        word, currency = operation.done.capitalize(), api.currency
        lines.append(f"{word} now: {format_amount(now, currency)}. {word} before: {format_amount(earlier, currency)}.")
    return "\n".join(lines)


def summary_json(totals: Totals, api: PaymentApi, operation: BatchOperation) -> dict[str, object]:
    """The same for machines: sums in minor units."""
    return {
        "api": api.name,
        "currency": api.currency,
        "operation": operation.value,
        "rows": totals.rows,
        "invalid": totals.bad,
        "outcomes": {outcome.value: totals.outcomes.get(outcome, 0) for outcome in RowOutcome},
        "moved": totals.moved.get(RowOutcome.DONE, 0),
        "moved_before": totals.moved.get(RowOutcome.DONE_BEFORE, 0),
        "moved_found": totals.moved.get(RowOutcome.FOUND_DONE, 0),
        "moved_otherwise": totals.moved.get(RowOutcome.OTHERWISE, 0),
        "moved_otherwise_before": totals.moved.get(RowOutcome.OTHERWISE_BEFORE, 0),
        "refusals": totals.refusals,
    }


# --- reports ----------------------------------------------------------------------------------------------------------


@frozen
class ReportFile:
    """Where a report goes, and how it is written; checked."""

    #: None: standard output.
    path: Path | None
    kind: ReportFormat
    #: In which its times are written.
    zone: TimeZone

    def check_size(self, rows: int) -> None:
        """Make sure that so many rows have room in it.

        Raises:
            BatchFileError: they have not.
        """
        if self.kind is ReportFormat.XLSX and rows > MOST_SHEET_ROWS:
            text = f"{rows:,} rows are too many for an .xlsx report, whose sheet has {MOST_SHEET_ROWS:,}"
            raise BatchFileError(text, advice="take --report-format csv or jsonl")

    async def write(
        self, write: Callable[[Path, ReportFormat, FileStyle], None], style: FileStyle, *, quiet: bool = False
    ) -> bool:
        """Write a report, whole or not at all, and say how that went; returns whether it is there.

        Args:
            write: writes it to a path; blocking.
            style: how CSV is written. Standard output has an encoding of its own.
            quiet: says nothing where all goes well.
        """
        try:
            if self.path is None:
                return await asyncio.to_thread(_print, write, self.kind, evolve(style, encoding="utf-8"))
            _check_kind(self.path)
            await asyncio.to_thread(write, self.path, self.kind, style)
        except (OSError, sqlite3.Error, BatchFileError, ConfigurationError) as error:
            say(f"vipps-async: the report could not be written: {plain(error)}")
            return False
        if not quiet:
            say(f"Report: {self.path}")
        return True


def add_report(command: Command, *, default: str, zone_of: str = "of a report's times") -> None:
    """Give a command the options `--report`, `--report-format` and `--time-zone`; `zone_of`: what for."""
    command.option("--report", metavar="PATH", help=f"a line for each row: a regular file, or - ({default})")
    command.option(
        "--report-format",
        type=one_of(ReportFormat, [kind.value for kind in ReportFormat]),
        metavar="csv|jsonl|xlsx",
        help="how the report is written (by its name: .csv, .jsonl, .xlsx; else csv)",
    )
    command.option("--time-zone", default=DEFAULT_ZONE, metavar="ZONE", help=f"{zone_of}, such as UTC ({DEFAULT_ZONE})")


def report_file(
    given: str, kind: ReportFormat | None, *, others: Iterable[str | Path], zone: str = DEFAULT_ZONE
) -> ReportFile:
    """Check where a report is to go.

    Args:
        given: what the command line says.
        kind: how it is to be written; None: by its name.
        others: files that it must not be: the input (`-` is standard input) and the journal.
        zone: the name of the time zone in which its times are written.

    Raises:
        BatchFileError: it is a directory, a device, a FIFO, a link or one of the others, or cannot be made.
        ConfigurationError: the library that writes such a file is not installed, or there is no such zone.
    """
    times = TimeZone.named(zone)
    if given == STDOUT:
        if kind is ReportFormat.XLSX:
            raise BatchFileError("an .xlsx report is no text for standard output", advice="name a file for --report")
        return ReportFile(None, kind or ReportFormat.CSV, times)
    path = Path(given)
    kind = kind or _KINDS.get(path.suffix.lower(), ReportFormat.CSV)
    check_writable(kind)
    if not path.parent.is_dir():
        raise BatchFileError(f"there is no directory {path.parent} for the report", advice=_ADVICE)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise BatchFileError(f"the report's directory {path.parent} cannot be written", advice=_ADVICE)
    found = _check_kind(path)
    for other in others:
        if _is_same(path, found, other):
            raise BatchFileError(f"the report {path} would overwrite {_named(other)}", advice=_ADVICE)
    return ReportFile(path, kind, times)


_KINDS = {".jsonl": ReportFormat.JSONL, ".ndjson": ReportFormat.JSONL, ".xlsx": ReportFormat.XLSX}
_ADVICE = "name another file for --report, or - for standard output"


def _check_kind(path: Path) -> os.stat_result | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        kind = "a link" if stat.S_ISLNK(found.st_mode) else "no regular file"
        raise BatchFileError(f"the report {path} is {kind}", advice=_ADVICE)
    return found


def _is_same(path: Path, found: os.stat_result | None, other: str | Path) -> bool:
    try:
        theirs = os.fstat(0) if str(other) == "-" else Path(other).stat()
    except OSError:
        # It is not there yet, as a journal may be.
        return str(other) != "-" and Path(other).absolute() == path.absolute()
    return found is not None and os.path.samestat(found, theirs)


def _named(other: str | Path) -> str:
    return "standard input" if str(other) == "-" else f"the file {other}, which is read or written here"


def _print(write: Callable[[Path, ReportFormat, FileStyle], None], kind: ReportFormat, style: FileStyle) -> bool:
    # Whole or not at all, on standard output too.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report"
        write(path, kind, style)
        # With the line breaks of CSV (RFC 4180), as the file has them.
        return emit_lines(_lines(path), keep="\t\r\n")


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="") as stream:
        yield from stream
