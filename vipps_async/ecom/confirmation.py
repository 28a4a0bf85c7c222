"""Holds what a callback claims against what Vipps itself says, for a callback proves nothing."""

from __future__ import annotations

import enum
from typing import Protocol

from attrs import frozen

from vipps_async.ecom.details import PaymentDetails
from vipps_async.ecom.words import OperationName
from vipps_async.errors import OrderNotFoundError

__all__ = ["Confirmed", "Contradicted", "Disagreement", "EcomSession", "confirm"]

_ACCEPTED = frozenset({"RESERVED", "SALE"})
_ENDED = frozenset({"CANCELLED", "REJECTED"})
_FAILED = frozenset({"RESERVE_FAILED", "SALE_FAILED"})
_KNOWN = _ACCEPTED | _ENDED | _FAILED
_ACCEPTING = frozenset({OperationName.RESERVE, OperationName.SALE})


class _Ecom(Protocol):
    async def details(self, order_id: str) -> PaymentDetails:
        """Read a payment with its whole history."""
        ...

    def notify(self, order_id: str) -> None:
        """Wake whoever waits for news of a payment."""
        ...


class EcomSession(Protocol):
    """What callbacks need of a session; `VippsSession` is one."""

    @property
    def ecom(self) -> _Ecom:
        """The eCom API."""
        ...

    @property
    def merchant_serial_number(self) -> str:
        """The sales unit that the session acts for."""
        ...


class Disagreement(enum.Enum):
    """In what a callback and Vipps' details disagree."""

    #: Vipps knows no such order in this sales unit, or answered about another one.
    ORDER = "order"
    #: It names another sales unit than the session's.
    SALES_UNIT = "sales unit"
    #: It claims something that has not happened to the payment.
    STATE = "state"
    #: It claims no state, or one that is not known, and details show neither acceptance nor end: nothing is confirmed.
    NO_OUTCOME = "no outcome yet"
    #: It claims another amount than was accepted.
    AMOUNT = "amount"


@frozen(kw_only=True)
class Confirmed:
    """Vipps' details agree with what the callback claims.

    That may be a refusal as well as an acceptance, and more may have happened since: the details tell.
    """

    #: The payment as Vipps has it.
    details: PaymentDetails


@frozen(kw_only=True)
class Contradicted:
    """Vipps' details disagree with what the callback claims: do not act on it. They count, it does not.

    Details can lag behind a callback by some seconds. So a callback whose payment `has_outcome` not yet is redelivered
    to its handler if the session has a journal, whether the handler raises or not.
    """

    #: The payment as Vipps has it; None: Vipps knows no such order.
    details: PaymentDetails | None
    #: In what they disagree; never empty.
    disagreements: tuple[Disagreement, ...]

    def __str__(self) -> str:
        """Return in what they disagree, on one line."""
        if self.disagreements == (Disagreement.NO_OUTCOME,):
            return "the callback confirms nothing: details show neither acceptance nor end of the payment yet"
        return f"the callback disagrees with details in: {', '.join(one.value for one in self.disagreements)}"


async def confirm(
    vipps: EcomSession, *, order_id: str, merchant_serial_number: str | None, status: str | None, amount: int | None
) -> Confirmed | Contradicted:
    """Ask details and hold a claim against them; None: that part is not claimed.

    Raises:
        VippsError: details could not be asked; see `vipps_async.errors`.
    """
    try:
        details = await vipps.ecom.details(order_id)
    except OrderNotFoundError:
        return Contradicted(details=None, disagreements=(Disagreement.ORDER,))
    found = []
    if details.order_id not in {None, order_id}:
        found.append(Disagreement.ORDER)
    # Without leading zeros: a serial number that comes as a number has lost them.
    if merchant_serial_number not in {None, ""} and _bare(merchant_serial_number) != _bare(
        vipps.merchant_serial_number
    ):
        found.append(Disagreement.SALES_UNIT)
    if status not in _KNOWN:
        # Nothing is claimed that could be true or false, so only an outcome is news.
        if not details.has_outcome:
            found.append(Disagreement.NO_OUTCOME)
    elif not _has_happened(status, details):
        found.append(Disagreement.STATE)
    elif status in _ACCEPTED and amount not in {None, details.reserved_amount}:
        found.append(Disagreement.AMOUNT)
    return Contradicted(details=details, disagreements=tuple(found)) if found else Confirmed(details=details)


def _bare(merchant_serial_number: str | None) -> str:
    return (merchant_serial_number or "").lstrip("0")


def _has_happened(status: str | None, details: PaymentDetails) -> bool:
    if status in _ACCEPTED:
        return details.is_approved
    if status in _ENDED:
        # Strictly: whoever believes a forged one would stop expecting a payment that can still be accepted.
        return details.is_cancelled
    # The customer may have tried another card since: the refusal is true all the same.
    failed = (entry for entry in details.transaction_log_history if not entry.operation_success)
    return details.is_cancelled or any(entry.operation in _ACCEPTING for entry in failed)
