"""The three limiters: attempts a minute per payment, work begun a second, and work under way at once (AIMD).

The third is used with two policies: a batch begins slowly and grows, a recovery begins with all that it may.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from vipps_async.errors import ApiError, VippsError

__all__ = [
    "BatchLimiter",
    "ConcurrencyLimiter",
    "PerPaymentRateLimiter",
    "RateLimiter",
    "RecoveryLimiter",
    "SlotSource",
]

# --- attempts per payment ---------------------------------------------------------------------------------------------

#: The vendor's limits are per minute.
_WINDOW = 60.0
#: Two generations of at most this many payments are kept, about 6 MB when full. A session that touches more than 40,000
#: payments a minute forgets the oldest early; Vipps then answers 429, which has no effect.
_GENERATION = 20_000


class PerPaymentRateLimiter:
    """Counts attempts per operation and payment within the last minute, in bounded memory.

    Vipps limits them so (API guide, rate limiting).

    Noting is one dictionary access, since every first attempt pays for it.
    """

    def __init__(self) -> None:
        self._current: dict[tuple[str, str], tuple[float, ...]] = {}
        self._previous: dict[tuple[str, str], tuple[float, ...]] = {}
        self._rotate_at = 0.0

    def note(self, operation: str, payment: str, per_minute: int, now: float) -> None:
        """Note one attempt, made at `now` (monotonic seconds); the last `per_minute` of them are all that matters."""
        if now >= self._rotate_at or len(self._current) >= _GENERATION:
            self._previous = self._current if now < self._rotate_at + _WINDOW else {}
            self._current = {}
            self._rotate_at = now + _WINDOW
        key = (operation, payment)
        made = self._current.get(key)
        # Only so many are kept, or polling one payment in a tight loop would copy an ever longer tuple each time.
        self._current[key] = (now,) if made is None else (*made, now)[-per_minute:]

    def wait_for_slot(self, operation: str, payment: str, per_minute: int, now: float) -> float:
        """Return how many seconds must pass before one more attempt stays within `per_minute`; 0 if none."""
        key = (operation, payment)
        made = (*self._previous.get(key, ()), *self._current.get(key, ()))
        recent = [moment for moment in made if moment > now - _WINDOW]
        if len(recent) < per_minute:
            return 0.0
        return recent[-per_minute] + _WINDOW - now

    def of_unit(self, merchant_serial_number: str) -> PerPaymentRateLimiter:
        """Return the same limiter for another sales unit, whose payments of the same ids are other payments."""
        return _OfUnit(self, merchant_serial_number)


class _OfUnit(PerPaymentRateLimiter):
    """Counts in another limiter, under ids that no payment of that one has."""

    def __init__(self, shared: PerPaymentRateLimiter, unit: str) -> None:
        self._shared = shared
        # No payment's id has a space.
        self._head = f"{unit} "

    def note(self, operation: str, payment: str, per_minute: int, now: float) -> None:
        self._shared.note(operation, self._head + payment, per_minute, now)

    def wait_for_slot(self, operation: str, payment: str, per_minute: int, now: float) -> float:
        return self._shared.wait_for_slot(operation, self._head + payment, per_minute, now)

    def of_unit(self, merchant_serial_number: str) -> PerPaymentRateLimiter:
        return _OfUnit(self._shared, merchant_serial_number)


# --- work begun a second ----------------------------------------------------------------------------------------------


class SlotSource(Protocol):
    """Says when the next piece of work may be begun: for a rate that several processes share."""

    async def slot(self, now: float) -> float:
        """Take one slot and return in how many seconds it comes; `now` is in monotonic seconds. Raises nothing."""
        ...


class RateLimiter:
    """A token bucket, kept as the time of the next slot."""

    #: How far the schedule may lag behind and be caught up, in seconds: the grain of timers and of a busy loop.
    _CATCH_UP = 0.1

    def __init__(self, per_second: float, *, burst: float | None = None) -> None:
        """Begin with nothing used.

        Args:
            per_second: how many a second, above 0.
            burst: how many at once after a lull; None: no more than a late timer has missed.
        """
        self._interval = 1.0 / per_second
        # After a lull the grain counts for one slot only where slots are further apart than it.
        self._lag = max(0.0, self._CATCH_UP - self._interval) if burst is None else (burst - 1.0) * self._interval
        self._next = float("-inf")

    def wait(self, now: float, *, reserve: float = 0.0) -> float:
        """Return in how many seconds there is a slot beside so many that are left in reserve; `now` is monotonic."""
        return max(0.0, max(self._next, now - self._lag) + reserve * self._interval - now)

    def take(self, now: float) -> float:
        """Take one slot and return in how many seconds it comes; `now` is in monotonic seconds."""
        slot = max(self._next, now - self._lag)
        self._next = slot + self._interval
        return max(0.0, slot - now)

    async def slot(self, now: float) -> float:
        """See `SlotSource`: the same as `take`."""
        return self.take(now)


# --- work under way at once -------------------------------------------------------------------------------------------

#: Several signals within so many seconds are one: they come from requests that were on their way together.
_ONE_SIGNAL = 1.0
#: What is left of the limit after an answer that says "too much".
_AFTER_REFUSAL = 0.5
#: An answer that takes so many seconds says so too. When Vipps is well it answers within a second, and it advises its
#: callers to wait for at least 5: from then on they give up, and what they ask again makes a queue longer.
_SLOW = 5.0


class ConcurrencyLimiter:
    """How much work may be under way: more with good answers, far less when Vipps is in trouble, none for a while.

    Additive increase and multiplicative decrease, as in the network's own congestion control: until the first signal
    the limit doubles with each round of answers, after it the limit grows by one a round. What counts as a signal, and
    as a failure, is for whoever uses it to say.
    """

    def __init__(
        self,
        *,
        most: int,
        start: float,
        pause_after: int,
        first_pause: float,
        longest_pause: float,
        rate: SlotSource | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with the limit at `start`.

        Args:
            most: the highest limit there may be; at least 1.
            start: the limit in the beginning, but no more than `most`.
            pause_after: how many failures, one after the other, it takes until nothing is begun for a while.
            first_pause: how long that is at first, in seconds; it doubles with each further failure ...
            longest_pause: ... up to so many seconds.
            rate: how many may begin a second; None: any number.
            now: tells the time in monotonic seconds.
        """
        self._most = float(most)
        self._limit = min(float(start), self._most)
        self._pause_after, self._first_pause, self._longest_pause = pause_after, first_pause, longest_pause
        self._signalled_at: float | None = None
        self._in_a_row = 0
        self._failed_at = self._paused_until = float("-inf")
        self._now = now
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = asyncio.Event()
        self._rate = rate

    @property
    def limit(self) -> int:
        """How many may be in work at the same time now; at least 1."""
        return int(self._limit)

    @property
    def failures_in_a_row(self) -> int:
        """How many failures there were since the last success; those that were on their way together are one."""
        return self._in_a_row

    def pause(self, now: float) -> float:
        """Return for how many seconds nothing should be begun; `now` is in monotonic seconds."""
        return max(0.0, self._paused_until - now)

    def speed_up(self) -> None:
        """Note a good answer."""
        self._limit = min(self._most, self._limit + (1.0 if self._signalled_at is None else 1.0 / self._limit))

    def slow_down(self, now: float, factor: float = _AFTER_REFUSAL) -> bool:
        """Note a sign of trouble.

        Args:
            now: monotonic seconds.
            factor: what is left of the limit.

        Returns:
            Whether the limit fell; it does not if the last signal was a moment ago.
        """
        if self._signalled_at is not None and now - self._signalled_at < _ONE_SIGNAL:
            return False
        self._signalled_at = now
        self._limit = max(1.0, self._limit * factor)
        return True

    def succeeded(self) -> None:
        """Note that Vipps said what became of a piece of work: it is there."""
        self._in_a_row = 0

    def failed(self, began: float, now: float) -> None:
        """Note a piece of work to which Vipps gave no usable answer.

        Args:
            began: when it was begun, in monotonic seconds: of what was on its way together one counts.
            now: monotonic seconds.
        """
        if began < self._failed_at:
            return
        self._in_a_row += 1
        self._failed_at = now
        if self._in_a_row >= self._pause_after:
            doubled = self._first_pause * 2.0 ** (self._in_a_row - self._pause_after)
            self._paused_until = now + min(self._longest_pause, doubled)

    # --- letting work in -------------------------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is let in."""
        return self._closed.is_set()

    def close(self) -> None:
        """Let nothing more in: whoever waits, or comes, is told so at once."""
        self._closed.set()
        self._let_in()

    async def acquire(self, *, sends: bool = True) -> bool:
        """Wait for a place and a slot. False: it is closed; else `release` must follow.

        Args:
            sends: whether anything is sent for it; what asks nothing of Vipps needs a place only.
        """
        if self._inside >= self.limit and not self.is_closed:
            await self._place()
        else:
            self._inside += 1
        try:
            while sends and not self.is_closed and (pause := self.pause(self._now())):
                await self._wait(pause)
            if sends and self._rate is not None and not self.is_closed and (slot := await self._rate.slot(self._now())):
                await self._wait(slot)
        except BaseException:
            self.release()
            raise
        if self.is_closed:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Give the place to whoever waits longest, or more of them if the limit has risen."""
        self._inside -= 1
        self._let_in()

    async def _place(self) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                # It was given a place in the very moment in which it was cancelled.
                self.release()
            raise

    def _let_in(self) -> None:
        while self._waiting and (self.is_closed or self._inside < self.limit):
            place = self._waiting.popleft()
            if not place.done():
                self._inside += 1
                place.set_result(None)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()


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
_BATCH_START = 8.0
#: Rows that in turn brought no usable answer until the batch pauses, and until it gives up.
_BATCH_PAUSE_AFTER, _BATCH_GIVES_UP_AFTER = 3, 12
#: The first pause and the longest, in seconds: each is twice the one before. All of them together last 3 minutes.
_BATCH_FIRST_PAUSE, _BATCH_LONGEST_PAUSE = 1.0, 30.0


class BatchLimiter(ConcurrencyLimiter):
    """How many rows may run at the same time: more with every good answer, far fewer when Vipps asks for less.

    It begins slowly. Answers that take ever longer slow it down too: they come before refusals.
    """

    def __init__(self, *, most: int, rate: SlotSource | None = None, now: Callable[[], float] = time.monotonic) -> None:
        """Begin slowly.

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
        """Note one attempt.

        Args:
            now: monotonic seconds.
            seconds: how long it took.
            status: the HTTP status; None: no answer came.
        """
        # However used one gets to slow answers: those who wait for theirs have begun to give up.
        if status in _TOO_MUCH or seconds >= _SLOW:
            self.slow_down(now)
            return
        self._note_time(now, seconds)
        if self._has_slowed():
            self.slow_down(now, _AFTER_SLOWING)
        elif status is not None:
            self.speed_up()

    def slow_down(self, now: float, factor: float = _AFTER_REFUSAL) -> bool:
        """See `ConcurrencyLimiter`."""
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


