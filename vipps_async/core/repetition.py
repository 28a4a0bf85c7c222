"""What to do after each failure of one call: decided without I/O, from what happened so far and the time."""

from __future__ import annotations

from random import Random
from typing import Any

from attrs import frozen

from vipps_async.config import RetryPolicy
from vipps_async.core.backoff import pause_before
from vipps_async.core.budget import RetryBudget
from vipps_async.core.decision import Failure, Step, step_after
from vipps_async.core.operation import Operation
from vipps_async.core.order_limits import AttemptLedger

__all__ = ["SHORTEST_ATTEMPT", "Ask", "Next", "Refresh", "Repetition", "Send", "Stop", "time_to_send"]

#: Time kept back for asking details at the end, as a share of the deadline and at most, in seconds.
_ASKING_SHARE, _ASKING_AT_MOST = 0.2, 5.0
#: An attempt that had less time than this, in seconds, would only add one more unknown.
SHORTEST_ATTEMPT = 0.05
_NO_TURN = "Vipps' limit for this order leaves no further attempt within this call's deadline"


def time_to_send(policy: RetryPolicy, *, can_ask: bool) -> float:
    """Return how many seconds after a call's start its last attempt must have ended: what follows is for asking."""
    return policy.deadline - (min(policy.deadline * _ASKING_SHARE, _ASKING_AT_MOST) if can_ask else 0.0)


@frozen
class Send:
    """Send it again, with the same key and the same bytes, after a pause in seconds."""

    pause: float


@frozen
class Refresh:
    """Fetch another token and send it again, after a pause in seconds if the order's limit asks for one."""

    pause: float = 0.0


@frozen
class Ask:
    """Ask whether it took effect; if it is proven absent, another attempt may follow only if `then_send`."""

    then_send: bool


@frozen
class Stop:
    """End the call with the last failure."""

    #: Why it is not repeated once more; empty if a failure of that kind never is.
    reason: str


Next = Send | Refresh | Ask | Stop


class Repetition:
    """The state of one call after its first failure."""

    def __init__(
        self,
        operation: Operation[Any],
        order_id: str | None,
        *,
        policy: RetryPolicy,
        budget: RetryBudget,
        ledger: AttemptLedger,
        random: Random,
        started: float,
        can_ask: bool,
    ) -> None:
        self._operation = operation
        self._order_id = order_id
        self._policy = policy
        self._budget = budget
        self._ledger = ledger
        self._random = random
        self._can_ask = can_ask
        self._retries = 0
        self._refreshed = False
        self._asked_since_sent = False
        self._throttled = False
        self._retry_after: float | None = None
        #: How many attempts have been made.
        self.attempts = 0
        #: Whether any attempt so far may have taken effect.
        self.doubtful = False
        #: When the whole call must have ended, in monotonic seconds.
        self.deadline = started + policy.deadline
        #: When the last attempt must have ended, in monotonic seconds.
        self.last_send = started + time_to_send(policy, can_ask=can_ask)

    def sent(self) -> None:
        """Note that one more attempt was made (the ledger of the order is kept by whoever sends)."""
        self.attempts += 1
        self._asked_since_sent = False

    def after_failure(self, failure: Failure, *, retry_after: float | None, now: float) -> Next:
        """Decide what follows a failed attempt."""
        self.doubtful = self.doubtful or failure.doubtful
        self._throttled = failure is Failure.THROTTLED
        self._retry_after = retry_after
        step = step_after(failure, self._operation.repeat)
        if step is Step.REFRESH and self._may_refresh():
            return self._refresh(now)
        if step is Step.ASK and self._can_ask:
            self._asked_since_sent = True
            return Ask(then_send=True)
        if step is Step.RETRY:
            return self._send_again(now)
        return self._end("")

    def after_absence(self, now: float) -> Next:
        """Decide what follows the proof that no attempt so far has taken effect."""
        return self._send_again(now)

    def _may_refresh(self) -> bool:
        most = max(self._policy.attempts, 2)
        return self._operation.authenticated and not self._refreshed and self.attempts < most

    def _refresh(self, now: float) -> Next:
        limited = self._turn(now)
        if now + limited + SHORTEST_ATTEMPT > self.last_send:
            reason = _NO_TURN if limited else self._no_time()
            return self._end(f"the token was not accepted, and {reason}")
        self._refreshed = True
        return Refresh(limited)

    def _send_again(self, now: float) -> Next:
        if self.attempts >= self._policy.attempts:
            return self._end(f"all {self.attempts} attempts are used up")
        self._retries += 1
        pause = pause_before(self._retries, self._policy, self._random, throttled=self._throttled)
        asked_to_wait = self._retry_after or 0.0
        limited = self._turn(now)
        pause = max(pause, asked_to_wait, limited)
        if now + pause + SHORTEST_ATTEMPT > self.last_send:
            if asked_to_wait >= pause:
                return self._end(f"Vipps asks to wait {asked_to_wait:g} s, longer than this call may take")
            if limited >= pause:
                return self._end(_NO_TURN)
            return self._end(self._no_time())
        if not self._budget.spend(throttled=self._throttled):
            return self._end("the session's retry budget is drained: too much has failed of late")
        return Send(pause)

    def _no_time(self) -> str:
        return f"the deadline of {self._policy.deadline:g} s leaves no time for another attempt"

    def _turn(self, now: float) -> float:
        if self._order_id is None or self._operation.per_minute is None:
            return 0.0
        return self._ledger.wait_for_turn(self._operation.name, self._order_id, self._operation.per_minute, now)

    def _end(self, reason: str) -> Next:
        if self.doubtful and self._can_ask and not self._asked_since_sent:
            self._asked_since_sent = True
            return Ask(then_send=False)
        return Stop(reason)
