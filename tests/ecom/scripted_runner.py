"""A runner that answers calls from a script and keeps them for the test to look at."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

import orjson
import pytest
from attrs import define, field

from vipps_async import InvalidInputError
from vipps_async.core.converter import encode
from vipps_async.core.operation import Call

R = TypeVar("R")


@define
class ScriptedRunner:
    """Answers each call with the next of `results`; an exception among them is raised."""

    results: list[Any] = field(factory=list)
    calls: list[Call[Any]] = field(factory=list)

    async def run(self, call: Call[R]) -> R:
        """Keep the call and return, or raise, what the script says; None when it is used up."""
        self.calls.append(call)
        result: Any = self.results.pop(0) if self.results else None
        if isinstance(result, BaseException):
            raise result
        answer: R = result
        return answer

    @property
    def only(self) -> Call[Any]:
        """The one call that was made."""
        (call,) = self.calls
        return call


def body_of(runner: ScriptedRunner) -> Any:
    """Return the body of the one call that was made, as JSON."""
    return orjson.loads(encode(runner.only.body))


async def refusal(runner: ScriptedRunner, call: Awaitable[object]) -> InvalidInputError:
    """Return the error of a call that must be refused before it reaches the runner."""
    with pytest.raises(InvalidInputError) as caught:
        await call
    assert not runner.calls
    return caught.value
