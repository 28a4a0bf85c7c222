"""A journal over a store, shared by several users of one event loop; its commands are committed in groups."""

from __future__ import annotations

import abc
import asyncio
import os
import weakref
from collections.abc import AsyncIterator, Callable, Sequence

from attrs import frozen

from vipps_async.errors import Effect, InvalidInputError, JournalError
from vipps_async.journals.entries import Entry, World
from vipps_async.journals.group_commit import GroupCommit, PendingCommand, Row, Store, WriteCondition, is_count
from vipps_async.journals.methods import JournalMethods
from vipps_async.journals.rules import Command, CommandResult, Release, Settle

#: How many outcomes may wait to be written: some tenths of a second of work, and some MB.
LARGEST_BACKLOG = 10_000

#: Above every position.
_END = 2**63 - 1


@frozen(kw_only=True, eq=False)
class _Opening:
    """What there is of a journal from one opening to the next closing."""

    store: Store
    commits: GroupCommit
    task: asyncio.Task[int]
    loop: asyncio.AbstractEventLoop
    pid: int

    @property
    def has_ended(self) -> bool:
        """Whether it has closed its store or is about to, or could not open it."""
        return self.commits.has_ended or self.task.done()


class StoredJournal(JournalMethods):
    """A journal that commits in groups.

    Args:
        name: what it is called in errors.
        max_queued_outcomes: how many outcomes may wait to be written before `settle` and `release` wait.
        condition: asked at each write what must hold for it, if anything.

    Raises:
        InvalidInputError: `max_queued_outcomes` is not positive.
    """

    def __init__(
        self, name: str, *, max_queued_outcomes: int, condition: Callable[[], WriteCondition | None] = lambda: None
    ) -> None:
        if not is_count(max_queued_outcomes):
            raise InvalidInputError("max_queued_outcomes", "a positive whole number", value=max_queued_outcomes)
        self._name = name
        self._max_queued_outcomes = max_queued_outcomes
        self._condition = condition
        #: See Journal.
        self.on_overruled: list[Callable[[Entry], None]] = []
        self._opening: _Opening | None = None
        #: What this process inherited by a fork: its connections are the parent's, and must not be touched here.
        self._inherited: list[_Opening] = []
        #: How many have opened it and not closed it.
        self._users = 0
        self._is_closing = False

    @abc.abstractmethod
    def _new_store(self) -> Store:
        """Make the store, not yet open."""

    @property
    def is_open(self) -> bool:
        """See Journal."""
        opening = self._opening
        return opening is not None and opening.commits.is_serving and opening.pid == os.getpid()

    async def open(self) -> None:
        """Open the store, creating it if need be. Of several that open it, the last one to close it closes it.

        An opening that is cancelled lets go of the store by itself.

        Raises:
            JournalError: as `Journal.open` says; nothing has been overwritten.
        """
        opening = await self._own_opening()
        if opening is not None and self._is_closing:
            await self._close(opening)
        while (opening := self._opening) is not None and opening.has_ended and not opening.task.done():
            # Ended by a mistake in the program, or not opened: it lets go of the store first.
            await asyncio.wait({opening.task})
        if opening is None or opening.has_ended:
            opening = self._started()
        self._check_loop(opening)
        self._users += 1
        try:
            # Shielded: others may wait for the same opening.
            await asyncio.shield(opening.commits.opened)
        except BaseException:
            self._users -= 1
            if self._users == 0 and self._opening is opening and not opening.has_ended:
                self._is_closing = True
                opening.commits.stop()
            raise

    async def aclose(self) -> None:
        """Flush; close the store if nobody else has it open.

        Safe to call once more when it is closed, and to cancel: it then goes on by itself.

        Raises:
            JournalError: outcomes could not be written (what they belong to is open in the journal), or the store does
                not answer.
        """
        opening = await self._own_opening()
        if opening is None:
            return
        self._check_loop(opening)
        if not self._is_closing:
            self._users = max(0, self._users - 1)
            if self._users:
                await self.flush()
                return
        await self._close(opening)

    async def flush(self) -> None:
        """Return when all that was accepted is durable; see `Journal.flush`."""
        await self._put(None)

    async def bind(self, world: World) -> None:
        """Hold the journal to its world; see `Journal.bind`."""
        await self._current_opening().store.bind(world, anew=False)

    async def rebind(self, world: World) -> None:
        """Bind it to another world; see `Journal.rebind`."""
        await self._current_opening().store.bind(world, anew=True)

    async def world(self) -> World | None:
        """Return the world that it is bound to; see `Journal.world`."""
        return await self._current_opening().store.world()

    # --- commands and rows -----------------------------------------------------------------------------------------

    async def _ask(self, command: Command) -> CommandResult:
        return await self._put(command)

    async def _accept(self, command: Settle | Release) -> None:
        condition = self._condition()
        commits = self._current_opening().commits
        if commits.is_full:
            await commits.room()
            # Asked again: it may have been closed while there was no room.
            commits = self._current_opening().commits
        commits.put_outcome(command, condition)

    async def _put(self, command: Command | None) -> CommandResult:
        opening = self._current_opening()
        future: asyncio.Future[CommandResult] = opening.loop.create_future()
        opening.commits.put(PendingCommand(command, future, None if command is None else self._condition()))
        return await future

    async def _open_rows(self) -> AsyncIterator[Row]:
        upto = await (await self._written_store()).newest_position()
        after = 0
        while page := await (await self._written_store()).open_page(after, upto):
            for after, row in page:
                yield after, row

    async def _newest_rows(self) -> AsyncIterator[Row]:
        before = _END
        while page := await (await self._written_store()).recent_page(before):
            for before, row in page:
                yield before, row

    async def _rows_of_payment(self, payment: str, merchant_serial_number: str) -> Sequence[Row]:
        return await (await self._written_store()).of_payment(payment, merchant_serial_number)

    async def _delete(self, positions: Sequence[int], *, also_open: bool = False) -> int:
        return await (await self._written_store()).delete(positions, also_open=also_open)

    async def _written_store(self) -> Store:
        # Reads go past what waits to be committed; they must not go past outcomes that were accepted before them.
        opening = self._current_opening()
        if opening.commits.unwritten:
            await self.flush()
        return opening.store

    # --- opening and closing ---------------------------------------------------------------------------------------

    def _started(self) -> _Opening:
        loop = asyncio.get_running_loop()
        store = self._new_store()
        commits = GroupCommit(store, self._max_queued_outcomes, self.on_overruled)
        task = loop.create_task(commits.run(), name=self._name)
        # The task must not keep the journal alive: one that was dropped unclosed tells its task to end.
        weakref.finalize(self, _stop, loop, commits, store).atexit = False
        # One that was cancelled before its first step ends here.
        task.add_done_callback(lambda _: commits.end())
        self._users = 0
        self._is_closing = False
        self._opening = _Opening(store=store, commits=commits, task=task, loop=loop, pid=os.getpid())
        return self._opening

    async def _own_opening(self) -> _Opening | None:
        """Return the opening of this process and of a loop that goes on; forget any other one."""
        opening = self._opening
        if opening is not None and opening.pid != os.getpid():
            self._inherited.append(opening)
            self._opening = opening = None
        if opening is not None and opening.loop.is_closed():
            # The loop that it was opened in ended without closing it.
            self._opening = None
            await asyncio.to_thread(opening.store.abandon, wait=True)
        if self._opening is None:
            self._is_closing = False
        return self._opening

    async def _close(self, opening: _Opening) -> None:
        self._check_loop(opening)
        self._is_closing = True
        opening.commits.stop()
        done, _ = await asyncio.wait({opening.task}, timeout=opening.store.close_patience)
        if not done:
            text = f"{self._name} was not closed within {opening.store.close_patience:.0f} s: its store does not answer"
            raise JournalError(text, effect=Effect.POSSIBLE)
        if self._opening is not opening:
            return
        self._opening = None
        self._is_closing = False
        if lost := opening.commits.unwritten if opening.task.cancelled() else opening.task.result():
            raise JournalError(
                f"{lost} outcomes could not be written to {self._name}; what they belong to is open in it",
                effect=Effect.POSSIBLE,
                advice="what the calls themselves said holds; mend the journal's disk or database, then run recovery",
            )

    def _check_loop(self, opening: _Opening) -> None:
        if opening.loop is not asyncio.get_running_loop():
            text = f"{self._name} was opened in another event loop"
            raise JournalError(text, advice="use it in one loop, or close it there first")

    def _current_opening(self) -> _Opening:
        opening = self._opening
        if opening is not None and opening.pid != os.getpid():
            raise JournalError(
                f"{self._name} was opened by process {opening.pid}, of which this one is a fork",
                advice="open a journal in the process that uses it",
            )
        if opening is None or not opening.commits.is_serving:
            raise JournalError(f"{self._name} is not open", advice="open it first")
        self._check_loop(opening)
        return opening


def _stop(loop: asyncio.AbstractEventLoop, commits: GroupCommit, store: Store) -> None:
    try:
        loop.call_soon_threadsafe(commits.stop)
    except RuntimeError:
        # Its loop has ended.
        store.abandon(wait=False)
