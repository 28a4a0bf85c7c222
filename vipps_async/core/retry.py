"""Retries: what follows each failure of a call, decided without I/O from what happened so far and the time.

One table says what each kind of failure means for each way of repeating.

::

                  SAFE      KEYED     CONFIRM   ONCE
    not sent      retry     retry     retry     retry     nothing left this machine
    throttled     retry     retry     retry     ask       answered before anything was done; ONCE is asked anyway
    locked        retry     retry     retry     ask       another operation holds the payment
    unknown       retry     retry     ask       ask       no usable answer, or one of a server in trouble
    conflict      retry     ask       ask       ask       409: something stands there already, perhaps our own attempt
    unsettled     retry     ask       ask       ask       an answer that settles nothing, whatever its status
    unauthorized  refresh   refresh   refresh   refresh   once a call, then it counts as refused
    unreadable    retry     ask       ask       look      2xx or 3xx that cannot be read: it probably took effect
    misfit        retry     look      look      raise     2xx that says something else than what was asked for
    unproven      retry     look      look      raise     2xx that fits, and that other calls may explain as well
    foreign       raise     raise     raise     raise     a refusal, but not in Vipps' words
    refused       raise     raise     raise     raise     Vipps said no

A KEYED operation is repeated with the same key and the same bytes. "Ask" means the history: proven done ends the call;
else a KEYED operation is sent again, which its key makes safe, and another one only if it is proven absent. "Look"
means the history without another attempt.
"""

from __future__ import annotations

import enum
import math
from random import Random
from typing import Any

from attrs import frozen

from vipps_async.config import RetryPolicy
from vipps_async.core.attempts import AttemptRecord, FailedAttempt
from vipps_async.core.dialect import FailureKind
from vipps_async.core.operation import Evidence, NotApplied, Operation, Repeat
from vipps_async.core.rate_limit import PerPaymentRateLimiter

#: Time kept back for asking details at the end, as a share of the deadline and at most, in seconds.
_ASKING_SHARE, _ASKING_AT_MOST = 0.2, 5.0
#: An attempt that had less time than this, in seconds, would only add one more unknown.
SHORTEST_ATTEMPT = 0.05
#: The pause before the history is looked at again, in seconds: it doubles each time up to the longest, as an entry can
#: appear seconds after the answer that reports it.
_FIRST_LOOK_PAUSE, _LONGEST_LOOK_PAUSE = 0.5, 8.0
#: How often it is looked at in all: as often as the deadline allows, but for a row of a batch, which holds a place that
#: others wait for, over seven and a half seconds. What lags for longer is for recovery.
_MOST_LOOKS, _MOST_LOOKS_OF_ROW = math.inf, 5
_NO_SLOT = "Vipps' limit for this payment leaves no further attempt within this call's deadline"


class _Reaction(enum.Enum):
    """A cell of the table above."""

    RETRY = "retry"
    ASK = "ask"
    LOOK = "look"
    REFRESH = "refresh"
    RAISE = "raise"


_ROWS: dict[FailureKind, tuple[_Reaction, _Reaction, _Reaction, _Reaction]] = {
    FailureKind.NOT_SENT: (_Reaction.RETRY, _Reaction.RETRY, _Reaction.RETRY, _Reaction.RETRY),
    FailureKind.THROTTLED: (_Reaction.RETRY, _Reaction.RETRY, _Reaction.RETRY, _Reaction.ASK),
    FailureKind.LOCKED: (_Reaction.RETRY, _Reaction.RETRY, _Reaction.RETRY, _Reaction.ASK),
    FailureKind.UNKNOWN: (_Reaction.RETRY, _Reaction.RETRY, _Reaction.ASK, _Reaction.ASK),
    FailureKind.CONFLICT: (_Reaction.RETRY, _Reaction.ASK, _Reaction.ASK, _Reaction.ASK),
    FailureKind.UNAUTHORIZED: (_Reaction.REFRESH, _Reaction.REFRESH, _Reaction.REFRESH, _Reaction.REFRESH),
    FailureKind.UNSETTLED: (_Reaction.RETRY, _Reaction.ASK, _Reaction.ASK, _Reaction.ASK),
    FailureKind.UNREADABLE: (_Reaction.RETRY, _Reaction.ASK, _Reaction.ASK, _Reaction.LOOK),
    FailureKind.MISFIT: (_Reaction.RETRY, _Reaction.LOOK, _Reaction.LOOK, _Reaction.RAISE),
    FailureKind.UNPROVEN: (_Reaction.RETRY, _Reaction.LOOK, _Reaction.LOOK, _Reaction.RAISE),
    FailureKind.FOREIGN: (_Reaction.RAISE, _Reaction.RAISE, _Reaction.RAISE, _Reaction.RAISE),
    FailureKind.REFUSED: (_Reaction.RAISE, _Reaction.RAISE, _Reaction.RAISE, _Reaction.RAISE),
}
_COLUMNS = (Repeat.SAFE, Repeat.KEYED, Repeat.CONFIRM, Repeat.ONCE)


