"""How often a call is taken for one order: sliding windows of one minute on the sandbox's clock."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Hashable
from datetime import datetime, timedelta

from vipps_async.sandbox.ledger.reasons import Reason, Refused

__all__ = ["RateLimits"]

_WINDOW = timedelta(minutes=1)


class RateLimits:
    """Counts calls; forgets a window once its last call is a minute old."""

    def __init__(self) -> None:
        # Ordered by last use, so that what can be forgotten stands in front: no search, and memory stays bounded.
        self._windows: OrderedDict[Hashable, deque[datetime]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._windows)

    def count(self, operation: str, per_minute: int, whose: Hashable, now: datetime) -> None:
        """Count one call.

        Raises:
            Refused: TOO_MANY_CALLS, with the seconds to wait, if the minute's calls are used up; a refused call counts
                not.
        """
        self._forget(now)
        key = (operation, whose)
        window = self._windows.setdefault(key, deque())
        while window and now - window[0] >= _WINDOW:
            window.popleft()
        if len(window) >= per_minute:
            wait = max(1, math.ceil((window[0] + _WINDOW - now).total_seconds()))
            raise Refused(Reason.TOO_MANY_CALLS, wait=wait)
        window.append(now)
        self._windows.move_to_end(key)

    def _forget(self, now: datetime) -> None:
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if window and now - window[-1] < _WINDOW:
                return
            del self._windows[key]
