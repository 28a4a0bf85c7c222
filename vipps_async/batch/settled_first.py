"""What a run settles before its rows: noted beforehand, and counted with its row, or beside the rows of the file."""

from __future__ import annotations

import asyncio
from collections import Counter

from attrs import field, frozen, mutable

from vipps_async.apis import APIS
from vipps_async.batch.results import moved_by
from vipps_async.batch.row_store import OpenKey, RowStore
from vipps_async.core.batch import BatchOperation
from vipps_async.core.payment_api import PaymentApi
from vipps_async.core.recovery_report import RecoveryReport
from vipps_async.journals.protocol import Entry, Intent, Journal, Outcome
from vipps_async.session import VippsSession

__all__ = ["MOST_NAMED", "SettledBeside", "note_open", "settle_open", "settled_beside"]

#: Operations that are named; all are counted.
MOST_NAMED = 1_000
#: Entries that are noted in one go.
_PAGE = 500


@frozen(kw_only=True)
class SettledOperation:
    """An operation that this run has settled, and that is none of the rows of its file."""

    intent: Intent
    #: Minor units; None: a cancel, or the answer on record cannot be read.
    moved: int | None


@mutable(kw_only=True)
class SettledBeside:
    """What this run has settled as done beside the rows of its file; memory does not grow with it."""

    #: The first of them, in the order in which they were begun.
    named: list[SettledOperation] = field(factory=list)
    #: How many, and what moved in minor units, by operation and currency.
    counts: Counter[tuple[str, str]] = field(factory=Counter)
    moved: Counter[tuple[str, str]] = field(factory=Counter)

    def add(self, entry: Entry) -> None:
        """Count an entry that is done."""
        intent = entry.intent
        api = APIS.get(intent.api)
        moved = None if api is None or not BatchOperation(intent.operation).has_amount else moved_by(api, entry)
        self.counts[intent.operation, intent.currency] += 1
        self.moved[intent.operation, intent.currency] += moved or 0
        if len(self.named) < MOST_NAMED:
            self.named.append(SettledOperation(intent=intent, moved=moved))


async def note_open(store: RowStore, journal: Journal, merchant_serial_number: str) -> None:
    """Note in a store what the journal has open of a sales unit: what is done of it by the end is told as this run's.

    Args:
        store: the rows of the run.
        journal: the run's.
        merchant_serial_number: the sales unit.

    Raises:
        JournalError: the journal cannot be read.
    """
    page: list[OpenKey] = []
    async for entry in journal.open_entries(merchant_serial_number=merchant_serial_number):
        intent = entry.intent
        if intent.adjusts:
            page.append((intent.api, intent.operation, intent.payment, intent.key))
        if len(page) == _PAGE:
            await asyncio.to_thread(store.note_open, page)
            page = []
    await asyncio.to_thread(store.note_open, page)


async def settle_open(session: VippsSession, stop: asyncio.Event) -> RecoveryReport | None:
    """Settle what the journal has open, before the rows: what turns out to have had no effect holds none of them.

    It can take minutes if Vipps is in trouble.

    Args:
        session: its journal has what is open.
        stop: ends it once it is set.

    Returns:
        What was done; None: it was told to stop before that was done.

    Raises:
        VippsError: the session or the journal cannot be used.
    """
    recovering = asyncio.ensure_future(session.recover())
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({recovering, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return await recovering if recovering.done() else None
    finally:
        for task in (recovering, stopping):
            task.cancel()
        # What it had leased is given back before the run goes on.
        await asyncio.gather(recovering, stopping, return_exceptions=True)


async def settled_beside(
    store: RowStore, journal: Journal, api: PaymentApi, operation: BatchOperation, merchant_serial_number: str
) -> SettledBeside:
    """Find what is done by now of what was open before the run, and is not counted with one of its rows.

    Raises:
        JournalError: the journal cannot be read.
    """
    found = SettledBeside()
    cancelled: set[str] = set()
    for of_api, verb, payment, key in await asyncio.to_thread(store.open_beside, api.name, operation.value):
        for entry in await journal.find(payment=payment, merchant_serial_number=merchant_serial_number):
            intent, settlement = entry.intent, entry.settlement
            is_done = settlement is not None and settlement.outcome is Outcome.DONE
            if not is_done or (intent.api, intent.operation, intent.key) != (of_api, verb, key):
                continue
            # Several cancels of a payment are one that took effect.
            if verb != BatchOperation.CANCEL.value or payment not in cancelled:
                found.add(entry)
            if verb == BatchOperation.CANCEL.value:
                cancelled.add(payment)
    return found
