"""The callbacks of eCom as typed events. None proves a payment: `confirm` verifies it with Vipps."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from attrs import evolve, field, frozen

from vipps_async.core.converter import encode, json_name
from vipps_async.core.open_enum import OpenEnum
from vipps_async.ecom.details import PaymentDetails, PaymentShippingDetails, UserDetails
from vipps_async.ecom.enums import RESERVES
from vipps_async.ecom.express import ShippingDetails
from vipps_async.errors import ErrorInfo, InvalidInputError, OrderNotFoundError


class CallbackStatus(OpenEnum):
    """The state that a callback claims a payment to be in."""

    RESERVED = "RESERVED"
    """The customer accepted. Express checkouts write ``RESERVE``, which is read as this same member."""
    SALE = "SALE"
    """The customer accepted, and the amount was captured at once."""
    RESERVE_FAILED = "RESERVE_FAILED"
    """The customer accepted, and the bank refused."""
    SALE_FAILED = "SALE_FAILED"
    """The same, where the amount would have been captured at once."""
    CANCELLED = "CANCELLED"
    """The customer declined."""
    REJECTED = "REJECTED"
    """Time ran out, or Vipps said no."""

    @classmethod
    def _missing_(cls, value: object) -> CallbackStatus | None:
        return cls.RESERVED if value == "RESERVE" else super()._missing_(value)


class AddressType(OpenEnum):
    """What kind of address a customer ships to."""

    HOME = "H"
    WORK = "W"
    OTHER = "O"


_ACCEPTED = frozenset({"RESERVED", "SALE"})
_ENDED = frozenset({"CANCELLED", "REJECTED"})
_FAILED = frozenset({"RESERVE_FAILED", "SALE_FAILED"})
_KNOWN = _ACCEPTED | _ENDED | _FAILED


class _Ecom(Protocol):
    async def details(self, order_id: str) -> PaymentDetails:
        """Read a payment with its whole history."""
        ...

    def notify(self, order_id: str) -> None:
        """Wake the waits for a payment."""
        ...


class EcomSession(Protocol):
    """The part of a session that callbacks use; `VippsSession` has it."""

    @property
    def ecom(self) -> _Ecom:
        """The eCom API."""
        ...

    @property
    def merchant_serial_number(self) -> str:
        """The sales unit that the session acts for."""
        ...


class Disagreement(enum.Enum):
    """A fact in which a callback and Vipps' details disagree."""

    ORDER = "order"
    """Vipps knows no such order in this sales unit, or answered about another one."""
    SALES_UNIT = "sales unit"
    """It names another sales unit than the session's."""
    STATE = "state"
    """It claims something that has not happened to the payment."""
    NO_OUTCOME = "no outcome yet"
    """It claims no state, or one that is not known, and details show neither acceptance nor end: nothing is confirmed.
    """
    AMOUNT = "amount"
    """It claims another amount than was accepted."""


@frozen(kw_only=True)
class Confirmed:
    """Vipps' details agree with what the callback claims.

    That may be a refusal as well as an acceptance, and more may have happened since: look at `details`.
    """

    details: PaymentDetails
    """The payment as Vipps has it."""


@frozen(kw_only=True)
class Contradicted:
    """Vipps' details disagree with what the callback claims: go by the details, not by the callback.

    Details can lag behind a callback by some seconds. So a callback whose payment `has_outcome` not yet is redelivered
    to its handler if the session has a journal, whether the handler raises or not.
    """

    details: PaymentDetails | None
    """The payment as Vipps has it; None: Vipps knows no such order."""
    disagreements: tuple[Disagreement, ...]
    """In what they disagree; never empty."""

    def __str__(self) -> str:
        """Return in what they disagree, on one line."""
        if self.disagreements == (Disagreement.NO_OUTCOME,):
            return "the callback confirms nothing: details show neither acceptance nor end of the payment yet"
        return f"the callback disagrees with details in: {', '.join(one.value for one in self.disagreements)}"


@frozen(kw_only=True, slots=False)
class PaymentUpdate:
    """A payment callback, authenticated but not yet verified with Vipps.

    It proves nothing: `confirm` verifies it.
    """

    order_id: str
    """The order that it is about."""
    merchant_serial_number: str | None = None
    """The sales unit, whether it came as a number or as text."""
    claimed_status: CallbackStatus | None = None
    """The state that it claims; None: it claims none."""
    claimed_amount: int | None = None
    """The amount that it claims, in øre."""
    time_stamp: datetime | None = None
    """When it happened, in UTC."""
    transaction_id: str | None = None
    """Vipps' id of the transaction."""
    error_info: ErrorInfo | None = None
    """Why it failed, if it says so; the text has personal data taken out."""
    shipping_details: PaymentShippingDetails | None = None
    """What an express customer chose. A redelivered event has none: confirmed details have it."""
    user_details: UserDetails | None = field(default=None, repr=False)
    """An express customer, or one who was asked for a scope. A redelivered event has none."""
    is_redelivered: bool = False
    """Whether it was received earlier, and its handler has not succeeded since."""
    is_pending = False
    """Whether the last `confirm` found neither acceptance nor end: whoever was told it, it is not news yet."""

    @property
    def payment(self) -> str:
        """The order, as every API calls it."""
        return self.order_id

    @property
    def record(self) -> bytes:
        """The callback without personal data, as JSON; the same for all duplicates."""
        error = self.error_info and evolve(self.error_info, message="", context_id=None)
        said = evolve(self, error_info=error, shipping_details=None, user_details=None, is_redelivered=False)
        return encode(said)

    @property
    def dedup_key(self) -> str | None:
        """The same for every delivery of the same news, in every process; 40 characters, nothing personal in it.

        None: it has no time, so that nothing tells a second delivery from later news.
        """
        return None if self.time_stamp is None else hashlib.sha256(self.record).hexdigest()[:40]

    async def confirm(self, vipps: EcomSession) -> Confirmed | Contradicted:
        """Verify with Vipps what this event claims.

        Args:
            vipps: the session of the sales unit.

        Returns:
            `Confirmed` if details agree with what this event claims, `Contradicted` if not. An event that claims no
            state, or one that is not known, is confirmed by any outcome, and by nothing else. Either has the details,
            and only they say what the payment is: look at `details.is_approved` before anything is shipped.

        Raises:
            VippsError: details could not be read; see `vipps_async.errors`.
        """
        found = await _confirm(vipps, self)
        is_pending = found.details is not None and not found.details.has_outcome
        # What was received is frozen; this is what was found out about it.
        object.__setattr__(self, "is_pending", is_pending)
        return found


