"""`vipps-async batch submit`, `status`, `report` and `withdraw`: batches whose rows are in a database."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from vipps_async.apis import payment_api
from vipps_async.batch.holding import hold_rows
from vipps_async.batch.job import Progress
from vipps_async.batch.layout import Layout
from vipps_async.batch.report import Totals, write_report
from vipps_async.batch.results import RowOutcome
from vipps_async.batch.row_store import RowStore
from vipps_async.batch.tables import FileStyle, ReportFormat
from vipps_async.cli import batch_worker
from vipps_async.cli.batch_database import database_action, opened_database
from vipps_async.cli.batch_file import (
    add_another,
    add_layout,
    agree,
    layout_of,
    rate,
    read_file,
    say_what_is_damaged,
    say_what_is_held,
    status_of_totals,
)
from vipps_async.cli.batch_output import (
    STDOUT,
    add_report,
    counted,
    progress_line,
    report_file,
    shown,
    summary,
    summary_json,
)
from vipps_async.cli.commands import Command, Options
from vipps_async.cli.exit_status import ExitStatus, exit_statuses
from vipps_async.cli.options import check_allowed_host, one_of, positive
from vipps_async.cli.output import finish, json_line, plain, say
from vipps_async.config import Settings
from vipps_async.core.batch import BatchOperation
from vipps_async.errors import JournalError
from vipps_async.journals.postgres.place import PostgresPlace

if TYPE_CHECKING:
    from vipps_async.batch.distributed.overview import BatchStatus


#: Seconds between two looks at a batch, and how many of them may fail in a row.
_WATCH_EVERY, _FAILURES = 2.0, 15

_STATUSES = exit_statuses("batch status")


def actions() -> list[Command]:
    """Make what a batch on many machines needs of `vipps-async batch`."""
    withdraw = database_action(
        "withdraw",
        _withdraw,
        "begin nothing more of a batch",
        "Withdraws a batch: nothing more of it is begun, what is on its way is finished, and what is done stays done. "
        + exit_statuses("batch withdraw"),
        "batch withdraw 17",
    )
    _add_batch(withdraw)
    status = database_action(
        "status",
        _status,
        "show how far a batch has come",
        f"Shows how far a batch has come. {_STATUSES}",
        "batch status 17 --watch",
    )
    _add_batch(status)
    status.flag("--watch", "until it has ended")
    status.flag("--json", "as one JSON object, and no progress")
    report = database_action(
        "report",
        _report,
        "write what became of each row of a batch",
        f"Writes a line for each row of a batch, as it is now. {_STATUSES}",
        "batch report 17 --report done.csv",
    )
    _add_batch(report)
    add_report(report, default="standard output")
    report.defaults(report=STDOUT)
    return [_submit_action(), batch_worker.action(), withdraw, status, report]


def _submit_action() -> Command:
    made = database_action(
        "submit",
        _submit,
        "put a file where workers on many machines take it up",
        "Checks a whole file, puts it into a PostgreSQL database in one transaction, and prints the batch's number. A "
        "file that is there already is found, not put there twice; rows of it that ended without an outcome are tried "
        f"again. {exit_statuses('batch submit')}",
        "batch submit orders.csv --rate 50",
    )
    operations = [operation.value for operation in BatchOperation]
    made.option(
        "--operation",
        type=one_of(BatchOperation, operations),
        default=BatchOperation.CAPTURE.value,
        metavar="|".join(operations),
        help="what is done with each row",
    )
    add_layout(made)
    made.option("--rate", type=rate, metavar="N", help="most rows a second, over all workers")
    made.option("--chunk-size", type=positive, metavar="N", help="rows of a chunk, about (by the file's size)")
    made.flag("--new-batch", "make another batch although this file is one already")
    add_another(made)
    made.flag("--release-remaining", "cancel: also release the rest of partly captured payments")
    made.flag("--json", "as one JSON object")
    return made


def _add_batch(command: Command) -> None:
    command.argument("batch", type=int, metavar="ID", help="what `batch submit` printed")


# --- submit ----------------------------------------------------------------------------------------------------------


async def _submit(options: Options) -> int:
    layout = layout_of(options)
    settings = Settings.from_env(os.environ)
    check_allowed_host(settings, options.allow_host)
    with RowStore() as store:
        totals, goes_on = await read_file(store, options, layout, reported=True)
        if not goes_on:
            say("Nothing was submitted. Correct the file, or go on without these rows: --skip-invalid")
            return ExitStatus.USAGE
        if not totals.rows:
            text = f"{options.file} has 0 rows: nothing was submitted."
            return finish(ExitStatus.DONE, json_line({"batch": None, "rows": 0}) if options.json else text)
        say(f"batch and journal in {PostgresPlace(options.dsn, options.schema).name}")
        if (status := await agree(store, layout, settings, before="Submit: ", yes=options.yes)) is not None:
            return status
        return await _put(options, store, layout, settings, totals)


async def _put(options: Options, store: RowStore, layout: Layout, settings: Settings, totals: Totals) -> int:
    from vipps_async.batch.distributed.submit import Submission, submit  # noqa: PLC0415 - needs the extra
    from vipps_async.journals.postgres.journal import PostgresJournal  # noqa: PLC0415 - as above

    msn = settings.merchant_serial_number
    async with opened_database(options) as database:
        journal = PostgresJournal(options.dsn, schema=options.schema)
        await journal.open()
        try:
            await say_what_is_damaged(journal)
            await hold_rows(store, layout.api, layout.operation, msn, journal)
        finally:
            await journal.aclose()
        found = await submit(
            database,
            store,
            Submission(
                layout=layout,
                merchant_serial_number=msn,
                environment=settings.environment,
                base_url=settings.base_url,
                released=options.another,
                rate=options.rate,
                release_remaining=options.release_remaining,
                new_batch=options.new_batch,
                chunk_size=options.chunk_size,
            ),
        )
    say_what_is_held(found.held, found.held_count, layout.api, reported=True)
    ending = ExitStatus.HELD if found.held_count else ExitStatus.DONE
    if options.json:
        facts = {
            "batch": found.batch,
            "api": layout.api.name,
            "new": found.is_new,
            "chunks": found.chunks,
            "held": found.held_count,
        }
        return finish(ending, json_line(facts | {"rows": totals.rows, "invalid": totals.bad}))
    if found.is_new:
        text = (
            f"Batch {found.batch}: {counted(totals.rows - totals.bad - found.held_count, 'row')} in "
            f"{counted(found.chunks, 'chunk')}, to "
            f"be {layout.operation.done} over {layout.api.name} for sales unit {msn} in the "
            f"{settings.environment.value} environment by `vipps-async batch work`."
        )
    else:
        text = f"This file is batch {found.batch} already; nothing was added."
        if found.chunks:
            what = "chunk of it that ended with rows without an outcome is"
            if found.chunks > 1:
                what = "chunks of it that ended with rows without an outcome are"
            text += f" {found.chunks:,} {what} tried again."
    say(text)
    return finish(ending, str(found.batch))


# --- status, report and withdraw --------------------------------------------------------------------------------------


async def _status(options: Options) -> int:
    """Show how far a batch has come, once or until it has ended; returns the exit status."""
    from vipps_async.batch.distributed.overview import status_of  # noqa: PLC0415 - needs the extra

    async with opened_database(options, only_read=True) as database:
        status = await status_of(database, options.batch)
        progress = Progress(rows=status.totals.rows - status.totals.bad)
        _fill(progress, status)
        progress.began_with = progress.worked_on
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
    ending = status_of_totals(status.totals) if status.is_ended else ExitStatus.NOT_ENDED
    return finish(ending, json_line(_status_facts(status)) if options.json else _status_text(status, progress))


def _fill(progress: Progress, status: BatchStatus) -> None:
    totals = status.totals
    progress.outcomes = Counter({out: n for out, n in totals.outcomes.items() if out is not RowOutcome.NOT_BEGUN})
    progress.moved = totals.moved.get(RowOutcome.DONE, 0) + totals.moved.get(RowOutcome.OTHERWISE, 0)
    progress.refusals = Counter(totals.refusals)


def _status_facts(status: BatchStatus) -> dict[str, object]:
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


def _status_text(status: BatchStatus, progress: Progress) -> str:
    unit = f"sales unit {status.merchant_serial_number} in the {status.environment} environment"
    lines = [f"Batch {status.batch}: to be {status.operation.done} over {status.api} for {unit}."]
    if status.is_ended:
        lines.append(summary(status.totals, payment_api(status.api), status.operation, preview=False))
        if not all(outcome.is_final for outcome in status.totals.outcomes):
            lines.append("To try the rest again, submit the same file again: what is done is not done twice.")
    else:
        lines.append(progress_line(progress, payment_api(status.api), status.operation, preview=False))
        lines.append(
            f"Chunks: {status.ended:,} ended, {status.running:,} in work, {status.waiting:,} waiting; "
            f"{counted(status.workers, 'worker')}."
        )
    if status.withdrawn_at is not None:
        lines.append(f"Withdrawn {status.withdrawn_at:%Y-%m-%d %H:%M:%S} UTC: nothing more of it is begun.")
    if status.note and status.withdrawn_at is None:
        lines.append(f"Last trouble: {plain(status.note)}")
    return "\n".join(lines)


async def _withdraw(options: Options) -> int:
    """Begin nothing more of a batch; returns the exit status."""
    from vipps_async.batch.distributed.overview import withdraw  # noqa: PLC0415 - needs the extra

    async with opened_database(options) as database:
        status = await withdraw(database, options.batch)
    text = f"Batch {options.batch} is withdrawn: nothing more of it is begun."
    if status.running:
        text += f" In work: {counted(status.running, 'chunk')}, which will end within some seconds: see `batch status`."
    return finish(ExitStatus.DONE, text)


async def _report(options: Options) -> int:
    """Write what became of each row; returns the exit status."""
    from vipps_async.batch.distributed.overview import report_of, status_of  # noqa: PLC0415 - needs the extra

    report = report_file(options.report, options.report_format, others=(), zone=options.time_zone)
    async with opened_database(options, only_read=True) as database:
        status = await status_of(database, options.batch)

        def write(to: Path, kind: ReportFormat, style: FileStyle) -> None:
            rows, api = report_of(database, options.batch), payment_api(status.api)
            write_report(to, rows, api, status.operation, kind, zone=report.zone, unit=status.unit, style=style)

        is_printed = await report.write(write, status.style)
    ending = status_of_totals(status.totals) if status.is_ended else ExitStatus.NOT_ENDED
    return ending if is_printed else ExitStatus.UNPRINTED
