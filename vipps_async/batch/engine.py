"""Carries out the rows of a batch from any source: many at once, each payment's in sequence, in constant memory."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator

from vipps_async.batch.results import RowResult, is_outage
from vipps_async.core.batch import BatchRow
from vipps_async.core.batch_limit import BatchLimiter
from vipps_async.errors import AuthenticationError, InvalidInputError, TransportError, VippsError

#: Where the rows of a batch may come from.
Rows = AsyncIterable[BatchRow] | Iterable[BatchRow]

#: Rows that a thread reads in one go, and for how long it gathers them, in seconds: enough of them to pay for the way
#: there and back, and a slow source's rows are not kept waiting for each other.
_CHUNK, _GATHERING = 256, 0.05
#: Rows that are in work, wait for their turn or for the consumer, for each that may run at once: so that nobody waits
#: for the next one to be read, and memory is bounded.
_WINDOW = 4


class Engine:
    """One run of a batch. `results` may be called once.

    A feeder reads rows as long as there is room; workers carry them out. Rows of a payment that is in work wait for it,
    and are not begun if it ends without an outcome: "the rest of it" must not be taken before its first part.
    Room is made by whoever takes the results: a consumer that stops taking them stops the feeder.
    """

    def __init__(
        self,
        rows: Rows,
        carry_out: Callable[[BatchRow], Awaitable[RowResult]],
        pass_over: Callable[[BatchRow, str], RowResult],
        *,
        limiter: BatchLimiter,
        concurrency: int,
        stop: asyncio.Event | None,
        is_done: Callable[[BatchRow], Awaitable[bool]] | None = None,
        cut_off: Callable[[BatchRow], RowResult] | None = None,
        leftover: Callable[[RowResult], None] | None = None,
    ) -> None:
        """Make everything ready; nothing runs before the first result is asked for.

        Args:
            rows: what to do.
            carry_out: does one row. An error that it raises ends the batch when what is in work has ended.
            pass_over: makes the result of a row that is not begun, and of the hint, if there is one to tell.
            limiter: how many at once and a second, kept up to date by whoever watches Vipps' answers.
            concurrency: the most rows at once.
            stop: ends the batch once it is set: what is in work is finished, nothing is begun any more.
            is_done: tells that nothing will be sent for a row, which then needs no slot of the rate; raises as
                `carry_out` does. None: every row has its slot.
            cut_off: makes the result of a row that was cancelled while it was carried out; None: it has none.
            leftover: called with each result that nobody has taken when the iteration ends early.
        """
        self._is_done = is_done
        self._cut_off = cut_off
        self._leftover = leftover
        self._rows = rows
        self._carry_out = carry_out
        self._pass_over = pass_over
        self._limiter = limiter
        self._concurrency = concurrency
        self._stop = stop
        self._now = asyncio.get_running_loop().time
        size = concurrency * _WINDOW
        self._room = asyncio.Semaphore(size)
        self._ready: asyncio.Queue[BatchRow | None] = asyncio.Queue(size + concurrency)
        self._results: asyncio.Queue[RowResult | None] = asyncio.Queue(size + 1)
        #: For each payment in work: its rows that wait.
        self._payments: dict[str, deque[BatchRow]] = {}
        #: Payments of which a row ended without an outcome: what comes after it must not be done before it. A text for
        #: each such payment; a batch with many of them ends by itself.
        self._held_up: set[str] = set()
        self._unfinished = 0
        self._all_read = False
        self._failure: BaseException | None = None
        self._feeder: asyncio.Task[None] | None = None

    async def results(self) -> AsyncGenerator[RowResult, None]:
        """Give one result for each row that was read, as they come.

        Ends early when it is stopped. If it is closed, what is in work is finished first; if it is cancelled, that is
        cancelled too.

        Raises:
            TransportError: Vipps did not answer for minutes; rows that no result was given for were not begun.
            VippsError: what `carry_out` raised.
        """
        supervisor = asyncio.create_task(self._run(), name="vipps batch")
        try:
            while (result := await self._results.get()) is not None:
                self._room.release()
                yield result
            await supervisor
        except GeneratorExit:
            self._end()
            raise
        except BaseException:
            supervisor.cancel()
            raise
        finally:
            # Nobody takes results any more: what is in work has room for its own.
            try:
                await asyncio.wait({supervisor})
            finally:
                supervisor.cancel()
                with contextlib.suppress(asyncio.CancelledError, VippsError):
                    await supervisor
                while self._leftover is not None and not self._results.empty():
                    if (result := self._results.get_nowait()) is not None:
                        self._leftover(result)
        if self._failure is not None:
            raise self._failure

    async def _run(self) -> None:
        watcher = None if self._stop is None else asyncio.create_task(self._watch(self._stop))
        self._feeder = asyncio.create_task(self._feed(), name="vipps batch: reading")
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._concurrency):
                    group.create_task(self._work())
                await asyncio.wait({self._feeder})
                if not self._feeder.cancelled() and (error := self._feeder.exception()) is not None:
                    # What was read before goes on; whoever iterates is told at the end.
                    self._failure = self._failure or error
                self._all_read = True
                self._end_workers_if_done()
        except BaseExceptionGroup as failures:
            self._failure = failures.exceptions[0]
        finally:
            for task in (self._feeder, watcher):
                if task is not None:
                    task.cancel()
            # There is room for it: it counts for one more than the window.
            with contextlib.suppress(asyncio.QueueFull):
                self._results.put_nowait(None)

    async def _watch(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._end()

    def _end(self) -> None:
        """Read and begin nothing more."""
        self._limiter.close()
        if self._feeder is not None:
            self._feeder.cancel()

    async def _feed(self) -> None:
        async for row in rows_of(self._rows):
            await self._room.acquire()
            self._unfinished += 1
            waiting = self._payments.get(row.payment)
            if waiting is None:
                self._payments[row.payment] = deque()
                self._ready.put_nowait(row)
            else:
                waiting.append(row)

    async def _work(self) -> None:
        while (row := await self._ready.get()) is not None:
            result = await self._result_of(row)
            waiting = self._payments[row.payment]
            if waiting:
                self._ready.put_nowait(waiting.popleft())
            else:
                del self._payments[row.payment]
            self._unfinished -= 1
            self._results.put_nowait(result)
            self._end_workers_if_done()

    def _end_workers_if_done(self) -> None:
        if self._all_read and self._unfinished == 0:
            for _ in range(self._concurrency):
                self._ready.put_nowait(None)

    async def _result_of(self, row: BatchRow) -> RowResult:
        if row.payment in self._held_up:
            return self._pass_over(row, "an earlier row of this payment has no outcome yet")
        try:
            sends = self._is_done is None or self._limiter.is_closed or not await self._is_done(row)
            if self._limiter.is_closed or not await self._limiter.acquire(sends=sends):
                return self._pass_over(row, "")
            began = self._now()
            try:
                result = await self._carry_out(row)
            except asyncio.CancelledError:
                if self._cut_off is not None:
                    # There is room: each row that was read has its place.
                    self._results.put_nowait(self._cut_off(row))
                raise
            finally:
                self._limiter.release()
        except VippsError as error:
            # The journal, the session: no other row would fare better.
            self._failure = self._failure or error
            self._end()
            return self._pass_over(row, "")
        self._judge(result, began)
        return result

    def _judge(self, result: RowResult, began: float) -> None:
        error = result.error
        if not result.outcome.is_final:
            self._held_up.add(result.row.payment)
        if error is not None and is_outage(error):
            self._limiter.row_failed(began, self._now(), keys_refused=isinstance(error, AuthenticationError))
            if self._limiter.circuit_open and not self._limiter.is_closed:
                text = f"no row gets a usable answer any more ({error.message}); the rest of the batch was not begun"
                advice = "see what is wrong, then run the same batch again"
                self._failure = self._failure or TransportError(text, advice=advice)
                self._end()
        elif not result.outcome.is_earlier:
            # What the journal has on record says nothing about Vipps.
            self._limiter.row_answered()


async def rows_of(source: Rows) -> AsyncIterator[BatchRow]:
    """Go through the rows of any source, in constant memory and without blocking the loop.

    Raises:
        InvalidInputError: it is no iterable, or gives something that is no row.
    """
    if isinstance(source, AsyncIterable):
        async for row in source:
            yield _checked(row)
    elif isinstance(source, list | tuple):
        for row in source:
            yield _checked(row)
    elif isinstance(source, Iterable):
        rows = iter(source)
        while chunk := await asyncio.to_thread(_gathered, rows):
            for row in chunk:
                yield _checked(row)
    else:
        raise InvalidInputError("rows", "an iterable or async iterable of BatchRow", value=type(source).__name__)


def _gathered(rows: Iterator[BatchRow]) -> list[BatchRow]:
    chunk: list[BatchRow] = []
    until = time.monotonic() + _GATHERING
    for row in itertools.islice(rows, _CHUNK):
        chunk.append(row)
        if time.monotonic() >= until:
            break
    return chunk


def _checked(row: object) -> BatchRow:
    if not isinstance(row, BatchRow):
        raise InvalidInputError("rows", "an iterable or async iterable of BatchRow", value=type(row).__name__)
    return row
