"""The report of a recovery: how many operations it settled, which ones, and which stay open."""

from __future__ import annotations

from datetime import datetime

from attrs import field, frozen, mutable

from vipps_async.journals.entries import DamagedEntry, Entry, Intent

#: How many of a kind a report names; beyond that it only counts them, so that it stays small.
MOST_NAMED = 1_000


@frozen(kw_only=True)
class CarriedOut:
    """An operation that has taken effect."""

    intent: Intent
    """The operation, with its payment and key, and the amount that was asked for."""
    amount: int | None
    """What moved, in minor units, as Vipps' answer or the payment's history says; None: they do not say, or it moves
    nothing.
    """


@frozen(kw_only=True)
class LeftOpen:
    """An operation whose outcome is not known yet."""

    intent: Intent
    """The operation, with its payment and key."""
    reason: str
    """Why, on one line."""
    decidable_at: datetime | None = None
    """When it can be decided that it has not taken effect (aware, UTC): a recovery after that settles it. None: not by
    time alone, or it will be sent again.
    """


@frozen(kw_only=True)
class Refused:
    """An operation that Vipps refused: it had no effect."""

    intent: Intent
    """The operation, with its payment and key."""
    reason: str
    """Vipps' reason, on one line."""


@mutable(kw_only=True)
class RecoveryReport:
    """What a recovery did, in numbers of operations; it counts up while the recovery runs."""

    seen: int = 0
    """Entries that were looked at."""
    proven: int = 0
    """Details proved that they had taken effect."""
    proven_operations: list[CarriedOut] = field(factory=list)
    """The first thousand of those, with what moved."""
    sent_again: int = 0
    """Details proved that they had not: they were sent again, with the same key and body, and took effect now."""
    sent_again_operations: list[CarriedOut] = field(factory=list)
    """The first thousand of those, with what moved."""
    moved_otherwise: list[LeftOpen] = field(factory=list)
    """Those of `proven` that moved another amount than was asked for, with both amounts: look at each."""
    refused: int = 0
    """They have not taken effect: Vipps refused them, and beyond the horizon the history lacked them twice."""
    refusals: list[Refused] = field(factory=list)
    """The first thousand of those, with the reason."""
    overruled: list[Refused] = field(factory=list)
    """Meanwhile Vipps carried them out though they were settled as refused or not done: they are done now. Somebody was
    told that no money moved, and may have asked for the same under another key: compare details with your books. The
    first thousand, with the reason.
    """
    not_done: int = 0
    """They never had an effect and need none: an initiate that never arrived."""
    settled_meanwhile: int = 0
    """Somebody else has settled them meanwhile."""
    leased_elsewhere: int = 0
    """A call that is under way, another recovery, or a process that died a moment ago has leased them ..."""
    leased_elsewhere_until: datetime | None = None
    """... until this time (aware, UTC) at the latest; a recovery after it can settle what nobody has settled by then.
    """
    stays_open: int = 0
    """They stay open."""
    left_open: list[LeftOpen] = field(factory=list)
    """The first thousand of those, with the reason."""
    damaged: list[DamagedEntry] = field(factory=list)
    """Open rows of the journal that cannot be read, of whatever sales unit: nothing is sent for them. Compare their
    payments at Vipps with your books. The first thousand.
    """
    urls_lost: list[str] = field(factory=list)
    """Payments that exist while the answer with their URL was lost: cancel them if nobody has approved them."""
    stopped: str = ""
    """Why the recovery ended before it had seen all entries (Vipps does not answer, or asks to wait for longer than a
    minute); empty if it has seen them. The others are as they were.
    """

    def add_proven(self, intent: Intent, amount: int | None) -> None:
        """Count an operation that had taken effect, with what moved, in minor units."""
        self.proven += 1
        _name(CarriedOut(intent=intent, amount=amount), self.proven_operations)

    def add_sent_again(self, intent: Intent, amount: int | None) -> None:
        """Count an operation that was sent again and took effect, with what moved, in minor units."""
        self.sent_again += 1
        _name(CarriedOut(intent=intent, amount=amount), self.sent_again_operations)

    def add_overruled(self, entry: Entry) -> None:
        """Name an entry that is done though it was settled as refused or not done."""
        if len(self.overruled) < MOST_NAMED:
            self.overruled.append(Refused(intent=entry.intent, reason=entry.note))

    @property
    def settled(self) -> int:
        """How many of them this recovery has settled."""
        return self.proven + self.sent_again + self.refused + self.not_done

    @property
    def is_complete(self) -> bool:
        """Whether nothing of what was open at its beginning is open now."""
        return not (self.stays_open or self.leased_elsewhere or self.damaged or self.stopped)


def _name(operation: CarriedOut, named: list[CarriedOut]) -> None:
    if len(named) < MOST_NAMED:
        named.append(operation)
