"""Every statement about distributed batches, by name. ``{schema}`` is filled in as a quoted identifier."""

from __future__ import annotations

from typing import LiteralString

from vipps_async.batch import report as stored
from vipps_async.journals.postgres.database import Tables

#: The rows of one batch, for the statements that SQLite has, too.
_ROWS: LiteralString = "{schema}.batch_rows WHERE batch = %s"

#: A worker may be stopped in the middle of a transaction, and then holds locks on a chunk or a job that all others pass
#: by: the database ends the session. Less than the time after which the worker is missed, in milliseconds.
LONGEST_IDLE: LiteralString = "4000"

_SETTINGS: LiteralString = (
    "SELECT set_config('idle_in_transaction_session_timeout', %(idle)s, {is_local}), "
    "set_config('search_path', coalesce(%(path)s, current_setting('search_path')), {is_local})"
)
SET_FOR_TRANSACTION: LiteralString = _SETTINGS.replace("{is_local}", "true")
# Procrastinate's statement that fetches a job is planned once and for all by an idle worker, while there is no job:
# with 10,000 jobs that plan takes 10 s, a fresh one 1 ms.
SET_FOR_SESSION: LiteralString = (
    _SETTINGS.replace("{is_local}", "false") + ", set_config('plan_cache_mode', 'force_custom_plan', false)"
)

#: Whether Procrastinate's tables are there, where the connection looks for them, and by which of its migrations.
HAS_JOBS: LiteralString = "SELECT to_regclass('procrastinate_jobs') IS NOT NULL"
READ_JOBS_VERSION: LiteralString = "SELECT coalesce(max(version), '') FROM {schema}.batch_jobs_version"
WRITE_JOBS_VERSION: LiteralString = (
    "WITH gone AS (DELETE FROM {schema}.batch_jobs_version) INSERT INTO {schema}.batch_jobs_version VALUES (%s)"
)

_CREATE_TABLES: tuple[LiteralString, ...] = (
    # `edition` tells batches of one file apart that were meant to be several. `next_slot` is when the next row may
    # be begun, where there is a rate.
    """
    CREATE TABLE {schema}.batches (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        api text NOT NULL,
        operation text NOT NULL,
        digest text NOT NULL,
        edition integer NOT NULL,
        merchant_serial_number text NOT NULL,
        environment text NOT NULL,
        base_url text NOT NULL,
        options text NOT NULL,
        release_remaining boolean NOT NULL,
        rate double precision,
        next_slot timestamptz NOT NULL DEFAULT '-infinity',
        created_at timestamptz NOT NULL DEFAULT now(),
        withdrawn_at timestamptz,
        UNIQUE (digest, api, operation, merchant_serial_number, edition)
    )
    """,
    # `state` is waiting, running or ended. `epoch` goes up whenever a chunk changes hands: whoever has an older one
    # writes nothing. `seen_at` is when whoever has it was last known to be alive, by the database's clock.
    # `job_id` is Procrastinate's latest job for it, `round` how often it was tried.
    """
    CREATE TABLE {schema}.batch_chunks (
        batch bigint NOT NULL REFERENCES {schema}.batches ON DELETE CASCADE,
        number integer NOT NULL,
        state text NOT NULL DEFAULT 'waiting',
        epoch bigint NOT NULL DEFAULT 0,
        owner text NOT NULL DEFAULT '',
        seen_at timestamptz NOT NULL DEFAULT now(),
        round integer NOT NULL DEFAULT 0,
        suspicion integer NOT NULL DEFAULT 0,
        job_id bigint,
        note text NOT NULL DEFAULT '',
        PRIMARY KEY (batch, number)
    )
    """,
    "CREATE INDEX batch_chunks_open ON {schema}.batch_chunks (batch) WHERE state <> 'ended'",
    """
    CREATE TABLE {schema}.batch_rows (
        batch bigint NOT NULL REFERENCES {schema}.batches ON DELETE CASCADE,
        number integer NOT NULL,
        chunk integer,
        line integer NOT NULL,
        payment text NOT NULL,
        amount bigint,
        text text NOT NULL,
        reference text,
        another boolean NOT NULL DEFAULT false,
        violation text,
        cells text,
        outcome text,
        moved bigint,
        time timestamptz,
        key text,
        code text,
        reason text,
        cause text,
        PRIMARY KEY (batch, number)
    )
    """,
    "CREATE INDEX batch_rows_chunk ON {schema}.batch_rows (batch, chunk, number)",
    "CREATE INDEX batch_rows_payment ON {schema}.batch_rows (payment, amount) WHERE amount IS NOT NULL",
    "CREATE TABLE {schema}.batch_jobs_version (version text NOT NULL)",
)
TABLES = Tables(kind="batch", version_table="batch_version", version=5, statements=_CREATE_TABLES)

