"""A time limit that costs one timer however often it is moved.

`asyncio.timeout` takes a timer from the loop and gives it back each time it is rescheduled. A request reschedules at
each of its steps, to a later moment as a rule: here the timer stays, and sets itself again if it fires too early.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

#: Seconds by which a loop may fire a timer early: its clock's own step.
_CLOCK_STEP = 1e-6


class TimeLimit:
    """Limits what a task does inside ``with``: at its end that is cancelled, and `TimeoutError` is raised.

    As `asyncio.timeout` does, it turns its own cancellation, and no other, into the error.

    Args:
        seconds: from now on; with 0 or less it ends at the next await.
        loop: the running loop; None: it is asked for, which is a system call on Python 3.11.
    """

    __slots__ = ("_cancelling", "_fires", "_loop", "_task", "_timer", "ends", "expired")

    def __init__(self, seconds: float, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.Handle | None = None
        #: When the timer fires, in the loop's seconds.
        self._fires = 0.0
        self._cancelling = 0
        #: When it ends, in the loop's seconds.
        self.ends: float = self._loop.time() + seconds
        #: Whether it has ended the wait.
        self.expired: bool = False

    def __deepcopy__(self, _memo: object) -> Self:
        # Stand-ins for aiohttp copy what they are called with; there is one limit, and one loop.
        return self

    def __enter__(self) -> Self:
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("only a task can be given a time limit")
        self._task, self._cancelling = task, task.cancelling()
        self._set_timer(self.ends)
        return self

    def now(self) -> float:
        """The time on the clock that `ends` is read on, in seconds."""
        return self._loop.time()

    def move(self, ends: float) -> None:
        """Set another end, unless it has come already."""
        if self.expired:
            return
        self.ends = ends
        if ends < self._fires:
            self._set_timer(ends)

    def _set_timer(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fires, loop = moment, self._loop
        if moment <= loop.time():
            # Before whatever becomes ready from now on: a timer would come behind it.
            self._timer = loop.call_soon(self._fire)
        else:
            self._timer = loop.call_at(moment, self._fire)

    def _fire(self) -> None:
        if self.ends > self.now() + _CLOCK_STEP:
            self._set_timer(self.ends)
        elif self._task is not None:
            self.expired = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if self._timer is not None:
            self._timer.cancel()
        if not self.expired or task is None:
            return
        # Somebody else may have cancelled the task as well: then that is what happens.
        ours_alone = task.uncancel() <= self._cancelling
        if ours_alone and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error
