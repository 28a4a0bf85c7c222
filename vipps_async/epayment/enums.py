"""The words of the ePayment API's answers, each open for values that Vipps adds later."""

from __future__ import annotations

from vipps_async.core.open_enum import OpenEnum


class PaymentState(OpenEnum):
    """How far the customer has come. It never changes after an acceptance: the sums tell what happened to the money."""

    CREATED = "CREATED"
    """The customer has not decided yet."""
    AUTHORIZED = "AUTHORIZED"
    """The customer accepted; the amount is reserved, captured, refunded or cancelled since or not."""
    ABORTED = "ABORTED"
    """The customer declined."""
    EXPIRED = "EXPIRED"
    """The customer did not decide in time."""
    TERMINATED = "TERMINATED"
    """The merchant cancelled before the customer accepted."""


class EventName(OpenEnum):
    """What happened, or failed to happen, to a payment."""

    CREATED = "CREATED"
    """The merchant asked for the payment."""
    AUTHORIZED = "AUTHORIZED"
    """The customer accepted; the amount is reserved. It repeats the idempotency key of the creation."""
    ABORTED = "ABORTED"
    """The customer declined."""
    EXPIRED = "EXPIRED"
    """The customer did not decide in time."""
    TERMINATED = "TERMINATED"
    """The merchant cancelled before the customer accepted."""
    CANCELLED = "CANCELLED"
    """The merchant cancelled what was reserved and not captured. It has no idempotency key."""
    CAPTURED = "CAPTURED"
    """The merchant captured the reserved amount or a part of it."""
    REFUNDED = "REFUNDED"
    """The merchant paid back what was captured or a part of it."""
