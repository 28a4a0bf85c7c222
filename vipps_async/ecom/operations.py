"""The operations of the eCom API as values: path, answer, how each may be repeated, and how often Vipps takes it."""

from __future__ import annotations

from typing import Final

from vipps_async.core.operation import Call, NoContent, Operation, Repeat
from vipps_async.ecom.answers import CancelResult, CaptureResult, InitiatedPayment, PaymentStatus, RefundResult
from vipps_async.ecom.details import PaymentDetails

__all__ = ["APPROVE", "CANCEL", "CAPTURE", "DETAILS", "INITIATE", "OPERATIONS", "REFUND", "STATUS", "ask_details"]

_PAYMENTS = "/ecomm/v2/payments"

# The limits are Vipps' own, for one order and merchant serial number (API guide, rate limiting).


def _without_url(payment: InitiatedPayment) -> str | None:
    return None if payment.url else "it has no URL to send the customer to"


#: Not idempotent: a second one with the same order id answers error 34.
INITIATE: Final = Operation(
    name="initiate",
    method="POST",
    path=_PAYMENTS,
    result=InitiatedPayment,
    repeat=Repeat.ONCE,
    per_minute=2,
    flaw=_without_url,
)

#: Idempotent by its key.
CAPTURE: Final = Operation(
    name="capture",
    method="POST",
    path=_PAYMENTS + "/{}/capture",
    result=CaptureResult,
    repeat=Repeat.KEYED,
    per_minute=5,
)

#: Takes no key; a second one is refused, and the history tells whether the first took effect.
CANCEL: Final = Operation(
    name="cancel",
    method="PUT",
    path=_PAYMENTS + "/{}/cancel",
    result=CancelResult,
    repeat=Repeat.CONFIRM,
    per_minute=5,
)

#: Idempotent by its key.
REFUND: Final = Operation(
    name="refund",
    method="POST",
    path=_PAYMENTS + "/{}/refund",
    result=RefundResult,
    repeat=Repeat.KEYED,
    per_minute=5,
)

#: A read.
DETAILS: Final = Operation(
    name="details",
    method="GET",
    path=_PAYMENTS + "/{}/details",
    result=PaymentDetails,
    repeat=Repeat.SAFE,
    per_minute=120,
)

#: A read that Vipps has deprecated.
STATUS: Final = Operation(
    name="status",
    method="GET",
    path=_PAYMENTS + "/{}/status",
    result=PaymentStatus,
    repeat=Repeat.SAFE,
    per_minute=120,
)

#: Does what the customer would do in the app; on Vipps' test host only. Idempotent by its key.
APPROVE: Final = Operation(
    name="approve",
    method="POST",
    path="/ecomm/v2/integration-test/payments/{}/approve",
    result=NoContent,
    repeat=Repeat.KEYED,
)

#: All of them, by name.
OPERATIONS: Final = {
    operation.name: operation for operation in (INITIATE, CAPTURE, CANCEL, REFUND, DETAILS, STATUS, APPROVE)
}


def ask_details(order_id: str) -> Call[PaymentDetails]:
    """Return the call that reads a payment with its whole history."""
    return Call(operation=DETAILS, path=DETAILS.path_for(order_id), order_id=order_id)
