"""`vipps-async journal`: shows what a journal has open, settles it, and looks after the journal."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from vipps_async.cli.commands import Command, Group, Options, Run
from vipps_async.cli.confirmation import add_yes, nobody_to_ask, telling_if_cut_off
from vipps_async.cli.exit_status import ExitStatus, exit_statuses
from vipps_async.cli.journal_decisions import decisions
from vipps_async.cli.journal_open import agree_to_settle, find_open, open_of_others
from vipps_async.cli.journal_place import add_journal, existing_place, guarded, opened, place_of
from vipps_async.cli.journal_reconcile import reconciliation
from vipps_async.cli.journal_text import CUT_OFF, entry_facts, entry_text, recovery_facts, recovery_text
from vipps_async.cli.maker import maker_by_journal
from vipps_async.cli.options import SALES_UNIT, add_allow_host, add_sales_unit, check_allowed_host, positive
from vipps_async.cli.output import columns, emit_lines, finish, json_line, plain, say
from vipps_async.config import Settings
from vipps_async.core.recovery_report import RecoveryReport
from vipps_async.errors import ConfigurationError
from vipps_async.journals.entries import DamagedEntry, Entry
from vipps_async.journals.methods import DEFAULT_AGE, LEAST_AGE
from vipps_async.journals.protocol import Journal
from vipps_async.journals.sqlite.journal import SqliteJournal
from vipps_async.session import VippsSession

#: Seconds between two lines of progress: often enough to see that it goes on.
_PROGRESS_EVERY = 1.0
#: A session's `settle_after` unless it is given another one, in seconds.
_SETTLE_AFTER = 86_400
#: Other sales units that are named.
_MOST_UNITS = 5


def command() -> Group:
    """Make `journal` and its actions."""
    return Group(
        "journal",
        "show what a journal has open, settle it, and look after the journal",
        f"Shows what a journal has open, settles it, and looks after the journal. {exit_statuses('journal')}",
        actions=[_listing(), _recovery(), reconciliation(), *decisions(), *_upkeep()],
        examples=("journal list --open", "journal recover", "journal backup copy.db"),
    )


def _action(name: str, run: Run, purpose: str, description: str, *examples: str) -> Command:
    made = Command(name, guarded(run), purpose, description, examples=examples or (f"journal {name}",))
    add_journal(made)
    return made


def _listing() -> Command:
    listing = _action(
        "list",
        _list,
        "show open and recent operations",
        "Shows what is open, oldest first, and then what was settled, newest first. A journal file that a "
        "running process owns cannot be read beside it: the message names that process, which is left alone.",
        "journal list --open",
        "journal list --payment acme-shop-123-order123abc",
    )
    listing.option("--open", "only_open", is_flag=True, help="only what is open")
    listing.option("--payment", metavar="ID", help=f"only this payment (of --msn, or of {SALES_UNIT})")
    listing.option("--msn", metavar="MSN", help="only this sales unit")
    listing.option("--limit", type=positive, default=50, metavar="N", help="how many of each kind")
    listing.option(
        "--settle-after",
        type=positive,
        default=_SETTLE_AFTER,
        metavar="SECONDS",
        help="your sessions' settle_after, by which is told when an entry can be decided",
    )
    listing.flag("--json", "one JSON object for each operation, one a line")
    return listing


def _recovery() -> Command:
    recovery = _action(
        "recover",
        _recover,
        "settle what is open",
        "Settles what is open for the sales unit of the VIPPS_ variables: details decide; what is proven "
        "absent is sent again with the same key, and moves money: it is named first, and asked about in production. "
        f"{exit_statuses('journal recover')} What is open of other sales units is counted, and left to --msn.",
    )
    recovery.option("--concurrency", type=positive, default=8, metavar="N", help="how many at once")
    recovery.flag("--json", "the report as one JSON object, and no progress")
    add_sales_unit(recovery)
    add_yes(recovery)
    add_allow_host(recovery)
    return recovery


# --- list ------------------------------------------------------------------------------------------------------------


async def _list(options: Options) -> int:
    # Held for as short as possible, since a process that wants to start finds the file in use meanwhile: damage is not
    # looked for, and nothing is printed before it is closed again.
    async with opened(options, thorough=False) as journal:
        of_payment, maker = None, ""
        if options.payment is not None:
            rows = await _rows_of_payment(journal, options)
            of_payment = [row for row in rows if isinstance(row, Entry)]
            damaged = [row for row in rows if isinstance(row, DamagedEntry)]
            maker = maker_by_journal(options.payment, rows).text
        else:
            damaged = await journal.damaged(only_open=True)
        unsettled, settled, more = await _chosen(journal, options, of_payment)
    now = datetime.now(UTC)
    settle_after = timedelta(seconds=options.settle_after)
    shown = []
    units = {entry.intent.merchant_serial_number for entry in (*unsettled, *settled)}
    # What the VIPPS_ variables name is meant where none is told.
    names_unit = bool(units - {options.msn or os.environ.get(SALES_UNIT)})
    for row in damaged:
        facts = {"state": "damaged", "position": row.position, "payment": row.payment, "reason": row.reason}
        text = f"damaged   entry {row.position}, payment {plain(row.payment)}: {plain(row.reason)}; it is never sent"
        shown.append(json_line(facts) if options.json else text)
    for entry in (*unsettled, *settled):
        if options.json:
            shown.append(json_line(entry_facts(entry, now, settle_after)))
        else:
            shown.append(entry_text(entry, now, settle_after, names_unit=names_unit, width=columns()))
    if not options.json:
        shown += [maker] if maker else []
        shown.append(f"{len(unsettled)}{' or more' if more else ''} open, {len(settled)} settled are shown.")
    return ExitStatus.DONE if emit_lines(f"{line}\n" for line in shown) else ExitStatus.UNPRINTED


async def _rows_of_payment(journal: Journal, options: Options) -> list[Entry | DamagedEntry]:
    msn = options.msn or os.environ.get(SALES_UNIT)
    if not msn:
        raise ConfigurationError("--payment needs a sales unit", advice=f"give --msn, or set {SALES_UNIT}")
    return await journal.rows_of(payment=options.payment, merchant_serial_number=msn)


async def _chosen(
    journal: Journal, options: Options, of_payment: list[Entry] | None
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


async def _recover(options: Options) -> int:
    await existing_place(options)
    # Before the journal is opened: what is wrong with the settings must not keep others from it.
    settings = Settings.from_env(os.environ)
    check_allowed_host(settings, options.allow_host)
    if (status := nobody_to_ask(settings, yes=options.yes)) is not None:
        return status
    VippsSession.from_env()
    # The session first, which refuses a journal of another Vipps: what is open in that one concerns nobody here.
    async with opened(options, thorough=True) as journal, VippsSession.from_env(journal=journal) as vipps:
        found = await find_open(journal, settings.merchant_serial_number)
        if (status := await agree_to_settle(found, settings, yes=options.yes, quiet=options.json)) is not None:
            return status
        if not options.json:
            where = f"{vipps.environment.value} environment"
            say(f"Recovering for sales unit {vipps.merchant_serial_number} in the {where}.")
        progress = None if options.json else _Progress()
        with telling_if_cut_off(CUT_OFF):
            report = await vipps.recover(concurrency=options.concurrency, progress=progress)
        others = await open_of_others(journal, settings.merchant_serial_number)
    ending = ExitStatus.DONE if report.is_complete else ExitStatus.REFUSED
    if options.json:
        return finish(ending, json_line({**recovery_facts(report), "open_of_other_sales_units": others}))
    return finish(ending, "\n".join([recovery_text(report), *_others_text(others)]))


def _others_text(others: Mapping[str, int]) -> list[str]:
    if not others:
        return []
    units = " or ".join(f"--msn {plain(unit)}" for unit in list(others)[:_MOST_UNITS])
    more = " or another one that journal list --open shows" if len(others) > _MOST_UNITS else ""
    return [f"{sum(others.values())} more are open of other sales units: the same command with {units}{more}."]


class _Progress:
    def __init__(self) -> None:
        self._next = time.monotonic() + _PROGRESS_EVERY

    def __call__(self, report: RecoveryReport) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_EVERY
            say(f"{report.seen} seen, {report.settled} settled, {report.stays_open} stay open ...")


# --- backup, check, prune and erase -----------------------------------------------------------------------------------


def _upkeep() -> list[Command]:
    backup = _action(
        "backup",
        _backup,
        "copy a journal file",
        "Copies a journal file into a new one. While a service runs, it alone can copy its journal: "
        "await journal.backup(target). A PostgreSQL journal is copied by pg_dump.",
        "journal backup copy.db",
    )
    backup.argument(
        "target", type=click.Path(path_type=Path), metavar="TARGET", help="the copy; nothing may be there yet"
    )
    check = _action(
        "check",
        _check,
        "look for damage",
        f"Looks through a whole journal for damage. {exit_statuses('journal check')}",
    )
    prune = _action(
        "prune",
        _prune,
        "delete old settled entries",
        "Deletes entries that were settled long ago. What is open stays, however old it is.",
        "journal prune --older-than 400",
    )
    prune.option(
        "--older-than",
        type=positive,
        default=DEFAULT_AGE.days,
        metavar="DAYS",
        help=f"how many days ago they were settled at least (below {LEAST_AGE.days} only with --force)",
    )
    prune.flag("--force", "also such as may still protect a refund")
    erase = _action(
        "erase",
        _erase,
        "delete all entries of one payment, for a person who has a right to that",
        "Deletes all entries of one payment, unless something of it is open.",
        "journal erase acme-shop-123-order123abc",
    )
    erase.argument("payment", metavar="PAYMENT", help="its id")
    erase.option("--msn", metavar="MSN", help=f"its sales unit (default: {SALES_UNIT})")
    return [backup, check, prune, erase]


async def _backup(options: Options) -> int:
    if (database := place_of(options).database) is not None:
        advice = f"pg_dump --schema {database.schema}"
        raise ConfigurationError("a PostgreSQL journal is copied by its database's own tools", advice=advice)
    async with opened(options, thorough=True) as journal:
        assert isinstance(journal, SqliteJournal)  # noqa: S101 - for the type checker
        await journal.backup(options.target)
    return finish(0, f"copied to {options.target}")


async def _check(options: Options) -> int:
    async with opened(options, thorough=True) as journal:
        damaged = await journal.damaged()
    lines = [f"entry {row.position}, payment {plain(row.payment)}: {plain(row.reason)}" for row in damaged]
    lines.append(
        f"{len(damaged)} cannot be read; nothing is ever sent for them. Compare the history of their payments at Vipps "
        "with your books, and keep a copy of the journal; then `vipps-async journal discard ENTRY` deletes one of them."
        if damaged
        else "no damage found"
    )
    return finish(ExitStatus.REFUSED if damaged else ExitStatus.DONE, "\n".join(lines))


async def _prune(options: Options) -> int:
    async with opened(options, thorough=False) as journal:
        deleted = await journal.prune(older_than=timedelta(days=options.older_than), force=options.force)
    return finish(0, f"{deleted} deleted that were settled at least {options.older_than} days ago")


async def _erase(options: Options) -> int:
    msn = options.msn or os.environ.get(SALES_UNIT)
    if not msn:
        raise ConfigurationError("erase needs a sales unit", advice=f"give --msn, or set {SALES_UNIT}")
    async with opened(options, thorough=False) as journal:
        deleted = await journal.erase(payment=options.payment, merchant_serial_number=msn)
    return finish(0, f"{deleted} deleted of payment {options.payment}")
