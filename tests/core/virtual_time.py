"""An event loop whose clock jumps to the next timer instead of waiting for it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run_in_virtual_time"]

R = TypeVar("R")


class _Jumping(selectors.DefaultSelector):
    """Never waits: what it was asked to wait is added to a clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; if nothing is, let the time pass that was to be waited."""
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "nothing is left to wait for: the test would hang"
            self.now += max(timeout, 0.0)
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, tick: float) -> None:
        self._jumping = _Jumping()
        self._tick = tick
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the virtual time in seconds; looking at it takes a while."""
        self._jumping.now += self._tick
        return self._jumping.now


def run_in_virtual_time(main: Coroutine[Any, Any, R], *, tick: float = 0.0) -> R:
    """Run a coroutine in a loop of its own, in which minutes pass in no time. Only for what uses no sockets.

    Args:
        main: the coroutine.
        tick: how many seconds go by each time that the clock is looked at, as they do on a real machine.
    """
    with asyncio.Runner(loop_factory=lambda: _VirtualLoop(tick)) as runner:
        return runner.run(main)
