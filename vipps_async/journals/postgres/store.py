"""The journal's tables: created, written in groups, and read. The only module that knows psycopg; needs the extra."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC
from typing import LiteralString

import psycopg
from attrs import define
from psycopg import AsyncConnection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from vipps_async.errors import Effect, InvalidInputError, JournalError
from vipps_async.journals.group_commit import Guard, Row
from vipps_async.journals.postgres import sql as statements
from vipps_async.journals.protocol import Entry, World
from vipps_async.journals.rows import DamagedEntryError, UnfitError, read_row, row_values, state_values
from vipps_async.journals.rules import Answer, Command, check_world
from vipps_async.journals.slots import Payment, Slots, payment_to_look_at

__all__ = ["PAGE", "PostgresStore", "checked_conninfo"]

#: Entries read at a time: the most that a walk holds in memory.
PAGE = 250

#: How often a group is done over because another machine was faster, or broke the connection, before giving up.
#: The second try already sees what the other one wrote; more are only needed if that goes on and on.
_TRIES = 10

#: For how long the pool goes on trying to reconnect by itself, in seconds. Beyond that it waits for the next request,
#: which tries at once, where the pool's own pauses would have doubled into minutes.
_RECONNECT_PATIENCE = 5.0

#: The most payments that are locked one by one: the server has room for at least 6,400 locks by default.
_MOST_LOCKS = 64

#: What PostgreSQL says when two transactions got in each other's way: nothing was done, so it may be done over.
_IN_THE_WAY = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)


class _BeatenError(Exception):
    """Another machine put one of the new entries there first."""


def checked_conninfo(dsn: object, timeout: float) -> str:
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
        "application_name": "vipps_async journal",
    }
    return make_conninfo(dsn, **{name: value for name, value in defaults.items() if name not in given})


class _ConnectionLostError(psycopg.OperationalError):
    """The connection itself went, not only a statement on it."""


_PERHAPS_WRITTEN = (
    "look after the database, and repeat the operation with the same idempotency key, never with a new one: if its "
    "intent was written all the same, recovery will carry it out"
)


@define
class _Reached:
    """How far a commit got."""

    server: bool = False


class PostgresStore:
    """A pool of connections to the database that holds the journal's tables."""

    def __init__(self, conninfo: str, *, schema: str, min_size: int, max_size: int, timeout: float) -> None:
        self._conninfo = conninfo
        self._schema = schema
        self._timeout = timeout
        #: As long as what is being committed, and what waits behind it, may take, and closing the connections.
        self.close_patience = 2 * timeout + 10
        self._pool: AsyncConnectionPool[AsyncConnection[TupleRow]] = AsyncConnectionPool(
            conninfo,
            connection_class=AsyncConnection[TupleRow],
            # Nothing is prepared: a cached plan made for one row is slow for a thousand, and poolers in front of the
            # database need not keep sessions apart.
            kwargs={"prepare_threshold": None, "autocommit": False},
            min_size=min_size,
            max_size=max_size,
            timeout=timeout,
            reconnect_timeout=_RECONNECT_PATIENCE,
            # A connection that died in the pool, with the server that restarted, is found before it is used.
            check=AsyncConnectionPool.check_connection,
            name=f"vipps_async journal {schema}",
            open=False,
        )

    async def open(self) -> None:
        """Connect, and create the tables if they are missing.

        Raises:
            JournalError: it is unreachable, of another version, no UTF-8 database, or the rights are missing.
        """
        async with self._translating("opened"):
            # First without the pool, which would only say that it took too long, not why.
            connection = await AsyncConnection.connect(self._conninfo, prepare_threshold=None)
            async with connection:
                await self._create(connection)
        try:
            async with self._translating("opened"):
                await self._pool.open(wait=True, timeout=self._timeout)
        except BaseException:
            await self._pool.close()
            raise

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()

    def abandon(self, *, wait: bool) -> None:
        """Do nothing: the connections ended with their event loop."""

    async def commit(self, commands: Sequence[Command], guards: Sequence[Guard | None]) -> list[Answer | None]:
        """Do all commands in their order, in one transaction; see `Store.commit`."""
        reached = _Reached()
        try:
            async with self._translating("written"):
                # Doing a group over is harmless: nothing of it was done, or, if only the answer to the commit got lost,
                # whoever began an entry may begin it again.
                for _ in range(_TRIES):
                    try:
                        return await self._commit_once(commands, guards, reached)
                    except (_BeatenError, *_IN_THE_WAY):
                        continue
                    except _ConnectionLostError:
                        # Only once, on a new connection: a server that is gone must not be hammered.
                        return await self._commit_once(commands, guards, reached)
        except JournalError as error:
            if reached.server:
                # The commit may have got through and only its answer be lost: then recovery will find the intents.
                error.effect, error.advice = Effect.POSSIBLE, _PERHAPS_WRITTEN
            raise
        raise JournalError("other machines kept getting in the way of the journal", advice="try again")

    async def newest_position(self) -> int:
        """See `Store`."""
        return int((await self._rows(statements.NEWEST_POSITION))[0][0])

    async def open_page(self, after: int, upto: int) -> list[Row]:
        """See `Store`."""
        return [read_row(row) for row in await self._rows(statements.OPEN_PAGE, (after, upto, PAGE))]

    async def recent_page(self, before: int) -> list[Row]:
        """See `Store`."""
        return [read_row(row) for row in await self._rows(statements.RECENT_PAGE, (before, PAGE))]

    async def of_payment(self, payment: str, merchant_serial_number: str) -> list[Row]:
        """See `Store`."""
        rows = await self._rows(statements.ORDER_ENTRIES, (payment, merchant_serial_number))
        return [read_row(row) for row in rows]

    async def delete(self, positions: Sequence[int]) -> int:
        """Delete these entries unless they are open; returns how many were."""
        async with self._translating("written"), self._pool.connection() as connection:
            return (await connection.execute(self._sql(statements.DELETE_ENTRIES), (list(positions),))).rowcount

    async def world(self) -> World | None:
        """The world that the journal is bound to."""
        rows = await self._rows(statements.WORLD)
        return World(environment=rows[0][0], host=rows[0][1], instance=rows[0][2]) if rows else None

    async def bind(self, world: World, *, anew: bool) -> None:
        """Bind the journal to a world; unless anew, only if it is bound to none yet.

        Raises:
            JournalError: it is bound to another one, or the store has failed.
        """
        statement = statements.REBIND if anew else statements.BIND
        async with self._translating("written"), self._pool.connection() as connection:
            await connection.execute(self._sql(statement), (world.environment, world.host, world.instance))
        check_world(await self.world(), world, f"the journal in the schema {self._schema}")

    async def _rows(self, statement: LiteralString, values: Sequence[object] = ()) -> list[TupleRow]:
        async with self._translating("read"), self._pool.connection() as connection:
            return await (await connection.execute(self._sql(statement), values)).fetchall()

    async def _commit_once(
        self, commands: Sequence[Command], guards: Sequence[Guard | None], reached: _Reached
    ) -> list[Answer | None]:
        async with self._pool.connection() as connection:
            reached.server = True
            try:
                async with connection.transaction():
                    return await self._commit_on(connection, commands, guards)
            except psycopg.OperationalError as error:
                if connection.closed or connection.broken:
                    raise _ConnectionLostError(*error.args) from error
                raise

    async def _commit_on(
        self, connection: AsyncConnection[TupleRow], commands: Sequence[Command], guards: Sequence[Guard | None]
    ) -> list[Answer | None]:
        (now, _) = (await (await connection.execute(statements.START_COMMIT)).fetchall())[0]
        refused = {guard for guard in set(guards) if guard is not None and not await _holds(connection, guard)}
        allowed = [command for command, guard in zip(commands, guards, strict=True) if guard not in refused]
        slots = await self._locked(connection, allowed)
        answers = iter([slots.answer(command, now.astimezone(UTC)) for command in allowed])
        await self._store(connection, slots)
        return [None if guard in refused else next(answers) for guard in guards]

    async def _locked(self, connection: AsyncConnection[TupleRow], commands: Sequence[Command]) -> Slots:
        identities = {command.intent.identity for command in commands}
        payments = list({payment for command in commands if (payment := payment_to_look_at(command)) is not None})
        slots = Slots()
        if not identities:
            return slots
        columns = _columns(list(identities))
        statement = statements.LOCK_ENTRIES
        if payments:
            await self._lock_payments(connection, payments)
            columns += _columns(payments)
            statement = statements.LOCK_ENTRIES_AND_OPEN
        rows = await (await connection.execute(self._sql(statement), columns)).fetchall()
        for row in rows:
            _, found = read_row(row)
            if isinstance(found, Entry):
                slots.add(row[0], found, found)
            elif row[1:6] in identities:
                # Any other one was only looked at: it keeps no new wish from being carried out.
                raise DamagedEntryError.of(found)
        return slots

    async def _lock_payments(self, connection: AsyncConnection[TupleRow], looked_at: Sequence[Payment]) -> None:
        units, payments = _columns(looked_at)
        values = {"schema": self._schema, "units": units, "payments": payments}
        statement = statements.LOCK_PAYMENTS if len(looked_at) <= _MOST_LOCKS else statements.LOCK_ALL_PAYMENTS
        await connection.execute(statement, values)

    async def _store(self, connection: AsyncConnection[TupleRow], slots: Slots) -> None:
        changed = [slot for slot in slots if slot.entry is not slot.stored]
        if new := [slot.entry for slot in changed if slot.position is None]:
            rows = [row_values(entry) for entry in new]
            cursor = await connection.execute(self._sql(statements.INSERT_ENTRIES), _columns(rows))
            if cursor.rowcount != len(new):
                raise _BeatenError
        if old := [slot for slot in changed if slot.position is not None]:
            rows = [(slot.position, *state_values(slot.entry)) for slot in old]
            await connection.execute(self._sql(statements.UPDATE_ENTRIES), _columns(rows))

    async def _create(self, connection: AsyncConnection[TupleRow]) -> None:
        await connection.execute(statements.LOCK_CREATION, (self._schema,))
        state = await connection.execute(statements.SCHEMA_STATE, {"name": self._schema})
        has_schema, has_version, encoding = (await state.fetchall())[0]
        if encoding != "UTF8":
            raise JournalError(
                f"the database's encoding is {encoding}: a journal needs one that can hold every text",
                advice="use a database made with ENCODING 'UTF8'",
            )
        if not has_schema:
            await connection.execute(self._sql(statements.CREATE_SCHEMA))
        if not has_version:
            for statement in statements.CREATE_TABLES:
                await connection.execute(self._sql(statement))
            await connection.execute(self._sql(statements.WRITE_VERSION), (statements.SCHEMA_VERSION,))
            return
        version = int((await (await connection.execute(self._sql(statements.READ_VERSION))).fetchall())[0][0])
        if version != statements.SCHEMA_VERSION:
            is_newer = version > statements.SCHEMA_VERSION
            raise JournalError(
                f"the journal in the schema {self._schema} was written by {'a newer' if is_newer else 'an older'} "
                f"version of this package (schema version {version}; this one knows {statements.SCHEMA_VERSION}); "
                "it was left as it is",
                advice="upgrade vipps-async, or use another schema"
                if is_newer
                else "settle what is open in it with the version that wrote it, and start with another schema",
            )

    def _sql(self, statement: LiteralString) -> sql.Composed:
        return sql.SQL(statement).format(schema=sql.Identifier(self._schema))

    @contextlib.asynccontextmanager
    async def _translating(self, doing: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except TimeoutError as error:
            text = f"the journal's database could not be {doing}: no answer within {self._timeout:g} s"
            raise JournalError(text, advice="look after the database and the way to it") from error
        except psycopg.Error as error:
            text = f"the journal's database could not be {doing}: {_reason(error)}"
            if _is_about_a_value(error):
                raise UnfitError(text) from error
            raise JournalError(text, advice="look after the database and the way to it") from error
        except (TypeError, ValueError, OverflowError) as error:
            # Of a value that stands in one of the works: psycopg raises its own errors otherwise.
            raise UnfitError(f"this cannot be written to a journal ({type(error).__name__})") from error


async def _holds(connection: AsyncConnection[TupleRow], guard: Guard) -> bool:
    return await (await connection.execute(guard.statement, guard.values)).fetchone() is not None


def _is_about_a_value(error: psycopg.Error) -> bool:
    # Or that psycopg cannot hand it over: then no server has said so.
    unknown = isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None
    return unknown or isinstance(error, psycopg.DataError | psycopg.IntegrityError)


def _reason(error: psycopg.Error) -> str:
    # Not the whole text: its further lines may show the values of a row.
    lines = (error.diag.message_primary or str(error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _columns(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
