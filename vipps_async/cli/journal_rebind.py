"""`vipps-async journal rebind`: binds a journal to another world, once that has shown that it is the same Vipps."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from vipps_async.cli.confirmation import Agreement, add_yes, ask_anywhere
from vipps_async.cli.journal_store import StoredJournal, add_store, guarded, opened
from vipps_async.cli.journal_text import about
from vipps_async.cli.options import add_allow_host, check_host
from vipps_async.cli.output import plain, say, tell
from vipps_async.cli.statuses import DONE, OTHER_SETTINGS, REFUSED, UNTOLD, USAGE
from vipps_async.config import Settings
from vipps_async.ecom.enums import OperationName
from vipps_async.errors import OrderNotFoundError
from vipps_async.journals.protocol import Entry, Intent, Outcome
from vipps_async.session import VippsSession

if TYPE_CHECKING:
    Actions = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it

__all__ = ["add_rebind"]

#: Entries of any age: more than any journal has.
_ALL = 2**62
#: Operations whose key stands in the payment's history, and what they are called there.
_KEYED = {"capture": {OperationName.CAPTURE, OperationName.SALE}, "refund": {OperationName.REFUND}}
_UNKEYED = frozenset({"cancel", "initiate"})


def add_rebind(actions: Actions) -> None:
    """Add the action to `journal`."""
    parser = actions.add_parser(
        "rebind",
        help="bind the journal to the Vipps of the VIPPS_ variables, such as one that is reached by another name now",
        description="A journal belongs to one environment and host, and is refused anywhere else. This binds it to the "
        "Vipps of the VIPPS_ variables, after details have shown that an operation that is done in the journal is done "
        "there, too. Exit status 0: it is bound to it; 1: somebody was asked and said no; 2: wrong use or settings, or "
        "it could not be found out, and nothing was changed; 6: another process has the journal; 7: it is another "
        "Vipps, and nothing was changed; 8: it is bound to it, but that could not be printed.",
        allow_abbrev=False,
    )
    add_store(parser)
    add_yes(parser)
    add_allow_host(parser)
    parser.set_defaults(run=guarded(_rebind))


async def _rebind(options: argparse.Namespace) -> int:
    settings = Settings.from_env(os.environ)
    check_host(settings, options.allow_host)
    async with opened(options, thorough=True) as journal, VippsSession.from_env() as vipps:
        bound, world = await journal.world(), await vipps.world()
        count = 0
        async for _ in journal.open_entries():
            count += 1
        say(f"The journal has the facts of {bound or 'no Vipps yet'}.\nThe VIPPS_ variables lead to {world}.")
        say(f"{count:,} operations are open in it; recovery would settle them there.")
        if bound is None or bound == world:
            return DONE if tell("Nothing is to be changed: a journal is bound at its first use.") else UNTOLD
        if reason := await _reason_against(journal, vipps):
            say(f"vipps-async: {reason}. Nothing was changed: choose the journal of this Vipps by --journal.")
            return OTHER_SETTINGS
        agreement = await ask_anywhere(f"Bind the journal to {world}?", yes=options.yes)
        if agreement is not Agreement.GIVEN:
            return USAGE if agreement is Agreement.MISSING else REFUSED
        await journal.rebind(world)
    return DONE if tell(f"bound to {world}") else UNTOLD


async def _reason_against(journal: StoredJournal, vipps: VippsSession) -> str:
    """Say why it is not shown that a journal's facts are this Vipps'; empty: it is.

    Raises:
        VippsError: details could not be had.
    """
    entry, is_empty = await _newest_done(journal, vipps.merchant_serial_number)
    if entry is None:
        unit = vipps.merchant_serial_number
        return (
            ""
            if is_empty
            else f"nothing of sales unit {unit} is done in it, so nothing shows that it is the same Vipps"
        )
    intent = entry.intent
    try:
        details = await vipps.ecom.details(intent.payment)
    except OrderNotFoundError:
        return f"Vipps does not know the order of what is done in the journal ({plain(about(intent))})"
    names = _KEYED.get(intent.operation)
    is_there = names is None or any(
        found.operation_success and found.operation in names for found in details.entries(intent.key)
    )
    return "" if is_there else f"the order's history there lacks what is done in the journal ({plain(about(intent))})"


async def _newest_done(journal: StoredJournal, merchant_serial_number: str) -> tuple[Entry | None, bool]:
    """Return the newest done operation of a sales unit, and whether the journal is empty.

    One whose key stands in the payment's history is rather taken: an order id alone may be used in two worlds.
    """
    other: Entry | None = None
    is_empty = True
    async for entry in journal.recent_entries(limit=_ALL):
        is_empty = False
        if not _is_done(entry, merchant_serial_number):
            continue
        intent: Intent = entry.intent
        if intent.operation in _KEYED:
            return entry, False
        if other is None and intent.operation in _UNKEYED:
            other = entry
    return other, is_empty


def _is_done(entry: Entry, merchant_serial_number: str) -> bool:
    settlement = entry.settlement
    is_of_unit = entry.intent.merchant_serial_number == merchant_serial_number
    return is_of_unit and settlement is not None and settlement.outcome is Outcome.DONE