def _reaction_to(failure: FailureKind, repeat: Repeat) -> _Reaction:
    """Look the reaction up in the table above."""
    return _ROWS[failure][_COLUMNS.index(repeat)]


@frozen
class Send:
    """Send it again, with the same key and the same bytes, after a pause in seconds."""

    pause: float


@frozen
class Refresh:
    """Fetch another token and send it again, after a pause in seconds if the payment's limit asks for one."""

    pause: float = 0.0


@frozen
class Ask:
    """Look up whether it took effect; unless it did, another attempt may follow only if `then_send`."""

    then_send: bool


@frozen
class Stop:
    """End the call with the last failure."""

    #: Why it is not repeated once more; empty if a failure of that kind never is.
    reason: str


RetryAction = Send | Refresh | Ask | Stop


class RetryBudget:
    """Tokens that all calls of a session share: a retry takes some, a success at first try gives one back.

    With the defaults about 35 retries in a row are free; after that about one call in 14 may retry, which is what a
    server in trouble can bear.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._tokens = policy.budget

    @property
    def tokens(self) -> int:
        """The tokens that are left."""
        return self._tokens

    def spend(self, *, throttled: bool) -> bool:
        """Take the cost of one retry; False, and nothing is taken, if there are too few tokens."""
        cost = self._policy.throttled_cost if throttled else self._policy.retry_cost
        if cost > self._tokens:
            return False
        self._tokens -= cost
        return True

    def refill(self) -> None:
        """Give a token back for a call that succeeded at first try."""
        if self._tokens < self._policy.budget:
            self._tokens = min(self._policy.budget, self._tokens + self._policy.success_refill)


def pause_before(retry: int, policy: RetryPolicy, random: Random, *, throttled: bool) -> float:
    """Draw the pause before the n-th retry.

    Full jitter, from nothing up to the whole step: many clients that failed together must not come back together.

    Args:
        retry: 1 for the first retry.
        policy: gives the step and the cap.
        random: where the draw comes from.
        throttled: whether Vipps said that it is asked too often; then the step is longer.

    Returns:
        Seconds.
    """
    step = policy.throttled_base if throttled else policy.base
    return random.uniform(0.0, min(policy.cap, step * 2.0 ** (retry - 1)))


def time_to_send(policy: RetryPolicy, *, can_ask: bool) -> float:
    """Return how many seconds after a call's start its last attempt must have ended: the rest is for the lookup."""
    return policy.deadline - (min(policy.deadline * _ASKING_SHARE, _ASKING_AT_MOST) if can_ask else 0.0)


