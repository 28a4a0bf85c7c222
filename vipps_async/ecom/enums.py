"""The words of the eCom API: operations, states and scopes, each open for values that Vipps adds later."""

from __future__ import annotations

import enum

from vipps_async.core.open_enum import OpenEnum

__all__ = ["OperationName", "OrderStatus", "Scope", "TransactionStatus"]


class OperationName(OpenEnum):
    """What was done to a payment, in the history that details gives."""

    #: The merchant asked for the payment.
    INITIATE = "INITIATE"
    #: The customer accepted; the amount is reserved.
    RESERVE = "RESERVE"
    #: The customer accepted, and the amount was captured at once (sales units with direct capture).
    SALE = "SALE"
    #: The merchant captured the reserved amount or a part of it.
    CAPTURE = "CAPTURE"
    #: The merchant paid back what was captured or a part of it.
    REFUND = "REFUND"
    #: Ended before a reservation: the customer declined, the merchant cancelled, or time ran out.
    CANCEL = "CANCEL"
    #: The merchant cancelled the reservation, or released the rest of it.
    VOID = "VOID"


class TransactionStatus(OpenEnum):
    """The state that the answer to a capture, cancel or refund names."""

    #: The amount was captured.
    CAPTURED = "Captured"
    #: The payment was cancelled.
    CANCELLED = "Cancelled"
    #: The amount was refunded.
    REFUND = "Refund"


class OrderStatus(OpenEnum):
    """The state that the deprecated status call names."""

    #: The payment was asked for.
    INITIATE = "INITIATE"
    #: The customer opened the payment.
    REGISTER = "REGISTER"
    #: The amount is reserved.
    RESERVE = "RESERVE"
    #: The amount was captured at once.
    SALE = "SALE"
    #: The amount or a part of it was captured.
    CAPTURE = "CAPTURE"
    #: The amount or a part of it was refunded.
    REFUND = "REFUND"
    #: The payment ended before a reservation.
    CANCEL = "CANCEL"
    #: The reservation was cancelled.
    VOID = "VOID"
    #: The payment failed.
    FAILED = "FAILED"
    #: The payment was rejected.
    REJECTED = "REJECTED"


class Scope(enum.StrEnum):
    """What personal information a payment can ask the customer for."""

    #: First and last name.
    NAME = "name"
    #: Postal addresses.
    ADDRESS = "address"
    #: E-mail address.
    EMAIL = "email"
    #: Phone number.
    PHONE_NUMBER = "phoneNumber"
    #: Date of birth.
    BIRTH_DATE = "birthDate"
    #: National identity number; the sales unit needs a permission for it.
    NIN = "nin"
