"""A payment's events, derived from its history, in order and each once."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vipps_async.sandbox.ledger.entries import MEANINGS, LogEntry, PaymentOutcome
from vipps_async.sandbox.ledger.payment import Payment

#: Makes the ids of events from those of transactions, which the reservation shares with the payment.
_SPACE = uuid.UUID("5c6c0d0e-6f0b-4d5a-9d55-3b0e3f1f2a4c")
#: How the customer ended it → the event.
_ENDINGS = {PaymentOutcome.DECLINED: "ABORTED", PaymentOutcome.EXPIRED: "EXPIRED"}
#: What events are called.
NAMES = {name for meaning in MEANINGS.values() for name in meaning.events} | {*_ENDINGS.values(), "TERMINATED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a payment, or failed to."""

    #: One of `NAMES`.
    name: str
    #: No other event has it.
    psp_reference: str
    #: In minor units: that of this operation alone.
    amount: int
    time: datetime
    #: False: it was tried, and nothing moved.
    success: bool
    #: The idempotency key of the request; that of an authorization is its payment's; empty: there was none.
    idempotency_key: str = ""


def events_of(payment: Payment, history: Sequence[LogEntry] | None = None) -> list[Event]:
    """Return the events that a payment's history, or a part of it, tells, oldest first."""
    events: list[Event] = []
    for entry in payment.history if history is None else history:
        names = MEANINGS[entry.operation].events or (_name_of_end(payment, entry, events),)
        events += [_event(payment, entry, name) for name in names]
    return events


def _name_of_end(payment: Payment, entry: LogEntry, before: Sequence[Event]) -> str:
    if entry.success:
        return _ENDINGS[payment.ending] if payment.ending is not None else "TERMINATED"
    authorized = any(event.name == "AUTHORIZED" and event.success for event in before)
    return "CANCELLED" if authorized else "TERMINATED"


def _event(payment: Payment, entry: LogEntry, name: str) -> Event:
    return Event(
        name=name,
        psp_reference=str(uuid.uuid5(_SPACE, f"{payment.sales_unit}/{entry.transaction_id}/{name}")),
        amount=entry.amount,
        time=entry.time,
        success=entry.success,
        idempotency_key=entry.request_id,
    )
