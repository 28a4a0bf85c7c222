"""Who owns a journal file: one process and one journal object at a time, told by a lock that dies with its process."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from vipps_async.errors import JournalError

if sys.platform == "win32":  # pragma: no cover - the other branch runs where there is fcntl
    import msvcrt
else:
    import fcntl

__all__ = ["OWNER_SUFFIX", "JournalInUseError", "Ownership"]

#: What is added to the name of a journal file to name its lock file.
OWNER_SUFFIX = ".owner"

#: The longest note of an owner that is read, in bytes: pid, host name (at most 255) and a time fit in well.
_LONGEST_NOTE = 1024

#: Which byte is locked on Windows, where a locked byte cannot be read: one far behind the note.
_LOCKED_BYTE = 1 << 20

#: How long to wait for another thread that opens or closes a journal file, in seconds.
_REGISTRY_PATIENCE = 5.0

# POSIX record locks belong to the process: a second object in this process would be given the same lock, and closing
# its file would then drop it for both. So what this process owns is kept here as well, by real path, with the process
# id, because a forked child inherits the dictionary but none of the locks.
_owned_here: dict[str, int] = {}
_owned_here_lock = threading.Lock()


class JournalInUseError(JournalError):
    """The journal file has an owner that lives; its message names it."""


class Ownership:
    """The lock on one journal file.

    The lock, not the text in the lock file, says whether there is an owner: the system drops it when the process
    dies, however it dies, so neither a stale text nor a reused process id can keep a file closed.
    """

    def __init__(self, path: Path, descriptor: int, real_path: str) -> None:
        self._path = path
        self._descriptor = descriptor
        self._real_path = real_path

    @classmethod
    def take(cls, database: Path) -> Ownership:
        """Become the owner of a journal file, whether that file exists yet or not.

        Raises:
            JournalError: it has an owner, which is named; or the lock file can be neither made nor locked.
        """
        path = database.with_name(database.name + OWNER_SUFFIX)
        real_path = os.path.realpath(path)
        with _registry():
            if _owned_here.get(real_path) == os.getpid():
                # Not opened: see above.
                raise JournalInUseError(
                    f"the journal {database} is in use by another journal object of this process (pid {os.getpid()})",
                    advice="share one journal, or give each session a file of its own",
                )
            descriptor = _locked(path, database)
            _owned_here[real_path] = os.getpid()
        ownership = cls(path, descriptor, real_path)
        try:
            ownership._sign()
        except OSError as error:
            ownership.release()
            text = f"the lock file {path} cannot be written: {error.strerror or error}"
            raise JournalError(text, advice="make the journal's directory writable, with room on its disk") from error
        return ownership

    def release(self) -> None:
        """Let go. The lock file stays: removing it could take it from under the next owner."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        with _registry():
            os.close(self._descriptor)
            _owned_here.pop(self._real_path, None)

    def _sign(self) -> None:
        note = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat("T", "seconds")}
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, json.dumps(note).encode())


@contextlib.contextmanager
def _registry() -> Iterator[None]:
    # A child forked while another thread was in here inherits the lock held, for ever: it must not wait for it.
    # Nobody stays in here for longer than it takes to open and lock a file.
    held = _owned_here_lock.acquire(timeout=_REGISTRY_PATIENCE)
    try:
        yield
    finally:
        if held:
            _owned_here_lock.release()


def _locked(path: Path, database: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        text = f"the lock file {path} cannot be opened: {error.strerror or error}"
        raise JournalError(text, advice="make the journal's directory exist and be writable") from error
    try:
        _lock(descriptor)
    except (BlockingIOError, PermissionError) as error:
        owner = _owner_named_in(descriptor)
        os.close(descriptor)
        text = f"the journal {database} is in use by {owner}"
        raise JournalInUseError(text, advice="stop that process, or give this one a journal file of its own") from error
    except OSError as error:
        os.close(descriptor)
        text = f"the lock file {path} cannot be locked: {error.strerror or error}"
        raise JournalError(text, advice="keep the journal on a local disk") from error
    return descriptor


def _owner_named_in(descriptor: int) -> str:
    unnamed = "another process, which has not written who it is"
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        note = json.loads(os.read(descriptor, _LONGEST_NOTE))
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
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
