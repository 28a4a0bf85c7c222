"""The journal file itself: opened, checked, written in groups and read, all from one thread."""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from attrs import define, evolve

from vipps_async.errors import JournalError
from vipps_async.journals.protocol import Entry, Intent, Outcome, Settlement
from vipps_async.journals.rules import Answer, Begin, Claim, Work, apply
from vipps_async.journals.sqlite.ownership import Ownership
from vipps_async.journals.sqlite.schema import APPLICATION_ID, check_kind, migrate

__all__ = ["PAGE", "SqliteStore", "StoreLostError"]

#: Entries read at a time: the most that a walk holds in memory, and the longest that it keeps the writer waiting.
PAGE = 250

#: Rows in one statement. More do not go faster, and 50 × 16 values stay below the 999 that every SQLite takes.
_ROWS = 50

#: The oldest SQLite that knows every statement here (UPDATE ... FROM: 3.33) and is still found beside Python 3.11.
_OLDEST_SQLITE = (3, 33, 0)

#: How long to wait for another program that has the file open just now, in seconds: a backup's shortest steps.
_BUSY_PATIENCE = 2.0

#: To what size SQLite cuts the write-ahead log back after a checkpoint, in bytes; a long walk can make it larger.
_WAL_SIZE = 64 * 1024 * 1024

#: Entries in hand that are remembered: more than a process has under way, some MB.
_MOST_IN_HAND = 5000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_Identity = tuple[str, str, str, str]

_COLUMNS = (
    "position, key, operation, order_id, merchant_serial_number, amount, transaction_text, digest, body, created_at, "
    "outcome, answer, settled_at, owner, lease_until, note"
)
_LIGHT_COLUMNS = (
    "position, key, operation, order_id, merchant_serial_number, digest, outcome, settled_at, owner, lease_until"
)


class StoreLostError(JournalError):
    """The file cannot be used any more: gone, replaced or damaged. Only opening it anew can help."""


@define
class _Slot:
    """One entry while a group is worked on."""

    position: int | None
    entry: Entry
    stored: Entry | None
    #: Whether the entry is all that the file has of it, and not only what decides about it.
    is_whole: bool = True

    @property
    def is_in_hand(self) -> bool:
        """Whether the next that is heard of it will be its outcome."""
        return self.entry.settlement is None and self.entry.owner != ""