#: Questions without an answer, one after the other, until nothing is begun for a while: a single one is no outage.
_RECOVERY_PAUSE_AFTER = 2
#: How long that is, in seconds: at first, and at most. So an outage in which Vipps refuses at once is soon met with a
#: question every four seconds, whatever the concurrency.
_RECOVERY_FIRST_PAUSE, _RECOVERY_LONGEST_PAUSE = 1.0, 4.0
#: How many questions in a row may get no answer before the recovery stops: enough to outlast one bad moment, few enough
#: that an outage is not met with a question for each of a million entries.
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
    """How many entries a recovery may have in work: all that it may in the beginning, fewer when Vipps is in trouble.

    It begins with the highest limit: who recovers has said how much that is, and Vipps is seldom in trouble.
    """

    def __init__(self, *, most: int, now: Callable[[], float] = time.monotonic) -> None:
        """Begin with all.

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
        """See `ConcurrencyLimiter`; Vipps' own wish to wait counts too."""
        return max(super().pause(now), self._wait_until - now)

    def attempted(self, now: float, seconds: float, status: int | None) -> None:
        """Note one attempt of the recovery, to ask or to send again.

        Args:
            now: monotonic seconds.
            seconds: how long it took.
            status: the HTTP status; None: no answer came.
        """
        if status is None or status == 429 or status >= 500 or seconds >= _SLOW:
            self.slow_down(now)
        else:
            self.speed_up()

    def asked_to_wait(self, now: float, error: VippsError | None) -> float:
        """Note the `Retry-After` of an error, and return it in seconds; 0: it has none."""
        seconds = _retry_after(error)
        if seconds:
            self._wait_until = max(self._wait_until, now + min(seconds, _LONGEST_WAIT))
        return seconds

    def lookup_answered(self, now: float) -> None:
        """Note a question that Vipps has answered, whatever it said; `now` is in monotonic seconds."""
        self.succeeded()
        self._answered_at = now
        self._unanswered = 0

    def lookup_unanswered(self, began: float, now: float, error: VippsError | None) -> None:
        """Note a question that got no answer, not even when it was repeated.

        Args:
            began: when it was asked, in monotonic seconds.
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


def _retry_after(error: BaseException | None) -> float:
    # Of a capture whose outcome stays unknown, the answer that Vipps gave is the cause.
    while error is not None:
        if isinstance(error, ApiError) and error.retry_after:
            return error.retry_after
        error = error.__cause__
    return 0.0
