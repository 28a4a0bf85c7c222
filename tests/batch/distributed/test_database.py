"""The tables of distributed batches: made once by many at once, never taken backwards, and their DSN never shown."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.batch.distributed.machines import opened, rows_of, submitted
from vipps_async import PostgresJournal
from vipps_async.batch.distributed import database as database_module
from vipps_async.batch.distributed import sql as statements
from vipps_async.batch.distributed.database import BatchDatabase
from vipps_async.errors import ConfigurationError, InvalidInputError, JournalError


async def test_many_machines_may_make_the_tables_at_once(postgres_dsn: str, schema: str) -> None:
    """Six databases and two journals that open at the same moment: one makes each table, the others find it."""
    databases = [BatchDatabase(postgres_dsn, schema=schema) for _ in range(6)]
    stores: list[BatchDatabase | PostgresJournal] = [*databases]
    stores += [PostgresJournal(postgres_dsn, schema=schema) for _ in range(2)]
    async with asyncio.TaskGroup() as group:
        for store in stores:
            group.create_task(store.open())
    names = ("batch_version", "batch_jobs_version")
    found = [await databases[0].rows(f"SELECT version FROM {{schema}}.{name}") for name in names]  # noqa: S608
    for store in stores:
        await (store.aclose() if isinstance(store, PostgresJournal) else store.close())
    assert found[0] == [(statements.TABLES.version,)]
    assert [version.endswith(".sql") for (version,) in found[1]] == [True]


async def test_a_second_opening_changes_nothing(postgres_dsn: str, schema: str) -> None:
    """What is in the tables stays."""
    async with opened(postgres_dsn, schema) as database:
        await database.rows("INSERT INTO {schema}.batch_chunks SELECT 1, 1 WHERE false")
        await database.rows("UPDATE {schema}.batch_jobs_version SET version = version")
        before = await database.rows("SELECT xmin FROM pg_class WHERE oid = %s::regclass", (f"{schema}.batches",))
    async with opened(postgres_dsn, schema) as database:
        after = await database.rows("SELECT xmin FROM pg_class WHERE oid = %s::regclass", (f"{schema}.batches",))
    assert before == after


@pytest.mark.parametrize(
    ("statement", "of_what"),
    [
        ("UPDATE {schema}.batch_version SET version = 99", "this package"),
        ("UPDATE {schema}.batch_jobs_version SET version = '99.00.00_01_pre.sql'", "Procrastinate"),
    ],
)
async def test_tables_of_a_newer_version_are_left_alone(
    postgres_dsn: str, schema: str, statement: str, of_what: str
) -> None:
    """An older worker says so and does nothing."""
    async with opened(postgres_dsn, schema):
        pass
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(sql.SQL(statement).format(schema=sql.Identifier(schema)))
    with pytest.raises(JournalError, match=f"newer version of {of_what}"):
        await BatchDatabase(postgres_dsn, schema=schema).open()


@pytest.mark.parametrize("only_read", [False, True])
async def test_tables_of_an_older_version_are_left_alone(postgres_dsn: str, schema: str, *, only_read: bool) -> None:
    """Tables of the first shape, with a row that was not begun, are refused by their number; nothing is made beside."""
    older = (Path(__file__).parent / "tables_1.sql").read_text().replace("{schema}", schema)
    tables = "SELECT count(*) FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace WHERE nspname = %s"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(older.encode())
        before = connection.execute(tables, (schema,)).fetchone()
        text = rf"batch's tables in the schema {schema} were made by an older version of this package .schema version 1"
        with pytest.raises(JournalError, match=text) as caught:
            await BatchDatabase(postgres_dsn, schema=schema, only_read=only_read).open()
        assert "finish what is open with the version that made them; another schema knows none of the keys" in str(
            caught.value
        )
        assert connection.execute(tables, (schema,)).fetchone() == before
        # The journal beside them is another story, and may be made.
        journal = PostgresJournal(postgres_dsn, schema=schema)
        await journal.open()
        await journal.aclose()


async def test_only_reading_makes_nothing(postgres_dsn: str, schema: str) -> None:
    """Where there are no batches it says so, and leaves no schema behind."""
    database = BatchDatabase(postgres_dsn, schema=schema, only_read=True)
    with pytest.raises(ConfigurationError, match=f"there are no batches in the schema {schema}"):
        await database.open()
    with psycopg.connect(postgres_dsn) as connection:
        assert connection.execute("SELECT to_regnamespace(%s)", (schema,)).fetchone() == (None,)
    async with opened(postgres_dsn, schema):
        await database.open()
        assert await database.rows("SELECT * FROM {schema}.batches") == []
        await database.close()


async def test_procrastinates_own_migrations_are_applied_once(
    postgres_dsn: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer Procrastinate brings statements; they are run by the first one that opens, in our schema."""
    async with opened(postgres_dsn, schema):
        pass
    known = database_module._job_migrations()
    later = {"90.00.00_01_pre_x.sql": b"CREATE TABLE brought (a integer); INSERT INTO brought VALUES (1)"}
    monkeypatch.setattr(database_module, "_job_migrations", lambda: known | later)
    for _ in range(2):
        async with opened(postgres_dsn, schema) as database:
            assert await database.rows("SELECT a FROM {schema}.brought") == [(1,)]


