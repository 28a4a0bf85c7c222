"""The words of the eCom API: operations, states and scopes, each open for values that Vipps adds later."""

from __future__ import annotations

import enum
from typing import Final

from vipps_async.core.open_enum import OpenEnum


class OperationName(OpenEnum):
    """What was done to a payment, in the history that details gives."""

    INITIATE = "INITIATE"
    """The merchant asked for the payment."""
    RESERVE = "RESERVE"
    """The customer accepted; the amount is reserved."""
    SALE = "SALE"
    """The customer accepted, and the amount was captured at once (sales units with direct capture)."""
    CAPTURE = "CAPTURE"
    """The merchant captured the reserved amount or a part of it."""
    REFUND = "REFUND"
    """The merchant paid back what was captured or a part of it."""
    CANCEL = "CANCEL"
    """Ended before a reservation: the customer declined, the merchant cancelled, or time ran out."""
    VOID = "VOID"
    """The merchant cancelled the reservation, or released the rest of it."""


# Which sum of a payment each of them raises. With direct capture, SALE stands for RESERVE and CAPTURE.
RESERVES: Final = frozenset({OperationName.RESERVE, OperationName.SALE})
CAPTURES: Final = frozenset({OperationName.CAPTURE, OperationName.SALE})
REFUNDS: Final = frozenset({OperationName.REFUND})
#: These leave nothing to capture.
RELEASES: Final = frozenset({OperationName.CANCEL, OperationName.VOID})


class TransactionStatus(OpenEnum):
    """The state that the answer to a capture, cancel or refund names."""

    CAPTURED = "Captured"
    """The amount was captured."""
    CANCELLED = "Cancelled"
    """The payment was cancelled."""
    REFUND = "Refund"
    """The amount was refunded."""


class OrderStatus(OpenEnum):
    """The state that the deprecated status call names."""

    INITIATE = "INITIATE"
    """The payment was asked for."""
    REGISTER = "REGISTER"
    """The customer opened the payment."""
    RESERVE = "RESERVE"
    """The amount is reserved."""
    SALE = "SALE"
    """The amount was captured at once."""
    CAPTURE = "CAPTURE"
    """The amount or a part of it was captured."""
    REFUND = "REFUND"
    """The amount or a part of it was refunded."""
    CANCEL = "CANCEL"
    """The payment ended before a reservation."""
    VOID = "VOID"
    """The reservation was cancelled."""
    FAILED = "FAILED"
    """The payment failed."""
    REJECTED = "REJECTED"
    """The payment was rejected."""


class Scope(enum.StrEnum):
    """What personal information a payment can ask the customer for."""

    NAME = "name"
    """First and last name."""
    ADDRESS = "address"
    """Postal addresses."""
    EMAIL = "email"
    """E-mail address."""
    PHONE_NUMBER = "phoneNumber"
    """Phone number."""
    BIRTH_DATE = "birthDate"
    """Date of birth."""
    NIN = "nin"
    """National identity number; the sales unit needs a permission for it."""
