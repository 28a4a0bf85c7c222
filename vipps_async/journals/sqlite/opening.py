"""Opens a journal file: checked, made private, copied; and the mapping of its failures."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import stat
import sys
from pathlib import Path
from urllib.parse import quote

from vipps_async.errors import JournalError
from vipps_async.journals.rows import UnfitError
from vipps_async.journals.sqlite.ownership import check_user
from vipps_async.journals.sqlite.schema import APPLICATION_ID, check_kind, create, prove_writable

#: How long to wait for another program that has the file open just now, in seconds: a backup's shortest steps.
_BUSY_PATIENCE = 2.0

#: To what size SQLite cuts the write-ahead log back after a checkpoint, in bytes; a long walk can make it larger.
_WAL_SIZE = 64 * 1024 * 1024


#: What SQLite's check says of a row that is malformed or has a value of the wrong kind.
_ABOUT_A_ROW = re.compile(r"database disk image is malformed|[\w-]+ value in entries\.\w+")


class StoreLostError(JournalError):
    """The file cannot be used any more: gone, replaced or damaged. Only opening it anew can help."""


class DamagedStoreError(StoreLostError, UnfitError):
    """Something in the file is malformed; what does not touch it may still be read and written."""


def log_of(path: Path) -> Path:
    """Name the write-ahead log that SQLite keeps beside a file."""
    return path.with_name(f"{path.name}-wal")


def partial_of(path: Path) -> Path:
    """Name the file that a new journal, or a copy of one, is made in until it is whole."""
    return path.with_name(f"{path.name}.partial")


def connect(path: Path, stack: contextlib.ExitStack, *, check: bool, trusted_owner: int | None) -> sqlite3.Connection:
    """Open a journal file, creating it if need be; the stack closes it.

    Raises:
        JournalError: it is something else, of another version, damaged, empty or read-only; it was left as it is.
        sqlite3.Error: SQLite says no; see `translated`.
    """
    if path.exists():
        _check_file(path, trusted_owner)
        _look_over(path)
    else:
        _create(path)
    _make_private(path)
    connection = sqlite3.connect(path, timeout=_BUSY_PATIENCE, isolation_level=None, cached_statements=256)
    stack.callback(connection.close)
    connection.text_factory = text_of
    # Before anything is read: it keeps the log's index in memory (a second process then cannot come in by mistake),
    # and so avoids the rare corruption of a log that several connections share (SQLite 3.7.0 to 3.51.2).
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", f"journal_size_limit = {_WAL_SIZE}"):
        connection.execute(f"PRAGMA {pragma}")
    check_kind(connection, path)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        text = f"the journal {path} cannot have a write-ahead log here (SQLite answered {mode})"
        raise JournalError(text, advice="keep the journal on a local disk")
    connection.execute("PRAGMA synchronous = FULL")
    if sys.platform == "darwin":  # pragma: no cover - only there does fsync stop at the disk's own cache
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
    if check:
        check_structure(connection, path)
    prove_writable(connection)
    _free_all(connection)
    return connection


def _check_file(path: Path, trusted_owner: int | None) -> None:
    # Asked beforehand: SQLite would go on reading, and then call it a failure of the disk.
    if not path.is_file():
        raise JournalError(f"the journal {path} cannot be opened: it is no file", advice="name a file")
    for file in (path, log_of(path)):
        if file.exists():
            check_user(file, file.stat(), trusted_owner)
    if not os.access(path, os.R_OK | os.W_OK):
        raise JournalError(f"the journal {path} is read-only", advice="make the file writable for its owner")
    if not path.stat().st_size:
        # No journal of ours: `_create` gives a new one its name once it is whole.
        raise _cut_off(path)


def _free_all(connection: sqlite3.Connection) -> None:
    # One process owns the file, so no earlier owner of a lease is left: recovery need not wait for its expiry.
    free = "UPDATE entries SET owner = '' WHERE outcome IS NULL AND owner <> ''"
    try:
        connection.execute(free)
    except sqlite3.DatabaseError as error:
        if not is_corrupt(error):
            raise
        # A row that cannot be read: it alone is left as it is.
        for (position,) in connection.execute("SELECT position FROM entries WHERE outcome IS NULL").fetchall():
            with contextlib.suppress(sqlite3.DatabaseError):
                connection.execute(f"{free} AND position = ?", (position,))


def check_structure(connection: sqlite3.Connection, path: Path) -> None:
    """Look through the whole file for damage to what holds its rows together.

    Raises:
        JournalError: it is damaged. A row by itself that cannot be read is none: it alone is lost.
    """
    # The structure is looked at first, so that a finding about a row says that the structure is whole.
    found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if found != "ok" and not _ABOUT_A_ROW.fullmatch(found):
        raise _damaged(path, found.splitlines()[-1])


def text_of(stored: bytes) -> str:
    """Read a text as it stands, also a damaged one: the entry's checksum tells, and not SQLite, which fails a walk."""
    return str(stored, "utf-8", "surrogateescape")


def is_corrupt(error: BaseException) -> bool:
    """Whether SQLite says that what it read is malformed."""
    # The lowest byte is the primary code; the others only refine it.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT


