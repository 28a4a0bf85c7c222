"""A journal file is looked into for as short as possible, and left as it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.diagnosis.checked import CHECKS, found
from tests.journals.material import intent
from vipps_async import SqliteJournal
from vipps_async.diagnosis import CheckState
from vipps_async.testing import Sandbox


async def _journal(path: Path, *, entries: int = 0) -> SqliteJournal:
    journal = SqliteJournal(path)
    await journal.open()
    for number in range(entries):
        when = datetime.now(UTC) - timedelta(hours=3, minutes=number)
        await journal.begin(intent(number, created_at=when), owner="a", lease=0)
    return journal


async def test_a_journal_in_which_nothing_is_open(sandbox: Sandbox, tmp_path: Path) -> None:
    """It can be opened, and is let go again."""
    path = tmp_path / "pay.db"
    await (await _journal(path)).aclose()
    results = await found(sandbox.url, journal=path)
    assert results["journal"].state is CheckState.OK
    assert results["journal"].facts["open"] == 0
    await (await _journal(path)).aclose()
    assert list(results) == [*CHECKS[:-1], "journal", "versions"]


async def test_a_journal_with_something_open(sandbox: Sandbox, tmp_path: Path) -> None:
    """How many, since when, and the command that settles them."""
    path = tmp_path / "pay day.db"
    await (await _journal(path, entries=3)).aclose()
    result = (await found(sandbox.url, journal=path))["journal"]
    assert result.state is CheckState.WARNING
    assert result.text.startswith(f"3 open in the journal {path}, the oldest for 3 h;")
    assert result.advice == f"settle it: vipps-async journal recover --journal '{path}'"
    assert result.facts["open"] == 3


@pytest.mark.parametrize(("ahead", "age"), [(-86_400, "0 s"), (-10_600, "3 min"), (172_800, "2 d")])
async def test_ages_are_for_people(sandbox: Sandbox, tmp_path: Path, ahead: float, age: str) -> None:
    """In the largest unit; never negative."""
    path = tmp_path / "pay.db"
    await (await _journal(path, entries=1)).aclose()
    assert f"the oldest for {age};" in (await found(sandbox.url, journal=path, ahead=ahead))["journal"].text


async def test_a_journal_that_a_live_process_owns(sandbox: Sandbox, tmp_path: Path) -> None:
    """As it should be while a service runs: a warning, since it cannot be looked into; the owner is named."""
    path = tmp_path / "pay.db"
    journal = await _journal(path, entries=1)
    try:
        result = (await found(sandbox.url, journal=path))["journal"]
    finally:
        await journal.aclose()
    assert result.state is CheckState.WARNING
    assert "is in use by" in result.text
    assert result.facts == {"in_use": True, "open": None}


@pytest.mark.parametrize("content", [None, b"no journal at all, but a text that is long enough to be looked at" * 20])
async def test_a_journal_that_is_none(sandbox: Sandbox, tmp_path: Path, content: bytes | None) -> None:
    """A file that is missing, or something else: a failure, and it is left as it is."""
    path = tmp_path / "pay.db"
    if content is not None:
        path.write_bytes(content)
    result = (await found(sandbox.url, journal=path))["journal"]
    assert result.state is CheckState.FAILED
    assert str(path) in result.text
    assert result.advice
    assert (path.read_bytes() if path.exists() else None) == content
