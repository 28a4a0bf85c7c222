"""How often Vipps takes a call for one order: sliding windows of one minute on the sandbox's clock."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Hashable
from datetime import datetime, timedelta

from vipps_async.sandbox.wire.refusals import gateway_refusal

__all__ = ["PER_MINUTE", "RateLimits"]

#: The vendor's published limits for one order of one sales unit, in calls a minute.
PER_MINUTE = {"initiate": 2, "capture": 5, "cancel": 5, "refund": 5, "details": 120, "status": 120}

_WINDOW = timedelta(minutes=1)


class RateLimits:
    """Counts calls; forgets a window once its last call is a minute old."""

    def __init__(self) -> None:
        # Ordered by last use, so that what can be forgotten stands in front: no search, and memory stays bounded.
        self._windows: OrderedDict[Hashable, deque[datetime]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._windows)

    def count(self, operation: str, whose: Hashable, now: datetime) -> None:
        """Count one call.

        Raises:
            Refusal: 429 with the whole seconds to wait, if the minute's calls are used up; a refused call counts not.
        """
        limit = PER_MINUTE.get(operation)
        if limit is None:
            return
        self._forget(now)
        key = (operation, whose)
        window = self._windows.setdefault(key, deque())
        while window and now - window[0] >= _WINDOW:
            window.popleft()
        if len(window) >= limit:
            wait = max(1, math.ceil((window[0] + _WINDOW - now).total_seconds()))
            raise gateway_refusal(
                429,
                f"Rate limit is exceeded. Try again in {wait} seconds.",
                headers={"Retry-After": str(wait)},
            )
        window.append(now)
        self._windows.move_to_end(key)

    def _forget(self, now: datetime) -> None:
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if window and now - window[-1] < _WINDOW:
                return
            del self._windows[key]
