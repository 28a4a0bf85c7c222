"""A journal file that cannot be used: each a clear error before anything is sent, and nothing is overwritten."""

# ruff: noqa: ASYNC221, ASYNC240, S607 - a test may block its own loop, and takes mount from where the system has it

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.journals.children import output_of, without_override
from tests.journals.material import LONG, all_open, all_recent, begin_all, intent, only, settlement
from vipps_async import AcquireResult, SqliteJournal
from vipps_async.errors import Effect, InvalidInputError, JournalError
from vipps_async.journals.sqlite import schema, sql, store
from vipps_async.journals.sqlite.store import SqliteStore
from vipps_async.journals.sqlite.thread import SqliteThread


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal of a test is."""
    return tmp_path / "journal.db"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[SqliteJournal]:
    """An open journal, closed in the end whatever became of its file."""
    journal = SqliteJournal(path)
    await journal.open()
    yield journal
    with contextlib.suppress(JournalError):
        await journal.aclose()


async def filled(path: Path, count: int = 2000) -> None:
    """Make a closed journal with some entries."""
    journal = SqliteJournal(path)
    await journal.open()
    await begin_all(journal, [intent(number) for number in range(count)], owner="a", lease=LONG)
    await journal.aclose()


async def refusal(path: Path, **settings: Any) -> str:
    """The text with which a file is refused, after a look that nothing in its directory changed."""
    before = {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    with pytest.raises(JournalError) as caught:
        await SqliteJournal(path, **settings).open()
    after = {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    after.pop("journal.db.owner", None)
    before.pop("journal.db.owner", None)
    assert after == before
    return str(caught.value)


class TestForeignFiles:
    """Files that are no journal, or none of ours."""

    async def test_a_database_of_something_else(self, path: Path) -> None:
        """A SQLite file of another program is refused and left as it is, to the last byte."""
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE precious (thing)")
            other.commit()
        assert "a database of something else" in await refusal(path)

    async def test_a_foreign_database_with_a_log(self, path: Path, tmp_path: Path) -> None:
        """A foreign file whose write-ahead log was left by a crash keeps that log untouched."""
        original = tmp_path / "original"
        original.mkdir()
        with contextlib.closing(sqlite3.connect(original / "x")) as other:
            other.execute("PRAGMA journal_mode = WAL")
            other.execute("CREATE TABLE precious (thing)")
            other.commit()
            other.execute("PRAGMA wal_checkpoint")
            other.execute("INSERT INTO precious VALUES (1)")
            other.commit()
            for suffix in ("", "-wal"):
                path.with_name(path.name + suffix).write_bytes((original / f"x{suffix}").read_bytes())
        assert "a database of something else" in await refusal(path)
        assert path.with_name("journal.db-wal").stat().st_size > 0

    async def test_an_application_id_of_something_else(self, path: Path) -> None:
        """An otherwise empty SQLite file that another program has marked as its own is refused."""
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA application_id = 1")
        assert "a database of something else" in await refusal(path)

    async def test_a_file_that_is_no_database(self, path: Path) -> None:
        """A text file is refused and left as it is."""
        path.write_text("My diary. " * 1000)
        assert "not a database" in await refusal(path)

    async def test_a_directory(self, path: Path) -> None:
        """A directory in the place of the file is refused."""
        path.mkdir()
        with pytest.raises(JournalError, match="cannot be opened"):
            await SqliteJournal(path).open()

    async def test_a_missing_directory(self, tmp_path: Path) -> None:
        """A directory that is not there is named."""
        with pytest.raises(JournalError, match=re.escape(str(tmp_path / "none"))):
            await SqliteJournal(tmp_path / "none" / "journal.db").open()

    @pytest.mark.parametrize("log", [b"", b"intents"], ids=["alone", "with-a-log"])
    async def test_a_file_of_0_bytes(self, path: Path, log: bytes) -> None:
        """One that was cut off has lost its keys: it is refused, and never opened as a journal in which nothing is."""
        await filled(path, 1)
        os.truncate(path, 0)
        if log:
            path.with_name("journal.db-wal").write_bytes(log)
        text = await refusal(path)
        assert f"the journal {path} has 0 bytes: it was cut off" in text
        assert "put a copy of it back" in text
        assert text.endswith("If it is meant to be new, delete it.")
        assert ("its log journal.db-wal with it" in text) is bool(log)

    async def test_a_database_without_tables(self, path: Path) -> None:
        """A SQLite file that nobody has marked is not taken for a new journal."""
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("VACUUM")
        assert path.stat().st_size
        assert "a database of something else" in await refusal(path)

    async def test_what_a_dead_process_left_half_made(self, path: Path) -> None:
        """A file that was being made has another name until it is whole; the next opening throws it away."""
        partial = path.with_name("journal.db.partial")
        partial.write_bytes(b"half")
        await filled(path, 1)
        assert not partial.exists()
        assert path.stat().st_mode & 0o777 == 0o600

    async def test_a_log_without_its_database(self, path: Path) -> None:
        """A write-ahead log whose database is missing is not thrown away: it may hold the only copy of intents."""
        path.with_name("journal.db-wal").write_bytes(b"intents")
        assert "write-ahead log journal.db-wal is there" in await refusal(path)

    @pytest.mark.parametrize("name", ["", ":memory:", "file:x?mode=memory", "a\0b", b"bytes", 5, None])
    def test_names_of_no_file(self, name: Any) -> None:
        """A name that is no file, above all an in-memory one, is refused."""
        with pytest.raises(InvalidInputError, match="path"):
            SqliteJournal(name)

    @pytest.mark.parametrize("number", [0, -1, True, 1.5])
    def test_a_backlog_is_a_positive_number(self, number: Any) -> None:
        """A limit of queued outcomes that is no positive whole number is refused."""
        with pytest.raises(InvalidInputError, match="max_queued_outcomes"):
            SqliteJournal("x", max_queued_outcomes=number)


class TestVersions:
    """Files of other versions."""

    async def test_a_newer_schema(self, path: Path) -> None:
        """A journal of a newer version is refused by its number and left as it is."""
        await filled(path, 1)
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
        text = await refusal(path)
        assert f"newer version of this package (schema {schema.SCHEMA_VERSION + 1}; this one knows" in text

    async def test_a_newer_schema_that_stands_in_the_log(self, path: Path) -> None:
        """A newer version whose number has only reached the write-ahead log is refused as well, entries intact."""
        await filled(path, 1)
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
            copies = {suffix: path.with_name(path.name + suffix).read_bytes() for suffix in ("", "-wal")}
        for suffix, content in copies.items():
            path.with_name(path.name + suffix).write_bytes(content)
        with pytest.raises(JournalError, match="newer version"):
            await SqliteJournal(path).open()
        with contextlib.closing(sqlite3.connect(path)) as other:
            assert other.execute("PRAGMA user_version").fetchone() == (schema.SCHEMA_VERSION + 1,)
            assert other.execute("SELECT count(*) FROM entries").fetchone() == (1,)

    @pytest.mark.parametrize("version", [1, 2])
    async def test_an_older_schema(self, path: Path, version: int) -> None:
        """A journal of an older shape is refused by its number and left as it is to the last byte."""
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.executescript((Path(__file__).parent / f"schema_{version}.sql").read_text())
        before = path.read_bytes()
        text = await refusal(path)
        assert f"older version of this package (schema {version}; this one knows {schema.SCHEMA_VERSION})" in text
        assert "go on with the version that wrote it; another journal file knows none of the keys" in text
        assert path.read_bytes() == before

    async def test_a_journal_without_its_tables(self, path: Path) -> None:
        """A file that is marked as a journal and holds nothing is no new one: what was in it may be gone."""
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            other.execute("PRAGMA journal_mode = WAL")
        assert "schema 0" in await refusal(path)

    async def test_an_old_sqlite(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A SQLite that lacks what is needed is named before a file is made."""
        monkeypatch.setattr(store, "_OLDEST_SQLITE", (99, 0, 0))
        with pytest.raises(JournalError, match=re.escape(f"SQLite {sqlite3.sqlite_version} is too old")):
            await SqliteJournal(path).open()
        assert not path.exists()

    async def test_a_place_without_a_log(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where SQLite cannot keep a write-ahead log, opening is an error."""
        connect = sqlite3.connect

        class Without(sqlite3.Connection):
            def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
                return super().execute(statement.replace("journal_mode = WAL", "journal_mode = DELETE"), *values)

        monkeypatch.setattr(sqlite3, "connect", lambda *given, **more: connect(*given, factory=Without, **more))
        with pytest.raises(JournalError, match="cannot have a write-ahead log here"):
            await SqliteJournal(path).open()


class TestDamage:
    """Files that were written over."""

    async def test_a_damaged_header(self, path: Path) -> None:
        """Random bytes in the header are named as damage, and the file is left as it is."""
        await filled(path)
        with path.open("r+b") as file:
            file.write(random.Random(1).randbytes(100))
        assert "is damaged" in await refusal(path)

    @pytest.mark.parametrize("seed", range(3))
    async def test_damage_in_the_middle(self, path: Path, seed: int) -> None:
        """Random bytes in the middle are found when the file is opened, which is left as it is."""
        await filled(path)
        noise = random.Random(seed)
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2 // 4096 * 4096)
            file.write(noise.randbytes(8192))
        assert "is damaged" in await refusal(path)

    async def test_damage_that_is_met_later(self, path: Path) -> None:
        """Without the look at opening, damage is an error when it is met, never a wrong answer."""
        await filled(path)
        with path.open("r+b") as file:
            file.seek(8192)
            file.write(random.Random(3).randbytes(path.stat().st_size - 8192))
        journal = SqliteJournal(path, check_on_open=False)

        async def use() -> None:
            await journal.open()
            await journal.begin(intent(1000), owner="b", lease=LONG)

        with pytest.raises(JournalError, match="is damaged"):
            await use()
        await journal.aclose()

    async def test_a_file_cut_short(self, path: Path) -> None:
        """A file that lost its end is named as damaged."""
        await filled(path)
        os.truncate(path, path.stat().st_size // 2)
        assert "is damaged" in await refusal(path)


class TestGone:
    """Files that are taken away while in use."""

    @pytest.mark.parametrize("suffix", ["", "-wal"])
    async def test_deleted_while_in_use(self, journal: SqliteJournal, path: Path, suffix: str) -> None:
        """After the file or its log was deleted no begin is acknowledged, and reading is an error too."""
        await journal.begin(intent(1), owner="a", lease=LONG)
        path.with_name(path.name + suffix).unlink()
        for use in (
            journal.begin(intent(2), owner="a", lease=LONG),
            all_open(journal),
        ):
            with pytest.raises(JournalError, match="deleted or replaced while in use"):
                await use

    async def test_replaced_while_in_use(self, journal: SqliteJournal, path: Path) -> None:
        """Another file under the same name is noticed."""
        copy = path.read_bytes()
        path.unlink()
        path.write_bytes(copy)
        with pytest.raises(JournalError, match="deleted or replaced"):
            await journal.begin(intent(2), owner="a", lease=LONG)

    async def test_deleted_during_the_commit(
        self, journal: SqliteJournal, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file that is deleted just before a commit ends is noticed before the commit is acknowledged."""
        real = SqliteStore._write

        def delete(this: SqliteStore, writing: Any) -> None:
            path.unlink()
            real(this, writing)

        monkeypatch.setattr(SqliteStore, "_write", delete)
        with pytest.raises(JournalError, match="deleted or replaced"):
            await journal.begin(intent(2), owner="a", lease=LONG)

    async def test_moved_away_and_back(self, journal: SqliteJournal, path: Path) -> None:
        """Once the file is back the journal works again, and outcomes that came meanwhile are not lost."""
        await journal.begin(intent(1), owner="a", lease=LONG)
        path.rename(path.with_name("elsewhere"))
        await journal.settle(intent(1), settlement())
        with pytest.raises(JournalError):
            await journal.flush()
        with pytest.raises(JournalError):
            await all_open(journal)
        path.with_name("elsewhere").rename(path)
        await journal.flush()
        assert (await only(journal, intent(1))).settlement == settlement()

    async def test_a_program_that_changes_its_directory(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A journal that was named relatively stays the same file when the program goes elsewhere."""
        monkeypatch.chdir(path.parent)
        journal = SqliteJournal("journal.db")
        await journal.open()
        monkeypatch.chdir("/")
        assert (await journal.begin(intent(1), owner="a", lease=LONG))[0] is AcquireResult.ACQUIRED
        await journal.aclose()
        assert journal.path == path

    async def test_a_walk_holds_one_page_at_a_time(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """However many entries are open, a walk reads no more than a page of them at once."""
        await filled(path, 1000)
        journal = SqliteJournal(path)
        await journal.open()
        pages: list[int] = []
        real = SqliteStore.open_page

        def open_page(this: SqliteStore, *given: Any) -> Any:
            found = real(this, *given)
            pages.append(len(found))
            return found

        monkeypatch.setattr(SqliteStore, "open_page", open_page)
        assert len(await all_open(journal)) == 1000
        assert pages == [store.PAGE] * 4 + [0]
        await journal.aclose()

    async def test_closing_without_the_file(self, journal: SqliteJournal, path: Path) -> None:
        """Closing tells how many outcomes could not be written; a second closing does nothing."""
        await journal.begin(intent(1), owner="a", lease=LONG)
        path.unlink()
        await journal.settle(intent(1), settlement())
        with pytest.raises(JournalError, match="1 outcomes could not be written") as caught:
            await journal.aclose()
        # Of an operation that was carried out: nobody must read here that nothing has happened.
        assert caught.value.effect is Effect.POSSIBLE
        await journal.aclose()

    async def test_outcomes_are_tried_again_by_themselves(
        self, journal: SqliteJournal, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a failed commit outcomes are written as soon as the store works, though nobody asks."""
        await journal.begin(intent(1), owner="a", lease=LONG)
        real, tried, written = SqliteStore.commit, threading.Event(), threading.Event()

        def commit(this: SqliteStore, works: Any) -> Any:
            if not tried.is_set():
                tried.set()
                raise JournalError("not now")
            found = real(this, works)
            written.set()
            return found

        monkeypatch.setattr(SqliteStore, "commit", commit)
        await journal.settle(intent(1), settlement())
        assert await asyncio.to_thread(written.wait, 10)
        assert (await only(journal, intent(1))).settlement == settlement()


#: Makes a journal again and again, killed one call of Python's or of the library's later each time, and prints what it
#: is by then, if it opens.
KILLED_AT_CREATION = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from vipps_async.journals.sqlite.store import SqliteStore

def opened(path):
    return SqliteStore.opened(path, clock=lambda: datetime.now(UTC), check=True)

def make_and_die(path, after):
    calls = 0

    def count(*_):
        nonlocal calls
        calls += 1
        if calls == after:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    with opened(path):
        sys.setprofile(None)
    os._exit(0)

after, status = 1, 1
while status:
    path = Path(sys.argv[1]) / f"{after}.db"
    if not (child := os.fork()):
        make_and_die(path, after)
    _, status = os.waitpid(child, 0)
    print(path.stat().st_size if path.exists() else "none", end=" ")
    with opened(path) as file:
        print(file.newest_position())
    after += 7
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork there")
def test_a_process_killed_while_it_makes_a_journal(tmp_path: Path) -> None:
    """Whenever it dies, there is no file yet or a whole one, never one of 0 bytes, and the next process opens it."""
    lines = [line.split() for line in output_of(KILLED_AT_CREATION, str(tmp_path)).splitlines()]
    sizes = {size for size, _ in lines}
    assert "none" in sizes
    assert len(sizes) == 2
    assert min(int(size) for size in sizes - {"none"}) > 4096
    assert {newest for _, newest in lines} == {"0"}


READ_ONLY = """
import asyncio, sys
from vipps_async.errors import JournalError
from vipps_async import SqliteJournal

async def main():
    try:
        await SqliteJournal(sys.argv[1]).open()
    except JournalError as error:
        print(error)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are another thing there")
class TestReadOnly:
    """Places that cannot be written."""

    async def test_a_read_only_directory(self, tmp_path: Path) -> None:
        """A directory that cannot be written is an error at opening, whether the journal is new or not."""
        directory = tmp_path / "sealed"
        directory.mkdir()
        await filled(directory / "old.db", 1)
        directory.chmod(0o500)
        try:
            for name in ("new.db", "old.db"):
                text = output_of(READ_ONLY, str(directory / name), before=without_override)
                assert re.search("Permission denied|cannot be opened|read-only", text)
            assert not (directory / "new.db").exists()
        finally:
            directory.chmod(0o700)

    async def test_a_read_only_file(self, path: Path) -> None:
        """A file that cannot be written is an error at opening."""
        await filled(path, 1)
        path.chmod(0o400)
        assert "read-only" in output_of(READ_ONLY, str(path), before=without_override)

    async def test_a_read_only_disk(self, small_disk: Path) -> None:
        """A disk that was made read-only is an error at opening."""
        await filled(small_disk / "journal.db", 1)
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        with pytest.raises(JournalError, match="Read-only file system"):
            await SqliteJournal(small_disk / "journal.db").open()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 1 MiB of room."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


async def until_refused(begin: Callable[[int], Any]) -> tuple[list[int], str]:
    """Begin until it is refused; the numbers that were acknowledged, and the refusal."""
    acknowledged: list[int] = []
    for number in range(10_000):
        try:
            acquired, _ = await begin(number)
        except JournalError as error:
            return acknowledged, str(error)
        assert acquired is AcquireResult.ACQUIRED
        acknowledged.append(number)
    raise AssertionError("the disk never became full")


class TestFullDisk:
    """Disks without room."""

    async def test_full_while_in_use(self, small_disk: Path) -> None:
        """On a full disk begin is refused, what was acknowledged is there, and with room again everything goes on."""
        filler = small_disk / "filler"
        filler.write_bytes(b"x" * 400_000)
        journal = SqliteJournal(small_disk / "journal.db")
        await journal.open()

        def begin(number: int) -> Any:
            return journal.begin(intent(number, body=bytes(20_000)), owner="a", lease=LONG)

        acknowledged, text = await until_refused(begin)
        assert re.search("disk is full|disk failed", text)
        assert acknowledged
        with pytest.raises(JournalError):
            await begin_all(
                journal, [intent(n, body=bytes(100_000)) for n in range(90_000, 90_009)], owner="a", lease=1
            )
        big = settlement(answer=bytes(300_000))
        await journal.settle(intent(0), big)
        with pytest.raises(JournalError):
            await journal.flush()
        filler.unlink()
        await journal.flush()
        assert (await only(journal, intent(0))).settlement == big
        assert (await begin(99_999))[0] is AcquireResult.ACQUIRED
        found = {entry.intent.key for entry in await all_recent(journal, limit=100_000)}
        await journal.aclose()
        assert {intent(number).key for number in acknowledged} <= found
        assert not {intent(number).key for number in range(90_000, 90_009)} & found

    async def test_full_at_opening(self, small_disk: Path) -> None:
        """A disk without any room is an error at opening."""
        (small_disk / "filler").write_bytes(b"x" * 1_000_000)
        with contextlib.suppress(OSError), (small_disk / "rest").open("wb", buffering=0) as rest:
            while rest.write(bytes(4096)):
                pass
        with pytest.raises(JournalError, match=r"No space left|disk is full|disk failed"):
            await SqliteJournal(small_disk / "journal.db").open()

    async def test_a_limit_on_the_size_of_files(self, path: Path) -> None:
        """Where files may not grow, begin is refused, and what was acknowledged before is there."""
        lines = output_of(LIMITED, str(path)).splitlines()
        assert re.search("disk is full|disk failed", lines.pop())
        assert lines
        journal = SqliteJournal(path)
        await journal.open()
        assert {entry.intent.key for entry in await all_open(journal)} >= set(lines)
        await journal.aclose()


LIMITED = """
import asyncio, resource, sys
from vipps_async.errors import JournalError
from tests.journals.material import intent
from vipps_async import SqliteJournal

async def main():
    journal = SqliteJournal(sys.argv[1])
    await journal.open()
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    for number in range(1000):
        try:
            await journal.begin(intent(number, body=bytes(10_000)), owner="a", lease=60)
        except JournalError as error:
            print(error)
            break
        print(intent(number).key)
    await journal.aclose()

asyncio.run(main())
"""


class TestWriter:
    """The thread that writes."""

    async def test_commits_are_grouped(self, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
        """A thousand begins at once take a few commits."""
        sizes: list[int] = []
        real = SqliteStore.commit

        def commit(this: SqliteStore, works: Any) -> Any:
            sizes.append(len(works))
            return real(this, works)

        monkeypatch.setattr(SqliteStore, "commit", commit)
        await asyncio.gather(*(journal.begin(intent(n), owner="a", lease=LONG) for n in range(1000)))
        assert sum(sizes) == 1000
        assert len(sizes) < 100

    async def test_a_group_stays_below_its_limit(self, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
        """However many wait, a commit takes a thousand at most."""
        sizes: list[int] = []
        gate = threading.Event()
        real = SqliteStore.commit

        def commit(this: SqliteStore, works: Any) -> Any:
            assert gate.wait(10)
            sizes.append(len(works))
            return real(this, works)

        monkeypatch.setattr(SqliteStore, "commit", commit)
        tasks = [asyncio.ensure_future(journal.begin(intent(n), owner="a", lease=LONG)) for n in range(2500)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*tasks)
        assert max(sizes) == 1000
        assert sum(sizes) == 2500

    async def test_a_failed_commit_fails_everybody_in_it(
        self, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a failed commit each of its begins gets an error of its own, and none of them is in the journal."""
        with monkeypatch.context() as patch:

            def broken(*_: Any) -> None:
                raise sqlite3.OperationalError("disk I/O error")

            patch.setattr(SqliteStore, "_write", broken)
            found = await asyncio.gather(
                *(journal.begin(intent(n), owner="a", lease=LONG) for n in range(20)), return_exceptions=True
            )
        assert all(isinstance(error, JournalError) for error in found)
        assert len({id(error) for error in found}) == 20
        assert await all_recent(journal) == []
        assert (await journal.begin(intent(1), owner="a", lease=LONG))[0] is AcquireResult.ACQUIRED

    async def test_outcomes_wait_while_too_many_are_queued(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Settling waits when the queue is full, goes on when there is room, and a cancelled one takes no place."""
        journal = SqliteJournal(path, max_queued_outcomes=2)
        await journal.open()
        await begin_all(journal, [intent(n) for n in range(5)], owner="a", lease=LONG)
        gate = threading.Event()
        real = SqliteStore.commit

        def commit(this: SqliteStore, works: Any) -> Any:
            assert gate.wait(10)
            return real(this, works)

        monkeypatch.setattr(SqliteStore, "commit", commit)
        for number in range(2):
            await journal.settle(intent(number), settlement())
        waiting = [asyncio.ensure_future(journal.settle(intent(n), settlement())) for n in range(2, 5)]
        done, _ = await asyncio.wait(waiting, timeout=0.05)
        assert not done
        waiting[0].cancel()
        gate.set()
        await asyncio.gather(*waiting[1:])
        await journal.flush()
        assert [entry.intent for entry in await all_open(journal)] == [intent(2)]
        await journal.aclose()

    async def test_outcomes_are_refused_when_the_queue_is_full_and_the_store_fails(self, path: Path) -> None:
        """When the queue is full of outcomes that cannot be written, settling is an error instead of a long wait."""
        journal = SqliteJournal(path, max_queued_outcomes=2)
        await journal.open()
        await begin_all(journal, [intent(n) for n in range(4)], owner="a", lease=LONG)
        path.unlink()

        async def settle_all() -> None:
            async with asyncio.timeout(10):
                for number in range(4):
                    await journal.settle(intent(number), settlement())

        with pytest.raises(JournalError, match="deleted"):
            await settle_all()
        with pytest.raises(JournalError, match="2 outcomes"):
            await journal.aclose()

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    async def test_a_thread_that_breaks_leaves_nobody_waiting(
        self, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If the thread ends by a mistake in the program, all who wait get an error, and it can be opened again."""
        with monkeypatch.context() as patch:

            def broken(*_: Any) -> None:
                raise ZeroDivisionError

            patch.setattr(SqliteStore, "commit", broken)
            await journal.settle(intent(3), settlement())
            async with asyncio.timeout(10):
                found = await asyncio.gather(
                    *(journal.begin(intent(n), owner="a", lease=LONG) for n in range(3)), return_exceptions=True
                )
        assert all(isinstance(error, JournalError) for error in found)
        assert not journal.is_open
        with pytest.raises(JournalError, match="not open"):
            await journal.flush()
        await journal.open()
        assert (await journal.begin(intent(1), owner="a", lease=LONG))[0] is AcquireResult.ACQUIRED

    async def test_a_disk_that_does_not_answer(self, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
        """Closing gives up on a disk that hangs, with an error, and can be tried again."""
        gate = threading.Event()
        real = SqliteStore.commit

        def commit(this: SqliteStore, works: Any) -> Any:
            assert gate.wait(10)
            return real(this, works)

        monkeypatch.setattr(SqliteStore, "commit", commit)
        await journal.settle(intent(1), settlement())
        with monkeypatch.context() as patch:
            patch.setattr(SqliteThread, "close_patience", 0.01)
            with pytest.raises(JournalError, match="does not answer"):
                await journal.aclose()
        assert not journal.is_open
        gate.set()
        await journal.open()
        assert (await only(journal, intent(1))).settlement == settlement()

    async def test_cancelling_open_and_close_anywhere(self, path: Path) -> None:
        """An open or close that is cancelled after any number of steps can be done again."""
        journal = SqliteJournal(path)
        for steps in range(30):
            for act in (journal.open, journal.aclose):
                task = asyncio.ensure_future(act())
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait({task})
                await act()
            assert not journal.is_open

    async def test_closing_while_others_still_wait(self, journal: SqliteJournal) -> None:
        """What was asked before closing is answered; what is asked afterwards is refused."""
        tasks = [asyncio.ensure_future(journal.begin(intent(n), owner="a", lease=LONG)) for n in range(100)]
        await asyncio.sleep(0)
        await journal.aclose()
        assert [acquired for acquired, _ in await asyncio.gather(*tasks)] == [AcquireResult.ACQUIRED] * 100
        with pytest.raises(JournalError, match="not open"):
            await journal.begin(intent(101), owner="a", lease=LONG)

    async def test_leases_follow_the_clock(self, path: Path) -> None:
        """A lease ends when the clock says so, and not before."""
        now = datetime(2026, 3, 1, tzinfo=UTC)
        journal = SqliteJournal(path, clock=lambda: now)
        await journal.open()
        _, entry = await journal.begin(intent(), owner="a", lease=60)
        assert entry.lease_until == now + timedelta(seconds=60)
        now += timedelta(seconds=59.999999)
        assert (await journal.claim(intent(), owner="b", lease=60))[0] is AcquireResult.HELD
        now += timedelta(microseconds=1)
        assert (await journal.claim(intent(), owner="b", lease=60))[0] is AcquireResult.ACQUIRED
        # A clock that is set back does not give a released entry to anybody.
        await journal.release(intent(), note="")
        now -= timedelta(days=1)
        assert (await journal.claim(intent(), owner="c", lease=60))[0] is AcquireResult.ACQUIRED
        await journal.aclose()

    async def test_the_settings_that_durability_hangs_on(
        self, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The file is in WAL mode, synced at each commit, and locked for others."""
        found: list[Any] = []
        real = SqliteStore.newest_position

        def look(this: SqliteStore) -> int:
            names = ("journal_mode", "synchronous", "locking_mode", "application_id")
            found.extend(this._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
            return real(this)

        monkeypatch.setattr(SqliteStore, "newest_position", look)
        await all_open(journal)
        assert found == ["wal", 2, "exclusive", schema.APPLICATION_ID]

    async def test_large_tables_are_searched_not_read(
        self, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Every statement of the journal finds its rows by an index."""
        plans: list[str] = []
        real = SqliteStore.newest_position

        def look(this: SqliteStore) -> int:
            questions = [
                (sql.select_matching(2), 10),
                (sql.select_open(2), 4),
                (sql.update_states(2), 2 * sql.STATE),
                ("SELECT 1 FROM entries WHERE payment = ? AND merchant_serial_number = ? ORDER BY position", 2),
                ("SELECT key FROM entries WHERE outcome IS NULL AND position > ? ORDER BY position LIMIT 2", 1),
            ]
            for question, values in questions:
                plan = this._connection.execute(f"EXPLAIN QUERY PLAN {question}", [None] * values)
                plans.extend(row[3] for row in plan)
            return real(this)

        monkeypatch.setattr(SqliteStore, "newest_position", look)
        await all_open(journal)
        assert plans
        assert not [plan for plan in plans if plan.startswith("SCAN entries") and "entries_open" not in plan]
