"""`vipps-async batch`: captures, refunds or cancels what a file says, and tells the truth about every row."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from attrs import frozen

from vipps_async.batch.amounts import Unit
from vipps_async.batch.job import BatchJob, JobOptions, check_same_file, take_over
from vipps_async.batch.many import DEFAULT_CONCURRENCY
from vipps_async.batch.reading import BatchFileError, FileFormat, Layout
from vipps_async.batch.report import write_report
from vipps_async.batch.rows import BatchOperation
from vipps_async.batch.worklist import Totals, Worklist
from vipps_async.cli import batch_machines
from vipps_async.cli.batch_display import shown, summary, summary_json
from vipps_async.cli.batch_file import (
    INPUT,
    INTERRUPTED,
    SOME_REFUSED,
    STDIN,
    concurrency,
    format_of,
    kind_of_report,
    load_file,
    rate,
    say_what_is_bad,
    status_of_totals,
)
from vipps_async.config import Environment, Settings
from vipps_async.errors import VippsError
from vipps_async.journals import SqliteJournal
from vipps_async.session import VippsSession

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it

__all__ = ["add_command"]


def add_command(commands: Commands) -> None:
    """Add `batch capture`, `batch refund` and `batch cancel` to the command line."""
    parser = commands.add_parser(
        "batch",
        help="capture, refund or cancel the payments in a file",
        description="Carries out what a file says, each row once, however often it is interrupted and run again.",
    )
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    for operation in BatchOperation:
        _add_action(actions, operation)
    batch_machines.add_actions(actions)


def _add_action(actions: Commands, operation: BatchOperation) -> None:
    parser = actions.add_parser(
        operation.value,
        help=f"{operation.value} the payments in a file",
        description=f"Reads a CSV or JSON Lines file and will {operation.value} each row, for the sales unit of the "
        f"VIPPS_ variables. Exit status 0: all {operation.done}; 1: some refused or not done; 3: some of unknown "
        "outcome; 2: usage or input, and nothing was sent; 130: ended by Ctrl-C. Run it again to go on.",
    )
    parser.add_argument("file", metavar="FILE", help="the file, or - for standard input")
    parser.add_argument("--format", type=FileFormat, metavar="csv|jsonl", help="how it is written (found out)")
    parser.add_argument("--journal", type=Path, metavar="PATH", help="where it is noted (default: beside the file)")
    parser.add_argument("--report", type=Path, metavar="PATH", help="a line for each row, .csv or .jsonl")
    parser.add_argument("--transaction-text", metavar="TEXT", help="for all rows of a file without such a column")
    parser.add_argument("--skip-invalid", action="store_true", help="go on without rows that are invalid")
    parser.add_argument(
        "--concurrency", type=concurrency, default=DEFAULT_CONCURRENCY, metavar="N", help="most at once (%(default)s)"
    )
    parser.add_argument("--rate", type=rate, metavar="N", help="most rows a second (as many as Vipps takes)")
    parser.add_argument("--dry-run", action="store_true", help="ask details and say what would happen; change nothing")
    parser.add_argument("--json", action="store_true", help="the sums as one JSON object, and no progress")
    if operation is BatchOperation.CANCEL:
        parser.add_argument(
            "--release-remaining", action="store_true", help="also release the rest of partly captured payments"
        )
        parser.set_defaults(unit=None, even_if_changed=True)
    else:
        parser.add_argument(
            "--unit",
            type=Unit,
            metavar="ore|nok",
            help="what a column `amount` is counted in",
        )
        parser.add_argument(
            "--even-if-changed",
            action="store_true",
            help="go on although the journal shows that the file was another one before",
        )
        parser.set_defaults(release_remaining=False)
    parser.set_defaults(run=_run, operation=operation, refuse_usage=parser.error)


async def _run(options: argparse.Namespace) -> int:
    if options.file == STDIN and options.journal is None and not options.dry_run:
        options.refuse_usage("standard input has no place beside which to keep the journal: give --journal")
    try:
        with Worklist() as worklist:
            return await _Command(options, worklist).run()
    except (VippsError, OSError) as error:
        print(f"vipps-async: {error}", file=sys.stderr)
        return INPUT


@frozen
class _Command:
    options: argparse.Namespace
    worklist: Worklist

    async def run(self) -> int:
        """Check the file, run it, write the report, and tell the exit status."""
        options, operation = self.options, self.options.operation
        if options.report is not None and not options.report.parent.is_dir():
            raise BatchFileError(f"there is no directory {options.report.parent} for the report")
        layout = Layout(
            operation=operation,
            format=format_of(options.file, options.format),
            unit=options.unit,
            transaction_text=options.transaction_text,
        )
        await load_file(self.worklist, options.file, layout)
        totals = await asyncio.to_thread(self.worklist.totals)
        if totals.bad:
            say_what_is_bad(self.worklist, totals, reported=options.report is not None)
            if not options.skip_invalid:
                await self._report()
                print(
                    "Nothing was sent. Correct the file, or go on without these rows: --skip-invalid", file=sys.stderr
                )
                return INPUT
        environment = Settings.from_env(os.environ).environment
        journal = None if options.dry_run else SqliteJournal(self._journal_path(environment))
        session = VippsSession.from_env(journal=journal)
        if journal is None:
            async with session:
                return await self._carry_out(session)
        await journal.open()
        try:
            # The file has one owner at a time, and that is this process now: whoever had something in hand has ended.
            await take_over(journal)
            if not options.even_if_changed:
                await check_same_file(journal, self.worklist, session, operation)
            async with session:
                return await self._carry_out(session)
        finally:
            await journal.aclose()

    # --- before ----------------------------------------------------------------------------------------------------

    def _journal_path(self, environment: Environment) -> Path:
        if self.options.journal is not None:
            path: Path = self.options.journal
            return path
        # Not the same one for play money and for real money: what is done in one is not done in the other.
        test = "" if environment is Environment.PRODUCTION else ".test"
        return Path(f"{self.options.file}{test}.journal.db")

    # --- the run ---------------------------------------------------------------------------------------------------

    async def _carry_out(self, session: VippsSession) -> int:
        options, operation = self.options, self.options.operation
        stop = asyncio.Event()
        job = BatchJob(
            session,
            self.worklist,
            JobOptions(
                operation=operation,
                concurrency=options.concurrency,
                rate=options.rate,
                should_release_remaining_funds=options.release_remaining,
                preview=options.dry_run,
            ),
            stop=stop,
        )
        self._say(
            f"{'Looking at' if options.dry_run else 'To be ' + operation.done}: {options.file}, for sales unit "
            f"{session.merchant_serial_number} in the {session.environment.value} environment."
        )
        failure, cut_short = "", False
        try:
            async with shown(job.progress, operation, quiet=options.json, preview=options.dry_run):
                with _signals(stop):
                    await job.run()
        except VippsError as error:
            # Vipps does not answer, or the journal fails: what was done until then is told like everything else.
            failure = str(error)
        except asyncio.CancelledError:
            # Our own doing, in `_signals`: what is left to do is to say where it stands.
            cut_short = True
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
        totals = await asyncio.to_thread(self.worklist.totals)
        status = INTERRUPTED if stop.is_set() else status_of_totals(totals)
        try:
            await self._report()
        except OSError as error:
            failure = f"{failure} The report could not be written: {error}".lstrip()
            status = status or SOME_REFUSED
        self._say_how_it_ended(totals, failure, stopped=stop.is_set(), cut_short=cut_short)
        return status

    def _say_how_it_ended(self, totals: Totals, failure: str, *, stopped: bool, cut_short: bool) -> None:
        options = self.options
        if options.json:
            print(orjson.dumps(summary_json(totals, options.operation)).decode())
        else:
            print(summary(totals, options.operation, preview=options.dry_run))
        if failure:
            print(f"vipps-async: {failure}", file=sys.stderr)
        if cut_short:
            print("Ended in the middle of it: what was on its way is noted, and settled next time.", file=sys.stderr)
        if stopped or failure or not all(outcome.is_final for outcome in totals.outcomes):
            print("To go on, run the same command again: what is done is not done twice.", file=sys.stderr)

    async def _report(self) -> None:
        options = self.options
        if options.report is None:
            return
        kind = kind_of_report(options.report)
        await asyncio.to_thread(
            write_report, options.report, self.worklist.report(), options.operation, kind, preview=options.dry_run
        )
        self._say(f"Report: {options.report}")

    def _say(self, text: str) -> None:
        if not self.options.json:
            print(text, file=sys.stderr)


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """End a run in good order at the first Ctrl-C, and at once at the second one."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def end() -> None:
        if stop.is_set():
            if task is not None:
                task.cancel()
            return
        stop.set()
        print("\nFinishing what is on its way; Ctrl-C once more ends it at once.", file=sys.stderr)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
