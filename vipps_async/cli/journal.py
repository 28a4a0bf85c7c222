"""`vipps-async journal`: shows what a journal has open, and settles it."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from vipps_async.cli.journal_file import add_journal, journal_path, open_journal
from vipps_async.cli.output import say, tell, tell_lines
from vipps_async.cli.statuses import BUSY, UNTOLD
from vipps_async.core.recovery_report import RecoveryReport
from vipps_async.errors import ConfigurationError, VippsError
from vipps_async.journals.protocol import Entry, Intent, Journal
from vipps_async.journals.sqlite.ownership import JournalInUseError
from vipps_async.money import format_nok
from vipps_async.session import VippsSession

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it

__all__ = ["add_command"]

#: Exit statuses: nothing is open any more, something is, it could not be done at all.
_ALL_SETTLED, _SOMETHING_OPEN, _NOT_POSSIBLE = 0, 1, 2
#: Seconds between two lines of progress: often enough to see that it goes on.
_PROGRESS_EVERY = 1.0
_MSN_VARIABLE = "VIPPS_MERCHANT_SERIAL_NUMBER"


def add_command(commands: Commands) -> None:
    """Add `journal list` and `journal recover` to the command line."""
    parser = commands.add_parser(
        "journal",
        help="show what a journal has open, and settle it",
        description="Shows what a journal has open, and settles it. Exit status 2: it could not be done at all; "
        "6: another process has the journal.",
    )
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")

    listing = actions.add_parser(
        "list",
        help="show open and recent operations",
        description="Shows what is open, oldest first, and then what was settled, newest first. A journal file that a "
        "running process owns cannot be read beside it: the message names that process, which is left alone.",
    )
    _add_store(listing)
    listing.add_argument("--open", action="store_true", dest="only_open", help="only what is open")
    listing.add_argument("--order", metavar="ORDER_ID", help=f"only this order (of --msn, or of {_MSN_VARIABLE})")
    listing.add_argument("--msn", metavar="MSN", help="only this sales unit")
    listing.add_argument("--limit", type=_positive, default=50, help="how many of each kind (default: %(default)s)")
    listing.add_argument("--json", action="store_true", help="one JSON object for each operation, one a line")
    listing.set_defaults(run=_guarded(_list), refuse_usage=listing.error)

    recover = actions.add_parser(
        "recover",
        help="settle what is open",
        description="Settles what is open for the sales unit of the VIPPS_ variables: details decide; what is proven "
        "absent is sent again with the same key. Exit status 0: nothing is open any more; 1: something is.",
    )
    _add_store(recover)
    recover.add_argument("--concurrency", type=_positive, default=8, help="how many at once (default: %(default)s)")
    recover.add_argument("--json", action="store_true", help="the report as one JSON object, and no progress")
    recover.set_defaults(run=_guarded(_recover), refuse_usage=recover.error)


def _add_store(parser: argparse.ArgumentParser) -> None:
    add_journal(parser)
    parser.add_argument(
        "--dsn", help="instead a PostgreSQL database (PostgresJournal); leave its password to PGPASSWORD or ~/.pgpass"
    )
    parser.add_argument("--schema", default="vipps_async", help="with --dsn: its schema (%(default)s)")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _guarded(run: Callable[[argparse.Namespace], Any]) -> Callable[[argparse.Namespace], Any]:
    async def guarded(options: argparse.Namespace) -> int:
        if options.dsn is not None and options.journal is not None:
            options.refuse_usage("--journal and --dsn: which one is meant?")
        try:
            status: int = await run(options)
        except JournalInUseError as error:
            say(f"vipps-async: {error}")
            return BUSY
        except VippsError as error:
            say(f"vipps-async: {error}")
            return _NOT_POSSIBLE
        return status

    return guarded


def _file(options: argparse.Namespace) -> Path:
    """Return the journal file that is meant, which must be there."""
    path = journal_path(options.journal, os.environ)
    if not path.is_file():
        # Opening would make one: a mistyped name must not look like a journal in which nothing is open.
        raise ConfigurationError(f"there is no journal {path}", advice="check the path")
    return path


@contextlib.asynccontextmanager
async def _opened(options: argparse.Namespace, *, thorough: bool) -> AsyncIterator[Journal]:
    """Open the journal that is meant."""
    if options.dsn is not None:
        from vipps_async.journals.postgres import PostgresJournal  # noqa: PLC0415 - its extra is needed only here

        journal: Journal = PostgresJournal(options.dsn, schema=options.schema)
        await journal.open()
    else:
        path = _file(options)
        if not options.json:
            say(f"Journal: {path}")
        journal = await open_journal(path, wait=options.wait, check=thorough)
    try:
        yield journal
    finally:
        await journal.aclose()


# --- list ------------------------------------------------------------------------------------------------------------


async def _list(options: argparse.Namespace) -> int:
    # Held for as short as possible, since a process that wants to start finds the file in use meanwhile: damage is not
    # looked for, and nothing is printed before it is closed again.
    async with _opened(options, thorough=False) as journal:
        unsettled, settled, more = await _chosen(journal, options)
    now = datetime.now(UTC)
    shown = [
        orjson.dumps(_facts(entry, now)).decode() if options.json else _line(entry, now)
        for entry in (*unsettled, *settled)
    ]
    if not options.json:
        shown.append(f"{len(unsettled)}{' or more' if more else ''} open, {len(settled)} settled are shown.")
    return _ALL_SETTLED if tell_lines(f"{line}\n" for line in shown) else UNTOLD


async def _chosen(journal: Journal, options: argparse.Namespace) -> tuple[list[Entry], list[Entry], bool]:
    msn, limit = options.msn, options.limit
    if options.order is not None:
        msn = msn or os.environ.get(_MSN_VARIABLE)
        if not msn:
            raise ConfigurationError("--order needs a sales unit", advice=f"give --msn, or set {_MSN_VARIABLE}")
        found = await journal.find(order_id=options.order, merchant_serial_number=msn)
        unsettled = [entry for entry in found if entry.settlement is None]
        settled = [entry for entry in reversed(found) if entry.settlement is not None]
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


def _facts(entry: Entry, now: datetime) -> dict[str, Any]:
    intent, settlement = entry.intent, entry.settlement
    return {
        "state": _state(entry),
        "operation": intent.operation,
        "order_id": intent.order_id,
        "merchant_serial_number": intent.merchant_serial_number,
        "amount": intent.amount,
        "idempotency_key": intent.key,
        "created_at": intent.created_at,
        "age_seconds": max(0, round((now - intent.created_at).total_seconds())),
        "settled_at": None if settlement is None else settlement.settled_at,
        "reason": entry.note or None,
        "in_hand_of": entry.owner if _is_in_hand(entry, now) else None,
        "in_hand_until": entry.lease_until if _is_in_hand(entry, now) else None,
    }


def _line(entry: Entry, now: datetime) -> str:
    intent = entry.intent
    # Leaving the amount out asks for all that remains; a cancel has none.
    nothing = "" if intent.operation == "cancel" else "all that remains"
    amount = nothing if intent.amount is None else format_nok(intent.amount)
    age = _age((now - intent.created_at).total_seconds())
    head = f"{_state(entry):<9} {intent.operation:<8} {intent.order_id}  {amount}  {age} ago  key {intent.key}"
    if _is_in_hand(entry, now):
        head += f"\n          in hand of {entry.owner[:8]} until {entry.lease_until:%H:%M:%S} UTC"
    return f"{head}\n          {entry.note}" if entry.note else head


def _state(entry: Entry) -> str:
    return "open" if entry.settlement is None else entry.settlement.outcome.value


def _is_in_hand(entry: Entry, now: datetime) -> bool:
    return entry.settlement is None and bool(entry.owner) and entry.lease_until > now


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


# --- recover ---------------------------------------------------------------------------------------------------------


async def _recover(options: argparse.Namespace) -> int:
    if options.dsn is None:
        _file(options)
    # Before the journal is opened: what is wrong with the settings must not keep others from it.
    VippsSession.from_env()
    async with _opened(options, thorough=True) as journal, VippsSession.from_env(journal=journal) as vipps:
        if not options.json:
            where = f"{vipps.environment.value} environment"
            say(f"Recovering for sales unit {vipps.merchant_serial_number} in the {where}.")
        progress = None if options.json else _Progress()
        report = await vipps.recover(concurrency=options.concurrency, progress=progress)
    ending = _ALL_SETTLED if report.is_complete else _SOMETHING_OPEN
    return ending if tell(orjson.dumps(_summary(report)).decode() if options.json else _text(report)) else UNTOLD


class _Progress:
    def __init__(self) -> None:
        self._next = time.monotonic() + _PROGRESS_EVERY

    def __call__(self, report: RecoveryReport) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_EVERY
            say(f"{report.seen} seen, {report.settled} settled, {report.stays_open} stay open ...")


def _summary(report: RecoveryReport) -> dict[str, Any]:
    return {
        "complete": report.is_complete,
        "seen": report.seen,
        "proven": report.proven,
        "sent_again": report.sent_again,
        "refused": report.refused,
        "not_done": report.not_done,
        "settled_meanwhile": report.settled_meanwhile,
        "in_other_hands": report.in_other_hands,
        "in_other_hands_until": report.in_other_hands_until,
        "stays_open": report.stays_open,
        "stopped": report.stopped or None,
        "urls_lost": report.urls_lost,
        "left_open": [_named(left.intent, left.reason) for left in report.left_open],
        "refusals": [_named(refused.intent, refused.reason) for refused in report.refusals],
    }


def _named(intent: Intent, reason: str) -> dict[str, Any]:
    return {
        "operation": intent.operation,
        "order_id": intent.order_id,
        "amount": intent.amount,
        "idempotency_key": intent.key,
        "reason": reason,
    }


def _text(report: RecoveryReport) -> str:
    how = f"{report.proven} had taken effect, {report.sent_again} sent again, {report.refused} refused"
    how += f", {report.not_done} had never arrived, {report.settled_meanwhile} settled meanwhile"
    lines = [f"{report.seen} looked at: {how}."]
    if report.in_other_hands and report.in_other_hands_until is not None:
        until = f"{report.in_other_hands_until:%H:%M:%S} UTC"
        lines.append(f"{report.in_other_hands} are in other hands, until {until} at the latest: recover again then.")
    lines += [f"refused: {_about(refused.intent)}: {refused.reason}" for refused in report.refusals]
    lines += [f"stays open: {_about(left.intent)}: {left.reason}" for left in report.left_open]
    if report.stays_open > len(report.left_open):
        lines.append(f"... {report.stays_open} stay open in all.")
    lines += [
        f"URL lost: order {order_id} exists; cancel it if details show that nobody has approved it."
        for order_id in report.urls_lost
    ]
    if report.stopped:
        lines.append(f"Stopped early: {report.stopped}.")
    return "\n".join(lines)


def _about(intent: Intent) -> str:
    amount = "" if intent.amount is None else f" of {format_nok(intent.amount)}"
    return f"{intent.operation}{amount}, order {intent.order_id}, key {intent.key}"
