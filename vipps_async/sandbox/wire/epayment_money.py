"""Table of ePayment's operations that move money: the sum that each raises, its codes, and its kind for faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vipps_async.sandbox.ledger.reasons import Reason
from vipps_async.sandbox.wire.fault import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyOperation:
    """One operation; in the history it goes by its name in capitals."""

    sum: str
    """The sum that it raises."""
    done_code: str
    """The code that says that it was done before."""
    codes: Mapping[Reason, str]
    """Reason → code, where it is another one than for the other operations."""
    kind: Kind = Kind.MOVES


MONEY = {
    "capture": MoneyOperation(
        sum="capturedAmount",
        done_code="6170",
        codes={Reason.FAILED: "6280", Reason.KEY_REUSED: "4010", Reason.RESERVED_TOO_LONG_AGO: "6100"},
    ),
    "cancel": MoneyOperation(
        sum="cancelledAmount", done_code="6190", codes={Reason.RESERVED_TOO_LONG_AGO: "6030"}, kind=Kind.ENDS
    ),
    "refund": MoneyOperation(sum="refundedAmount", done_code="6180", codes={Reason.KEY_REUSED: "4150"}),
}
