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

from vipps_async.core.dialect import FailureKind
from vipps_async.core.operation import Repeat

__all__ = ["Step", "step_after"]


class Step(enum.Enum):
    """What to do about it."""

    RETRY = "retry"
    ASK = "ask"
    LOOK = "look"
    REFRESH = "refresh"
    RAISE = "raise"


_ROWS: dict[FailureKind, tuple[Step, Step, Step, Step]] = {
    FailureKind.NOT_SENT: (Step.RETRY, Step.RETRY, Step.RETRY, Step.RETRY),
    FailureKind.THROTTLED: (Step.RETRY, Step.RETRY, Step.RETRY, Step.ASK),
    FailureKind.LOCKED: (Step.RETRY, Step.RETRY, Step.RETRY, Step.ASK),
    FailureKind.UNKNOWN: (Step.RETRY, Step.RETRY, Step.ASK, Step.ASK),
    FailureKind.CONFLICT: (Step.RETRY, Step.ASK, Step.ASK, Step.ASK),
    FailureKind.UNAUTHORIZED: (Step.REFRESH, Step.REFRESH, Step.REFRESH, Step.REFRESH),
    FailureKind.UNSETTLED: (Step.RETRY, Step.ASK, Step.ASK, Step.ASK),
    FailureKind.UNREADABLE: (Step.RETRY, Step.ASK, Step.ASK, Step.LOOK),
    FailureKind.MISFIT: (Step.RETRY, Step.LOOK, Step.LOOK, Step.RAISE),
    FailureKind.FOREIGN: (Step.RAISE, Step.RAISE, Step.RAISE, Step.RAISE),
    FailureKind.REFUSED: (Step.RAISE, Step.RAISE, Step.RAISE, Step.RAISE),
}
_COLUMNS = (Repeat.SAFE, Repeat.KEYED, Repeat.CONFIRM, Repeat.ONCE)


def step_after(failure: FailureKind, repeat: Repeat) -> Step:
    """Look the step up in the table above."""
    return _ROWS[failure][_COLUMNS.index(repeat)]
