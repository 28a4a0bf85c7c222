"""Sessions over a service in memory, in a time that does not wait."""

from __future__ import annotations

from attrs import evolve

from tests.core.fake_clock import FakeClock
from tests.core.samples import CREDENTIALS
from tests.epayment.service import EpaymentService
from vipps_async import MemoryJournal, RetryPolicy, VippsSession
from vipps_async.testing import ScriptedTransport

__all__ = ["ORDER", "opened"]

ORDER = "acme-order-1"


def opened(
    service: EpaymentService,
    journal: MemoryJournal | None = None,
    *,
    attempts: int = 1,
    clock: FakeClock | None = None,
    merchant_serial_number: str = "123456",
    transport: ScriptedTransport | None = None,
) -> VippsSession:
    """Return a session that talks to the service."""
    return VippsSession(
        evolve(CREDENTIALS, merchant_serial_number=merchant_serial_number),
        transport=transport or service.transport,
        journal=journal,
        retry=RetryPolicy(attempts=attempts),
        clock=clock or FakeClock(),
    )