class SqliteStore:
    """One open journal file. Not safe for threads: the one that opened it uses it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._connection = connection
        self._log = _log_of(path)
        self._clock = clock
        self._identities = self._file_identities()
        #: Entries in hand, as they stand in the file: nobody else writes there, so they need not be looked up again.
        self._in_hand: dict[_Identity, tuple[int, Entry]] = {}
        self._newest = self.newest_position()

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: Path, *, clock: Callable[[], datetime], check: bool) -> Iterator[SqliteStore]:
        """Open the file, creating or migrating it, and close it at the end.

        Raises:
            JournalError: as `Journal.open` says.
        """
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            text = f"SQLite {sqlite3.sqlite_version} is too old for a journal"
            raise JournalError(text, advice="use a Python with SQLite 3.33 or newer")
        with contextlib.ExitStack() as stack:
            stack.callback(Ownership.take(path).release)
            try:
                connection = _connect(path, stack, check=check)
                store = cls(path, connection, clock)
            except (sqlite3.Error, OSError) as error:
                raise _translated(error, path, "opened") from error
            yield store

    def commit(self, groups: Sequence[Sequence[Work]]) -> list[list[Answer]]:
        """Do all works in their order, in one transaction; returns when it is durable.

        Raises:
            JournalError: nothing of it may be taken for durable.
        """
        try:
            self._check_in_place()
            try:
                answers = self._committed(groups, presume_new=True)
            except sqlite3.IntegrityError:
                # One that was presumed new is there already.
                answers = self._committed(groups, presume_new=False)
            # A commit into a file that has no name any more is lost with the process: not to be acknowledged.
            self._check_in_place()
        except (sqlite3.Error, OSError) as error:
            raise _translated(error, self._path, "written") from error
        return answers

    def _committed(self, groups: Sequence[Sequence[Work]], *, presume_new: bool) -> list[list[Answer]]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            slots = self._loaded([work for group in groups for work in group], presume_new=presume_new)
            now = self._clock()
            answers = [[_answer(slots, work, now) for work in group] for group in groups]
            newest = self._store(slots.values())
            self._connection.execute("COMMIT")
        except BaseException:
            # What stands in the file now is known to the file alone.
            self._in_hand.clear()
            with contextlib.suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            raise
        self._newest = newest
        self._remember(slots)
        return answers

    def _remember(self, slots: dict[_Identity, _Slot]) -> None:
        for identity, slot in slots.items():
            if slot.is_whole and slot.is_in_hand and slot.position is not None and len(self._in_hand) < _MOST_IN_HAND:
                self._in_hand[identity] = (slot.position, slot.entry)
            else:
                self._in_hand.pop(identity, None)

    def newest_position(self) -> int:
        """The position of the newest entry; 0 if there is none."""
        return int(self._read("SELECT coalesce(max(position), 0) FROM entries")[0][0])

    def open_page(self, after: int, upto: int, merchant_serial_number: str | None) -> list[tuple[int, Entry]]:
        """The next open entries behind `after`, oldest first."""
        return self._page(
            "outcome IS NULL AND position > ? AND position <= ? AND merchant_serial_number = coalesce(?, "
            "merchant_serial_number) ORDER BY position LIMIT ?",
            (after, upto, merchant_serial_number, PAGE),
        )

    def recent_page(self, before: int, limit: int) -> list[tuple[int, Entry]]:
        """The next entries below `before`, newest first."""
        return self._page("position < ? ORDER BY position DESC LIMIT ?", (before, min(limit, PAGE)))

    def of_order(self, order_id: str, merchant_serial_number: str) -> list[Entry]:
        """All entries of one order, oldest first."""
        where = "order_id = ? AND merchant_serial_number = ? ORDER BY position"
        return [entry for _, entry in self._page(where, (order_id, merchant_serial_number))]

    def _page(self, where: str, values: Sequence[object]) -> list[tuple[int, Entry]]:
        rows = self._read(f"SELECT {_COLUMNS} FROM entries WHERE {where}", values)  # noqa: S608 - constants only
        return [(row[0], _entry(row)) for row in rows]

    def _read(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        try:
            self._check_in_place()
            return self._connection.execute(statement, values).fetchall()
        except (sqlite3.Error, OSError) as error:
            raise _translated(error, self._path, "read") from error

    def _loaded(self, works: Sequence[Work], *, presume_new: bool) -> dict[_Identity, _Slot]:
        # Begin and claim answer with the whole entry; to settle or release one, what decides about it is enough.
        slots: dict[_Identity, _Slot] = {}
        new: set[_Identity] = set()
        whole: set[_Identity] = set()
        light: dict[_Identity, Intent] = {}
        for work in works:
            identity = work.intent.identity
            if identity in slots:
                continue
            if (held := self._in_hand.get(identity)) is not None:
                slots[identity] = _Slot(held[0], held[1], held[1])
            elif isinstance(work, Begin) and presume_new:
                # A key is made for one call, so hardly any is there already; if one is, adding it fails.
                new.add(identity)
            elif isinstance(work, Begin | Claim):
                whole.add(identity)
            else:
                light[identity] = work.intent
        if light and new:
            whole |= light.keys() & new
        for row in self._matching(_COLUMNS, list(whole)):
            entry = _entry(row)
            slots[row[1:5]] = _Slot(row[0], entry, entry)
        for row in self._matching(_LIGHT_COLUMNS, [identity for identity in light if identity not in whole]):
            entry = _light_entry(row, light[row[1:5]])
            slots[row[1:5]] = _Slot(row[0], entry, entry, is_whole=False)
        return slots

    def _matching(self, columns: str, identities: Sequence[_Identity]) -> Iterator[Any]:
        for block in _blocks(identities):
            values = [part for identity in block for part in identity]
            yield from self._connection.execute(_select(columns, len(block)), values)

    def _store(self, slots: Iterable[_Slot]) -> int:
        """Write what has changed; returns the position of the newest entry."""
        newest = self._newest
        added: list[_Slot] = []
        altered: list[_Slot] = []
        for slot in slots:
            if slot.position is None:
                slot.position = newest = newest + 1
                added.append(slot)
            elif slot.entry is not slot.stored:
                altered.append(slot)
        for block in _blocks(added):
            values: list[object] = []
            for slot in block:
                values += (slot.position, *_intent_values(slot.entry), *_state_values(slot.entry))
            self._connection.execute(_insert(len(block)), values)
        for block in _blocks(altered):
            values = []
            for slot in block:
                values += (slot.position, *_state_values(slot.entry))
            self._connection.execute(_update(len(block)), values)
        return newest

    def _file_identities(self) -> tuple[tuple[int, int], ...]:
        # The log as well: what has been committed stands in it until the next checkpoint.
        return tuple((found.st_dev, found.st_ino) for found in (self._path.stat(), self._log.stat()))

    def _check_in_place(self) -> None:
        try:
            in_place = self._file_identities() == self._identities
        except FileNotFoundError:
            in_place = False
        if not in_place:
            raise StoreLostError(
                f"the journal {self._path} or its write-ahead log was deleted or replaced while in use",
                advice="put the file back if it was moved, then start again and run recovery",
            )


def _answer(slots: dict[_Identity, _Slot], work: Work, now: datetime) -> Answer:
    identity = work.intent.identity
    slot = slots.get(identity)
    standing, entry = apply(None if slot is None else slot.entry, work, now)
    if entry is not None:
        if slot is None:
            slots[identity] = _Slot(None, entry, None)
        else:
            slot.entry = entry
    return standing, entry


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _connect(path: Path, stack: contextlib.ExitStack, *, check: bool) -> sqlite3.Connection:
    if path.exists():
        # Asked beforehand: SQLite would go on reading, and then call it a failure of the disk.
        if not path.is_file():
            raise JournalError(f"the journal {path} cannot be opened: it is no file", advice="name a file")
        if not os.access(path, os.R_OK | os.W_OK):
            raise JournalError(f"the journal {path} is read-only", advice="make the file writable for its owner")
        _look_over(path)
    else:
        _create(path)
    _make_private(path)
    connection = sqlite3.connect(path, timeout=_BUSY_PATIENCE, isolation_level=None, cached_statements=256)
    stack.callback(connection.close)
    # Before anything is read: it keeps the log's index in memory (a second process then cannot come in by mistake),
    # and so avoids the rare corruption of a log that several connections share (SQLite 3.7.0 to 3.51.2).
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", f"journal_size_limit = {_WAL_SIZE}"):
        connection.execute(f"PRAGMA {pragma}")
    if check_kind(connection, path):
        # Still in rollback mode, so that it stands in the file itself and not only in the log.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        text = f"the journal {path} cannot have a write-ahead log here (SQLite answered {mode})"
        raise JournalError(text, advice="keep the journal on a local disk")
    connection.execute("PRAGMA synchronous = FULL")
    if sys.platform == "darwin":  # pragma: no cover - only there does fsync stop at the disk's own cache
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
    if check:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise _damaged(path, str(found).splitlines()[-1])
    migrate(connection)
    # One process owns the file, so whoever had an entry in hand is gone: recovery need not wait for its lease.
    connection.execute("UPDATE entries SET owner = '' WHERE outcome IS NULL AND owner <> ''")
    return connection


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
            if not (_has_content(_log_of(path)) and _is_marked(path)):
                raise


def _has_content(log: Path) -> bool:
    return log.exists() and log.stat().st_size > 0


def _is_marked(path: Path) -> bool:
    """Read from the header itself whether it is a journal file (SQLite file format: offsets 0 and 68)."""
    with path.open("rb") as file:
        header = file.read(100)
    return header.startswith(b"SQLite format 3\0") and header[68:72] == APPLICATION_ID.to_bytes(4, "big")


def _create(path: Path) -> None:
    log = _log_of(path)
    if _has_content(log):
        # SQLite would throw away a log that it finds beside an empty file: it may hold the only copy of intents.
        raise JournalError(
            f"the journal {path} is missing, but its write-ahead log {log.name} is there",
            advice="put both files back together, or move the log away if it is of no use",
        )
    # Made here, not by SQLite: 0600 whatever the umask says. SQLite gives its log the same mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
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
    for file in (path, _log_of(path)):
        if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:
            file.chmod(0o600)


def _damaged(path: Path, finding: str) -> StoreLostError:
    return StoreLostError(
        f"the journal {path} is damaged ({finding}); it was left as it is",
        advice="keep the file, restore a copy of it, and compare what is open in it with details at Vipps",
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


def _translated(error: sqlite3.Error | OSError, path: Path, doing: str) -> JournalError:
    if isinstance(error, OSError):
        text = f"the journal {path} could not be {doing}: {error.strerror or error}"
        return JournalError(text, advice="make the file, its directory and its disk writable")
    # The lowest byte is the primary code; the others only refine it.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return _damaged(path, str(error))
    meaning, advice = _MEANINGS.get(code, (str(error), None))
    return JournalError(f"the journal {path} could not be {doing}: {meaning}", advice=advice)


def _blocks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _ROWS):
        yield items[start : start + _ROWS]


@functools.cache
def _select(columns: str, rows: int) -> str:
    wanted = ", ".join(["(?, ?, ?, ?)"] * rows)
    # CROSS JOIN keeps SQLite from turning the join round and reading the whole table.
    return (
        f"WITH wanted (k, o, i, m) AS (VALUES {wanted}) SELECT {columns} FROM wanted CROSS JOIN entries "  # noqa: S608
        "ON key = k AND operation = o AND order_id = i AND merchant_serial_number = m"
    )


@functools.cache
def _insert(rows: int) -> str:
    values = ", ".join([f"({', '.join('?' * 16)})"] * rows)
    return f"INSERT INTO entries ({_COLUMNS}) VALUES {values}"  # noqa: S608 - constants only


@functools.cache
def _update(rows: int) -> str:
    values = ", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * rows)
    return (
        f"WITH news (p, outcome, answer, settled_at, owner, lease_until, note) AS (VALUES {values}) "  # noqa: S608
        "UPDATE entries SET outcome = news.outcome, answer = news.answer, settled_at = news.settled_at, "
        "owner = news.owner, lease_until = news.lease_until, note = news.note FROM news WHERE entries.position = news.p"
    )


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _intent_values(entry: Entry) -> tuple[object, ...]:
    intent = entry.intent
    head = (intent.key, intent.operation, intent.order_id, intent.merchant_serial_number, intent.amount)
    return (*head, intent.transaction_text, intent.digest, intent.body, _micros(intent.created_at))


def _state_values(entry: Entry) -> tuple[object, ...]:
    hold = (entry.owner, _micros(entry.lease_until), entry.note)
    if (settled := entry.settlement) is None:
        return (None, None, None, *hold)
    return (settled.outcome.value, settled.answer, _micros(settled.settled_at), *hold)


def _entry(row: Any) -> Entry:
    (_, key, operation, order_id, msn, amount, text, digest, body, created, outcome, answer, settled, *hold) = row
    owner, lease_until, note = hold
    intent = Intent(
        key=key,
        operation=operation,
        order_id=order_id,
        merchant_serial_number=msn,
        amount=amount,
        transaction_text=text,
        digest=digest,
        body=body,
        created_at=_moment(created),
    )
    return Entry(
        intent=intent,
        settlement=_settlement(outcome, answer, settled),
        owner=owner,
        lease_until=_moment(lease_until),
        note=note,
    )


def _light_entry(row: Any, intent: Intent) -> Entry:
    *_, digest, outcome, settled, owner, lease_until = row
    if intent.digest != digest:
        intent = evolve(intent, digest=digest)
    settlement = _settlement(outcome, b"", settled)
    return Entry(intent=intent, settlement=settlement, owner=owner, lease_until=_moment(lease_until))


def _settlement(outcome: str | None, answer: bytes | None, settled_at: int | None) -> Settlement | None:
    if outcome is None or settled_at is None:
        return None
    return Settlement(outcome=Outcome(outcome), answer=answer or b"", settled_at=_moment(settled_at))
