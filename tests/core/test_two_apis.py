"""One payment over two APIs: what is in doubt at one closes it to the other, until it is settled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.batch.test_other_api import collect, opened, row
from tests.faults.shop import Fault, Shop, open_shop
from tests.toy.api import ToyApi, row_call
from tests.toy.service import ToyService
from vipps_async import VippsSession, nok
from vipps_async.batch import RowOutcome, capture_many
from vipps_async.core.batch import BatchOperation
from vipps_async.core.recovery import Recovery
from vipps_async.ecom.operations import OPERATIONS as ECOM
from vipps_async.epayment.operations import OPERATIONS as EPAYMENT
from vipps_async.errors import Effect, OrderLockedError, OutcomeUnknown
from vipps_async.not_given import NOT_GIVEN, NotGiven

PAYMENT = "toy-1"
Beside = tuple[Shop, VippsSession, ToyService, ToyApi, Recovery]


@pytest.fixture
async def beside() -> AsyncIterator[Beside]:
    """A payment that eCom and the toy API both have, and a client of each, with one journal."""
    async with open_shop() as shop:
        await shop.reserve(PAYMENT)
        vipps, service = shop.session(), ToyService({PAYMENT: 500_00})
        async with opened(service, shop.journal, find_world=vipps.world) as (toy, recovery):
            yield shop, vipps, service, toy, recovery


async def take(toy: ToyApi, operation: BatchOperation = BatchOperation.CAPTURE) -> Any:
    """Take 100 kr over the toy API."""
    return await toy.runner.run(row_call(operation, PAYMENT, 100_00, key="t-1"))


async def capture(vipps: VippsSession, key: str | NotGiven = NOT_GIVEN) -> Any:
    """Take 100 kr over eCom."""
    return await vipps.ecom.capture(PAYMENT, amount=nok(100), transaction_text="Shipped", idempotency_key=key)


@pytest.mark.parametrize("operation", list(BatchOperation))
async def test_after_a_lost_answer_of_ecom_nothing_goes_over_the_other(
    beside: Beside, operation: BatchOperation
) -> None:
    """The error says what is open, that nothing was sent, and what to do; once that is settled, the other goes on."""
    shop, vipps, service, toy, _ = beside
    shop.line.fail("/capture", Fault.LOSE_ANSWER)
    shop.line.always["/details"] = Fault.ERROR_BEFORE
    with pytest.raises(OutcomeUnknown):
        await capture(vipps, "e-1")
    with pytest.raises(OrderLockedError) as caught:
        await take(toy, operation)
    error = caught.value
    assert (error.operation, error.payment, error.idempotency_key) == (f"toy.{operation.value}", PAYMENT, "t-1")
    assert (error.effect, error.retryable, service.sent) == (Effect.POSSIBLE, False, [])
    for word in ("ecom.capture of this payment is open since", "under the key e-1", "nothing was sent", "recover"):
        assert word in str(error)
    shop.line.always.clear()
    shop.hands.let_leases_run_out()
    assert (await vipps.recover()).proven == 1
    if operation is BatchOperation.CAPTURE:
        await take(toy)
        assert service.sent == [("capture", "t-1")]


@pytest.mark.parametrize("key", ["e-1", NOT_GIVEN])
async def test_after_a_lost_answer_of_the_other_nothing_goes_over_ecom(beside: Beside, key: str | NotGiven) -> None:
    """The same the other way round, also for a call without a key of its own; reads go on."""
    shop, vipps, service, toy, recovery = beside
    service.losing = 1
    service.events_away = True
    with pytest.raises(OutcomeUnknown):
        await take(toy)
    with pytest.raises(OrderLockedError, match=r"toy\.capture of this payment is open since .* under the key t-1"):
        await capture(vipps, key)
    assert shop.line.sent("/capture") == []
    assert (await vipps.ecom.details(PAYMENT)).order_id == PAYMENT
    service.events_away = False
    shop.hands.let_leases_run_out()
    assert (await recovery.run(concurrency=1)).proven == 1
    assert (await capture(vipps, key)).amount == 100_00


async def test_an_initiate_in_doubt_closes_nothing(beside: Beside) -> None:
    """It makes a payment and moves none of its money."""
    shop, vipps, service, toy, _ = beside
    service.events["order-2"] = service.events[PAYMENT]
    shop.line.fail("/payments", Fault.LOSE_ANSWER)
    shop.line.always["/details"] = Fault.ERROR_BEFORE
    with pytest.raises(OutcomeUnknown):
        await vipps.ecom.initiate(
            order_id="order-2",
            amount=nok(500),
            transaction_text="Socks",
            callback_prefix="https://example.com/callbacks",
            fall_back="https://example.com/back",
        )
    await toy.runner.run(row_call(BatchOperation.CAPTURE, "order-2", 100_00, key="t-1"))
    assert service.sent == [("capture", "t-1")]


async def test_a_row_of_a_batch_waits_for_the_other_api(beside: Beside) -> None:
    """It is not sent and has no outcome, so that the batch's next round, behind its recovery, tries it again."""
    shop, vipps, service, toy, _ = beside
    shop.line.fail("/capture", Fault.LOSE_ANSWER)
    shop.line.always["/details"] = Fault.ERROR_BEFORE
    with pytest.raises(OutcomeUnknown):
        await capture(vipps)
    rows = [row(0, payment=PAYMENT, reference="r")]
    assert await collect(capture_many(toy, rows)) == [("r", RowOutcome.UNKNOWN, None)]
    assert service.sent == []


def test_what_makes_a_payment_closes_none() -> None:
    """At both APIs only captures, refunds and cancels close a payment to the other one while they are open."""
    closing = {operation.name for operation in (*ECOM.values(), *EPAYMENT.values()) if operation.adjusts}
    journalled = {"ecom.initiate", "epayment.create"}
    assert closing >= {f"{api}.{verb}" for api in ("ecom", "epayment") for verb in ("capture", "refund", "cancel")}
    assert not closing & journalled
