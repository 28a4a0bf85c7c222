"""The schema of a journal file, and how it is told from other files and from older shapes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from vipps_async.errors import JournalError

#: Stands in the header of every journal file: "VPJL", as SQLite's `application_id` foresees.
APPLICATION_ID = int.from_bytes(b"VPJL", "big")

#: The version that this package reads and writes: a new number for each change of `SCHEMA`.
SCHEMA_VERSION = 4

_KEYS_ARE_LOST = (
    "another journal file knows none of the keys that are settled in this one, and a call with one of them would be "
    "sent anew: the page on the journal tells what is safe"
)

# `position` is the order of arrival: what is added last stands last, so that a growing file is written at its end,
# and walks go by it. Times are microseconds since 1970 (UTC): exact, and sortable. `outcome` is NULL while open.
SCHEMA = (
    """
    CREATE TABLE entries (
        position INTEGER PRIMARY KEY,
        key TEXT NOT NULL,
        api TEXT NOT NULL,
        operation TEXT NOT NULL,
        payment TEXT NOT NULL,
        merchant_serial_number TEXT NOT NULL,
        amount INTEGER,
        currency TEXT NOT NULL,
        digest TEXT NOT NULL,
        body BLOB,
        created_at INTEGER NOT NULL,
        origin TEXT NOT NULL,
        reference TEXT NOT NULL,
        adjusts INTEGER NOT NULL,
        begun INTEGER NOT NULL,
        ended INTEGER NOT NULL,
        last_at INTEGER NOT NULL,
        refusal BLOB NOT NULL,
        looked_at INTEGER,
        outcome TEXT,
        answer BLOB,
        settled_at INTEGER,
        checksum INTEGER NOT NULL,
        owner TEXT NOT NULL,
        lease_until INTEGER NOT NULL,
        note TEXT NOT NULL
    )
    """,
    # The key leads: keys that are made in time order then land side by side, also in a large file.
    "CREATE UNIQUE INDEX entries_identity ON entries (key, api, operation, payment, merchant_serial_number)",
    "CREATE INDEX entries_payment ON entries (payment, merchant_serial_number)",
    "CREATE INDEX entries_open ON entries (position) WHERE outcome IS NULL",
    "CREATE TABLE world (environment TEXT NOT NULL, host TEXT NOT NULL, instance TEXT NOT NULL)",
)


def check_kind(connection: sqlite3.Connection, path: Path) -> None:
    """Tell a journal file from any other, only by reading.

    Raises:
        JournalError: it belongs to something else, or its schema is another one.
        sqlite3.DatabaseError: it is no SQLite file, or a damaged one.
    """
    if _number(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise JournalError(
            f"{path} is a database of something else, not a journal; it was left as it is",
            advice="give the journal a file of its own",
        )
    version = _number(connection, "PRAGMA user_version")
    if version != SCHEMA_VERSION:
        age, advice = (
            ("a newer", "upgrade vipps-async")
            if version > SCHEMA_VERSION
            else ("an older", "go on with the version that wrote it")
        )
        raise JournalError(
            f"the journal {path} was written by {age} version of this package "
            f"(schema {version}; this one knows {SCHEMA_VERSION}); it was left as it is",
            advice=f"{advice}; {_KEYS_ARE_LOST}",
        )


def create(connection: sqlite3.Connection) -> None:
    """Make a journal of an empty file that has no name of its own yet: marked, and with its tables, on the disk."""
    # No file beside it: one that is left half made is thrown away.
    for pragma in ("journal_mode = MEMORY", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")
    marks = (f"PRAGMA application_id = {APPLICATION_ID:d}", f"PRAGMA user_version = {SCHEMA_VERSION:d}")
    for statement in ("BEGIN IMMEDIATE", *SCHEMA, *marks, "COMMIT"):
        connection.execute(statement)


def prove_writable(connection: sqlite3.Connection) -> None:
    """Commit though nothing changes: the proof that the file can be written and that its disk has room."""
    for statement in ("BEGIN IMMEDIATE", f"PRAGMA user_version = {SCHEMA_VERSION:d}", "COMMIT"):
        connection.execute(statement)


def _number(connection: sqlite3.Connection, question: str) -> int:
    return int(connection.execute(question).fetchone()[0])
