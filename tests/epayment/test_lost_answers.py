"""Answers that get lost, failures and lag: a capture, refund or cancel takes effect once, and its outcome is found."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.core.fake_clock import FakeClock
from tests.epayment.service import EpaymentService, Fault, problem
from tests.epayment.sessions import ORDER, opened
from vipps_async import (
    ApiError,
    CancelError,
    CaptureError,
    DuplicateOrderError,
    Effect,
    Entry,
    IdempotencyMismatchError,
    MemoryJournal,
    OrderLockedError,
    Outcome,
    OutcomeUnknown,
    PaymentState,
    SettledBy,
    UnexpectedResponseError,
    VippsSession,
    nok,
)
from vipps_async.testing import answer

URL: dict[str, Any] = {"return_url": "https://example.com/back"}


@pytest.fixture
def paid(service: EpaymentService) -> EpaymentService:
    """Return a Vipps with a payment over 499 NOK that its customer has accepted."""
    service.authorized(ORDER, 49900)
    return service


async def entries(journal: MemoryJournal) -> list[Entry]:
    """What the journal has of the payment, oldest first."""
    await journal.open()
    try:
        return await journal.find(payment=ORDER, merchant_serial_number="123456")
    finally:
        await journal.aclose()


async def outcomes(journal: MemoryJournal) -> list[Outcome | None]:
    """How its operations ended."""
    return [None if entry.settlement is None else entry.settlement.outcome for entry in await entries(journal)]


# -- one call ----------------------------------------------------------------------------------------------------------


async def test_the_life_of_a_payment(service: EpaymentService) -> None:
    """Made, accepted, captured in part, refunded in part, the rest cancelled: each result tells amount and sums."""
    async with opened(service) as vipps:
        created = await vipps.epayment.create(reference=ORDER, amount=nok(499), **URL)
        assert created.redirect_url == f"https://pay-mt.vipps.no/?token=secret-{ORDER}"
        await vipps.epayment.approve(ORDER, phone_number="4791234567", token=created.token)
        vipps.epayment.notify(ORDER)
        assert (await vipps.epayment.wait_for(ORDER, timeout=600)).is_authorized
        captured = await vipps.epayment.capture(ORDER, amount=nok(300))
        assert (captured.amount, captured.remaining_to_capture, captured.captured_in_full) == (
            nok(300),
            nok(199),
            False,
        )
        refunded = await vipps.epayment.refund(ORDER, amount=nok(100))
        assert (refunded.amount, refunded.remaining_to_refund) == (nok(100), nok(200))
        cancelled = await vipps.epayment.cancel(ORDER)
        assert (cancelled.amount, cancelled.state, cancelled.is_cancelled) == (nok(199), "AUTHORIZED", True)
        events = await vipps.epayment.events(ORDER)
        assert [event.name for event in events] == ["CREATED", "AUTHORIZED", "CAPTURED", "REFUNDED", "CANCELLED"]
    assert service.sums(ORDER) == (49900, 30000, 10000, 19900)


@pytest.mark.parametrize("name", ["capture", "refund"])
@pytest.mark.parametrize("lag", [0, 1])
async def test_an_answer_that_gets_lost_is_found_in_the_events(paid: EpaymentService, name: str, lag: int) -> None:
    """The key with name and success proves it, though the events lag at first; nothing is sent again."""
    clock = FakeClock()
    async with opened(paid, clock=clock) as vipps:
        await vipps.epayment.capture(ORDER, amount=nok(400))
        before = len(paid.sent)
        paid.faults, paid.lag = [Fault.LOSE_ANSWER], lag

        async def catch_up(seconds: float) -> None:
            paid.lag = 0
            await FakeClock.sleep(clock, seconds)

        clock.sleep = catch_up  # type: ignore[method-assign]  # the events appear while it waits
        result = await getattr(vipps.epayment, name)(ORDER, amount=nok(50))
    assert (result.amount, result.settled_by, result.state) == (nok(50), SettledBy.HISTORY, PaymentState.AUTHORIZED)
    assert result.aggregate.captured_amount == nok(450 if name == "capture" else 400)
    assert len(paid.sent) == before + 1


async def test_a_lost_request_is_sent_again_under_its_key(paid: EpaymentService) -> None:
    """Key and bytes are those of the first attempt, and money moves once."""
    paid.faults = [Fault.LOSE_REQUEST, Fault.LOSE_ANSWER]
    async with opened(paid, attempts=4) as vipps:
        result = await vipps.epayment.capture(ORDER, amount=nok(50))
    assert (result.amount, result.settled_by) == (nok(50), SettledBy.CONFIRMED)
    assert len(set(paid.sent)) == 1
    assert len(paid.sent) == 3
    assert paid.sums(ORDER)[1] == 5000


async def test_a_key_of_yours_moves_money_once(paid: EpaymentService) -> None:
    """The same key with the same amount is the same capture; with another amount it is refused, and nothing moves."""
    async with opened(paid) as vipps:
        for _ in range(2):
            assert (await vipps.epayment.capture(ORDER, amount=nok(50), idempotency_key="k" * 50)).amount == nok(50)
        with pytest.raises(IdempotencyMismatchError) as caught:
            await vipps.epayment.capture(ORDER, amount=nok(51), idempotency_key="k" * 50)
    assert caught.value.effect is Effect.NONE
    assert paid.sums(ORDER)[1] == 5000


async def test_an_answer_of_success_by_whose_sums_nothing_moved(paid: EpaymentService) -> None:
    """A status of 200 is no proof: the events are looked at, and without the key nothing is called done."""
    paid.faults = [Fault.LIE]
    async with opened(paid) as vipps:
        with pytest.raises(
            UnexpectedResponseError, match=r"500\.00 NOK were asked for, and it says 0\.00 NOK in all of 499\.00 NOK"
        ):
            await vipps.epayment.capture(ORDER, amount=nok(500))
    paid.faults = [Fault.LIE]
    async with opened(paid) as vipps:
        with pytest.raises(UnexpectedResponseError, match="nothing was cancelled"):
            await vipps.epayment.cancel(ORDER)


async def test_a_capture_that_the_bank_fails_is_tried_again_under_its_key(paid: EpaymentService) -> None:
    """Code 6280 is for the moment: the same key goes again after a pause, and takes effect once."""
    paid.faults = [Fault.FAIL, Fault.FAIL]
    clock = FakeClock()
    async with opened(paid, attempts=4, clock=clock) as vipps:
        result = await vipps.epayment.capture(ORDER, amount=nok(50))
    assert (result.amount, result.settled_by) == (nok(50), SettledBy.CONFIRMED)
    assert len(set(paid.sent)) == 1
    assert len(clock.pauses) == 2
    assert paid.sums(ORDER)[1] == 5000


async def test_a_payment_that_is_locked_is_tried_again_under_its_key(paid: EpaymentService) -> None:
    """423, and code 6160 under any status, mean another operation under way."""
    paid.faults = [problem(423), problem(400, "6160")]
    async with opened(paid, attempts=4) as vipps:
        assert (await vipps.epayment.capture(ORDER, amount=nok(50))).amount == nok(50)
        paid.faults = [problem(423)] * 4
        with pytest.raises(OrderLockedError) as caught:
            await vipps.epayment.capture(ORDER, amount=nok(50))
    assert (caught.value.effect, caught.value.retryable, caught.value.trace_id) == (Effect.NONE, True, "trace-1")


async def test_a_refusal_moves_nothing(paid: EpaymentService) -> None:
    """More than is reserved is refused with the code, the advice, and the certainty that nothing moved."""
    async with opened(paid, MemoryJournal()) as vipps:
        with pytest.raises(CaptureError, match="remaining_to_capture") as caught:
            await vipps.epayment.capture(ORDER, amount=nok(500))
    assert (caught.value.effect, caught.value.status) == (Effect.NONE, 400)
    assert [(info.group, info.code) for info in caught.value.errors] == [("ErrorCode", "6090")]


@pytest.mark.parametrize("name", ["capture", "refund", "cancel"])
async def test_what_is_refused_as_done_before_may_be_this_very_operation(paid: EpaymentService, name: str) -> None:
    """Codes 6170, 6180 and 6190 are looked into under a key that was made for this call, too: it is done, once."""
    async with opened(paid) as vipps:
        await vipps.epayment.capture(ORDER, amount=nok(100))
        paid.faults = [Fault.DOUBLED]
        amount = {} if name == "cancel" else {"amount": nok(50)}
        result = await getattr(vipps.epayment, name)(ORDER, **amount)
    assert result.settled_by is SettledBy.HISTORY
    assert len(paid.sent) == 2


async def test_a_gateway_that_failed_says_nothing_of_the_money(paid: EpaymentService) -> None:
    """Its `responseInfo` with the code 1000 is no refusal, whatever its status."""
    failed = {"responseInfo": {"responseCode": 1000, "responseMessage": "Error"}, "result": {"message": "No."}}
    async with opened(paid, MemoryJournal()) as vipps:
        paid.faults = [answer(400, failed)]
        with pytest.raises(OutcomeUnknown) as caught:
            await vipps.epayment.capture(ORDER, amount=nok(50))
        assert caught.value.effect is Effect.POSSIBLE


async def test_a_second_capture_of_all_is_refused_at_once(paid: EpaymentService) -> None:
    """The first one took all there was by another key, so nothing is in doubt and nothing is sent again."""
    journal = MemoryJournal()
    async with opened(paid, journal, attempts=4) as vipps:
        await vipps.epayment.capture(ORDER, amount=nok(499))
        paid.faults = [problem(400, "6170")] * 4
        with pytest.raises(CaptureError, match="events do not have") as caught:
            await vipps.epayment.capture(ORDER, amount=nok(499))
    assert caught.value.effect is Effect.NONE
    assert caught.value.advice.startswith("all of it is captured already")
    assert len(paid.sent) == 2
    assert await outcomes(journal) == [Outcome.DONE, Outcome.NOT_DONE]


# -- cancel ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attempts", [1, 4])
async def test_a_cancel_whose_answer_gets_lost(paid: EpaymentService, attempts: int) -> None:
    """Its event has no key: the sums prove it."""
    paid.faults = [Fault.LOSE_ANSWER]
    async with opened(paid, attempts=attempts) as vipps:
        result = await vipps.epayment.cancel(ORDER)
    assert (result.amount, result.settled_by, len(paid.sent)) == (nok(499), SettledBy.HISTORY, 1)


async def test_a_cancel_that_was_done_before(service: EpaymentService) -> None:
    """Vipps refuses the second one; the payment shows that it is done, so it is a success."""
    service.make(ORDER, 49900)
    async with opened(service) as vipps:
        first = await vipps.epayment.cancel(ORDER, cancel_transaction_only=True)
        second = await vipps.epayment.cancel(ORDER)
    assert (first.state, first.settled_by, first.remaining_to_capture) == ("TERMINATED", SettledBy.ANSWER, nok(0))
    assert (second.state, second.settled_by, second.amount) == ("TERMINATED", SettledBy.HISTORY, nok(499))


async def test_a_cancel_that_leaves_an_accepted_payment_alone(paid: EpaymentService) -> None:
    """Code 6060 is for good: the money stays reserved, and the error says what to do instead."""
    async with opened(paid) as vipps:
        with pytest.raises(CancelError, match="without cancel_transaction_only") as caught:
            await vipps.epayment.cancel(ORDER, cancel_transaction_only=True)
    assert caught.value.effect is Effect.NONE
    assert paid.sums(ORDER)[3] == 0


async def test_a_cancel_while_the_customer_confirms(paid: EpaymentService) -> None:
    """Code 6250 says to come back later; it is no lock of another operation."""
    paid.faults = [problem(409, "6250")]
    async with opened(paid) as vipps:
        with pytest.raises(CancelError, match="confirming the payment") as caught:
            await vipps.epayment.cancel(ORDER)
    assert (caught.value.retryable, caught.value.effect) == (True, Effect.NONE)


# -- create ------------------------------------------------------------------------------------------------------------


async def test_a_create_whose_answer_gets_lost_is_asked_again_under_its_key(service: EpaymentService) -> None:
    """The URL is not lost: Vipps answers the same key with the same payment."""
    service.faults = [Fault.LOSE_ANSWER]
    async with opened(service, attempts=4) as vipps:
        created = await vipps.epayment.create(reference=ORDER, amount=nok(499), **URL)
    assert created.redirect_url == f"https://pay-mt.vipps.no/?token=secret-{ORDER}"
    assert len(set(service.sent)) == 1
    assert len(service.sent) == 2


@pytest.mark.parametrize("journalled", [False, True])
async def test_a_create_whose_answer_stays_lost_is_looked_up(service: EpaymentService, *, journalled: bool) -> None:
    """With no attempt left the payment itself is read: amount and currency are ours, so it is ours, and has its URL."""
    service.faults = [Fault.LOSE_ANSWER]
    async with opened(service, MemoryJournal() if journalled else None) as vipps:
        created = await vipps.epayment.create(reference=ORDER, amount=nok(499), **URL)
    assert created.redirect_url == f"https://pay-mt.vipps.no/?token=secret-{ORDER}"
    assert created.settled_by is SettledBy.HISTORY


@pytest.mark.parametrize("journalled", [False, True])
async def test_a_create_that_is_called_again(service: EpaymentService, *, journalled: bool) -> None:
    """Another key for the same payment: 409 is looked at, and what is ours is given back."""
    async with opened(service, MemoryJournal() if journalled else None) as vipps:
        first = await vipps.epayment.create(reference=ORDER, amount=nok(499), **URL)
        second = await vipps.epayment.create(reference=ORDER, amount=nok(499), **URL)
        service.accept(ORDER)
        third = await vipps.epayment.create(reference=ORDER, amount=nok(499), **URL)
    assert (second.redirect_url, second.settled_by) == (first.redirect_url, SettledBy.HISTORY)
    # Nobody need be sent to a payment that is accepted.
    assert (third.reference, third.redirect_url) == (ORDER, None)


async def test_a_create_under_a_key_that_the_journal_has(service: EpaymentService) -> None:
    """The journal keeps no URL: it is read again, and nothing is sent twice."""
    journal = MemoryJournal()
    async with opened(service, journal) as vipps:
        first = await vipps.epayment.create(reference=ORDER, amount=nok(499), idempotency_key="mine", **URL)
        again = await vipps.epayment.create(reference=ORDER, amount=nok(499), idempotency_key="mine", **URL)
    assert (again.reference, again.redirect_url, again.settled_by) == (ORDER, first.redirect_url, SettledBy.JOURNAL)
    assert len(service.sent) == 1


@pytest.mark.parametrize("journalled", [False, True])
async def test_a_reference_that_is_another_payments(service: EpaymentService, *, journalled: bool) -> None:
    """Another amount is not ours: refused, for good, and nothing was made."""
    service.make(ORDER, 100)
    journal = MemoryJournal() if journalled else None
    async with opened(service, journal) as vipps:
        with pytest.raises(DuplicateOrderError) as caught:
            await vipps.epayment.create(reference=ORDER, amount=nok(499), **URL)
    assert (caught.value.effect, caught.value.errors[0].code) == (Effect.NONE, "4150")
    if journal is not None:
        assert await outcomes(journal) == [Outcome.REFUSED]


async def test_a_reference_that_is_another_payments_after_a_lost_answer(service: EpaymentService) -> None:
    """Whatever became of the first attempt: under this reference ours can never come into being."""
    service.make(ORDER, 100)
    service.faults = [Fault.LOSE_REQUEST]
    async with opened(service, attempts=4) as vipps:
        with pytest.raises(DuplicateOrderError, match=r"a payment's over 1\.00 NOK") as caught:
            await vipps.epayment.create(reference=ORDER, amount=nok(499), **URL)
    assert caught.value.effect is Effect.NONE


async def test_a_push_message_has_no_url(service: EpaymentService) -> None:
    """Nobody looks for one."""
    async with opened(service) as vipps:
        created = await vipps.epayment.create(
            reference=ORDER, amount=nok(499), user_flow="PUSH_MESSAGE", phone_number="4791234567"
        )
    assert (created.redirect_url, created.token, service.reads) == (None, None, 0)


# -- recovery ----------------------------------------------------------------------------------------------------------


async def left_open(vipps: VippsSession, service: EpaymentService, name: str, *faults: Fault, **asked: Any) -> None:
    """Call an operation whose outcome cannot be found out now."""
    service.faults, service.lag = list(faults), len(service.events.get(ORDER, ())) + 9
    with pytest.raises(OutcomeUnknown) as caught:
        await getattr(vipps.epayment, name)(ORDER, **asked)
    assert caught.value.effect is not Effect.NONE
    service.lag = 0


@pytest.mark.parametrize("name", ["capture", "refund"])
async def test_recovery_finds_what_took_effect(paid: EpaymentService, name: str) -> None:
    """Events that lagged prove it later; nothing is sent again, and the key answers from the journal."""
    journal = MemoryJournal()
    async with opened(paid, journal) as vipps:
        await vipps.epayment.capture(ORDER, amount=nok(400))
        await left_open(vipps, paid, name, Fault.LOSE_ANSWER, amount=nok(50), idempotency_key="mine")
        sent = len(paid.sent)
        report = await vipps.recover()
        assert (report.proven, report.stays_open, len(paid.sent)) == (1, 0, sent)
        again = await getattr(vipps.epayment, name)(ORDER, amount=nok(50), idempotency_key="mine")
        assert (again.amount, again.settled_by, len(paid.sent)) == (nok(50), SettledBy.JOURNAL, sent)


async def test_recovery_sends_again_what_never_arrived(paid: EpaymentService) -> None:
    """With the same key and bytes, once."""
    journal = MemoryJournal()
    async with opened(paid, journal) as vipps:
        await left_open(vipps, paid, "capture", Fault.LOSE_REQUEST, amount=nok(50))
        report = await vipps.recover()
        assert (report.sent_again, report.stays_open) == (1, 0)
        assert (await vipps.recover()).seen == 0
    assert len(paid.sent) == 2
    assert len(set(paid.sent)) == 1
    assert paid.sums(ORDER)[1] == 5000


async def test_a_request_that_arrives_after_recovery_has_sent_it(paid: EpaymentService) -> None:
    """The key is the same, so it moves nothing more."""
    journal = MemoryJournal()
    async with opened(paid, journal) as vipps:
        await left_open(vipps, paid, "capture", Fault.ARRIVE_LATE, amount=nok(50))
        assert (await vipps.recover()).sent_again == 1
    paid.deliver()
    assert paid.sums(ORDER)[1] == 5000


async def test_each_failed_event_is_the_end_of_one_attempt(paid: EpaymentService) -> None:
    """An attempt that failed is not sent again, and is settled when nothing can arrive any more."""
    journal, clock = MemoryJournal(), FakeClock()
    async with opened(paid, journal, clock=clock) as vipps:
        await left_open(vipps, paid, "capture", Fault.FAIL_SILENTLY, amount=nok(50))
        report = await vipps.recover()
        assert (report.stays_open, report.sent_again, len(paid.sent)) == (1, 0, 1)
        assert "each of its attempts stands in the history as failed" in report.left_open[0].reason
        clock.advance(timedelta(days=1).total_seconds() + 1)
        assert (await vipps.recover()).stays_open == 1
        clock.advance(61)
        report = await vipps.recover()
        assert (report.refused, report.stays_open) == (1, 0)
    assert paid.sums(ORDER)[1] == 0


async def test_a_failed_event_says_nothing_of_a_second_attempt(paid: EpaymentService) -> None:
    """One attempt failed and another is in doubt: it is sent again, and its key makes that safe."""
    journal = MemoryJournal()
    async with opened(paid, journal, attempts=2) as vipps:
        await left_open(vipps, paid, "capture", Fault.FAIL_SILENTLY, Fault.ARRIVE_LATE, amount=nok(50))
        report = await vipps.recover()
        assert (report.sent_again, report.stays_open) == (1, 0)
    paid.deliver()
    assert paid.sums(ORDER)[1] == 5000


async def test_recovery_does_not_ask_again_for_what_was_refused_as_done_before(paid: EpaymentService) -> None:
    """Vipps would say so each time, and it would stay in doubt for ever: beyond the horizon the events decide."""
    journal, clock = MemoryJournal(), FakeClock()
    async with opened(paid, journal, clock=clock) as vipps:
        await vipps.epayment.capture(ORDER, amount=nok(50))
        await vipps.epayment.refund(ORDER, amount=nok(50))
        paid.faults = [problem(400, "6180")]
        with pytest.raises(OutcomeUnknown) as caught:
            await vipps.epayment.refund(ORDER, amount=nok(10))
        assert caught.value.effect is Effect.PROBABLE
        for seconds, stays_open in ((1, 1), (timedelta(days=1).total_seconds() + 1, 1), (61, 0)):
            clock.advance(seconds)
            assert (await vipps.recover()).stays_open == stays_open
    assert len(paid.sent) == 3
    assert await outcomes(journal) == [Outcome.DONE, Outcome.DONE, Outcome.NOT_DONE]


@pytest.mark.parametrize("arrived", [True, False])
async def test_recovery_of_a_cancel(paid: EpaymentService, *, arrived: bool) -> None:
    """State and sums decide; a cancel that never arrived is sent again."""
    journal = MemoryJournal()
    fault = Fault.LOSE_ANSWER if arrived else Fault.LOSE_REQUEST
    async with opened(paid, journal) as vipps:
        paid.faults = [fault]
        if arrived:
            assert (await vipps.epayment.cancel(ORDER)).settled_by is SettledBy.HISTORY
        else:
            with pytest.raises(OutcomeUnknown):
                await vipps.epayment.cancel(ORDER)
            assert (await vipps.recover()).sent_again == 1
    assert paid.sums(ORDER)[3] == 49900
    assert await outcomes(journal) == [Outcome.DONE]


async def test_recovery_of_a_create_that_arrived_loses_no_url(service: EpaymentService) -> None:
    """It is found, and since its URL can be read again none is counted as lost."""
    journal = MemoryJournal()
    async with opened(service, journal) as vipps:
        service.faults = [Fault.ARRIVE_LATE]
        with pytest.raises(OutcomeUnknown):
            await vipps.epayment.create(reference=ORDER, amount=nok(499), **URL)
        service.deliver()
        report = await vipps.recover()
        assert (report.proven, report.urls_lost, report.stays_open) == (1, [], 0)
        assert (await vipps.epayment.create(reference=ORDER, amount=nok(499), **URL)).redirect_url
    assert len(service.sent) == 2


async def test_recovery_of_a_create_that_never_arrived(service: EpaymentService) -> None:
    """Nobody waits for its answer any more, and its body is kept nowhere: beyond the horizon it is settled."""
    journal, clock = MemoryJournal(), FakeClock()
    async with opened(service, journal, clock=clock) as vipps:
        service.faults = [Fault.LOSE_REQUEST]
        with pytest.raises(OutcomeUnknown):
            await vipps.epayment.create(reference=ORDER, amount=nok(499), **URL)
        assert (await vipps.recover()).stays_open == 1
        clock.advance(timedelta(days=1).total_seconds() + 1)
        assert (await vipps.recover()).stays_open == 1
        clock.advance(61)
        assert (await vipps.recover()).not_done == 1
    assert len(service.sent) == 1


async def test_an_equal_capture_joins_the_one_that_is_open(paid: EpaymentService) -> None:
    """A call without a key of its own meets the open intent that it would double."""
    journal = MemoryJournal()
    async with opened(paid, journal) as vipps:
        await left_open(vipps, paid, "capture", Fault.ARRIVE_LATE, amount=nok(50))
        result = await vipps.epayment.capture(ORDER, amount=nok(50))
    paid.deliver()
    assert result.amount == nok(50)
    assert len(set(paid.keys("capture"))) == 1
    assert paid.sums(ORDER)[1] == 5000


async def test_an_adjustment_in_doubt_closes_the_payment_to_ecom(paid: EpaymentService) -> None:
    """Nothing goes over the other API while it may have taken effect."""
    async with opened(paid, MemoryJournal()) as vipps:
        await left_open(vipps, paid, "capture", Fault.ARRIVE_LATE, amount=nok(50))
        with pytest.raises(OrderLockedError, match=r"epayment\.capture of this payment is open"):
            await vipps.ecom.capture(ORDER, amount=nok(50), transaction_text="Shipped")
    assert len(paid.sent) == 1


async def test_a_create_in_doubt_closes_nothing(service: EpaymentService) -> None:
    """It moves no money."""
    async with opened(service, MemoryJournal()) as vipps:
        service.faults = [Fault.LOSE_REQUEST, problem(400)]
        with pytest.raises(OutcomeUnknown):
            await vipps.epayment.create(reference=ORDER, amount=nok(499), **URL)
        with pytest.raises(ApiError):
            await vipps.ecom.capture(ORDER, amount=nok(50), transaction_text="Shipped")
    assert len(service.sent) == 2


async def test_the_journal_has_currency_and_no_urls(service: EpaymentService) -> None:
    """Each entry names API and currency; neither body nor answer of a create is kept."""
    journal = MemoryJournal()
    async with opened(service, journal) as vipps:
        await vipps.epayment.create(reference=ORDER, amount=nok(499), phone_number="4791234567", **URL)
        service.accept(ORDER)
        await vipps.epayment.capture(ORDER, amount=nok(5))
        await vipps.epayment.cancel(ORDER)
    created, captured, cancelled = await entries(journal)
    assert (created.intent.name, created.intent.amount, created.intent.body) == ("epayment.create", 49900, None)
    assert created.settlement is not None
    assert created.settlement.answer == b"{}"
    assert (captured.intent.currency, captured.intent.amount) == ("NOK", 500)
    assert (cancelled.intent.amount, cancelled.intent.body) == (None, b"{}")
