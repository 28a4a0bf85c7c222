"""How fast a batch may go: how many rows at once, how many a second, and when to pause or give up. Without I/O."""

from __future__ import annotations

from vipps_async.core.adaptive_pace import AFTER_REFUSAL, SLOW, AdaptivePace
from vipps_async.core.gate import Turns

__all__ = ["Pace", "RateLimit", "Turns"]

#: Answers that say "too much": throttled, unavailable, and a gateway that waited in vain.
_TOO_MUCH = frozenset({429, 503, 504})
#: What is left of the limit after answers that take ever longer.
_AFTER_SLOWING = 0.8
#: Answers have slowed if their smoothed time is more than this many times the shortest of late, and by more seconds
#: than a busy machine, here or there, needs to explain it.
_SLOWED_TIMES, _SLOWED_SECONDS = 2.0, 0.1
#: How much one more answer counts in the smoothed time.
_SMOOTHING = 0.05
#: The shortest time is that of the last one to two of these spans, in seconds: a Vipps that is slower today than
#: yesterday must not hold a batch down for ever.
_SPAN = 30.0
#: How many rows run at once in the beginning, until Vipps' answers say more.
_START = 8.0
#: Rows that in turn brought no usable answer until the batch pauses, and until it gives up.
_PAUSE_AFTER, _GIVE_UP_AFTER = 3, 12
#: The first pause and the longest, in seconds: each is twice the one before. All of them together last 3 minutes.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


class Pace(AdaptivePace):
    """How many rows may run at the same time: more with every good answer, far fewer when Vipps asks for less.

    It begins slowly. Answers that take ever longer slow it down too: they come before refusals.
    """

    def __init__(self, *, most: int) -> None:
        """Begin slowly.

        Args:
            most: the highest limit there may be; at least 1.
        """
        super().__init__(
            most=most,
            start=_START,
            pause_after=_PAUSE_AFTER,
            first_pause=_FIRST_PAUSE,
            longest_pause=_LONGEST_PAUSE,
        )
        self._smoothed: float | None = None
        self._shortest = self._shortest_before = float("inf")
        self._span_ends = 0.0
        self._answered = False
        self._hopeless = False

    @property
    def hopeless(self) -> bool:
        """Whether Vipps has not answered for so long that the batch should end."""
        return self._hopeless

    def attempted(self, now: float, seconds: float, status: int | None) -> None:
        """Note one attempt.

        Args:
            now: monotonic seconds.
            seconds: how long it took.
            status: the HTTP status; None: no answer came.
        """
        # However used one gets to slow answers: those who wait for theirs have begun to give up.
        if status in _TOO_MUCH or seconds >= SLOW:
            self.slow_down(now)
            return
        self._note_time(now, seconds)
        if self._has_slowed():
            self.slow_down(now, _AFTER_SLOWING)
        elif status is not None:
            self.speed_up()

    def slow_down(self, now: float, factor: float = AFTER_REFUSAL) -> bool:
        """See `AdaptivePace`."""
        fell = super().slow_down(now, factor)
        if fell:
            # What is on its way was sent at the old pace: only what comes after it tells about the new one.
            self._smoothed = None
        return fell

    def row_answered(self) -> None:
        """Note a row of which Vipps said what became of it."""
        self.succeeded()
        self._answered = True

    def row_failed(self, began: float, now: float, *, keys_refused: bool = False) -> None:
        """Note a row that brought no usable answer.

        Args:
            began: when the row was begun, in monotonic seconds: of rows that were on their way together one counts.
            now: monotonic seconds.
            keys_refused: whether the keys were not accepted; if that is the very first answer, no other will follow.
        """
        self.failed(began, now)
        refused_at_once = keys_refused and not self._answered
        self._hopeless = self._hopeless or refused_at_once or self.failures_in_a_row >= _GIVE_UP_AFTER

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


class RateLimit:
    """A token bucket: so many rows a second, with no burst beyond what a late timer has missed."""

    #: How far the schedule may lag behind and be caught up, in seconds: the grain of timers and of a busy loop.
    _CATCH_UP = 0.1

    def __init__(self, per_second: float) -> None:
        """Begin with nothing used.

        Args:
            per_second: rows a second, above 0.
        """
        self._interval = 1.0 / per_second
        self._next = float("-inf")

    def take(self, now: float) -> float:
        """Take one turn and return in how many seconds it comes; `now` is in monotonic seconds."""
        # After a lull the lag counts for one turn only where turns are further apart than it.
        turn = max(self._next, now - max(0.0, self._CATCH_UP - self._interval))
        self._next = turn + self._interval
        return max(0.0, turn - now)

    async def turn(self, now: float) -> float:
        """See `Turns`: the same as `take`."""
        return self.take(now)
