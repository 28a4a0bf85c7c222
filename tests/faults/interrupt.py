"""Walks a coroutine suspension by suspension, and does something at the n-th."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Generic, TypeVar

R = TypeVar("R")


class AtSuspension(Generic[R]):
    """Awaits a coroutine and calls `act` when it suspends for the n-th time (from 1); never if it ends before.

    Attributes:
        suspensions: how often it has suspended.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, R], number: int, act: Callable[[], object]) -> None:
        self._coroutine = coroutine
        self._number = number
        self._act = act
        self.suspensions = 0

    def __await__(self) -> Generator[Any, None, R]:
        """Hand every suspension on to the event loop."""
        steps = self._coroutine.__await__()
        go_on: Callable[[], Any] = partial(steps.send, None)
        while True:
            try:
                waited_for = go_on()
            except StopIteration as end:
                result: R = end.value
                return result
            self.suspensions += 1
            if self.suspensions == self._number:
                self._act()
            try:
                yield waited_for
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is for the coroutine
                go_on = partial(steps.throw, error)
            else:
                go_on = partial(steps.send, None)
