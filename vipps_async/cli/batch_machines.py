"""`vipps-async batch submit`, `work`, `status`, `report` and `withdraw`: one batch on many machines."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from vipps_async.apis import payment_api
from vipps_async.batch.distributed import OtherSettingsError, SubmissionUnknownError
from vipps_async.batch.holding import hold_rows
from vipps_async.batch.job import Progress
from vipps_async.batch.layout import Layout
from vipps_async.batch.many import DEFAULT_CONCURRENCY
from vipps_async.batch.report import Totals, write_report
from vipps_async.batch.results import RowOutcome
from vipps_async.batch.row_store import RowStore
from vipps_async.batch.tables import FileStyle, ReportFormat
from vipps_async.cli.batch_file import (
    add_another,
    add_layout,
    agree,
    concurrency,
    layout_of,
    rate,
    read_file,
    say_what_is_damaged,
    say_what_is_held,
    status_of_totals,
    stop_signals,
)
from vipps_async.cli.batch_output import (
    STDOUT,
    add_report,
    progress_line,
    report_file,
    shown,
    summary,
    summary_json,
)
from vipps_async.cli.commands import Command, Options, Run, UsageError
from vipps_async.cli.options import add_allow_host, add_sales_unit, check_allowed_host, one_of, positive
from vipps_async.cli.output import (
    DONE,
    HELD,
    INTERRUPTED,
    NOT_ENDED,
    OTHER_SETTINGS,
    REFUSED,
    UNKNOWN,
    UNPRINTED,
    USAGE,
    finish,
    json_line,
    plain,
    say,
)
from vipps_async.config import Settings
from vipps_async.core.batch import BatchOperation
from vipps_async.errors import ConfigurationError, JournalError, VippsError
from vipps_async.extras import text_for_missing

if TYPE_CHECKING:
    from vipps_async.batch.distributed.database import BatchDatabase
    from vipps_async.batch.distributed.overview import BatchStatus
    from vipps_async.batch.distributed.work import WorkDone


__all__ = ["actions"]

#: Where the database is, if the command line does not say so: there a password would stand in every list of processes.
_DSN_VARIABLE = "VIPPS_BATCH_DSN"
#: Seconds between two lines of a worker.
_LINE_EVERY = 5.0
#: Seconds between two looks at a batch, and how many of them may fail in a row.
_WATCH_EVERY, _FAILURES = 2.0, 15

_STATUSES = (
    "Exit status 0: all done; 1: some refused or not done; 3: some of unknown outcome, or carried out otherwise "
    "than asked; 4: it has not ended yet; "
    "2: usage or input."
)


def actions() -> list[Command]:
    """Make what a batch on many machines needs of `vipps-async batch`."""
    work = _action(
        "work",
        _work,
        "work on the batches of a database, beside any number of other workers",
        "Takes chunks of the batches of the sales unit of the VIPPS_ variables until it is stopped. Ctrl-C or SIGTERM "
        "lets it finish what is on its way and give the rest back. Exit status 0: it came to its end; 130: stopped; "
        "1: it cannot work, such as with keys that are not accepted; 2: usage or input; 7: the batches are of another "
        "sales unit, environment or host.",
        "batch work --once",
    )
    work.option("--concurrency", type=concurrency, default=DEFAULT_CONCURRENCY, metavar="N", help="most at once")
    work.flag("--once", "end when nothing of any batch is left")
    add_sales_unit(work)
    add_allow_host(work)
    withdraw = _action(
        "withdraw",
        _withdraw,
        "begin nothing more of a batch",
        "Withdraws a batch: nothing more of it is begun, what is on its way is finished, and what is done stays done. "
        "Exit status 0: it is withdrawn; 2: usage or input; 8: it is withdrawn, but that could not be printed.",
        "batch withdraw 17",
    )
    _add_batch(withdraw)
    status = _action(
        "status",
        _status,
        "show how far a batch has come",
        f"Shows how far a batch has come. {_STATUSES}",
        "batch status 17 --watch",
    )
    _add_batch(status)
    status.flag("--watch", "until it has ended")
    status.flag("--json", "as one JSON object, and no progress")
    report = _action(
        "report",
        _report,
        "write what became of each row of a batch",
        f"Writes a line for each row of a batch, as it is now. {_STATUSES}",
        "batch report 17 --report done.csv",
    )
    _add_batch(report)
    add_report(report, default="standard output")
    report.defaults(report=STDOUT)
    return [_submit_action(), work, withdraw, status, report]


def _submit_action() -> Command:
    made = _action(
        "submit",
        _submit,
        "put a file where workers on many machines take it up",
        "Checks a whole file, puts it into a PostgreSQL database in one transaction, and prints the batch's number. A "
        "file that is there already is found, not put there twice; rows of it that ended without an outcome are tried "
        "again. Exit status 0: it is there; 5: it is there, and some rows are held; 2: usage or input, and nothing was "
        "submitted; 3: the database has not said whether it is there; 7: the schema is of other settings; 8: it is "
        "there, but its number could not be printed.",
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


def _check(options: Options) -> None:
    if not options.dsn:
        raise UsageError(f"which database? give --dsn, or set {_DSN_VARIABLE}")
    if getattr(options, "release_remaining", False) and options.operation is not BatchOperation.CANCEL:
        raise UsageError("--release-remaining belongs to a cancel")


def _action(name: str, run: Run, purpose: str, description: str, example: str) -> Command:
    async def guarded(options: Options) -> int:
        try:
            _check_extra(name)
            return await run(options)
        except (VippsError, OSError, sqlite3.Error) as error:
            say(f"vipps-async: {plain(error)}")
            return _status_of(error)

    made = Command(name, guarded, purpose, description, examples=[example], check=_check)
    made.option(
        "--dsn",
        # Not shown with the help: it may hold a password.
        default=lambda: os.environ.get(_DSN_VARIABLE),
        show_default=False,
        help=f"the PostgreSQL database (or {_DSN_VARIABLE}); leave its password to PGPASSWORD or ~/.pgpass",
    )
    made.option("--schema", default="vipps_async", help="its schema")
    return made


def _status_of(error: Exception) -> int:
    if isinstance(error, SubmissionUnknownError):
        return UNKNOWN
    return OTHER_SETTINGS if isinstance(error, OtherSettingsError) else USAGE


def _check_extra(name: str) -> None:
    try:
        import procrastinate  # noqa: F401, PLC0415 - an extra
        import psycopg_pool  # noqa: F401, PLC0415 - as above
    except ImportError as error:
        raise ConfigurationError(
            text_for_missing(f"`batch {name}`", "distributed"), advice=f"a library could not be loaded: {error}"
        ) from error
    # What they have to say of a database that is away is said in our own words.
    for theirs in ("procrastinate", "psycopg"):
        logging.getLogger(theirs).addHandler(logging.NullHandler())


# --- submit ----------------------------------------------------------------------------------------------------------


async def _submit(options: Options) -> int:
    layout = layout_of(options)
    settings = Settings.from_env(os.environ)
    check_allowed_host(settings, options.allow_host)
    with RowStore() as store:
        totals, goes_on = await read_file(store, options, layout, reported=True)
        if not goes_on:
            say("Nothing was submitted. Correct the file, or go on without these rows: --skip-invalid")
            return USAGE
        if not totals.rows:
            text = f"{options.file} has 0 rows: nothing was submitted."
            return finish(DONE, json_line({"batch": None, "rows": 0}) if options.json else text)
        if (status := await agree(store, layout, settings, before="Submit: ", yes=options.yes)) is not None:
            return status
        return await _put(options, store, layout, settings, totals)


async def _put(options: Options, store: RowStore, layout: Layout, settings: Settings, totals: Totals) -> int:
    from vipps_async.batch.distributed.submit import Submission, submit  # noqa: PLC0415 - needs the extra
    from vipps_async.journals.postgres.journal import PostgresJournal  # noqa: PLC0415 - as above

    msn = settings.merchant_serial_number
    async with _opened_database(options) as database:
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
    ending = HELD if found.held_count else DONE
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
            f"Batch {found.batch}: {totals.rows - totals.bad - found.held_count:,} rows in {found.chunks:,} chunks, to "
            f"be {layout.operation.done} over {layout.api.name} for sales unit {msn} in the "
            f"{settings.environment.value} environment by `vipps-async batch work`."
        )
    else:
        text = f"This file is batch {found.batch} already; nothing was added."
        if found.chunks:
            text += f" {found.chunks:,} chunks of it that ended with rows without an outcome are tried again."
    say(text)
    return finish(ending, str(found.batch))


# --- work ------------------------------------------------------------------------------------------------------------


async def _work(options: Options) -> int:
    from vipps_async.batch.distributed.overview import open_elsewhere  # noqa: PLC0415 - needs the extra
    from vipps_async.batch.distributed.worker import BatchTasks, BatchWorker  # noqa: PLC0415 - as above

    if not os.environ.get("VIPPS_ENVIRONMENT"):
        # A worker that guesses would take real money for play money, or stall a batch.
        raise UsageError("which environment? set VIPPS_ENVIRONMENT to test or production")
    check_allowed_host(Settings.from_env(os.environ), options.allow_host)
    found = BatchTasks(options.dsn, schema=options.schema, own_jobs=True, concurrency=options.concurrency)
    async with found:
        worker, session, done = BatchWorker(found), found.session, found.runner.done
        say(
            f"Worker {found.name}, for sales unit {session.merchant_serial_number} in the "
            f"{session.environment.value} environment."
        )
        others = await open_elsewhere(found.database, session.merchant_serial_number)
        for msn, count in others.items():
            say(f"{count:,} batches of sales unit {msn} have not ended: this worker takes none of them.")
        ticker = asyncio.create_task(_tell(done), name="vipps batch: lines")
        try:
            with stop_signals(worker.stop, worker.kill) as stopped:
                await worker.run(once=options.once)
        finally:
            ticker.cancel()
            await asyncio.wait({ticker})
    say(_line(done))
    if found.runner.stop_reason:
        say(f"vipps-async: {plain(found.runner.stop_reason)}")
        return OTHER_SETTINGS if found.runner.has_other_settings else REFUSED
    if stopped:
        say("Stopped. What is left goes to other workers, or to this one: `vipps-async batch work`.")
        return INTERRUPTED
    # It had nothing to do, and what there is it may not do: whoever started it has meant something else.
    return OTHER_SETTINGS if others and not done.chunks else DONE


async def _tell(done: WorkDone) -> None:
    before = ""
    while True:
        await asyncio.sleep(_LINE_EVERY)
        if (line := _line(done)) != before:
            before = line
            say(line)


def _line(done: WorkDone) -> str:
    parts = [f"{done.chunks:,} chunks"]
    parts += [f"{outcome.value} {count:,}" for outcome, count in done.outcomes.items() if count]
    return ", ".join(parts)


# --- status, report and withdraw --------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _opened_database(options: Options, *, only_read: bool = False) -> AsyncIterator[BatchDatabase]:
    """Open the database that the command line names; `only_read` needs no rights to write, and makes nothing."""
    from vipps_async.batch.distributed.database import BatchDatabase  # noqa: PLC0415 - needs the extra

    database = BatchDatabase(options.dsn, schema=options.schema, only_read=only_read)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def _status(options: Options) -> int:
    """Show how far a batch has come, once or until it has ended; returns the exit status."""
    from vipps_async.batch.distributed.overview import status_of  # noqa: PLC0415 - needs the extra

    async with _opened_database(options, only_read=True) as database:
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
    ending = status_of_totals(status.totals) if status.is_ended else NOT_ENDED
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
        chunks = f"{status.ended:,} chunks have ended, {status.running:,} are in work, {status.waiting:,} wait"
        lines.append(f"{chunks}; {status.workers:,} workers.")
    if status.withdrawn_at is not None:
        lines.append(f"Withdrawn {status.withdrawn_at:%Y-%m-%d %H:%M:%S} UTC: nothing more of it is begun.")
    if status.note and status.withdrawn_at is None:
        lines.append(f"Last trouble: {plain(status.note)}")
    return "\n".join(lines)


async def _withdraw(options: Options) -> int:
    """Begin nothing more of a batch; returns the exit status."""
    from vipps_async.batch.distributed.overview import withdraw  # noqa: PLC0415 - needs the extra

    async with _opened_database(options) as database:
        status = await withdraw(database, options.batch)
    text = f"Batch {options.batch} is withdrawn: nothing more of it is begun."
    if status.running:
        text += f" {status.running:,} chunks are in work, and end within some seconds: see `batch status`."
    return finish(DONE, text)


async def _report(options: Options) -> int:
    """Write what became of each row; returns the exit status."""
    from vipps_async.batch.distributed.overview import report_of, status_of  # noqa: PLC0415 - needs the extra

    report = report_file(options.report, options.report_format, others=(), zone=options.time_zone)
    async with _opened_database(options, only_read=True) as database:
        status = await status_of(database, options.batch)

        def write(to: Path, kind: ReportFormat, style: FileStyle) -> None:
            rows, api = report_of(database, options.batch), payment_api(status.api)
            write_report(to, rows, api, status.operation, kind, zone=report.zone, unit=status.unit, style=style)

        is_printed = await report.write(write, status.style)
    ending = status_of_totals(status.totals) if status.is_ended else NOT_ENDED
    return ending if is_printed else UNPRINTED
