"""Carries out one chunk at the rate that all workers share: its rows under a fence, their results, its end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import structlog
from attrs import Factory, define, field

from vipps_async.apis import session_api
from vipps_async.batch.distributed import OtherSettingsError
from vipps_async.batch.distributed import sql as statements
from vipps_async.batch.distributed.chunks import ChunkRow, Chunks, ClaimedChunk, LostError
from vipps_async.batch.distributed.database import BatchDatabase
from vipps_async.batch.distributed.fence import HEARTBEAT_EVERY, STALE_AFTER, current_fence
from vipps_async.batch.holding import holds_of
from vipps_async.batch.many import carry_out_many
from vipps_async.batch.results import RowOutcome, RowResult
from vipps_async.core.batch import BatchOperation, BatchRow
from vipps_async.errors import AuthenticationError, JournalError, RateLimitedError, TransportError, VippsError
from vipps_async.session import VippsSession

#: Results that are saved in one go, and how long the first of them may wait, in seconds.
_SAVE, _SAVE_EVERY = 200, 0.5
#: Rows that are held against the journal in one question: few, so that it is asked shortly before they are begun.
_HOLD = 50
#: How long rows rest before they are tried again, in seconds: as within a batch on one machine; after Vipps was out of
#: reach for minutes; after the database was.
_PAUSE, _AFTER_OUTAGE, _AFTER_DATABASE = 5.0, 30.0, 2.0
#: For how long Vipps counts what it limits: five captures a minute of one payment.
_LIMIT_PASSES = 60.0
#: For how long the end of a chunk is tried to be written down while the database is away, and how often, in seconds.
_PATIENCE, _TRY_EVERY = 60.0, 0.5
#: What the journal notes of what a worker left open.
_LEFT = "the worker that had leased it has lost it"

#: How many seconds' worth of slots a worker takes at a time: at 1 ms each, ten workers keep the row busy a tenth of the
#: time.
_LOT = 0.1
#: The most slots of a lot: a worker that ends with a lot of its own wastes no more.
_LARGEST_LOT = 20
#: How many seconds late a slot may be used: what a busy loop needs. Later, it is lost.
_GRACE = 0.1

_log = structlog.stdlib.get_logger("vipps_async")


class SharedRateLimiter:
    """Hands out the slots of one batch to one worker; see `vipps_async.core.rate_limit.SlotSource`.

    The database lays all slots of a batch one after the other, whoever takes them, so all workers together begin no
    more rows than the rate allows, in any second, but for those of `_GRACE`; and fewer where a worker lets slots lapse.
    """

    def __init__(self, database: BatchDatabase, batch: int, rate: float, *, stop: asyncio.Event) -> None:
        """Begin with no slots.

        Args:
            database: where the batch is.
            batch: its id.
            rate: rows a second over all workers.
            stop: once it is set nobody is kept waiting.
        """
        self._database = database
        self._batch = batch
        self._interval = 1.0 / rate
        self._size = max(1, min(_LARGEST_LOT, round(rate * _LOT)))
        self._stop = stop
        self._now = asyncio.get_running_loop().time
        self._lot: list[float] = []
        self._lock = asyncio.Lock()

    async def slot(self, now: float) -> float:  # noqa: ARG002 - it may have passed while others were served
        """Wait for a slot. Those behind have none reserved, so a worker that ends wastes no more than a lot."""
        async with self._lock:
            if self._stop.is_set():
                return 0.0
            while self._lot and self._lot[-1] < self._now() - _GRACE:
                self._lot.pop()
            if not self._lot and not await self._fill():
                return 0.0
            if (seconds := self._lot.pop() - self._now()) > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._stop.wait()
            return 0.0

    async def _fill(self) -> bool:
        lasts = self._size * self._interval
        try:
            found = await self._database.rows(statements.TAKE_SLOTS, (lasts, self._batch))
        except JournalError:
            # Without the database nothing is sent in any case: the journal refuses to begin.
            return False
        first = self._now() + found[0][0] - lasts
        # The last one first: they are taken from the end.
        self._lot = [first + number * self._interval for number in reversed(range(self._size))]
        return True


@define
class WorkDone:
    """What this worker has done so far."""

    #: Chunks that it has worked on, and given back or ended.
    chunks: int = 0
    outcomes: Counter[RowOutcome] = Factory(Counter)


@define(eq=False)
class _ChunkRun:
    """One chunk in work."""

    claim: ClaimedChunk
    stop: asyncio.Event
    #: Results that are not saved yet.
    unsaved: list[RowResult] = Factory(list)
    saved_at: float = field(factory=time.monotonic)
    #: What ended it before its rows had ended.
    failure: VippsError | None = None
    keys_refused: bool = False
    #: Whether a row was not done because Vipps takes only so many of its kind a minute.
    throttled: bool = False
    answered: bool = False


class ChunkRunner:
    """Carries out chunks, any number at a time, with one session whose journal and transport know the fence."""

    def __init__(
        self,
        database: BatchDatabase,
        chunks: Chunks,
        session: VippsSession,
        *,
        name: str,
        concurrency: int,
    ) -> None:
        """Make it ready.

        Args:
            database: where the batches are.
            chunks: what may be done to chunks there.
            session: who carries rows out; its journal asks for `current_guard`, its transport is a `FencedTransport`.
            name: the worker's, for people.
            concurrency: the most rows of one chunk at once.
        """
        self._database = database
        self._chunks = chunks
        self._session = session
        self._name = name
        self._concurrency = concurrency
        self._runs: set[_ChunkRun] = set()
        self._tasks: set[asyncio.Task[object]] = set()
        self._draining = False
        self.done: WorkDone = WorkDone()
        #: Why this worker should take no more chunks; empty as long as it may.
        self.stop_reason: str = ""
        #: Whether that is because a batch is of other settings.
        self.has_other_settings: bool = False

    @property
    def is_at_work(self) -> bool:
        """Whether it has a chunk."""
        return bool(self._tasks)

    def drain(self) -> None:
        """Begin no more rows: what is on its way is finished, and the rest of each chunk given back."""
        self._draining = True
        for run in self._runs:
            run.stop.set()

    def kill(self) -> None:
        """End at once; what is on its way is open in the journal, and the chunks go to others when they are missed."""
        self.drain()
        for task in self._tasks:
            task.cancel()

    async def run(self, batch: int, chunk: int) -> None:
        """Carry out a chunk, unless it has ended or another worker is at it.

        Raises:
            OtherSettingsError: the batch is of another sales unit, environment or host.
            JournalError: the database failed, for longer than a restart takes.
        """
        claim = None
        if not self._draining:
            claim = await self._claim(batch, chunk)
        elif await self._chunks.give_up_job(batch, chunk):
            return
        if claim is None:
            return
        run = _ChunkRun(claim, asyncio.Event())
        before = current_fence.set(claim.fence)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker; a coroutine that runs is in one
        heartbeat = asyncio.create_task(self._send_heartbeats(run), name="vipps batch: sign of life")
        self._runs.add(run)
        self._tasks.add(task)
        if self._draining:
            run.stop.set()
        try:
            await self._carry_out(run)
            await self._end(run)
            self.done.chunks += 1
        except LostError:
            _log.warning("vipps.batch.chunk_lost", batch=batch, chunk=chunk, worker=self._name)
        finally:
            self._runs.discard(run)
            self._tasks.discard(task)
            heartbeat.cancel()
            await asyncio.wait({heartbeat})
            current_fence.reset(before)

    async def _claim(self, batch: int, chunk: int) -> ClaimedChunk | None:
        try:
            return await self._chunks.claim(
                batch,
                chunk,
                owner=self._name,
                merchant_serial_number=self._session.merchant_serial_number,
                environment=self._session.environment.value,
                base_url=self._session.base_url,
            )
        except OtherSettingsError as error:
            # Its job goes to another worker. This one ends: trying again and again would only stall the batch.
            self.stop_reason = str(error)
            self.has_other_settings = True
            raise

    async def _send_heartbeats(self, run: _ChunkRun) -> None:
        """Show that the worker is alive, until the chunk is lost or given back: a cancellation may get lost."""
        while run in self._runs:
            await asyncio.sleep(HEARTBEAT_EVERY)
            try:
                async with asyncio.timeout(STALE_AFTER):
                    is_withdrawn = await self._chunks.heartbeat(run.claim.fence)
                if is_withdrawn:
                    run.stop.set()
            except LostError:
                run.stop.set()
                return
            except (JournalError, TimeoutError):
                # The fence closes by itself, and opens when the database answers that nobody has taken the chunk.
                continue

    async def _carry_out(self, run: _ChunkRun) -> None:
        claim = run.claim
        try:
            found = await self._chunks.rows(claim)
            if claim.again:
                await self._free(claim, [each.row for each in found])
            async with aclosing(self._results(run, self._not_held(run, found))) as results:
                async for result in results:
                    self._count(run, result)
                    run.unsaved.append(result)
                    if len(run.unsaved) >= _SAVE or time.monotonic() - run.saved_at >= _SAVE_EVERY:
                        await self._save(run)
        except LostError:
            raise
        except VippsError as error:
            run.failure = error

    async def _not_held(self, run: _ChunkRun, found: Sequence[ChunkRow]) -> AsyncGenerator[BatchRow, None]:
        """Give rows on as they are about to be begun, but for those that meet what was begun or done since `submit`.

        By the rules of `vipps_async.batch.holding`, as on one machine.
        """
        claim, journal = run.claim, self._session.journal
        assert journal is not None  # noqa: S101 - as above
        api, operation, msn = claim.api, claim.operation, claim.merchant_serial_number
        damaged = await journal.damaged(only_open=True)
        siblings = await self._chunks.rows_of_payments(claim)
        for begin in range(0, len(found), _HOLD):
            page = [(each.row, each.another) for each in found[begin : begin + _HOLD]]
            holds = await holds_of(page, api, operation, msn, journal, damaged_open=damaged, siblings=siblings)
            for (row, _), hold in zip(page, holds, strict=True):
                if hold is None:
                    yield row
                    continue
                key = row.idempotency_key(operation, msn)
                result = RowResult(
                    row=row, outcome=RowOutcome.HELD, idempotency_key=key, hint=hold.reason, cause=hold.cause
                )
                self._count(run, result)
                run.unsaved.append(result)

    async def _save(self, run: _ChunkRun) -> None:
        run.saved_at = time.monotonic()
        try:
            await self._flush()
            await self._chunks.save(run.claim, run.unsaved)
        except LostError:
            # Its other rows end by themselves: they can neither be begun nor sent any more.
            run.stop.set()
            raise
        except JournalError:
            # Kept, and saved with the next ones.
            return
        run.unsaved.clear()

    async def _flush(self) -> None:
        """Let the journal know first: a row that has ended is not looked at again, and must not be open there."""
        assert self._session.journal is not None  # noqa: S101 - a batch has one
        await self._session.journal.flush()

    def _count(self, run: _ChunkRun, result: RowResult) -> None:
        self.done.outcomes[result.outcome] += 1
        run.throttled = run.throttled or isinstance(result.error, RateLimitedError)
        if isinstance(result.error, AuthenticationError):
            run.keys_refused = True
        elif result.outcome.is_final:
            run.answered = True

    async def _free(self, claim: ClaimedChunk, rows: list[BatchRow]) -> None:
        """End the leases of whoever had the chunk before: with the epoch it has lost the right to go on with them."""
        journal = self._session.journal
        assert journal is not None  # noqa: S101 - as above
        operation, msn = claim.operation, claim.merchant_serial_number
        keys = {row.idempotency_key(operation, msn) for row in rows}
        payments = {row.payment for row in rows}
        # A cancel may have a key of the journal's own making.
        cancels = operation is BatchOperation.CANCEL
        async for entry in journal.open_entries(merchant_serial_number=msn):
            intent = entry.intent
            ours = intent.payment in payments if cancels else intent.key in keys
            if ours and (intent.api, intent.operation) == (claim.api.name, operation.value) and entry.owner:
                await journal.release(intent, note=_LEFT, owner=entry.owner)

    def _results(self, run: _ChunkRun, rows: AsyncGenerator[BatchRow, None]) -> AsyncGenerator[RowResult, None]:
        claim, stop = run.claim, run.stop
        rate = None if claim.rate is None else SharedRateLimiter(self._database, claim.batch, claim.rate, stop=stop)
        return carry_out_many(
            session_api(self._session, claim.api),
            rows,
            claim.operation,
            release_remaining=claim.release_remaining,
            concurrency=self._concurrency,
            rate=rate,
            stop=stop,
        )

    async def _end(self, run: _ChunkRun) -> None:
        """Write the end down; while the database is away, wait for it: the chunk is ours as long as nobody took it."""
        wait, counts = _rest(run)
        if isinstance(run.failure, TransportError) and run.keys_refused and not run.answered:
            self.stop_reason = run.failure.message
        note = "" if run.failure is None else run.failure.message
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                await self._flush()
                await self._chunks.finish(run.claim, run.unsaved, note=note, wait=wait, counts=counts)
            except LostError:
                raise
            except JournalError:
                if time.monotonic() >= until:
                    raise
                await asyncio.sleep(_TRY_EVERY)
            else:
                return


def _rest(run: _ChunkRun) -> tuple[float, bool]:
    """Tell for how many seconds rows that are left should rest, and whether this was one of their tries."""
    failure = run.failure
    if isinstance(failure, JournalError) or run.claim.fence.has_barred:
        # The database was away, or this machine stood still: neither is about the rows.
        return _AFTER_DATABASE, False
    if isinstance(failure, TransportError):
        # Keys that are refused are this worker's trouble, not that of the rows: another worker may have better ones.
        return _AFTER_OUTAGE, run.answered or not run.keys_refused
    if run.throttled:
        # A limit that passes is waited for, and is none of the tries.
        return _LIMIT_PASSES, False
    interrupted = failure is None and run.stop.is_set()
    return (0.0, False) if interrupted else (_PAUSE, True)
