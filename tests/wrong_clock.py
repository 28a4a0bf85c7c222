"""A command on a machine whose clock is wrong: ``python -m tests.wrong_clock 3600 batch work …``."""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

from tests.short_waits import shorten_waits

__all__ = ["set_clock"]


def set_clock(seconds: float) -> None:
    """Let this process's time of day be so many seconds ahead; its monotonic clock is none of a machine's settings."""
    clock: Any = import_module("vipps_async.core.clock")
    utils: Any = import_module("procrastinate.utils")
    now, utcnow, unix_time = clock.SystemClock.now, utils.utcnow, time.time
    ahead = timedelta(seconds=seconds)

    def moved_now(self: object) -> datetime:
        told: datetime = now(self)
        return told + ahead

    def moved_utcnow() -> datetime:
        told: datetime = utcnow()
        return told + ahead

    clock.SystemClock.now = moved_now
    utils.utcnow = moved_utcnow
    time.time = lambda: unix_time() + seconds


if __name__ == "__main__":
    set_clock(float(sys.argv.pop(1)))
    shorten_waits(setattr)
    sys.exit(import_module("vipps_async.cli.main").main())
