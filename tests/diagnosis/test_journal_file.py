"""A journal file is looked into for as short as possible, and left as it is."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.diagnosis.checked import CHECKS, found
from tests.journals.material import intent
from vipps_async import SqliteJournal
from vipps_async.diagnosis import CheckState
from vipps_async.journals.entries import World
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
    assert result.text.startswith(f"3 open in the journal {path}, the oldest since {result.facts['oldest']:%Y-%m-%d}")
    assert result.advice == f"settle it: vipps-async journal recover --journal '{path}'"
    assert result.facts["open"] == 3


async def test_another_sales_units_operations_are_told_apart(sandbox: Sandbox, tmp_path: Path) -> None:
    """Recovery without --msn would settle nothing of them."""
    path = tmp_path / "pay.db"
    journal = await _journal(path, entries=1)
    for number, unit in enumerate(("654321", "654322", "654323", "654324"), 7):
        await journal.begin(intent(number, merchant_serial_number=unit), owner="a", lease=0)
    await journal.aclose()
    result = (await found(sandbox.url, journal=path))["journal"]
    others = f"of other sales units: settle each with --msn, as vipps-async journal list --open --journal {path} shows"
    assert result.advice == f"settle it: vipps-async journal recover --journal {path}; 4 {others}"
    only = tmp_path / "other.db"
    journal = await _journal(only)
    await journal.begin(intent(1, merchant_serial_number="654321"), owner="a", lease=0)
    await journal.aclose()
    result = (await found(sandbox.url, journal=only))["journal"]
    assert result.advice == f"1 {others.replace(str(path), str(only))}"


@pytest.mark.parametrize("entries", [1, 2, 5])
async def test_damaged_open_rows_fail(sandbox: Sandbox, tmp_path: Path, entries: int) -> None:
    """Money may have moved for them and nothing is sent: never "nothing is open in it"."""
    path = tmp_path / "pay.db"
    await (await _journal(path, entries=entries)).aclose()
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE entries SET amount = amount + 1 WHERE position != 2")
    result = (await found(sandbox.url, journal=path))["journal"]
    assert result.state is CheckState.FAILED
    assert f"{1 if entries < 3 else 4} that {'is' if entries < 3 else 'are'} not settled cannot be read" in result.text
    assert "nothing is open" not in result.text
    assert f"compare the payments that vipps-async journal check --journal {path} names, at Vipps" in result.advice


async def test_a_journal_of_another_environment(sandbox: Sandbox, tmp_path: Path) -> None:
    """Nothing of it can be settled with these variables: the mismatch is told, and no command that fails."""
    path = tmp_path / "pay.db"
    for bound in (World(environment="production", host="vipps"), World(environment="test", host="elsewhere:1")):
        journal = await _journal(path, entries=1)
        await journal.rebind(bound)
        await journal.aclose()
        result = (await found(sandbox.url, journal=path))["journal"]
        assert result.state is CheckState.FAILED
        assert f"it is of another Vipps ({bound})" in result.text
        assert "settle it" not in result.advice


async def test_a_journal_of_a_sandbox_that_was_started_anew(sandbox: Sandbox, tmp_path: Path) -> None:
    """It is at the same port, and knows nothing of the old payments."""
    path, host = tmp_path / "pay.db", sandbox.url.removeprefix("http://")
    journal = await _journal(path)
    await journal.rebind(World(environment="test", host=host, instance="an earlier one"))
    await journal.aclose()
    assert (await found(sandbox.url, journal=path))["journal"].state is CheckState.FAILED


async def test_an_empty_file(sandbox: Sandbox, tmp_path: Path) -> None:
    """It was cut off, or is none: every command refuses it, and it is left as it is."""
    path = tmp_path / "pay.db"
    path.touch()
    result = (await found(sandbox.url, journal=path))["journal"]
    assert result.state is CheckState.FAILED
    assert "has 0 bytes: it was cut off" in result.text
    assert "If it is meant to be new, delete it" in result.advice
    assert path.stat().st_size == 0


async def test_a_folder(sandbox: Sandbox, tmp_path: Path) -> None:
    """It is not called missing."""
    result = (await found(sandbox.url, journal=tmp_path))["journal"]
    assert (result.state, result.text) == (CheckState.FAILED, f"{tmp_path} is no file, so it is no journal")


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
