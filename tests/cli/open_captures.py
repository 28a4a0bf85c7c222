"""A journal with captures that are open, as a process leaves them that died: written directly, which takes no time."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from vipps_async import SqliteJournal
from vipps_async.core.batch import BatchOperation
from vipps_async.core.payment_api import PaymentCommand
from vipps_async.core.pipeline import render
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.journals.protocol import Intent, KeyOrigin
from vipps_async.not_given import NOT_GIVEN

__all__ = ["leave_open"]


async def leave_open(
    path: Path,
    key: str,
    *,
    payment: str = "order-1",
    amount: int | None = 10_000,
    operation: BatchOperation = BatchOperation.CAPTURE,
    merchant_serial_number: str = "123456",
    note: str = "the line was dead",
) -> Intent:
    """Note an operation over eCom that is open, and return it: Vipps never got it. `amount` None: all that remains."""
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
        api="ecom",
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
    journal = SqliteJournal(path)
    await journal.open()
    try:
        await journal.begin(intent, owner="somebody", lease=0)
        await journal.release(intent, note=note, owner="somebody")
    finally:
        await journal.aclose()
    return intent
