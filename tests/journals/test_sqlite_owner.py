"""One process owns a journal file: the others are told who, and a dead owner's file opens at once."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journals.children import PATIENCE, child, output_of
from tests.journals.material import LONG, all_open, intent, only, settlement
from vipps_async import AcquireResult, SqliteJournal
from vipps_async.errors import JournalError
from vipps_async.journals.sqlite import ownership
from vipps_async.journals.sqlite.ownership import JournalInUseError, Ownership
from vipps_async.journals.sqlite.store import SqliteStore

HOLD = """
import asyncio, sys
from vipps_async import SqliteJournal

async def main():
    journal = SqliteJournal(sys.argv[1])
    await journal.open()
    print("open", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal of a test is."""
    return tmp_path / "journal.db"


async def test_a_second_process_is_told_who_owns_it(path: Path) -> None:
    """A file that another process has open is refused with its pid, host and since when; it stays usable there."""
    with child(HOLD, str(path)) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "open\n"
        with pytest.raises(JournalError) as caught:
            await SqliteJournal(path).open()
    for part in (f"process {owner.pid}", socket.gethostname(), "since 20", str(path)):
        assert part in str(caught.value)


async def test_a_dead_owners_file_opens_at_once(path: Path) -> None:
    """After the owner was killed, the next one opens the file without waiting for anything."""
    with child(HOLD, str(path)) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "open\n"
        owner.send_signal(signal.SIGKILL)
        owner.wait(PATIENCE)
        journal = SqliteJournal(path)
        async with asyncio.timeout(5):
            await journal.open()
        await journal.aclose()


async def test_a_stale_note_with_a_living_pid_keeps_nobody_out(path: Path) -> None:
    """The text in the lock file decides nothing: a reused process id does not keep a file closed."""
    path.with_name("journal.db.owner").write_text(f'{{"pid": {os.getpid()}, "host": "here", "since": "2020"}}')
    journal = SqliteJournal(path)
    await journal.open()
    await journal.aclose()


async def test_a_second_journal_of_this_process_is_refused(path: Path, tmp_path: Path) -> None:
    """A second object on the same file, also by another name, is refused, and the first goes on undisturbed."""
    (tmp_path / "link.d").symlink_to(tmp_path)
    first = SqliteJournal(path)
    await first.open()
    for other in (path, tmp_path / "link.d" / "journal.db"):
        with pytest.raises(JournalError, match=f"another journal object of this process.*{os.getpid()}"):
            await SqliteJournal(other).open()
    # A lock that closing a file had dropped would let another process in now.
    with pytest.raises(AssertionError, match=f"in use by process {os.getpid()}"):
        output_of(HOLD, str(path))
    assert (await first.begin(intent(), owner="a", lease=LONG))[0] is AcquireResult.ACQUIRED
    await first.aclose()


async def test_a_file_that_was_refused_can_be_opened_later(path: Path) -> None:
    """The object that was refused opens the file once its owner has closed it."""
    first, second = SqliteJournal(path), SqliteJournal(path)
    await first.open()
    with pytest.raises(JournalError):
        await second.open()
    await first.aclose()
    await second.open()
    assert await all_open(second) == []
    await second.aclose()


async def test_a_journal_that_is_closed_leaves_no_lock_file(path: Path) -> None:
    """Nothing lies beside the database that says somebody had it; neither after a refusal, which takes nothing away."""
    journal = SqliteJournal(path)
    await journal.open()
    with pytest.raises(JournalError, match="in use"):
        await SqliteJournal(path).open()
    assert path.with_name("journal.db.owner").exists()
    await journal.aclose()
    assert not path.with_name("journal.db.owner").exists()


async def test_whoever_locks_a_lock_file_that_was_removed_takes_the_new_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An owner that lets go between another one's opening and locking leaves it a file that keeps nobody out."""
    lock_file = path.with_name("journal.db.owner")
    locked: list[int] = []

    def lock(descriptor: int) -> None:
        if not locked:
            lock_file.unlink()
        locked.append(descriptor)
        original(descriptor)

    original = ownership._lock
    monkeypatch.setattr(ownership, "_lock", lock)
    journal = SqliteJournal(path)
    await journal.open()
    assert len(locked) == 2
    assert lock_file.exists()
    with pytest.raises(JournalInUseError):
        await SqliteJournal(path).open()
    await journal.aclose()


async def test_another_one_s_lock_file_is_not_removed(path: Path) -> None:
    """Where somebody deleted the lock file and another stands there, it is left alone."""
    lock_file = path.with_name("journal.db.owner")
    journal = SqliteJournal(path)
    await journal.open()
    lock_file.unlink()
    lock_file.write_text("another one's")
    await journal.aclose()
    assert lock_file.read_text() == "another one's"


async def test_an_owner_that_cannot_be_named(path: Path) -> None:
    """A lock file whose text cannot be read still gives a clear refusal."""
    with child(HOLD, str(path)) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "open\n"
        path.with_name("journal.db.owner").write_text("{}")
        with pytest.raises(JournalError, match="another process, which has not written who it is"):
            await SqliteJournal(path).open()


async def test_a_deleted_lock_file_does_not_let_a_second_one_in(path: Path) -> None:
    """If somebody deletes the lock file, the database's own lock still keeps a second process out."""
    with child(HOLD, str(path)) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "open\n"
        path.with_name("journal.db.owner").unlink()
        with pytest.raises(JournalError, match="another program has it open"):
            await SqliteJournal(path).open()


FORK = """
import asyncio, os, sys
from datetime import datetime, UTC
from vipps_async.errors import JournalError
from vipps_async import Intent, SqliteJournal

def intent(key):
    return Intent(key=key, api="ecom", operation="capture", payment="a", merchant_serial_number="123456", amount=None,
        currency="NOK", digest="d", created_at=datetime.now(UTC))

async def child(journal):
    try:
        await journal.begin(intent("child"), owner="c", lease=1)
    except JournalError as error:
        print("begin:", error, flush=True)
    await journal.aclose()
    try:
        await journal.open()
    except JournalError as error:
        print("open:", error, flush=True)
    print("is open:", journal.is_open, flush=True)

async def main(journal):
    await journal.open()
    await journal.begin(intent("parent"), owner="p", lease=1)
    if (pid := os.fork()) == 0:
        asyncio.set_event_loop(None)
        asyncio._set_running_loop(None)
        asyncio.run(child(journal))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    await journal.begin(intent("after"), owner="p", lease=1)
    await journal.aclose()
    print("parent:", os.getpid(), flush=True)

asyncio.run(main(SqliteJournal(sys.argv[1])))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_is_refused_and_harms_nothing(path: Path) -> None:
    """A child by fork can neither use nor open its parent's journal, and the parent goes on."""
    lines = dict(line.split(": ", 1) for line in output_of(FORK, str(path)).splitlines())
    assert f"opened by process {lines['parent']}, of which this one is a fork" in lines["begin"]
    assert f"in use by process {lines['parent']}" in lines["open"]
    assert lines["is open"] == "False"


@pytest.fixture
def loose_umask() -> Iterator[None]:
    """Let everybody read what is made without care."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(directory: Path) -> dict[str, int]:
    """The permissions of all files of a directory."""
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()}


@pytest.mark.usefixtures("loose_umask")
async def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    """Under a loose umask, too, the database, its log and its lock are for their owner only."""
    journal = SqliteJournal(tmp_path / "journal.db")
    await journal.open()
    await journal.begin(intent(), owner="a", lease=LONG)
    assert modes(tmp_path) == {"journal.db": 0o600, "journal.db-wal": 0o600, "journal.db.owner": 0o600}
    await journal.aclose()
    (tmp_path / "journal.db").chmod(0o644)
    await journal.open()
    assert modes(tmp_path)["journal.db"] == 0o600
    await journal.aclose()


async def test_a_lock_file_that_is_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    """A symbolic link in the place of the lock file is refused, and what it points to is left alone."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.with_name("journal.db.owner").symlink_to(victim)
    with pytest.raises(JournalError, match="lock file"):
        await SqliteJournal(path).open()
    assert victim.read_text() == "precious"


async def test_a_lock_file_that_cannot_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock file without room for its text is an error, and the lock is given back."""

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(JournalError, match="No space left"):
            Ownership.take(path)
    Ownership.take(path).release()


async def test_a_place_without_locks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has no locks is an error that says so."""

    def unlockable(*_: Any) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", unlockable)
    with pytest.raises(JournalError, match="No locks available"):
        await SqliteJournal(path).open()


def journal_threads() -> list[threading.Thread]:
    """The writing threads that are alive."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("vipps-journal")]


async def test_closing_ends_the_thread(path: Path) -> None:
    """After aclose there is no thread and no open file left."""
    journal = SqliteJournal(path)
    await journal.open()
    assert len(journal_threads()) == 1
    await journal.aclose()
    assert journal_threads() == []


async def test_a_journal_that_was_dropped_ends_its_thread(path: Path) -> None:
    """A journal that nobody holds any more gives its thread and its file back."""
    journal = SqliteJournal(path)
    await journal.open()
    (thread,) = journal_threads()
    del journal
    gc.collect()
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()
    second = SqliteJournal(path)
    await second.open()
    await second.aclose()


async def _open_and_begin(journal: SqliteJournal, number: int) -> AcquireResult:
    await journal.open()
    return (await journal.begin(intent(number), owner="a", lease=LONG))[0]


def test_another_loop_after_the_first_one_ended(path: Path) -> None:
    """A journal left open by a loop that ended can be opened, and closed, in the next one."""
    journal = SqliteJournal(path)
    assert asyncio.run(_open_and_begin(journal, 1)) is AcquireResult.ACQUIRED
    assert asyncio.run(_open_and_begin(journal, 2)) is AcquireResult.ACQUIRED
    asyncio.run(journal.aclose())
    assert journal_threads() == []


def test_a_loop_that_is_closed_with_the_journal_open_lets_go_of_the_file(path: Path) -> None:
    """A loop that is closed without ending its tasks leaves a journal that can be opened in the next one."""
    journal = SqliteJournal(path)
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(_open_and_begin(journal, 1)) is AcquireResult.ACQUIRED
    loop.close()
    assert asyncio.run(_open_and_begin(journal, 2)) is AcquireResult.ACQUIRED
    asyncio.run(journal.aclose())
    del loop
    gc.collect()
    assert journal_threads() == []


def test_a_loop_that_ends_unclosed_writes_what_was_accepted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outcomes that were accepted are in the file though their loop ended at once and nobody closed the journal."""
    journal = SqliteJournal(path)
    real, writing, gate = SqliteStore.commit, threading.Event(), threading.Event()

    def commit(this: SqliteStore, commands: Any) -> Any:
        writing.set()
        assert gate.wait(PATIENCE)
        return real(this, commands)

    async def settle_and_leave() -> None:
        await _open_and_begin(journal, 1)
        await journal.begin(intent(2), owner="a", lease=LONG)
        monkeypatch.setattr(SqliteStore, "commit", commit)
        await journal.settle(intent(1), settlement())
        await asyncio.to_thread(writing.wait, PATIENCE)
        # While the first one is being written.
        await journal.settle(intent(2), settlement())
        gate.set()

    async def look() -> None:
        await journal.open()
        for number in (1, 2):
            assert (await only(journal, intent(number))).settlement == settlement()
        await journal.aclose()

    asyncio.run(settle_and_leave())
    asyncio.run(look())


async def test_two_loops_at_a_time_are_refused(path: Path) -> None:
    """While one loop has it, another one is refused with a clear error."""
    journal = SqliteJournal(path)
    await journal.open()
    for use in (lambda: _open_and_begin(journal, 1), journal.flush, journal.aclose):
        with pytest.raises(JournalError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, use())
    assert (await journal.begin(intent(), owner="a", lease=LONG))[0] is AcquireResult.ACQUIRED
    await journal.aclose()


LEFT_OPEN = """
import asyncio, sys
from vipps_async import SqliteJournal

async def main():
    journal = SqliteJournal(sys.argv[1])
    await journal.open()
    raise SystemExit(0)

asyncio.run(main())
"""


def test_an_unclosed_journal_does_not_keep_the_interpreter_alive(path: Path) -> None:
    """A program that ends without closing its journal ends."""
    assert output_of(LEFT_OPEN, str(path)) == ""


async def test_copying_the_files_lets_nobody_in(path: Path, tmp_path: Path) -> None:
    """A program that copies its journal's files while it is in use, lock file included, keeps its lock."""
    journal = SqliteJournal(path)
    await journal.open()
    for name in ("journal.db", "journal.db-wal", "journal.db.owner"):
        shutil.copy(tmp_path / name, tmp_path / f"copy of {name}")
    with pytest.raises(AssertionError, match=f"in use by process {os.getpid()}"):
        output_of(HOLD, str(path))
    assert (await journal.begin(intent(), owner="a", lease=LONG))[0] is AcquireResult.ACQUIRED
    await journal.aclose()


LEFT_BEHIND = """
import asyncio, os, subprocess, sys
from vipps_async import SqliteJournal

async def main():
    journal = SqliteJournal(sys.argv[1])
    await journal.open()
    if sys.argv[2] == "fork":
        if os.fork() == 0:
            print("ready", flush=True)
            os.read(0, 1)
            os._exit(0)
    else:
        subprocess.Popen([sys.executable, "-c", "print('ready', flush=True); input()"], close_fds=False)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("how", ["fork", "exec"])
async def test_a_child_that_outlives_the_owner_does_not_keep_the_file(path: Path, how: str) -> None:
    """After the owner was killed its file opens, also while a child that it forked or started lives on."""
    with child(LEFT_BEHIND, str(path), how) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        with pytest.raises(JournalError, match=f"in use by process {owner.pid}"):
            await SqliteJournal(path).open()
        owner.send_signal(signal.SIGKILL)
        owner.wait(PATIENCE)
        journal = SqliteJournal(path)
        await journal.open()
        await journal.aclose()


async def test_a_cancelled_opening_lets_go_of_the_file(path: Path) -> None:
    """Whoever gives up while the file is being opened leaves it free for another object."""
    for steps in range(8):
        task = asyncio.ensure_future(SqliteJournal(path).open())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            continue
        for thread in journal_threads():
            await asyncio.to_thread(thread.join, PATIENCE)
        other = SqliteJournal(path)
        await other.open()
        await other.aclose()


async def test_one_of_two_that_open_may_give_up(path: Path) -> None:
    """Of two that open the same object, one may be cancelled, and the other one has it open."""
    journal = SqliteJournal(path)
    first, second = asyncio.ensure_future(journal.open()), asyncio.ensure_future(journal.open())
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert (await journal.begin(intent(), owner="a", lease=LONG))[0] is AcquireResult.ACQUIRED
    await journal.aclose()
    assert not journal.is_open


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("suffix", ["", ".owner", "-wal"])
async def test_a_file_of_another_user_is_refused(path: Path, suffix: str) -> None:
    """A journal, its log or its lock file of another user is left alone, unless that user is trusted by number."""
    await closed(path)
    before = given_away(path.with_name(path.name + suffix))
    with pytest.raises(JournalError, match=r"belongs to another user \(UID 12345.*--trust-owner 12345"):
        await SqliteJournal(path).open()
    assert content(path.with_name(path.name + suffix)) == before
    trusting = SqliteJournal(path, trusted_owner=12345)
    await trusting.open()
    await trusting.aclose()


async def closed(path: Path) -> None:
    """Make a journal and close it."""
    journal = SqliteJournal(path)
    await journal.open()
    await journal.aclose()


def given_away(file: Path) -> bytes:
    """Give a file to another user; returns what is in it."""
    file.touch()
    os.chown(file, 12345, -1)
    return content(file)


def content(file: Path) -> bytes:
    """What is in a file."""
    return file.read_bytes()
