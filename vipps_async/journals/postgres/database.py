"""Connections to a PostgreSQL schema, creation and version of its tables, and the mapping of its failures.

The journal and the batches of many machines both use it. Needs the extra ``postgres``.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections.abc import AsyncIterator, Sequence
from typing import LiteralString

import psycopg
from attrs import frozen
from psycopg import AsyncConnection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from vipps_async.errors import InvalidInputError, JournalError
from vipps_async.journals.group_commit import is_count
from vipps_async.journals.rows import UnfitError

DEFAULT_SCHEMA = "vipps_async"

#: A name that needs no thought wherever a person types it; PostgreSQL cuts names at 63 bytes.
_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

#: For how long the pool goes on trying to reconnect by itself, in seconds. Beyond that it waits for the next request,
#: which tries at once, where the pool's own pauses would have doubled into minutes.
_RECONNECT_PATIENCE = 5.0

#: Held until the transaction ends, so that of several machines that start at once one creates.
_LOCK_CREATION: LiteralString = "SELECT pg_advisory_xact_lock(hashtextextended('vipps_async journal ' || %s, 0))"
#: Whether the schema and the version table are there, asked first, because creating needs rights that using does not;
#: and the database's encoding.
_STATE: LiteralString = (
    "SELECT to_regnamespace(quote_ident(%(schema)s)) IS NOT NULL, "
    "to_regclass(quote_ident(%(schema)s) || '.' || %(version)s) IS NOT NULL, current_setting('server_encoding')"
)

_ADVICE = "look after the database and the way to it"


@frozen(kw_only=True)
class Tables:
    """The tables of one kind, in the one version that this package reads and writes."""

    #: What they hold, in errors and names: ``"journal"``.
    kind: str
    #: The table that holds their version.
    version_table: str
    #: A new number for each change of `statements`.
    version: int
    #: Creates them; ``{schema}`` is filled in as a quoted identifier.
    statements: Sequence[LiteralString]


class Database:
    """A pool of connections to the database that holds one schema.

    Args:
        dsn: the connection string or URL; never shown anywhere: it may hold a password.
        tables: the tables of the schema.
        schema: its name.
        timeout: how long one transaction may take, waiting for a connection included, in seconds.
        min_size: connections that are kept open.
        max_size: the most connections.

    Raises:
        InvalidInputError: `dsn` cannot be read, `schema` is no plain name, or a number is not positive.
    """

    def __init__(
        self, dsn: str, *, tables: Tables, schema: str, timeout: float, min_size: int = 1, max_size: int = 4
    ) -> None:
        if not _SCHEMA_NAME.fullmatch(schema) or schema.startswith("pg_"):
            raise InvalidInputError("schema", "1 to 63 of a-z, 0-9 and _, not beginning with a digit", value=schema)
        if not is_count(min_size):
            raise InvalidInputError("min_size", "a positive whole number", value=min_size)
        if not is_count(max_size) or max_size < min_size:
            raise InvalidInputError("max_size", "a whole number, at least min_size", value=max_size)
        if not math.isfinite(timeout) or timeout <= 0:
            raise InvalidInputError("timeout", "a positive number of seconds", value=timeout)
        self.conninfo: str = _checked_conninfo(dsn, timeout, f"vipps_async {tables.kind}")
        self.schema = schema
        self.timeout = timeout
        self._tables = tables
        self._sizes = min_size, max_size
        self._pool: AsyncConnectionPool[AsyncConnection[TupleRow]] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, schema {self.schema}>"

    async def open(self) -> None:
        """Connect, and create the tables if they are missing; any number of machines may do so at once.

        Raises:
            JournalError: it is unreachable, of another version, no UTF-8 database, or the rights are missing.
        """
        async with self.translating("opened"):
            # First without the pool, which would only say that it took too long, not why.
            connection = await AsyncConnection.connect(self.conninfo, prepare_threshold=None)
            async with connection:
                await self.prepare(connection)
        pool: AsyncConnectionPool[AsyncConnection[TupleRow]] = AsyncConnectionPool(
            self.conninfo,
            connection_class=AsyncConnection[TupleRow],
            # Nothing is prepared: a cached plan made for one row is slow for a thousand, and poolers in front of the
            # database need not keep sessions apart.
            kwargs={"prepare_threshold": None, "autocommit": False},
            min_size=self._sizes[0],
            max_size=self._sizes[1],
            timeout=self.timeout,
            reconnect_timeout=_RECONNECT_PATIENCE,
            # A connection that died in the pool, with the server that restarted, is found before it is used.
            check=AsyncConnectionPool.check_connection,
            name=f"vipps_async {self._tables.kind} {self.schema}",
            open=False,
        )
        try:
            async with self.translating("opened"):
                await pool.open(wait=True, timeout=self.timeout)
        except BaseException:
            await pool.close()
            raise
        self._pool = pool

    async def exists(self) -> bool:
        """Return whether the tables exist, whether or not it is open; changes nothing.

        Raises:
            JournalError: it is unreachable, of another version, or no UTF-8 database.
        """
        async with self.translating("opened"):
            connection = await AsyncConnection.connect(self.conninfo, prepare_threshold=None)
            async with connection:
                _, has_tables = await self.find(connection)
        return has_tables

    async def close(self) -> None:
        """Close all connections. Safe to call twice."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    # --- statements ------------------------------------------------------------------------------------------------

    @property
    def pool(self) -> AsyncConnectionPool[AsyncConnection[TupleRow]]:
        """The connections.

        Raises:
            JournalError: it is not open.
        """
        if self._pool is None:
            raise JournalError(f"the {self._tables.kind}'s database is not open")
        return self._pool

    @contextlib.asynccontextmanager
    async def transaction(
        self, doing: str = "used", *, is_long: bool = False
    ) -> AsyncIterator[AsyncConnection[TupleRow]]:
        """Give a connection in a transaction, which is committed at the end.

        Args:
            doing: what is done with the database, for errors.
            is_long: whether it may take any time.

        Raises:
            JournalError: the database failed or is not open; nothing may be taken for written.
        """
        async with self.translating(doing, is_long=is_long), self.pool.connection() as connection:
            yield connection

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
        """Run one statement on a connection and return its rows."""
        cursor = await connection.execute(self.sql(statement), values or None)
        return [] if cursor.description is None else await cursor.fetchall()

    def sql(self, statement: LiteralString) -> sql.Composed:
        """Fill in the names of the schema and of its version table."""
        names = {"schema": self.schema, "version": self._tables.version_table}
        return sql.SQL(statement).format(**{name: sql.Identifier(value) for name, value in names.items()})

    @contextlib.asynccontextmanager
    async def translating(self, doing: str, *, is_long: bool = False) -> AsyncIterator[None]:
        """Turn exceptions, and exceeding the time-out, into a `JournalError`."""
        try:
            async with asyncio.timeout(None if is_long else self.timeout):
                yield
        except TimeoutError as error:
            text = f"the {self._tables.kind}'s database could not be {doing}: no answer within {self.timeout:g} s"
            raise JournalError(text, advice=_ADVICE) from error
        except psycopg.Error as error:
            raise map_exception(error, self._tables.kind, doing) from error

    # --- tables ----------------------------------------------------------------------------------------------------

    async def prepare(self, connection: AsyncConnection[TupleRow]) -> None:
        """Make the tables ready, when it is opened."""
        await self.create(connection)

    async def create(self, connection: AsyncConnection[TupleRow]) -> None:
        """Create schema and tables if they are missing.

        Raises:
            JournalError: as for `has_tables`.
        """
        await connection.execute(_LOCK_CREATION, (self.schema,))
        has_schema, has_tables = await self.find(connection)
        if not has_schema:
            await self.run(connection, "CREATE SCHEMA {schema}")
        if not has_tables:
            for statement in self._tables.statements:
                await self.run(connection, statement)
            await self.run(connection, "CREATE TABLE {schema}.{version} (version integer NOT NULL)")
            await self.run(connection, "INSERT INTO {schema}.{version} (version) VALUES (%s)", (self._tables.version,))

    async def find(self, connection: AsyncConnection[TupleRow]) -> tuple[bool, bool]:
        """Return whether schema and tables exist; changes nothing.

        Raises:
            JournalError: the tables are of another version, or the database's encoding cannot hold every text.
        """
        values = {"schema": self.schema, "version": self._tables.version_table}
        ((has_schema, has_tables, encoding),) = await (await connection.execute(_STATE, values)).fetchall()
        if encoding != "UTF8":
            raise JournalError(
                f"the database's encoding is {encoding}: a {self._tables.kind} needs one that can hold every text",
                advice="use a database made with ENCODING 'UTF8'",
            )
        if has_tables:
            ((version,),) = await self.run(connection, "SELECT coalesce(max(version), 0) FROM {schema}.{version}")
            self._check_version(version)
        return has_schema, has_tables

    def _check_version(self, found: int) -> None:
        known = self._tables.version
        if found == known:
            return
        raise JournalError(
            f"the {self._tables.kind}'s tables in the schema {self.schema} were made by "
            f"{'a newer' if found > known else 'an older'} version of this package (schema version {found}; this one "
            f"knows {known}); they were left as they are",
            advice=("upgrade vipps-async" if found > known else "finish what is open with the version that made them")
            + "; another schema knows none of the keys that are settled in this one, and a call with one of them would "
            "be sent anew: the page on the journal tells what is safe",
        )


