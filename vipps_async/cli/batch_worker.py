"""`vipps-async batch work`: works on the batches of a database, beside any number of other workers."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from vipps_async.batch.many import DEFAULT_CONCURRENCY
from vipps_async.cli.batch_database import database_action
from vipps_async.cli.batch_file import concurrency, stop_signals
from vipps_async.cli.batch_output import counted
from vipps_async.cli.commands import Command, Options, UsageError
from vipps_async.cli.exit_status import ExitStatus, exit_statuses
from vipps_async.cli.options import add_allow_host, add_sales_unit, check_allowed_host
from vipps_async.cli.output import plain, say
from vipps_async.config import Settings
from vipps_async.journals.postgres.place import PostgresPlace

if TYPE_CHECKING:
    from vipps_async.batch.distributed.work import WorkDone


#: Seconds between two lines.
_LINE_EVERY = 5.0


def action() -> Command:
    """Make `batch work`."""
    work = database_action(
        "work",
        _work,
        "work on the batches of a database, beside any number of other workers",
        "Takes chunks of the batches of the sales unit of the VIPPS_ variables until it is stopped. Ctrl-C or SIGTERM "
        f"lets it finish what is on its way and give the rest back. {exit_statuses('batch work')}",
        "batch work --once",
    )
    work.option("--concurrency", type=concurrency, default=DEFAULT_CONCURRENCY, metavar="N", help="most at once")
    work.flag("--once", "end when nothing of any batch is left")
    add_sales_unit(work)
    add_allow_host(work)
    return work


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
            f"{session.environment.value} environment.\n"
            f"journal {plain(PostgresPlace(options.dsn, options.schema).name)}"
        )
        others = await open_elsewhere(found.database, session.merchant_serial_number)
        for msn, count in others.items():
            what = "batch of sales unit {msn} has" if count == 1 else "batches of sales unit {msn} have"
            say(f"{count:,} {what.format(msn=msn)} not ended: this worker takes none of them.")
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
        return ExitStatus.OTHER_SETTINGS if found.runner.has_other_settings else ExitStatus.REFUSED
    if stopped:
        say("Stopped. What is left goes to other workers, or to this one: `vipps-async batch work`.")
        return ExitStatus.INTERRUPTED
    # It had nothing to do, and what there is it may not do: whoever started it has meant something else.
    return ExitStatus.OTHER_SETTINGS if others and not done.chunks else ExitStatus.DONE


async def _tell(done: WorkDone) -> None:
    before = ""
    while True:
        await asyncio.sleep(_LINE_EVERY)
        if (line := _line(done)) != before:
            before = line
            say(line)


def _line(done: WorkDone) -> str:
    parts = [counted(done.chunks, "chunk")]
    parts += [f"{outcome.value} {count:,}" for outcome, count in done.outcomes.items() if count]
    return ", ".join(parts)
