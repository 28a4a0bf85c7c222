"""What Recorder makes of an earlier call: its key again, its open attempt, or an equal call without a key."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.core.recorder_bench import KEY, bench, capture, capture_call
from tests.faults.shop import TWO_TRIES, Fault, Shop
from vipps_async import (
    CaptureError,
    Effect,
    IdempotencyMismatchError,
    JournalError,
    OrderLockedError,
    OutcomeUnknown,
    RequestNotSent,
    SettledBy,
    VippsSession,
    nok,
)
from vipps_async.core.pipeline import render
from vipps_async.journals.entries import Intent, KeyOrigin, Outcome, Settlement
from vipps_async.journals.memory import MemoryJournal
from vipps_async.journals.protocol import AcquireResult
from vipps_async.transports.protocol import Request, Response


class TestTheSameKeyAgain:
    """A key stands for one operation, for all time."""

    async def test_settled_as_done_the_result_comes_from_the_journal(self, shop: Shop) -> None:
        """Nothing is sent, and the result says what it rests on."""
        first = await capture(shop.session())
        sent = len(shop.line.requests)
        again = await capture(shop.session())
        assert len(shop.line.requests) == sent
        assert again.settled_by is SettledBy.JOURNAL
        assert again.transaction == first.transaction
        assert again.transaction_summary == first.transaction_summary
        assert shop.sandbox.payment("order-1").captured == 10_000

    async def test_another_payload_is_refused_before_anything_is_sent(self, shop: Shop) -> None:
        """The same key with another amount raises without I/O, whatever became of the first."""
        vipps = shop.session()
        await capture(vipps)
        sent = len(shop.line.requests)
        with pytest.raises(IdempotencyMismatchError, match=r"another amount, 100\.00 NOK; nothing was sent") as caught:
            await capture(vipps, amount=20_000)
        assert len(shop.line.requests) == sent
        assert caught.value.idempotency_key == KEY

    async def test_the_same_key_on_another_order_or_operation_is_another_operation(self, shop: Shop) -> None:
        """Vipps keeps keys apart by order and endpoint, and so does the journal."""
        await shop.reserve("order-2")
        vipps = shop.session()
        await capture(vipps)
        await capture(vipps, payment="order-2")
        await vipps.ecom.refund("order-1", amount=nok(100), transaction_text="Shipped", idempotency_key=KEY)
        assert [shop.sandbox.payment(order).captured for order in ("order-1", "order-2")] == [10_000, 10_000]
        assert shop.sandbox.payment("order-1").refunded == 10_000

    async def test_a_lasting_refusal_is_raised_again(self, shop: Shop) -> None:
        """Class, status, codes and advice are those of the first time; nothing is sent; no state is shared."""
        vipps = shop.session()
        shop.sandbox.clock.advance(181 * 86_400)
        with pytest.raises(CaptureError) as first:
            await capture(vipps)
        sent = len(shop.line.requests)
        with pytest.raises(CaptureError, match="nothing was sent now") as again:
            await capture(vipps)
        with pytest.raises(CaptureError) as third:
            await capture(vipps)
        assert len(shop.line.requests) == sent
        assert (again.value.status, again.value.errors) == (first.value.status, first.value.errors)
        assert again.value.advice.startswith(first.value.advice)
        assert (again.value.effect, again.value.operation, again.value.payment) == (
            Effect.NONE,
            "ecom.capture",
            "order-1",
        )
        assert third.value is not again.value
        assert str(third.value) == str(again.value)

    async def test_a_refusal_that_can_pass_may_be_begun_again(self, shop: Shop) -> None:
        """More than is reserved is refused now; the key stays good, as more may be reserved later."""
        vipps = shop.session()
        for _ in range(2):
            with pytest.raises(CaptureError) as caught:
                await capture(vipps, amount=50_100)
            assert caught.value.effect is Effect.NONE
        assert len(shop.line.sent("/capture")) == 2

    async def test_what_was_not_done_may_be_begun_again(self, shop: Shop) -> None:
        """After a request that was not sent, the same key goes on as if nothing had been."""
        vipps = shop.session()
        shop.line.fail("/capture", Fault.NOT_SENT)
        with pytest.raises(RequestNotSent):
            await capture(vipps)
        assert (await capture(vipps)).settled_by is SettledBy.ANSWER
        settlement = (await shop.entry()).settlement
        assert settlement is not None
        assert settlement.outcome is Outcome.DONE

    async def test_of_two_tasks_one_goes_on(self, shop: Shop) -> None:
        """While one has leased it, the other is told so, and that money may have moved."""
        vipps = shop.session()
        ends = await asyncio.gather(*(capture(vipps) for _ in range(5)), return_exceptions=True)
        locked = [end for end in ends if isinstance(end, OrderLockedError)]
        assert len(locked) == 4
        assert {error.effect for error in locked} == {Effect.POSSIBLE}
        assert all(error.retryable for error in locked)
        assert len(shop.line.sent("/capture")) == 1

    async def test_of_two_sessions_one_goes_on(self, shop: Shop) -> None:
        """Two workers on one journal do not both send the same key."""
        ends = await asyncio.gather(capture(shop.session()), capture(shop.session()), return_exceptions=True)
        assert sorted(type(end).__name__ for end in ends) == ["CaptureResult", "OrderLockedError"]
        assert len(shop.line.sent("/capture")) == 1

    async def test_an_answer_on_record_that_cannot_be_read_says_that_it_is_done(self) -> None:
        """A record of another version raises a JournalError that says that the operation took effect."""
        async with bench() as at:
            await at.runner.open()
            call = capture_call()
            intent = at.runner._intent(call, render(call))
            done = Settlement(outcome=Outcome.DONE, answer=b"[]", settled_at=datetime(2026, 1, 1, tzinfo=UTC))
            await at.journal.settle(intent, done)
            with pytest.raises(JournalError, match="done since 2026-01-01") as caught:
                await at.runner.run(call)
            assert caught.value.effect is Effect.PROBABLE
            assert at.pipeline.bodies == []


class TestAfterAnEarlierAttempt:
    """A key whose entry is open may have taken effect: a later attempt must not call it harmless."""

    async def begin_and_lose(self, shop: Shop, fault: Fault) -> None:
        """Capture with a line that leaves the outcome unknown."""
        shop.line.fail("/capture", fault)
        shop.line.fail("/details", Fault.LOSE_REQUEST)
        with pytest.raises(OutcomeUnknown):
            await capture(shop.session())
        assert (await shop.entry()).settlement is None

    async def test_not_sent_now_is_not_not_done(self, shop: Shop) -> None:
        """The first attempt took effect unseen, the second one is not sent: details prove the first."""
        await self.begin_and_lose(shop, Fault.LOSE_ANSWER)
        shop.line.fail("/capture", Fault.NOT_SENT)
        result = await capture(shop.session())
        assert result.settled_by is SettledBy.HISTORY
        settlement = (await shop.entry()).settlement
        assert settlement is not None
        assert settlement.outcome is Outcome.DONE

    async def test_not_sent_now_and_nothing_to_be_found_out_is_unknown(self, shop: Shop) -> None:
        """With the line dead, the caller is told that money may have moved, and the entry stays open."""
        await self.begin_and_lose(shop, Fault.LOSE_ANSWER)
        shop.line.always.update({"/capture": Fault.NOT_SENT, "/details": Fault.NOT_SENT})
        with pytest.raises(OutcomeUnknown, match="earlier attempt") as caught:
            await capture(shop.session())
        assert caught.value.effect is Effect.POSSIBLE
        assert caught.value.idempotency_key == KEY
        entry = await shop.entry()
        assert entry.settlement is None
        assert "earlier attempt" in entry.note

    async def test_the_same_after_a_crash(self, shop: Shop) -> None:
        """An owner that died has left no reason, only a lease that ran out: it counts as an earlier attempt."""
        await self.begin_and_lose(shop, Fault.LOSE_ANSWER)
        intent = (await shop.entry()).intent
        await shop.journal.begin(intent, owner="somebody who dies", lease=60)
        await shop.journal.release(intent, note="")
        await shop.journal.begin(intent, owner="somebody who dies", lease=60)
        shop.hands.let_leases_run_out()
        shop.line.always.update({"/capture": Fault.NOT_SENT, "/details": Fault.NOT_SENT})
        with pytest.raises(OutcomeUnknown):
            await capture(shop.session())
        assert (await shop.entry()).settlement is None

    async def test_absent_now_and_not_sent_is_still_unknown(self, shop: Shop) -> None:
        """The first attempt may be on its way still: the caller is told so, and recovery goes on with it."""
        await self.begin_and_lose(shop, Fault.LOSE_REQUEST)
        shop.line.fail("/capture", Fault.NOT_SENT)
        with pytest.raises(OutcomeUnknown, match="does not have this idempotency key"):
            await capture(shop.session())
        assert (await shop.entry()).settlement is None
        assert (await shop.session().recover()).sent_again == 1

    async def test_refused_now_settles_nothing(self, shop: Shop) -> None:
        """Vipps says no to this attempt, but the first may be on its way still: it stays open with the refusal."""
        shop.line.fail("/capture", Fault.LOSE_REQUEST)
        shop.line.fail("/details", Fault.LOSE_REQUEST)
        with pytest.raises(OutcomeUnknown):
            await capture(shop.session(), amount=50_100)
        with pytest.raises(OutcomeUnknown, match="an earlier attempt"):
            await capture(shop.session(), amount=50_100)
        entry = await shop.entry()
        assert entry.settlement is None
        assert (entry.attempts.begun, entry.attempts.ended) == (2, 1)
        assert b'"61"' in entry.attempts.refusal

    async def test_what_was_not_done_before_needs_no_question(self, shop: Shop) -> None:
        """An entry that was settled as not done, and is again not sent, is not asked about."""
        shop.line.always["/capture"] = Fault.NOT_SENT
        for _ in range(2):
            with pytest.raises(RequestNotSent):
                await capture(shop.session())
        assert shop.line.sent("/details") == []

    async def test_the_same_key_and_bytes_are_sent(self, shop: Shop) -> None:
        """Taken over, it goes out as it went out first."""
        await self.begin_and_lose(shop, Fault.LOSE_ANSWER)
        await capture(shop.session())
        first, second = shop.line.sent("/capture")
        assert first.body == second.body
        assert first.headers["X-Request-Id"] == second.headers["X-Request-Id"] == KEY
        assert shop.sandbox.payment("order-1").captured == 10_000

    async def test_a_failed_entry_of_the_earlier_attempt_settles_nothing(self, shop: Shop) -> None:
        """The first attempt was refused unseen, the second is not sent: it stays open, and says what was found."""
        shop.line.fail("/capture", Fault.LOSE_ANSWER)
        shop.line.fail("/details", Fault.LOSE_REQUEST)
        with pytest.raises(OutcomeUnknown):
            await capture(shop.session(), amount=50_100)
        shop.line.fail("/capture", Fault.NOT_SENT)
        with pytest.raises(OutcomeUnknown, match="failed operation only"):
            await capture(shop.session(), amount=50_100)
        assert (await shop.entry()).settlement is None

    async def test_each_attempt_is_counted_before_it_leaves(self, shop: Shop) -> None:
        """When the second attempt reaches the line, two stand in the journal."""
        counted: list[int] = []
        send = shop.line.send

        async def looking(request: Request) -> Response:
            if request.url.endswith("/capture"):
                counted.append((await shop.entry()).attempts.begun)
            return await send(request)

        shop.line.send = looking  # type: ignore[method-assign]
        shop.line.fail("/capture", Fault.ERROR_BEFORE)
        await capture(shop.session(retry=TWO_TRIES))
        assert counted == [1, 2]

    async def test_a_used_key_after_an_attempt_of_an_earlier_call_speaks_for_an_effect(self, shop: Shop) -> None:
        """The key was used before by these very bytes, in another call: "used" is no refusal then."""
        shop.line.fail("/capture", Fault.LOSE_REQUEST)
        with pytest.raises(OutcomeUnknown):
            await capture(shop.session())
        used = Response(status=400, body=b'[{"errorGroup":"Payment","errorCode":"93","errorMessage":"Other payload."}]')
        send = shop.line.send

        async def refusing(request: Request) -> Response:
            return used if request.url.endswith("/capture") else await send(request)

        shop.line.send = refusing  # type: ignore[method-assign]
        with pytest.raises(OutcomeUnknown) as caught:
            await capture(shop.session())
        assert caught.value.effect is Effect.PROBABLE

    async def test_an_attempt_that_another_worker_has_leased_is_not_sent(self, shop: Shop) -> None:
        """Whoever lost the entry between two attempts sends no second one."""

        class Lost(MemoryJournal):
            async def attempt(self, intent: Intent, *, owner: str, at: datetime) -> AcquireResult:
                return AcquireResult.HELD

        shop.line.fail("/capture", Fault.ERROR_BEFORE)
        with pytest.raises(OutcomeUnknown, match="another worker has leased this operation"):
            await capture(shop.session(retry=TWO_TRIES, journal=Lost()))
        assert len(shop.line.sent("/capture")) == 1

    async def test_an_attempt_that_cannot_be_counted_is_not_sent(self, shop: Shop) -> None:
        """A journal that fails between two attempts keeps the second one in: the first one's outcome is unknown."""

        class Full(MemoryJournal):
            async def attempt(self, intent: Intent, *, owner: str, at: datetime) -> AcquireResult:
                raise JournalError("the disk is full")

        shop.line.fail("/capture", Fault.ERROR_BEFORE)
        journal = Full()
        with pytest.raises(OutcomeUnknown, match="the disk is full"):
            await capture(shop.session(retry=TWO_TRIES, journal=journal))
        assert len(shop.line.sent("/capture")) == 1