def map_exception(error: psycopg.Error, kind: str, doing: str) -> JournalError:
    """Map an exception of PostgreSQL to a `JournalError`; to `UnfitError` where it is about a value."""
    # Not the whole text: its further lines may show the values of a row.
    lines = (error.diag.message_primary or str(error)).strip().splitlines()
    text = f"the {kind}'s database could not be {doing}: {lines[0] if lines else type(error).__name__}"
    # Or psycopg cannot hand a value over: then no server has said so.
    is_unknown = isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None
    if is_unknown or isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        return UnfitError(text)
    return JournalError(text, advice=_ADVICE)


def _checked_conninfo(dsn: object, timeout: float, name: str) -> str:
    """Check a DSN and add what lets a dead line be noticed, unless the DSN says otherwise.

    Raises:
        InvalidInputError: it is no DSN. Its text is left out: it may hold a password.
    """
    if not isinstance(dsn, str):
        raise InvalidInputError("dsn", "a PostgreSQL connection string or URL", secret=True)
    try:
        given = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # Not chained: the cause would show parts of the DSN.
        raise InvalidInputError("dsn", "a PostgreSQL connection string or URL", secret=True) from None
    defaults: dict[str, str] = {
        "connect_timeout": str(max(2, round(timeout))),
        "tcp_user_timeout": str(round(timeout * 1000)),
        "keepalives_idle": str(max(1, round(timeout))),
        "application_name": name,
    }
    return make_conninfo(dsn, **{name: value for name, value in defaults.items() if name not in given})