async def test_an_applications_own_procrastinate_is_not_made_here(postgres_dsn: str, schema: str) -> None:
    """Its tables must be there already, where its connections find them; ours are made beside."""
    with pytest.raises(ConfigurationError, match="Procrastinate's tables"):
        await BatchDatabase(postgres_dsn, schema=schema, own_jobs=False).open()
    async with opened(postgres_dsn, schema):
        pass
    there = psycopg.conninfo.make_conninfo(postgres_dsn, options=f"-c search_path={schema}")
    database = BatchDatabase(there, schema=schema, own_jobs=False)
    await database.open()
    assert await database.rows("SHOW search_path") == [(schema,)]
    await database.close()


async def test_each_fetch_of_a_job_is_planned_anew(postgres_dsn: str, schema: str) -> None:
    """A plan that was made while the queue was empty takes seconds once it is full."""
    async with opened(postgres_dsn, schema) as database:
        connection = await psycopg.AsyncConnection.connect(database.conninfo)
        async with connection:
            await database.set_up_session(connection)
            for name, value in {
                "plan_cache_mode": "force_custom_plan",
                "search_path": schema,
                "idle_in_transaction_session_timeout": "4s",
            }.items():
                assert await (await connection.execute("SELECT current_setting(%s)", (name,))).fetchall() == [(value,)]


async def test_a_session_that_stands_still_in_a_transaction_is_ended(postgres_dsn: str, schema: str) -> None:
    """A worker that is stopped there would keep its chunk locked for ever; submitting a file may take its time."""
    async with opened(postgres_dsn, schema) as database:
        name = "SHOW idle_in_transaction_session_timeout"
        assert await database.rows(name) == [("4s",)]
        async with database.transaction(is_long=True) as connection:
            assert await (await connection.execute(name)).fetchall() == [("0",)]
        assert await database.rows(name) == [("4s",)]
        # The journal's transactions ask for the condition.
        batch = (await submitted(database, rows_of(1))).batch
        async with database.transaction(is_long=True) as connection:
            condition = database.sql(statements.STILL_OWNER)
            assert len(await (await connection.execute(condition, (batch, 0, 0))).fetchall()) == 1
            assert await (await connection.execute(name)).fetchall() == [("4s",)]


async def test_a_password_is_never_shown(schema: str) -> None:
    """Neither by its repr nor by the error when nobody answers, and nothing hangs."""
    database = BatchDatabase("postgresql://shop:hush-hush@127.0.0.1:9/shop", schema=schema, timeout=5)
    with pytest.raises(JournalError) as failure:
        await database.open()
    assert "hush" not in repr(database) + str(failure.value) + repr(failure.value)
    with pytest.raises(InvalidInputError) as refusal:
        BatchDatabase("postgresql://shop:hush-hush@[oops/shop", schema=schema)
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize("name", ["", "Shop", "1a", "pg_shop", "a b", 'a"b', "a" * 64])
def test_a_schema_has_a_plain_name(name: str) -> None:
    """It stands in connection options, where nothing is quoted."""
    with pytest.raises(InvalidInputError, match="schema"):
        BatchDatabase("postgresql://127.0.0.1/shop", schema=name)


async def test_a_closed_database_says_so(postgres_dsn: str, schema: str) -> None:
    """Before it is opened and after it is closed."""
    database = BatchDatabase(postgres_dsn, schema=schema)
    with pytest.raises(JournalError, match="not open"):
        await database.rows("SELECT 1")
    await database.close()


async def test_a_failing_statement_is_a_journal_error(postgres_dsn: str, schema: str) -> None:
    """Read in one go or as a stream, with the reason and without values."""
    async with opened(postgres_dsn, schema) as database:
        with pytest.raises(JournalError, match="could not be used"):
            await database.rows("SELECT nothing FROM {schema}.batches")
        with pytest.raises(JournalError, match="could not be read"):
            await asyncio.to_thread(lambda: list(database.stream("SELECT nothing FROM {schema}.batches", ())))


async def test_a_statement_that_hangs_is_given_up(postgres_dsn: str, schema: str) -> None:
    """A database that does not answer is an error like another one."""
    database = BatchDatabase(postgres_dsn, schema=schema)
    await database.open()
    database.timeout = 0.2
    with pytest.raises(JournalError, match="no answer within"):
        await database.rows("SELECT pg_sleep(30)")
    await database.close()
