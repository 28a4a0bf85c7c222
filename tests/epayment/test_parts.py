"""A part of a payment is called done when the events have it: the sums of a success may come from other calls."""

from __future__ import annotations

import pytest

from tests.core.fake_clock import FakeClock
from tests.epayment.service import EpaymentService, Fault, money
from tests.epayment.sessions import ORDER, opened
from vipps_async import Effect, MemoryJournal, Outcome, OutcomeUnknown, SettledBy, nok

PARTS = pytest.mark.parametrize("name", ["capture", "refund"])


@pytest.fixture
def paid(service: EpaymentService) -> EpaymentService:
    """Return a Vipps with a payment over 499 NOK that its customer has accepted."""
    service.authorized(ORDER, 49900)
    return service


@PARTS
async def test_what_moves_all_is_proven_by_its_answer(paid: EpaymentService, name: str) -> None:
    """The usual capture costs one request."""
    async with opened(paid) as vipps:
        if name == "refund":
            await vipps.epayment.capture(ORDER, amount=nok(499))
        result = await getattr(vipps.epayment, name)(ORDER, amount=nok(499))
    assert (result.settled_by, paid.reads) == (SettledBy.ANSWER, 0)


async def test_with_shipping_all_is_more_than_the_payment(paid: EpaymentService) -> None:
    """The result tells what the capture took, whatever amount Vipps' answer repeats."""
    paid.payments[ORDER]["aggregate"]["authorizedAmount"] = money(55800)
    async with opened(paid) as vipps:
        assert (await vipps.epayment.capture(ORDER, amount=nok(558))).amount == nok(558)
    assert paid.reads == 0


@PARTS
async def test_a_part_is_proven_by_the_events(paid: EpaymentService, name: str) -> None:
    """Also the first one, and the last, whose sums other calls of the same amount explain as well."""
    async with opened(paid) as vipps:
        if name == "refund":
            await vipps.epayment.capture(ORDER, amount=nok(499))
        for amount, in_all, looks in ((nok(200), nok(200), 1), (nok(200), nok(400), 2), (nok(99), nok(499), 3)):
            result = await getattr(vipps.epayment, name)(ORDER, amount=amount)
            sums = result.aggregate
            assert (result.amount, result.settled_by) == (amount, SettledBy.CONFIRMED)
            assert (sums.captured_amount if name == "capture" else sums.refunded_amount) == in_all
            assert paid.reads == looks


@PARTS
async def test_a_part_that_only_the_status_tells_of_is_never_called_done(paid: EpaymentService, name: str) -> None:
    """The sums fit by an earlier part; after the horizon the events prove that it did not move."""
    journal, clock = MemoryJournal(), FakeClock()
    async with opened(paid, journal, clock=clock) as vipps:
        if name == "refund":
            await vipps.epayment.capture(ORDER, amount=nok(499))
        perform = getattr(vipps.epayment, name)
        await perform(ORDER, amount=nok(200))
        paid.faults = [Fault.LIE]
        with pytest.raises(
            OutcomeUnknown, match=r"may come from other calls.*do not have this idempotency key"
        ) as caught:
            await perform(ORDER, amount=nok(100))
        assert (caught.value.effect, caught.value.status) == (Effect.PROBABLE, None)
        assert "same idempotency key" in caught.value.advice
    sums = paid.sums(ORDER)
    assert sums[1 if name == "capture" else 2] == 20000


async def test_events_that_lag_are_waited_for_and_cost_no_retries(paid: EpaymentService) -> None:
    """However many parts are captured, the budget for retries is as full as before: Vipps has answered each."""
    clock = FakeClock()

    async def catch_up(seconds: float) -> None:
        paid.lag = 0
        await FakeClock.sleep(clock, seconds)

    clock.sleep = catch_up  # type: ignore[method-assign]  # the event appears while it waits
    async with opened(paid, clock=clock) as vipps:
        for _ in range(60):
            paid.lag = 1
            assert (await vipps.epayment.capture(ORDER, amount=nok(1))).settled_by is SettledBy.CONFIRMED
    assert len(clock.pauses) == 60


async def test_a_part_in_doubt_is_found_when_it_is_asked_for_again(paid: EpaymentService) -> None:
    """The events lag for longer than the call may take: the same key brings the result, and money moved once."""
    paid.lag = 1
    async with opened(paid) as vipps:
        with pytest.raises(OutcomeUnknown):
            await vipps.epayment.capture(ORDER, amount=nok(200), idempotency_key="mine")
        paid.lag = 0
        result = await vipps.epayment.capture(ORDER, amount=nok(200), idempotency_key="mine")
    assert (result.amount, paid.sums(ORDER)[1]) == (nok(200), 20000)


async def test_recovery_settles_a_part_by_the_events(paid: EpaymentService) -> None:
    """What moved is found there; what only the status told of is sent again under its key, and moves then, once."""
    journal, clock = MemoryJournal(), FakeClock()
    async with opened(paid, journal, clock=clock) as vipps:
        for amount, lag, faults in ((nok(100), 1, []), (nok(60), 0, [Fault.LIE])):
            paid.lag, paid.faults[:] = lag, faults
            with pytest.raises(OutcomeUnknown):
                await vipps.epayment.capture(ORDER, amount=amount)
        assert paid.sums(ORDER)[1] == 10000
        clock.advance(2 * 86_400)
        await vipps.recover()
        entries = [entry async for entry in journal.recent_entries(limit=9)]
    assert [entry.settlement and entry.settlement.outcome for entry in entries] == [Outcome.DONE] * 2
    assert paid.sums(ORDER)[1] == 16000