# --- submitting -------------------------------------------------------------------------------------------------------

#: Held until the transaction ends: of two that submit the same file at once, the second one finds the first one's.
LOCK_SUBMISSION: LiteralString = "SELECT pg_advisory_xact_lock(hashtextextended('vipps_async batch ' || %s, 0))"
OTHER_WORLD: LiteralString = (
    "SELECT environment, base_url FROM {schema}.batches WHERE environment <> %s OR base_url <> %s LIMIT 1"
)
FIND_BATCHES: LiteralString = (
    "SELECT id, edition, options FROM {schema}.batches "
    "WHERE digest = %s AND api = %s AND operation = %s AND merchant_serial_number = %s "
    "AND (%s OR withdrawn_at IS NULL) "
    "ORDER BY edition DESC"
)
ADD_BATCH: LiteralString = (
    "INSERT INTO {schema}.batches "
    "(digest, api, operation, merchant_serial_number, edition, environment, base_url, options, release_remaining, "
    "rate) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id"
)
COPY_ROWS: LiteralString = (
    "COPY {schema}.batch_rows (batch, chunk, outcome, reason, cause, " + stored.ASKED_COLUMNS + ") FROM STDIN"
)
#: Holds rows that may repeat a row of another batch, begun or not: the same sales unit, operation, payment and
#: amount, and one of the two has no reference, or both have the same one and go over two APIs. A row under the same key
#: of the same API is the same row. Where neither has a reference and their files differ, another amount may correct it.
HOLD_ROWS: LiteralString = (
    "UPDATE {schema}.batch_rows AS rows SET outcome = 'held', reason = format('meets line %%s of batch %%s, and one of "
    "the two has no reference', met.line, met.batch) FROM (SELECT DISTINCT ON (mine.number) mine.number, others.batch, "
    "others.line FROM {schema}.batch_rows AS mine JOIN {schema}.batches AS batch ON batch.id = mine.batch "
    "JOIN {schema}.batch_rows AS others ON others.payment = mine.payment AND others.amount IS NOT NULL "
    "AND others.batch <> mine.batch JOIN {schema}.batches AS theirs ON theirs.id = others.batch "
    "AND theirs.operation = batch.operation AND theirs.merchant_serial_number = batch.merchant_serial_number "
    "WHERE mine.batch = %s AND mine.violation IS NULL AND mine.outcome IS NULL AND NOT mine.another "
    "AND others.violation IS NULL AND mine.amount IS NOT NULL AND (others.amount = mine.amount "
    "OR (mine.reference IS NULL AND others.reference IS NULL AND theirs.digest <> batch.digest)) "
    "AND (others.outcome IN ('done', 'done before', 'found done', 'otherwise', 'otherwise before', 'unknown') "
    "OR (theirs.withdrawn_at IS NULL "
    "AND coalesce(others.outcome, '') NOT IN ('refused', 'held'))) "
    "AND (mine.reference IS NULL OR others.reference IS NULL "
    "OR (theirs.api <> batch.api AND others.reference = mine.reference)) "
    "AND NOT (mine.reference IS NULL AND others.reference IS NULL AND theirs.digest = batch.digest "
    "AND theirs.api = batch.api AND others.number = mine.number) ORDER BY mine.number, others.batch) AS met "
    "WHERE rows.batch = %s AND rows.number = met.number"
)
#: Rows that were held are other ones than what they meet.
RELEASE_ROWS: LiteralString = (
    "UPDATE {schema}.batch_rows SET outcome = NULL, reason = NULL, another = true "
    "WHERE batch = %s AND outcome = 'held' AND payment = ANY (%s)"
)
HELD_ROWS: LiteralString = stored.HELD_ROWS.replace("{rows}", _ROWS)
ADD_CHUNKS: LiteralString = "INSERT INTO {schema}.batch_chunks (batch, number) SELECT %s, unnest(%s::integer[])"
NOTE_JOBS: LiteralString = (
    "UPDATE {schema}.batch_chunks AS chunks SET job_id = given.job "
    "FROM unnest(%s::integer[], %s::bigint[]) AS given (chunk, job) WHERE batch = %s AND number = given.chunk"
)
#: Chunks that ended with rows that another try may settle are to be tried again.
REOPEN: LiteralString = (
    "UPDATE {schema}.batch_chunks AS chunks SET state = 'waiting', round = 0, note = '' "
    "WHERE batch = %s AND state = 'ended' AND EXISTS (SELECT FROM {schema}.batch_rows AS rows "
    "WHERE rows.batch = chunks.batch AND rows.chunk = chunks.number AND violation IS NULL "
    "AND (outcome IS NULL OR outcome <> ALL (%s))) RETURNING number"
)

