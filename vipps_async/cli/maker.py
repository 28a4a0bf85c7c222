"""Finds out which API made a payment: from the journal, and from the API that answers for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from attrs import evolve, frozen

from vipps_async.apis import APIS, READS_TOO
from vipps_async.cli.commands import Options
from vipps_async.cli.journal_place import place_of
from vipps_async.cli.output import plain
from vipps_async.core.batch import BatchOperation
from vipps_async.core.payment_api import PaymentApi
from vipps_async.errors import VippsError
from vipps_async.journals.entries import DamagedEntry, Entry, Outcome


@frozen
class Maker:
    """The API that a payment was made with, and how that is known, or why it is not."""

    #: None: not known.
    api: str | None
    text: str


def maker_by_answer(api: PaymentApi) -> Maker | None:
    """Tell it from the API that answered for the payment; None: that one knows payments of another API as well."""
    return (
        None if api.name in READS_TOO else Maker(api.name, f"Made over {api.name}, which knows its own payments only.")
    )


def maker_by_journal(payment: str, rows: Iterable[Entry | DamagedEntry]) -> Maker:
    """Tell it from what a journal has of a payment.

    What makes a payment proves it, and a capture, refund or cancel over an API that knows its own payments only.

    Args:
        payment: its id.
        rows: all of the payment.
    """
    is_open, unread = "", []
    for entry in rows:
        if isinstance(entry, DamagedEntry):
            unread.append(str(entry.position))
            continue
        intent, settlement = entry.intent, entry.settlement
        if not _proves(intent.api, intent.operation):
            continue
        if settlement is None:
            is_open = is_open or f"; {intent.name} is open there"
        elif settlement.outcome is Outcome.DONE:
            how = f"the journal has its {intent.name}, done {settlement.settled_at:%Y-%m-%d %H:%M:%S} UTC"
            return Maker(intent.api, f"Made over {intent.api}: {how}.")
    but = f"; what cannot be read may (entry {', '.join(unread)})" if unread else ""
    text = f"Which API made it is not known: the journal has nothing done that shows it{but}{is_open}."
    for name, other in READS_TOO.items():
        text += f" {name} knows what {other} made, never the other way round: if {other} knows it, {other} made it."
        text += f"\nTo see: vipps-async payment show {plain(payment)} --api {other}"
    return Maker(None, text)


async def maker_by_options(options: Options, merchant_serial_number: str) -> Maker:
    """Tell it from the journal that a command means, if there is one and it can be read.

    Args:
        options: `payment`, and those of `add_journal`.
        merchant_serial_number: the payment's sales unit.
    """
    trouble = ""
    rows: list[Entry | DamagedEntry] = []
    try:
        place = place_of(options)
        if await place.exists():
            async with contextlib.aclosing(await place.open(check=False)) as journal:
                rows = await journal.rows_of(payment=options.payment, merchant_serial_number=merchant_serial_number)
    except VippsError as error:
        # What was asked for is what Vipps has, and that is there.
        trouble = f"\nThe journal could not be read: {plain(error)}"
    maker = maker_by_journal(options.payment, rows)
    return evolve(maker, text=f"{maker.text}{trouble}")


def _proves(api: str, operation: str) -> bool:
    if api not in APIS:
        return False
    is_made_by = any(action.verb == operation and action.is_journalled for action in APIS[api].actions)
    return is_made_by or (api not in READS_TOO and operation in {each.value for each in BatchOperation})