class TestTheSameWishAgain:
    """A wish that is uttered again without a key is not carried out twice while the first one is open."""

    async def wish(self, vipps: VippsSession, text: str = "Shipped", amount: int = 10_000) -> Any:
        """Capture without a key."""
        return await vipps.ecom.capture("order-1", amount=amount, transaction_text=text)

    async def test_one_in_flight_is_waited_for(self, shop: Shop) -> None:
        """Who clicks twice gets the result of the first call, marked so; money moves once."""
        ends = await asyncio.gather(*(self.wish(shop.session()) for _ in range(3)))
        assert sorted(end.settled_by.value for end in ends) == ["answer", "earlier call", "earlier call"]
        assert len({end.transaction.transaction_id for end in ends}) == 1
        assert shop.sandbox.payment("order-1").captured == 10_000

    async def test_one_in_doubt_is_gone_on_with(self, shop: Shop) -> None:
        """After a lost request an equal call takes the same key and the same bytes."""
        shop.line.fail("/capture", Fault.LOSE_ANSWER)
        shop.line.fail("/details", *[Fault.LOSE_REQUEST] * 9)
        with pytest.raises(OutcomeUnknown) as caught:
            await self.wish(shop.session())
        shop.line.plan.clear()
        await self.wish(shop.session())
        first, second = shop.line.sent("/capture")
        assert first.headers["X-Request-Id"] == second.headers["X-Request-Id"] == caught.value.idempotency_key
        assert first.body == second.body
        assert shop.sandbox.payment("order-1").captured == 10_000
        assert len(await shop.entries()) == 1

    async def test_after_it_is_done_an_equal_call_is_a_new_wish(self, shop: Shop) -> None:
        """Two parts of the same amount, one after the other, are two parts."""
        await self.wish(shop.session())
        await self.wish(shop.session())
        assert shop.sandbox.payment("order-1").captured == 20_000

    async def test_another_text_of_the_same_amount_is_refused_with_the_key(self, shop: Shop) -> None:
        """Whether it is the same operation cannot be known: nothing is sent, and the open key is named."""
        shop.line.always.update({"/capture": Fault.LOSE_REQUEST, "/details": Fault.LOSE_REQUEST})
        with pytest.raises(OutcomeUnknown) as first:
            await self.wish(shop.session())
        shop.line.always.clear()
        sent = len(shop.line.requests)
        with pytest.raises(OrderLockedError, match=first.value.idempotency_key) as caught:
            await self.wish(shop.session(), text="Shipped again")
        assert caught.value.effect is Effect.POSSIBLE
        assert len(shop.line.requests) == sent

    async def test_keys_of_ones_own_are_wishes_of_their_own(self, shop: Shop) -> None:
        """Two parts of the same amount under two given keys are two operations, also while the first one is open."""
        shop.line.fail("/capture", Fault.LOSE_REQUEST)
        shop.line.fail("/details", *[Fault.LOSE_REQUEST] * 9)
        with pytest.raises(OutcomeUnknown):
            await capture(shop.session(), key="part-1")
        shop.line.plan.clear()
        await capture(shop.session(), key="part-2")
        assert [entry.settlement is None for entry in await shop.entries()] == [True, False]

    async def test_a_given_key_goes_on_with_nobody_elses_wish(self, shop: Shop) -> None:
        """A call with a key of its own is a wish of its own, also while an equal one without a key is open."""
        shop.line.always.update({"/capture": Fault.LOSE_REQUEST, "/details": Fault.LOSE_REQUEST})
        with pytest.raises(OutcomeUnknown):
            await self.wish(shop.session())
        shop.line.always.clear()
        await capture(shop.session(), key="part-2")
        assert [entry.settlement is None for entry in await shop.entries()] == [True, False]
        assert (await shop.entries())[1].intent.key == "part-2"

    async def test_one_that_does_not_end_in_time_is_told(self) -> None:
        """A call that waits for an equal one longer than its deadline says whose key it waited for."""
        async with bench(deadline=0.1) as at:
            await at.runner.open()
            first = capture_call("key-of-the-first", origin=KeyOrigin.MADE)
            await at.journal.begin(at.runner._intent(first, render(first)), owner="another", lease=60)
            with pytest.raises(OrderLockedError, match="has not ended in time") as caught:
                await at.runner.run(capture_call("key-of-the-second", origin=KeyOrigin.MADE))
            assert caught.value.idempotency_key == "key-of-the-first"
            assert at.pipeline.bodies == []