# --- chunks -----------------------------------------------------------------------------------------------------------

#: Gives a row as long as an epoch is the current one, and keeps it so until the transaction ends: one of the journal's
#: or of ours, in which the worker may be stopped as well.
STILL_OWNER: LiteralString = (
    "SELECT set_config('idle_in_transaction_session_timeout', '" + LONGEST_IDLE + "', true) "
    "FROM {schema}.batch_chunks WHERE batch = %s AND number = %s AND epoch = %s FOR SHARE"
)
CHUNK: LiteralString = (
    "SELECT state, epoch, seen_at < clock_timestamp() - make_interval(secs => %s), "
    "api, operation, digest, merchant_serial_number, environment, base_url, release_remaining, rate, created_at, "
    "withdrawn_at IS NOT NULL "
    "FROM {schema}.batch_chunks AS chunks JOIN {schema}.batches AS batches ON batches.id = chunks.batch "
    "WHERE batch = %s AND number = %s FOR UPDATE OF chunks"
)
CLAIM: LiteralString = (
    "UPDATE {schema}.batch_chunks SET state = 'running', epoch = epoch + 1, owner = %s, "
    "seen_at = clock_timestamp(), suspicion = 0 WHERE batch = %s AND number = %s"
)
HEARTBEAT: LiteralString = (
    "UPDATE {schema}.batch_chunks SET seen_at = clock_timestamp() FROM {schema}.batches AS batches "
    "WHERE batches.id = batch AND batch = %s AND number = %s AND epoch = %s RETURNING withdrawn_at IS NOT NULL"
)
#: The one who may end a chunk: nobody else does anything to it until the transaction ends.
LOCK_CHUNK: LiteralString = (
    "SELECT round, withdrawn_at IS NOT NULL FROM {schema}.batch_chunks AS chunks "
    "JOIN {schema}.batches AS batches ON batches.id = chunks.batch "
    "WHERE batch = %s AND number = %s AND epoch = %s FOR UPDATE OF chunks"
)
PUT_BACK: LiteralString = (
    "UPDATE {schema}.batch_chunks SET state = %s, round = %s, note = %s, owner = '', "
    "seen_at = clock_timestamp() WHERE batch = %s AND number = %s"
)
CHUNK_ROWS: LiteralString = (
    stored.UNFINISHED.replace("{rows}", _ROWS)
    + "chunk = %s AND (outcome IS NULL OR outcome <> ALL (%s)) ORDER BY number"
)
SIBLINGS: LiteralString = "SELECT payment, number, reference FROM {schema}.batch_rows WHERE batch = %s AND chunk = %s"
ROWS_LEFT: LiteralString = (
    "SELECT count(*) FROM {schema}.batch_rows "
    "WHERE batch = %s AND chunk = %s AND violation IS NULL AND (outcome IS NULL OR outcome <> ALL (%s))"
)
#: A row that cannot be read is none that can be sent.
SPOIL_ROW: LiteralString = (
    "UPDATE {schema}.batch_rows SET outcome = 'refused', code = 'breaks a rule', reason = %s "
    "WHERE batch = %s AND number = %s AND chunk = %s AND (outcome IS NULL OR outcome = 'not done')"
)
# What this very batch could not finish at once, and found finished later, was done by this batch.
SAVE_RESULTS: LiteralString = (
    "UPDATE {schema}.batch_rows AS rows SET outcome = CASE WHEN news.outcome IN ('done before', 'otherwise before') "
    "AND (news.own OR coalesce(rows.outcome IN ('unknown', 'not done'), false)) "
    "THEN replace(news.outcome, ' before', '') ELSE news.outcome END, "
    "moved = news.moved, time = news.time, key = news.key, code = news.code, reason = news.reason, cause = news.cause "
    "FROM unnest(%s::integer[], %s::text[], %s::bigint[], %s::timestamptz[], %s::text[], %s::text[], %s::text[], "
    "%s::text[], %s::boolean[]) AS news (number, outcome, moved, time, key, code, reason, cause, own) "
    "WHERE rows.batch = %s AND rows.number = news.number"
)

# --- looking after chunks whose worker is gone ------------------------------------------------------------------------

