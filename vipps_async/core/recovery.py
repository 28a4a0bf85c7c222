"""Settles what a journal has open: the history proves it done, or it is sent again, or left open with the reason."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import zlib
from collections.abc import Callable, Collection
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any

from attrs import define, evolve, field

from vipps_async.core.open_operations import OpenOperations, count_open
from vipps_async.core.operation import Applied, Call, Evidence, Inconclusive, NotApplied, Repeat
from vipps_async.core.recorder import OUTCOMES, Recorder, answer_record
from vipps_async.core.recovery_limit import RecoveryLimiter
from vipps_async.core.recovery_report import MOST_NAMED, LeftOpen, RecoveryReport, Refused
from vipps_async.core.stored_error import is_permanent, stored_error, write_stored_error
from vipps_async.core.verdict import LOOKS_APART, Facts, Verdict, decide
from vipps_async.errors import ApiError, JournalError, OrderNotFoundError, VippsError
from vipps_async.journals.protocol import AcquireResult, Attempts, Entry, Intent, KeyOrigin, Outcome

__all__ = ["Recovery"]

#: Capacity of each lane's queue, in entries.
_AHEAD = 4
#: How long a payment can be accepted by its customer (five minutes for the link, five in the app), and a margin: an
#: initiate that may still arrive within it is not settled as never arrived.
_PAYMENT_LIVES = timedelta(minutes=11)
#: Statuses by which it is not the payment that was looked at: keys, limits, a server in trouble.
_NO_ANSWER = frozenset({401, 403, 408, 425, 429})


@define(eq=False)
class _Lane:
    """A worker. All entries of a payment go to the same one, which keeps them in order."""

    queue: asyncio.Queue[Entry | None]
    #: Payments of which an entry is not settled: what came after it must not be sent before it.
    blocked: set[str] = field(factory=set)


@define(eq=False)
class _Run:
    """What all lanes of one recovery share."""

    limiter: RecoveryLimiter
    #: Tells the time in monotonic seconds.
    now: Callable[[], float]
    report: RecoveryReport
    progress: Callable[[RecoveryReport], None] | None
    #: Keys of entries that somebody has decided to send again.
    send: frozenset[str]

    def attempted(self, _operation: str, seconds: float, status: int | None) -> None:
        """Note an attempt of this recovery; attempts of live calls in the same session are ignored."""
        if _RUN.get() is self:
            self.limiter.attempted(self.now(), seconds, status)


#: The recovery on whose behalf something is asked or sent.
_RUN: ContextVar[_Run | None] = ContextVar("_RUN", default=None)


class Recovery:
    """Goes through the open entries of one sales unit. Safe to run twice, at once, and beside new work.

    An entry belongs to whoever holds its lease, so a call that is under way is left alone, and of two recoveries only
    one leases an entry. Entries of one payment are settled in the order in which they were begun: a refund must
    not be refused because the capture before it is still waiting to be sent again.

    How many are in work follows from how Vipps answers; see `RecoveryLimiter`.
    """

    def __init__(
        self, recorder: Recorder, *, rebuild: Callable[[Intent], Call[Any]], passed_over: Collection[str] = ()
    ) -> None:
        """Make a recovery for the journal of a recorder.

        Args:
            recorder: holds the journal, and sends again what has to be.
            rebuild: makes the call that an intent was written for; raises JournalError if it does not know how.
            passed_over: names of entries that are no operations, and that somebody else sees to.
        """
        self._recorder = recorder
        self._passed_over = passed_over
        self._rebuild = rebuild

    async def run(
        self,
        *,
        concurrency: int,
        progress: Callable[[RecoveryReport], None] | None = None,
        send: Collection[str] = (),
    ) -> RecoveryReport:
        """Settle what can be settled, and return what was done.

        Args:
            concurrency: how many entries are in work at the same time, at most.
            send: the keys of entries that are to be sent again though they were refused, overtaken or dropped.
            progress: called after each entry, with the report as it is then.

        Raises:
            ConfigurationError: the session is closed.
            JournalError: the journal itself cannot be read or written.
        """
        await self._recorder.open()
        now, report = asyncio.get_running_loop().time, RecoveryReport()
        limiter = RecoveryLimiter(most=concurrency, now=now)
        run = _Run(limiter, now, report, progress, frozenset(send))
        lanes = [_Lane(asyncio.Queue(_AHEAD)) for _ in range(concurrency)]
        try:
            with (
                self._recorder.log.listening(run.attempted),
                self._recorder.listening_for_overruled(report.add_overruled),
            ):
                report.damaged += (await self._recorder.damaged())[:MOST_NAMED]
                await self._settle_all(run, lanes)
                await self._recorder.flush()
        except BaseExceptionGroup as failures:
            # Whoever calls wants the error itself; those beside it are the same store failing in other lanes.
            raise failures.exceptions[0] from None
        if limiter.stopped:
            report.stopped = f"{limiter.stopped}; what is not counted here is open"
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
            Whether there was such an open entry, in nobody's hands.

        Raises:
            ConfigurationError: the session is closed.
            JournalError: the journal cannot be read or written.
        """
        for entry in await self._recorder.entries_of(payment):
            if entry.intent.key != key or entry.settlement is not None or entry.intent.operation in self._passed_over:
                continue
            acquired, mine, owner = await self._recorder.claim(entry.intent)
            if acquired is not AcquireResult.ACQUIRED:
                continue
            dropped = write_stored_error(ApiError("it was dropped before it was known to have taken effect", status=0))
            attempts = evolve(mine.attempts, refusal=dropped)
            await self._recorder.release(entry.intent, "dropped: it is not sent again", owner=owner, attempts=attempts)
            await self._recorder.flush()
            return True
        return False

    async def _settle_all(self, run: _Run, lanes: list[_Lane]) -> None:
        async with asyncio.TaskGroup() as group:
            for lane in lanes:
                group.create_task(self._work(lane, run))
            async with contextlib.aclosing(self._recorder.open_entries()) as entries:
                async for entry in entries:
                    if run.limiter.is_closed:
                        break
                    if entry.intent.operation in self._passed_over:
                        continue
                    # By a hash that is the same everywhere, of no matter but that one payment has one lane.
                    await lanes[zlib.crc32(entry.intent.payment.encode()) % len(lanes)].queue.put(entry)
            for lane in lanes:
                await lane.queue.put(None)

    async def _work(self, lane: _Lane, run: _Run) -> None:
        _RUN.set(run)
        while (found := await lane.queue.get()) is not None:
            # Nothing is in hand while it waits: what is not begun is free for others.
            if run.limiter.is_closed or not await run.limiter.acquire():
                continue
            try:
                await self._look_at(found, lane, run)
            finally:
                run.limiter.release()

    async def _look_at(self, found: Entry, lane: _Lane, run: _Run) -> None:
        report = run.report
        acquired, entry, owner = await self._recorder.claim(found.intent)
        report.seen += 1
        if acquired is AcquireResult.ACQUIRED:
            await self._in_hand(_Settling(self._recorder, self._rebuild, entry, owner, lane, run), entry)
        elif acquired is AcquireResult.SETTLED:
            report.settled_meanwhile += 1
        else:
            lane.blocked.add(entry.intent.payment)
            report.in_other_hands += 1
            until = report.in_other_hands_until
            report.in_other_hands_until = entry.lease_until if until is None else max(until, entry.lease_until)
        if run.progress is not None:
            run.progress(report)

    async def _in_hand(self, settling: _Settling, entry: Entry) -> None:
        try:
            await settling.run()
        except GeneratorExit:
            raise
        except BaseException:
            # Cancelled, or the store failed in another lane: nobody need wait for the lease to end.
            with contextlib.suppress(JournalError):
                await self._recorder.release(
                    entry.intent, entry.note or "a recovery was cut short", owner=settling.owner
                )
            raise


