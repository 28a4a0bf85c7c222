"""How often Vipps may be asked, over all orders of a session: a bucket of turns that fills at a steady pace."""

from __future__ import annotations

__all__ = ["BURST", "PER_MINUTE", "Pace"]

# Vipps takes 120 questions a minute from a subscription key (API guide, rate limiting). In any 60 seconds at most
# BURST + PER_MINUTE are asked, so these two make 120.

#: Turns that come back in a minute.
PER_MINUTE = 100.0
#: Turns that can be saved up.
BURST = 20.0
#: Of these, how many are kept for what is urgent: an order whose callback has just come does not wait in the queue.
_RESERVE = 10.0


class Pace:
    """Hands out turns. Time is given, in seconds from any start."""

    def __init__(self, now: float) -> None:
        self._turns = BURST
        self._counted_at = now

    def wait_for_turn(self, now: float, *, urgent: bool) -> float:
        """Return in how many seconds there is a turn; 0: now."""
        wanted = 1.0 if urgent else 1.0 + _RESERVE
        missing = wanted - self._turns_at(now)
        return max(0.0, missing * 60.0 / PER_MINUTE)

    def take(self, now: float) -> None:
        """Use a turn, which `wait_for_turn` said is there."""
        self._turns = self._turns_at(now) - 1.0
        self._counted_at = now

    def _turns_at(self, now: float) -> float:
        return min(BURST, self._turns + (now - self._counted_at) * PER_MINUTE / 60.0)
