"""The entries that a batch of commands is about, while it is carried out; the same for SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from attrs import define, evolve

from vipps_async.journals.protocol import AcquireResult, Entry, Intent
from vipps_async.journals.rules import Answer, Begin, Command, apply, same_wish

__all__ = ["Identity", "Slot", "Slots", "Wish", "wish_of"]

Identity = tuple[str, str, str, str, str]

#: Sales unit, payment, API and operation: open entries that share them may be one and the same wish.
Wish = tuple[str, str, str, str]


def wish_of(intent: Intent) -> Wish:
    """Name what an intent is about, whatever its key."""
    return (intent.merchant_serial_number, intent.payment, intent.api, intent.operation)


@define
class Slot:
    """One entry while a batch is carried out."""

    #: Its place in the store; None: it is not there yet.
    position: int | None
    entry: Entry
    #: As it stands in the store.
    stored: Entry | None


class Slots:
    """All that the commands of a batch can meet, by identity and by wish.

    Args:
        adopted: the wishes for which a begin may adopt an open entry.
    """

    def __init__(self, adopted: Iterable[Wish] = ()) -> None:
        self._slots: dict[Identity, Slot] = {}
        self._by_wish: dict[Wish, list[Slot]] = {wish: [] for wish in adopted}

    def __contains__(self, identity: Identity) -> bool:
        """Whether there is an entry of this identity."""
        return identity in self._slots

    def __iter__(self) -> Iterator[Slot]:
        """Go through all of them."""
        return iter(self._slots.values())

    def add(self, position: int | None, entry: Entry, stored: Entry | None) -> None:
        """Add an entry; later ones are newer than earlier ones of the same wish."""
        slot = self._slots[entry.intent.identity] = Slot(position, entry, stored)
        if self._by_wish and (alike := self._by_wish.get(wish_of(entry.intent))) is not None:
            alike.append(slot)

    def answer(self, command: Command, now: datetime) -> Answer:
        """Do one command."""
        if isinstance(command, Begin) and command.adopt and (met := self._met(command.intent)) is not None:
            if met.intent.digest != command.intent.digest:
                return AcquireResult.MISMATCH, met
            command = evolve(command, intent=evolve(met.intent, created_at=command.intent.created_at))
        slot = self._slots.get(command.intent.identity)
        acquired, entry = apply(None if slot is None else slot.entry, command, now)
        if entry is not None:
            if slot is None:
                self.add(None, entry, None)
            else:
                slot.entry = entry
        return acquired, entry

    def _met(self, intent: Intent) -> Entry | None:
        alike = self._by_wish[wish_of(intent)]
        if not alike:
            return None
        # Those that are new in this group are the newest.
        alike.sort(key=lambda slot: (slot.position is None, slot.position or 0))
        return same_wish((slot.entry for slot in alike), intent)
