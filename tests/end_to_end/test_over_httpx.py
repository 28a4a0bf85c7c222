"""A session over the httpx transport against the sandbox: the same truth, whatever carries the bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.end_to_end.checkout import FAST
from tests.support.payments import PRICE, initiate
from vipps_async import Effect, HttpxTransport, RequestNotSent, SettledBy, VippsSession, nok
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox


@pytest_asyncio.fixture(params=["own connections", "adopted client"])
async def vipps(sandbox: Sandbox, request: pytest.FixtureRequest) -> AsyncIterator[VippsSession]:
    """A session over httpx."""
    client = httpx.AsyncClient() if request.param == "adopted client" else None
    transport = HttpxTransport(client)
    async with sandbox.session(transport=transport, retry=FAST) as session:
        yield session
    await transport.aclose()
    if client is not None:
        await client.aclose()


async def test_a_payment_from_initiate_to_refund(sandbox: Sandbox, vipps: VippsSession) -> None:
    """Initiate, approve, capture all and refund a part: the sandbox agrees to the øre."""
    payment = await initiate(vipps, amount=49_900)
    await sandbox.approve(payment.order_id)
    captured = await vipps.ecom.capture(payment.order_id, transaction_text="Shipped.")
    refunded = await vipps.ecom.refund(payment.order_id, amount=nok("99.00"), transaction_text="One sock came back.")
    assert captured.settled_by is refunded.settled_by is SettledBy.ANSWER
    truth = sandbox.payment(payment.order_id)
    assert (truth.captured, truth.refunded) == (PRICE, 9_900)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.RESET_BEFORE_READ,
        Fault.RESET_BEFORE_EFFECT,
        Fault.RESET_AFTER_EFFECT,
        Fault.HEADERS_CUT_IN_HALF,
        Fault.ANSWER_CUT_IN_HALF,
        Fault.HTTP_503_AFTER,
    ],
)
async def test_a_capture_through_a_fault_moves_money_once(sandbox: Sandbox, vipps: VippsSession, fault: Fault) -> None:
    """The capture is repeated with its key, and took effect once."""
    payment = await initiate(vipps)
    await sandbox.approve(payment.order_id)
    sandbox.faults.script("capture", fault, fault)
    await vipps.ecom.capture(payment.order_id, transaction_text="Shipped.")
    truth = sandbox.payment(payment.order_id)
    assert truth.captured == PRICE
    assert len(truth.moved("CAPTURE")) == 1


async def test_a_vipps_that_is_not_there_moves_nothing(sandbox: Sandbox, vipps: VippsSession) -> None:
    """Where nobody listens, the error says that nothing was sent."""
    await initiate(vipps)
    await sandbox.approve("acme-shop-1")
    async with sandbox.refusing_connections():
        with pytest.raises(RequestNotSent) as caught:
            await vipps.ecom.capture("acme-shop-1", transaction_text="Shipped.")
    assert caught.value.effect is Effect.NONE
    assert sandbox.payment("acme-shop-1").captured == 0
