"""A day is from midnight to midnight in its zone, and has what became known as done then."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from tests.support.rows import each_row
from vipps_async import ConfigurationError, InvalidInputError, MemoryJournal, SqliteJournal
from vipps_async.journals.entries import Intent, Outcome, Settlement
from vipps_async.reconciliation import Day, entries_of_day

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
OSLO = Day.of("2026-11-27", now=NOW)
INTENT = Intent(
    key="key-0",
    api="ecom",
    operation="capture",
    payment="order-0",
    merchant_serial_number="123456",
    amount=100,
    currency="NOK",
    digest="ab",
    created_at=NOW - timedelta(days=30),
)


@each_row(
    ("text", "zone", "hours", "begins"),
    [
        ("2026-11-27", "Europe/Oslo", 24, "2026-11-26T23:00"),
        ("2026-11-27", "UTC", 24, "2026-11-27T00:00"),
        ("2026-11-27", "utc", 24, "2026-11-27T00:00"),
        ("2026-11-27", "Europe/Helsinki", 24, "2026-11-26T22:00"),
        ("2026-03-29", "Europe/Oslo", 23, "2026-03-28T23:00"),
        ("2026-10-25", "Europe/Oslo", 25, "2026-10-24T22:00"),
        ("yesterday", "Europe/Oslo", 24, "2026-11-26T23:00"),
        ("today", "Europe/Oslo", 24, "2026-11-27T23:00"),
    ],
)
def test_a_day_is_from_midnight_to_midnight(text: str, zone: str, hours: int, begins: str) -> None:
    """In its zone: the days on which clocks change have 23 and 25 hours."""
    day = Day.of(text, zone, now=NOW)
    assert day.begins == datetime.fromisoformat(begins).replace(tzinfo=UTC)
    assert day.ends - day.begins == timedelta(hours=hours)


def test_what_day_it_is_depends_on_the_zone() -> None:
    """Half past eleven in the evening in London is the next day in Oslo."""
    late = datetime(2026, 11, 27, 23, 30, tzinfo=UTC)
    assert [Day.of("today", zone, now=late).on.day for zone in ("UTC", "Europe/Oslo")] == [27, 28]


def test_a_day_says_what_it_means() -> None:
    """Nobody has to guess the zone."""
    assert str(OSLO) == "2026-11-27 in Europe/Oslo (2026-11-26 23:00 to 2026-11-27 23:00 UTC)"
    assert str(Day.of("2026-11-27", "UTC", now=NOW)) == "2026-11-27 (UTC)"


@each_row(
    "text", ["2026-11-29", "2026-13-01", "27.11.2026", "20261127", "2026-11-27T00:00", "tomorrow", "", "0001-01-01"]
)
def test_what_is_no_day_is_refused(text: str) -> None:
    """Also one that has not begun: nothing can be done on it."""
    with pytest.raises(InvalidInputError, match="day must be such as 2026-11-27"):
        Day.of(text, now=NOW)


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "../etc/passwd", "", "/etc/passwd"])
def test_a_zone_that_the_machine_does_not_know_is_refused(zone: str) -> None:
    """With one that there is."""
    with pytest.raises(ConfigurationError, match=r"knows no time zone.*name one such as Europe/Oslo, or say UTC"):
        Day.of("2026-11-27", zone, now=NOW)


def test_a_machine_without_zones_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small images have none at all; UTC goes without."""
    monkeypatch.setattr("vipps_async.time_zone.available_timezones", set)
    monkeypatch.setattr("vipps_async.time_zone.ZoneInfo", _no_zone)
    with pytest.raises(ConfigurationError, match=r"say --time-zone UTC, or install the system's tzdata"):
        Day.of("2026-11-27", now=NOW)
    assert Day.of("2026-11-27", "utc", now=NOW).begins == datetime(2026, 11, 27, tzinfo=UTC)


def _no_zone(name: str) -> None:
    raise KeyError(name)


async def test_a_row_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    """Whether it is of that day is not known: it is not passed over in silence."""
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    await journal.open()
    await journal.settle(INTENT, Settlement(outcome=Outcome.DONE, answer=b"{}", settled_at=OSLO.begins))
    await journal.aclose()
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE entries SET amount = 200")
    await journal.open()
    found = await entries_of_day(journal, OSLO, merchant_serial_number="123456")
    await journal.aclose()
    assert (found.entries, [row.position for row in found.damaged]) == ([], [1])


@pytest.mark.parametrize("kind", ["memory", "file"])
async def test_the_entries_of_a_day(kind: str, tmp_path: Path) -> None:
    """By when they became known as done, the first moment in and the last one out; the others are counted."""
    journal = MemoryJournal() if kind == "memory" else SqliteJournal(tmp_path / "journal.db")
    await journal.open()
    moment = timedelta(microseconds=1)
    settled = {
        "before": (OSLO.begins - moment, Outcome.DONE),
        "last": (OSLO.ends - moment, Outcome.DONE),
        "first": (OSLO.begins, Outcome.DONE),
        "after": (OSLO.ends, Outcome.DONE),
        "refused": (OSLO.begins, Outcome.REFUSED),
        "not done": (OSLO.begins, Outcome.NOT_DONE),
        "other unit": (OSLO.begins, Outcome.DONE),
        "makes a payment": (OSLO.begins, Outcome.DONE),
        "other API": (OSLO.begins, Outcome.DONE),
    }
    more: dict[str, dict[str, Any]] = {
        "other unit": {"merchant_serial_number": "654321"},
        "makes a payment": {"operation": "initiate", "adjusts": False},
        "other API": {"api": "epayment"},
    }
    try:
        for key, (at, outcome) in settled.items():
            intent = evolve(INTENT, key=key, payment=f"of {key}", **more.get(key, {}))
            await journal.begin(intent, owner="a", lease=60)
            await journal.settle(intent, Settlement(outcome=outcome, answer=b"{}", settled_at=at))
        await journal.begin(evolve(INTENT, key="open", payment="open"), owner="a", lease=60)
        found = await entries_of_day(journal, OSLO, merchant_serial_number="123456", api="ecom")
        assert [entry.intent.key for entry in found.entries] == ["first", "last"]
        assert (found.of_other_units, found.open, found.damaged) == (1, 1, [])
        both = await entries_of_day(journal, OSLO, merchant_serial_number="123456")
        assert [entry.intent.key for entry in both.entries] == ["other API", "first", "last"]
    finally:
        await journal.aclose()
