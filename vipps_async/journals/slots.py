"""The entries that a group of commands concerns, while it is carried out; the same for every store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from attrs import define, evolve

from vipps_async.journals.entries import Entry, Intent
from vipps_async.journals.protocol import AcquireResult
from vipps_async.journals.rules import Begin, Command, CommandResult, apply, open_beside, same_operation

Identity = tuple[str, str, str, str, str]

#: A sales unit and a payment: what is open of it may be the operation of a begin, or close the payment to it.
Payment = tuple[str, str]


def payment_of(intent: Intent) -> Payment:
    """Return the payment that an intent is about."""
    return (intent.merchant_serial_number, intent.payment)


def payment_to_read(command: Command) -> Payment | None:
    """Return the payment whose open entries decide on a command, beside its own entry; None: none do."""
    if isinstance(command, Begin) and (command.adopt or command.intent.adjusts):
        return payment_of(command.intent)
    return None


def is_read_for(row: Payment, commands: Iterable[Command]) -> bool:
    """Whether a command needs to read what is open of a payment, as it may be the very same operation.

    Who cannot read it may be asked for it a second time. A key of the caller's own says that it is another one.
    """
    begins = (command for command in commands if isinstance(command, Begin) and command.adopt)
    return any(payment_of(command.intent) == row for command in begins)


@define
class Slot:
    """One entry while commands are carried out."""

    #: Its place in the store; None: it is not there yet.
    position: int | None
    entry: Entry
    #: As it stands in the store.
    stored: Entry | None


class Slots:
    """The entries that a group of commands may read or change, by identity and by payment."""

    def __init__(self) -> None:
        self._slots: dict[Identity, Slot] = {}
        self._by_payment: dict[Payment, dict[Identity, Slot]] = {}

    def __contains__(self, identity: Identity) -> bool:
        """Whether there is an entry of this identity."""
        return identity in self._slots

    def __iter__(self) -> Iterator[Slot]:
        """Go through all of them."""
        return iter(self._slots.values())

    def __len__(self) -> int:
        """How many there are."""
        return len(self._slots)

    def of_payment(self, payment: Payment) -> list[Slot]:
        """Return those of one payment, oldest first."""
        # Those that are new in this group are the newest.
        found = self._by_payment.get(payment, {}).values()
        return sorted(found, key=lambda slot: (slot.position is None, slot.position or 0))

    def add(self, position: int | None, entry: Entry, stored: Entry | None) -> None:
        """Add an entry."""
        identity = entry.intent.identity
        slot = self._slots[identity] = Slot(position, entry, stored)
        self._by_payment.setdefault(payment_of(entry.intent), {})[identity] = slot

    def remove(self, intent: Intent) -> None:
        """Remove an entry."""
        payment = payment_of(intent)
        del self._slots[intent.identity], self._by_payment[payment][intent.identity]
        if not self._by_payment[payment]:
            del self._by_payment[payment]

    def answer(self, command: Command, now: datetime) -> CommandResult:
        """Apply one command, and return its answer."""
        payment = payment_to_read(command)
        of_payment = [] if payment is None else [slot.entry for slot in self.of_payment(payment)]
        is_adopting = isinstance(command, Begin) and command.adopt
        if (
            isinstance(command, Begin)
            and is_adopting
            and (met := same_operation(of_payment, command.intent)) is not None
        ):
            if met.intent.digest != command.intent.digest:
                return AcquireResult.MISMATCH, met
            command = evolve(command, intent=evolve(met.intent, created_at=command.intent.created_at))
        slot = self._slots.get(command.intent.identity)
        acquired, entry = apply(None if slot is None else slot.entry, command, now)
        if (
            acquired is AcquireResult.ACQUIRED
            and payment is not None
            and (other := open_beside(of_payment, command.intent, adopt=is_adopting)) is not None
        ):
            return AcquireResult.CLOSED, other
        if entry is not None:
            if slot is None:
                self.add(None, entry, None)
            else:
                slot.entry = entry
        return acquired, entry
