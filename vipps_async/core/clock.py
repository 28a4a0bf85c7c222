"""The clock that core reads and sleeps on, passed in so that tests need not wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Tells the time and waits."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    def now(self) -> datetime:
        """The time of day, aware, UTC."""
        ...

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait without blocking the event loop."""
        ...


class SystemClock:
    """The clock of the machine and the event loop."""

    def monotonic(self) -> float:
        """See Clock."""
        return time.monotonic()

    def now(self) -> datetime:
        """See Clock."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> Awaitable[None]:
        """See Clock."""
        return asyncio.sleep(seconds)
