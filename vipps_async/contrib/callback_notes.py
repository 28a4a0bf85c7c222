"""Callbacks as entries of a journal: noted before Vipps is answered, settled when their handler has succeeded.

A note says what a callback claims and nothing personal, but for a consent removal: its user id, without which the
removal could not be done after a crash. Recovery of payments leaves these entries alone.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from attrs import evolve

from vipps_async.ecom.callbacks import ConsentRemoval, PaymentUpdate, read_payment_update
from vipps_async.ecom.dialect import ECOM
from vipps_async.ecom.recovery import CALLBACK, CONSENT_REMOVAL, NOTES
from vipps_async.errors import CallbackError, JournalError
from vipps_async.journals.protocol import Intent

__all__ = ["CALLBACK", "CONSENT_REMOVAL", "event_of", "is_note", "note_of"]

#: Stands where an entry has an order, and cannot be the id of one.
_NO_ORDER = "(no order)"
#: The largest amount that every journal can hold, in øre.
_LARGEST = 2**63 - 1
#: How many characters of a fingerprint stay where a time is added: keys have 40 characters at most.
_SHORT = 20


def note_of(event: PaymentUpdate | ConsentRemoval, *, merchant_serial_number: str, now: datetime) -> Intent:
    """Make the note of an event that was just received.

    Args:
        event: what was received.
        merchant_serial_number: the sales unit of the session, whatever the event says.
        now: when it was received; aware.
    """
    if isinstance(event, ConsentRemoval):
        operation, order_id, body, amount = CONSENT_REMOVAL, _NO_ORDER, event.user_id.encode(), None
    else:
        operation, order_id, body, amount = CALLBACK, event.order_id, event.facts, event.claimed_amount
    key = event.fingerprint
    if isinstance(event, ConsentRemoval) or event.time_stamp is None:
        # Nothing tells a duplicate from later news: the same customer may consent again, and take it back again. So
        # each is handed over, which does no harm, for handlers must bear duplicates anyway.
        key = f"{key[:_SHORT]}-{int(now.timestamp() * 1_000_000):x}"
    return Intent(
        key=key,
        api=ECOM.name,
        operation=operation,
        payment=order_id,
        merchant_serial_number=merchant_serial_number,
        amount=amount if amount is not None and 0 <= amount <= _LARGEST else None,
        currency="NOK",
        digest=hashlib.sha256(body).hexdigest(),
        body=body,
        created_at=now,
    )


def is_note(intent: Intent) -> bool:
    """Whether an entry of a journal is the note of a callback."""
    return intent.operation in NOTES


def event_of(intent: Intent) -> PaymentUpdate | ConsentRemoval:
    """Make the event again that a note was made of, without what was personal in it.

    Raises:
        JournalError: the note is damaged.
    """
    body = intent.body or b""
    try:
        if hashlib.sha256(body).hexdigest() != intent.digest:
            raise JournalError("the note of a callback is damaged: its body does not fit its digest")
        if intent.operation == CONSENT_REMOVAL:
            return ConsentRemoval(user_id=body.decode("ascii"), is_offered_again=True)
        return evolve(read_payment_update(body, intent.payment), is_offered_again=True)
    except (CallbackError, UnicodeDecodeError) as error:
        raise JournalError(f"the note of a callback is damaged: {type(error).__name__}") from None
