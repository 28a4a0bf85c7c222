"""Time limits for many waits at once, over one timer of the event loop.

`asyncio.timeout` takes a timer from the loop each time and gives it back; with thousands of calls a second, hardly one
of which comes near its limit, that is a good part of what they cost. Here the loop has one timer, set to the limit
that comes first.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Self

__all__ = ["TimeLimit", "TimeLimits"]

#: Seconds by which a loop may fire a timer early: its clock's own step.
_CLOCK_STEP = 1e-6


class TimeLimits:
    """The limits of all waits in one event loop."""

    def __init__(self) -> None:
        self._watch: _Watch | None = None

    def within(self, seconds: float) -> TimeLimit:
        """Limit what is done inside ``with``: after so many seconds it ends in `TimeoutError`.

        As `asyncio.timeout` does, it cancels the task and turns that cancellation, and no other, into the error.

        Args:
            seconds: from now on; with 0 or less it ends at the next await.
        """
        watch, loop = self._watch, asyncio.get_running_loop()
        if watch is None or watch.loop is not loop:
            # What outlives its loop starts afresh in the next one; of the first nothing is running any more.
            watch = self._watch = _Watch(loop)
        return TimeLimit(watch, loop.time() + seconds)


class TimeLimit:
    """One limit, entered by one task."""

    __slots__ = ("_cancelling", "_task", "_watch", "ends", "expired")

    def __init__(self, watch: _Watch, ends: float) -> None:
        self._watch = watch
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        #: When it ends, in the loop's seconds.
        self.ends = ends
        #: Whether it has ended the wait.
        self.expired = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be given a time limit")
        self._task, self._cancelling = task, task.cancelling()
        self._watch.keep(self)
        return self

    def now(self) -> float:
        """The time on the clock that `ends` is read on, in seconds."""
        return self._watch.loop.time()

    def move(self, ends: float) -> None:
        """Set another end, unless it has come already."""
        if not self.expired:
            self.ends = ends
            self._watch.keep(self)

    def expire(self) -> None:
        """End the wait."""
        self.expired = True
        if self._task is not None:
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        self._watch.drop(self)
        if not self.expired or task is None:
            return
        # Somebody else may have cancelled the task as well: then that is what happens.
        ours_alone = task.uncancel() <= self._cancelling
        if ours_alone and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error


class _Watch:
    """Knows all limits that are entered, and has the timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._kept: set[TimeLimit] = set()
        self._timer: asyncio.Handle | None = None
        #: When the timer fires, in the loop's seconds.
        self._fires = math.inf

    def keep(self, limit: TimeLimit) -> None:
        """Watch a limit, which may have another end than before."""
        self._kept.add(limit)
        # A timer that fires too early for all of them just looks and is set again.
        if limit.ends < self._fires:
            self._set_timer(limit.ends)

    def drop(self, limit: TimeLimit) -> None:
        """Watch it no more."""
        self._kept.discard(limit)

    def _set_timer(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if moment <= self.loop.time():
            # Before whatever becomes ready from now on: a timer would come behind it.
            self._timer = self.loop.call_soon(self._fire)
        else:
            self._timer = self.loop.call_at(moment, self._fire)
        self._fires = moment

    def _fire(self) -> None:
        self._timer, self._fires = None, math.inf
        now = self.loop.time() + _CLOCK_STEP
        due = [limit for limit in self._kept if limit.ends <= now]
        self._kept.difference_update(due)
        for limit in due:
            limit.expire()
        if self._kept:
            self._set_timer(min(limit.ends for limit in self._kept))
