"""How a batch shows itself: while it runs, in its sums, and as `batch status` and `report` tell of it afterwards."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from vipps_async.apis import payment_api
from vipps_async.batch.job import Progress
from vipps_async.batch.reading import FileFormat
from vipps_async.batch.report import Totals, outcome_word, write_report
from vipps_async.batch.results import RowOutcome
from vipps_async.cli.batch_file import status_of_totals
from vipps_async.cli.output import plain, say, silenced, tell
from vipps_async.cli.report_file import report_file
from vipps_async.cli.statuses import DONE, NOT_ENDED, UNTOLD
from vipps_async.core.batch import BatchOperation
from vipps_async.core.payment_api import PaymentApi
from vipps_async.errors import JournalError
from vipps_async.money import format_amount

if TYPE_CHECKING:
    from vipps_async.batch.distributed.database import BatchDatabase
    from vipps_async.batch.distributed.overview import BatchStatus

__all__ = ["opened_database", "progress_line", "show_report", "show_status", "shown", "summary", "summary_json"]

#: Seconds between two looks at a batch, and how many of them may fail in a row.
_WATCH_EVERY, _FAILURES = 2.0, 15
#: Seconds between two looks at the progress: of a live display, and of plain lines in a log.
_LIVE_EVERY, _LINE_EVERY = 0.25, 5.0


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
    if sys.stderr is not None and sys.stderr.isatty():
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
        silenced(sys.stderr)


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
    return ", ".join(part for part in parts if part)


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
    return "\n".join(lines)


def summary_json(totals: Totals, api: PaymentApi, operation: BatchOperation) -> dict[str, object]:
    """The same for machines: sums in minor units."""
    return {
        "api": api.name,
        "operation": operation.value,
        "rows": totals.rows,
        "invalid": totals.bad,
        "outcomes": {outcome.value: totals.outcomes.get(outcome, 0) for outcome in RowOutcome},
        "moved": totals.moved.get(RowOutcome.DONE, 0),
        "moved_before": totals.moved.get(RowOutcome.DONE_BEFORE, 0),
        "moved_otherwise": totals.moved.get(RowOutcome.OTHERWISE, 0),
        "refusals": totals.refusals,
    }


@contextlib.asynccontextmanager
async def opened_database(options: argparse.Namespace, *, only_read: bool = False) -> AsyncIterator[BatchDatabase]:
    """Open the database that the command line names; `only_read` needs no rights to write, and makes nothing."""
    from vipps_async.batch.distributed.database import BatchDatabase  # noqa: PLC0415 - needs the extra

    database = BatchDatabase(options.dsn, schema=options.schema)
    await database.open(only_read=only_read)
    try:
        yield database
    finally:
        await database.aclose()


async def show_status(options: argparse.Namespace) -> int:
    """Show how far a batch has come, once or until it has ended; returns the exit status."""
    from vipps_async.batch.distributed.overview import status_of  # noqa: PLC0415 - needs the extra

    async with opened_database(options, only_read=True) as database:
        status = await status_of(database, options.batch)
        progress = Progress(rows=status.totals.rows - status.totals.bad)
        _fill(progress, status)
        progress.began_with = progress.ended
        if options.watch and not status.is_ended:
            async with shown(progress, payment_api(status.api), status.operation, quiet=options.json, preview=False):
                failures = 0
                while not status.is_ended:
                    await asyncio.sleep(_WATCH_EVERY)
                    try:
                        status = await status_of(database, options.batch)
                    except JournalError:
                        failures += 1
                        if failures == _FAILURES:
                            raise
                        continue
                    failures = 0
                    _fill(progress, status)
    ending = status_of_totals(status.totals) if status.is_ended else NOT_ENDED
    return (
        ending if tell(orjson.dumps(_facts(status)).decode() if options.json else _text(status, progress)) else UNTOLD
    )


def _fill(progress: Progress, status: BatchStatus) -> None:
    totals = status.totals
    progress.outcomes = Counter({out: n for out, n in totals.outcomes.items() if out is not RowOutcome.NOT_BEGUN})
    progress.moved = totals.moved.get(RowOutcome.DONE, 0) + totals.moved.get(RowOutcome.OTHERWISE, 0)
    progress.refusals = Counter(totals.refusals)


def _facts(status: BatchStatus) -> dict[str, object]:
    return {
        "batch": status.batch,
        "ended": status.is_ended,
        **summary_json(status.totals, payment_api(status.api), status.operation),
        "chunks": {"waiting": status.waiting, "running": status.running, "ended": status.ended},
        "workers": status.workers,
        "merchant_serial_number": status.merchant_serial_number,
        "environment": status.environment,
        "rate": status.rate,
        "submitted_at": status.submitted_at,
        "digest": status.digest,
        "withdrawn_at": status.withdrawn_at,
        "note": status.note or None,
    }


def _text(status: BatchStatus, progress: Progress) -> str:
    unit = f"sales unit {status.merchant_serial_number} in the {status.environment} environment"
    lines = [f"Batch {status.batch}: to be {status.operation.done} over {status.api} for {unit}."]
    if status.is_ended:
        lines.append(summary(status.totals, payment_api(status.api), status.operation, preview=False))
        if not all(outcome.is_final for outcome in status.totals.outcomes):
            lines.append("To try the rest again, submit the same file again: what is done is not done twice.")
    else:
        lines.append(progress_line(progress, payment_api(status.api), status.operation, preview=False))
        chunks = f"{status.ended:,} chunks have ended, {status.running:,} are in work, {status.waiting:,} wait"
        lines.append(f"{chunks}; {status.workers:,} workers.")
    if status.withdrawn_at is not None:
        lines.append(f"Withdrawn {status.withdrawn_at:%Y-%m-%d %H:%M:%S} UTC: nothing more of it is begun.")
    if status.note and status.withdrawn_at is None:
        lines.append(f"Last trouble: {plain(status.note)}")
    return "\n".join(lines)


async def withdraw_batch(options: argparse.Namespace) -> int:
    """Begin nothing more of a batch; returns the exit status."""
    from vipps_async.batch.distributed.overview import withdraw  # noqa: PLC0415 - needs the extra

    async with opened_database(options) as database:
        status = await withdraw(database, options.batch)
    text = f"Batch {options.batch} is withdrawn: nothing more of it is begun."
    if status.running:
        text += f" {status.running:,} chunks are in work, and end within some seconds: see `batch status`."
    return DONE if tell(text) else UNTOLD


async def show_report(options: argparse.Namespace) -> int:
    """Write what became of each row; returns the exit status."""
    from vipps_async.batch.distributed.overview import report_of, status_of  # noqa: PLC0415 - needs the extra

    report = report_file(options.report, others=())
    async with opened_database(options, only_read=True) as database:
        status = await status_of(database, options.batch)

        def write(to: Path, kind: FileFormat) -> None:
            write_report(to, report_of(database, options.batch), payment_api(status.api), status.operation, kind)

        is_told = await report.write(write)
    ending = status_of_totals(status.totals) if status.is_ended else NOT_ENDED
    return ending if is_told else UNTOLD
