"""Runs handlers in the background: bounded, journalled, redelivered until they succeed, drained on shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import hashlib
import inspect
import logging
import uuid
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from attrs import field, frozen

from vipps_async.core.events import EventLog, place_of
from vipps_async.errors import CallbackError, JournalError
from vipps_async.journals.entries import Intent, Outcome, Settlement
from vipps_async.journals.protocol import AcquireResult, Journal
from vipps_async.receiver._limits import Counts, Limits
from vipps_async.receiver._source import Handler, Notification, Source
from vipps_async.session import VippsSession

#: How much longer than its handler may run an entry is leased, in seconds: for cancelling and settling.
_LEASE_MARGIN = 60.0
#: How often the pause before calling a failing handler again is doubled.
_DOUBLINGS = 6
#: Failing events that are remembered; of others, the pause begins anew.
_MAX_FAILING = 10_000
#: Events handled that are remembered where no journal does: Vipps delivers again within hours what it saw unanswered.
_MAX_HANDLED = 10_000
#: Stands where an entry has a payment, and cannot be the id of one.
_NO_PAYMENT = "(none)"
#: ISO 4217's code where no currency is involved: what an event says of an amount proves nothing.
_NO_CURRENCY = "XXX"


class ReceiverLog(EventLog):
    """Logs kinds, payments, statuses and classes of errors, never what was received."""

    def info(self, name: str, **fields: object) -> None:
        """Log at level info; fields that are None or empty are left out."""
        self._log(logging.INFO, name, fields)

    def warn(self, name: str, **fields: object) -> None:
        """Log at level warning."""
        self._log(logging.WARNING, name, fields)

    def journal_error(self, doing: str, error: str) -> None:
        """Log that the journal could not be read or written."""
        self.warn("vipps.inbound_journal_failed", doing=doing, error=error)

    def _log(self, level: int, name: str, fields: dict[str, object]) -> None:
        if self._wants(level):
            self._write(level, name, {field: value for field, value in fields.items() if value not in {None, ""}})


class HandlerThreads:
    """Runs handlers: coroutines on the loop, plain functions in threads, where they cannot block it.

    Args:
        count: how many plain functions run at the same time.
        name: what the threads are called.
    """

    def __init__(self, count: int, name: str) -> None:
        # Not the loop's own pool: handlers that hang would take file access and name look-ups along.
        self._threads = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def run(self, handler: Handler, *arguments: object) -> object:
        """Run a handler to its end and return what it returns.

        Raises:
            BaseException: whatever the handler raises.
        """
        result: object
        if is_async(handler):
            result = handler(*arguments)
        else:
            context = contextvars.copy_context()
            result = await asyncio.get_running_loop().run_in_executor(
                self._threads, lambda: context.run(_call, handler, *arguments)
            )
        # A plain function may return a coroutine, as a lambda around a coroutine function does.
        return await result if inspect.isawaitable(result) else result

    def close(self) -> None:
        """Start no more handlers. One that runs in a thread runs on: threads cannot be stopped."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _call(handler: Handler, *arguments: object) -> object:
    try:
        return handler(*arguments)
    except StopIteration as error:
        # A future does not take this one, and whoever waits for it would wait for ever.
        raise RuntimeError("the handler raised StopIteration") from error


