"""The ten phases in which workers are killed, and how a worker tells that one of its operations is in such a phase."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from attrs import define

from vipps_async import AcquireResult, Journal

__all__ = ["RECOVERY", "Phase", "PhaseWatch", "PhasedTransport", "watch_journal"]

T = TypeVar("T")

#: How long an operation is held where its phase has no length of its own, in seconds: longer than a kill takes.
_HOLD = 0.15


class Phase(enum.Enum):
    """Where an operation stands when its process is killed."""

    OPENING = "before the journal is open"
    RECOVERY_ASKING = "in recovery, asking details"
    RECOVERY_SENDING = "in recovery, sending again"
    NOTING_INTENT = "intent being written"
    NOTED = "intent written, nothing sent"
    SENDING = "request on its way"
    ANSWERED = "answered, outcome not noted"
    LOOKING = "looking at details"
    NOTING_OUTCOME = "outcome being written"
    TOLD = "outcome noted, caller not told"


RECOVERY = frozenset({Phase.RECOVERY_ASKING, Phase.RECOVERY_SENDING})
#: Phases that exchange something with Vipps: also held before it leaves, or (in recovery) after the answer.
_EXCHANGES = RECOVERY | {Phase.SENDING, Phase.LOOKING}


@define
class PhaseWatch:
    """Says when the one operation that its process is killed for enters its phase, and when it leaves it."""

    phase: Phase
    #: How many operations pass the phase before that one.
    skip: int
    #: Where an exchange is held: ``"before"``, ``"after"`` or, for anything else, nowhere.
    held: str
    #: Takes ``"in"`` and ``"out"``.
    say: Callable[[str], None]
    recovering: bool = True
    entered: bool = False
    #: Waits until an outcome is durable.
    flushing: asyncio.Task[None] | None = None

    def enter(self, phase: Phase) -> bool:
        """Whether an operation that now enters a phase is the one; if so, it is said."""
        if phase is not self.phase or self.entered:
            return False
        self.skip -= 1
        if self.skip >= 0:
            return False
        self.entered = True
        self.say("in")
        return True

    async def through(self, phase: Phase, work: Callable[[], Awaitable[T]]) -> T:
        """Do what the phase consists of."""
        if not self.enter(phase):
            return await work()
        exchange = phase in _EXCHANGES
        try:
            if exchange and self.held == "before":
                await asyncio.sleep(_HOLD)
            result = await work()
            # After it, a request at work is in the next phase: answered.
            if exchange and self.held == "after" and self.recovering:
                await asyncio.sleep(_HOLD)
            return result
        finally:
            self.say("out")

    async def point(self, phase: Phase) -> None:
        """Pass a phase without length."""
        if self.enter(phase):
            try:
                await asyncio.sleep(_HOLD)
            finally:
                self.say("out")


class PhasedTransport:
    """A transport that tells phases."""

    def __init__(self, inner: Any, watch: PhaseWatch) -> None:
        self._inner = inner
        self._watch = watch

    async def send(self, request: Any) -> Any:
        """Send a request, in its phase."""
        watch, send = self._watch, partial(self._inner.send, request)
        if request.url.endswith(("/details", "/events")):
            return await watch.through(Phase.RECOVERY_ASKING if watch.recovering else Phase.LOOKING, send)
        if not request.url.endswith("/capture"):
            return await send()
        if watch.recovering:
            return await watch.through(Phase.RECOVERY_SENDING, send)
        response = await watch.through(Phase.SENDING, send)
        await watch.point(Phase.ANSWERED)
        return response

    async def aclose(self) -> None:
        """Close the inner one."""
        await self._inner.aclose()


def watch_journal(journal: Journal, watch: PhaseWatch) -> None:
    """Let a journal tell phases, by wrapping methods of its class: its process has no other one."""
    kind: Any = type(journal)
    begin, settle, release = kind.begin, kind.settle, kind.release

    async def watched_begin(self: Any, *given: Any, **more: Any) -> Any:
        answer = await watch.through(Phase.NOTING_INTENT, partial(begin, self, *given, **more))
        if answer[0] is AcquireResult.ACQUIRED:
            await watch.point(Phase.NOTED)
        return answer

    async def watched_settle(self: Any, *given: Any, **more: Any) -> None:
        inside = watch.enter(Phase.NOTING_OUTCOME)
        await settle(self, *given, **more)
        if inside:
            # It is durable some time after this returns.
            watch.flushing = asyncio.create_task(_say_when_flushed(self, watch))

    async def watched_release(self: Any, *given: Any, **more: Any) -> Any:
        return await watch.through(Phase.NOTING_OUTCOME, partial(release, self, *given, **more))

    kind.begin, kind.settle, kind.release = watched_begin, watched_settle, watched_release


async def _say_when_flushed(journal: Journal, watch: PhaseWatch) -> None:
    await journal.flush()
    watch.say("out")