@frozen(kw_only=True)
class ShippingDetailsRequest:
    """Vipps' request for the shipping methods to an address, while the customer waits. The repr shows no address."""

    order_id: str = ""
    """The order, as the path names it."""
    address_id: int
    """Vipps' id of the address, which goes back in the answer."""
    address_line1: str | None = field(default=None, repr=False)
    """Street and number."""
    address_line2: str | None = field(default=None, repr=False)
    """The rest of it, such as a c/o."""
    city: str | None = field(default=None, repr=False)
    """City."""
    country: str | None = None
    """Country, ``"NO"``."""
    post_code: str | None = field(default=None, repr=False, metadata=json_name("postCode", "zipCode", "postalCode"))
    """Post code, four digits."""
    address_type: AddressType | None = None
    """Home, work or other."""

    @property
    def payment(self) -> str:
        """The order, as every API calls it."""
        return self.order_id

    def respond(self, result: object) -> bytes:
        """Write the body to answer with, as `application/json`.

        Args:
            result: the ways of shipping that the customer can choose, a list of `ShippingDetails`; exactly one of them
                the default.

        Raises:
            InvalidInputError: there is none, or not exactly one default, or the same id twice.
        """
        methods = _read_methods(result)
        return encode(_Response(address_id=self.address_id, order_id=self.order_id, shipping_details=methods))


def _read_methods(value: object) -> tuple[ShippingDetails, ...]:
    rule = "a list of at least one ShippingDetails"
    if isinstance(value, ShippingDetails) or not isinstance(value, Iterable):
        raise InvalidInputError("shipping_details", rule, value=value)
    methods = tuple(value)
    if not methods or not all(isinstance(method, ShippingDetails) for method in methods):
        raise InvalidInputError("shipping_details", rule, value=value)
    if len({method.shipping_method_id for method in methods}) != len(methods):
        raise InvalidInputError("shipping_details", "a list without the same shipping_method_id twice")
    if sum(method.is_default for method in methods) != 1:
        raise InvalidInputError("shipping_details", "a list with exactly one default")
    return methods


@frozen(kw_only=True)
class _Response:
    address_id: int
    order_id: str
    shipping_details: tuple[ShippingDetails, ...]


@frozen(kw_only=True)
class ConsentRemoval:
    """A customer of an express checkout withdraws the consent: delete for good what you know of this user id."""

    user_id: str = field(repr=False)
    """The customer's id, as `UserDetails.user_id` gave it."""
    is_redelivered: bool = False
    """Whether it was received earlier, and its handler has not succeeded since."""

    payment = None
    """It is about no payment."""
    dedup_key = None
    """The same customer may consent again and take it back again, so each removal is handled."""
    is_pending = False
    """There is nothing to confirm."""

    @property
    def record(self) -> bytes:
        """The user id, without which the removal could not be done after a crash."""
        return self.user_id.encode()


# -- confirming --------------------------------------------------------------------------------------------------------


async def _confirm(vipps: EcomSession, event: PaymentUpdate) -> Confirmed | Contradicted:
    try:
        details = await vipps.ecom.details(event.order_id)
    except OrderNotFoundError:
        return Contradicted(details=None, disagreements=(Disagreement.ORDER,))
    found = []
    if details.order_id not in {None, event.order_id}:
        found.append(Disagreement.ORDER)
    # Without leading zeros: a serial number that comes as a number has lost them.
    if event.merchant_serial_number and _bare(event.merchant_serial_number) != _bare(vipps.merchant_serial_number):
        found.append(Disagreement.SALES_UNIT)
    status = event.claimed_status
    if status not in _KNOWN:
        # Nothing is claimed that could be true or false, so only an outcome is news.
        if not details.has_outcome:
            found.append(Disagreement.NO_OUTCOME)
    elif not _has_happened(status, details):
        found.append(Disagreement.STATE)
    elif status in _ACCEPTED and event.claimed_amount not in {None, details.reserved_amount}:
        found.append(Disagreement.AMOUNT)
    return Contradicted(details=details, disagreements=tuple(found)) if found else Confirmed(details=details)


def _bare(merchant_serial_number: str) -> str:
    return merchant_serial_number.lstrip("0")


def _has_happened(status: str | None, details: PaymentDetails) -> bool:
    if status in _ACCEPTED:
        return details.is_approved
    if status in _ENDED:
        # Strictly: whoever believes a forged one would stop expecting a payment that can still be accepted.
        return details.is_cancelled
    # The customer may have tried another card since: the refusal is true all the same.
    failed = (entry for entry in details.transaction_log_history if not entry.operation_success)
    return details.is_cancelled or any(entry.operation in RESERVES for entry in failed)
