"""Which entries of the journal a row may be a repetition of: values in, values out."""

from __future__ import annotations

from collections.abc import Iterable

from vipps_async.batch.rows import BatchOperation, BatchRow
from vipps_async.journals.protocol import Entry, Outcome
from vipps_async.money import format_nok
from vipps_async.not_given import NotGiven

__all__ = ["met_by", "met_text"]


def met_by(row: BatchRow, operation: BatchOperation, key: str, entries: Iterable[Entry]) -> Entry | None:
    """Return what a row meets: an operation of the same amount that was begun or done, and may be the very same wish.

    Text, file, batch and API do not matter: none of them makes another wish. Two different references do, so two
    entries that both have one never meet. A row that takes all that is left meets nothing: twice it does no more than
    once.

    Args:
        row: what is about to be sent.
        operation: what is done with it.
        key: the row's key: an entry under it is this row itself, from an earlier run.
        entries: what the journal has of the order, of this sales unit.

    Returns:
        The first entry that is met; None: the row may be sent.
    """
    if operation is BatchOperation.CANCEL or isinstance(row.amount, NotGiven):
        return None
    counting = [entry for entry in entries if _counts(entry)]
    if any(entry.intent.key == key for entry in counting):
        return None
    for entry in counting:
        intent = entry.intent
        is_unnamed = row.reference is None or not _reference_of(entry)
        if is_unnamed and intent.amount == row.amount and _operation_of(entry) == operation.value:
            return entry
    return None


def met_text(entry: Entry) -> str:
    """Say on one line what a row has met."""
    intent, settlement = entry.intent, entry.settlement
    amount = "" if intent.amount is None else f" of {format_nok(intent.amount)}"
    state = "which is open" if settlement is None else f"done {settlement.settled_at:%Y-%m-%d %H:%M:%S} UTC"
    reference = _reference_of(entry)
    named = f"reference {reference}" if reference else "no reference"
    return f"meets a {_operation_of(entry)}{amount}, {state}, with {named} and the key {intent.key}"


def _counts(entry: Entry) -> bool:
    return entry.settlement is None or entry.settlement.outcome is Outcome.DONE


def _operation_of(entry: Entry) -> str:
    # An API's name may stand before it: it moves the same payment's money.
    return entry.intent.operation.rpartition(".")[2]


def _reference_of(entry: Entry) -> str:
    reference: str = getattr(entry.intent, "reference", "")
    return reference
