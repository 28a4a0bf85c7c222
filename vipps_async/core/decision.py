"""The one table that says what each kind of failure means for each way of repeating.

::

                  SAFE      KEYED     CONFIRM   ONCE
    not sent      retry     retry     retry     retry     nothing left this machine
    throttled     retry     retry     retry     ask       answered before anything was done; initiate is asked anyway
    locked        retry     retry     retry     ask       another operation holds the order
    unknown       retry     retry     ask       ask       no usable answer, or one of a server in trouble
    conflict      retry     ask       ask       ask       409: something stands there already, perhaps our own attempt
    unsettled     retry     ask       ask       ask       an answer that settles nothing, whatever its status
    unauthorized  refresh   refresh   refresh   refresh   once a call, then it counts as refused
    unreadable    retry     ask       ask       look      2xx or 3xx that cannot be read: it probably took effect
    misfit        retry     look      look      raise     2xx that says something else than what was asked for
    foreign       raise     raise     raise     raise     a refusal, but not in Vipps' words
    refused       raise     raise     raise     raise     Vipps said no

A KEYED operation is repeated with the same key and the same bytes. "Ask" means details: proven done ends the call; else
a KEYED operation is sent again, which its key makes safe, and another one only if it is proven absent. "Look" means
details without another attempt.
"""

from __future__ import annotations

import enum

from vipps_async.core.operation import Repeat

__all__ = ["Failure", "Step", "step_after"]


class Failure(enum.Enum):
    """What went wrong with one attempt."""

    NOT_SENT = "not sent"
    THROTTLED = "throttled"
    LOCKED = "locked"
    UNKNOWN = "unknown"
    CONFLICT = "conflict"
    UNAUTHORIZED = "unauthorized"
    UNSETTLED = "unsettled"
    UNREADABLE = "unreadable"
    MISFIT = "misfit"
    FOREIGN = "foreign"
    REFUSED = "refused"

    @property
    def doubtful(self) -> bool:
        """Whether the attempt may have taken effect all the same."""
        return self in _DOUBTFUL


class Step(enum.Enum):
    """What to do about it."""

    RETRY = "retry"
    ASK = "ask"
    LOOK = "look"
    REFRESH = "refresh"
    RAISE = "raise"


_DOUBTFUL = frozenset(
    {
        Failure.UNKNOWN,
        Failure.CONFLICT,
        Failure.UNSETTLED,
        Failure.FOREIGN,
        Failure.UNREADABLE,
        Failure.MISFIT,
    }
)

_ROWS: dict[Failure, tuple[Step, Step, Step, Step]] = {
    Failure.NOT_SENT: (Step.RETRY, Step.RETRY, Step.RETRY, Step.RETRY),
    Failure.THROTTLED: (Step.RETRY, Step.RETRY, Step.RETRY, Step.ASK),
    Failure.LOCKED: (Step.RETRY, Step.RETRY, Step.RETRY, Step.ASK),
    Failure.UNKNOWN: (Step.RETRY, Step.RETRY, Step.ASK, Step.ASK),
    Failure.CONFLICT: (Step.RETRY, Step.ASK, Step.ASK, Step.ASK),
    Failure.UNAUTHORIZED: (Step.REFRESH, Step.REFRESH, Step.REFRESH, Step.REFRESH),
    Failure.UNSETTLED: (Step.RETRY, Step.ASK, Step.ASK, Step.ASK),
    Failure.UNREADABLE: (Step.RETRY, Step.ASK, Step.ASK, Step.LOOK),
    Failure.MISFIT: (Step.RETRY, Step.LOOK, Step.LOOK, Step.RAISE),
    Failure.FOREIGN: (Step.RAISE, Step.RAISE, Step.RAISE, Step.RAISE),
    Failure.REFUSED: (Step.RAISE, Step.RAISE, Step.RAISE, Step.RAISE),
}
_COLUMNS = (Repeat.SAFE, Repeat.KEYED, Repeat.CONFIRM, Repeat.ONCE)


def step_after(failure: Failure, repeat: Repeat) -> Step:
    """Look the step up in the table above."""
    return _ROWS[failure][_COLUMNS.index(repeat)]
