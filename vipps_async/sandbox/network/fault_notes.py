"""What a fault notes on a request, for the endpoint that carries it out."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web

from vipps_async.sandbox.ledger.entries import UNDISTURBED, Disturbance

__all__ = ["FaultNotes", "fault_notes"]


@dataclass(slots=True)
class FaultNotes:
    """What faults note on a request."""

    disturbance: Disturbance = UNDISTURBED
    #: How old its view of details is.
    stale_by: timedelta = timedelta(0)
    #: When it came, if it takes effect later: its token is judged then.
    received_at: datetime | None = None


#: By the identity of the request, which cannot be hashed, and whose own store takes other keys in each aiohttp.
_NOTES: dict[int, FaultNotes] = {}


def fault_notes(request: web.Request) -> FaultNotes:
    """Return what faults note on a request, to be read and changed."""
    notes = _NOTES.get(id(request))
    if notes is None:
        notes = _NOTES[id(request)] = FaultNotes()
        weakref.finalize(request, _NOTES.pop, id(request), None)
    return notes
