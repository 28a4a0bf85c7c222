"""The journal in PostgreSQL: what tasks call, and how that reaches the task that writes."""

from __future__ import annotations

import asyncio
import math
import os
import re
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from attrs import frozen

from vipps_async.errors import ConfigurationError, Effect, InvalidInputError, JournalError
from vipps_async.journals.backlog import Backlog, is_count
from vipps_async.journals.postgres.guard import Guard
from vipps_async.journals.postgres.writer import Job, Writer
from vipps_async.journals.protocol import Attempts, DamagedEntry, Entry, Intent, Settlement, Standing, World
from vipps_async.journals.rules import (
    Attempt,
    Begin,
    Claim,
    Release,
    Settle,
    Work,
    checked_hold,
    clean_note,
    standing_of,
)
from vipps_async.journals.upkeep import Upkeep

if TYPE_CHECKING:
    from vipps_async.journals.postgres.store import PostgresStore

__all__ = ["PostgresJournal"]

#: How many outcomes may wait to be written: some tenths of a second of work, and some MB.
_LARGEST_BACKLOG = 10_000

#: A name that needs no thought wherever a person types it; PostgreSQL cuts names at 63 bytes.
_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@frozen(kw_only=True, eq=False)
class _Run:
    """What there is of a journal from one opening to the next closing."""

    store: PostgresStore
    writer: Writer
    backlog: Backlog
    loop: asyncio.AbstractEventLoop
    process: int
    task: asyncio.Task[int]


