"""Answers about payments, as Vipps writes them."""

from __future__ import annotations

from typing import Any

import orjson

from tests.epayment.service import money
from vipps_async import Payment, PaymentEvent
from vipps_async.core.converter import decode

__all__ = ["aggregate", "event", "events", "payment"]


def aggregate(authorized: int = 0, captured: int = 0, refunded: int = 0, cancelled: int = 0) -> dict[str, Any]:
    """Return sums in NOK."""
    return {
        "authorizedAmount": money(authorized),
        "cancelledAmount": money(cancelled),
        "capturedAmount": money(captured),
        "refundedAmount": money(refunded),
    }


def payment(state: str = "AUTHORIZED", value: int = 49900, sums: Any = None, **fields: Any) -> Payment:
    """Return the payment ``acme-order-1``."""
    body = {
        "reference": "acme-order-1",
        "amount": money(value),
        "state": state,
        "aggregate": aggregate(value if state == "AUTHORIZED" else 0) if sums is None else sums,
        "paymentMethod": {"type": "WALLET"},
        "profile": {},
        "pspReference": "psp-1",
    }
    return decode(orjson.dumps(body | fields), Payment)


def event(name: str, value: int = 49900, key: str | None = None, *, success: bool = True, **fields: Any) -> Any:
    """Return an event."""
    found = {"reference": "acme-order-1", "name": name, "amount": money(value), "success": success}
    return found | ({} if key is None else {"idempotencyKey": key}) | fields


def events(*found: Any) -> tuple[PaymentEvent, ...]:
    """Return events as they are read."""
    return decode(orjson.dumps(list(found)), tuple[PaymentEvent, ...])
