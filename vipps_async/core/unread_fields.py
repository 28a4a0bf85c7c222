"""Counts the optional fields of answers that could not be read, and tells the log of them.

A room of its own, because whatever reads an answer counts here: calls, the journal's records, callbacks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from vipps_async.core.events import EventLog

__all__ = ["note_unread", "unread_fields"]

#: By class and name in JSON, such as ``"PaymentDetails.sub"``: our own names only, so that it cannot grow.
_counts: Counter[str] = Counter()
_log = EventLog()


def note_unread(field: str) -> None:
    """Count a field, and write it to the log the first, tenth, hundredth ... time: it may stand in every answer."""
    _counts[field] += 1
    count = _counts[field]
    if f"{count:d}".rstrip("0") == "1":
        _log.field_unread(field, count=count)


def unread_fields() -> Mapping[str, int]:
    """Return how often each field could not be read in this process, by class and name in JSON."""
    return MappingProxyType(_counts)
