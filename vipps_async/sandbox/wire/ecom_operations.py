"""eCom's operations: where each is called, how often, what faults fit it, and what its answers say."""

from __future__ import annotations

from dataclasses import dataclass

from vipps_async.sandbox.wire.fault import Kind

_PAYMENTS = "/ecomm/v2/payments"
_ONE = f"{_PAYMENTS}/{{order_id}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EcomOperation:
    """One operation. A read or an initiate needs no more than the first fields."""

    path: str
    method: str = "POST"
    per_minute: int | None = None
    """The vendor's published limit for one order of one sales unit, in calls a minute; None: there is none."""
    kind: Kind = Kind.OTHER
    status: str = ""
    """The state that an answer of success names."""
    failed_code: str = ""
    """The code of the group Payment that says that it failed."""
    transaction_name: str = "transactionInfo"
    """What its answer calls the transaction."""
    has_zone: bool = True
    """Whether the time of the transaction has a zone."""
    names_instrument: bool = True
    """Whether its answer names the kind of card that paid."""


#: What moves an amount that it is given; in the history each goes by its name in capitals.
MOVES = {
    "capture": EcomOperation(
        path=f"{_ONE}/capture", per_minute=5, kind=Kind.MOVES, status="Captured", failed_code="63"
    ),
    "refund": EcomOperation(
        path=f"{_ONE}/refund",
        per_minute=5,
        kind=Kind.MOVES,
        status="Refund",
        failed_code="74",
        transaction_name="transaction",
        has_zone=False,
        names_instrument=False,
    ),
}
OPERATIONS = {
    "initiate": EcomOperation(path=_PAYMENTS, per_minute=2, kind=Kind.CREATES),
    "cancel": EcomOperation(
        path=f"{_ONE}/cancel", method="PUT", per_minute=5, kind=Kind.ENDS, status="Cancelled", failed_code="52"
    ),
    **MOVES,
    "details": EcomOperation(path=f"{_ONE}/details", method="GET", per_minute=120, kind=Kind.READS),
    "status": EcomOperation(path=f"{_ONE}/status", method="GET", per_minute=120),
    "approve": EcomOperation(path="/ecomm/v2/integration-test/payments/{order_id}/approve"),
}
