"""The journal file in use: written in groups and read, all from one thread."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import define

from vipps_async.errors import JournalError
from vipps_async.journals.protocol import Entry, Intent
from vipps_async.journals.rules import Answer, Begin, Claim, Work, apply
from vipps_async.journals.sqlite.opening import StoreLostError, connect, log_of, translated
from vipps_async.journals.sqlite.ownership import Ownership
from vipps_async.journals.sqlite.plain_commit import Held, Identity, PlainCommit, plain_commit
from vipps_async.journals.sqlite.rows import (
    BEGUN,
    COLUMNS,
    ENDED,
    LIGHT_COLUMNS,
    ROW,
    STATE,
    blocks,
    entry_of,
    insert_begun,
    insert_rows,
    intent_values,
    light_entry_of,
    select_matching,
    state_values,
    statements,
    update_ended,
    update_states,
)

__all__ = ["PAGE", "SqliteStore"]

#: Entries read at a time: the most that a walk holds in memory, and the longest that it keeps the writer waiting.
PAGE = 250

#: The oldest SQLite that knows every statement here (UPDATE ... FROM: 3.33) and is still found beside Python 3.11.
_OLDEST_SQLITE = (3, 33, 0)

#: Entries in hand that are remembered: more than a process has under way, some MB.
_MOST_IN_HAND = 5000


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
        self._log = log_of(path)
        self._clock = clock
        self._identities = self._file_identities()
        #: Entries in hand, as they stand in the file: nobody else writes there, so they need not be looked up again.
        self._in_hand: dict[Identity, Held] = {}
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
                connection = connect(path, stack, check=check)
                store = cls(path, connection, clock)
            except (sqlite3.Error, OSError) as error:
                raise translated(error, path, "opened") from error
            yield store

    def commit(self, works: Sequence[Work]) -> list[Answer]:
        """Do all works in their order, in one transaction; returns when it is durable.

        Raises:
            JournalError: nothing of it may be taken for durable.
        """
        try:
            self._check_in_place()
            plain = plain_commit(works, self._in_hand, self._newest, self._clock())
            try:
                answers = self._committed(works, presume_new=True) if plain is None else self._written(plain)
            except sqlite3.IntegrityError:
                # One that was presumed new is there already.
                answers = self._committed(works, presume_new=False)
            # A commit into a file that has no name any more is lost with the process: not to be acknowledged.
            self._check_in_place()
        except (sqlite3.Error, OSError) as error:
            raise translated(error, self._path, "written") from error
        return answers

    def _written(self, plain: PlainCommit) -> list[Answer]:
        writing = [
            *statements(insert_begun, plain.begun_values, BEGUN),
            *statements(update_ended, plain.ended_values, ENDED),
        ]
        # One statement is a transaction by itself. Each statement hands the interpreter to other threads, and getting
        # it back from a busy event loop takes longer than the statement.
        with self._transaction(is_one_statement=len(writing) == 1):
            for statement, values in writing:
                self._connection.execute(statement, values)
        for identity in plain.ended:
            del self._in_hand[identity]
        for identity, held in plain.begun.items():
            if len(self._in_hand) < _MOST_IN_HAND:
                self._in_hand[identity] = held
        self._newest = plain.newest
        return plain.answers

    def _committed(self, works: Sequence[Work], *, presume_new: bool) -> list[Answer]:
        with self._transaction():
            slots = self._loaded(works, presume_new=presume_new)
            now = self._clock()
            answers = [_answer(slots, work, now) for work in works]
            newest = self._store(slots.values())
        self._newest = newest
        self._remember(slots)
        return answers

    @contextlib.contextmanager
    def _transaction(self, *, is_one_statement: bool = False) -> Iterator[None]:
        try:
            if not is_one_statement:
                self._connection.execute("BEGIN IMMEDIATE")
            yield
            if not is_one_statement:
                self._connection.execute("COMMIT")
        except BaseException:
            # What stands in the file now is known to the file alone.
            self._in_hand.clear()
            with contextlib.suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            raise

    def _remember(self, slots: dict[Identity, _Slot]) -> None:
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
        rows = self._read(f"SELECT {COLUMNS} FROM entries WHERE {where}", values)  # noqa: S608 - constants only
        return [(row[0], entry_of(row)) for row in rows]

    def _read(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        try:
            self._check_in_place()
            return self._connection.execute(statement, values).fetchall()
        except (sqlite3.Error, OSError) as error:
            raise translated(error, self._path, "read") from error

    def _loaded(self, works: Sequence[Work], *, presume_new: bool) -> dict[Identity, _Slot]:
        # Begin and claim answer with the whole entry; to settle or release one, what decides about it is enough.
        slots: dict[Identity, _Slot] = {}
        new: set[Identity] = set()
        whole: set[Identity] = set()
        light: dict[Identity, Intent] = {}
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
        for row in self._matching(COLUMNS, list(whole)):
            entry = entry_of(row)
            slots[row[1:5]] = _Slot(row[0], entry, entry)
        for row in self._matching(LIGHT_COLUMNS, [identity for identity in light if identity not in whole]):
            entry = light_entry_of(row, light[row[1:5]])
            slots[row[1:5]] = _Slot(row[0], entry, entry, is_whole=False)
        return slots

    def _matching(self, columns: str, identities: Sequence[Identity]) -> Iterator[Any]:
        for block in blocks(identities):
            values = [part for identity in block for part in identity]
            yield from self._connection.execute(select_matching(columns, len(block)), values)

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
        rows: list[object] = []
        for slot in added:
            rows += (slot.position, *intent_values(slot.entry), *state_values(slot.entry))
        states: list[object] = []
        for slot in altered:
            states += (slot.position, *state_values(slot.entry))
        for statement, values in (*statements(insert_rows, rows, ROW), *statements(update_states, states, STATE)):
            self._connection.execute(statement, values)
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


def _answer(slots: dict[Identity, _Slot], work: Work, now: datetime) -> Answer:
    identity = work.intent.identity
    slot = slots.get(identity)
    standing, entry = apply(None if slot is None else slot.entry, work, now)
    if entry is not None:
        if slot is None:
            slots[identity] = _Slot(None, entry, None)
        else:
            slot.entry = entry
    return standing, entry
