"""The retry budget of a session: an outage of Vipps must not be answered with a storm of retries."""

from __future__ import annotations

from vipps_async.config import RetryPolicy

__all__ = ["RetryBudget"]


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
        """What is left."""
        return self._tokens

    def spend(self, *, throttled: bool) -> bool:
        """Take what one retry costs; False, and nothing is taken, if there is not enough left."""
        cost = self._policy.throttled_cost if throttled else self._policy.retry_cost
        if cost > self._tokens:
            return False
        self._tokens -= cost
        return True

    def refill(self) -> None:
        """Note a call that succeeded at first try."""
        if self._tokens < self._policy.budget:
            self._tokens = min(self._policy.budget, self._tokens + self._policy.success_refill)
