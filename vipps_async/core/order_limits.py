"""Which attempts each order has had of late: Vipps limits them per order and operation (API guide, rate limiting)."""

from __future__ import annotations

__all__ = ["AttemptLedger"]

#: The vendor's limits are per minute.
_WINDOW = 60.0
#: Two generations of at most this many orders are kept, about 6 MB when full. A session that touches more than 40,000
#: orders a minute forgets the oldest early; Vipps then answers 429, which has no effect.
_GENERATION = 20_000


class AttemptLedger:
    """Counts attempts per operation and order within the last minute, in bounded memory.

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
        # Only so many are kept, or polling one order in a tight loop would copy an ever longer tuple each time.
        self._current[key] = (now,) if made is None else (*made, now)[-per_minute:]

    def wait_for_turn(self, operation: str, payment: str, per_minute: int, now: float) -> float:
        """Return how many seconds must pass before one more attempt stays within `per_minute`; 0 if none."""
        key = (operation, payment)
        made = (*self._previous.get(key, ()), *self._current.get(key, ()))
        recent = [moment for moment in made if moment > now - _WINDOW]
        if len(recent) < per_minute:
            return 0.0
        return recent[-per_minute] + _WINDOW - now
