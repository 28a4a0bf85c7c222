"""Webhook registrations of all sales units, with their secrets."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A URL that is told of events of one sales unit."""

    id: str
    sales_unit: str
    #: Out of the repr: some shops put a key into it.
    url: str = field(repr=False)
    events: tuple[str, ...]
    #: What deliveries are signed with.
    secret: str = field(repr=False)


class Registrations:
    """All of them, in the order in which they were made. Nothing keeps two from being the same but for the id."""

    def __init__(self) -> None:
        self._by_id: dict[str, Registration] = {}

    def __iter__(self) -> Iterator[Registration]:
        """Return them all."""
        return iter(self._by_id.values())

    def add(self, registration: Registration) -> None:
        """Enter one."""
        self._by_id[registration.id] = registration

    def remove(self, registration_id: str, sales_unit: str) -> bool:
        """Take one out; False: the sales unit has none by that id."""
        found = self._by_id.get(registration_id)
        if found is None or found.sales_unit != sales_unit:
            return False
        del self._by_id[registration_id]
        return True

    def of(self, sales_unit: str) -> list[Registration]:
        """Return those of a sales unit."""
        return [one for one in self if one.sales_unit == sales_unit]

    def for_event(self, sales_unit: str, event: str) -> list[Registration]:
        """Return those that are to be told of an event."""
        return [one for one in self.of(sales_unit) if event in one.events]

    def has(self, registration: Registration) -> bool:
        """Whether it is still there."""
        return registration.id in self._by_id

    def full(self, sales_unit: str, events: Collection[str], most: int) -> list[str]:
        """Return those of the events that have as many registrations as there may be."""
        listed = [event for one in self.of(sales_unit) for event in one.events]
        return [event for event in events if listed.count(event) >= most]
