"""Settles the open operations of the journal before a run, and counts them with its rows or beside the file."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Collection, Sequence

from attrs import evolve, field, frozen, mutable

from vipps_async.apis import APIS
from vipps_async.batch.refusals import with_what_its_key_did
from vipps_async.batch.results import RowOutcome, RowResult, done, effect_of, moved_by
from vipps_async.batch.row_store import OpenKey, RowStore
from vipps_async.core.batch import BatchOperation, BatchRow
from vipps_async.core.payment_api import PaymentApi, PaymentCommand
from vipps_async.core.undecided import may_yet_capture
from vipps_async.journals.entries import Entry, Intent, Outcome
from vipps_async.journals.protocol import Journal
from vipps_async.not_given import NOT_GIVEN

#: Operations that are named; all are counted.
MOST_NAMED = 1_000
#: Entries that are noted in one go.
_PAGE = 500
#: What is said of a row that was settled before the first row, and of one that was not.
SETTLED_FIRST = "It was open in the journal, and was settled before the first row."
_STILL_OPEN = (
    "It was open in the journal when this run began, and still is: it may have taken effect. Run the batch again: the "
    "same key finds out what became of it."
)


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


async def note_open(
    store: RowStore, journal: Journal, merchant_serial_number: str, *, leave: Collection[str] = ()
) -> None:
    """Note in a store what the journal has open of a sales unit: what is done of it by the end is told as this run's.

    Args:
        store: the rows of the run.
        journal: the run's.
        merchant_serial_number: the sales unit.
        leave: payments of which this run settles nothing: what happens to them is not its doing.

    Raises:
        JournalError: the journal cannot be read.
    """
    page: list[OpenKey] = []
    async for entry in journal.open_entries(merchant_serial_number=merchant_serial_number):
        intent = entry.intent
        if intent.adjusts and intent.payment not in leave:
            page.append((intent.api, intent.operation, intent.payment, intent.key))
        if len(page) == _PAGE:
            await asyncio.to_thread(store.note_open, page)
            page = []
    await asyncio.to_thread(store.note_open, page)


async def left_alone(
    store: RowStore, journal: Journal, operation: BatchOperation, merchant_serial_number: str
) -> frozenset[str]:
    """Return the payments that a file wants cancelled, and that have an open capture: it is not sent before the cancel.

    Raises:
        JournalError: the journal cannot be read.
    """
    if operation is not BatchOperation.CANCEL:
        return frozenset()
    entries = journal.open_entries(merchant_serial_number=merchant_serial_number)
    found = {entry.intent.payment async for entry in entries if may_yet_capture(entry)}
    return frozenset([payment for payment in found if await asyncio.to_thread(store.rows_of_payments, [payment])])


async def tell_what_was_open(
    store: RowStore, journal: Journal, api: PaymentApi, operation: BatchOperation, merchant_serial_number: str
) -> None:
    """Note what became of rows that were open before the run and that it has not come to: cut off, or told no.

    What was settled counts with its row, and what is open still may have moved money: neither was "not begun".

    Args:
        store: the rows of the run, with what `note_open` has noted.
        journal: the run's.
        api: the API that they go over.
        operation: what is done with them.
        merchant_serial_number: the sales unit.

    Raises:
        JournalError: the journal cannot be read.
    """
    rows = store.rows_open_before(api.name, operation.value)
    while page := await asyncio.to_thread(lambda: list(itertools.islice(rows, _PAGE))):
        results = []
        for row in page:
            entries = await journal.find(payment=row.payment, merchant_serial_number=merchant_serial_number)
            key = row.idempotency_key(operation, merchant_serial_number)
            names = [(api.name, operation.value, row.payment, each.intent.key) for each in entries]
            opened = [entry for entry, name in zip(entries, names, strict=True) if store.was_open(name)]
            result = _became_of(row, key, opened, api, operation)
            results += [] if result is None else [result]
        await asyncio.to_thread(store.save, results)


def _became_of(
    row: BatchRow, key: str, opened: Sequence[Entry], api: PaymentApi, operation: BatchOperation
) -> RowResult | None:
    """Return the result of a row; None: nothing of it was open, or that has turned out to have had no effect.

    Args:
        row: the row.
        key: its key.
        opened: what of its payment was open, over this API and with this operation.
        api: the API.
        operation: the operation.
    """
    # A payment is cancelled once, by whichever of its cancels.
    mine = [entry for entry in opened if entry.intent.key == key or not operation.has_amount]
    finished = [entry for entry in mine if entry.settlement is not None and entry.settlement.outcome is Outcome.DONE]
    for entry in finished or [entry for entry in mine if entry.settlement is None]:
        asked = None if row.minor_units is None else entry.intent.amount
        if asked != row.minor_units:
            command = PaymentCommand(
                operation=operation,
                payment=row.payment,
                merchant_serial_number=entry.intent.merchant_serial_number,
                amount=NOT_GIVEN if row.minor_units is None else row.minor_units,
                key=key,
            )
            other = RowResult(row=row, outcome=RowOutcome.NOT_BEGUN, idempotency_key=key)
            return with_what_its_key_did(other, api, command, entry, None)
        if entry.settlement is None:
            return RowResult(row=row, outcome=RowOutcome.UNKNOWN, idempotency_key=key, hint=_STILL_OPEN)
        moved = effect_of(api, entry)
        outcome = RowOutcome.DONE if entry.intent.key == key else RowOutcome.FOUND_DONE
        if row.minor_units is not None and moved.amount not in {None, row.minor_units}:
            outcome = RowOutcome.OTHERWISE
        return evolve(done(row, key, moved, outcome=outcome), hint=SETTLED_FIRST)
    return None


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
