"""The clock that core reads and sleeps by; an argument, so that tests need not wait."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol


class Timer(Protocol):
    """A callback that is scheduled for a time."""

    def cancel(self) -> None:
        """Cancel the callback, unless it has run."""
        ...


class Timers(Protocol):
    """Sets timers, as an event loop does: each loop is one."""

    def time(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> Timer:
        """Schedule a callback for a time of `time`, in the running event loop."""
        ...


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

    def timers(self) -> Timers:
        """Return what sets timers by this clock in the running event loop."""
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

    def timers(self) -> Timers:
        """See Clock."""
        return asyncio.get_running_loop()
