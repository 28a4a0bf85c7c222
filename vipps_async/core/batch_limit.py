"""The concurrency limit of a batch: it starts low, grows with good responses, and says when to give up."""

from __future__ import annotations

import time
from collections.abc import Callable

from vipps_async.core.concurrency_limit import AFTER_REFUSAL, SLOW_ANSWER, ConcurrencyLimiter
from vipps_async.core.rate_limit import SlotSource

#: Statuses of overload: throttled, unavailable, gateway time-out.
_TOO_MUCH = frozenset({429, 503, 504})
#: The factor of the limit when response times grow.
_AFTER_SLOWING = 0.8
#: Answers have slowed if their smoothed time is more than this many times the shortest of late, and by more seconds
#: than a busy machine, here or there, needs to explain it.
_SLOWED_TIMES, _SLOWED_SECONDS = 2.0, 0.1
#: The weight of one more response in the smoothed time.
_SMOOTHING = 0.05
#: The shortest time is that of the last one to two of these spans, in seconds: a Vipps that is slower today than
#: yesterday must not hold a batch down for ever.
_SPAN = 30.0
#: How many rows run at once in the beginning, until Vipps' answers say more.
_BATCH_START = 8.0
#: Rows that in turn brought no usable answer until the batch pauses, and until it gives up.
_BATCH_PAUSE_AFTER, _BATCH_GIVES_UP_AFTER = 3, 12
#: The first pause and the longest, in seconds: each is twice the one before. All of them together last 3 minutes.
_BATCH_FIRST_PAUSE, _BATCH_LONGEST_PAUSE = 1.0, 30.0


class BatchLimiter(ConcurrencyLimiter):
    """Limits how many rows run at once: more with every good response, far fewer when Vipps is overloaded.

    It starts low. Growing response times lower it, too: they come before refusals.
    """

    def __init__(self, *, most: int, rate: SlotSource | None = None, now: Callable[[], float] = time.monotonic) -> None:
        """Start at a low limit.

        Args:
            most: the highest limit there may be; at least 1.
            rate: as for `ConcurrencyLimiter`.
            now: as for `ConcurrencyLimiter`.
        """
        super().__init__(
            most=most,
            start=_BATCH_START,
            pause_after=_BATCH_PAUSE_AFTER,
            first_pause=_BATCH_FIRST_PAUSE,
            longest_pause=_BATCH_LONGEST_PAUSE,
            rate=rate,
            now=now,
        )
        self._smoothed: float | None = None
        self._shortest = self._shortest_before = float("inf")
        self._span_ends = 0.0
        self._answered = False
        self._circuit_open = False

    @property
    def circuit_open(self) -> bool:
        """Whether Vipps has not answered for so long that the batch should end."""
        return self._circuit_open

    def attempted(self, now: float, seconds: float, status: int | None) -> None:
        """Record one attempt.

        Args:
            now: monotonic seconds.
            seconds: how long it took.
            status: the HTTP status; None: no answer came.
        """
        # Whatever the usual time: from here on callers begin to give up.
        if status in _TOO_MUCH or seconds >= SLOW_ANSWER:
            self.slow_down(now)
            return
        self._note_time(now, seconds)
        if self._has_slowed():
            self.slow_down(now, _AFTER_SLOWING)
        elif status is not None:
            self.speed_up()

    def slow_down(self, now: float, factor: float = AFTER_REFUSAL) -> bool:
        """See `ConcurrencyLimiter`."""
        fell = super().slow_down(now, factor)
        if fell:
            # Requests under way were sent at the old rate: only later ones measure the new one.
            self._smoothed = None
        return fell

    def row_answered(self) -> None:
        """Record a row whose outcome is known."""
        self.succeeded()
        self._answered = True

    def row_failed(self, began: float, now: float, *, keys_refused: bool = False) -> None:
        """Record a row without a usable response.

        Args:
            began: when the row was begun, in monotonic seconds: of rows that were under way together one counts.
            now: monotonic seconds.
            keys_refused: whether the keys were not accepted; if that is the very first answer, no other will follow.
        """
        self.failed(began, now)
        refused_at_once = keys_refused and not self._answered
        self._circuit_open = self._circuit_open or refused_at_once or self.failures_in_a_row >= _BATCH_GIVES_UP_AFTER

    def _note_time(self, now: float, seconds: float) -> None:
        if now >= self._span_ends:
            self._shortest_before = self._shortest
            self._shortest = float("inf")
            self._span_ends = now + _SPAN
        self._shortest = min(self._shortest, seconds)
        smoothed = self._smoothed
        self._smoothed = seconds if smoothed is None else smoothed + (seconds - smoothed) * _SMOOTHING

    def _has_slowed(self) -> bool:
        shortest = min(self._shortest, self._shortest_before)
        smoothed = self._smoothed
        return smoothed is not None and smoothed > shortest * _SLOWED_TIMES + _SLOWED_SECONDS
