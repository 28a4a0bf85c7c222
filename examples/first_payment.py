"""The program of the tutorial (docs/tutorial.md): one eCom payment, from the keys to the refund.

`python -m examples.first_payment` runs it on a sandbox of its own: no account, no phone, no internet.
"""

from __future__ import annotations

import asyncio

from vipps_async import (
    CaptureError,
    DuplicateOrderError,
    PaymentPending,
    VippsSession,
    derive_idempotency_key,
    format_nok,
    nok,
)
from vipps_async.testing import SHORT_WAIT, Sandbox

__all__ = ["begin", "pay_back", "ship", "wait_for_customer"]


async def begin(vipps: VippsSession, order_id: str) -> str:
    """Ask for the payment, and return the URL that the customer goes to."""
    result = "https://example.com/vipps/result"
    try:
        payment = await vipps.ecom.initiate(
            order_id=order_id,
            amount=nok("499.00"),
            transaction_text="One pair of socks.",
            callback_prefix="https://example.com/vipps/callbacks",
            fall_back=result,
        )
    except DuplicateOrderError:
        print("asked for before: see how the payment stands")
        return result  # eCom tells a payment's URL once, and that page how it stands
    print("send the customer to", payment.url.partition("?")[0])
    return payment.url


async def wait_for_customer(vipps: VippsSession, order_id: str) -> bool:
    """Wait until the customer has accepted or declined, at the pace that Vipps allows."""
    try:
        details = await vipps.ecom.wait_for(order_id, timeout=600)
    except PaymentPending:
        await vipps.ecom.cancel(order_id, transaction_text="Nobody came.")
        return False
    print("the customer said", "yes" if details.is_approved else "no")
    return details.is_approved  # also if it has been captured since


async def ship(vipps: VippsSession, order_id: str, shipment: str) -> bool:
    """Take the money when the goods leave, once however often this is called for the same shipment."""
    key = derive_idempotency_key("ship", order_id, shipment)
    try:
        captured = await vipps.ecom.capture(order_id, transaction_text="Shipped.", idempotency_key=key)
    except CaptureError as error:
        details = await vipps.ecom.details(order_id)
        print("look it up, money was taken:" if details.is_captured else "ship nothing, look again in a minute:", error)
        return False
    print("captured", format_nok(captured.amount))
    return True


async def pay_back(vipps: VippsSession, order_id: str, return_id: str) -> None:
    """Pay a part back, once however often this is called for the same return."""
    key = derive_idempotency_key("refund", order_id, return_id)
    refunded = await vipps.ecom.refund(
        order_id, amount=nok("99.00"), transaction_text="One sock came back.", idempotency_key=key
    )
    print("refunded", format_nok(refunded.amount))


async def main() -> None:
    """Go through it on a sandbox; with keys of the test environment it is `VippsSession.from_env()` instead."""
    order_id = "acme-shop-123-order123abc"
    async with Sandbox(longest_wait=SHORT_WAIT) as sandbox, sandbox.session() as vipps:  # waits take no time
        await begin(vipps, order_id)
        await sandbox.approve(order_id)  # what the customer does in the app
        if await wait_for_customer(vipps, order_id) and await ship(vipps, order_id, "shipment-1"):
            await pay_back(vipps, order_id, "return-1")


if __name__ == "__main__":
    asyncio.run(main())
