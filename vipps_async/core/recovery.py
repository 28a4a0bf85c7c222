"""Settles the open entries of a journal, in lanes: those of one payment in order, others concurrently."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Callable, Collection
from typing import Any

from attrs import evolve

from vipps_async.core.open_entry import RUN, Lane, OpenEntry, RecoveryRun
from vipps_async.core.open_operations import OpenOperations, count_open
from vipps_async.core.operation import Call
from vipps_async.core.recorder import Recorder
from vipps_async.core.recovery_limit import RecoveryLimiter
from vipps_async.core.recovery_report import MOST_NAMED, LeftOpen, RecoveryReport
from vipps_async.core.stored_error import dropped_text, write_drop
from vipps_async.journals.entries import Entry, Intent
from vipps_async.journals.protocol import AcquireResult

#: Capacity of each lane's queue, in entries.
_AHEAD = 4


class Recovery:
    """Settles the open entries of one sales unit. Safe to run twice, concurrently, and beside new calls.

    An entry belongs to whoever holds its lease, so a call that is under way is left alone, and of two recoveries only
    one leases an entry. Entries of one payment are settled in the order in which they were begun: a refund must
    not be refused because the capture before it is still waiting to be sent again.

    How many are in work follows from how Vipps answers; see `RecoveryLimiter`.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        rebuild: Callable[[Intent], Call[Any]],
        moved: Callable[[Intent, Any], int | None],
        passed_over: Collection[str] = (),
    ) -> None:
        """Make a recovery for the journal of a recorder.

        Args:
            recorder: holds the journal, and sends again what has to be.
            rebuild: makes the call that an intent was written for; raises JournalError if it does not know how.
            moved: reads from the result of such a call how much money it moved, in minor units; None: none, or it does
                not tell.
            passed_over: names of entries that are no operations, and that somebody else sees to.
        """
        self._recorder = recorder
        self._passed_over = passed_over
        self._rebuild = rebuild
        self._moved = moved

    async def run(
        self,
        *,
        concurrency: int,
        progress: Callable[[RecoveryReport], None] | None = None,
        send: Collection[str] = (),
        leave: Collection[str] = (),
        stop: asyncio.Event | None = None,
    ) -> RecoveryReport:
        """Settle what can be settled, and return what was done.

        Args:
            concurrency: how many entries are in work at the same time, at most.
            send: the keys of entries that are to be sent again though they were refused, overtaken or dropped.
            progress: called after each entry, with the report as it is then.
            leave: payments of which nothing is looked at, nor sent.
            stop: once it is set nothing more is begun, and what is in work is finished.

        Raises:
            ConfigurationError: the session is closed.
            JournalError: the journal itself cannot be read or written.
        """
        await self._recorder.open()
        now, report = asyncio.get_running_loop().time, RecoveryReport()
        limiter = RecoveryLimiter(most=concurrency, now=now)
        run = RecoveryRun(limiter, now, report, progress, frozenset(send))
        lanes = [Lane(asyncio.Queue(_AHEAD)) for _ in range(concurrency)]
        watcher = None if stop is None else asyncio.create_task(_close_when_set(stop, limiter))
        try:
            with (
                self._recorder.log.listening(run.attempted),
                self._recorder.listening_for_overruled(report.add_overruled),
            ):
                report.damaged += (await self._recorder.damaged())[:MOST_NAMED]
                await self._settle_all(run, lanes, leave)
                await self._recorder.flush()
        except BaseExceptionGroup as failures:
            # The caller gets the error itself; the others of the group are the same failing store in other lanes.
            raise failures.exceptions[0] from None
        finally:
            if watcher is not None:
                watcher.cancel()
                await asyncio.wait([watcher])
        if reason := limiter.stopped or ("it was told to stop" if limiter.is_closed else ""):
            report.stopped = f"{reason}; what is not counted here is open"
        return report

    async def unfinished(self, payment: str) -> list[LeftOpen]:
        """Return the operations of one payment that are open, oldest first.

        Args:
            payment: the payment, as its API calls it.

        Raises:
            ConfigurationError: the session is closed.
            JournalError: the journal cannot be read.
        """
        entries = await self._recorder.entries_of(payment)
        return [
            LeftOpen(intent=entry.intent, reason=entry.note)
            for entry in entries
            if entry.settlement is None and entry.intent.operation not in self._passed_over
        ]

    async def count_open(self, *, unit: str | None) -> OpenOperations:
        """Count what the journal has open of a sales unit; None: of all of them.

        Raises:
            ConfigurationError: the session is closed.
            JournalError: the journal cannot be read.
        """
        await self._recorder.open()
        return await count_open(self._recorder.journal, unit=unit, passed_over=self._passed_over)

    async def drop(self, payment: str, key: str) -> bool:
        """Decide that an open entry is never sent again; it is settled beyond the horizon, by what its history shows.

        Args:
            payment: the payment, as its API calls it.
            key: the entry's key.

        Returns:
            Whether there was such an open entry, leased by nobody.

        Raises:
            ConfigurationError: the session is closed.
            JournalError: the journal cannot be read or written.
        """
        for entry in await self._recorder.entries_of(payment):
            if entry.intent.key != key or entry.settlement is not None or entry.intent.operation in self._passed_over:
                continue
            acquired, mine, owner = await self._recorder.claim(entry)
            if acquired is not AcquireResult.ACQUIRED:
                continue
            attempts = evolve(mine.attempts, refusal=write_drop(self._recorder.now()))
            note = f"{dropped_text(attempts)}: it is not sent again"
            await self._recorder.release(entry.intent, note, owner=owner, attempts=attempts)
            await self._recorder.flush()
            return True
        return False

    async def _settle_all(self, run: RecoveryRun, lanes: list[Lane], leave: Collection[str]) -> None:
        async with asyncio.TaskGroup() as group:
            for lane in lanes:
                group.create_task(self._work(lane, run))
            async with contextlib.aclosing(self._recorder.open_entries()) as entries:
                async for entry in entries:
                    if run.limiter.is_closed:
                        break
                    if entry.intent.operation in self._passed_over or entry.intent.payment in leave:
                        continue
                    # Any hash will do that gives one payment one lane.
                    await lanes[zlib.crc32(entry.intent.payment.encode()) % len(lanes)].queue.put(entry)
            for lane in lanes:
                await lane.queue.put(None)

    async def _work(self, lane: Lane, run: RecoveryRun) -> None:
        RUN.set(run)
        while (found := await lane.queue.get()) is not None:
            # Nothing is leased while it waits: what is not begun is free for others.
            if run.limiter.is_closed or not await run.limiter.acquire():
                continue
            try:
                await self._lease_and_settle(found, lane, run)
            finally:
                run.limiter.release()

    async def _lease_and_settle(self, found: Entry, lane: Lane, run: RecoveryRun) -> None:
        report = run.report
        acquired, entry, owner = await self._recorder.claim(found)
        report.seen += 1
        if acquired is AcquireResult.ACQUIRED:
            await self._settle_leased(
                OpenEntry(self._recorder, self._rebuild, self._moved, entry, owner, lane, run), entry
            )
        elif acquired is AcquireResult.SETTLED:
            report.settled_meanwhile += 1
        else:
            lane.blocked.add(entry.intent.payment)
            report.leased_elsewhere += 1
            until = report.leased_elsewhere_until
            report.leased_elsewhere_until = entry.lease_until if until is None else max(until, entry.lease_until)
        if run.progress is not None:
            run.progress(report)

    async def _settle_leased(self, settling: OpenEntry, entry: Entry) -> None:
        try:
            await settling.run()
        except GeneratorExit:
            raise
        except BaseException:
            # Cancelled, or the store failed in another lane.
            await self._recorder.give_back(entry, settling.owner)
            raise


async def _close_when_set(stop: asyncio.Event, limiter: RecoveryLimiter) -> None:
    await stop.wait()
    limiter.close()
