"""The horizon of the client, `settle_after`, and a clock to move past it: the one place that knows the settings."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta
from typing import Any

from vipps_async import VippsSession
from vipps_async.core.clock import SystemClock

__all__ = ["SETTLE_AFTER", "MovableClock", "horizon_settings"]

#: Seconds from the last attempt in doubt until its operation can be settled as not done: the client's default.
SETTLE_AFTER = 24 * 3600.0


class MovableClock(SystemClock):
    """The machine's clock, which tests move on."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def move(self, seconds: float) -> None:
        """Move it on."""
        self._ahead += seconds

    def monotonic(self) -> float:
        """See Clock."""
        return super().monotonic() + self._ahead

    def now(self) -> datetime:
        """See Clock."""
        return datetime.now(UTC) + timedelta(seconds=self._ahead)


def horizon_settings(clock: MovableClock) -> dict[str, Any]:
    """Return the keywords for a session; a client that does not know one of them yet is not told it."""
    known = inspect.signature(VippsSession).parameters
    return {name: value for name, value in {"settle_after": SETTLE_AFTER, "clock": clock}.items() if name in known}
