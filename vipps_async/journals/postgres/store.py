"""Reads and writes the journal's tables in PostgreSQL, in groups."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

import psycopg
from attrs import define
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from vipps_async.errors import Effect, JournalError
from vipps_async.journals.entries import Entry, World
from vipps_async.journals.group_commit import Row, WriteCondition
from vipps_async.journals.postgres import sql as statements
from vipps_async.journals.postgres.database import Database
from vipps_async.journals.rows import DamagedEntryError, UnfitError, read_row, row_values, state_values
from vipps_async.journals.rules import Command, CommandResult, check_world
from vipps_async.journals.slots import Payment, Slots, is_read_for, payment_to_read

#: Entries read at a time: the most that a walk holds in memory.
PAGE = 250

#: How often a group is done over because another machine was faster, or broke the connection, before giving up.
#: The second try already sees what the other one wrote; more are only needed if that goes on and on.
_TRIES = 10

#: The most payments that are locked one by one: the server has room for at least 6,400 locks by default.
_MOST_LOCKS = 64

#: What PostgreSQL says when two transactions got in each other's way: nothing was done, so it may be done over.
_IN_THE_WAY = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)


class _BeatenError(Exception):
    """Another machine has inserted one of the new entries first."""


class _ConnectionLostError(psycopg.OperationalError):
    """The connection broke, not only a statement failed."""


_PERHAPS_WRITTEN = (
    "look after the database, and repeat the operation with the same idempotency key, never with a new one: if its "
    "intent was written all the same, recovery will carry it out"
)


@define
class _Reached:
    """How far a commit got before it failed."""

    server: bool = False


class PostgresStore(Database):
    """The journal's tables in their schema; see `Store`.

    Raises:
        InvalidInputError: see `Database`.
    """

    def __init__(self, dsn: str, *, schema: str, min_size: int, max_size: int, timeout: float) -> None:
        tables = statements.TABLES
        super().__init__(dsn, tables=tables, schema=schema, timeout=timeout, min_size=min_size, max_size=max_size)
        #: As long as what is being committed, and what waits behind it, may take, and closing the connections.
        self.close_patience: float = 2 * timeout + 10

    def abandon(self, *, wait: bool) -> None:
        """Do nothing: the connections ended with their event loop."""

    async def commit(
        self, commands: Sequence[Command], conditions: Sequence[WriteCondition | None]
    ) -> list[CommandResult | None]:
        """Do all commands in their order, in one transaction; see `Store.commit`."""
        reached = _Reached()
        try:
            async with self.translating("written"):
                # Doing a group over is harmless: nothing of it was done, or, if only the answer to the commit got lost,
                # whoever began an entry may begin it again.
                for _ in range(_TRIES):
                    try:
                        return await self._commit_once(commands, conditions, reached)
                    except (_BeatenError, *_IN_THE_WAY):
                        continue
                    except _ConnectionLostError:
                        # Only once, on a new connection: a server that is gone must not be hammered.
                        return await self._commit_once(commands, conditions, reached)
        except JournalError as error:
            # What needs a row that cannot be read has written nothing.
            if reached.server and not isinstance(error, DamagedEntryError):
                # The commit may have got through and only its answer be lost: then recovery will find the intents.
                error.effect, error.advice = Effect.POSSIBLE, _PERHAPS_WRITTEN
            raise
        except (TypeError, ValueError, OverflowError) as error:
            # Of a value that stands in one of the works: psycopg raises its own errors otherwise.
            raise UnfitError(f"this cannot be written to a journal ({type(error).__name__})") from error
        raise JournalError("other machines kept getting in the way of the journal", advice="try again")

    async def newest_position(self) -> int:
        """See `Store`."""
        return int((await self.rows(statements.NEWEST_POSITION))[0][0])

    async def open_page(self, after: int, upto: int) -> list[Row]:
        """See `Store`."""
        return [read_row(row) for row in await self.rows(statements.OPEN_PAGE, (after, upto, PAGE))]

    async def recent_page(self, before: int) -> list[Row]:
        """See `Store`."""
        return [read_row(row) for row in await self.rows(statements.RECENT_PAGE, (before, PAGE))]

    async def of_payment(self, payment: str, merchant_serial_number: str) -> list[Row]:
        """See `Store`."""
        rows = await self.rows(statements.ORDER_ENTRIES, (payment, merchant_serial_number))
        return [read_row(row) for row in rows]

    async def delete(self, positions: Sequence[int], *, also_open: bool) -> int:
        """Delete these entries, settled or also open; returns how many were."""
        async with self.transaction("written") as connection:
            return (
                await connection.execute(self.sql(statements.DELETE_ENTRIES), (list(positions), also_open))
            ).rowcount

    async def world(self) -> World | None:
        """The world that the journal is bound to."""
        rows = await self.rows(statements.WORLD)
        return World(environment=rows[0][0], host=rows[0][1], instance=rows[0][2]) if rows else None

    async def bind(self, world: World, *, anew: bool) -> None:
        """Bind the journal to a world; unless anew, only if it is bound to none yet.

        Raises:
            JournalError: it is bound to another one, or the store has failed.
        """
        statement = statements.REBIND if anew else statements.BIND
        async with self.transaction("written") as connection:
            await connection.execute(self.sql(statement), (world.environment, world.host, world.instance))
        check_world(await self.world(), world, f"the journal in the schema {self.schema}")

    async def _commit_once(
        self, commands: Sequence[Command], conditions: Sequence[WriteCondition | None], reached: _Reached
    ) -> list[CommandResult | None]:
        async with self.pool.connection() as connection:
            reached.server = True
            try:
                async with connection.transaction():
                    return await self._commit_on(connection, commands, conditions)
            except psycopg.OperationalError as error:
                if connection.closed or connection.broken:
                    raise _ConnectionLostError(*error.args) from error
                raise

    async def _commit_on(
        self,
        connection: AsyncConnection[TupleRow],
        commands: Sequence[Command],
        conditions: Sequence[WriteCondition | None],
    ) -> list[CommandResult | None]:
        (now, _) = (await (await connection.execute(statements.START_COMMIT)).fetchall())[0]
        refused = {
            condition
            for condition in set(conditions)
            if condition is not None and not await _holds(connection, condition)
        }
        allowed = [command for command, condition in zip(commands, conditions, strict=True) if condition not in refused]
        slots = await self._locked(connection, allowed)
        answers = iter([slots.answer(command, now.astimezone(UTC)) for command in allowed])
        await self._store(connection, slots)
        return [None if condition in refused else next(answers) for condition in conditions]

    async def _locked(self, connection: AsyncConnection[TupleRow], commands: Sequence[Command]) -> Slots:
        identities = {command.intent.identity for command in commands}
        payments = list({payment for command in commands if (payment := payment_to_read(command)) is not None})
        slots = Slots()
        if not identities:
            return slots
        if payments:
            await self._lock_payments(connection, payments)
        wanted = [*_columns(list(identities)), *(_columns(payments) or ([], []))]
        for row in await self.run(connection, statements.LOCK_ENTRIES, wanted):
            _, found = read_row(row)
            if isinstance(found, Entry):
                slots.add(row[0], found, found)
            elif row[1:6] in identities or is_read_for((row[5], row[4]), commands):
                raise DamagedEntryError.of(found)
        return slots

    async def _lock_payments(self, connection: AsyncConnection[TupleRow], looked_at: Sequence[Payment]) -> None:
        units, payments = _columns(looked_at)
        values = {"schema": self.schema, "units": units, "payments": payments}
        statement = statements.LOCK_PAYMENTS if len(looked_at) <= _MOST_LOCKS else statements.LOCK_ALL_PAYMENTS
        await connection.execute(statement, values)

    async def _store(self, connection: AsyncConnection[TupleRow], slots: Slots) -> None:
        changed = [slot for slot in slots if slot.entry is not slot.stored]
        if new := [slot.entry for slot in changed if slot.position is None]:
            rows = [row_values(entry) for entry in new]
            cursor = await connection.execute(self.sql(statements.INSERT_ENTRIES), _columns(rows))
            if cursor.rowcount != len(new):
                raise _BeatenError
        if old := [slot for slot in changed if slot.position is not None]:
            rows = [(slot.position, *state_values(slot.entry)) for slot in old]
            await connection.execute(self.sql(statements.UPDATE_ENTRIES), _columns(rows))


async def _holds(connection: AsyncConnection[TupleRow], condition: WriteCondition) -> bool:
    return await (await connection.execute(condition.statement, condition.values)).fetchone() is not None


def _columns(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
