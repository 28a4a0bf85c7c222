"""The database of distributed batches: its connections, its tables, and Procrastinate's beside them."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from procrastinate.schema import SchemaManager
from psycopg import AsyncConnection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from vipps_async.batch.distributed import sql as statements
from vipps_async.errors import ConfigurationError, InvalidInputError, JournalError
from vipps_async.journals.postgres.sql import CREATE_SCHEMA, LOCK_CREATION, SCHEMA_STATE
from vipps_async.journals.postgres.store import checked_conninfo

__all__ = ["DEFAULT_SCHEMA", "BatchDatabase"]

#: The PostgreSQL schema of the journal, too.
DEFAULT_SCHEMA = "vipps_async"

#: As for the journal: a name that needs no thought wherever a person types it.
_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

#: Connections: results, the watch over chunks, turns of the rate. One is kept open.
_LEAST, _MOST = 1, 4

#: For how long the pool goes on trying to reconnect by itself, in seconds; see the journal's.
_RECONNECT_PATIENCE = 5.0


class BatchDatabase:
    """A pool of connections to the database that holds batches, their journal and their jobs.

    Args:
        dsn: where it is; never shown anywhere: it may hold a password.
        schema: the PostgreSQL schema of the tables, the journal's included.
        own_jobs: whether Procrastinate's tables are in that schema, too, and made and migrated here. If not, they are
            an application's own, where its connections find them.
        timeout: how long one transaction may take, waiting for a connection included, in seconds.

    Raises:
        InvalidInputError: `dsn` cannot be read, or `schema` is no plain name.
    """

    def __init__(self, dsn: str, *, schema: str = DEFAULT_SCHEMA, own_jobs: bool = True, timeout: float = 10.0) -> None:
        if not _SCHEMA_NAME.fullmatch(schema) or schema.startswith("pg_"):
            raise InvalidInputError("schema", "1 to 63 of a-z, 0-9 and _, not beginning with a digit", value=schema)
        given = conninfo_to_dict(checked_conninfo(dsn, timeout))
        name = given["application_name"] if "application_name" in conninfo_to_dict(dsn) else "vipps_async batch"
        # No setting goes along when a connection is made: a pooler may refuse that, and may hand each transaction to
        # another session.
        self.conninfo = make_conninfo(checked_conninfo(dsn, timeout), application_name=name)
        self.schema = schema
        self.own_jobs = own_jobs
        self.timeout = timeout
        self._pool: AsyncConnectionPool[AsyncConnection[TupleRow]] | None = None

    def __repr__(self) -> str:
        return f"<BatchDatabase, schema {self.schema}>"

    async def open(self, *, only_read: bool = False) -> None:
        """Connect, and create or migrate the tables; any number of machines may do so at once.

        Args:
            only_read: makes and changes nothing, for whoever has no rights to.

        Raises:
            JournalError: it is unreachable, of a newer version, or the rights are missing.
            ConfigurationError: Procrastinate's tables are the application's, and are not there; or only reading was
                asked for, and there are no batches.
        """
        async with self._translating("opened", self.timeout):
            connection = await AsyncConnection.connect(self.conninfo, prepare_threshold=None)
            async with connection:
                await self._set_up(connection)
                await (self._look(connection) if only_read else self._migrate(connection))
        pool: AsyncConnectionPool[AsyncConnection[TupleRow]] = AsyncConnectionPool(
            self.conninfo,
            connection_class=AsyncConnection[TupleRow],
            kwargs={"prepare_threshold": None, "autocommit": False},
            min_size=_LEAST,
            max_size=_MOST,
            timeout=self.timeout,
            reconnect_timeout=_RECONNECT_PATIENCE,
            check=AsyncConnectionPool.check_connection,
            name=f"vipps_async batches {self.schema}",
            open=False,
        )
        try:
            async with self._translating("opened", self.timeout):
                await pool.open(wait=True, timeout=self.timeout)
        except BaseException:
            await pool.close()
            raise
        self._pool = pool

    async def aclose(self) -> None:
        """Close all connections. Safe to call twice."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    @contextlib.asynccontextmanager
    async def transaction(self, *, is_long: bool = False) -> AsyncIterator[AsyncConnection[TupleRow]]:
        """Give a connection in a transaction, which is committed at the end.

        Args:
            is_long: whether it may take any time.

        Raises:
            JournalError: the database failed or is not open; nothing may be taken for written.
        """
        if self._pool is None:
            raise JournalError("the batch's database is not open")
        timeout = None if is_long else self.timeout
        async with self._translating("used", timeout), self._pool.connection() as connection:
            await self._set_up(connection, is_long=is_long)
            yield connection

    async def _set_up(self, connection: AsyncConnection[TupleRow], *, is_long: bool = False) -> None:
        """Set what a transaction of ours needs, for that transaction alone."""
        idle = "0" if is_long else statements.LONGEST_IDLE
        await connection.execute(statements.SET_FOR_TRANSACTION, {"idle": idle, "path": self._search_path})

    async def set_up_session(self, connection: AsyncConnection[Any]) -> None:
        """Set what Procrastinate's own connections need, for the whole session: its names are not qualified."""
        values = {"idle": statements.LONGEST_IDLE, "path": self._search_path}
        await connection.execute(statements.SET_FOR_SESSION, values)
        await connection.commit()

    @property
    def _search_path(self) -> str | None:
        """Where Procrastinate's tables are found; None: where the connection looks by itself."""
        return self.schema if self.own_jobs else None

    async def rows(self, statement: LiteralString, values: Sequence[object] = ()) -> list[TupleRow]:
        """Run one statement in a transaction of its own and return its rows.

        Raises:
            JournalError: as for `transaction`.
        """
        async with self.transaction() as connection:
            return await self.run(connection, statement, values)

    async def run(
        self, connection: AsyncConnection[TupleRow], statement: LiteralString, values: Sequence[object] = ()
    ) -> list[TupleRow]:
        """Run one statement on a connection that `transaction` gave, and return its rows."""
        cursor = await connection.execute(self.sql(statement), values or None)
        return [] if cursor.description is None else await cursor.fetchall()

    def stream(self, statement: LiteralString, values: Sequence[object]) -> Iterator[TupleRow]:
        """Go through the rows of a query in constant memory. Blocking: for a thread, on a connection of its own.

        Raises:
            JournalError: the database failed.
        """
        try:
            with (
                psycopg.connect(self.conninfo) as connection,
                connection.cursor(name="vipps_async_stream") as cursor,
            ):
                cursor.itersize = 1000
                cursor.execute(self.sql(statement), values)
                yield from cursor
        except psycopg.Error as error:
            raise _error("read", error) from error

    def sql(self, statement: LiteralString) -> sql.Composed:
        """Fill the schema in."""
        return sql.SQL(statement).format(schema=sql.Identifier(self.schema))

    # --- tables ----------------------------------------------------------------------------------------------------

    async def _look(self, connection: AsyncConnection[TupleRow]) -> None:
        ((has_version, _),) = await (await connection.execute(statements.STATE, {"name": self.schema})).fetchall()
        if not has_version:
            text = f"there are no batches in the schema {self.schema}"
            raise ConfigurationError(text, advice="see which --schema and database `batch submit` was given")
        found = await self.run(connection, statements.READ_VERSION)
        newest = len(statements.MIGRATIONS)
        if found and found[0][0] > newest:
            raise self._too_new("this package", found[0][0], newest)

    async def _migrate(self, connection: AsyncConnection[TupleRow]) -> None:
        # The journal's own lock: it may be creating the same schema at this moment.
        await connection.execute(LOCK_CREATION, (self.schema,))
        has_schema, *_ = (await (await connection.execute(SCHEMA_STATE, {"name": self.schema})).fetchall())[0]
        if not has_schema:
            await self.run(connection, CREATE_SCHEMA)
        has_version, has_jobs = (await (await connection.execute(statements.STATE, {"name": self.schema})).fetchall())[
            0
        ]
        version, jobs_version = 0, ""
        if not has_version:
            await self.run(connection, statements.CREATE_VERSION)
        elif found := await self.run(connection, statements.READ_VERSION):
            version, jobs_version = found[0]
        newest = len(statements.MIGRATIONS)
        if version > newest:
            raise self._too_new("this package", version, newest)
        for migration in statements.MIGRATIONS[version:]:
            for statement in migration:
                await self.run(connection, statement)
        if self.own_jobs:
            jobs_version = await self._migrate_jobs(connection, jobs_version, exist=has_jobs)
        elif not has_jobs:
            raise ConfigurationError(
                "Procrastinate's tables are not where the connection looks for them",
                advice="apply Procrastinate's schema first, or name its schema in the DSN's search_path",
            )
        await self.run(connection, statements.WRITE_VERSION, (newest, jobs_version))

    async def _migrate_jobs(self, connection: AsyncConnection[TupleRow], version: str, *, exist: bool) -> str:
        """Create or migrate Procrastinate's tables; returns the name of its newest migration."""
        migrations = await asyncio.to_thread(_job_migrations)
        newest = max(migrations)
        if not exist:
            # Without values it is sent as it is, all statements at once.
            await connection.execute(SchemaManager.get_schema())
            return newest
        if version > newest:
            raise self._too_new("Procrastinate", version, newest)
        for name in sorted(migrations):
            if name > version:
                await connection.execute(migrations[name])
        return newest

    def _too_new(self, of_what: str, found: object, known: object) -> JournalError:
        text = f"the schema {self.schema} was made by a newer version of {of_what} ({found}; this one knows {known})"
        return JournalError(f"{text}; it was left as it is", advice="upgrade, or use another schema")

    @contextlib.asynccontextmanager
    async def _translating(self, doing: str, timeout: float | None) -> AsyncIterator[None]:  # noqa: ASYNC109 - of a block
        try:
            async with asyncio.timeout(timeout):
                yield
        except TimeoutError as error:
            text = f"the batch's database could not be {doing}: no answer within {self.timeout:g} s"
            raise JournalError(text, advice="look after the database and the way to it") from error
        except psycopg.Error as error:
            raise _error(doing, error) from error


def _job_migrations() -> dict[str, bytes]:
    """Read Procrastinate's migrations, by their names, which begin with its versions."""
    return {path.name: path.read_bytes() for path in Path(SchemaManager.get_migrations_path()).glob("*.sql")}


def _error(doing: str, error: psycopg.Error) -> JournalError:
    # Its first line only: further ones may show the values of a row.
    lines = (error.diag.message_primary or str(error)).strip().splitlines()
    text = f"the batch's database could not be {doing}: {lines[0] if lines else type(error).__name__}"
    return JournalError(text, advice="look after the database and the way to it")