class RetryState:
    """The state of one call after its first failure."""

    def __init__(
        self,
        operation: Operation[Any],
        payment: str | None,
        *,
        policy: RetryPolicy,
        budget: RetryBudget,
        limiter: PerPaymentRateLimiter,
        random: Random,
        started: float,
        can_ask: bool,
        record: AttemptRecord,
        is_row: bool = False,
    ) -> None:
        self._operation = operation
        self._payment = payment
        self._policy = policy
        self._budget = budget
        self._limiter = limiter
        self._random = random
        self._can_ask = can_ask
        self._most_looks = _MOST_LOOKS_OF_ROW if is_row else _MOST_LOOKS
        self._retries = 0
        self._refreshed = False
        self._throttled = False
        self._is_unproven = False
        self._retry_after: float | None = None
        #: The attempts of the call.
        self.record = record
        #: When the call began, in monotonic seconds.
        self.started = started
        #: When the whole call must have ended, in monotonic seconds.
        self.deadline: float = started + policy.deadline
        #: When the last attempt must have ended, in monotonic seconds.
        self.last_send: float = started + time_to_send(policy, can_ask=can_ask)

    def after_failure(self, failed: FailedAttempt, now: float) -> RetryAction:
        """Decide what follows a failed attempt, which the record has noted; `now` is in monotonic seconds."""
        self._throttled = failed.failure is FailureKind.THROTTLED
        self._is_unproven = failed.failure is FailureKind.UNPROVEN
        self._retry_after = failed.retry_after
        reaction = _reaction_to(failed.failure, self._operation.repeat)
        if reaction is _Reaction.REFRESH and self._may_refresh():
            return self._refresh(now)
        if reaction in {_Reaction.ASK, _Reaction.LOOK} and self._can_ask:
            return Ask(then_send=reaction is _Reaction.ASK)
        if reaction is _Reaction.RETRY:
            return self._send_again(now)
        return Stop("")

    def after_looking(self, evidence: Evidence[Any], now: float) -> RetryAction:
        """Decide what follows a lookup that does not show the operation as successful.

        A key makes another attempt safe whatever the history lacks, but one that can take effect no more is not worth
        it; without a key it must be proven absent.
        """
        if self._operation.repeat is Repeat.KEYED:
            is_excluded = isinstance(evidence, NotApplied) and evidence.excluded
            return Stop("") if is_excluded else self._send_again(now)
        return self._send_again(now) if isinstance(evidence, NotApplied) else Stop("")

    def pause_before_look(self, looks: int, now: float) -> float | None:
        """Return how long to wait before the history is read once more, in seconds.

        Args:
            looks: how often it was looked at since the last attempt. The first look needs no pause and no budget.
            now: the time, in monotonic seconds.

        Returns:
            None if the deadline leaves no time for it (Vipps may have asked to wait), it was looked at often enough for
            a row of a batch, or, unless an answer of success is to be proven, the session's retry budget is drained.
        """
        # Once it is the longest it stays so, however often it is doubled.
        pause = min(_LONGEST_LOOK_PAUSE, _FIRST_LOOK_PAUSE * 2.0 ** min(looks - 1, 16)) if looks else 0.0
        pause, self._retry_after = max(pause, self._retry_after or 0.0), None
        if (
            looks >= self._most_looks
            or now + pause + SHORTEST_ATTEMPT > self.deadline
            or (pause and self.record.one_look)
        ):
            return None
        # Vipps is well and has answered with success: looking for the proof is a part of the call, and no retry.
        is_free = looks == 0 or self._is_unproven
        return pause if is_free or self._budget.spend(throttled=False) else None

    def _may_refresh(self) -> bool:
        most = max(self._most_attempts(), 2)
        return self._operation.authenticated and not self._refreshed and self.record.begun < most

    def _most_attempts(self) -> int:
        """Return how many attempts the call may have, the first included."""
        return self._policy.attempts

    def _refresh(self, now: float) -> RetryAction:
        limited = self._wait_for_slot(now)
        if now + limited + SHORTEST_ATTEMPT > self.last_send:
            reason = _NO_SLOT if limited else self._no_time()
            return Stop(f"the token was not accepted, and {reason}")
        self._refreshed = True
        return Refresh(limited)

    def _send_again(self, now: float) -> RetryAction:
        if self.record.begun >= self._most_attempts():
            return Stop(f"all {self.record.begun} attempts are used up")
        self._retries += 1
        pause = pause_before(self._retries, self._policy, self._random, throttled=self._throttled)
        asked_to_wait = self._retry_after or 0.0
        limited = self._wait_for_slot(now)
        pause = max(pause, asked_to_wait, limited)
        if now + pause + SHORTEST_ATTEMPT > self.last_send:
            if asked_to_wait >= pause:
                return Stop(f"Vipps asks to wait {asked_to_wait:,.0f} s, longer than this call may take")
            if limited >= pause:
                return Stop(_NO_SLOT)
            return Stop(self._no_time())
        if not self._budget.spend(throttled=self._throttled):
            return Stop("the session's retry budget is drained: too much has failed of late")
        return Send(pause)

    def _no_time(self) -> str:
        return f"the deadline of {self._policy.deadline:g} s leaves no time for another attempt"

    def _wait_for_slot(self, now: float) -> float:
        if self._payment is None or self._operation.per_minute is None:
            return 0.0
        return self._limiter.wait_for_slot(self._operation.name, self._payment, self._operation.per_minute, now)
