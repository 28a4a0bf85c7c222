"""Limits count in a sliding minute, and forget."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vipps_async.sandbox.ledger.rate_limits import RateLimits
from vipps_async.sandbox.wire.refusals import Refusal

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_minute_slides() -> None:
    """A sixth call passes as soon as the first of five is a minute old, and a refused call does not count."""
    limits = RateLimits()
    for second in range(5):
        limits.count("capture", "order", START + timedelta(seconds=second))
    with pytest.raises(Refusal) as caught:
        limits.count("capture", "order", START + timedelta(seconds=59))
    assert caught.value.headers == {"Retry-After": "1"}
    limits.count("capture", "order", START + timedelta(seconds=60))
    with pytest.raises(Refusal):
        limits.count("capture", "order", START + timedelta(seconds=60))


def test_windows_are_forgotten() -> None:
    """Orders that rest for a minute take no memory."""
    limits = RateLimits()
    for number in range(1000):
        limits.count("details", number, START)
    assert len(limits) == 1000
    limits.count("details", "another", START + timedelta(seconds=60))
    assert len(limits) == 1


def test_what_has_no_limit_is_not_counted() -> None:
    """Token and user info have no published limit."""
    limits = RateLimits()
    for _ in range(1000):
        limits.count("userinfo", "x", START)
    assert len(limits) == 0
