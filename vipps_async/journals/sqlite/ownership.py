"""The lock of a journal file: one journal object of one process at a time; it ends with the process."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

from vipps_async.errors import JournalError

if sys.platform == "win32":  # pragma: no cover - the other branch runs where there is fcntl
    import msvcrt
else:
    import fcntl


#: What is added to the name of a journal file to name its lock file.
OWNER_SUFFIX = ".owner"

#: The longest note of an owner that is read, in bytes: pid, host name (at most 255) and a time fit in well.
_LONGEST_NOTE = 1024

#: Which byte is locked on Windows, where a locked byte cannot be read: one far behind the note.
_LOCKED_BYTE = 1 << 20

#: The lock files that this process has open: a child by fork inherits them, and closes its copies at once, so that it
#: neither holds its parent's lock nor keeps it when the parent dies.
_descriptors: set[int] = set()


class JournalInUseError(JournalError):
    """The journal file has an owner that lives; its message names it."""


class Ownership:
    """The lock on one journal file.

    The lock, not the text in the lock file, says whether there is an owner: the system drops it when the process
    dies, however it dies, so neither a stale text nor a reused process id can keep a file closed. It belongs to this
    opening of the lock file (`flock`; on Windows a locked byte of the handle): a second object of this process is
    refused like another process, and whoever opens and closes these files, to copy them for example, drops nothing.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._process = os.getpid()

    @classmethod
    def take(cls, database: Path, *, trusted_owner: int | None = None) -> Ownership:
        """Become the owner of a journal file, whether that file exists yet or not.

        Args:
            database: the journal file.
            trusted_owner: a user whose lock file is taken as well as one's own.

        Raises:
            JournalError: it has an owner, which is named; or the lock file is another user's, or can be neither made
                nor locked.
        """
        path = database.with_name(database.name + OWNER_SUFFIX)
        _watch_forks()
        descriptor = _locked(path, database, trusted_owner)
        _descriptors.add(descriptor)
        ownership = cls(path, descriptor)
        try:
            ownership._sign()
        except OSError as error:
            ownership.release()
            text = f"the lock file {path} cannot be written: {error.strerror or error}"
            raise JournalError(text, advice="make the journal's directory writable, with room on its disk") from error
        return ownership

    def release(self) -> None:
        """Let go, and remove the lock file: whoever had it open before finds out that it is gone; see `_locked`."""
        if self._process != os.getpid():
            # A child by fork has closed its copy already; the number may be another file's by now.
            return
        # Windows removes no file that is open; there, and where the directory allows it no more, it stays.
        with contextlib.suppress(OSError):
            if _is_at(self._path, self._descriptor):
                self._path.unlink()
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        _descriptors.discard(self._descriptor)
        os.close(self._descriptor)

    def _sign(self) -> None:
        note = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat("T", "seconds")}
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, json.dumps(note).encode())


@functools.cache
def _watch_forks() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_close_inherited)


def _close_inherited() -> None:
    for descriptor in _descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _descriptors.clear()


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _locked(path: Path, database: Path, trusted_owner: int | None) -> int:
    while True:
        descriptor = _open_and_lock(path, database, trusted_owner)
        # An owner that let go between opening and locking has removed the file: its lock keeps nobody out.
        if _is_at(path, descriptor):
            return descriptor
        os.close(descriptor)


def _open_and_lock(path: Path, database: Path, trusted_owner: int | None) -> int:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        text = f"the lock file {path} cannot be opened: {error.strerror or error}"
        raise JournalError(text, advice="make the journal's directory exist and be writable") from error
    try:
        check_user(path, os.fstat(descriptor), trusted_owner)
        _lock(descriptor)
    except JournalError:
        os.close(descriptor)
        raise
    except (BlockingIOError, PermissionError) as error:
        owner = _owner_named_in(descriptor)
        os.close(descriptor)
        text = f"the journal {database} is in use by {owner}"
        raise JournalInUseError(
            text,
            advice="a SqliteJournal serves one process: stop the other one, share one journal object within a process, "
            "or let several processes use PostgresJournal",
        ) from error
    except OSError as error:
        os.close(descriptor)
        text = f"the lock file {path} cannot be locked: {error.strerror or error}"
        raise JournalError(text, advice="keep the journal on a local disk") from error
    return descriptor


def check_user(path: Path, found: os.stat_result, trusted_owner: int | None) -> None:
    """Refuse a file of another user: it may say whatever that user likes, and money is sent by it.

    Args:
        path: what it is called.
        found: what the system says of it.
        trusted_owner: a user whose files are taken as well as one's own.

    Raises:
        JournalError: it belongs to another one.
    """
    if sys.platform == "win32" or found.st_uid in {os.geteuid(), trusted_owner}:
        return
    raise JournalError(
        f"{path} belongs to another user (UID {found.st_uid}; this process runs as {os.geteuid()}); it was left as it "
        "is",
        advice=f"run as its owner; or, if you trust that user, say so: --trust-owner {found.st_uid} "
        "(SqliteJournal(trusted_owner=...))",
    )


def _owner_named_in(descriptor: int) -> str:
    unnamed = "another process, which has not written who it is"
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        note = json.loads(os.read(descriptor, _LONGEST_NOTE))
        if note["pid"] == os.getpid() and note["host"] == socket.gethostname():
            return f"another journal object of this process (pid {os.getpid()})"
        return f"process {int(note['pid'])} on {note['host']!s}, since {note['since']!s}"
    except (OSError, ValueError, KeyError, TypeError):
        return unnamed


if sys.platform == "win32":  # pragma: no cover - the other branch runs where there is fcntl

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

else:

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
