"""The journal in one SQLite file: what tasks call, and how that reaches the thread that writes."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import frozen

from vipps_async.errors import Effect, InvalidInputError, JournalError
from vipps_async.journals.backlog import Backlog, is_count
from vipps_async.journals.protocol import Attempts, DamagedEntry, Entry, Intent, Settlement, Standing, World
from vipps_async.journals.rules import (
    Answer,
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
from vipps_async.journals.sqlite.store import SqliteStore
from vipps_async.journals.sqlite.writer import Asked, Job, Report, Writer
from vipps_async.journals.upkeep import Upkeep

__all__ = ["SqliteJournal"]

#: How many outcomes may wait to be written: some tenths of a second of work, and some MB.
_LARGEST_BACKLOG = 10_000

#: How long closing waits for the disk, in seconds: longer than a slow disk's longest pause, shorter than patience.
_CLOSE_PATIENCE = 30.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


@frozen(kw_only=True, eq=False)
class _Run:
    """What there is of a journal from one opening to the next closing."""

    writer: Writer
    loop: asyncio.AbstractEventLoop
    process: int
    backlog: Backlog
    opened: asyncio.Future[None]
    closed: asyncio.Future[int]

    @property
    def has_ended(self) -> bool:
        """Whether the thread has ended, or failed to open the file and is about to."""
        return self.closed.done() or (self.opened.done() and self.opened.exception() is not None)

    @property
    def is_open(self) -> bool:
        """Whether the thread takes jobs."""
        return self.opened.done() and not self.has_ended


class SqliteJournal(Upkeep):
    """A `Journal` in one file, owned by one process; the choice unless several machines share the work.

    An intent is on the disk (fsync included) before `begin` returns. All that tasks ask for at the same time goes to
    the disk together, so that many at once cost little more than one. Beside the file stand its write-ahead log
    (``-wal``) and its lock (``.owner``); all of them can be read by their owner only. Keep the file on a local disk.
    What a process had in hand when it died is in nobody's hands once the file is open again, whatever its lease said.

    After a fork the child must open a journal of its own. The object may be made anywhere, may be shared by several
    sessions of one event loop, and is used from one event loop at a time.

    Args:
        path: the file; made if it is not there. Its directory must exist.
        clock: gives the time that leases are measured by; aware. Tests set it by hand.
        check_on_open: look through the whole file for damage when it is opened: some seconds for a GB.
        max_queued_outcomes: how many outcomes may wait to be written before `settle` and `release` wait.
        trusted_owner: a user (UID) whose files are opened, too; by default only files of the user that runs this
            process are. Ignored on Windows.

    Raises:
        InvalidInputError: `path` names no file (such as ``":memory:"``), or `max_queued_outcomes` is not positive.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], datetime] = _utc_now,
        check_on_open: bool = True,
        max_queued_outcomes: int = _LARGEST_BACKLOG,
        trusted_owner: int | None = None,
    ) -> None:
        name = _checked_name(path)
        if not is_count(max_queued_outcomes):
            raise InvalidInputError("max_queued_outcomes", "a positive whole number", value=max_queued_outcomes)
        # Made absolute here: the program may change its directory while the journal is open.
        self._path = Path(name).absolute()
        self._clock = clock
        self._check_on_open = check_on_open
        self._max_queued_outcomes = max_queued_outcomes
        self._trusted_owner = trusted_owner
        #: See Journal.
        self.on_overruled: list[Callable[[Entry], None]] = []
        self._run: _Run | None = None
        #: How many have opened it and not closed it.
        self._users = 0
        self._is_closing = False

    def __repr__(self) -> str:
        return f"<SqliteJournal {self._path}>"

    @property
    def path(self) -> Path:
        """The journal file, as an absolute path."""
        return self._path

    @property
    def is_open(self) -> bool:
        """See Journal."""
        run = self._run
        return run is not None and run.process == os.getpid() and run.is_open and not self._is_closing

    async def open(self) -> None:
        """Open the file, creating it if need be. Of several that open it, the last one to close it closes the file.

        An opening that is cancelled lets go of the file by itself.

        Raises:
            JournalError: it is in use (the owner is named), damaged, of something else, of another version, another
                user's, or cannot be written; nothing in it has been overwritten.
        """
        run = self._run
        if run is not None and self._is_closing and run.process == os.getpid():
            await self._close(run)
        await self._leave_closed_loop()
        run = self._run
        if run is None or run.has_ended or run.process != os.getpid():
            run = self._run = self._started()
        self._check_loop(run)
        self._users += 1
        try:
            # Shielded: others may wait for the same opening.
            await asyncio.shield(run.opened)
        except BaseException:
            self._users -= 1
            if self._users == 0 and self._run is run and not run.has_ended:
                self._is_closing = True
                run.writer.stop()
            raise

    async def bind(self, world: World) -> None:
        """Hold the journal to its world; see `Journal.bind`."""
        await self._read(lambda store: store.bind(world, anew=False))

    async def rebind(self, world: World) -> None:
        """Bind it to another world; see `Journal.rebind`."""
        await self._read(lambda store: store.bind(world, anew=True))

    async def world(self) -> World | None:
        """Return the world that it is bound to; see `Journal.world`."""
        bound: World | None = await self._read(SqliteStore.world)
        return bound

    async def begin(self, intent: Intent, *, owner: str, lease: float, adopt: bool = False) -> tuple[Standing, Entry]:
        """Make the intent durable and take it in hand; see `Journal.begin`."""
        return await self._commit_one(Begin(intent, owner, checked_hold(owner, lease), adopt))

    async def attempt(self, intent: Intent, *, owner: str, at: datetime) -> Standing:
        """Count one more attempt; see `Journal.attempt`."""
        return (await self._commit_one(Attempt(intent, owner, at)))[0]

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
        run = self._open_run()
        if not run.backlog.try_enter():
            return False
        run.writer.put(Settle(intent, settlement, owner))
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
        return await self._commit_one(Claim(intent, owner, checked_hold(owner, lease)))

    async def open_entries(self, *, merchant_serial_number: str | None = None) -> AsyncIterator[Entry]:
        """Go through all open entries, oldest first, a page at a time; see `Journal.open_entries`."""
        async for entry in self._open_rows():
            if isinstance(entry, Entry) and merchant_serial_number in {None, entry.intent.merchant_serial_number}:
                yield entry

    async def recent_entries(self, *, limit: int = 50) -> AsyncIterator[Entry]:
        """Go through the newest entries, newest first, a page at a time; see `Journal.recent_entries`."""
        async for _, entry in self._newest_rows():
            if limit <= 0:
                return
            if isinstance(entry, Entry):
                limit -= 1
                yield entry

    async def _open_rows(self) -> AsyncIterator[Entry | DamagedEntry]:
        upto: int = await self._read(SqliteStore.newest_position)
        after = 0
        while page := await self._read(_open_page(after, upto)):
            for after, row in page:  # noqa: B007 - the last one is where the next page begins
                yield row

    async def _newest_rows(self) -> AsyncIterator[tuple[int, Entry | DamagedEntry]]:
        before: int = await self._read(SqliteStore.newest_position) + 1
        while page := await self._read(_recent_page(before)):
            for before, row in page:
                yield before, row

    async def _rows_of_payment(
        self, payment: str, merchant_serial_number: str
    ) -> Sequence[tuple[int, Entry | DamagedEntry]]:
        found: list[tuple[int, Entry | DamagedEntry]] = await self._read(
            lambda store: store.of_payment(payment, merchant_serial_number)
        )
        return found

    async def _delete(self, positions: Sequence[int]) -> int:
        deleted: int = await self._read(lambda store: store.delete(positions))
        return deleted

    async def find(self, *, payment: str, merchant_serial_number: str) -> list[Entry]:
        """Return all entries of one payment that can be read, oldest first."""
        rows = await self._rows_of_payment(payment, merchant_serial_number)
        return [row for _, row in rows if isinstance(row, Entry)]

    async def backup(self, target: str | os.PathLike[str]) -> None:
        """Copy the journal as it is now, while it is in use, into a file that only its owner can read.

        What is asked for meanwhile waits: some seconds for a GB. A copy does not know of attempts that were begun after
        it was made: one that is put back proves nothing about what happened later, and recovery asks Vipps.

        Args:
            target: the copy's name; nothing may be there yet.

        Raises:
            JournalError: it is there already, or cannot be written; or the journal cannot be read.
        """
        path = Path(_checked_name(target))
        await self._read(lambda store: store.back_up(path))

    async def flush(self) -> None:
        """Return when all that was accepted is durable; see `Journal.flush`."""
        await self._do()

    async def aclose(self) -> None:
        """Flush; close the file and end the thread if nobody else has it open.

        Safe to call once more when it is closed, and to cancel: it then goes on by itself.

        Raises:
            JournalError: outcomes could not be written (what they belong to is open in the journal), or the disk does
                not answer for 30 seconds.
        """
        await self._leave_closed_loop()
        run = self._run
        if run is None or run.process != os.getpid():
            return
        self._check_loop(run)
        if not self._is_closing:
            self._users = max(0, self._users - 1)
            if self._users:
                await self.flush()
                return
        await self._close(run)

    async def _close(self, run: _Run) -> None:
        self._check_loop(run)
        self._is_closing = True
        run.writer.stop()
        done, _ = await asyncio.wait({run.closed}, timeout=_CLOSE_PATIENCE)
        if not done:
            text = f"the journal {self._path} was not closed within {_CLOSE_PATIENCE:.0f} s: its disk does not answer"
            raise JournalError(text, effect=Effect.POSSIBLE)
        run.writer.join()
        if self._run is not run:
            return
        self._run = None
        self._is_closing = False
        if lost := run.closed.result():
            raise JournalError(
                f"{lost} outcomes could not be written to the journal {self._path}; what they belong to is open in it",
                effect=Effect.POSSIBLE,
                advice="what the calls themselves said holds; mend the journal's disk, then run recovery",
            )

    def _started(self) -> _Run:
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        # Looked at here, so that one whose caller was cancelled is not reported as an error that nobody saw.
        opened.add_done_callback(lambda future: future.exception())
        closed: asyncio.Future[int] = loop.create_future()
        backlog = Backlog(self._max_queued_outcomes)
        # The thread must not keep the journal alive: a journal that was dropped unclosed tells its thread to end.
        listened_to = weakref.ref(self)

        def report(done: Report) -> None:
            journal = listened_to()
            _hand_out(done, backlog, () if journal is None else tuple(journal.on_overruled))

        writer = Writer(
            self._path,
            clock=self._clock,
            check=self._check_on_open,
            trusted_owner=self._trusted_owner,
            loop=loop,
            report=report,
            opened=opened,
            closed=closed,
        )
        weakref.finalize(self, writer.stop).atexit = False
        self._users = 0
        self._is_closing = False
        writer.start()
        return _Run(writer=writer, loop=loop, process=os.getpid(), backlog=backlog, opened=opened, closed=closed)

    async def _leave_closed_loop(self) -> None:
        # The loop that it was opened in ended without closing it: its thread can tell nobody anything any more.
        run = self._run
        if run is not None and run.process == os.getpid() and run.loop.is_closed():
            self._run = None
            self._is_closing = False
            run.writer.stop()
            await asyncio.to_thread(run.writer.join)

    def _check_loop(self, run: _Run) -> None:
        if run.loop is not asyncio.get_running_loop():
            text = f"the journal {self._path} was opened in another event loop"
            raise JournalError(text, advice="use it in one loop, or close it there first")

    def _open_run(self) -> _Run:
        run = self._run
        if run is not None and run.process != os.getpid():
            raise JournalError(
                f"the journal {self._path} was opened by process {run.process}, of which this one is a fork",
                advice="open a journal in the process that uses it",
            )
        if run is None or self._is_closing or not run.is_open:
            raise JournalError(f"the journal {self._path} is not open", advice="open it first")
        self._check_loop(run)
        return run

    async def _commit_one(self, work: Begin | Attempt | Claim) -> tuple[Standing, Entry]:
        run = self._open_run()
        future: asyncio.Future[Answer] = run.loop.create_future()
        run.writer.put(Asked(work, future))
        return standing_of(await future, work.intent)

    async def _commit(self, works: tuple[Work, ...]) -> Any:
        if not works:
            self._open_run()
            return []
        return await self._do(works=works)

    async def _read(self, read: Callable[[SqliteStore], Any]) -> Any:
        return await self._do(read=read)

    async def _do(self, *, works: Sequence[Work] = (), read: Callable[[SqliteStore], Any] | None = None) -> Any:
        run = self._open_run()
        future: asyncio.Future[Any] = run.loop.create_future()
        run.writer.put(Job(future, works, read))
        return await future

    async def _queue(self, work: Settle | Release) -> None:
        await self._open_run().backlog.enter()
        # Asked again: it may have been closed while there was no room.
        self._open_run().writer.put(work)


def _checked_name(path: object) -> str:
    name = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    # SQLite would read two of these as "no file at all".
    if not isinstance(name, str) or not name or name == ":memory:" or name.startswith("file:") or "\0" in name:
        raise InvalidInputError("path", "the name of a file", value=path)
    return name


def _hand_out(report: Report, backlog: Backlog, on_overruled: Sequence[Callable[[Entry], None]]) -> None:
    for entry in report.overruled:
        for listener in on_overruled:
            listener(entry)
    if report.wrote:
        backlog.left(report.durable, report.failure)
    for future, result in zip(report.futures, report.results, strict=True):
        if future.done():
            continue
        if isinstance(result, JournalError):
            future.set_exception(result)
        else:
            future.set_result(result)


def _open_page(after: int, upto: int) -> Callable[[SqliteStore], Any]:
    return lambda store: store.open_page(after, upto)


def _recent_page(before: int) -> Callable[[SqliteStore], Any]:
    return lambda store: store.recent_page(before)
