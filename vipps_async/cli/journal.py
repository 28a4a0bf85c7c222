"""`vipps-async journal`: shows what a journal has open, and settles it."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from vipps_async.cli.journal_decisions import add_decisions
from vipps_async.cli.journal_rebind import add_rebind
from vipps_async.cli.journal_store import add_store, existing_file, guarded, opened, positive
from vipps_async.cli.journal_text import recovery_facts, recovery_text
from vipps_async.cli.journal_upkeep import add_upkeep
from vipps_async.cli.options import add_allow_host, check_host
from vipps_async.cli.output import plain, say, tell, tell_lines
from vipps_async.cli.statuses import UNTOLD
from vipps_async.config import Settings
from vipps_async.core.recovery_report import RecoveryReport
from vipps_async.core.verdict import LOOKS_APART
from vipps_async.errors import ConfigurationError
from vipps_async.journals.protocol import Entry, Journal
from vipps_async.money import format_nok
from vipps_async.session import VippsSession

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it

__all__ = ["add_command"]

#: Exit statuses: nothing is open any more, something is.
_ALL_SETTLED, _SOMETHING_OPEN = 0, 1
#: Seconds between two lines of progress: often enough to see that it goes on.
_PROGRESS_EVERY = 1.0
#: A session's `settle_after` unless it is given another one, in seconds.
_SETTLE_AFTER = 86_400
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
    listing.add_argument("--order", metavar="ORDER_ID", help=f"only this order (of --msn, or of {_MSN_VARIABLE})")
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
    add_decisions(actions)
    add_rebind(actions)
    add_upkeep(actions)


# --- list ------------------------------------------------------------------------------------------------------------


async def _list(options: argparse.Namespace) -> int:
    # Held for as short as possible, since a process that wants to start finds the file in use meanwhile: damage is not
    # looked for, and nothing is printed before it is closed again.
    async with opened(options, thorough=False) as journal:
        unsettled, settled, more = await _chosen(journal, options)
        damaged = await journal.damaged(only_open=True)
    now = datetime.now(UTC)
    settle_after = timedelta(seconds=options.settle_after)
    shown = []
    for row in damaged:
        facts = {"state": "damaged", "position": row.position, "payment": row.payment, "reason": row.reason}
        text = f"damaged   entry {row.position}, payment {plain(row.payment)}: {plain(row.reason)}; it is never sent"
        shown.append(orjson.dumps(facts).decode() if options.json else text)
    for entry in (*unsettled, *settled):
        facts = _facts(entry, now, settle_after)
        shown.append(orjson.dumps(facts).decode() if options.json else _line(entry, now, settle_after))
    if not options.json:
        shown.append(f"{len(unsettled)}{' or more' if more else ''} open, {len(settled)} settled are shown.")
    return _ALL_SETTLED if tell_lines(f"{line}\n" for line in shown) else UNTOLD


async def _chosen(journal: Journal, options: argparse.Namespace) -> tuple[list[Entry], list[Entry], bool]:
    msn, limit = options.msn, options.limit
    if options.order is not None:
        msn = msn or os.environ.get(_MSN_VARIABLE)
        if not msn:
            raise ConfigurationError("--order needs a sales unit", advice=f"give --msn, or set {_MSN_VARIABLE}")
        found = await journal.find(payment=options.order, merchant_serial_number=msn)
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


def _facts(entry: Entry, now: datetime, settle_after: timedelta) -> dict[str, Any]:
    intent, settlement = entry.intent, entry.settlement
    return {
        "state": _state(entry),
        "operation": intent.name,
        "payment": intent.payment,
        "merchant_serial_number": intent.merchant_serial_number,
        "amount": intent.amount,
        "idempotency_key": intent.key,
        "created_at": intent.created_at,
        "age_seconds": max(0, round((now - intent.created_at).total_seconds())),
        "settled_at": None if settlement is None else settlement.settled_at,
        "reason": entry.note or None,
        "key_origin": intent.origin.value,
        "reference": intent.reference or None,
        "attempts": entry.attempts.begun,
        "attempts_in_doubt": entry.attempts.in_doubt,
        "decidable_at": _decidable_at(entry, settle_after) if settlement is None else None,
        "in_hand_of": entry.owner if _is_in_hand(entry, now) else None,
        "in_hand_until": entry.lease_until if _is_in_hand(entry, now) else None,
    }


def _line(entry: Entry, now: datetime, settle_after: timedelta) -> str:
    intent = entry.intent
    # Leaving the amount out asks for all that remains; a cancel has none.
    nothing = "" if intent.operation == "cancel" else "all that remains"
    amount = nothing if intent.amount is None else format_nok(intent.amount)
    age = _age((now - intent.created_at).total_seconds())
    operation, order_id, key = plain(intent.name), plain(intent.payment), plain(intent.key)
    head = f"{_state(entry):<9} {operation:<13} {order_id}  {amount}  {age} ago  key {key}"
    if _is_in_hand(entry, now):
        head += f"\n          in hand of {plain(entry.owner[:8])} until {entry.lease_until:%H:%M:%S} UTC"
    if entry.note:
        head += f"\n          {plain(entry.note)}"
    if entry.settlement is None:
        # Before that only proof that it took effect settles it, or sending it.
        decidable = f"{_decidable_at(entry, settle_after):%Y-%m-%d %H:%M} UTC"
        head += f"\n          if details do not show it: can be decided after {decidable}"
    return head


def _decidable_at(entry: Entry, settle_after: timedelta) -> datetime:
    """Tell from when on it can be settled as never having happened; see `vipps_async.core.verdict`."""
    horizon, looked_at = entry.attempts.last_at + settle_after, entry.attempts.looked_at
    return horizon if looked_at is None or looked_at < horizon else looked_at + LOOKS_APART


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
        existing_file(options)
    # Before the journal is opened: what is wrong with the settings must not keep others from it.
    check_host(Settings.from_env(os.environ), options.allow_host)
    VippsSession.from_env()
    async with opened(options, thorough=True) as journal, VippsSession.from_env(journal=journal) as vipps:
        if not options.json:
            where = f"{vipps.environment.value} environment"
            say(f"Recovering for sales unit {vipps.merchant_serial_number} in the {where}.")
        progress = None if options.json else _Progress()
        report = await vipps.recover(concurrency=options.concurrency, progress=progress)
    ending = _ALL_SETTLED if report.is_complete else _SOMETHING_OPEN
    return (
        ending
        if tell(orjson.dumps(recovery_facts(report)).decode() if options.json else recovery_text(report))
        else UNTOLD
    )


class _Progress:
    def __init__(self) -> None:
        self._next = time.monotonic() + _PROGRESS_EVERY

    def __call__(self, report: RecoveryReport) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_EVERY
            say(f"{report.seen} seen, {report.settled} settled, {report.stays_open} stay open ...")
