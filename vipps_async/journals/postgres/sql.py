"""The SQL statements of the PostgreSQL journal, by name. ``{schema}`` is filled in as a quoted identifier."""

# ruff: noqa: S608 - put together from constants only; LiteralString has the type checkers watch over that

from __future__ import annotations

from typing import LiteralString

from vipps_async.journals.postgres.database import Tables
from vipps_async.journals.rows import COLUMNS, INTENT_COLUMNS, STATE_COLUMNS

# `position` is the order of arrival; `outcome` is NULL while open. Times are microseconds since 1970 (UTC), as in
# SQLite: a damaged one is a number that the checksum refuses, where a timestamp would fail all that is read with it.
_CREATE_TABLES: tuple[LiteralString, ...] = (
    "CREATE SEQUENCE {schema}.journal_positions",
    """
    CREATE TABLE {schema}.journal_entries (
        position bigint PRIMARY KEY,
        key text NOT NULL,
        api text NOT NULL,
        operation text NOT NULL,
        payment text NOT NULL,
        merchant_serial_number text NOT NULL,
        amount bigint,
        currency text NOT NULL,
        digest text NOT NULL,
        body bytea,
        created_at bigint NOT NULL,
        origin text NOT NULL,
        reference text NOT NULL,
        adjusts integer NOT NULL,
        begun integer NOT NULL,
        ended integer NOT NULL,
        last_at bigint NOT NULL,
        refusal bytea NOT NULL,
        looked_at bigint,
        outcome text,
        answer bytea,
        settled_at bigint,
        checksum bigint NOT NULL,
        owner text NOT NULL,
        lease_until bigint NOT NULL,
        note text NOT NULL,
        CONSTRAINT journal_entries_identity UNIQUE (key, api, operation, payment, merchant_serial_number)
    )
    """,
    "CREATE INDEX journal_entries_payment ON {schema}.journal_entries (payment, merchant_serial_number)",
    "CREATE INDEX journal_entries_open ON {schema}.journal_entries (position) WHERE outcome IS NULL",
    (
        "CREATE TABLE {schema}.journal_world (only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one), "
        "environment text NOT NULL, host text NOT NULL, instance text NOT NULL)"
    ),
)

TABLES = Tables(kind="journal", version_table="journal_version", version=4, statements=_CREATE_TABLES)

WORLD: LiteralString = "SELECT environment, host, instance FROM {schema}.journal_world"

BIND: LiteralString = (
    "INSERT INTO {schema}.journal_world (environment, host, instance) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
)

REBIND: LiteralString = (
    "INSERT INTO {schema}.journal_world (environment, host, instance) VALUES (%s, %s, %s) "
    "ON CONFLICT (only_one) DO UPDATE SET environment = excluded.environment, host = excluded.host, "
    "instance = excluded.instance"
)

#: The first statement of every commit: the database's own time, by which all leases are measured. A database set to
#: acknowledge commits before they are on its disk is told otherwise, for this transaction.
START_COMMIT: LiteralString = (
    "SELECT now(), CASE WHEN current_setting('synchronous_commit') = 'off' "
    "THEN set_config('synchronous_commit', 'on', true) END"
)

# Of two machines that begin an operation of one payment at once under different keys, one waits for the other's commit:
# no row of theirs is the same. A group of many payments locks them all together, as the server has room for some
# thousand locks.
LOCK_PAYMENTS: LiteralString = (
    "SELECT pg_advisory_xact_lock_shared(hashtextextended('vipps_async payments ' || %(schema)s, 0)), "
    "(SELECT count(pg_advisory_xact_lock(payment)) FROM (SELECT DISTINCT hashtextextended('vipps_async payment ' || "
    "concat_ws(chr(1), %(schema)s, m, i), 0) AS payment FROM unnest(%(units)s::text[], %(payments)s::text[]) "
    "AS given (m, i) ORDER BY payment) AS payments)"
)
LOCK_ALL_PAYMENTS: LiteralString = (
    "SELECT pg_advisory_xact_lock(hashtextextended('vipps_async payments ' || %(schema)s, 0))"
)

# Rows are locked and put there in the order of their identities: two groups that want the same ones then wait for each
# other in one direction only. Their positions follow the order in which they were asked for. Wanted are those of some
# identities, and the open ones of some sales units' payments.
LOCK_ENTRIES: LiteralString = (
    "SELECT " + COLUMNS + " FROM {schema}.journal_entries JOIN ("
    "SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[]) AS given (k, a, o, i, m) UNION "
    "SELECT key, api, operation, payment, merchant_serial_number FROM {schema}.journal_entries "
    "JOIN unnest(%s::text[], %s::text[]) AS looked_at (m, i) ON payment = i AND merchant_serial_number = m "
    "WHERE outcome IS NULL"
    ") AS wanted (k, a, o, i, m) ON key = k AND api = a AND operation = o AND payment = i "
    "AND merchant_serial_number = m "
    "ORDER BY key, api, operation, payment, merchant_serial_number FOR UPDATE OF journal_entries"
)

INSERT_ENTRIES: LiteralString = (
    "WITH news AS MATERIALIZED ("
    "SELECT nextval('{schema}.journal_positions') AS position, given.* "
    "FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[], "
    "%s::bytea[], %s::bigint[], %s::text[], %s::text[], %s::int[], %s::int[], %s::int[], %s::bigint[], %s::bytea[], "
    "%s::bigint[], %s::text[], %s::bytea[], %s::bigint[], %s::bigint[], %s::text[], %s::bigint[], "
    "%s::text[]) AS given (" + INTENT_COLUMNS + ", " + STATE_COLUMNS + ")) "
    "INSERT INTO {schema}.journal_entries (" + COLUMNS + ") SELECT " + COLUMNS + " FROM news "
    "ORDER BY key, api, operation, payment, merchant_serial_number "
    "ON CONFLICT ON CONSTRAINT journal_entries_identity DO NOTHING"
)

UPDATE_ENTRIES: LiteralString = (
    "UPDATE {schema}.journal_entries AS entries SET (" + STATE_COLUMNS + ") = "
    "ROW(news.begun, news.ended, news.last_at, news.refusal, news.looked_at, news.outcome, news.answer, "
    "news.settled_at, news.checksum, news.owner, news.lease_until, news.note) "
    "FROM unnest(%s::bigint[], %s::int[], %s::int[], %s::bigint[], %s::bytea[], "
    "%s::bigint[], %s::text[], %s::bytea[], %s::bigint[], %s::bigint[], %s::text[], %s::bigint[], "
    "%s::text[]) AS news (position, " + STATE_COLUMNS + ") WHERE entries.position = news.position"
)

NEWEST_POSITION: LiteralString = "SELECT coalesce(max(position), 0) FROM {schema}.journal_entries"

OPEN_PAGE: LiteralString = (
    "SELECT " + COLUMNS + " FROM {schema}.journal_entries WHERE outcome IS NULL AND position > %s AND position <= %s "
    "ORDER BY position LIMIT %s"
)

RECENT_PAGE: LiteralString = (
    "SELECT " + COLUMNS + " FROM {schema}.journal_entries WHERE position < %s ORDER BY position DESC LIMIT %s"
)

ORDER_ENTRIES: LiteralString = (
    "SELECT " + COLUMNS + " FROM {schema}.journal_entries "
    "WHERE payment = %s AND merchant_serial_number = %s ORDER BY position"
)

DELETE_ENTRIES: LiteralString = (
    "DELETE FROM {schema}.journal_entries WHERE position = ANY(%s::bigint[]) AND (%s OR outcome IS NOT NULL)"
)