ABANDONED_CHUNKS: LiteralString = (
    "SELECT batch, number, merchant_serial_number FROM {schema}.batch_chunks AS chunks "
    "JOIN {schema}.batches AS batches ON batches.id = chunks.batch "
    "WHERE state = 'running' AND seen_at < clock_timestamp() - make_interval(secs => %s) "
    "AND (batch, number) > (%s, %s) ORDER BY batch, number LIMIT %s FOR UPDATE OF chunks SKIP LOCKED"
)
#: The epoch goes up here already: from now on whoever had it writes nothing.
GIVE_AWAY: LiteralString = (
    "UPDATE {schema}.batch_chunks SET state = 'waiting', epoch = epoch + 1, owner = '', suspicion = 0 "
    "WHERE batch = %s AND number = %s"
)
#: Chunks that wait while no job does: it failed, was deleted, or was handed to a worker that does not know it.
LOST_JOBS: LiteralString = (
    "SELECT batch, number, merchant_serial_number, jobs.status = 'doing', jobs.id FROM {schema}.batch_chunks AS chunks "
    "JOIN {schema}.batches AS batches ON batches.id = chunks.batch "
    "LEFT JOIN procrastinate_jobs AS jobs ON jobs.id = chunks.job_id "
    "WHERE state = 'waiting' AND (jobs.id IS NULL OR jobs.status <> 'todo') "
    "AND (batch, number) > (%s, %s) ORDER BY batch, number LIMIT %s FOR UPDATE OF chunks SKIP LOCKED"
)
SUSPECT: LiteralString = (
    "UPDATE {schema}.batch_chunks SET suspicion = suspicion + 1 WHERE batch = %s AND number = %s RETURNING suspicion"
)

# --- withdrawing ------------------------------------------------------------------------------------------------------

WITHDRAW: LiteralString = (
    "UPDATE {schema}.batches SET withdrawn_at = coalesce(withdrawn_at, clock_timestamp()) WHERE id = %s RETURNING id"
)
#: Chunks in work end by themselves: their workers are told at their next sign of life.
END_WAITING: LiteralString = (
    "UPDATE {schema}.batch_chunks SET state = 'ended', note = 'withdrawn' WHERE batch = %s AND state = 'waiting'"
)
FIND_BATCH: LiteralString = "SELECT 1 FROM {schema}.batches WHERE id = %s AND digest = %s"
DATABASE_TIME: LiteralString = "SELECT clock_timestamp() + make_interval(secs => %s)"

# --- the rate ---------------------------------------------------------------------------------------------------------

# Slots lie a fixed time apart; those that nobody has taken in time are lost, so that a lull is not made up for.
TAKE_SLOTS: LiteralString = (
    "UPDATE {schema}.batches SET next_slot = greatest(next_slot, clock_timestamp()) + make_interval(secs => %s) "
    "WHERE id = %s RETURNING extract(epoch FROM next_slot - clock_timestamp())::float8"
)

# --- what became of it ------------------------------------------------------------------------------------------------

BATCHES: LiteralString = (
    "SELECT id, api, operation, merchant_serial_number, environment, digest, rate, created_at, withdrawn_at, "
    "options FROM {schema}.batches WHERE id = %s"
)
CHUNK_COUNTS: LiteralString = (
    "SELECT count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'running'), "
    "count(*) FILTER (WHERE state = 'ended'), count(DISTINCT owner) FILTER (WHERE state = 'running'), "
    "coalesce(max(note) FILTER (WHERE note <> ''), '') FROM {schema}.batch_chunks WHERE batch = %s"
)
TOTALS: LiteralString = stored.TOTALS.replace("{rows}", _ROWS)
REFUSALS: LiteralString = stored.REFUSALS.replace("{rows}", _ROWS)
OPEN_CHUNKS: LiteralString = (
    "SELECT count(*) FROM {schema}.batch_chunks AS chunks "
    "JOIN {schema}.batches AS batches ON batches.id = chunks.batch "
    "WHERE state <> 'ended' AND merchant_serial_number = %s AND environment = %s"
)
OPEN_ELSEWHERE: LiteralString = (
    "SELECT merchant_serial_number, count(DISTINCT batch) FROM {schema}.batch_chunks AS chunks "
    "JOIN {schema}.batches AS batches ON batches.id = chunks.batch "
    "WHERE state <> 'ended' AND merchant_serial_number <> %s GROUP BY 1 ORDER BY 1"
)
REPORT: LiteralString = stored.REPORT.replace("{rows}", _ROWS) + " ORDER BY number"
