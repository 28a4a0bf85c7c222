"""Holds rows that may repeat what was begun or done before: by their own file, and by a journal."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence

from attrs import evolve

from vipps_async.batch.row_store import RowStore
from vipps_async.core.batch import BatchOperation, BatchRow
from vipps_async.core.payment_api import PaymentApi
from vipps_async.journals.protocol import Entry, Journal, KeyOrigin, Outcome
from vipps_async.money import format_amount

__all__ = ["hold_rows", "met_by", "met_text", "reasons_to_hold"]

#: Payments that the journal is asked about at once.
_AT_ONCE = 64


def met_by(
    row: BatchRow,
    operation: BatchOperation,
    key: str,
    entries: Iterable[Entry],
    *,
    api: str,
    file_keys: Collection[str] = (),
) -> Entry | None:
    """Return what a row meets: an operation that was begun or done, and may be the very same operation.

    Text, file, batch and API do not matter: none of them makes another operation. Two different references do, so two
    entries of one API that both have one never meet; over two APIs the same reference is the same operation, whatever
    its amount. A row that takes all that is left meets nothing: twice it does no more than once.

    A row without reference that asks for another amount than such a row of another file most likely corrects it: the
    amount was changed in the file after it was carried out.

    Args:
        row: what is about to be sent.
        operation: what is done with it.
        key: the row's key: an entry of the same API under it is this row itself, from an earlier run.
        entries: what the journal has of the payment, of this sales unit.
        api: the name of the API that it is about to be sent over.
        file_keys: the keys of the rows of its own file that have no reference: they are other operations than this one.

    Returns:
        The first entry that is met; None: the row may be sent.
    """
    if operation is BatchOperation.CANCEL or row.minor_units is None:
        return None
    counting = [entry for entry in entries if _counts(entry)]
    if any(entry.intent.key == key and entry.intent.api == api for entry in counting):
        return None
    for entry in counting:
        intent = entry.intent
        if intent.operation != operation.value:
            continue
        is_unnamed = row.reference is None or not intent.reference
        if (is_unnamed and intent.amount == row.minor_units) or intent.key == key:
            return entry
    return None if row.reference is not None else _corrected_by(operation, counting, file_keys)


def _corrected_by(operation: BatchOperation, counting: Iterable[Entry], file_keys: Collection[str]) -> Entry | None:
    """Return what a row without reference may correct: such a row of another file, with whatever amount."""
    for entry in counting:
        intent = entry.intent
        is_unnamed_row = intent.origin is KeyOrigin.ROW and not intent.reference and intent.amount is not None
        if is_unnamed_row and intent.operation == operation.value and intent.key not in file_keys:
            return entry
    return None


def met_text(entry: Entry, row: BatchRow) -> str:
    """Say on one line what a row has met."""
    intent, settlement = entry.intent, entry.settlement
    amount = "" if intent.amount is None else f" of {format_amount(intent.amount, intent.currency)}"
    state = "which is open" if settlement is None else f"done {settlement.settled_at:%Y-%m-%d %H:%M:%S} UTC"
    named = f"reference {intent.reference}" if intent.reference else "no reference"
    met = f"meets a {intent.operation}{amount} over {intent.api}, {state}, with {named} and the key {intent.key}"
    # The same reference over another API is the same operation, whatever its amount.
    is_other = row.reference is None and row.minor_units != intent.amount
    return f"{met}; this row has another amount: is it a correction, or another one?" if is_other else met


def _counts(entry: Entry) -> bool:
    return entry.settlement is None or entry.settlement.outcome is Outcome.DONE


async def hold_rows(
    store: RowStore, api: PaymentApi, operation: BatchOperation, merchant_serial_number: str, journal: Journal | None
) -> None:
    """Mark rows as held that may repeat an earlier row of the file, or what the journal has as open or done.

    Args:
        store: the rows; those that are released are passed over.
        api: the API that they are about to be sent over.
        operation: what is to be done with them.
        merchant_serial_number: the sales unit.
        journal: what was done before; None: there is nothing to compare with.

    Raises:
        JournalError: the journal failed.
    """
    await asyncio.to_thread(store.hold_repetitions)
    if journal is None:
        return
    rows = store.rows_to_hold()
    while page := await asyncio.to_thread(lambda: list(itertools.islice(rows, _AT_ONCE))):
        unnamed = await asyncio.to_thread(store.unnamed_rows, {row.payment for row in page})
        reasons = await reasons_to_hold(page, api, operation, merchant_serial_number, journal, unnamed=unnamed)
        held = [(row, reason) for row, reason in zip(page, reasons, strict=True) if reason]
        await asyncio.to_thread(store.hold, held)


async def reasons_to_hold(
    rows: Sequence[BatchRow],
    api: PaymentApi,
    operation: BatchOperation,
    merchant_serial_number: str,
    journal: Journal,
    *,
    unnamed: Mapping[str, Collection[int]],
) -> list[str]:
    """Say of each row what it meets in the journal; empty: it may be sent. All are asked for at once.

    Args:
        rows: of one file.
        api: the API that they are about to be sent over.
        operation: what is to be done with them.
        merchant_serial_number: the sales unit.
        journal: what was begun and done before.
        unnamed: by payment, which rows of the file have no reference.

    Raises:
        JournalError: the journal failed.
    """

    async def reason(row: BatchRow) -> str:
        if row.minor_units is None:
            return ""
        entries = await journal.find(payment=row.payment, merchant_serial_number=merchant_serial_number)
        key = row.idempotency_key(operation, merchant_serial_number)
        numbers = unnamed.get(row.payment, ()) if row.reference is None and entries else ()
        file_keys = [_key_of(row, number, operation, merchant_serial_number) for number in numbers]
        found = met_by(row, operation, key, entries, api=api.name, file_keys=file_keys)
        return "" if found is None else met_text(found, row)

    return await asyncio.gather(*map(reason, rows))


def _key_of(row: BatchRow, number: int, operation: BatchOperation, merchant_serial_number: str) -> str:
    """Return the key of another row of the same file and payment that has no reference, either."""
    assert row.origin is not None  # noqa: S101 - for the type checker: a row without reference has one
    other = evolve(row, origin=evolve(row.origin, number=number))
    return other.idempotency_key(operation, merchant_serial_number)
