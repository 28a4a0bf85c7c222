"""The figures of the money rules: deadlines of a payment, and the amounts that its bank refuses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from vipps_async.sandbox.ledger.reasons import Reason

#: The landing page lives this long, and so does the payment in the app once it was opened there.
LIFETIME = timedelta(minutes=5)
#: Refunds end this long after the reservation.
REFUND_LIMIT = timedelta(days=365)
#: The test amount 201 leaves the reservation unknown for this long.
UNKNOWN_FOR = timedelta(hours=1)
#: The test amount whose reservation is not known for an hour, in minor units.
UNKNOWN_AMOUNT = 201
#: Test amounts in minor units that the customer's bank refuses, and why: insufficient funds, refused, suspected fraud,
#: withdrawal limit, expired card, invalid card, 3-D Secure, SCA required.
REFUSED_AMOUNTS = {
    **dict.fromkeys((151, 182, 183, 184), Reason.BANK_REFUSED),
    186: Reason.CARD_EXPIRED,
    187: Reason.NO_VALID_CARD,
    **dict.fromkeys((197, 202), Reason.NOT_ACTED_UPON),
}
#: Those of them that only Norwegian banks know: they go by other rules elsewhere.
_NORWEGIAN_AMOUNTS = frozenset({197, 202})

#: Amounts in minor units whose refund is refused at ePayment, and why.
REFUSED_REFUNDS = {123: Reason.CUSTOMER_GONE, 124: Reason.TOO_OLD_TO_REFUND}


def bank_refusal(amount: int, currency: str) -> Reason | None:
    """Return why the customer's bank refuses an amount, or None."""
    return None if currency != "NOK" and amount in _NORWEGIAN_AMOUNTS else REFUSED_AMOUNTS.get(amount)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for a payment by the API that initiated it and by its sales unit."""

    #: Captures and cancellations end so many days after the reservation.
    capture_days: int = 180
    #: Whether all that is reserved is captured at once, or nothing.
    full_capture_only: bool = False
    #: Whether a refusal by the bank ends the payment; else the customer may try another card.
    refusal_ends: bool = True
    #: Whether what is not captured in time is released by itself.
    released_in_time: bool = False

    @property
    def capture_limit(self) -> timedelta:
        """How long after the reservation captures and cancellations end."""
        return timedelta(days=self.capture_days)
