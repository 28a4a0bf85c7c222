"""Keeps a worker that lost a chunk from writing and sending: by an epoch in the database, and by time."""

from __future__ import annotations

import time
from contextvars import ContextVar
from urllib.parse import urlsplit

from attrs import define

from vipps_async.core.batch import BatchOperation
from vipps_async.errors import JournalError, RequestNotSent
from vipps_async.journals.group_commit import WriteCondition
from vipps_async.transports.protocol import Request, Response, Transport

#: Seconds between two signs of life of whoever has a chunk, and after how many without one others may take it.
HEARTBEAT_EVERY, STALE_AFTER = 1.0, 5.0
#: For how many seconds after the last sign of life that the database has confirmed a worker itself believes that the
#: chunk is its own: less than others wait, by more than clocks differ in so short a time.
_OWN_FOR = 4.0

#: The last part of the path of what moves money.
_MOVES = frozenset(operation.value for operation in BatchOperation)

_LOST = "the chunk of this row went to another worker"


def now() -> float:
    """Return the time by the clock that fences go by, in seconds."""
    # One that goes on while the machine sleeps, where there is such a clock.
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@define(eq=False)
class Fence:
    """A worker's ownership of a chunk, checked by epoch and by clock."""

    batch: int
    chunk: int
    #: The chunk's epoch when it was taken.
    epoch: int
    #: What the database is asked at each write.
    condition: WriteCondition
    #: By `now`: until when it is certain that nobody else has taken it.
    good_until: float
    #: Whether somebody else is known to have taken it.
    is_lost: bool = False
    #: Whether a row was kept from being sent.
    has_barred: bool = False

    @classmethod
    def around(cls, batch: int, chunk: int, epoch: int, *, statement: bytes, asked_at: float) -> Fence:
        """Begin to hold a chunk; `asked_at` is when, by `now`, the database was asked for it."""
        condition = WriteCondition(statement, (batch, chunk, epoch), _LOST)
        return cls(batch, chunk, epoch, condition, asked_at + _OWN_FOR)

    def may_send(self) -> bool:
        """Whether this worker certainly still owns the chunk."""
        return not self.is_lost and now() < self.good_until

    def confirmed(self, asked_at: float) -> None:
        """Note that the database was asked at that time, and said that the epoch is the current one."""
        self.good_until = max(self.good_until, asked_at + _OWN_FOR)


#: The hold under which the running task works: set for the task of a chunk, and inherited by those that it starts.
current_fence: ContextVar[Fence] = ContextVar("vipps_async batch fence")


def current_condition() -> WriteCondition:
    """Return what must hold for a write of the running task.

    Raises:
        JournalError: it works on no chunk, and so must not write.
    """
    fence = current_fence.get(None)
    if fence is None:
        raise JournalError("only what works on a chunk of a batch may write to this journal")
    return fence.condition


class FencedTransport:
    """Sends a capture, refund or cancel only while this worker owns the chunk that it belongs to.

    The journal refuses to begin an operation without ownership. This refuses to send one that was begun in time, but
    whose worker was stopped before it was sent, or before it is sent once more.
    """

    def __init__(self, transport: Transport) -> None:
        """Stand before a transport, which is closed with this one."""
        self._transport = transport

    async def send(self, request: Request) -> Response:
        """See `Transport.send`."""
        if urlsplit(request.url).path.rpartition("/")[2] in _MOVES:
            fence = current_fence.get(None)
            if fence is None or not fence.may_send():
                if fence is not None:
                    fence.has_barred = True
                raise RequestNotSent(
                    "this worker cannot be certain any more that the row is its own",
                    advice="whoever has it now carries it out; nothing is to be done",
                )
        return await self._transport.send(request)

    async def aclose(self) -> None:
        """Close the transport."""
        await self._transport.aclose()
