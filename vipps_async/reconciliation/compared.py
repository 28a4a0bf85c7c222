"""How an operation compares between a journal and Vipps."""

from __future__ import annotations

import enum
from datetime import datetime

from attrs import frozen


class Comparison(enum.Enum):
    """How an operation compares between a journal and Vipps."""

    #: Vipps has it as done, with the amount that was asked for and the one that is on record.
    AGREES = "agrees"
    #: Both have the same amount, and it is another one than was asked for.
    OTHERWISE = "carried out otherwise"
    #: Both have it as done, with different amounts.
    DIFFERS = "differs"
    #: A cancel of a payment that the journal has as cancelled before: Vipps has one cancel, which is counted there.
    REPEATED = "cancelled before"
    #: The journal has it as done, and Vipps does not.
    ONLY_IN_JOURNAL = "only in the journal"
    #: Vipps has it as done, on that day by its clock, and the journal does not.
    ONLY_AT_VIPPS = "only at Vipps"
    #: The same of another day: of a payment that was touched on this one. It is not added up.
    ONLY_AT_VIPPS_OTHER_DAY = "only at Vipps, another day"
    #: The journal does not know what became of it: recovery settles it. Vipps may have it as done.
    OPEN = "open in the journal"
    #: What Vipps has of it, or the entry itself, could not be read; or the history lacks it, and may have it later.
    INCONCLUSIVE = "inconclusive"


@frozen(kw_only=True)
class ComparedOperation:
    """An operation by the journal and by Vipps. Amounts are in minor units of its currency."""

    comparison: Comparison
    #: Empty: the journal's entry cannot be read.
    api: str
    #: Empty: the same; and of a payment whose history could not be read it is not known which ones it has.
    operation: str
    payment: str
    #: Empty: it is not known.
    currency: str
    #: The idempotency key; None: Vipps tells none, or it is a cancel: no history shows the key of one.
    key: str | None = None
    #: What a row of a batch calls itself; empty: nothing.
    reference: str = ""
    #: When it became known as done; aware, UTC. None: the journal does not have it so.
    settled_at: datetime | None = None
    #: What was asked for; None: all that was left, no amount, or the journal does not have it.
    asked: int | None = None
    #: What moved by the journal: 0 if only Vipps has it as done. None: it does not tell, as of a cancel.
    recorded: int | None = None
    #: What moved by Vipps' history: 0 if nothing did. None: that is not known, or it is a cancel.
    found: int | None = None
    #: When, by Vipps' clock; aware, UTC. None: it does not tell.
    time: datetime | None = None
    #: What differs, or why that is not known; empty: nothing does.
    reason: str = ""
    #: The entries of the journal that cannot be read and may be this one, by their numbers.
    damaged: tuple[int, ...] = ()

    @property
    def vipps_less_journal(self) -> int | None:
        """The difference of the two; None: one of them is not known."""
        return None if self.found is None or self.recorded is None else self.found - self.recorded

    @property
    def vipps_less_asked(self) -> int | None:
        """What Vipps has less what was asked for; None: one of them is not known."""
        return None if self.found is None or self.asked is None else self.found - self.asked
