"""Holds every row of a worklist against its own file and against a journal, before anything is sent."""

from __future__ import annotations

import asyncio

from vipps_async.batch.held import met_by, met_text
from vipps_async.batch.rows import BatchOperation, BatchRow
from vipps_async.batch.worklist import Worklist
from vipps_async.journals.protocol import Journal

__all__ = ["hold_rows", "reason_to_hold"]

#: Orders that the journal is asked about at once.
_AT_ONCE = 64


async def hold_rows(
    worklist: Worklist, operation: BatchOperation, merchant_serial_number: str, journal: Journal | None
) -> None:
    """Mark rows as held that may repeat an earlier row of the file, or what the journal has as open or done.

    Args:
        worklist: the rows; those that are released are passed over.
        operation: what is to be done with them.
        merchant_serial_number: the sales unit.
        journal: what was done before; None: there is nothing to compare with.

    Raises:
        JournalError: the journal failed.
    """
    if operation is BatchOperation.CANCEL:
        # It has no amount, and done twice it does no more than once.
        return
    await asyncio.to_thread(worklist.hold_repetitions)
    if journal is None:
        return
    rows = worklist.rows_to_hold()
    while page := await asyncio.to_thread(worklist.page_of, rows):
        for begin in range(0, len(page), _AT_ONCE):
            part = page[begin : begin + _AT_ONCE]
            reasons = await asyncio.gather(
                *(reason_to_hold(row, operation, merchant_serial_number, journal) for row in part)
            )
            held = [(row, reason) for row, reason in zip(part, reasons, strict=True) if reason]
            await asyncio.to_thread(worklist.hold, held)


async def reason_to_hold(
    row: BatchRow, operation: BatchOperation, merchant_serial_number: str, journal: Journal
) -> str:
    """Say what a row meets in the journal; empty: it may be sent.

    Raises:
        JournalError: the journal failed.
    """
    entries = await journal.find(payment=row.order_id, merchant_serial_number=merchant_serial_number)
    found = met_by(row, operation, row.idempotency_key(operation, merchant_serial_number), entries)
    return "" if found is None else met_text(found)
