"""What stands in a journal file, how it is told from other files, and how an older one is brought up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from vipps_async.errors import JournalError

__all__ = ["APPLICATION_ID", "MIGRATIONS", "SCHEMA_VERSION", "check_kind", "migrate"]

#: Stands in the header of every journal file: "VPJL", as SQLite's `application_id` foresees.
APPLICATION_ID = int.from_bytes(b"VPJL", "big")

# Each migration is the statements that lead from the version before it to its own; the first makes a new file.
# A migration that has been released is never changed: files made by it exist.
#
# `position` is the order of arrival: what is added last stands last, so that a growing file is written at its end,
# and walks go by it. Times are microseconds since 1970 (UTC): exact, and sortable. `outcome` is NULL while open.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE entries (
            position INTEGER PRIMARY KEY,
            key TEXT NOT NULL,
            operation TEXT NOT NULL,
            order_id TEXT NOT NULL,
            merchant_serial_number TEXT NOT NULL,
            amount INTEGER,
            transaction_text TEXT NOT NULL,
            digest TEXT NOT NULL,
            body BLOB,
            created_at INTEGER NOT NULL,
            outcome TEXT,
            answer BLOB,
            settled_at INTEGER,
            owner TEXT NOT NULL,
            lease_until INTEGER NOT NULL,
            note TEXT NOT NULL
        )
        """,
        # The key leads: keys that are made in time order then land side by side, also in a large file.
        "CREATE UNIQUE INDEX entries_identity ON entries (key, operation, order_id, merchant_serial_number)",
        "CREATE INDEX entries_order ON entries (order_id, merchant_serial_number)",
        "CREATE INDEX entries_open ON entries (position) WHERE outcome IS NULL",
    ),
)

#: The version that this package reads and writes.
SCHEMA_VERSION = len(MIGRATIONS)


def check_kind(connection: sqlite3.Connection, path: Path, *, migrations: Sequence[object] = MIGRATIONS) -> bool:
    """Tell a journal file from any other, only by reading.

    Returns:
        True if the file is new: empty, and free to become a journal.

    Raises:
        JournalError: it belongs to something else, or to a newer version of this package.
        sqlite3.DatabaseError: it is no SQLite file, or a damaged one.
    """
    application_id = _number(connection, "PRAGMA application_id")
    version = _number(connection, "PRAGMA user_version")
    tables = _number(connection, "SELECT count(*) FROM sqlite_master")
    if (application_id, version, tables) == (0, 0, 0):
        return True
    if application_id != APPLICATION_ID:
        raise JournalError(
            f"{path} is a database of something else, not a journal; it was left as it is",
            advice="give the journal a file of its own",
        )
    if version > len(migrations):
        raise JournalError(
            f"the journal {path} was written by a newer version of this package "
            f"(schema {version}; this one knows {len(migrations)}); it was left as it is",
            advice="upgrade vipps-async, or use another journal file",
        )
    return False


def migrate(connection: sqlite3.Connection, *, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring the file up to date, in one transaction that is committed even if nothing is left to do.

    That commit is the proof that the file can be written and that its disk has room.
    """
    connection.execute("BEGIN IMMEDIATE")
    version = _number(connection, "PRAGMA user_version")
    for statements in migrations[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {max(version, len(migrations)):d}")
    connection.execute("COMMIT")


def _number(connection: sqlite3.Connection, question: str) -> int:
    return int(connection.execute(question).fetchone()[0])
