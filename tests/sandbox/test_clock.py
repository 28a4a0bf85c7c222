"""The clock runs, or stands, and only ever moves on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from vipps_async.sandbox import SandboxClock
from vipps_async.sandbox.ledger.clock import iso_utc


def test_it_moves_by_seconds_and_timedeltas() -> None:
    """Both kinds of steps move a standing clock exactly."""
    clock = SandboxClock(datetime(2026, 1, 1, 13, tzinfo=timezone(timedelta(hours=1))), running=False)
    assert clock.now() == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert clock.now().tzinfo is UTC
    clock.advance(1.5)
    clock.advance(timedelta(days=180))
    assert clock.now() == datetime(2026, 6, 30, 12, 0, 1, 500_000, tzinfo=UTC)


def test_a_running_clock_starts_where_it_is_told() -> None:
    """It shows its start and goes on from there."""
    clock = SandboxClock(datetime(2030, 1, 1, tzinfo=UTC))
    first = clock.now()
    clock.advance(60)
    assert timedelta(0) <= first - datetime(2030, 1, 1, tzinfo=UTC) < timedelta(seconds=5)
    assert clock.now() - first >= timedelta(seconds=60)


def test_time_does_not_run_backwards() -> None:
    """Negative and infinite steps, and a start without a zone, are refused."""
    clock = SandboxClock()
    for step in (-1.0, timedelta(seconds=-1), float("nan"), float("inf")):
        with pytest.raises(ValueError, match="advanced"):
            clock.advance(step)
    with pytest.raises(ValueError, match="time zone"):
        SandboxClock(datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test


def test_listeners_are_told_of_steps() -> None:
    """A listener is called after each step until it is taken off."""
    clock = SandboxClock()
    advances: list[int] = []
    stop = clock.on_advance(lambda: advances.append(1))
    clock.advance(1)
    stop()
    clock.advance(1)
    assert advances == [1]


def test_times_are_written_as_vipps_writes_them() -> None:
    """Milliseconds always, Z at the end unless the zone is left out."""
    moment = datetime(2018, 12, 12, 11, 18, 38, tzinfo=UTC)
    assert iso_utc(moment) == "2018-12-12T11:18:38.000Z"
    assert iso_utc(moment, zone=False) == "2018-12-12T11:18:38.000"
