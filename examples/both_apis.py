"""One program, both APIs: what eCom has made is captured and refunded by ePayment, and new payments are ePayment's.

`python -m examples.both_apis` runs it on a sandbox of its own: no account, no phone, no internet.
"""

from __future__ import annotations

import asyncio

from vipps_async import Money, VippsSession, derive_idempotency_key, nok
from vipps_async.testing import Sandbox

__all__ = ["new_payment", "old_payment", "ship"]


async def old_payment(vipps: VippsSession, order: str, amount: Money) -> None:
    """Make a payment by eCom, as the shop has done until today."""
    await vipps.ecom.initiate(
        order_id=order,
        amount=amount,
        transaction_text="One pair of socks.",
        callback_prefix="https://example.com/vipps",
        fall_back="https://example.com/result",
    )


async def new_payment(vipps: VippsSession, order: str, amount: Money) -> None:
    """Make a payment by ePayment, as the shop does from now on."""
    await vipps.epayment.create(
        reference=order,
        amount=amount,
        payment_description="One pair of socks.",
        return_url="https://example.com/result",
    )


async def ship(vipps: VippsSession, order: str, return_id: str) -> str:
    """Capture all and pay a part back by ePayment, whichever API made the payment; return its sums.

    The number of the return is a part of the refund's key: the same return is paid back once, and another one as well.
    With a journal an eCom operation on this payment whose outcome is not known is settled first: until then this is
    refused by `OrderLockedError`.
    """
    payment = await vipps.epayment.get(order)
    await vipps.epayment.capture(order, amount=payment.amount, idempotency_key=derive_idempotency_key("ship", order))
    result = await vipps.epayment.refund(
        order, amount=nok("99.00"), idempotency_key=derive_idempotency_key("refund", order, return_id)
    )
    return f"{order}: captured {result.aggregate.captured_amount}, refunded {result.aggregate.refunded_amount}"


async def main() -> None:
    """Sell twice, to the same sales unit, with the same keys."""
    async with Sandbox() as sandbox, sandbox.session() as vipps:
        for make, order in ((old_payment, "acme-shop-123"), (new_payment, "acme-shop-124")):
            await make(vipps, order, nok("499.00"))
            await sandbox.approve(order)  # what the customer does in the app
            print(await ship(vipps, order, "return-1"))


if __name__ == "__main__":
    asyncio.run(main())
