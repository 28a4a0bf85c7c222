"""Finds captures and refunds that Vipps has of a payment and the journal does not: the portal's, other systems'."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vipps_async.core.batch import WITH_AMOUNT
from vipps_async.core.payment_api import HistoryEntry
from vipps_async.journals.entries import Outcome
from vipps_async.reconciliation.day import KnownOperation


def unknown_to_journal(
    history: Sequence[HistoryEntry], known: Sequence[KnownOperation], api: str
) -> Iterator[tuple[HistoryEntry, KnownOperation | None]]:
    """Go through what took effect by a payment's history and is not done in the journal, with what is there instead.

    An entry without a key is taken for an operation of the journal that is not shown under its own one, where kind and
    amount fit: each of those for one entry. So is an entry with another key where that operation went over another API
    than this history is of, since it is not known that both show one key.

    Args:
        history: what Vipps shows of the payment.
        known: all that the journal has of it.
        api: the one that the history is of.
    """
    moved = [entry for entry in history if entry.is_done and entry.verb in WITH_AMOUNT]
    shown = {(entry.verb, entry.key) for entry in moved}
    # Done first: the same key may be known to two APIs.
    by_key = {(each.operation, each.key): each for each in sorted(known, key=lambda each: each.outcome is Outcome.DONE)}
    unseen = [
        each for each in known if each.outcome in {Outcome.DONE, None} and (each.operation, each.key) not in shown
    ]
    for entry in moved:
        same = by_key.get((entry.verb or "", entry.key or ""))
        if same is not None:
            if same.outcome is not Outcome.DONE:
                yield entry, same
        elif (other := _taken_for(entry, unseen, api)) is not None:
            unseen.remove(other)
        else:
            yield entry, None


def _taken_for(entry: HistoryEntry, unseen: Sequence[KnownOperation], api: str) -> KnownOperation | None:
    """Return the operation that an entry may be; one with this very amount before one of all that was left."""
    fitting = [
        each
        for each in unseen
        if each.operation == entry.verb and each.amount in {None, entry.amount} and (not entry.key or each.api != api)
    ]
    return min(fitting, key=lambda each: each.amount is None, default=None)
