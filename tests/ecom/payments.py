"""Answers about payments, as Vipps writes them."""

from __future__ import annotations

from typing import Any

import orjson

from vipps_async import PaymentDetails
from vipps_async.core.converter import decode

__all__ = ["details", "entry", "summary"]


def entry(
    operation: str, amount: int = 49900, key: str | None = None, *, success: bool = True, at: str | None = None
) -> Any:
    """Return an entry of a history."""
    found = {"operation": operation, "amount": amount, "operationSuccess": success, "transactionText": "Socks"}
    found |= {"requestId": key} if key is not None else {}
    found |= {"timeStamp": at} if at is not None else {}
    return found | {"transactionId": "5001446662"}


def summary(captured: int = 0, refunded: int = 0, to_capture: int = 0, to_refund: int = 0) -> Any:
    """Return a summary of sums."""
    return {
        "capturedAmount": captured,
        "refundedAmount": refunded,
        "remainingAmountToCapture": to_capture,
        "remainingAmountToRefund": to_refund,
    }


def details(*history: Any, **fields: Any) -> PaymentDetails:
    """Return the details of order ``acme-1`` with this history, newest first."""
    body = {"orderId": "acme-1", "transactionLogHistory": list(history), **fields}
    return decode(orjson.dumps(body), PaymentDetails)