class PostgresJournal(Upkeep):
    """A `Journal` in PostgreSQL, for work that several processes or machines share.

    Intents of different workers for the same key meet in the database, and only one goes on. Leases are measured by
    the database's clock, so the machines' own clocks do not matter. All that tasks ask for at the same time is
    committed together. After the connection was lost it recovers by itself; until then each begin is refused.

    Needs the extra ``postgres`` (psycopg 3 with its pool). On Windows psycopg wants a selector event loop. The object
    may be made anywhere, and is used from one event loop at a time.

    Args:
        dsn: where the database is, as a connection string or URL. Never shown anywhere: it may hold a password.
        schema: the PostgreSQL schema that holds the journal's tables; made if it is not there.
        min_size: connections that are kept open.
        max_size: the most connections; one writes, the others serve walks and look-ups.
        timeout: how long one commit or read may take, waiting for a connection included, in seconds.
        max_queued_outcomes: how many outcomes may wait to be written before `settle` and `release` wait.
        guard: asked at each write what must hold for it, if anything; see `Guard`. A write that it keeps out raises
            JournalError, and an outcome that was queued is dropped. By default nothing must.

    Raises:
        ConfigurationError: the extra is not installed.
        InvalidInputError: `dsn` cannot be read, `schema` is no plain name, or a number is not positive.
    """

    def __init__(
        self,
        dsn: str,
        *,
        schema: str = "vipps_async",
        min_size: int = 1,
        max_size: int = 4,
        timeout: float = 10.0,
        max_queued_outcomes: int = _LARGEST_BACKLOG,
        guard: Callable[[], Guard | None] = lambda: None,
    ) -> None:
        try:
            from vipps_async.journals.postgres import store  # noqa: PLC0415 - the extra is needed only here
        except ImportError as error:
            raise ConfigurationError(
                f"PostgresJournal needs psycopg and psycopg_pool ({error})",
                advice="pip install 'vipps-async[postgres]'",
            ) from error
        if not _SCHEMA_NAME.fullmatch(schema) or schema.startswith("pg_"):
            raise InvalidInputError("schema", "1 to 63 of a-z, 0-9 and _, not beginning with a digit", value=schema)
        for name, count in {"min_size": min_size, "max_queued_outcomes": max_queued_outcomes}.items():
            if not is_count(count):
                raise InvalidInputError(name, "a positive whole number", value=count)
        if not is_count(max_size) or max_size < min_size:
            raise InvalidInputError("max_size", "a whole number, at least min_size", value=max_size)
        if not math.isfinite(timeout) or timeout <= 0:
            raise InvalidInputError("timeout", "a positive number of seconds", value=timeout)
        self._conninfo = store.checked_conninfo(dsn, timeout)
        self._store_class = store.PostgresStore
        self._schema = schema
        self._min_size = min_size
        self._max_size = max_size
        self._timeout = timeout
        self._max_queued_outcomes = max_queued_outcomes
        self._guard = guard
        #: See Journal.
        self.on_overruled: list[Callable[[Entry], None]] = []
        self._run: _Run | None = None
        #: What this process inherited by a fork: its connections are the parent's, and must not be touched here.
        self._inherited: list[_Run] = []
        #: How many have opened it and not closed it.
        self._users = 0
        self._is_closing = False
        self._turnstile = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<PostgresJournal, schema {self._schema}>"

    @property
    def is_open(self) -> bool:
        """See Journal."""
        run = self._run
        return run is not None and run.process == os.getpid() and not run.task.done() and not self._is_closing

    async def open(self) -> None:
        """Connect, and create the tables if they are missing.

        Of several that open it, the last one to close it closes the connections.

        Raises:
            JournalError: the database is unreachable or refuses, its journal is of another version, or its encoding is
                not UTF-8.
        """
        if self._run is not None and self._run.process != os.getpid():
            self._inherited.append(self._run)
            self._run = None
            self._turnstile = asyncio.Lock()
        async with self._turnstile:
            run = self._run
            if run is not None and run.loop.is_closed():
                # Opened in a loop that ended without closing it: its connections ended with it.
                run = None
            if run is not None and self._is_closing:
                # A closing that was cancelled: it is finished first.
                await self._close(run)
                run = None
            if run is not None:
                self._check_loop(run)
                self._users += 1
                return
            store = self._store_class(
                self._conninfo,
                schema=self._schema,
                min_size=self._min_size,
                max_size=self._max_size,
                timeout=self._timeout,
            )
            store.on_overruled = self.on_overruled
            await store.open()
            backlog = Backlog(self._max_queued_outcomes)
            writer = Writer(store, backlog)
            task = asyncio.create_task(writer.run(), name=f"vipps journal {self._schema}")
            loop = asyncio.get_running_loop()
            self._is_closing = False
            self._users = 1
            self._run = _Run(store=store, writer=writer, backlog=backlog, loop=loop, process=os.getpid(), task=task)

    async def bind(self, world: World) -> None:
        """Hold the journal to its world; see `Journal.bind`."""
        await self._open_run().store.bind(world, anew=False)

    async def rebind(self, world: World) -> None:
        """Bind it to another world; see `Journal.rebind`."""
        await self._open_run().store.bind(world, anew=True)

    async def world(self) -> World | None:
        """Return the world that it is bound to; see `Journal.world`."""
        return await self._open_run().store.world()

    async def begin(self, intent: Intent, *, owner: str, lease: float, adopt: bool = False) -> tuple[Standing, Entry]:
        """Make the intent durable and take it in hand; see `Journal.begin`."""
        work = Begin(intent, owner, checked_hold(owner, lease), adopt)
        return standing_of((await self._commit((work,)))[0], intent)

    async def attempt(self, intent: Intent, *, owner: str, at: datetime) -> Standing:
        """Count one more attempt; see `Journal.attempt`."""
        return standing_of((await self._commit((Attempt(intent, owner, at),)))[0], intent)[0]

    async def prepare(self, intents: Sequence[Intent], *, owner: str, lease: float) -> list[tuple[Standing, Entry]]:
        """Do what `begin` does for a whole chunk of intents in one commit; see `Journal.prepare`."""
        hold = checked_hold(owner, lease)
        works = tuple(Begin(intent, owner, hold) for intent in intents)
        answers = await self._commit(works)
        return [standing_of(answer, work.intent) for work, answer in zip(works, answers, strict=True)]

    async def settle(self, intent: Intent, settlement: Settlement, *, owner: str | None = None) -> None:
        """Note the outcome; see `Journal.settle`."""
        await self._queue(Settle(intent, settlement, owner))

    def try_settle(self, intent: Intent, settlement: Settlement, *, owner: str | None = None) -> bool:
        """Note the outcome if there is room; see `Journal.try_settle`."""
        run, guard = self._open_run(), self._guard()
        if not run.backlog.try_enter():
            return False
        run.writer.put(Job(works=(Settle(intent, settlement, owner),), guard=guard))
        return True

    async def release(
        self,
        intent: Intent,
        *,
        note: str,
        owner: str | None = None,
        attempts: Attempts | None = None,
        unsent: bool = False,
    ) -> None:
        """Leave the entry open and end its lease; see `Journal.release`."""
        await self._queue(Release(intent, clean_note(note), owner, attempts, unsent))

    async def claim(self, intent: Intent, *, owner: str, lease: float) -> tuple[Standing, Entry]:
        """Take an open entry in hand; see `Journal.claim`."""
        work = Claim(intent, owner, checked_hold(owner, lease))
        return standing_of((await self._commit((work,)))[0], intent)

    async def open_entries(self, *, merchant_serial_number: str | None = None) -> AsyncIterator[Entry]:
        """Go through all open entries, oldest first, a page at a time; see `Journal.open_entries`."""
        async for row in self._open_rows():
            if isinstance(row, Entry) and merchant_serial_number in {None, row.intent.merchant_serial_number}:
                yield row

    async def recent_entries(self, *, limit: int = 50) -> AsyncIterator[Entry]:
        """Go through the newest entries, newest first, a page at a time; see `Journal.recent_entries`."""
        async for _, row in self._newest_rows():
            if limit <= 0:
                return
            if isinstance(row, Entry):
                limit -= 1
                yield row

    async def _open_rows(self) -> AsyncIterator[Entry | DamagedEntry]:
        store = await self._settled_store()
        upto = await store.newest_position()
        after = 0
        while page := await store.open_page(after, upto):
            for after, row in page:  # noqa: B007 - the last one is where the next page begins
                yield row

    async def _newest_rows(self) -> AsyncIterator[tuple[int, Entry | DamagedEntry]]:
        store = await self._settled_store()
        upto = await store.newest_position()
        while page := await store.recent_page(upto):
            for position, row in page:
                upto = position - 1
                yield position, row

    async def _rows_of_payment(
        self, payment: str, merchant_serial_number: str
    ) -> Sequence[tuple[int, Entry | DamagedEntry]]:
        return await (await self._settled_store()).of_payment(payment, merchant_serial_number)

    async def _delete(self, positions: Sequence[int]) -> int:
        return await self._open_run().store.delete(positions)

    async def find(self, *, payment: str, merchant_serial_number: str) -> list[Entry]:
        """Return all entries of one payment that can be read, oldest first."""
        rows = await self._rows_of_payment(payment, merchant_serial_number)
        return [row for _, row in rows if isinstance(row, Entry)]

    async def flush(self) -> None:
        """Return when all that was accepted is durable; see `Journal.flush`."""
        await self._do(Job())

    async def aclose(self) -> None:
        """Flush; end the writing task and close the connections if nobody else has it open.

        Safe to call once more when it is closed, and to cancel.

        Raises:
            JournalError: outcomes could not be written; what they belong to is open in the journal.
        """
        async with self._turnstile:
            run = self._run
            if run is None or run.process != os.getpid():
                return
            if run.loop.is_closed():
                self._run = None
                return
            if not self._is_closing:
                self._check_loop(run)
                self._users = max(0, self._users - 1)
                if self._users:
                    await self.flush()
                    return
            await self._close(run)

    async def _close(self, run: _Run) -> None:
        self._check_loop(run)
        self._is_closing = True
        run.writer.stop()
        # As long as what is being committed, and what waits behind it, may take.
        done, _ = await asyncio.wait({run.task}, timeout=2 * self._timeout)
        if not done:
            run.task.cancel()
            await asyncio.wait({run.task})
        await run.store.close()
        self._run = None
        self._is_closing = False
        lost = run.backlog.count if run.task.cancelled() else run.task.result()
        if lost:
            raise JournalError(
                f"{lost} outcomes could not be written to the journal; what they belong to is open in it",
                effect=Effect.POSSIBLE,
                advice="what the calls themselves said holds; mend the database, then run recovery",
            )

    def _check_loop(self, run: _Run) -> None:
        if run.loop is not asyncio.get_running_loop():
            text = "the journal was opened in another event loop"
            raise JournalError(text, advice="use it in one loop, or close it there first")

    def _open_run(self) -> _Run:
        run = self._run
        if run is not None and run.process != os.getpid():
            raise JournalError(
                f"the journal was opened by process {run.process}, of which this one is a fork",
                advice="open a journal in the process that uses it",
            )
        if run is None or self._is_closing or run.task.done():
            raise JournalError("the journal is not open", advice="open it first")
        self._check_loop(run)
        return run

    async def _settled_store(self) -> PostgresStore:
        # Reads go past the writer; they must not go past outcomes that were accepted before them.
        run = self._open_run()
        if run.backlog.count:
            await self.flush()
        return run.store

    async def _commit(self, works: tuple[Work, ...]) -> Any:
        if not works:
            self._open_run()
            return []
        return await self._do(Job(works=works, guard=self._guard()))

    async def _do(self, job: Job) -> Any:
        run = self._open_run()
        job.future = run.loop.create_future()
        run.writer.put(job)
        return await job.future

    async def _queue(self, work: Settle | Release) -> None:
        guard = self._guard()
        await self._open_run().backlog.enter()
        # Asked again: it may have been closed while there was no room.
        self._open_run().writer.put(Job(works=(work,), guard=guard))
