"""Settles one open entry of the journal: proven by the history, sent again, or left open with the reason."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any

from attrs import define, evolve, field

from vipps_async.core.ending import OTHERWISE
from vipps_async.core.operation import Applied, Call, Evidence, Inconclusive, NotApplied, Repeat
from vipps_async.core.recorder import Recorder
from vipps_async.core.recovery_limit import RecoveryLimiter
from vipps_async.core.recovery_report import MOST_NAMED, LeftOpen, RecoveryReport, Refused
from vipps_async.core.refusal import is_about_payment
from vipps_async.core.stored_error import dropped_text, is_permanent, stored_error
from vipps_async.core.stored_outcome import OUTCOMES, answer_record
from vipps_async.core.verdict import LOOKS_APART, Facts, Verdict, decide
from vipps_async.errors import ApiError, JournalError, OrderNotFoundError, VippsError
from vipps_async.journals.entries import Attempts, Entry, Intent, KeyOrigin, Outcome

#: How long a payment can be accepted by its customer (five minutes for the link, five in the app), and a margin: an
#: initiate that may still arrive within it is not settled as never arrived.
_PAYMENT_LIVES = timedelta(minutes=11)


@define(eq=False)
class Lane:
    """The queue of a recovery worker. All entries of a payment go to the same one, which keeps them in order."""

    queue: asyncio.Queue[Entry | None]
    #: Payments of which an entry is not settled: what came after it must not be sent before it.
    blocked: set[str] = field(factory=set)


@define(eq=False)
class RecoveryRun:
    """The state that all lanes of one recovery share."""

    limiter: RecoveryLimiter
    #: Tells the time in monotonic seconds.
    now: Callable[[], float]
    report: RecoveryReport
    progress: Callable[[RecoveryReport], None] | None
    #: Keys of entries that the caller has decided to send again.
    send: frozenset[str]

    def attempted(self, _operation: str, seconds: float, status: int | None) -> None:
        """Record an attempt of this recovery; attempts of live calls in the same session are ignored."""
        if RUN.get() is self:
            self.limiter.attempted(self.now(), seconds, status)


#: The recovery on whose behalf something is asked or sent.
RUN: ContextVar[RecoveryRun | None] = ContextVar("RUN", default=None)


@define(eq=False)
class OpenEntry:
    """One open entry, leased to this recovery."""

    recorder: Recorder
    rebuild: Callable[[Intent], Call[Any]]
    #: Reads from a result how much money moved, in minor units; None: none, or it does not tell.
    moved: Callable[[Intent, Any], int | None]
    entry: Entry
    owner: str
    lane: Lane
    shared: RecoveryRun

    @property
    def intent(self) -> Intent:
        """The intent of the entry."""
        return self.entry.intent

    @property
    def report(self) -> RecoveryReport:
        """The report of the recovery, in which the entry's outcome is counted."""
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
        self.report.add_proven(self.intent, self.moved(self.intent, evidence.result))
        misfit = call.operation.misfit
        # A payment whose URL its history tells has lost nothing.
        is_lost = call.operation.repeat is Repeat.ONCE and misfit is not None and misfit(call, evidence.result)
        if is_lost and len(self.report.urls_lost) < MOST_NAMED:
            self.report.urls_lost.append(self.intent.payment)
        if evidence.misfit:
            self.report.moved_otherwise.append(LeftOpen(intent=self.intent, reason=evidence.misfit))

    async def _is_decided(self, call: Call[Any], evidence: NotApplied) -> bool:
        """Settle it, or leave it open, without sending; False: it must be sent again."""
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
        """Return why an operation that has not taken effect is not sent again; empty: it is sent."""
        attempts = self.entry.attempts
        if evidence.excluded or call.operation.repeat is Repeat.ONCE:
            return "it can take effect no more" if evidence.excluded else "nobody waits for its answer any more"
        if self.intent.key in self.shared.send:
            return ""
        if attempts.is_dropped:
            return f"{dropped_text(attempts)}: it is not sent again"
        if attempts.refusal:
            return "its last attempt was refused, and an earlier one has no known outcome"
        if evidence.failed >= attempts.begun:
            return "each of its attempts stands in the history as failed"
        return await self._reason_overtaken(call)

    async def _reason_overtaken(self, call: Call[Any]) -> str:
        """Return which later operation may have replaced this one; empty: none."""
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
        """Return what is wrong with the recorded body; empty if it can be sent again, or never will be."""
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
            answered = is_about_payment(error)
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
                self.report.add_proven(self.intent, self.moved(self.intent, record.moved_otherwise))
                reason = error.message.removeprefix(f"{OTHERWISE}: ")
                self.report.moved_otherwise.append(LeftOpen(intent=self.intent, reason=reason))
            else:
                self._count_refused(error.message, call)
        else:
            await self._settle(Outcome.DONE, answer_record(call, result))
            self.report.add_sent_again(self.intent, self.moved(self.intent, result))

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
        # The reason begins with the drop, whatever else recovery finds out.
        dropped = dropped_text(self.entry.attempts)
        reason = reason if reason.startswith(dropped) else f"{dropped}; {reason}"
        await self.recorder.release(self.intent, reason, owner=self.owner, attempts=attempts)
        self._count_open(reason, decidable_at=decidable_at, blocks=blocks)

    def _count_open(self, reason: str, *, decidable_at: datetime | None = None, blocks: bool = True) -> None:
        if blocks:
            self.lane.blocked.add(self.intent.payment)
        self.report.stays_open += 1
        if len(self.report.left_open) < MOST_NAMED:
            self.report.left_open.append(LeftOpen(intent=self.intent, reason=reason, decidable_at=decidable_at))
