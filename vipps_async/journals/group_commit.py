"""Group commit: commands that wait are committed together, and each caller gets its own answer.

One task writes for a journal, so a command sees what those before it did. All that waits when a commit ends goes into
the next one. A store that fails fails the commands of that commit; outcomes, for which nobody waits, are kept and tried
again. The store itself, SQLite's or PostgreSQL's, only opens, commits a batch in one transaction, reads and closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from attrs import define, frozen

from vipps_async.errors import JournalError
from vipps_async.journals.entries import DamagedEntry, Entry, World
from vipps_async.journals.rows import UnfitError
from vipps_async.journals.rules import Command, CommandResult, Release, Settle

#: The most commands in one commit: beyond it, commits get longer and no cheaper each.
BATCH = 1000

#: How long outcomes wait after a commit that failed, if nothing else comes that could carry them, in seconds.
_RETRY_AFTER = 1.0

#: A row's place in the order of arrival, and what could be read of it.
Row = tuple[int, Entry | DamagedEntry]


@frozen
class WriteCondition:
    """A condition of a write, checked first in the transaction that writes; for PostgreSQL only."""

    #: A query that gives a row as long as writing is allowed, and that locks what it depends on until the commit.
    statement: bytes
    values: tuple[object, ...]
    #: What the error says of a write that is not allowed any more.
    refusal: str


class Store(Protocol):
    """Stores entries. All failures are raised as JournalError."""

    #: How long a last commit and closing may take, in seconds, before the store counts as one that does not answer.
    close_patience: float

    async def open(self) -> None:
        """Open it, creating it if need be; one that fails leaves nothing open."""

    async def commit(
        self, commands: Sequence[Command], conditions: Sequence[WriteCondition | None]
    ) -> Sequence[CommandResult | None]:
        """Carry out all commands in their order, in one transaction; returns when it is durable.

        Returns:
            The answers; None to a command whose condition did not hold, and which was not done.

        Raises:
            UnfitError: one of them cannot be written, or needs an entry that cannot be read; the others may fit.
            JournalError: nothing of it may be taken for durable.
        """
        ...

    async def newest_position(self) -> int:
        """Return the position of the newest entry; 0 if there is none."""
        ...

    async def open_page(self, after: int, upto: int) -> list[Row]:
        """Return the next open entries behind `after`, oldest first."""
        ...

    async def recent_page(self, before: int) -> list[Row]:
        """Return the next entries below `before`, newest first."""
        ...

    async def of_payment(self, payment: str, merchant_serial_number: str) -> list[Row]:
        """Return all entries of one payment, oldest first."""
        ...

    async def delete(self, positions: Sequence[int], *, also_open: bool) -> int:
        """Delete these entries, settled or also open; returns how many were."""
        ...

    async def world(self) -> World | None:
        """Return the world that it is bound to."""
        ...

    async def bind(self, world: World, *, anew: bool) -> None:
        """Bind it to a world; unless anew, only if it is bound to none yet."""
        ...

    async def close(self) -> None:
        """Close it, after all earlier commands."""

    def abandon(self, *, wait: bool) -> None:
        """Close it without its event loop, which has ended; `wait`: block until what is being done is done."""


@define(eq=False)
class PendingCommand:
    """A command and the future of its answer."""

    #: None: nothing to do; the answer comes once all that was put before it is durable.
    command: Command | None
    #: None: an outcome, for which nobody waits, and which is tried again if a commit fails.
    future: asyncio.Future[CommandResult] | None = None
    #: What must hold for it to be written; an outcome is dropped if it does not.
    condition: WriteCondition | None = None


def is_count(value: object) -> bool:
    """Tell whether it is a whole number from 1 on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _own_copy(error: JournalError) -> JournalError:
    """Return the error anew, for one more caller: each adds its own traceback, and perhaps facts, to what it gets."""
    twin = copy.copy(error)
    twin.__cause__ = error.__cause__
    return twin


