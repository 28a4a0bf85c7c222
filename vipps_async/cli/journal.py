"""`vipps-async journal`: shows what a journal has open, settles it, and looks after the journal."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vipps_async.cli.journal_decisions import add_decisions
from vipps_async.cli.journal_file import add_store, existing_file, guarded, opened
from vipps_async.cli.journal_reconcile import add_reconcile
from vipps_async.cli.journal_text import entry_facts, entry_text, recovery_facts, recovery_text
from vipps_async.cli.maker import maker_by_journal
from vipps_async.cli.options import Commands, add_allow_host, check_allowed_host, positive
from vipps_async.cli.output import UNPRINTED, emit_lines, finish, json_line, plain, say
from vipps_async.config import Settings
from vipps_async.core.recovery_report import RecoveryReport
from vipps_async.errors import ConfigurationError
from vipps_async.journals.methods import DEFAULT_AGE, LEAST_AGE
from vipps_async.journals.protocol import Entry, Journal
from vipps_async.journals.sqlite.journal import SqliteJournal
from vipps_async.session import VippsSession

__all__ = ["add_command"]

#: Exit statuses: nothing is open any more, something is.
_ALL_SETTLED, _SOMETHING_OPEN = 0, 1
#: Seconds between two lines of progress: often enough to see that it goes on.
_PROGRESS_EVERY = 1.0
#: A session's `settle_after` unless it is given another one, in seconds.
_SETTLE_AFTER = 86_400
#: The exit status of a check that found damage.
_DAMAGED = 1
_MSN_VARIABLE = "VIPPS_MERCHANT_SERIAL_NUMBER"


def add_command(commands: Commands) -> None:
    """Add `journal` and its actions to the command line."""
    parser = commands.add_parser(
        "journal",
        help="show what a journal has open, settle it, and look after the journal",
        description="Shows what a journal has open, settles it, and looks after the journal. Exit status 2: it could "
        "not be done at all; 6: another process has the journal; 8: it was done, but could not be printed.",
    )
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")

    listing = actions.add_parser(
        "list",
        help="show open and recent operations",
        description="Shows what is open, oldest first, and then what was settled, newest first. A journal file that a "
        "running process owns cannot be read beside it: the message names that process, which is left alone.",
    )
    add_store(listing)
    listing.add_argument("--open", action="store_true", dest="only_open", help="only what is open")
    listing.add_argument("--payment", metavar="ID", help=f"only this payment (of --msn, or of {_MSN_VARIABLE})")
    listing.add_argument("--msn", metavar="MSN", help="only this sales unit")
    listing.add_argument("--limit", type=positive, default=50, help="how many of each kind (default: %(default)s)")
    listing.add_argument(
        "--settle-after",
        type=positive,
        default=_SETTLE_AFTER,
        metavar="SECONDS",
        help="your sessions' settle_after, by which is told when an entry can be decided (%(default)s)",
    )
    listing.add_argument("--json", action="store_true", help="one JSON object for each operation, one a line")
    listing.set_defaults(run=guarded(_list))

    recover = actions.add_parser(
        "recover",
        help="settle what is open",
        description="Settles what is open for the sales unit of the VIPPS_ variables: details decide; what is proven "
        "absent is sent again with the same key. Exit status 0: nothing is open any more; 1: something is.",
    )
    add_store(recover)
    recover.add_argument("--concurrency", type=positive, default=8, help="how many at once (default: %(default)s)")
    recover.add_argument("--json", action="store_true", help="the report as one JSON object, and no progress")
    recover.set_defaults(run=guarded(_recover))
    add_allow_host(recover)
    add_reconcile(actions)
    add_decisions(actions)
    _add_upkeep(actions)


# --- list ------------------------------------------------------------------------------------------------------------


async def _list(options: argparse.Namespace) -> int:
    # Held for as short as possible, since a process that wants to start finds the file in use meanwhile: damage is not
    # looked for, and nothing is printed before it is closed again.
    async with opened(options, thorough=False) as journal:
        of_payment, maker = None, ""
        if options.payment is not None:
            of_payment = await _found(journal, options)
            maker = maker_by_journal(options.payment, of_payment).text
        unsettled, settled, more = await _chosen(journal, options, of_payment)
        damaged = await journal.damaged(only_open=True)
    now = datetime.now(UTC)
    settle_after = timedelta(seconds=options.settle_after)
    shown = []
    for row in damaged:
        facts = {"state": "damaged", "position": row.position, "payment": row.payment, "reason": row.reason}
        text = f"damaged   entry {row.position}, payment {plain(row.payment)}: {plain(row.reason)}; it is never sent"
        shown.append(json_line(facts) if options.json else text)
    for entry in (*unsettled, *settled):
        facts = entry_facts(entry, now, settle_after)
        shown.append(json_line(facts) if options.json else entry_text(entry, now, settle_after))
    if not options.json:
        shown += [maker] if maker else []
        shown.append(f"{len(unsettled)}{' or more' if more else ''} open, {len(settled)} settled are shown.")
    return _ALL_SETTLED if emit_lines(f"{line}\n" for line in shown) else UNPRINTED


async def _found(journal: Journal, options: argparse.Namespace) -> list[Entry]:
    msn = options.msn or os.environ.get(_MSN_VARIABLE)
    if not msn:
        raise ConfigurationError("--payment needs a sales unit", advice=f"give --msn, or set {_MSN_VARIABLE}")
    return await journal.find(payment=options.payment, merchant_serial_number=msn)


async def _chosen(
    journal: Journal, options: argparse.Namespace, of_payment: list[Entry] | None
) -> tuple[list[Entry], list[Entry], bool]:
    msn, limit = options.msn, options.limit
    if of_payment is not None:
        unsettled = [entry for entry in of_payment if entry.settlement is None]
        settled = [entry for entry in reversed(of_payment) if entry.settlement is not None]
    else:
        unsettled = await _first(limit + 1, journal.open_entries(merchant_serial_number=msn))
        # Among the newest there may be as many open ones as were just found.
        newest = [] if options.only_open else await _first(limit * 2, journal.recent_entries(limit=limit * 2))
        of_unit = [entry for entry in newest if msn in {None, entry.intent.merchant_serial_number}]
        settled = [entry for entry in of_unit if entry.settlement is not None]
    return unsettled[:limit], [] if options.only_open else settled[:limit], len(unsettled) > limit


async def _first(number: int, entries: AsyncIterator[Entry]) -> list[Entry]:
    found: list[Entry] = []
    async for entry in entries:
        found.append(entry)
        if len(found) == number:
            break
    return found


# --- recover ---------------------------------------------------------------------------------------------------------


async def _recover(options: argparse.Namespace) -> int:
    if options.dsn is None:
        existing_file(options)
    # Before the journal is opened: what is wrong with the settings must not keep others from it.
    check_allowed_host(Settings.from_env(os.environ), options.allow_host)
    VippsSession.from_env()
    async with opened(options, thorough=True) as journal, VippsSession.from_env(journal=journal) as vipps:
        if not options.json:
            where = f"{vipps.environment.value} environment"
            say(f"Recovering for sales unit {vipps.merchant_serial_number} in the {where}.")
        progress = None if options.json else _Progress()
        report = await vipps.recover(concurrency=options.concurrency, progress=progress)
    ending = _ALL_SETTLED if report.is_complete else _SOMETHING_OPEN
    return finish(ending, json_line(recovery_facts(report)) if options.json else recovery_text(report))


class _Progress:
    def __init__(self) -> None:
        self._next = time.monotonic() + _PROGRESS_EVERY

    def __call__(self, report: RecoveryReport) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_EVERY
            say(f"{report.seen} seen, {report.settled} settled, {report.stays_open} stay open ...")


# --- backup, check, prune and erase -----------------------------------------------------------------------------------


def _add_upkeep(actions: Commands) -> None:
    backup = actions.add_parser(
        "backup",
        help="copy a journal file",
        description="Copies a journal file into a new one. While a service runs, it alone can copy its journal: "
        "await journal.backup(target). A PostgreSQL journal is copied by pg_dump.",
    )
    add_store(backup)
    backup.add_argument("target", type=Path, metavar="TARGET", help="the copy; nothing may be there yet")
    backup.set_defaults(run=guarded(_backup))

    check = actions.add_parser(
        "check",
        help="look for damage",
        description="Looks through a whole journal for damage. Exit status 0: there is none; 1: rows that cannot be "
        "read are listed, and everything else can be used; 2: the journal cannot be used.",
    )
    add_store(check)
    check.set_defaults(run=guarded(_check))

    prune = actions.add_parser(
        "prune",
        help="delete old settled entries",
        description="Deletes entries that were settled long ago. What is open stays, however old it is.",
    )
    add_store(prune)
    prune.add_argument(
        "--older-than",
        type=positive,
        default=DEFAULT_AGE.days,
        metavar="DAYS",
        help=f"how many days ago they were settled at least (%(default)s; below {LEAST_AGE.days} only with --force)",
    )
    prune.add_argument("--force", action="store_true", help="also such as may still protect a refund")
    prune.set_defaults(run=guarded(_prune))

    erase = actions.add_parser(
        "erase",
        help="delete all entries of one payment, for a person who has a right to that",
        description="Deletes all entries of one payment, unless something of it is open.",
    )
    add_store(erase)
    erase.add_argument("payment", metavar="PAYMENT", help="its id")
    erase.add_argument("--msn", metavar="MSN", help=f"its sales unit (default: {_MSN_VARIABLE})")
    erase.set_defaults(run=guarded(_erase))


async def _backup(options: argparse.Namespace) -> int:
    if options.dsn is not None:
        advice = f"pg_dump --schema {options.schema}"
        raise ConfigurationError("a PostgreSQL journal is copied by its database's own tools", advice=advice)
    async with opened(options, thorough=True) as journal:
        assert isinstance(journal, SqliteJournal)  # noqa: S101 - for the type checker
        await journal.backup(options.target)
    return finish(0, f"copied to {options.target}")


async def _check(options: argparse.Namespace) -> int:
    async with opened(options, thorough=True) as journal:
        damaged = await journal.damaged()
    lines = [f"entry {row.position}, payment {plain(row.payment)}: {plain(row.reason)}" for row in damaged]
    lines.append(
        f"{len(damaged)} cannot be read; nothing is ever sent for them. Compare the history of their payments at Vipps "
        "with your books, and keep a copy of the journal."
        if damaged
        else "no damage found"
    )
    return finish(_DAMAGED if damaged else 0, "\n".join(lines))


async def _prune(options: argparse.Namespace) -> int:
    async with opened(options, thorough=False) as journal:
        deleted = await journal.prune(older_than=timedelta(days=options.older_than), force=options.force)
    return finish(0, f"{deleted} deleted that were settled at least {options.older_than} days ago")


async def _erase(options: argparse.Namespace) -> int:
    msn = options.msn or os.environ.get(_MSN_VARIABLE)
    if not msn:
        raise ConfigurationError("erase needs a sales unit", advice=f"give --msn, or set {_MSN_VARIABLE}")
    async with opened(options, thorough=False) as journal:
        deleted = await journal.erase(payment=options.payment, merchant_serial_number=msn)
    return finish(0, f"{deleted} deleted of payment {options.payment}")
