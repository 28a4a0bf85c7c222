"""Rate limits: attempts a minute for each payment, and work begun a second."""

from __future__ import annotations

from typing import Protocol

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
        """Count one attempt, made at `now` (monotonic seconds); the last `per_minute` of them are all that matters."""
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
        """Start with no slot taken.

        Args:
            per_second: how many a second, above 0.
            burst: how many at once after a pause; None: as many as a late timer has missed.
        """
        self._interval = 1.0 / per_second
        # After a lull the grain counts for one slot only where slots are further apart than it.
        self._lag = max(0.0, self._CATCH_UP - self._interval) if burst is None else (burst - 1.0) * self._interval
        self._next = float("-inf")

    def wait(self, now: float, *, reserve: float = 0.0) -> float:
        """Return in how many seconds there is a slot while so many stay in reserve; `now` is in monotonic seconds."""
        return max(0.0, max(self._next, now - self._lag) + reserve * self._interval - now)

    def take(self, now: float) -> float:
        """Take one slot and return in how many seconds it comes; `now` is in monotonic seconds."""
        slot = max(self._next, now - self._lag)
        self._next = slot + self._interval
        return max(0.0, slot - now)

    async def slot(self, now: float) -> float:
        """See `SlotSource`: the same as `take`."""
        return self.take(now)