class GroupCommit:
    """Commits commands in order and in batches, from opening the store to closing it; used in one event loop.

    Args:
        store: the store; nobody else writes to it.
        limit: how many outcomes may be accepted and not durable, before `room` waits.
        on_overruled: called with each entry that is DONE though it was settled as without effect.
    """

    def __init__(self, store: Store, limit: int, on_overruled: Sequence[Callable[[Entry], None]]) -> None:
        self._store = store
        self._limit = limit
        self._on_overruled = on_overruled
        self._queue: deque[PendingCommand] = deque()
        self._arrived = asyncio.Event()
        self._is_stopping = False
        #: Whether it takes no more commands: it has closed the store or is about to, or could not open it.
        self.has_ended: bool = False
        #: Whether commands may be put: the store is open, and not about to be closed.
        self.is_serving: bool = False
        #: What is being committed, and outcomes that no commit has carried yet.
        self._batch: list[PendingCommand] = []
        self._retained: list[PendingCommand] = []
        #: How many outcomes no commit will ever carry.
        self._lost = 0
        #: How many outcomes are accepted and not durable, and who waits for one of their places.
        self.unwritten: int = 0
        self._failure: JournalError | None = None
        self._waiting_for_room: deque[asyncio.Future[None]] = deque()
        #: Done once the store is open, or could not be opened.
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Looked at here, so that one whose caller was cancelled is not reported as an error that nobody saw.
        self.opened.add_done_callback(lambda future: future.cancelled() or future.exception())

    def put(self, pending: PendingCommand) -> None:
        """Add a command; never waits."""
        self._queue.append(pending)
        self._arrived.set()

    def put_outcome(self, command: Settle | Release, condition: WriteCondition | None) -> None:
        """Add a command that nobody waits for; there must be room."""
        self.unwritten += 1
        self.put(PendingCommand(command, None, condition))

    @property
    def is_full(self) -> bool:
        """Whether there is no room for one more outcome."""
        return self.unwritten >= self._limit

    async def room(self) -> None:
        """Wait until there is room for an outcome.

        Raises:
            JournalError: there is none, and the store fails, so that none is in sight.
        """
        while self.is_full:
            if self._failure is not None:
                raise _own_copy(self._failure)
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting_for_room.append(place)
            try:
                await place
            finally:
                # Whoever is cancelled just when its place came hands it on: all are woken, and look again.
                self._wake()

    def stop(self) -> None:
        """Make `run` commit what waits, close the store and return."""
        self.is_serving, self._is_stopping = False, True
        self._arrived.set()

    async def run(self) -> int:
        """Open the store, commit until stopped, and close the store.

        Returns:
            How many outcomes could not be written.
        """
        is_abandoned = False
        try:
            await self._store.open()
        except BaseException as error:
            reason = JournalError(f"the journal could not be opened: ended by {type(error).__name__}")
            self.has_ended = True
            self._resolve(self.opened, error if isinstance(error, JournalError) else reason)
            if isinstance(error, JournalError):
                return 0
            raise
        try:
            self.is_serving = not self._is_stopping
            self._resolve(self.opened, None)
            await self._serve()
            return len(self._retained) + self._lost
        except asyncio.CancelledError:
            # The loop ends though the journal was not closed: what was accepted is not lost by that.
            await self._commit([p for p in (*self._batch, *self._queue) if p.future is None and p.command is not None])
            raise
        except GeneratorExit:
            # Of a loop that was closed with this still under way: nothing can be awaited any more, by nobody.
            is_abandoned = True
            self._store.abandon(wait=False)
            raise
        finally:
            # Also if something unforeseen ended it: nobody may wait for it for ever.
            if not is_abandoned:
                self.end()
                await self._store.close()

    async def _serve(self) -> None:
        is_last = False
        while not is_last or self._queue:
            await self._arrival()
            is_last = self._is_stopping
            taken = self._take()
            self._batch = [*self._retained, *taken]
            failure = await self._commit([pending for pending in self._batch if pending.command is not None])
            for pending in taken:
                if pending.command is None:
                    # To wait for a commit is only in vain if outcomes are still without one.
                    self._resolve(pending.future, failure if self._retained else (None, None))
            self._batch = []

    async def _arrival(self) -> None:
        if self._queue or self._is_stopping:
            return
        self._arrived.clear()
        if not self._retained:
            await self._arrived.wait()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RETRY_AFTER):
                await self._arrived.wait()

    def _take(self) -> list[PendingCommand]:
        """Take the waiting commands, without those that were cancelled."""
        taken: list[PendingCommand] = []
        while self._queue and len(taken) < BATCH:
            pending = self._queue.popleft()
            if pending.future is None or not pending.future.done():
                taken.append(pending)
        return taken

    async def _commit(self, batch: list[PendingCommand]) -> JournalError | None:
        """Commit all of it together; one that does not fit fails alone. Returns the store's failure, if it failed."""
        self._retained = []
        failure: JournalError | None = None
        waiting = [batch] if batch else []
        while waiting:
            group = waiting.pop()
            if failure is not None:
                # The store fails: what comes later must not get there before what came earlier.
                self._fail(group, failure)
                continue
            try:
                commands = [pending.command for pending in group if pending.command is not None]
                answers = await self._store.commit(commands, [pending.condition for pending in group])
            except UnfitError as error:
                if len(group) > 1:
                    middle = len(group) // 2
                    waiting += (group[middle:], group[:middle])
                else:
                    self._drop(group[0], error)
            except JournalError as error:
                failure = error
                self._fail(group, failure)
            else:
                self._deliver(group, answers)
        return failure

    def _deliver(self, group: Sequence[PendingCommand], answers: Sequence[CommandResult | None]) -> None:
        for pending, answer in zip(group, answers, strict=True):
            # To an outcome there is only one thing to say: that it overruled another one.
            if pending.future is None and answer is not None and answer[0] is not None and answer[1] is not None:
                for listener in tuple(self._on_overruled):
                    listener(answer[1])
        self._leave(group, None)
        for pending, answer in zip(group, answers, strict=True):
            refused = pending.condition if answer is None else None
            self._resolve(pending.future, answer if refused is None else JournalError(refused.refusal))

    def _drop(self, pending: PendingCommand, error: UnfitError) -> None:
        # Trying again would not help. What an outcome belongs to stays as it is in the store.
        self._lost += pending.future is None
        self._leave([pending], None)
        self._resolve(pending.future, error)

    def _fail(self, group: Sequence[PendingCommand], error: JournalError) -> None:
        self._retained += [pending for pending in group if pending.future is None]
        self._leave([], error)
        for pending in group:
            self._resolve(pending.future, error)

    def end(self) -> None:
        """Fail the waiting commands; no more can be put."""
        self.is_serving, self.has_ended = False, True
        closed = JournalError("the journal is closed")
        for pending in (*self._batch, *self._queue):
            self._resolve(pending.future, closed)
        self._queue.clear()
        self._leave([], closed)
        self._resolve(self.opened, closed)

    def _leave(self, written: Sequence[PendingCommand], failure: JournalError | None) -> None:
        """Record the end of a commit: it frees the places of its outcomes, or has failed."""
        self.unwritten -= sum(pending.future is None for pending in written)
        self._failure = failure
        self._wake()

    def _wake(self) -> None:
        while self._waiting_for_room:
            self._resolve(self._waiting_for_room.popleft(), None)

    @staticmethod
    def _resolve(future: asyncio.Future[Any] | None, result: object) -> None:
        if future is None or future.done():
            return
        if isinstance(result, JournalError):
            future.set_exception(_own_copy(result))
        else:
            future.set_result(result)
