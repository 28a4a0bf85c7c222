"""Adds up what a file would still move, without rows that the journal has as done and rows that are held."""

from __future__ import annotations

import asyncio
import itertools

from attrs import frozen

from vipps_async.batch.holding import hold_rows
from vipps_async.batch.results import RowOutcome
from vipps_async.batch.row_store import RequestedTotals, RowStore
from vipps_async.core.batch import BatchOperation, BatchRow
from vipps_async.core.payment_api import PaymentApi
from vipps_async.core.undecided import read_record
from vipps_async.journals.entries import Outcome
from vipps_async.journals.protocol import Journal

#: Payments that the journal is asked about at once.
_AT_ONCE = 64


@frozen(kw_only=True)
class LeftToMove:
    """The sum of a file that is still to be moved, which a person is asked about."""

    #: What the other rows ask for.
    asked: RequestedTotals
    #: Rows that the journal has as done, and rows that are held.
    done: int
    held: int


async def left_to_move(
    store: RowStore, journal: Journal | None, api: PaymentApi, operation: BatchOperation, merchant_serial_number: str
) -> LeftToMove:
    """Add up what the rows ask for that are about to be sent; those that must not be are marked as held meanwhile.

    Args:
        store: the rows, none of which has been carried out.
        journal: what was done before; None: nothing was.
        api: the API that they are about to be sent over.
        operation: what is to be done with them.
        merchant_serial_number: the sales unit.

    Raises:
        JournalError: the journal cannot be read.
    """
    await hold_rows(store, api, operation, merchant_serial_number, journal)

    async def is_done(row: BatchRow) -> bool:
        if journal is None:
            return False
        record = await read_record(journal, row.payment, merchant_serial_number, ())
        own = record.own(row.idempotency_key(operation, merchant_serial_number), api.name, operation.value)
        return own is not None and own.settlement is not None and own.settlement.outcome is Outcome.DONE

    count, amount, takes_all, done = 0, 0, 0, 0
    rows = store.rows_to_hold()
    while page := await asyncio.to_thread(lambda: list(itertools.islice(rows, _AT_ONCE))):
        for (row, _), row_is_done in zip(page, await asyncio.gather(*(is_done(row) for row, _ in page)), strict=True):
            done += row_is_done
            count += not row_is_done
            takes_all += row.minor_units is None and not row_is_done
            amount += 0 if row_is_done else row.minor_units or 0
    totals = await asyncio.to_thread(store.totals)
    return LeftToMove(
        asked=RequestedTotals(rows=count, amount=amount, takes_all=takes_all),
        done=done,
        held=totals.outcomes.get(RowOutcome.HELD, 0),
    )
