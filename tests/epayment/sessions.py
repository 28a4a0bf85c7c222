"""Sessions over a service in memory, in a time that does not wait."""

from __future__ import annotations

from typing import Any

from tests.core.fake_clock import FakeClock
from tests.core.samples import CREDENTIALS
from tests.epayment.service import EpaymentService
from vipps_async import MemoryJournal, RetryPolicy, VippsSession

__all__ = ["ORDER", "opened"]

ORDER = "acme-order-1"


def opened(
    service: EpaymentService,
    journal: MemoryJournal | None = None,
    *,
    attempts: int = 1,
    clock: FakeClock | None = None,
    **more: Any,
) -> VippsSession:
    """Return a session that talks to the service."""
    retry = RetryPolicy(attempts=attempts)
    return VippsSession(
        CREDENTIALS, transport=service.transport, journal=journal, retry=retry, clock=clock or FakeClock(), **more
    )
