"""The concurrency limit of a recovery: it starts at the highest, waits as Vipps asks, and says when to stop."""

from __future__ import annotations

import time
from collections.abc import Callable

from vipps_async.core.concurrency_limit import SLOW_ANSWER, ConcurrencyLimiter
from vipps_async.errors import ApiError, VippsError

#: Unanswered lookups in a row until nothing is begun for a while: a single one is no outage.
_RECOVERY_PAUSE_AFTER = 2
#: How long that is, in seconds: at first, and at most. So an outage in which Vipps refuses at once is soon met with a
#: question every four seconds, whatever the concurrency.
_RECOVERY_FIRST_PAUSE, _RECOVERY_LONGEST_PAUSE = 1.0, 4.0
#: Unanswered lookups in a row until the recovery stops: enough to outlast a short failure, few enough that an outage
#: does not get a lookup for each of a million entries.
_UNANSWERED = 20
#: But not before so many seconds without an answer: a hundred that were on their way together fail in one moment, and
#: a gateway that is started anew is back in that time.
_SHORTEST_SILENCE = 30.0
#: Fewer than that will do after so many seconds without any answer: whoever waits for the recovery, a service that
#: starts for example, must not be kept for as long as twenty time-outs take, one after the other.
_LONGEST_SILENCE = 180.0
#: How many failures, one after the other, that takes at least: time-outs may be set to minutes, and a single order at
#: which Vipps fails must not keep the others from being settled.
_FEWEST_FAILURES = 3
#: The longest `Retry-After` that is waited for, in seconds. Vipps' limits are per minute; whoever asks for more a
#: second time in a row will not answer for longer than anybody wants to wait for a recovery.
_LONGEST_WAIT = 60.0
#: Statuses by which the keys were refused: no load is too much then, and waiting does not help.
_KEYS_REFUSED = frozenset({401, 403})


class RecoveryLimiter(ConcurrencyLimiter):
    """Limits how many entries are in work: the most at the start, fewer when Vipps is in trouble.

    It starts at the highest limit: the caller has chosen it, and Vipps is seldom in trouble.
    """

    def __init__(self, *, most: int, now: Callable[[], float] = time.monotonic) -> None:
        """Start at the highest limit.

        Args:
            most: the highest limit there may be; at least 1.
            now: as for `ConcurrencyLimiter`.
        """
        super().__init__(
            most=most,
            start=most,
            pause_after=_RECOVERY_PAUSE_AFTER,
            first_pause=_RECOVERY_FIRST_PAUSE,
            longest_pause=_RECOVERY_LONGEST_PAUSE,
            now=now,
        )
        self._unanswered = 0
        self._silent_since = self._answered_at = self._wait_until = float("-inf")
        #: Why the recovery should stop; empty: it should not.
        self.stopped: str = ""

    def pause(self, now: float) -> float:
        """See `ConcurrencyLimiter`; what Vipps asks to wait counts too."""
        return max(super().pause(now), self._wait_until - now)

    def attempted(self, now: float, seconds: float, status: int | None) -> None:
        """Record one attempt of the recovery: a lookup, or a request that is sent again.

        Args:
            now: monotonic seconds.
            seconds: how long it took.
            status: the HTTP status; None: no answer came.
        """
        if status is None or status == 429 or status >= 500 or seconds >= SLOW_ANSWER:
            self.slow_down(now)
        else:
            self.speed_up()

    def asked_to_wait(self, now: float, error: VippsError | None) -> float:
        """Record the `Retry-After` of an error, and return it in seconds; 0: it has none."""
        seconds = retry_after_of(error)
        if seconds:
            self._wait_until = max(self._wait_until, now + min(seconds, _LONGEST_WAIT))
        return seconds

    def lookup_answered(self, now: float) -> None:
        """Record a lookup that Vipps has answered, whatever the answer; `now` is in monotonic seconds."""
        self.succeeded()
        self._answered_at = now
        self._unanswered = 0

    def lookup_unanswered(self, began: float, now: float, error: VippsError | None) -> None:
        """Record a lookup without an answer, not even to its repetitions.

        Args:
            began: when it was sent, in monotonic seconds.
            now: monotonic seconds.
            error: what it ended in; None: nothing came in time.
        """
        if self._unanswered == 0:
            self._silent_since = max(began, self._answered_at)
        self._unanswered += 1
        asked = self.asked_to_wait(now, error)
        if isinstance(error, ApiError) and error.status in _KEYS_REFUSED:
            self._stop_if(self._unanswered >= _UNANSWERED)
            return
        self.failed(began, now)
        silence, failures = now - self._silent_since, self.failures_in_a_row
        self._stop_if(self._unanswered >= _UNANSWERED and silence >= _SHORTEST_SILENCE)
        self._stop_if(failures >= _FEWEST_FAILURES and silence >= _LONGEST_SILENCE)
        if asked > _LONGEST_WAIT and failures > 1 and not self.stopped:
            self.stopped = f"Vipps asks to wait {asked:.0f} s"

    def _stop_if(self, circuit_open: bool) -> None:  # noqa: FBT001 - it reads as a sentence
        if circuit_open:
            self.stopped = f"Vipps did not answer {self._unanswered} questions in a row"


def retry_after_of(error: BaseException | None) -> float:
    """Return the `Retry-After` of an error, or of what it came from, in seconds; 0: there is none."""
    # Of a capture whose outcome stays unknown, the answer that Vipps gave is the cause.
    while error is not None:
        if isinstance(error, ApiError) and error.retry_after:
            return error.retry_after
        error = error.__cause__
    return 0.0
