"""Reads and writes an open journal file, in groups, all from one thread."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from vipps_async.errors import JournalError
from vipps_async.journals.entries import DamagedEntry, Entry, World
from vipps_async.journals.group_commit import Row
from vipps_async.journals.rows import (
    COLUMNS,
    DamagedEntryError,
    UnfitError,
    entry_of,
    read_row,
    row_values,
    state_values,
)
from vipps_async.journals.rules import Command, CommandResult, check_world
from vipps_async.journals.slots import Identity, Payment, Slots, is_read_for, payment_to_read
from vipps_async.journals.sqlite.opening import StoreLostError, connect, copy_file, is_corrupt, log_of, translated
from vipps_async.journals.sqlite.ownership import Ownership
from vipps_async.journals.sqlite.sql import (
    ROW,
    STATE,
    blocks,
    insert_rows,
    select_matching,
    select_open,
    statements,
    update_states,
)

#: Entries read at a time: the most that a walk holds in memory, and the longest that it keeps the writer waiting.
PAGE = 250

#: The oldest SQLite that knows every statement here (UPDATE ... FROM: 3.33) and is still found beside Python 3.11.
_OLDEST_SQLITE = (3, 33, 0)


class SqliteStore:
    """One open journal file. Not safe for threads: the one that opened it uses it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._connection = connection
        self._log = log_of(path)
        self._clock = clock
        self._identities = self._file_identities()
        self._newest = self.newest_position()

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls, path: Path, *, clock: Callable[[], datetime], check: bool, trusted_owner: int | None = None
    ) -> Iterator[SqliteStore]:
        """Open the file, creating it if need be, and close it at the end.

        Raises:
            JournalError: as `Journal.open` says.
        """
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            text = f"SQLite {sqlite3.sqlite_version} is too old for a journal"
            raise JournalError(text, advice="use a Python with SQLite 3.33 or newer")
        with contextlib.ExitStack() as stack:
            stack.callback(Ownership.take(path, trusted_owner=trusted_owner).release)
            try:
                connection = connect(path, stack, check=check, trusted_owner=trusted_owner)
                store = cls(path, connection, clock)
            except (sqlite3.Error, OSError) as error:
                raise translated(error, path, "opened") from error
            yield store

    def commit(self, commands: Sequence[Command]) -> list[CommandResult]:
        """Do all commands in their order, in one transaction; returns when it is durable.

        Raises:
            UnfitError: one of them cannot be written, or needs an entry that cannot be read; the others may fit.
            JournalError: nothing of it may be taken for durable.
        """
        try:
            self._check_in_place()
            # Read before the transaction: nobody else writes, and one that met a malformed row can write nothing more.
            slots = self._loaded(commands)
            now = self._clock()
            answers = [slots.answer(command, now) for command in commands]
            self._write(slots)
            # A commit into a file that has no name any more is lost with the process: not to be acknowledged.
            self._check_in_place()
        except (sqlite3.ProgrammingError, sqlite3.InterfaceError, TypeError, ValueError, OverflowError) as error:
            raise UnfitError(f"this cannot be written to a journal ({type(error).__name__})") from error
        except (sqlite3.Error, OSError) as error:
            raise translated(error, self._path, "written") from error
        return answers

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            raise

    def newest_position(self) -> int:
        """The position of the newest entry; 0 if there is none."""
        return int(self._read("SELECT coalesce(max(position), 0) FROM entries")[0][0])

    def open_page(self, after: int, upto: int) -> list[Row]:
        """The next open entries behind `after`, oldest first."""
        return self._page(
            "outcome IS NULL AND position > ? AND position <= ? ORDER BY position LIMIT ?", (after, upto, PAGE)
        )

    def recent_page(self, before: int) -> list[Row]:
        """The next entries below `before`, newest first."""
        return self._page("position < ? ORDER BY position DESC LIMIT ?", (before, PAGE))

    def of_payment(self, payment: str, merchant_serial_number: str) -> list[Row]:
        """All entries of one payment, oldest first."""
        where = "payment = ? AND merchant_serial_number = ? ORDER BY position"
        return self._page(where, (payment, merchant_serial_number))

    def delete(self, positions: Sequence[int], *, also_open: bool) -> int:
        """Delete these entries, settled or also open, so that nothing of them is left in the file or its log."""
        if not positions:
            return 0
        deleted = 0
        try:
            self._connection.execute("PRAGMA secure_delete = ON")
            try:
                with self._transaction():
                    for position in positions:
                        statement = "DELETE FROM entries WHERE position = ? AND (? OR outcome IS NOT NULL)"
                        deleted += self._connection.execute(statement, (position, also_open)).rowcount
            finally:
                self._connection.execute("PRAGMA secure_delete = OFF")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (sqlite3.Error, OSError) as error:
            raise translated(error, self._path, "written") from error
        return deleted

    def back_up(self, target: Path) -> None:
        """Copy the file as it is now into a new one.

        Raises:
            JournalError: there is something of that name, or it cannot be written; or the store has failed.
        """
        self._check_in_place()
        copy_file(self._connection, self._path, target)

    def world(self) -> World | None:
        """The world that the file is bound to."""
        rows = self._read("SELECT environment, host, instance FROM world")
        return World(environment=rows[0][0], host=rows[0][1], instance=rows[0][2]) if rows else None

    def bind(self, world: World, *, anew: bool) -> None:
        """Bind the file to a world; unless anew, only if it is bound to none yet.

        Raises:
            JournalError: it is bound to another one, or the store has failed.
        """
        bound = self.world()
        if bound == world:
            return
        if not anew:
            check_world(bound, world, f"the journal {self._path}")
        try:
            with self._transaction():
                self._connection.execute("DELETE FROM world")
                self._connection.execute(
                    "INSERT INTO world VALUES (?, ?, ?)", (world.environment, world.host, world.instance)
                )
        except (sqlite3.Error, OSError) as error:
            raise translated(error, self._path, "written") from error

    def _page(self, where: str, values: Sequence[object]) -> list[Row]:
        try:
            self._check_in_place()
            try:
                rows: list[Any] = self._fetched(f"SELECT {COLUMNS} FROM entries WHERE {where}", values)  # noqa: S608
            except sqlite3.DatabaseError as error:
                if not is_corrupt(error):
                    raise
                # One row of these is malformed. Their positions stand in an index, or before the rows themselves.
                positions = self._fetched(f"SELECT position FROM entries WHERE {where}", values)  # noqa: S608
                return [(position, self._single(position)) for (position,) in positions]
        except (sqlite3.Error, OSError) as error:
            raise translated(error, self._path, "read") from error
        return [read_row(row) for row in rows]

    def _single(self, position: int) -> Entry | DamagedEntry:
        try:
            rows = self._fetched(f"SELECT {COLUMNS} FROM entries WHERE position = ?", (position,))  # noqa: S608
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
            named = self._payment_at(position)
            payment = "unknown" if named is None else named[1]
            return DamagedEntry(position=position, payment=payment, reason="its row is malformed")
        return read_row(rows[0])[1]

    def _payment_at(self, position: int) -> Payment | None:
        """Find the payment of a malformed row in an index, which stands elsewhere in the file; None: it has it not."""
        columns = "merchant_serial_number, payment"
        statement = f"SELECT {columns} FROM entries INDEXED BY entries_payment WHERE +position = ?"  # noqa: S608
        found = self._fetched(statement, (position,))
        return tuple(found[0]) if found else None

    def _fetched(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        return self._connection.execute(statement, values).fetchall()

    def _read(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        try:
            self._check_in_place()
            return self._fetched(statement, values)
        except (sqlite3.Error, OSError) as error:
            raise translated(error, self._path, "read") from error

    def _loaded(self, commands: Sequence[Command]) -> Slots:
        payments = dict.fromkeys(payment for command in commands if (payment := payment_to_read(command)) is not None)
        identities = dict.fromkeys(command.intent.identity for command in commands)
        slots = Slots()
        for payment, position, found in self._open_of(list(payments)):
            if isinstance(found, Entry):
                slots.add(position, found, found)
            elif is_read_for(payment, commands):
                raise DamagedEntryError.of(found)
        for row in self._matching([identity for identity in identities if identity not in slots]):
            slots.add(row[0], entry := entry_of(row), entry)
        return slots

    def _matching(self, identities: Sequence[Identity]) -> Iterator[Any]:
        for block in blocks(identities):
            yield from self._connection.execute(select_matching(len(block)), [part for one in block for part in one])

    def _open_of(self, payments: Sequence[Payment]) -> list[tuple[Payment, int, Entry | DamagedEntry]]:
        found: list[tuple[Payment, int, Entry | DamagedEntry]] = []
        try:
            for block in blocks(payments):
                rows = self._fetched(select_open(len(block)), [part for one in block for part in one])
                found += [((row[5], row[4]), *read_row(row)) for row in rows]
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
            # One row of these payments is malformed: the others are found one by one. The rules pick those that
            # are open; whether a malformed one is, cannot be told.
            return [((unit, payment), *row) for unit, payment in payments for row in self.of_payment(payment, unit)]
        return found

    def _write(self, slots: Slots) -> None:
        newest = self._newest
        rows: list[object] = []
        states: list[object] = []
        for slot in slots:
            if slot.position is None:
                newest += 1
                rows += (newest, *row_values(slot.entry))
            elif slot.entry is not slot.stored:
                states += (slot.position, *state_values(slot.entry))
        writing = [*statements(insert_rows, rows, ROW), *statements(update_states, states, STATE)]
        with self._transaction():
            for statement, values in writing:
                self._connection.execute(statement, values)
        self._newest = newest

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
