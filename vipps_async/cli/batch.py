"""`vipps-async batch`: captures, refunds or cancels the payments of a file, and reports the outcome of every row."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from attrs import asdict, define, field

from vipps_async.batch.job import BatchJob, JobOptions
from vipps_async.batch.layout import Layout
from vipps_async.batch.left_to_move import left_to_move
from vipps_async.batch.many import DEFAULT_CONCURRENCY
from vipps_async.batch.report import Totals, write_report
from vipps_async.batch.results import RowCause, RowOutcome
from vipps_async.batch.row_store import RowStore
from vipps_async.batch.tables import FileStyle, ReportFormat
from vipps_async.cli import batch_machines
from vipps_async.cli.batch_file import (
    add_another,
    add_layout,
    agree,
    asked_text,
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
    MOST_NAMED,
    MOST_ROWS,
    STDOUT,
    ReportFile,
    add_report,
    report_file,
    rows_text,
    say_what_is_not_done,
    shown,
    summary,
    summary_json,
)
from vipps_async.cli.batch_settled import SettlingPlan
from vipps_async.cli.commands import Command, Group, Options
from vipps_async.cli.confirmation import is_asked, nobody_to_ask
from vipps_async.cli.exit_status import ExitStatus, exit_statuses, unprinted
from vipps_async.cli.journal_place import JournalPlace, StoredJournal, add_journal, place_of
from vipps_async.cli.journal_text import recovery_text
from vipps_async.cli.options import check_allowed_host
from vipps_async.cli.output import emit, json_line, plain, say, say_error
from vipps_async.config import Settings
from vipps_async.core.batch import BatchOperation
from vipps_async.errors import VippsError
from vipps_async.journals.sqlite.ownership import JournalInUseError
from vipps_async.money import format_amount
from vipps_async.session import VippsSession

#: How a row ends that this command has carried out.
_SETTLED = (RowOutcome.DONE, RowOutcome.OTHERWISE, RowOutcome.FOUND_DONE)


def command() -> Group:
    """Make `batch` with its actions."""
    return Group(
        "batch",
        "capture, refund or cancel the payments in a file",
        "Carries out what a file says, each row once, however often it is interrupted and run again.",
        actions=[*map(_action, BatchOperation), *batch_machines.actions()],
        examples=("batch capture orders.csv --dry-run", "batch capture orders.csv --report done.csv"),
    )


def _action(operation: BatchOperation) -> Command:
    made = Command(
        operation.value,
        _run,
        f"{operation.value} the payments in a file",
        f"Reads a CSV or JSON Lines file and will {operation.value} each row, for the sales unit of the "
        f"VIPPS_ variables. {exit_statuses('batch')} Run it again to go on.",
        examples=(
            f"batch {operation.value} orders.csv --dry-run",
            f"batch {operation.value} orders.csv --report done.csv --yes",
        ),
        # Only a cancel has an option for the latter.
        fixed={"operation": operation, **({} if operation is BatchOperation.CANCEL else {"release_remaining": False})},
    )
    add_layout(made)
    add_journal(made)
    add_report(made, default="none")
    made.option("--concurrency", type=concurrency, default=DEFAULT_CONCURRENCY, metavar="N", help="most at once")
    made.option("--rate", type=rate, metavar="N", help="most rows a second (as many as Vipps takes)")
    made.flag("--dry-run", "read each payment and say what would happen; change nothing")
    made.flag("--json", "the sums as one JSON object, and no progress")
    if operation is BatchOperation.CANCEL:
        made.flag("--release-remaining", "also release the rest of partly captured payments")
    add_another(made)
    return made


async def _run(options: Options) -> int:
    with RowStore() as store:
        command = _Command(options, store)
        try:
            return await command.run()
        except JournalInUseError as error:
            say(f"vipps-async: {plain(error)}\nNothing was sent. Wait longer with --wait, or try again.")
            return ExitStatus.BUSY
        except (VippsError, OSError, sqlite3.Error) as error:
            say_error(error)
            return command.status_after_failure()


@define
class _Command:
    options: Options
    store: RowStore
    layout: Layout = field(init=False)
    #: Whether anything may have been sent that moves money.
    has_begun: bool = field(default=False, init=False)
    #: Whether the journal has something open that cannot be read, and may have moved money.
    has_damaged: bool = field(default=False, init=False)
    #: Set at Ctrl-C; whether a second one has ended it in the middle.
    stop: asyncio.Event = field(factory=asyncio.Event, init=False)
    cut_short: bool = field(default=False, init=False)
    #: What is open before the rows; None: there is no journal, or it has not been opened.
    plan: SettlingPlan | None = field(default=None, init=False)
    #: None until it is told how it ended.
    status: int | None = field(default=None, init=False)

    async def run(self) -> int:
        """Check the file, ask, run it, write the report, and return the exit status."""
        options = self.options
        layout = self.layout = layout_of(options)
        settings = Settings.from_env(os.environ)
        check_allowed_host(settings, options.allow_host)
        place = place_of(options)
        others = [options.file, *place.files]
        report = None
        if options.report is not None:
            report = report_file(options.report, options.report_format, others=others, zone=options.time_zone)
        totals, goes_on = await read_file(self.store, options, layout, reported=report is not None)
        if report is not None:
            report.check_size(totals.rows)
        if not goes_on:
            await asyncio.to_thread(self.store.pass_over_all)
            await self._report(report)
            say("Nothing was sent. Correct the file, or go on without these rows: --skip-invalid")
            return ExitStatus.USAGE
        if not totals.rows:
            return await self._finish(totals, report)
        return await (self._preview(place, report) if options.dry_run else self._with_journal(place, settings, report))

    async def _preview(self, place: JournalPlace, report: ReportFile | None) -> int:
        async with contextlib.AsyncExitStack() as stack:
            # None is made for a look.
            journal = await self._opened(place, stack) if await place.exists() else None
            session = await stack.enter_async_context(VippsSession.from_env(journal=journal))
            if journal is not None:
                self.has_damaged = await say_what_is_damaged(journal)
                self.plan = SettlingPlan(session, journal, self.store, self.layout)
                await self.plan.show()
            return await self._carry_out(session, report)

    async def _with_journal(self, place: JournalPlace, settings: Settings, report: ReportFile | None) -> int:
        if (status := nobody_to_ask(settings, yes=self.options.yes)) is not None:
            return status
        async with contextlib.AsyncExitStack() as stack:
            is_there = await place.exists()
            say(place.told(is_there=is_there))
            # Nothing is made for somebody who says no.
            if not is_there and (status := await self._agree(settings, None, keeps_journal=False)) is not None:
                return status
            journal = await self._opened(place, stack)
            # First: what is in a journal of another Vipps concerns nobody here.
            session = await stack.enter_async_context(VippsSession.from_env(journal=journal))
            self.has_damaged = await say_what_is_damaged(journal)
            # Also in one that was not there a moment ago: another process may have made it meanwhile.
            plan = self.plan = SettlingPlan(session, journal, self.store, self.layout)
            if (status := await plan.agree(settings, yes=self.options.yes, is_shared=place.is_shared)) is not None:
                return status
            if plan.found.count:
                await self._settle(plan)
            # A yes that was given before was to the file alone: what was settled since then may be some of its rows.
            if (is_there or self.has_settled) and not self.stop.is_set():
                status = await self._agree_beside(settings, journal, keeps_journal=not place.is_shared)
                if status is not None:
                    return await self._told_no(report) if self.has_settled else status
                await plan.leave_what_came()
            return await self._carry_out(session, report)

    async def _opened(self, place: JournalPlace, stack: contextlib.AsyncExitStack) -> StoredJournal:
        journal = await place.open()
        stack.push_async_callback(journal.aclose)
        return journal

    async def _settle(self, plan: SettlingPlan) -> None:
        """Settle what is open: a step of its own, as it moves money, too."""
        self.has_begun = True
        with self._until_stopped():
            await plan.settle(self.stop)
        if plan.recovered is not None:
            self._say(f"Settled before the first row: {recovery_text(plan.recovered)}")

    @property
    def has_settled(self) -> bool:
        """Whether something was open before the first row, and was to be settled."""
        return self.plan is not None and self.plan.recovered is not None

    async def _agree(self, settings: Settings, journal: StoredJournal | None, *, keeps_journal: bool) -> int | None:
        declined = "Nothing was sent by this command." if self.has_damaged else "Nothing was sent: no money moved."
        # What was settled before it is told with its sums.
        declined = "" if self.has_settled else declined
        store, layout, yes, left = self.store, self.layout, self.options.yes, None
        if is_asked(settings, yes=yes):
            unit = settings.merchant_serial_number
            left = await left_to_move(store, journal, layout.api, layout.operation, unit)
        return await agree(store, layout, settings, left=left, yes=yes, keeps_journal=keeps_journal, declined=declined)

    async def _agree_beside(self, settings: Settings, journal: StoredJournal, *, keeps_journal: bool) -> int | None:
        """Ask about the file while the journal is kept; Ctrl-C is a no where there is something to tell after it."""
        try:
            return await self._agree(settings, journal, keeps_journal=keeps_journal)
        except asyncio.CancelledError:
            if not self.has_settled:
                raise
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 - as below
            task.uncancel()
            self.stop.set()
            return ExitStatus.INTERRUPTED

    async def _told_no(self, report: ReportFile | None) -> int:
        """Tell what was settled before somebody said no to the rest of the file, and return the exit status."""
        failure = await self._look_back()
        totals = await asyncio.to_thread(self.store.totals)
        count = sum(totals.outcomes.get(each, 0) for each in _SETTLED)
        if count:
            moved = format_amount(sum(totals.moved.get(each, 0) for each in _SETTLED), self.layout.api.currency)
            rows = "1 row of the file was" if count == 1 else f"{count:,} rows of the file were"
            say(f"{rows} settled before the question ({moved}); no other one was sent.")
        else:
            say("Nothing of the file was sent; what was settled before it stands above.")
        return await self._finish(totals, report, failure)

    async def _look_back(self) -> str:
        return "" if self.plan is None else await self.plan.look_back()

    @contextlib.contextmanager
    def _until_stopped(self) -> Iterator[None]:
        """Stop in good order at Ctrl-C; at the second one end at once, which is our own doing and goes no further."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker; a coroutine that runs is in one
        try:
            with stop_signals(self.stop.set, task.cancel):
                yield
        except asyncio.CancelledError:
            # What is left to do is to say where it stands.
            self.cut_short = True
            task.uncancel()

    def status_after_failure(self) -> int:
        """Return the exit status after a failure that has been told, and say what it means for the money."""
        if self.status is not None:
            say("What is said above holds all the same.")
            return self.status
        if not self.has_begun:
            say("Nothing was sent.")
            return ExitStatus.USAGE
        say("Money may have moved: what was sent stands in the journal.\nTo find out, run the same command again: ")
        say("what is done is not done twice.")
        return ExitStatus.UNKNOWN

    # --- the run ---------------------------------------------------------------------------------------------------

    async def _carry_out(self, session: VippsSession, report: ReportFile | None) -> int:
        options, api, operation = self.options, self.layout.api, self.layout.operation
        job = BatchJob(
            session,
            self.store,
            JobOptions(
                api=api,
                operation=operation,
                concurrency=options.concurrency,
                rate=options.rate,
                release_remaining=options.release_remaining,
                leave=frozenset() if self.plan is None else self.plan.leave,
                preview=options.dry_run,
            ),
            stop=self.stop,
        )
        self._say(
            f"{'Looking at' if options.dry_run else 'To be ' + operation.done}: {options.file}, over "
            f"{api.name} for sales unit {session.merchant_serial_number} in the {session.environment.value} "
            "environment."
        )
        failure = ""
        self.has_begun = not options.dry_run
        try:
            with self._until_stopped():
                async with shown(job.progress, api, operation, quiet=options.json, preview=options.dry_run):
                    await job.run()
            failure = job.gave_up
        except VippsError as error:
            # Vipps does not answer, or the journal fails: what was done until then is told like everything else.
            failure = str(error)
        not_found = await self._look_back()
        failure = failure or not_found
        return await self._finish(await asyncio.to_thread(self.store.totals), report, failure)

    async def _finish(self, totals: Totals, report: ReportFile | None, failure: str = "") -> int:
        """Say how it ended, write the report, and return the exit status."""
        options, api = self.options, self.layout.api
        shown_rows = await asyncio.to_thread(self._dry_run_text, totals) if options.dry_run else ""
        status = ExitStatus.INTERRUPTED if self._is_interrupted(totals) else status_of_totals(totals)
        held = await asyncio.to_thread(self.store.held_rows)
        say_what_is_held(held, totals.outcomes.get(RowOutcome.HELD, 0), api, reported=report is not None)
        if report is None and not (options.dry_run and totals.rows <= MOST_ROWS):
            rows = await asyncio.to_thread(self.store.unsuccessful_rows, MOST_NAMED)
            say_what_is_not_done(rows, totals, options.operation, preview=options.dry_run)
        if count := (await asyncio.to_thread(self.store.of_cause, RowCause.PART_CAPTURED))[0]:
            what = "payment is" if count == 1 else "payments are"
            say(f"{count:,} {what} captured in part: to release the rest, run it again with --release-remaining")
        is_printed = self._tell_how_it_ended(totals, failure, before=shown_rows)
        if not await self._report(report):
            say("To write it, run the same command again: what is done is not done twice.")
            is_printed = False
        self.status = status if is_printed else unprinted(status)
        return self.status

    def _is_interrupted(self, totals: Totals) -> bool:
        """Whether it ended by Ctrl-C or SIGTERM: not one that came when all was done."""
        recovered = None if self.plan is None else self.plan.recovered
        is_left = self.cut_short or (recovered is not None and bool(recovered.stopped))
        return self.stop.is_set() and (is_left or not all(outcome.is_final for outcome in totals.outcomes))

    def _dry_run_text(self, totals: Totals) -> str:
        """Say what the file asks for and, unless the report is printed, what would become of its first rows."""
        text = f"{asked_text(self.store.requested_totals(), self.layout)}.\n"
        if self.options.report == STDOUT:
            return text
        rows = rows_text(self.store.report(), totals.rows, self.layout.api, self.options.operation)
        return f"{text}{rows}\n" if rows else text

    def _tell_how_it_ended(self, totals: Totals, failure: str, *, before: str) -> bool:
        """Tell the sums; returns whether they could be written where they belong."""
        options = self.options
        if options.json:
            asked = {"asked": asdict(self.store.requested_totals())} if options.dry_run else {}
            settled = {"settled_first": None} if self.plan is None else self.plan.facts()
            text = json_line(summary_json(totals, self.layout.api, options.operation) | asked | settled)
        elif not totals.rows:
            text = f"{options.file} has 0 rows: nothing to do."
        else:
            text = before + summary(totals, self.layout.api, options.operation, preview=options.dry_run)
            text = "\n".join(filter(None, (text, "" if self.plan is None else self.plan.text())))
        is_printed = True
        if options.report == STDOUT:
            say(text)
        else:
            is_printed = emit(text)
        if failure:
            say(f"vipps-async: {plain(failure)}")
        if self.cut_short:
            say("Ended in the middle of it: what was on its way is noted, and settled next time.")
        if self._is_interrupted(totals) or failure or not all(outcome.is_final for outcome in totals.outcomes):
            say("To go on, run the same command again: what is done is not done twice.")
        return is_printed

    async def _report(self, report: ReportFile | None) -> bool:
        options = self.options
        if report is None:
            return True

        def write(path: Path, kind: ReportFormat, style: FileStyle) -> None:
            write_report(
                path,
                self.store.report(),
                self.layout.api,
                options.operation,
                kind,
                zone=report.zone,
                unit=self.store.unit or self.layout.unit,
                style=style,
                preview=options.dry_run,
            )

        return await report.write(write, self.store.style, quiet=options.json)

    def _say(self, text: str) -> None:
        if not self.options.json:
            say(text)
