"""The capture of a shipment as a job that may run twice: what the workers of this folder have in common."""

from __future__ import annotations

import asyncio
import logging
import os

from attrs import frozen

from vipps_async import (
    CaptureError,
    OrderNotFoundError,
    PostgresJournal,
    SqliteJournal,
    VippsError,
    VippsSession,
    derive_idempotency_key,
    format_nok,
)

__all__ = ["Worker", "capture_shipment"]

#: Seconds between two recoveries in one worker.
_RECOVER_EVERY = 300.0

_log = logging.getLogger(__name__)


@frozen
class Worker:
    """What one worker has open from its start to its end: a session with a journal, and recovery beside the jobs."""

    vipps: VippsSession
    _settling: asyncio.Task[None]

    @classmethod
    async def open(cls) -> Worker:
        """Open the session; ``SHOP_DSN`` names a PostgreSQL, for several processes, or ``SHOP_JOURNAL`` one's file."""
        dsn = os.environ.get("SHOP_DSN")
        journal = PostgresJournal(dsn) if dsn else SqliteJournal(os.environ["SHOP_JOURNAL"])
        vipps = await VippsSession.from_env(journal=journal).__aenter__()
        return cls(vipps, asyncio.create_task(_settle_now_and_then(vipps)))

    async def aclose(self) -> None:
        """End recovery, then close session and journal."""
        self._settling.cancel()
        await asyncio.wait([self._settling])
        await self.vipps.aclose()


async def _settle_now_and_then(vipps: VippsSession) -> None:
    while True:
        try:
            report = await vipps.recover()
        except VippsError as error:
            _log.warning("recovery failed, and is tried again: %s", error)
        else:
            if report.stays_open:
                _log.error("%s operations stay open: money may have moved", report.stays_open)
        await asyncio.sleep(_RECOVER_EVERY)


async def capture_shipment(vipps: VippsSession, *, order_id: str, shipment: str, amount: int) -> str:
    """Capture what was shipped, once, however often this runs, and on whichever machine.

    Every queue runs a job twice sooner or later: a worker dies after the capture and before it could say so. The key
    follows from what the job is about, not from the job itself, so that a second job for the same shipment has it too.
    The amount is no part of it: the same shipment with another amount is refused, not captured a second time.

    Args:
        vipps: an open session.
        order_id: the payment.
        shipment: the number of the shipment.
        amount: øre.

    Returns:
        What became of it, for the job's result.

    Raises:
        VippsError: it is not done, or not known to be: let the queue try again. The key stays the same.
    """
    key = derive_idempotency_key("capture", vipps.merchant_serial_number, order_id, shipment)
    try:
        await vipps.ecom.capture(order_id, amount=amount, transaction_text=f"Shipment {shipment}", idempotency_key=key)
    except OrderNotFoundError as refusal:
        return f"refused: {refusal.message}"
    except CaptureError as refusal:
        # Vipps said no, and will again: a person has to look at it. The no is to this call, so how the payment stands
        # is said with it: another key may have taken the money, and the goods are not to be held back then.
        details = await vipps.ecom.details(order_id)
        taken = format_nok(details.captured_amount)
        return f"refused: {refusal.message}; captured in all, by details that may lag: {taken}"
    return "captured"
