"""Limits count in a sliding minute, and forget."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vipps_async.sandbox.ledger.clock import RateLimits
from vipps_async.sandbox.ledger.reasons import Reason, Refused

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_minute_slides() -> None:
    """A sixth call passes as soon as the first of five is a minute old, and a refused call does not count."""
    limits = RateLimits()
    for second in range(5):
        limits.count("capture", 5, "order", START + timedelta(seconds=second))
    with pytest.raises(Refused) as caught:
        limits.count("capture", 5, "order", START + timedelta(seconds=59))
    assert (caught.value.reason, caught.value.wait) == (Reason.TOO_MANY_CALLS, 1)
    limits.count("capture", 5, "order", START + timedelta(seconds=60))
    with pytest.raises(Refused):
        limits.count("capture", 5, "order", START + timedelta(seconds=60))


def test_windows_are_forgotten() -> None:
    """Orders that rest for a minute take no memory."""
    limits = RateLimits()
    for number in range(1000):
        limits.count("details", 120, number, START)
    assert len(limits) == 1000
    limits.count("details", 120, "another", START + timedelta(seconds=60))
    assert len(limits) == 1
