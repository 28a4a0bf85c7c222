"""Payments for tests that are about something else."""

from __future__ import annotations

from typing import Any

from vipps_async import InitiatedPayment, Money, VippsSession

__all__ = ["PRICE", "initiate"]

#: Øre.
PRICE = 49_900


async def initiate(
    vipps: VippsSession, order_id: str = "acme-shop-1", *, amount: Money | int = PRICE, **further: Any
) -> InitiatedPayment:
    """Initiate a payment whose callbacks go nowhere."""
    arguments: dict[str, Any] = {
        "transaction_text": "One pair of socks.",
        "callback_prefix": "https://example.com/vipps/callbacks",
        "fall_back": "https://example.com/vipps/result",
    }
    return await vipps.ecom.initiate(order_id=order_id, amount=amount, **(arguments | further))
