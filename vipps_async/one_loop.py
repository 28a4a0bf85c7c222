"""Holds a session to the event loop it was first used in: its locks, timers and connections belong to that loop."""

from __future__ import annotations

import asyncio
import threading

from vipps_async.errors import ConfigurationError


class OneLoop:
    """The event loop of one session, known from its first use on."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        # Two threads may be the first at the same time.
        self._lock = threading.Lock()

    def check(self, *, closing: bool = False) -> None:
        """Let a use of the session pass: the first one in any loop, each further one in the same.

        Args:
            closing: whether the session is being closed, which may be done once the loop itself has ended.

        Raises:
            ConfigurationError: it is used in another loop, or in a thread that runs none.
        """
        running = _running()
        if running is not None and running is self._loop:
            return
        with self._lock:
            if self._loop is None:
                # Outside any loop nothing can be begun yet; closing needs no loop of its own.
                if not closing:
                    self._loop = running
                return
            if running is self._loop or (closing and self._loop.is_closed()):
                return
        where = "in a thread without an event loop" if running is None else "in another event loop"
        ended = ", which has ended" if self._loop.is_closed() else ""
        raise ConfigurationError(
            f"the session is used {where}: it belongs to the loop it was first used in{ended}",
            advice="make one VippsSession in each event loop, so one for each asyncio.run() and each thread; or hand "
            "the call to the session's own loop with asyncio.run_coroutine_threadsafe",
        )


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
