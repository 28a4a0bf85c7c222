"""What lies between a worker and its database, and how that is set up: a pooler, and a `search_path` of no use."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.batch.distributed.machines import all_once, opened, rows_of, status, submitted, tasks, until, working
from tests.batch.shop import stock
from tests.support.pgbouncer import pgbouncer
from vipps_async.batch import RowOutcome
from vipps_async.batch.distributed.overview import report_of, withdraw
from vipps_async.batch.report import ReportRow
from vipps_async.testing import Sandbox


async def reported(dsn: str, schema: str, batch: int) -> list[ReportRow]:
    """The report of a batch, read as `batch report` does."""
    async with opened(dsn, schema) as database:
        return await asyncio.to_thread(lambda: list(report_of(database, batch)))


async def test_workers_behind_pgbouncer_in_session_mode(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """With its defaults: two workers share a batch, one is cut off, and the other takes its chunk over."""
    stock(sandbox, 120)
    async with pgbouncer(postgres_dsn, mode="session", size=60) as dsn:
        async with opened(dsn, schema) as database:
            batch = (await submitted(database, rows_of(120), chunk_size=20)).batch
            async with tasks(dsn, schema, sandbox) as one, working(one) as worker:
                await until(lambda: any(payment.captured for payment in sandbox.payments))
                worker.kill()
            async with tasks(dsn, schema, sandbox) as two, working(two, once=True):
                pass
            assert (await status(database, batch)).totals.outcomes == {RowOutcome.DONE: 120}
        assert {row.outcome for row in await reported(dsn, schema, batch)} == {RowOutcome.DONE}
    assert all_once(sandbox)


async def test_all_but_workers_behind_pgbouncer_in_transaction_mode(
    postgres_dsn: str, schema: str, sandbox: Sandbox
) -> None:
    """Submit, status, report and withdraw rely on no session: two connections are handed round between transactions."""
    stock(sandbox, 60)
    async with pgbouncer(postgres_dsn, mode="transaction", size=2) as dsn:
        async with opened(dsn, schema) as database:
            batch = (await submitted(database, rows_of(60), chunk_size=20)).batch
            assert not (await submitted(database, rows_of(60), chunk_size=20)).is_new
            other = (await submitted(database, "order-0,all,Rest.,s-rest\n")).batch
            assert (await withdraw(database, other)).is_ended
            async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
                pass
            assert (await status(database, batch)).totals.outcomes == {RowOutcome.DONE: 60}
        assert {row.outcome for row in await reported(dsn, schema, batch)} == {RowOutcome.DONE}
        # Nothing of it is left in a session that others are handed.
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            for name in ("search_path", "idle_in_transaction_session_timeout"):
                left = await (await connection.execute(sql.SQL("SHOW {}").format(sql.Identifier(name)))).fetchone()
                direct = await _default_of(postgres_dsn, name)
                assert left == direct
    assert all_once(sandbox)


async def _default_of(dsn: str, name: str) -> tuple[object, ...] | None:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        return await (await connection.execute(sql.SQL("SHOW {}").format(sql.Identifier(name)))).fetchone()


@pytest.fixture
def lost_dsn(postgres_dsn: str) -> Iterator[str]:
    """A database whose every new connection looks for names where there are none."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL("ALTER DATABASE {} SET search_path = nowhere").format(sql.Identifier(name)))
    yield make_conninfo(postgres_dsn, dbname=name)
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


async def test_names_are_found_whatever_the_search_path_is(lost_dsn: str, sandbox: Sandbox) -> None:
    """Submit, work, status and report bring what they need; what they make stands in their schema."""
    stock(sandbox, 40)
    schema = "somewhere"
    async with opened(lost_dsn, schema) as database:
        batch = (await submitted(database, rows_of(40), chunk_size=10)).batch
        async with tasks(lost_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        assert (await status(database, batch)).totals.outcomes == {RowOutcome.DONE: 40}
        tables = await database.rows(
            "SELECT DISTINCT schemaname FROM pg_catalog.pg_tables WHERE schemaname NOT IN ('pg_catalog', "
            "'information_schema')"
        )
        assert await _default_of(lost_dsn, "search_path") == ("nowhere",)
    assert tables == [(schema,)]
    assert {row.outcome for row in await reported(lost_dsn, schema, batch)} == {RowOutcome.DONE}
    assert all_once(sandbox)
