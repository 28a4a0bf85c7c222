"""Express checkout, client and sandbox: what Vipps adds for shipping is reserved, read, captured and refunded."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.support.payments import PRICE, initiate
from vipps_async import CaptureError, Effect, ExpressCheckout, ShippingDetails, VippsSession, nok
from vipps_async.testing import Sandbox

PARCEL = ShippingDetails(
    shipping_method_id="parcel", shipping_method="Parcel", shipping_cost=nok("49.50"), is_default=True
)
FETCHED = ShippingDetails(shipping_method_id="shop", shipping_method="Fetch it", shipping_cost=nok("0"))
EXPRESS = ExpressCheckout(consent_removal_prefix="https://example.com/vipps", static_shipping_details=(PARCEL, FETCHED))
#: Øre: goods and the parcel.
TOTAL = PRICE + 4_950


@pytest.fixture
async def order_id(vipps: VippsSession, sandbox: Sandbox) -> str:
    """An express payment whose customer took the parcel."""
    payment = await initiate(vipps, express=EXPRESS)
    await sandbox.approve(payment.order_id)
    return payment.order_id


async def test_wait_for_tells_goods_and_shipping(vipps: VippsSession, order_id: str) -> None:
    """The details that `wait_for` returns have the sum in øre, and the shipping's share of it in kroner."""
    details = await vipps.ecom.wait_for(order_id, timeout=5)
    assert (details.reserved_amount, details.remaining_to_capture) == (TOTAL, TOTAL)
    assert details.shipping_details is not None
    assert details.shipping_details.shipping_cost == Decimal("49.50")
    assert details.transaction_log_history[-1].amount == PRICE


async def test_all_that_remains_is_goods_and_shipping(vipps: VippsSession, sandbox: Sandbox, order_id: str) -> None:
    """A capture without an amount takes both, and a refund without one pays both back."""
    captured = await vipps.ecom.capture(order_id, transaction_text="Shipped.")
    assert captured.transaction is not None
    assert captured.transaction.amount == TOTAL
    await vipps.ecom.refund(order_id, transaction_text="Returned.")
    assert (sandbox.payment(order_id).captured, sandbox.payment(order_id).refunded) == (TOTAL, TOTAL)


async def test_goods_first_and_shipping_afterwards(vipps: VippsSession, sandbox: Sandbox, order_id: str) -> None:
    """What was asked for at initiate is a part of what is reserved; the rest is the shipping, and no øre more."""
    await vipps.ecom.capture(order_id, amount=PRICE, transaction_text="Shipped.")
    with pytest.raises(CaptureError) as refused:
        await vipps.ecom.capture(order_id, amount=4_951, transaction_text="Shipping.")
    assert refused.value.effect is Effect.NONE
    await vipps.ecom.capture(order_id, amount=4_950, transaction_text="Shipping.")
    assert [entry.amount for entry in sandbox.payment(order_id).moved("CAPTURE")] == [PRICE, 4_950]
    details = await vipps.ecom.details(order_id)
    assert (details.captured_amount, details.remaining_to_capture) == (TOTAL, 0)


async def test_another_choice_is_another_sum(vipps: VippsSession, sandbox: Sandbox) -> None:
    """Whoever fetches the goods pays the goods alone."""
    payment = await initiate(vipps, express=EXPRESS)
    await sandbox.approve(payment.order_id, shipping_method_id="shop")
    assert (await vipps.ecom.wait_for(payment.order_id, timeout=5)).reserved_amount == PRICE
