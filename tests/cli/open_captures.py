"""A journal with captures that are open, as a process leaves them that died, or done, or that cannot be read.

Written directly, which takes no time.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from vipps_async import PostgresJournal, SqliteJournal
from vipps_async.core.batch import BatchOperation
from vipps_async.core.payment_api import PaymentCommand
from vipps_async.core.pipeline import render
from vipps_async.core.stored_error import write_drop
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.journals.entries import Attempts, Intent, KeyOrigin, Outcome, Settlement
from vipps_async.journals.postgres.place import PostgresPlace
from vipps_async.not_given import NOT_GIVEN

__all__ = ["damage", "drop", "leave_open", "note_done"]


def _journal_at(place: Path | PostgresPlace) -> SqliteJournal | PostgresJournal:
    return SqliteJournal(place) if isinstance(place, Path) else place.journal()


async def leave_open(
    path: Path | PostgresPlace,
    key: str,
    *,
    payment: str = "order-1",
    amount: int | None = 10_000,
    operation: BatchOperation = BatchOperation.CAPTURE,
    merchant_serial_number: str = "123456",
    note: str = "the line was dead",
    api: str = "ecom",
) -> Intent:
    """Note an operation that is open, and return it: Vipps never got it. `amount` None: all that remains.

    Over another API than eCom its body is none that this API has: it can only be looked at.
    """
    command = PaymentCommand(
        operation=operation,
        payment=payment,
        merchant_serial_number=merchant_serial_number,
        text="Shipped.",
        amount=NOT_GIVEN if amount is None else amount,
        key=key,
    )
    body = render(ECOM_API.make_call(command))
    intent = Intent(
        key=key,
        api=api,
        operation=operation.value,
        payment=payment,
        merchant_serial_number=merchant_serial_number,
        amount=amount,
        currency="NOK",
        digest=hashlib.sha256(body or b"").hexdigest(),
        body=body,
        created_at=datetime.now(UTC),
        origin=KeyOrigin.GIVEN,
    )
    journal = _journal_at(path)
    await journal.open()
    try:
        await journal.begin(intent, owner="somebody", lease=0)
        await journal.release(intent, note=note, owner="somebody")
    finally:
        await journal.aclose()
    return intent


async def note_done(path: Path | PostgresPlace, key: str, *, payment: str = "order-1", amount: int = 10_000) -> Intent:
    """Note a capture over eCom as done, and return it."""
    intent = await leave_open(path, key, payment=payment, amount=amount)
    journal = _journal_at(path)
    await journal.open()
    await journal.settle(intent, Settlement(outcome=Outcome.DONE, answer=b"{}", settled_at=datetime.now(UTC)))
    await journal.aclose()
    return intent


async def drop(path: Path, intent: Intent) -> None:
    """Note that an open operation was dropped, as `journal drop` does."""
    journal = SqliteJournal(path)
    await journal.open()
    now = datetime.now(UTC)
    await journal.release(intent, note="dropped", attempts=Attempts(last_at=now, refusal=write_drop(now)))
    await journal.aclose()


def damage(path: Path, key: str, change: str = "amount = amount + 1") -> None:
    """Change an entry so that it does not fit its checksum any more."""
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        changed = other.execute(f"UPDATE entries SET {change} WHERE key = ?", (key,)).rowcount  # noqa: S608
    assert changed == 1
