"""Every statement that the PostgreSQL journal runs, by name. ``{schema}`` is filled in as a quoted identifier."""

# ruff: noqa: S608 - put together from constants only; LiteralString has the type checkers watch over that

from __future__ import annotations

from typing import LiteralString

__all__ = [
    "COLUMNS",
    "CREATE_SCHEMA",
    "CREATE_VERSION",
    "INSERT_ENTRIES",
    "LOCK_ENTRIES",
    "LOCK_MIGRATION",
    "MIGRATIONS",
    "NEWEST_POSITION",
    "OPEN_PAGE",
    "ORDER_ENTRIES",
    "READ_VERSION",
    "RECENT_PAGE",
    "SCHEMA_STATE",
    "START_COMMIT",
    "UPDATE_ENTRIES",
    "WRITE_VERSION",
]

COLUMNS: LiteralString = (
    "position, key, operation, order_id, merchant_serial_number, amount, transaction_text, digest, body, created_at, "
    "outcome, answer, settled_at, owner, lease_until, note"
)

#: Held until the transaction ends, so that of several machines that start at once one creates or migrates.
LOCK_MIGRATION: LiteralString = "SELECT pg_advisory_xact_lock(hashtextextended('vipps_async journal ' || %s, 0))"

#: Whether the schema and the version table are there: asked first, because creating needs rights that using does not.
SCHEMA_STATE: LiteralString = (
    "SELECT to_regnamespace(quote_ident(%(name)s)) IS NOT NULL, "
    "to_regclass(quote_ident(%(name)s) || '.journal_version') IS NOT NULL"
)
CREATE_SCHEMA: LiteralString = "CREATE SCHEMA {schema}"
CREATE_VERSION: LiteralString = "CREATE TABLE {schema}.journal_version (version integer NOT NULL)"
READ_VERSION: LiteralString = "SELECT coalesce(max(version), 0) FROM {schema}.journal_version"
WRITE_VERSION: LiteralString = "INSERT INTO {schema}.journal_version (version) VALUES (%s)"

# Each migration is the statements that lead from the version before it to its own. One that has been released is
# never changed: databases made by it exist. `position` is the order of arrival; `outcome` is NULL while open.
MIGRATIONS: tuple[tuple[LiteralString, ...], ...] = (
    (
        "CREATE SEQUENCE {schema}.journal_positions",
        """
        CREATE TABLE {schema}.journal_entries (
            position bigint PRIMARY KEY,
            key text NOT NULL,
            operation text NOT NULL,
            order_id text NOT NULL,
            merchant_serial_number text NOT NULL,
            amount bigint,
            transaction_text text NOT NULL,
            digest text NOT NULL,
            body bytea,
            created_at timestamptz NOT NULL,
            outcome text,
            answer bytea,
            settled_at timestamptz,
            owner text NOT NULL,
            lease_until timestamptz NOT NULL,
            note text NOT NULL,
            CONSTRAINT journal_entries_identity UNIQUE (key, operation, order_id, merchant_serial_number)
        )
        """,
        "CREATE INDEX journal_entries_order ON {schema}.journal_entries (order_id, merchant_serial_number)",
        "CREATE INDEX journal_entries_open ON {schema}.journal_entries (position) WHERE outcome IS NULL",
    ),
)

#: The first statement of every commit: the database's own time, by which all leases are measured. A database set to
#: acknowledge commits before they are on its disk is told otherwise, for this transaction.
START_COMMIT: LiteralString = (
    "SELECT now(), CASE WHEN current_setting('synchronous_commit') = 'off' "
    "THEN set_config('synchronous_commit', 'on', true) END"
)

# Rows are locked and put there in the order of their identities: two groups that want the same ones then wait for each
# other in one direction only. Their positions follow the order in which they were asked for.
LOCK_ENTRIES: LiteralString = (
    "SELECT " + COLUMNS + " FROM {schema}.journal_entries "
    "JOIN unnest(%s::text[], %s::text[], %s::text[], %s::text[]) AS wanted (k, o, i, m) "
    "ON key = k AND operation = o AND order_id = i AND merchant_serial_number = m "
    "ORDER BY key, operation, order_id, merchant_serial_number FOR UPDATE OF journal_entries"
)

INSERT_ENTRIES: LiteralString = (
    "WITH news AS MATERIALIZED ("
    "SELECT nextval('{schema}.journal_positions') AS position, given.* "
    "FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::bytea[], "
    "%s::timestamptz[], %s::text[], %s::bytea[], %s::timestamptz[], %s::text[], %s::timestamptz[], %s::text[]) "
    "AS given (key, operation, order_id, merchant_serial_number, amount, transaction_text, digest, body, created_at, "
    "outcome, answer, settled_at, owner, lease_until, note)) "
    "INSERT INTO {schema}.journal_entries (" + COLUMNS + ") SELECT " + COLUMNS + " FROM news "
    "ORDER BY key, operation, order_id, merchant_serial_number "
    "ON CONFLICT ON CONSTRAINT journal_entries_identity DO NOTHING"
)

UPDATE_ENTRIES: LiteralString = (
    "UPDATE {schema}.journal_entries AS entries SET outcome = news.outcome, answer = news.answer, "
    "settled_at = news.settled_at, owner = news.owner, lease_until = news.lease_until, note = news.note "
    "FROM unnest(%s::bigint[], %s::text[], %s::bytea[], %s::timestamptz[], %s::text[], %s::timestamptz[], %s::text[]) "
    "AS news (position, outcome, answer, settled_at, owner, lease_until, note) "
    "WHERE entries.position = news.position"
)

NEWEST_POSITION: LiteralString = "SELECT coalesce(max(position), 0) FROM {schema}.journal_entries"

OPEN_PAGE: LiteralString = (
    "SELECT " + COLUMNS + " FROM {schema}.journal_entries WHERE outcome IS NULL AND position > %s AND position <= %s "
    "AND (%s::text IS NULL OR merchant_serial_number = %s) ORDER BY position LIMIT %s"
)

RECENT_PAGE: LiteralString = (
    "SELECT " + COLUMNS + " FROM {schema}.journal_entries WHERE position <= %s ORDER BY position DESC LIMIT %s"
)

ORDER_ENTRIES: LiteralString = (
    "SELECT " + COLUMNS + " FROM {schema}.journal_entries "
    "WHERE order_id = %s AND merchant_serial_number = %s ORDER BY position"
)
