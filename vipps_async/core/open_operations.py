"""Counts what a journal has open: how many operations, since when, and of which sales units."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime

from attrs import field, frozen

from vipps_async.journals.protocol import Journal

#: The most that are counted.
MOST_COUNTED = 100_000


@frozen(kw_only=True)
class OpenOperations:
    """What a journal has open: operations whose outcome is not known yet, those of calls under way included."""

    count: int = 0
    """How many. 100,000 means that many or more."""
    oldest: datetime | None = None
    """When the oldest of them was begun; aware, UTC. None: there is none."""
    by_unit: Mapping[str, int] = field(factory=dict)
    """How many of each sales unit."""


async def count_open(journal: Journal, *, unit: str | None, passed_over: Collection[str]) -> OpenOperations:
    """Count the open entries.

    Args:
        journal: the journal, open.
        unit: the sales unit; None: all of them.
        passed_over: names of entries that are no operations.

    Raises:
        JournalError: it cannot be read.
    """
    units: Counter[str] = Counter()
    oldest: datetime | None = None
    entries = journal.open_entries(merchant_serial_number=unit)
    try:
        async for entry in entries:
            intent = entry.intent
            if intent.operation in passed_over:
                continue
            # In the order in which they were noted, which several machines' clocks may see otherwise.
            oldest = intent.created_at if oldest is None else min(oldest, intent.created_at)
            units[intent.merchant_serial_number] += 1
            if units.total() >= MOST_COUNTED:
                break
    finally:
        # A walk that ends early must release the store now, not when it is garbage-collected.
        with contextlib.suppress(AttributeError):
            await entries.aclose()  # type: ignore[attr-defined]
    return OpenOperations(count=units.total(), oldest=oldest, by_unit=dict(units))
