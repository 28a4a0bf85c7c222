"""The sandbox's clock, which tests can advance, and its limits of calls a minute."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from datetime import UTC, datetime, timedelta

from vipps_async.sandbox.ledger.reasons import Reason, Refused

#: No further: what happens to a payment a year later must still have a date.
_LAST = datetime(9000, 12, 31, tzinfo=UTC)

#: The window of the rate limits, which slides.
_MINUTE = timedelta(minutes=1)
#: More than is left until then, in seconds; what a timedelta can hold is not much longer.
_LONGEST = 1e12


class SandboxClock:
    """The one clock of the sandbox: of token lifetimes, expiry, rate limits, the 180 and 365 days.

    Args:
        start: the aware time to start from; None: now.
        running: False makes a clock that only `advance` moves.

    Raises:
        ValueError: `start` has no time zone.
    """

    def __init__(self, start: datetime | None = None, *, running: bool = True) -> None:
        now = datetime.now(UTC)
        if start is not None and start.tzinfo is None:
            raise ValueError("start must have a time zone")
        begin = now if start is None else start.astimezone(UTC)
        self._running = running
        self._offset = begin - now
        self._standing = begin
        self._listeners: list[Callable[[], None]] = []
        #: When, the number that keeps the order, what: a heap.
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def now(self) -> datetime:
        """Return the sandbox's time, aware, in UTC."""
        return datetime.now(UTC) + self._offset if self._running else self._standing

    @property
    def offset(self) -> timedelta:
        """How far the sandbox's time is ahead of the machine's, for a clock that runs."""
        return self._offset

    def advance(self, step: float | timedelta) -> None:
        """Advance the clock, and run all callbacks that became due.

        Args:
            step: seconds, or a timedelta.

        Raises:
            ValueError: the step is negative or not finite: time does not run backwards here, nor beyond the year 9000.
        """
        if not isinstance(step, timedelta):
            if not math.isfinite(step):
                raise ValueError("the clock can only be advanced by a finite time")
            if abs(step) > _LONGEST:
                raise ValueError(f"the clock ends with the year {_LAST.year}")
            step = timedelta(seconds=step)
        if step < timedelta(0):
            raise ValueError("the clock can only be advanced")
        if step > _LAST - self.now():
            raise ValueError(f"the clock ends with the year {_LAST.year}")
        offset, standing = self._offset + step, self._standing + step
        end = datetime.now(UTC) + offset if self._running else standing
        while self._due and self._due[0][0] <= end:
            # Each at its own time.
            wait = max(self._due[0][0] - self.now(), timedelta(0))
            self._offset, self._standing = self._offset + wait, self._standing + wait
            heapq.heappop(self._due)[2]()
        self._offset, self._standing = offset, standing
        for listener in tuple(self._listeners):
            listener()

    def call_at(self, moment: datetime, call: Callable[[], None]) -> None:
        """Schedule a callback for a time; `advance` (with the clock at that time) or `run_due` runs it."""
        heapq.heappush(self._due, (moment, next(self._numbers), call))

    def run_due(self) -> None:
        """Run the callbacks that are due, in order."""
        while self._due and self._due[0][0] <= self.now():
            heapq.heappop(self._due)[2]()

    def on_advance(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call the listener after each `advance`; the callable that is returned ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)


def iso_utc(moment: datetime, *, zone: bool = True) -> str:
    """Write a moment the way Vipps does, with milliseconds; refund answers leave the zone out."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
    return f"{text}Z" if zone else text


class RateLimits:
    """Counts calls in sliding windows of a minute; a window without calls is dropped."""

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
        while window and now - window[0] >= _MINUTE:
            window.popleft()
        if len(window) >= per_minute:
            wait = max(1, math.ceil((window[0] + _MINUTE - now).total_seconds()))
            raise Refused(Reason.TOO_MANY_CALLS, wait=wait)
        window.append(now)
        self._windows.move_to_end(key)

    def _forget(self, now: datetime) -> None:
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if window and now - window[-1] < _MINUTE:
                return
            del self._windows[key]
