"""Table of eCom's operations that move money: method, kind for faults, and the words of their answers."""

from __future__ import annotations

from dataclasses import dataclass

from vipps_async.sandbox.wire.fault import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyOperation:
    """One operation; in the history it goes by its name in capitals."""

    status: str
    """The state that an answer of success names."""
    failed_code: str
    """The code of the group Payment that says that it failed."""
    method: str = "POST"
    kind: Kind = Kind.MOVES
    per_minute: int = 5
    """The vendor's published limit for one order of one sales unit, in calls a minute."""
    transaction_name: str = "transactionInfo"
    """What its answer calls the transaction."""
    has_zone: bool = True
    """Whether the time of the transaction has a zone."""
    names_instrument: bool = True
    """Whether its answer names the kind of card that paid."""


MONEY = {
    "capture": MoneyOperation(status="Captured", failed_code="63"),
    "cancel": MoneyOperation(status="Cancelled", failed_code="52", method="PUT", kind=Kind.ENDS),
    "refund": MoneyOperation(
        status="Refund", failed_code="74", transaction_name="transaction", has_zone=False, names_instrument=False
    ),
}
