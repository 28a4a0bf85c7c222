"""Timers on the sandbox's clock: they run in real time, or advance that clock as soon as nothing else is to do."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from vipps_async.sandbox.ledger.clock import SandboxClock

#: How often a stalled request looks whether its client is still there, in seconds.
_LOOK = 0.05
#: Moments closer than this are the same: the clock counts microseconds.
_SLACK = 2e-6
#: Seconds after which the check of all loops is repeated: one of them may have ended meanwhile.
_ASK_AGAIN = 1.0
#: Turns of an event loop after which all that was ready has run: callbacks schedule callbacks, some times over.
_TURNS = 10


class _IdleCheck:
    """A check whether all event loops are idle, which is void if a timer or request changes meanwhile."""

    def __init__(self, changes: int, loops: set[asyncio.AbstractEventLoop]) -> None:
        self.changes = changes
        #: Those that have not answered yet.
        self.loops = loops


class _Timer:
    """A callback that is scheduled for a time."""

    def __init__(
        self,
        when: float,
        loop: asyncio.AbstractEventLoop,
        call: Callable[[], object],
        context: contextvars.Context,
        changed: Callable[[], None],
    ) -> None:
        self.loop = loop
        self.cancelled = False
        #: The loop's handle, if it runs in real time.
        self.handle: asyncio.Handle | None = None
        #: The moment, as `Waits.time` counts.
        self.when = when
        self._call = call
        self._context = context
        self._changed = changed

    def cancel(self) -> None:
        """Cancel the callback, unless it has run."""
        self.cancelled = True
        self._changed()
        if self.handle is not None:
            self.handle.cancel()

    def run(self) -> None:
        """Run the callback, unless it was cancelled."""
        if not self.cancelled:
            self._context.run(self._call)


class Waits:
    """A clock for sessions (`core.clock.Clock`) whose waits advance the sandbox's clock instead of taking real time.

    With `longest`, the earliest timer is waited for that long at most; then, once no request is under way and no event
    loop has anything to do, the sandbox's clock is advanced to it. Timers run in their order, each at its own time by
    the clock: two waits of five seconds that begin together take five.
    Without `longest` waits take real time.

    It may be used in several threads and event loops; the clock is advanced in the sandbox's own thread only.

    Args:
        clock: the sandbox's clock.
        longest: the longest real time that a wait takes, in seconds; None: its full time.

    Raises:
        ValueError: `longest` is negative or not finite.
    """

    def __init__(self, clock: SandboxClock, longest: float | None) -> None:
        if longest is not None and not 0 <= longest < math.inf:
            raise ValueError("longest_wait must be None or a finite number of seconds, not negative")
        self.longest = longest
        self._clock = clock
        #: The sandbox's event loop; None: it does not run, so that nothing moves its clock.
        self._home: asyncio.AbstractEventLoop | None = None
        #: When, the number that keeps the order, what: a heap. Only the sandbox's thread looks at it.
        self._timers: list[tuple[float, int, _Timer]] = []
        self._numbers = itertools.count()
        self._next: asyncio.Handle | None = None
        #: The time of `_next`; not every loop's handle has it.
        self._next_at = 0.0
        #: Counts timers and requests that begin or end.
        self._changes = 0
        #: Requests under way, less those that stall.
        self._under_way = 0
        self._lock = threading.Lock()

    # -- begin and end ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Advance the clock in the running loop from now on."""
        self._home = asyncio.get_running_loop()

    def end(self) -> None:
        """Advance the clock no more: timers that are still set run in real time."""
        self._home = None
        if self._next is not None:
            self._next.cancel()
            self._next = None
        left, self._timers = self._timers, []
        for _, __, timer in left:
            # A loop that has ended waits for nothing any more.
            with contextlib.suppress(RuntimeError):
                timer.loop.call_soon_threadsafe(self._wait_really, timer)

    # -- a clock, as the client's sessions take one --------------------------------------------------------------------

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start, by the clock."""
        return time.monotonic() + self._clock.offset.total_seconds()

    def now(self) -> datetime:
        """Return the sandbox's time, aware, in UTC."""
        return self._clock.now()

    async def sleep(self, seconds: float) -> None:
        """Wait until so many seconds have passed by the clock."""
        over = asyncio.Event()
        timer = self.call_at(self.monotonic() + seconds, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()

    def timers(self) -> Waits:
        """Return itself: it sets timers in the running loop."""
        return self

    def time(self) -> float:
        """Return what `monotonic` does."""
        return self.monotonic()

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> _Timer:
        """Schedule a callback in the running loop for a time of `time`."""
        loop = asyncio.get_running_loop()
        timer = _Timer(when, loop, lambda: callback(*args), context or contextvars.copy_context(), self._change)
        if self.longest is None or not self._at_home(self._add, timer):
            self._wait_really(timer)
        return timer

    # -- requests on their way -----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """Count a request as under way inside the `with` block: the clock is not advanced meanwhile."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    async def stall(self, seconds: float, ended: asyncio.Event, is_needed: Callable[[], bool]) -> None:
        """Wait for so many seconds by the clock, as long as `is_needed` is true and until the event is set."""
        over = asyncio.Event()
        timer = self.call_at(self.monotonic() + seconds, over.set)
        look = _LOOK if self.longest is None else min(_LOOK, max(self.longest, 0.001))
        self._count(-1)
        try:
            while is_needed() and not (over.is_set() or ended.is_set()):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(look):
                        await over.wait()
        finally:
            self._count(1)
            timer.cancel()

    def _count(self, step: int) -> None:
        self._change()
        with self._lock:
            self._under_way += step
            is_quiet = self._under_way <= 0
        if is_quiet and self.longest is not None:
            self._at_home(self._arm)

    def _change(self) -> None:
        self._changes += 1

    # -- in the sandbox's thread ---------------------------------------------------------------------------------------

    def _at_home(self, call: Callable[..., object], *args: object) -> bool:
        home = self._home
        if home is None:
            return False
        if home is asyncio.get_running_loop():
            call(*args)
            return True
        try:
            home.call_soon_threadsafe(call, *args)
        except RuntimeError:
            # It has ended just now.
            return False
        return True

    def _wait_really(self, timer: _Timer) -> None:
        timer.handle = timer.loop.call_later(max(0.0, timer.when - self.monotonic()), timer.run)

    def _add(self, timer: _Timer) -> None:
        if self._home is None:
            timer.loop.call_soon_threadsafe(self._wait_really, timer)
            return
        self._change()
        heapq.heappush(self._timers, (timer.when, next(self._numbers), timer))
        self._arm()

    def _due(self) -> float | None:
        """Return the time of the earliest timer."""
        while self._timers and self._timers[0][2].cancelled:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def _arm(self, *, longest: float | None = None) -> None:
        """Schedule the next try: when the earliest timer is due, or when the clock may be advanced to it."""
        due, home = self._due(), self._home
        longest = self.longest if longest is None else longest
        if due is None or home is None or longest is None:
            return
        left = max(due - self.monotonic(), 0.0)
        # Nothing is moved on while an answer is on its way; the real time passes all the same.
        at = home.time() + (left if self._under_way > 0 else min(left, longest))
        if self._next is not None:
            if self._next_at <= at:
                return
            self._next.cancel()
        self._next_at, self._next = at, home.call_at(at, self._try_to_move_on)

    def _try_to_move_on(self) -> None:
        """Run the earliest timer: now if it is due, else once every event loop turns out to be idle."""
        self._next = None
        due = self._due()
        if due is None:
            return
        if due - self.monotonic() <= _SLACK:
            self._move_on(due)
        elif self._under_way > 0:
            self._arm()
        else:
            # A loop that computes is as busy as one that waits for an answer.
            loops = {timer.loop for _, __, timer in self._timers if not timer.cancelled and timer.loop.is_running()}
            check = _IdleCheck(self._changes, loops | {asyncio.get_running_loop()})
            for loop in tuple(check.loops):
                # One that ends at this very moment does not tell, and is not asked the next time.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._turn, check, loop, _TURNS)
            self._arm(longest=_ASK_AGAIN)

    def _turn(self, check: _IdleCheck, loop: asyncio.AbstractEventLoop, left: int) -> None:
        """Let a loop turn some times, so that all callbacks that are ready have run."""
        if left:
            loop.call_soon(self._turn, check, loop, left - 1)
        else:
            self._at_home(self._is_idle, check, loop)

    def _is_idle(self, check: _IdleCheck, loop: asyncio.AbstractEventLoop) -> None:
        check.loops.discard(loop)
        if check.loops:
            return
        due = self._due()
        if due is None:
            return
        if check.changes == self._changes and self._under_way <= 0:
            self._move_on(due)
        else:
            self._arm()

    def _move_on(self, due: float) -> None:
        self._change()
        rest = due - self.monotonic()
        if rest > 0:
            self._clock.advance(rest)
        while self._timers and self._timers[0][0] <= max(due, self.monotonic()) + _SLACK:
            timer = heapq.heappop(self._timers)[2]
            # A loop that has ended waits for nothing any more.
            with contextlib.suppress(RuntimeError):
                timer.loop.call_soon_threadsafe(timer.run)
        self._arm()