@define(eq=False)
class _Settling:
    """One entry that is in our hands."""

    recorder: Recorder
    rebuild: Callable[[Intent], Call[Any]]
    entry: Entry
    owner: str
    lane: _Lane
    shared: _Run

    @property
    def intent(self) -> Intent:
        return self.entry.intent

    @property
    def report(self) -> RecoveryReport:
        return self.shared.report

    async def run(self) -> None:
        """Settle it, or leave it open with the reason."""
        try:
            call = self.rebuild(self.intent)
        except JournalError as error:
            await self._leave_open(error.message)
            return
        damage = self._damage(call)
        if damage and call.operation.repeat is Repeat.CONFIRM:
            # What such a call asked for stands in its body only, and so does what would prove it.
            await self._leave_open(damage)
            return
        evidence = await self._reconcile(call)
        if isinstance(evidence, Applied):
            await self._proven(call, evidence)
        elif isinstance(evidence, Inconclusive):
            await self._leave_open(evidence.reason)
        elif await self._is_decided(call, evidence):
            return
        elif damage:
            await self._leave_open(damage)
        elif self.intent.payment in self.lane.blocked:
            await self._leave_open("it has not taken effect, and waits for an earlier operation of this payment")
        else:
            await self._send_again(call)

    async def _proven(self, call: Call[Any], evidence: Applied[Any]) -> None:
        await self._settle(Outcome.DONE, answer_record(call, evidence.result))
        self.report.proven += 1
        misfit = call.operation.misfit
        # A payment whose URL its history tells has lost nothing.
        is_lost = call.operation.repeat is Repeat.ONCE and misfit is not None and misfit(call, evidence.result)
        if is_lost and len(self.report.urls_lost) < MOST_NAMED:
            self.report.urls_lost.append(self.intent.payment)
        if evidence.misfit:
            self.report.moved_otherwise.append(LeftOpen(intent=self.intent, reason=evidence.misfit))

    async def _is_decided(self, call: Call[Any], evidence: NotApplied) -> bool:
        """Settle or leave open what is not to be sent again; False: it is to be sent again."""
        attempts, now = self.entry.attempts, self.recorder.now()
        reason = await self._reason_not_to_send(call, evidence)
        if not reason:
            return False
        settle_after = self.recorder.settle_after
        if call.operation.repeat is Repeat.ONCE:
            settle_after = max(settle_after, _PAYMENT_LIVES)
        refusal = stored_error(attempts.refusal, self.recorder.now())
        verdict = decide(
            Facts(
                in_doubt=max(attempts.in_doubt, 1),
                refused_for_good=refusal is not None and is_permanent(refusal, call.operation.dialect),
                evidence=evidence,
                last_attempt_at=attempts.last_at,
                first_look_at=attempts.looked_at,
            ),
            now=now,
            settle_after=settle_after,
        )
        if verdict is not Verdict.OPEN:
            await self._settle(OUTCOMES[verdict], attempts.refusal)
            self._count_refused(f"{reason}; {evidence.reason}", call)
            return True
        horizon = attempts.last_at + settle_after
        decidable = max(horizon, now) if attempts.looked_at is None else max(horizon, attempts.looked_at)
        if now >= horizon:
            first = attempts.looked_at if attempts.looked_at is not None and attempts.looked_at >= horizon else now
            attempts, decidable = evolve(attempts, looked_at=first), first + LOOKS_APART
        else:
            decidable = horizon
        text = f"{reason}; {evidence.reason}; it can be decided after {decidable:%Y-%m-%d %H:%M:%S} UTC"
        # It is not to be sent, so what was begun after it need not wait for it.
        await self._leave_open(text, attempts=attempts, decidable_at=decidable, blocks=False)
        return True

    async def _reason_not_to_send(self, call: Call[Any], evidence: NotApplied) -> str:
        """Say why an operation that has not taken effect is not sent again; empty: it is."""
        attempts = self.entry.attempts
        if evidence.excluded or call.operation.repeat is Repeat.ONCE:
            return "it can take effect no more" if evidence.excluded else "nobody waits for its answer any more"
        if self.intent.key in self.shared.send:
            return ""
        if attempts.refusal:
            return "its last attempt was refused, and an earlier one has no known outcome"
        if evidence.failed >= attempts.begun:
            return "each of its attempts stands in the history as failed"
        return await self._reason_overtaken(call)

    async def _reason_overtaken(self, call: Call[Any]) -> str:
        """Say which later operation may have done what this one was to do; empty: there is none."""
        mine, decide_by_key = self.intent, "send or drop it by its key"
        later = await self._done_later()
        if mine.origin is KeyOrigin.MADE and any(
            other.origin is KeyOrigin.MADE
            and other.name == mine.name
            and (other.amount, other.currency) == (mine.amount, mine.currency)
            for other in later
        ):
            return f"a later operation of the same amount was carried out: {decide_by_key}"
        # A cancel of what was left then would take what is left now.
        if call.operation.repeat is Repeat.CONFIRM and any(one.adjusts and one.name != mine.name for one in later):
            return f"a later operation of the same payment was carried out: {decide_by_key}"
        return ""

    async def _done_later(self) -> list[Intent]:
        """Return the intents of the same payment that were begun later and took effect."""
        return [
            entry.intent
            for entry in await self.recorder.entries_of(self.intent.payment)
            if entry.settlement is not None
            and entry.settlement.outcome is Outcome.DONE
            and entry.intent.created_at > self.intent.created_at
        ]

    def _count_refused(self, reason: str, call: Call[Any]) -> None:
        if call.operation.repeat is Repeat.ONCE:
            self.report.not_done += 1
            return
        self.report.refused += 1
        if len(self.report.refusals) < MOST_NAMED:
            self.report.refusals.append(Refused(intent=self.intent, reason=reason))

    def _damage(self, call: Call[Any]) -> str:
        """Say what is wrong with the body; empty if it can be sent again, or never will be."""
        body = self.intent.body
        if call.operation.repeat is Repeat.ONCE:
            return ""
        if body is None:
            return "the journal's entry is damaged: it has no body"
        if hashlib.sha256(body).hexdigest() != self.intent.digest:
            return "the journal's entry is damaged: its body does not fit its digest"
        return ""

    async def _reconcile(self, call: Call[Any]) -> Evidence[Any]:
        reconciliation = call.reconciliation
        answered = False
        refusal: ApiError | None = None

        def interpret(answer: Any) -> Evidence[Any]:
            nonlocal answered
            answered = True
            assert reconciliation is not None  # noqa: S101 - for the type checker
            return reconciliation.interpret(answer)

        def interpret_refusal(error: ApiError) -> Evidence[Any]:
            nonlocal answered, refusal
            refusal = error
            answered = error.status not in _NO_ANSWER and error.status < 500
            assert reconciliation is not None  # noqa: S101 - for the type checker
            return reconciliation.interpret_refusal(error)

        if reconciliation is not None:
            looking = evolve(reconciliation, interpret=interpret, interpret_refusal=interpret_refusal)
            call = evolve(call, make_reconciliation=lambda: looking)
        limiter, began = self.shared.limiter, self.shared.now()
        evidence = await self.recorder.reconcile(call)
        if answered:
            limiter.lookup_answered(self.shared.now())
        else:
            error = evidence.error if isinstance(evidence, Inconclusive) and refusal is None else refusal
            limiter.lookup_unanswered(began, self.shared.now(), error)
            if limiter.stopped:
                limiter.close()
        return evidence

    async def _send_again(self, call: Call[Any]) -> None:
        record = self.recorder.record_of(self.entry, self.owner)
        try:
            result = await self.recorder.send_again(call, self.intent.body, record)
        except JournalError as error:
            if record.begun == 0:
                await self._leave_open(error.message)
                return
            raise
        except VippsError as error:
            # What leaves the operation in doubt is told as such, with the refusal as its cause.
            refused = error.__cause__ if isinstance(error.__cause__, ApiError) else error
            self.shared.limiter.asked_to_wait(self.shared.now(), refused)
            verdict = await self.recorder.note_failure(call, self.entry, record, error, owner=self.owner)
            if verdict is Verdict.OPEN:
                question = ""
                if isinstance(record.refusal, OrderNotFoundError):
                    question = "; was it begun with other keys, or in another environment?"
                self._count_open(error.message + question, blocks=record.refusal is None)
            elif verdict is Verdict.APPLIED:
                self.report.proven += 1
                self.report.moved_otherwise.append(LeftOpen(intent=self.intent, reason=error.message))
            else:
                self._count_refused(error.message, call)
        else:
            await self._settle(Outcome.DONE, answer_record(call, result))
            self.report.sent_again += 1

    async def _settle(self, outcome: Outcome, answer: bytes) -> None:
        await self.recorder.settle(self.intent, outcome, answer, owner=self.owner)

    async def _leave_open(
        self,
        reason: str,
        *,
        attempts: Attempts | None = None,
        decidable_at: datetime | None = None,
        blocks: bool = True,
    ) -> None:
        await self.recorder.release(self.intent, reason, owner=self.owner, attempts=attempts)
        self._count_open(reason, decidable_at=decidable_at, blocks=blocks)

    def _count_open(self, reason: str, *, decidable_at: datetime | None = None, blocks: bool = True) -> None:
        if blocks:
            self.lane.blocked.add(self.intent.payment)
        self.report.stays_open += 1
        if len(self.report.left_open) < MOST_NAMED:
            self.report.left_open.append(LeftOpen(intent=self.intent, reason=reason, decidable_at=decidable_at))
