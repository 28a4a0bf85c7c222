"""The database of distributed batches: its tables, and Procrastinate's beside them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from procrastinate.schema import SchemaManager
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from vipps_async.batch.distributed import sql as statements
from vipps_async.errors import ConfigurationError, JournalError
from vipps_async.journals.postgres.database import DEFAULT_SCHEMA, Database, map_exception


class BatchDatabase(Database):
    """The database that holds batches, their journal and their jobs.

    Args:
        dsn: where it is; never shown anywhere: it may hold a password.
        schema: the PostgreSQL schema of the tables, the journal's included.
        own_jobs: whether Procrastinate's tables are in that schema, too, and made and migrated here. If not, they are
            an application's own, where its connections find them.
        only_read: makes and changes nothing when it is opened, for whoever has no rights to.
        timeout: how long one transaction may take, waiting for a connection included, in seconds.

    Raises:
        InvalidInputError: `dsn` cannot be read, or `schema` is no plain name.
    """

    # No setting goes along when a connection is made: a pooler may refuse that, and may hand each transaction to
    # another session.

    def __init__(
        self,
        dsn: str,
        *,
        schema: str = DEFAULT_SCHEMA,
        own_jobs: bool = True,
        only_read: bool = False,
        timeout: float = 10.0,
    ) -> None:
        super().__init__(dsn, tables=statements.TABLES, schema=schema, timeout=timeout)
        self._only_read = only_read
        #: Where Procrastinate's tables are found; None: where the connection looks by itself.
        self._search_path = schema if own_jobs else None

    @contextlib.asynccontextmanager
    async def transaction(
        self, doing: str = "used", *, is_long: bool = False
    ) -> AsyncIterator[AsyncConnection[TupleRow]]:
        """Give a connection in a transaction with what ours need; see `Database.transaction`."""
        async with super().transaction(doing, is_long=is_long) as connection:
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
            raise map_exception(error, "batch", "read") from error

    # --- tables ----------------------------------------------------------------------------------------------------

    async def prepare(self, connection: AsyncConnection[TupleRow]) -> None:
        """Create the tables, and create or migrate Procrastinate's; or look whether they are there.

        Raises:
            JournalError: they are of another version; they were left as they are.
            ConfigurationError: Procrastinate's tables are the application's, and are not there; or only reading was
                asked for, and there are no batches.
        """
        await self._set_up(connection)
        if not self._only_read:
            await self.create(connection)
            await self._create_jobs(connection)
        elif not (await self.find(connection))[1]:
            text = f"there are no batches in the schema {self.schema}"
            raise ConfigurationError(text, advice="see which --schema and database `batch submit` was given")

    async def _create_jobs(self, connection: AsyncConnection[TupleRow]) -> None:
        ((exist,),) = await self.run(connection, statements.HAS_JOBS)
        if self._search_path is None:
            if not exist:
                raise ConfigurationError(
                    "Procrastinate's tables are not where the connection looks for them",
                    advice="apply Procrastinate's schema first, or name its schema in the DSN's search_path",
                )
            return
        migrations = await asyncio.to_thread(_job_migrations)
        newest = max(migrations)
        if not exist:
            # Without values it is sent as it is, all statements at once.
            await connection.execute(SchemaManager.get_schema())
        else:
            ((version,),) = await self.run(connection, statements.READ_JOBS_VERSION)
            if version > newest:
                raise JournalError(
                    f"the schema {self.schema} was made by a newer version of Procrastinate ({version}; this one knows "
                    f"{newest}); it was left as it is",
                    advice="upgrade, or use another schema",
                )
            for name in sorted(migrations):
                if name > version:
                    await connection.execute(migrations[name])
        await self.run(connection, statements.WRITE_JOBS_VERSION, (newest,))


def _job_migrations() -> dict[str, bytes]:
    """Read Procrastinate's migrations, by their names, which begin with its versions."""
    return {path.name: path.read_bytes() for path in Path(SchemaManager.get_migrations_path()).glob("*.sql")}
