"""Reads the file of every `vipps-async batch` command: checks it whole, reports errors, asks, maps exit statuses."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import click

from vipps_async.apis import APIS, IN_OTHER_CURRENCIES
from vipps_async.batch.layout import BatchFileError, FileFormat, Layout
from vipps_async.batch.left_to_move import LeftToMove
from vipps_async.batch.many import MOST_AT_ONCE
from vipps_async.batch.report import HeldRow, Totals
from vipps_async.batch.results import RowCause, RowOutcome
from vipps_async.batch.row_store import RequestedTotals, RowStore
from vipps_async.cli.batch_output import counted
from vipps_async.cli.commands import Command, Options
from vipps_async.cli.confirmation import add_yes, ask, is_asked
from vipps_async.cli.exit_status import ExitStatus
from vipps_async.cli.options import Reader, add_allow_host, add_api, add_sales_unit, number_from, one_of
from vipps_async.cli.output import plain, say
from vipps_async.config import Settings
from vipps_async.core.batch import BatchOperation
from vipps_async.core.payment_api import PaymentApi, Unit
from vipps_async.core.undecided import damaged_text
from vipps_async.errors import ConfigurationError
from vipps_async.journals.protocol import Journal
from vipps_async.money import format_amount

#: Bad rows that are shown on the screen; the report has all of them.
_MOST_SHOWN = 20
STDIN = "-"


#: How many rows at once, and how many a second.
concurrency: Reader = number_from(int, 1, MOST_AT_ONCE, f"not from 1 to {MOST_AT_ONCE}")
rate: Reader = number_from(float, sys.float_info.min, sys.float_info.max, "no positive number")


def add_layout(command: Command) -> None:
    """Give a command its file, and the options that say what it means and whether to ask."""
    command.argument("file", type=click.Path(allow_dash=True), metavar="FILE", help="the file, or - for standard input")
    add_api(command)
    add_sales_unit(command)
    command.option(
        "--format",
        type=one_of(FileFormat, [kind.value for kind in FileFormat]),
        metavar="csv|jsonl",
        help="how it is written (found out)",
    )
    units = dict.fromkeys(unit.name for api in (APIS | IN_OTHER_CURRENCIES).values() for unit in api.units)
    command.option("--unit", metavar="|".join(units), help="what a column `amount` is counted in")
    command.option("--transaction-text", metavar="TEXT", help="for all rows of a file without such a column")
    command.option(
        "--column",
        multiple=True,
        type=Reader(_column),
        metavar="NAME=HEADING",
        help="what the file calls a column, such as order_id=Ordre; once for each",
    )
    command.option("--ignore-other-columns", is_flag=True, help="pass over columns that are not known")
    command.option("--all", "takes_all", is_flag=True, help="take all that is left in each row")
    command.option("--encoding", default="utf-8", metavar="NAME", help="such as windows-1252")
    command.option("--skip-invalid", is_flag=True, help="go on without rows that are invalid")
    add_yes(command)
    add_allow_host(command)


def _column(text: str) -> tuple[str, str]:
    name, equals, heading = text.partition("=")
    if not (name and equals and heading):
        raise ValueError(f"{text!r} is not NAME=HEADING, such as order_id=Ordre")
    return name, heading


def layout_of(options: Options) -> Layout:
    """Put together what the command line says of its file.

    Raises:
        ConfigurationError: the API's amounts are not counted so, or a column is named twice.
        InvalidInputError: there is no such column or encoding.
    """
    columns = dict(options.column)
    if len(columns) != len(options.column):
        raise ConfigurationError("--column names a column twice", advice="give each once")
    api: PaymentApi = options.api
    kind = options.format
    if kind is None and options.file != STDIN:
        suffix = Path(options.file).suffix.lower()
        kind = {".csv": FileFormat.CSV, ".jsonl": FileFormat.JSONL, ".ndjson": FileFormat.JSONL}.get(suffix)
    return Layout(
        api=api,
        operation=options.operation,
        format=kind,
        unit=None if options.unit is None else _unit(api, options.unit),
        text=options.transaction_text,
        columns=columns,
        ignore_other_columns=options.ignore_other_columns,
        takes_all=options.takes_all,
        encoding=options.encoding,
        elsewhere={
            f"amount_{unit.name}": f". Amounts in {other.currency}: --api {name}"
            for name, other in IN_OTHER_CURRENCIES.items()
            for unit in other.units
            if other.name == api.name and other is not api
        },
    )


def _unit(api: PaymentApi, name: str) -> Unit:
    for unit in api.units:
        if unit.name == name:
            return unit
    known = " or ".join(unit.name for unit in api.units)
    raise ConfigurationError(
        f"{api.name} counts no amounts in {name!r} where they are {api.currency}", advice=f"say --unit {known}"
    )


async def read_file(store: RowStore, options: Options, layout: Layout, *, reported: bool) -> tuple[Totals, bool]:
    """Read and check the file of a command, release the rows that it names, and say what is wrong.

    Args:
        store: takes the rows.
        options: the command line.
        layout: what is known of the file.
        reported: whether a report has all invalid rows.

    Returns:
        The sums, and whether to go on.

    Raises:
        BatchFileError: it cannot be read as a whole, changed meanwhile, or has no row of a payment that is released.
        OSError: it cannot be read from the disk.
    """
    await load_file(store, options.file, layout)
    if store.ignored and not getattr(options, "json", False):
        say(f"Columns passed over: {plain(', '.join(store.ignored))}")
    if missing := store.release(options.another):
        advice = "correct what stands after --another"
        raise BatchFileError(f"the file has no row of the payment {', '.join(missing)}", advice=advice)
    totals = await asyncio.to_thread(store.totals)
    if totals.bad:
        _say_what_is_bad(store, totals, reported=reported)
    return totals, not totals.bad or options.skip_invalid


async def load_file(store: RowStore, file: str, layout: Layout) -> None:
    """Read and check a whole file, or standard input.

    Raises:
        BatchFileError: it cannot be read as a whole, or changed meanwhile.
        OSError: it cannot be read from the disk.
    """
    cancelled = False

    def load() -> None:
        with _opened(file) as stream:
            store.load(stream, layout, given_up=lambda: cancelled)
        # A file that is still being written, or copied here, looks whole at every moment.
        if file != STDIN and not cancelled and _digest(file) != store.digest:
            raise BatchFileError("the file changed while it was read", advice="wait until it is written, then run")

    try:
        await asyncio.to_thread(load)
    except asyncio.CancelledError:
        cancelled = True
        raise


@contextlib.contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == STDIN:
        yield sys.stdin.buffer
        return
    with Path(file).open("rb") as stream:
        yield stream


def _digest(path: str) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def add_another(command: Command) -> None:
    """Give a command the option `--another`."""
    command.option(
        "--another",
        multiple=True,
        metavar="PAYMENT",
        help="this payment's rows are other ones than what was done before, though they look the same; once for each",
    )


def say_what_is_held(held: Sequence[HeldRow], count: int, api: PaymentApi, *, reported: bool) -> None:
    """Show rows that are held, with what they meet, and how to go on.

    Args:
        held: the first of them.
        count: how many there are.
        api: the API that they go over.
        reported: whether a report has them all.
    """
    if not count:
        return
    for row in held[:_MOST_SHOWN]:
        sum_text = "" if row.amount is None else f"{format_amount(row.amount, api.currency)} "
        say(f"line {row.line}: {plain(row.payment)}: {sum_text}is held: it {plain(row.hold.reason)}")
    if count > _MOST_SHOWN:
        say(f"... and {count - _MOST_SHOWN:,} more{'' if reported else '; --report lists them all'}.")
    rows = "1 row is held: not sent, as it" if count == 1 else f"{count:,} rows are held: not sent, as they"
    say(f"{rows} may be what was done before. Adding a reference changes nothing.")
    if any(row.hold.cause in {RowCause.DAMAGED, RowCause.OWN_DAMAGED} for row in held):
        say(
            "What cannot be read: compare the payment (vipps-async payment show) with your books and with vipps-async "
            "journal check; once it is compared, vipps-async journal discard ENTRY deletes it."
        )
    # Naming the payment of what was dropped, or of what cannot be read under the row's own key, releases nothing.
    fixed = {RowCause.DROPPED, RowCause.OWN_DAMAGED}
    releasable = list(dict.fromkeys(row.payment for row in held if row.hold.cause not in fixed))
    if releasable:
        each = "" if len(releasable) == 1 else ", once for each"
        say(f"Where another one is meant, name its payment{each}: --another {plain(releasable[0])}")


async def say_what_is_damaged(journal: Journal) -> bool:
    """Name what stands in a journal as open and cannot be read; returns whether anything does.

    Raises:
        JournalError: the journal cannot be read.
    """
    damaged = await journal.damaged(only_open=True)
    if not damaged:
        return False
    shown = "\n".join(f"  {plain(damaged_text(row))}" for row in damaged[:_MOST_SHOWN])
    more = f"\n  ... and {len(damaged) - _MOST_SHOWN:,} more" if len(damaged) > _MOST_SHOWN else ""
    say(
        f"Look out: this is open in the journal, cannot be read, and may have moved money:\n{shown}{more}\n"
        "Rows of these payments are held. A payment's name may be damaged, too: compare what may be meant with your "
        "books."
    )
    return True


def _say_what_is_bad(store: RowStore, totals: Totals, *, reported: bool) -> None:
    """Show the first rows that are invalid, and how many there are; `reported`: whether a report has them all."""
    for line, payment, violation in store.invalid_rows(_MOST_SHOWN):
        say(f"line {line}: {plain(payment) + ': ' if payment else ''}{plain(violation)}")
    if totals.bad > _MOST_SHOWN:
        more = f"... and {totals.bad - _MOST_SHOWN:,} more"
        say(f"{more}; --report lists them all." if not reported else more)
    say(f"{totals.bad:,} of {counted(totals.rows, 'row')} {'is' if totals.bad == 1 else 'are'} invalid.")


async def agree(
    store: RowStore,
    layout: Layout,
    settings: Settings,
    *,
    before: str = "",
    left: LeftToMove | None = None,
    yes: bool,
    keeps_journal: bool = False,
    declined: str = "Nothing was sent: no money moved.",
) -> int | None:
    """Ask whether to do what a file asks for, where that must be asked; see `ask`. `before` stands in the question.

    `left` is what the journal has left of it to be moved: nobody is asked about what is done, or held. None: all.
    """
    passed = [] if left is None else _passed_by(left)
    if left is not None and not left.asked.rows:
        if is_asked(settings, yes=yes):
            say(f"{' and '.join(passed)}: nothing of the file is left to be sent.")
        return None

    async def what() -> str:
        asked = await asyncio.to_thread(store.requested_totals) if left is None else left.asked
        return before + asked_text(asked, layout) + (f" ({' and '.join(passed)} not counted)" if passed else "")

    return await ask(what, settings, yes=yes, keeps_journal=keeps_journal, declined=declined)


def _passed_by(left: LeftToMove) -> list[str]:
    done = f"{counted(left.done, 'row')} done already" if left.done else ""
    return list(filter(None, (done, f"{counted(left.held, 'row')} held" if left.held else "")))


def asked_text(asked: RequestedTotals, layout: Layout) -> str:
    """Say on one line what a file asks for: how many rows, and for how much."""
    operation = layout.operation
    what = f"{operation.value.capitalize()} {counted(asked.rows, 'payment')} over {layout.api.name}"
    if operation is BatchOperation.CANCEL:
        return what
    parts = [f"{format_amount(asked.amount, layout.api.currency)} in all"] if asked.rows > asked.takes_all else []
    parts += [f"all that remains of {asked.takes_all:,}"] if asked.takes_all else []
    return ", ".join(filter(None, (what, " and ".join(parts))))


def status_of_totals(totals: Totals) -> int:
    """Tell the exit status of a batch."""
    if any(
        totals.outcomes.get(each) for each in (RowOutcome.UNKNOWN, RowOutcome.OTHERWISE, RowOutcome.OTHERWISE_BEFORE)
    ):
        return ExitStatus.UNKNOWN
    if totals.outcomes.get(RowOutcome.HELD):
        return ExitStatus.HELD
    as_asked = (RowOutcome.DONE, RowOutcome.DONE_BEFORE, RowOutcome.FOUND_DONE)
    done = sum(totals.outcomes.get(outcome, 0) for outcome in as_asked)
    return ExitStatus.DONE if done == totals.rows else ExitStatus.REFUSED


@contextlib.contextmanager
def stop_signals(stop: Callable[[], None], kill: Callable[[], object]) -> Iterator[list[int]]:
    """End in good order at the first Ctrl-C, and at once at the second one; gives the signals that came."""
    loop = asyncio.get_running_loop()
    came: list[int] = []

    def end(number: int) -> None:
        came.append(number)
        if len(came) > 1:
            kill()
            return
        stop()
        say("\nFinishing what is on its way; Ctrl-C once more ends it at once.")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, number)
    try:
        yield came
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
