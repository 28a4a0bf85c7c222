"""Holds rows that may repeat an operation of their own file or of a journal: held rows are not sent."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence

from attrs import evolve

from vipps_async.batch.results import Hold, RowCause
from vipps_async.batch.row_store import RowStore, Sibling
from vipps_async.core.batch import BatchOperation, BatchRow
from vipps_async.core.payment_api import PaymentApi
from vipps_async.core.undecided import PaymentRecord, damaged_text, may_yet_capture, read_record, send_again
from vipps_async.journals.entries import DamagedEntry, Entry, KeyOrigin, Outcome
from vipps_async.journals.protocol import Journal
from vipps_async.money import format_amount

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
    """Return the earlier operation that a row may repeat: one that was begun or done.

    Text, file, batch and API do not matter: none of them makes another operation. Two different references do, so two
    entries of one API that both have one never meet; over two APIs the same reference is the same operation, whatever
    its amount. While the outcome of the one is not known, two references do not tell them apart either: what is not
    settled may be what the row is to make good. A row that takes all that is left meets nothing: twice it does no more
    than once.

    A row without reference that asks for another amount than such a row of another file most likely corrects it: the
    amount was changed in the file after it was carried out.

    Args:
        row: what is about to be sent.
        operation: what is done with it.
        key: the row's key: an entry of the same API under it is this row itself, from an earlier run.
        entries: what the journal has of the payment, of this sales unit.
        api: the name of the API that it is about to be sent over.
        file_keys: the keys of the rows of its own file: they are other operations than this one.

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
        is_undecided = entry.settlement is None and intent.key not in file_keys
        may_be_same = row.reference is None or not intent.reference or is_undecided
        if (may_be_same and intent.amount == row.minor_units) or intent.key == key:
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
    if dropped := send_again(entry):
        met += f", {dropped}"
    if settlement is None and intent.reference and row.reference not in {None, intent.reference}:
        return f"{met}, and its outcome is not known: run this row again once that is settled"
    # The same reference over another API is the same operation, whatever its amount.
    is_other = row.reference is None and row.minor_units != intent.amount
    return f"{met}; this row has another amount: is it a correction, or another one?" if is_other else met


def _counts(entry: Entry) -> bool:
    return entry.settlement is None or entry.settlement.outcome is Outcome.DONE


def _is_done(entry: Entry) -> bool:
    return entry.settlement is not None and entry.settlement.outcome is Outcome.DONE


async def hold_rows(
    store: RowStore, api: PaymentApi, operation: BatchOperation, merchant_serial_number: str, journal: Journal | None
) -> None:
    """Mark rows as held that may repeat an earlier row of the file, or what the journal has of their payment.

    Args:
        store: the rows.
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
    damaged = await journal.damaged(only_open=True)
    rows = store.rows_to_hold()
    while page := await asyncio.to_thread(lambda: list(itertools.islice(rows, _AT_ONCE))):
        siblings = await asyncio.to_thread(store.rows_of_payments, {row.payment for row, _ in page})
        holds = await holds_of(
            page, api, operation, merchant_serial_number, journal, damaged_open=damaged, siblings=siblings
        )
        held = [(row, hold) for (row, _), hold in zip(page, holds, strict=True) if hold is not None]
        await asyncio.to_thread(store.hold, held)


async def holds_of(
    rows: Sequence[tuple[BatchRow, bool]],
    api: PaymentApi,
    operation: BatchOperation,
    merchant_serial_number: str,
    journal: Journal,
    *,
    damaged_open: Sequence[DamagedEntry],
    siblings: Mapping[str, Collection[Sibling]],
) -> list[Hold | None]:
    """Say of each row why it must not be sent; None: it may be. The journal is asked about all of them at once.

    Args:
        rows: each with whether it is released, as another one is meant than what was done before.
        api: the API that they are about to be sent over.
        operation: what is done with them.
        merchant_serial_number: the sales unit.
        journal: what was done before.
        damaged_open: what of it stands as open and cannot be read.
        siblings: by payment, all rows that the file has of it.

    Raises:
        JournalError: the journal failed.
    """
    #: The keys of the file's rows, by payment.
    keys: dict[str, Collection[str]] = {}

    async def hold(row: BatchRow, is_released: bool) -> Hold | None:  # noqa: FBT001 - as it stands in `rows`
        record = await read_record(journal, row.payment, merchant_serial_number, damaged_open)
        key = row.idempotency_key(operation, merchant_serial_number)
        if record.entries and row.payment not in keys:
            rows_of_it = siblings.get(row.payment, ())
            keys[row.payment] = {_key_of(row, each, operation, merchant_serial_number) for each in rows_of_it}
        file_keys = keys.get(row.payment, ())
        return hold_of(row, operation, key, record, api=api.name, is_released=is_released, file_keys=file_keys)

    return await asyncio.gather(*(hold(row, is_released) for row, is_released in rows))


def _key_of(row: BatchRow, sibling: Sibling, operation: BatchOperation, merchant_serial_number: str) -> str:
    """Return the key of another row of the same file and payment."""
    assert row.origin is not None  # noqa: S101 - for the type checker: a row of a file has one
    number, reference = sibling
    other = evolve(row, origin=evolve(row.origin, number=number), reference=reference)
    return other.idempotency_key(operation, merchant_serial_number)


def hold_of(
    row: BatchRow,
    operation: BatchOperation,
    key: str,
    record: PaymentRecord,
    *,
    api: str,
    is_released: bool,
    file_keys: Collection[str] = (),
) -> Hold | None:
    """Say why a row must not be sent; None: it may be. Arguments as for `met_by`.

    A cancel is held beside an open capture of its payment: which of the two counts, a person says. What stands
    under its own key and was dropped holds it, also where it is released: `journal send` is the way back.
    What cannot be read may be this very operation, and so holds every row of its payment, whatever it asks for.
    """
    own = record.own(key, api, operation.value)
    if own is not None and (dropped := send_again(own)):
        return Hold(f"was {dropped}", RowCause.DROPPED)
    if is_released:
        return None
    if record.damaged:
        found = "; ".join(map(damaged_text, record.damaged))
        text = f"is of a payment of which the journal has what cannot be read, and may have moved money: {found}"
        return Hold(text, RowCause.DAMAGED)
    capture = next(filter(may_yet_capture, record.entries), None)
    if operation is BatchOperation.CANCEL and capture is not None and (own is None or not _is_done(own)):
        asked = capture.intent.amount
        amount = "" if asked is None else f" of {format_amount(asked, capture.intent.currency)}"
        return Hold(
            f"is to cancel a payment with a {capture.intent.operation}{amount} that is open under the key "
            f"{capture.intent.key}, and may have moved money: this run does not send that one again",
            RowCause.UNDECIDED,
        )
    met = met_by(row, operation, key, record.entries, api=api, file_keys=file_keys)
    if met is None:
        return None
    return Hold(met_text(met, row), RowCause.UNDECIDED if met.settlement is None else None)
