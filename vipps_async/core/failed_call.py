"""Carries on a call whose first attempt failed: further attempts, lookups of the history, and the final error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Generic, NoReturn, Protocol, TypeVar

from attrs import frozen

from vipps_async.core.attempts import AttemptRecord, FailedAttempt
from vipps_async.core.clock import Clock
from vipps_async.core.dialect import FailureKind
from vipps_async.core.ending import Ending, exists_already, moved_otherwise
from vipps_async.core.events import EventLog
from vipps_async.core.operation import (
    Applied,
    Call,
    Evidence,
    Inconclusive,
    MoneyOperation,
    NotApplied,
    Repeat,
    SettledBy,
    mark_settled_by,
)
from vipps_async.core.retry import Ask, Refresh, RetryAction, RetryState, Send, Stop
from vipps_async.core.stored_error import is_permanent
from vipps_async.core.token import Token
from vipps_async.core.verdict import Facts, Verdict, decide
from vipps_async.errors import VippsError
from vipps_async.journals.entries import KeyOrigin

R = TypeVar("R")


class _Reconcile(Protocol[R]):
    def __call__(self, *, within: float) -> Awaitable[Evidence[R]]: ...


@frozen(kw_only=True)
class FailedCall(Generic[R]):
    """A call after its first failure. The retry state decides what follows each failure; this class does it."""

    call: Call[R]
    state: RetryState
    #: Makes one more attempt.
    attempt: Callable[[], Awaitable[R | FailedAttempt]]
    #: Asks the history whether the call took effect, for at most so many seconds.
    reconcile: _Reconcile[R]
    #: Drops a token that was not accepted.
    forget_token: Callable[[Token | None], None]
    clock: Clock
    log: EventLog
    #: How long an entry may take to appear in the history.
    settle_after: timedelta

    async def carry_on(self, failed: FailedAttempt) -> R:
        """Return the result, or raise the final error.

        Args:
            failed: the first attempt.

        Raises:
            VippsError: as `vipps_async.errors` describes; it says whether money may have moved.
        """
        call, state, record = self.call, self.state, self.state.record
        now = self.clock.monotonic
        failed = record.failed(failed)
        evidence: Evidence[R] | None = None
        step: RetryAction = state.after_failure(failed, now())
        while True:
            if isinstance(step, Ask):
                evidence = await self.reconcile(within=state.deadline - now())
                if isinstance(evidence, Applied):
                    return self._proven(evidence, failed)
                step = state.after_looking(evidence, now()) if step.then_send else Stop("")
            if isinstance(step, Stop):
                return await self._give_up(failed, evidence, step.reason)
            if isinstance(step, Refresh):
                # Forgetting the refused token is enough: the attempt fetches the next one.
                self.forget_token(failed.token)
            assert isinstance(step, Send | Refresh)  # noqa: S101 - for the type checker
            if step.pause:
                await self.clock.sleep(step.pause)
            evidence = None
            outcome = await self.attempt()
            if not isinstance(outcome, FailedAttempt):
                self.log.success(call, attempts=record.begun + 1, seconds=now() - state.started)
                return outcome
            failed = record.failed(outcome)
            step = state.after_failure(failed, now())

    async def _give_up(self, failed: FailedAttempt, evidence: Evidence[R] | None, reason: str) -> R:
        """End the call: by the history if it proves the operation done after all, else by what is known."""
        call, state, record = self.call, self.state, self.state.record
        if call.make_reconciliation is not None:
            if record.in_doubt:
                evidence = await self._look_until_decided(evidence)
            elif (
                failed.failure is FailureKind.REFUSED and failed.token is not None and _may_be_done_before(call, failed)
            ):
                evidence = await self.reconcile(within=state.deadline - self.clock.monotonic())
                if isinstance(evidence, Applied) and evidence.misfit:
                    reason, evidence = (
                        f"this call moved nothing, but the key has been used before: {evidence.misfit}",
                        None,
                    )
            if isinstance(evidence, Applied):
                return self._proven(evidence, failed)
        record.verdict = decide(
            Facts(
                in_doubt=record.in_doubt,
                refused_for_good=record.refusal is not None and is_permanent(record.refusal, call.operation.dialect),
                evidence=evidence,
            ),
            now=self.clock.now(),
            settle_after=self.settle_after,
        )
        error, cause = Ending(
            operation=call.operation,
            error=failed.error,
            failure=failed.failure,
            record=record,
            verdict=record.verdict,
            evidence=evidence,
            reason=reason,
        ).to_raise()
        if _is_of_this_call_alone(call, record, evidence):
            error.is_of_this_call_alone = True
        return self._raise(error, cause)

    async def _look_until_decided(self, evidence: Evidence[R] | None) -> Evidence[R]:
        """Read the history until it shows the operation, as long as the deadline allows: entries appear late."""
        call, state = self.call, self.state
        looks = 0 if evidence is None else 1
        now = self.clock.monotonic
        while not _is_enough(call, evidence) and (pause := state.pause_before_look(looks, now())) is not None:
            if pause:
                await self.clock.sleep(pause)
            evidence = await self.reconcile(within=state.deadline - now())
            looks += 1
        return evidence or Inconclusive("no time was left to look the payment up")

    def _proven(self, evidence: Applied[R], failed: FailedAttempt) -> R:
        call, record = self.call, self.state.record
        record.verdict = Verdict.APPLIED
        if call.operation.repeat is Repeat.ONCE:
            error = exists_already(doubtful=record.in_doubt > 0)
            record.verdict = Verdict.OPEN if record.in_doubt else Verdict.REFUSED
            self._raise(error, failed.error)
        if evidence.misfit:
            record.moved_otherwise = evidence.result
            self._raise(moved_otherwise(evidence.misfit, evidence.result), failed.error)
        how = SettledBy.CONFIRMED if failed.failure is FailureKind.UNPROVEN else SettledBy.HISTORY
        seconds = self.clock.monotonic() - self.state.started
        self.log.success(call, attempts=record.begun, seconds=seconds, settled_by=how.value)
        return mark_settled_by(evidence.result, how)

    def _raise(self, error: VippsError, cause: BaseException | None) -> NoReturn:
        call = self.call
        error.operation = call.operation.name
        error.payment = call.payment
        error.idempotency_key = call.idempotency_key
        error.is_of_read = call.operation.repeat is Repeat.SAFE
        if error.response is None and isinstance(cause, VippsError):
            error.response = cause.response
        seconds = self.clock.monotonic() - self.state.started
        self.log.failure(call, error, attempts=self.state.record.begun, seconds=seconds)
        if cause is not None:
            raise error from cause
        raise error


def _is_of_this_call_alone(call: Call[Any], record: AttemptRecord, evidence: Evidence[Any] | None) -> bool:
    """Whether nobody here knows what an earlier call with this one's key has done."""
    is_keyed = isinstance(call.operation, MoneyOperation) and call.operation.repeat is Repeat.KEYED
    is_first = call.audit is None or call.audit.origin is KeyOrigin.MADE
    # A journal counts the attempts under a key, and the history shows what they did.
    return is_keyed and not is_first and record.count is None and not isinstance(evidence, NotApplied)


def _is_enough(call: Call[Any], evidence: Evidence[Any] | None) -> bool:
    """Whether no further lookup of the history can change the outcome."""
    if evidence is None or isinstance(evidence, Applied):
        return evidence is not None
    # Whether a payment exists that nobody can pay matters to nobody for seconds: its history is read once.
    return call.operation.repeat is Repeat.ONCE or (isinstance(evidence, NotApplied) and evidence.excluded)


def _may_be_done_before(call: Call[Any], failed: FailedAttempt) -> bool:
    """Whether another call may have carried out a refused operation before: under a given key, or without one."""
    if call.audit is None or failed.suggests_effect:
        # A key that was used with another payload is no sign of this one.
        return False
    return call.operation.repeat is Repeat.CONFIRM or (
        call.operation.repeat is Repeat.KEYED and call.audit.origin is not KeyOrigin.MADE
    )
