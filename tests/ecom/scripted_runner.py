"""A runner that answers calls from a script and keeps them for the test to look at."""

from __future__ import annotations

from typing import Any, TypeVar

from attrs import define, field

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