def is_async(handler: object) -> bool:
    """Whether a handler is a coroutine function, or an object that is called as one."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004 - asks what kind of function it is, not whether there is one


@frozen
class _Work:
    """An event and the call of its handler."""

    source: Source
    event: Notification
    intent: Intent
    #: Who has leased the intent's entry; fresh for each time that its handler is called.
    owner: str = field(init=False, factory=lambda: uuid.uuid4().hex)


class HandlerWorker:
    """Runs the handlers of notifications of one session, from `start` to `stop`."""

    def __init__(
        self, session: VippsSession, sources: tuple[Source, ...], limits: Limits, counts: Counts, log: ReceiverLog
    ) -> None:
        self.session = session
        self.is_stopping = False
        self._journal: Journal | None = session.journal
        self._sources = {(source.api, kind): source for source in sources for kind in source.handlers}
        self._limits = limits
        self._counts = counts
        self._log = log
        self._lease = limits.handler_timeout + _LEASE_MARGIN
        self._threads = HandlerThreads(limits.threads, "vipps-handlers")
        self._running: dict[tuple[str, ...], asyncio.Task[None]] = {}
        self._handlers: set[asyncio.Task[object]] = set()
        #: Of events whose handlers have failed: how often, and until when they are left alone.
        self._failures: dict[str, tuple[int, float]] = {}
        #: Without a journal: the events that were handled, oldest first.
        self._handled: dict[tuple[str, ...], None] = {}
        self._room = asyncio.Event()
        self._wants_room = False
        self._redelivering: asyncio.Task[None] | None = None

    @property
    def running(self) -> int:
        """How many handlers are running."""
        return len(self._running)

    @property
    def _has_room(self) -> bool:
        return not self.is_stopping and len(self._running) < self._limits.max_handlers

    def start(self) -> None:
        """Start to redeliver the events that the journal has from before."""
        if self._journal is not None:
            self._redelivering = asyncio.create_task(self._redeliver_forever(self._journal), name="vipps redelivery")

    async def stop(self) -> None:
        """Start no more handlers, wait for those that run, cancel those that run too long."""
        self.is_stopping = True
        try:
            if self._redelivering is not None:
                self._redelivering.cancel()
                await asyncio.wait({self._redelivering})
                if not self._redelivering.cancelled():
                    # It ends by itself only by a mistake, which must not go unseen.
                    self._redelivering.result()
            if self._running:
                await asyncio.wait(self._running.values(), timeout=self._limits.drain_timeout)
        finally:
            for handler in tuple(self._handlers):
                handler.cancel()
            try:
                if self._running:
                    await asyncio.wait(self._running.values(), timeout=self._limits.cancel_timeout)
            finally:
                # Who does not even heed that is left to the loop; the entry stays leased.
                for task in tuple(self._running.values()):
                    task.cancel()
                self._threads.close()

    async def accept(self, source: Source, kind: str, event: Notification) -> tuple[str, bool]:
        """Make an event durable, and run its handler if there is room.

        Returns:
            What was done with it, and whether Vipps gets a success: it is durable, or the session has no journal and
            its handler has begun.
        """
        work = _Work(source, event, self._intent(source.api, kind, event))
        if work.intent.identity in self._running or work.intent.identity in self._handled:
            self._counts.duplicates += 1
            return "duplicate", True
        is_durable = False
        if self._journal is not None:
            try:
                async with asyncio.timeout(self._limits.journal_timeout):
                    acquired, _ = await self._journal.begin(work.intent, owner=work.owner, lease=self._lease)
            except (JournalError, TimeoutError) as error:
                self._counts.not_journalled += 1
                self._log.journal_error("writing an event", type(error).__name__)
            else:
                if acquired is not AcquireResult.ACQUIRED:
                    self._counts.duplicates += 1
                    return "duplicate", True
                is_durable = True
        if self._has_room:
            self._run(work)
            # Not durable, it may still be lost: Vipps is told the truth, though it may not ask again.
            return "started", is_durable or self._journal is None
        if is_durable:
            await self._postpone(work)
            return "postponed", True
        self._counts.rejected += 1
        return "rejected", False

    def _intent(self, api: str, kind: str, event: Notification) -> Intent:
        return Intent(
            # Where nothing tells a duplicate from later news, each is handled: handlers bear duplicates anyway.
            key=event.dedup_key or uuid.uuid4().hex,
            api=api,
            operation=kind,
            payment=event.payment or _NO_PAYMENT,
            merchant_serial_number=self.session.merchant_serial_number,
            amount=None,
            currency=_NO_CURRENCY,
            digest=hashlib.sha256(event.record).hexdigest(),
            body=event.record,
            created_at=datetime.now(UTC),
            adjusts=False,
        )

    async def _postpone(self, work: _Work) -> None:
        self._wants_room = True
        await self._release(work, "there was no room for its handler")

    # -- one handler -------------------------------------------------------------------------------------------------

    def _run(self, work: _Work) -> None:
        task = asyncio.create_task(self._handle(work), name=f"vipps {work.intent.name} {work.event.payment}")
        self._running[work.intent.identity] = task
        task.add_done_callback(lambda _: self._ended(work))

    def _ended(self, work: _Work) -> None:
        self._running.pop(work.intent.identity, None)
        # At half, so that the journal is not read anew for each single one.
        if self._wants_room and len(self._running) <= self._limits.max_handlers // 2:
            self._wants_room = False
            self._room.set()

    async def _handle(self, work: _Work) -> None:
        handler = work.source.handlers.get(work.intent.operation)
        if handler is None:
            # Journalled by an earlier version of the application, which had a handler for it.
            await self._retry_later(work, "there is no handler for it")
            return
        task = asyncio.create_task(self._threads.run(handler, work.event, self.session), name="vipps handler")
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)
        # A thread cannot be cancelled: to give up on it would be to run it twice at the same time.
        can_be_cancelled = is_async(handler)
        try:
            await asyncio.wait({task}, timeout=self._limits.handler_timeout if can_be_cancelled else None)
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        except asyncio.CancelledError:
            self._failed(work, "abandoned")
            raise
        if task.cancelled() and not can_be_cancelled:
            # It may be running still; its entry can be taken over when the lease ends.
            self._failed(work, "abandoned")
        elif task.cancelled():
            await self._retry_later(work, "CancelledError" if self.is_stopping else "TimeoutError")
        elif (error := task.exception()) is not None:
            await self._retry_later(work, type(error).__name__, place_of(error))
        elif work.event.is_pending:
            # Whatever the handler made of that: an event may come before the API knows what it tells of.
            await self._retry_later(work, "NoOutcomeYet")
        else:
            await self._succeeded(work)

    async def _succeeded(self, work: _Work) -> None:
        self._counts.handled += 1
        self._failures.pop(work.intent.key, None)
        kind, payment = work.intent.name, work.event.payment
        self._log.info("vipps.inbound_handled", kind=kind, payment=payment)
        if self._journal is None:
            self._handled[work.intent.identity] = None
            if len(self._handled) > _MAX_HANDLED:
                del self._handled[next(iter(self._handled))]
        else:
            settlement = Settlement(outcome=Outcome.DONE, answer=b"{}", settled_at=datetime.now(UTC))
            try:
                await self._journal.settle(work.intent, settlement, owner=work.owner)
            except JournalError as error:
                self._log.journal_error("settling an event", type(error).__name__)

    def _failed(self, work: _Work, why: str, place: str = "") -> None:
        self._counts.failed += 1
        again = self._journal is not None
        kind, payment = work.intent.name, work.event.payment
        self._log.warn("vipps.inbound_failed", kind=kind, payment=payment, error=why, place=place, redelivered=again)

    async def _retry_later(self, work: _Work, why: str, place: str = "") -> None:
        self._failed(work, why, place)
        failures, _ = self._failures.pop(work.intent.key, (0, 0.0))
        pause = self._limits.redeliver_after * 2 ** min(failures, _DOUBLINGS)
        self._failures[work.intent.key] = failures + 1, asyncio.get_running_loop().time() + pause
        if len(self._failures) > _MAX_FAILING:
            del self._failures[next(iter(self._failures))]
        await self._release(work, f"its handler ended with {why}")

    async def _release(self, work: _Work, why: str) -> None:
        if self._journal is not None:
            try:
                await self._journal.release(work.intent, note=why, owner=work.owner)
            except JournalError as error:
                # Its lease ends all the same.
                self._log.journal_error("releasing an event", type(error).__name__)

    # -- redelivery --------------------------------------------------------------------------------------------------

    async def _redeliver_forever(self, journal: Journal) -> None:
        while True:
            try:
                await self._redeliver(journal)
            except JournalError as error:
                self._log.journal_error("redelivering events", type(error).__name__)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.redeliver_after):
                    await self._room.wait()
            self._room.clear()

    async def _redeliver(self, journal: Journal) -> None:
        entries = journal.open_entries(merchant_serial_number=self.session.merchant_serial_number)
        try:
            async for entry in entries:
                source = self._sources.get((entry.intent.api, entry.intent.operation))
                if source is None or entry.intent.identity in self._running or self._is_pausing(entry.intent):
                    continue
                if not self._has_room:
                    self._wants_room = True
                    return
                await self._take_over(journal, source, entry.intent)
        finally:
            if isinstance(entries, AsyncGenerator):
                await entries.aclose()

    async def _take_over(self, journal: Journal, source: Source, intent: Intent) -> None:
        body, event = intent.body or b"", None
        if hashlib.sha256(body).hexdigest() == intent.digest:
            with contextlib.suppress(CallbackError):
                event = source.restore(intent.operation, body)
        if event is None or (event.payment or _NO_PAYMENT) != intent.payment:
            self._log.journal_error("reading an event", "DamagedEntry")
            return
        work = _Work(source, event, intent)
        acquired, _ = await journal.claim(intent, owner=work.owner, lease=self._lease)
        # Asked again: the same news may have come in, or the last room been taken, while the journal was busy.
        if acquired is not AcquireResult.ACQUIRED or intent.identity in self._running:
            return
        if not self._has_room:
            await self._postpone(work)
            return
        self._counts.redelivered += 1
        self._run(work)

    def _is_pausing(self, intent: Intent) -> bool:
        # Half a pause early rather than half a pause late: the journal is looked through once a pause.
        _, until = self._failures.get(intent.key, (0, 0.0))
        return asyncio.get_running_loop().time() < until - self._limits.redeliver_after / 2
