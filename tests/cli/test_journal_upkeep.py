"""`vipps-async journal backup`, `check`, `prune` and `erase`: what they do, say, and end with."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.journals.material import LONG, MSN, intent
from vipps_async import Outcome, Settlement, SqliteJournal
from vipps_async.cli.main import main

#: One open, and settled ones of 500, 380 and 10 days ago.
AGES = {2: 500, 3: 380, 4: 10}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal file."""
    path = tmp_path / "journal.db"

    async def fill() -> None:
        journal = SqliteJournal(path)
        await journal.open()
        await journal.begin(intent(1), owner="a", lease=LONG)
        for number, days in AGES.items():
            known = datetime.now(UTC) - timedelta(days=days, hours=1)
            await journal.settle(intent(number), Settlement(outcome=Outcome.DONE, answer=b"{}", settled_at=known))
        await journal.aclose()

    asyncio.run(fill())
    return path


def run(*arguments: object) -> int:
    """Run an action of `journal`."""
    return main(["journal", *map(str, arguments)])


def keys(path: Path) -> list[str]:
    """The keys in a journal file."""

    async def read() -> list[str]:
        journal = SqliteJournal(path)
        await journal.open()
        found = [entry.intent.key async for entry in journal.recent_entries()]
        await journal.aclose()
        return sorted(found)

    return asyncio.run(read())


def test_backup(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A copy is made, told of, and never made over another file."""
    copy = tmp_path / "copy.db"
    assert run("backup", copy, "--journal", path) == 0
    assert capsys.readouterr().out == f"copied to {copy}\n"
    assert keys(copy) == keys(path)
    assert run("backup", copy, "--journal", path) == 2
    assert "is there already; nothing was copied" in capsys.readouterr().err


def test_backup_of_a_database_names_its_tool(capsys: pytest.CaptureFixture[str]) -> None:
    """A PostgreSQL journal is left to pg_dump."""
    pytest.importorskip("psycopg_pool")
    assert run("backup", "copy", "--dsn", "postgresql://nowhere.invalid/x", "--schema", "test_backup") == 2
    assert "pg_dump --schema test_backup" in capsys.readouterr().err


def test_check(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A whole journal ends with 0; one with a damaged row with 1, naming it; one that is none with 2."""
    assert run("check", "--journal", path) == 0
    assert capsys.readouterr().out == "no damage found\n"
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE entries SET amount = 1 WHERE payment = 'acme-3'")
    assert run("check", "--journal", path) == 1
    out = capsys.readouterr().out
    assert "entry 3, payment acme-3: what it holds does not fit its checksum" in out
    assert "1 cannot be read; nothing is ever sent for them." in out
    path.write_bytes(b"no journal" * 100)
    assert run("check", "--journal", path) == 2


def test_discard(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be read is deleted, with --yes where nobody can be asked; what can be read never is."""
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE entries SET amount = 1 WHERE payment = 'acme-1'")
    before = keys(path)
    assert run("discard", 1, "--journal", path) == 2
    err = capsys.readouterr().err
    assert "Compare first: vipps-async payment show acme-1" in err
    assert "Nothing was changed" in err
    assert run("discard", 2, "--journal", path, "--yes") == 2
    assert "entry 2 of the journal can be read, or is not there; nothing was deleted" in capsys.readouterr().err
    assert run("check", "--journal", path) == 1
    assert run("discard", 1, "--journal", path, "--yes") == 0
    assert "deleted: entry 1 of the journal, payment acme-1" in capsys.readouterr().out
    assert run("check", "--journal", path) == 0
    assert keys(path) == before


def test_prune(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """400 days unless one says otherwise; below 365 only by force; what is open stays."""
    assert run("prune", "--journal", path) == 0
    assert capsys.readouterr().out == "1 deleted that were settled at least 400 days ago\n"
    assert run("prune", "--journal", path, "--older-than", 364) == 2
    assert "at least 365 days" in capsys.readouterr().err
    assert run("prune", "--journal", path, "--older-than", 365) == 0
    assert run("prune", "--journal", path, "--older-than", 5, "--force") == 0
    assert keys(path) == [intent(1).key]


def test_erase(path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One order of one sales unit goes, unless something of it is open."""
    monkeypatch.delenv("VIPPS_MERCHANT_SERIAL_NUMBER", raising=False)
    assert run("erase", "acme-2", "--journal", path) == 2
    assert "give --msn" in capsys.readouterr().err
    monkeypatch.setenv("VIPPS_MERCHANT_SERIAL_NUMBER", MSN)
    assert run("erase", "acme-2", "--journal", path) == 0
    assert capsys.readouterr().out == "1 deleted of payment acme-2\n"
    assert run("erase", "acme-1", "--journal", path, "--msn", MSN) == 2
    assert "is open, so nothing of the payment was erased" in capsys.readouterr().err
    assert keys(path) == [intent(number).key for number in (1, 3, 4)]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
def test_a_journal_of_another_user(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused with the option that would trust that user, and opened with it."""
    os.chown(path, 12345, -1)
    assert run("check", "--journal", path) == 2
    assert "--trust-owner 12345" in capsys.readouterr().err
    assert run("check", "--journal", path, "--trust-owner", 12345) == 0
    assert run("list", "--journal", path, "--trust-owner", 12345) == 0
