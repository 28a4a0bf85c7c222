"""Requests that a fault holds back and delivers later, after their client has given up."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from vipps_async.sandbox.ledger.clock import SandboxClock
from vipps_async.sandbox.network.exchange import Exchange

#: The most requests that are held; a further one is lost, so that memory is bounded.
_MAX_HELD = 100_000


class HeldRequests:
    """Holds requests until the sandbox's clock reaches their time; then they are carried out as if they came just then.

    Only their tokens are checked at the time when they came, since the gateway has let them in by then. They are kept
    in memory only, also where the sandbox has a state file.

    Args:
        clock: the sandbox's clock.
    """

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        #: Oldest first, by number.
        self._held: dict[int, Exchange] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, exchange: Exchange, wait: timedelta) -> None:
        """Hold a request whose body is read for that long."""
        if len(self._held) >= _MAX_HELD:
            return
        self._number += 1
        number = self._number
        self._held[number] = exchange
        self._clock.call_at(self._clock.now() + wait, lambda: self._deliver(number))

    def deliver_all(self) -> int:
        """Deliver now whatever is held, oldest first; return how many requests that were."""
        numbers = list(self._held)
        for number in numbers:
            self._deliver(number)
        return len(numbers)

    def _deliver(self, number: int) -> None:
        exchange = self._held.pop(number, None)
        if exchange is not None:
            _finish(exchange.proceed())


def _finish(work: Coroutine[Any, Any, object]) -> None:
    # With its body read, no endpoint that may be held waits for anything; so who moves the clock sees the effect.
    try:
        work.send(None)
    except StopIteration:
        return
    work.close()
    raise AssertionError("unreachable: a request whose body is read waits for nothing")
