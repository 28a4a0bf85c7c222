"""What operators do with a journal: copy it, throw away what is old, erase an order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.journals.material import LONG, MSN, all_open, all_recent, begin_all, intent, settlement
from vipps_async import AcquireResult, MemoryJournal, Outcome, PostgresJournal, Settlement, SqliteJournal
from vipps_async.errors import InvalidInputError, JournalError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal of a test is."""
    return tmp_path / "journal.db"


@pytest.fixture(params=["sqlite", "postgres"])
async def journal(request: pytest.FixtureRequest, path: Path) -> AsyncIterator[Any]:
    """An open journal on a disk."""
    journal: SqliteJournal | PostgresJournal = SqliteJournal(path)
    if request.param == "postgres":
        journal = request.getfixturevalue("postgres")()
    await journal.open()
    yield journal
    await journal.aclose()


def settled(days: int, outcome: Outcome = Outcome.DONE) -> Settlement:
    """An outcome that became known so many days ago."""
    return Settlement(outcome=outcome, answer=b"{}", settled_at=datetime.now(UTC) - timedelta(days=days, hours=1))


async def kept(journal: Any) -> list[str]:
    """The keys of all entries."""
    return sorted(entry.intent.key for entry in await all_recent(journal, limit=5000))


class TestPrune:
    """Throwing away what is old."""

    async def test_what_is_settled_and_old(self, journal: Any) -> None:
        """Settled entries of 400 days go, whatever their outcome; younger and open ones stay."""
        numbers = range(1, 7)
        await begin_all(journal, [intent(number) for number in numbers], owner="a", lease=LONG)
        for number, outcome in enumerate(Outcome, start=1):
            await journal.settle(intent(number), settled(400, outcome))
        await journal.settle(intent(4), settled(399))
        assert await journal.prune() == 3
        assert await kept(journal) == [intent(number).key for number in (4, 5, 6)]
        assert await journal.prune(older_than=timedelta(days=365)) == 1
        assert len(await all_open(journal)) == 2

    async def test_less_than_a_year_needs_force(self, journal: Any) -> None:
        """Below 365 days, for which a refund may come, it must be forced."""
        await journal.settle(intent(), settled(30))
        with pytest.raises(InvalidInputError, match="365"):
            await journal.prune(older_than=timedelta(days=364))
        with pytest.raises(InvalidInputError):
            await journal.prune(older_than=timedelta(days=-1), force=True)
        assert await kept(journal) == [intent().key]
        assert await journal.prune(older_than=timedelta(days=7), force=True) == 1

    async def test_many_while_work_goes_on(self, journal: Any) -> None:
        """More than go at once are deleted all, while new captures begin."""
        wanted = [intent(number) for number in range(1200)]
        await begin_all(journal, wanted, owner="a", lease=LONG)
        await asyncio.gather(*(journal.settle(one, settled(500)) for one in wanted))
        pruning = asyncio.ensure_future(journal.prune())
        for number in range(5000, 5020):
            assert (await journal.begin(intent(number), owner="a", lease=LONG))[0] is AcquireResult.ACQUIRED
        assert await pruning == 1200
        assert len(await kept(journal)) == 20


class TestErase:
    """Erasing an order."""

    async def test_an_order(self, journal: Any) -> None:
        """All of one order goes, and nothing of another order or sales unit."""
        others = [intent(2), intent(1, key="other unit", merchant_serial_number="654321")]
        for one in (intent(1), intent(1, key="second"), *others):
            await journal.settle(one, settlement())
        assert await journal.erase(payment="acme-1", merchant_serial_number=MSN) == 2
        assert await kept(journal) == sorted(one.key for one in others)

    async def test_an_order_with_something_open(self, journal: Any) -> None:
        """As long as something of an order is open, nothing of it is erased."""
        await journal.settle(intent(1), settlement())
        await journal.begin(intent(1, key="second"), owner="a", lease=LONG)
        with pytest.raises(JournalError, match="is open, so nothing of the payment was erased"):
            await journal.erase(payment="acme-1", merchant_serial_number=MSN)
        assert len(await kept(journal)) == 2


async def test_nothing_of_an_erased_order_is_left_in_the_file(path: Path) -> None:
    """Not even in free space of the file or in its log."""
    journal = SqliteJournal(path)
    await journal.open()
    for number in (1, 2):
        await journal.settle(intent(number, reference=f"Canary {number}"), settlement())
    await journal.erase(payment="acme-1", merchant_serial_number=MSN)
    log = path.with_name("journal.db-wal")
    whole = content(path) + content(log)
    assert b"Canary 2" in whole
    assert b"Canary 1" not in whole
    await journal.aclose()


def content(path: Path) -> bytes:
    """What is in a file; nothing if it is not there."""
    return path.read_bytes() if path.exists() else b""


class TestBackup:
    """Copying a journal file while it is in use."""

    async def test_a_copy_is_a_journal(self, path: Path, tmp_path: Path) -> None:
        """The copy has all that was accepted, is for its owner alone, and can be opened; the journal goes on."""
        journal = SqliteJournal(path)
        await journal.open()
        await journal.begin(intent(1), owner="a", lease=LONG)
        await journal.settle(intent(2), settlement())
        copy = tmp_path / "copy.db"
        await journal.backup(copy)
        await journal.begin(intent(3), owner="a", lease=LONG)
        assert sorted(names(tmp_path)) == ["copy.db", "journal.db", "journal.db-wal", "journal.db.owner"]
        assert mode(copy) == 0o600
        other = SqliteJournal(copy)
        await other.open()
        assert await kept(other) == [intent(1).key, intent(2).key]
        await other.aclose()
        await journal.aclose()

    async def test_nothing_is_overwritten(self, path: Path, tmp_path: Path) -> None:
        """A file of that name stays as it is, and a failed copy leaves nothing behind."""
        journal = SqliteJournal(path)
        await journal.open()
        copy = tmp_path / "copy.db"
        await journal.backup(copy)
        before = content(copy)
        await journal.begin(intent(1), owner="a", lease=LONG)
        with pytest.raises(JournalError, match="is there already; nothing was copied"):
            await journal.backup(copy)
        assert content(copy) == before
        with pytest.raises(JournalError):
            await journal.backup(tmp_path / "missing" / "copy.db")
        make_directory(tmp_path / "other.db.partial")
        with pytest.raises(JournalError, match=r"could not be copied to .*other\.db"):
            await journal.backup(tmp_path / "other.db")
        assert "other.db" not in names(tmp_path)
        await journal.aclose()


def names(directory: Path) -> list[str]:
    """What is in a directory."""
    return [file.name for file in directory.iterdir()]


def mode(file: Path) -> int:
    """Who may do what with it."""
    return file.stat().st_mode & 0o777


def make_directory(path: Path) -> None:
    """Make a directory."""
    with contextlib.suppress(FileExistsError):
        path.mkdir()


async def test_a_journal_in_memory_is_pruned_too() -> None:
    """What is settled and old goes, what is open stays, as in any other journal."""
    journal = MemoryJournal()
    await journal.open()
    await begin_all(journal, [intent(1), intent(2), intent(3)], owner="a", lease=LONG)
    for number in (1, 3):
        await journal.settle(intent(number), settlement())
    assert await journal.prune(older_than=timedelta(0), force=True) == 2
    assert [entry.intent for entry in await all_recent(journal)] == [intent(2)]
    await journal.aclose()