def _look_over(path: Path) -> None:
    """Raise if the file is something else, or of a newer version."""
    # First by a connection that can neither write nor lock nor replay a log: a file of something else, or of a
    # newer version, must stay as it is to the last byte.
    address = f"file:{quote(os.fspath(path))}?mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as onlooker:
        try:
            check_kind(onlooker, path)
        except sqlite3.DatabaseError:
            # A process that died while its log was moved into the file leaves a file that is whole only together
            # with that log: for the connection below to judge, if the file says that it is a journal at all.
            if not (_has_content(log_of(path)) and _is_marked(path)):
                raise


def _has_content(log: Path) -> bool:
    return log.exists() and log.stat().st_size > 0


def _is_marked(path: Path) -> bool:
    """Read from the header itself whether it is a journal file (SQLite file format: offsets 0 and 68)."""
    with path.open("rb") as file:
        header = file.read(100)
    return header.startswith(b"SQLite format 3\0") and header[68:72] == APPLICATION_ID.to_bytes(4, "big")


def _create(path: Path) -> None:
    log = log_of(path)
    if _has_content(log):
        # SQLite would throw away a log that it finds beside an empty file: it may hold the only copy of intents.
        raise JournalError(
            f"the journal {path} is missing, but its write-ahead log {log.name} is there",
            advice="put both files back together, or move the log away if it is of no use",
        )
    # Under another name until it is whole: else a process that died here would leave a file of 0 bytes, as a full disk
    # does that has cost a journal all its keys.
    partial = partial_of(path)
    partial.unlink(missing_ok=True)
    try:
        # Made here, not by SQLite: 0600 whatever the umask says. SQLite gives its log the same mode.
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with contextlib.closing(sqlite3.connect(partial, isolation_level=None)) as made:
            create(made)
        # Nobody else makes one meanwhile: whoever opens a journal has its lock.
        partial.rename(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if sys.platform != "win32":
        # The name itself must survive a power cut.
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _make_private(path: Path) -> None:
    if sys.platform == "win32":  # pragma: no cover - access lists of the directory decide there
        return
    for file in (path, log_of(path)):
        if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:
            with contextlib.suppress(PermissionError):
                # Of a trusted user's file only that user may change it.
                file.chmod(0o600)


def _cut_off(path: Path) -> JournalError:
    log = log_of(path)
    also = f", and its log {log.name} with it" if _has_content(log) else ""
    return JournalError(
        f"the journal {path} has 0 bytes: it was cut off, as by a full disk, or is no journal; it was left as it is",
        advice=f"if it was used, move it away{also}, and put a copy of it back or go on with a new file; before that "
        "compare the payments of the time since the copy, or all of them, at Vipps with your books: what was open in "
        "it is known to no other file. If it is meant to be new, delete it",
    )


def _damaged(path: Path, finding: str) -> DamagedStoreError:
    return DamagedStoreError(
        f"the journal {path} is damaged ({finding}); it was left as it is",
        advice="keep the file, and go on with a whole copy of it or, without one, a new file elsewhere; before that "
        "compare the payments of the time since the copy, or all of them, at Vipps with your books: what was open in "
        "this file is known to no other",
    )


#: What SQLite's primary result codes mean to somebody who runs a shop, and what to do.
_MEANINGS = {
    sqlite3.SQLITE_BUSY: ("another program has it open", "close that program"),
    sqlite3.SQLITE_LOCKED: ("another program has it open", "close that program"),
    sqlite3.SQLITE_FULL: ("the disk is full", "make room on the disk"),
    sqlite3.SQLITE_READONLY: ("it is read-only", "make the file, its directory and its disk writable"),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", "make the file and its directory exist and be writable"),
    sqlite3.SQLITE_PERM: ("access is denied", "make the file and its directory writable"),
    sqlite3.SQLITE_IOERR: ("the disk failed", "look into the system's log, and into the room left on the disk"),
}


def translated(error: sqlite3.Error | OSError, path: Path, doing: str) -> JournalError:
    """Say what a failure of SQLite or of the disk means to somebody who runs a shop, and what to do."""
    if isinstance(error, OSError):
        text = f"the journal {path} could not be {doing}: {error.strerror or error}"
        return JournalError(text, advice="make the file, its directory and its disk writable")
    # The lowest byte is the primary code; the others only refine it.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return _damaged(path, str(error))
    meaning, advice = _MEANINGS.get(code, (str(error), None))
    return JournalError(f"the journal {path} could not be {doing}: {meaning}", advice=advice)


def copy_file(connection: sqlite3.Connection, path: Path, target: Path) -> None:
    """Copy a database under another name until it is whole and on the disk, then give it its own.

    Args:
        connection: the open journal.
        path: what it is called in errors.
        target: the copy's name.

    Raises:
        JournalError: there is something of that name, or it cannot be written, or the journal cannot be read.
    """
    partial = partial_of(target)
    with contextlib.ExitStack() as stack:
        try:
            # Never over an older copy, which may be the only good one.
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError as error:
            raise JournalError(f"{target} is there already; nothing was copied", advice="name a new file") from error
        except OSError as error:
            raise translated(error, target, "written") from error
        stack.callback(target.unlink, missing_ok=True)
        try:
            os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
            stack.callback(partial.unlink, missing_ok=True)
            with contextlib.closing(sqlite3.connect(partial)) as copy:
                connection.backup(copy)
                # In one file, without a log beside it.
                copy.execute("PRAGMA journal_mode = DELETE")
            descriptor = os.open(partial, os.O_RDWR)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            partial.replace(target)
        except (sqlite3.Error, OSError) as error:
            raise translated(error, path, f"copied to {target}") from error
        stack.pop_all()
