"""What recovery promises: proven is settled, proven absent is sent again, all else stays open with its reason."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve

from tests.core.recovering import LOST, left_open, outcome, sums
from tests.faults.shop import CREDENTIALS, Fault, LossyTransport, Shop
from vipps_async import Effect, OrderLockedError, OutcomeUnknown, SettledBy, nok
from vipps_async.journals.entries import Outcome, Settlement
from vipps_async.not_given import NOT_GIVEN, NotGiven
from vipps_async.transports.protocol import Request, Response

pytestmark = pytest.mark.usefixtures("in_a_hurry")


class TestEachFinding:
    """What details say decides."""

    @pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.ERROR_AFTER, Fault.CUT])
    async def test_proven_done_is_settled_without_sending(self, shop: Shop, fault: Fault) -> None:
        """A capture that took effect is settled from the history; repeating its key answers from the journal."""
        key = await left_open(shop, fault)
        sent = len(shop.line.sent("/capture"))
        report = await shop.session().recover()
        assert sums(report) == {"seen": 1, "proven": 1}
        assert report.is_complete
        assert len(shop.line.sent("/capture")) == sent
        assert await outcome(shop) is Outcome.DONE
        again = await shop.session().ecom.capture(
            "order-1", amount=nok(100), transaction_text="Shipped", idempotency_key=key
        )
        assert again.settled_by is SettledBy.JOURNAL
        assert again.transaction is not None
        assert again.transaction.amount == 10_000
        assert shop.sandbox.payment("order-1").captured == 10_000

    @pytest.mark.parametrize("fault", [Fault.LOSE_REQUEST, Fault.ERROR_BEFORE, Fault.HTML])
    async def test_proven_absent_is_sent_again_with_the_same_key_and_bytes(self, shop: Shop, fault: Fault) -> None:
        """A capture that never arrived is sent as it was sent first, and takes effect once."""
        key = await left_open(shop, fault)
        report = await shop.session().recover()
        assert sums(report) == {"seen": 1, "sent_again": 1}
        first, second = shop.line.sent("/capture")
        assert second.body == first.body
        assert second.headers["X-Request-Id"] == first.headers["X-Request-Id"] == key
        assert await outcome(shop) is Outcome.DONE
        assert shop.sandbox.payment("order-1").request_ids == (key,)

    @pytest.mark.parametrize(
        "fault", [Fault.LOSE_ANSWER, LOST], ids=["failed in the history", "refused when sent again"]
    )
    async def test_a_failure_in_doubt_is_settled_beyond_the_horizon_by_two_looks(
        self, shop: Shop, fault: Fault
    ) -> None:
        """A failed entry, or a refusal now, settles nothing; a day later two looks a minute apart do."""
        await left_open(shop, fault, amount=nok(501))
        attempts = 1 if fault is Fault.LOSE_ANSWER else 2
        report = await shop.session().recover()
        assert sums(report) == {"seen": 1, "stays_open": 1}
        for day, stays in ((0.0, True), (0.99, True), (1.01, True), (1.01, True)):
            shop.clock.ahead = timedelta(days=day)
            report = await shop.session().recover()
            assert (sums(report) == {"seen": 1, "stays_open": 1}) is stays
            decidable = report.left_open[0].decidable_at
            assert decidable is not None
            assert decidable > shop.clock.now()
        shop.clock.ahead += timedelta(seconds=61)
        report = await shop.session().recover()
        assert sums(report) == {"seen": 1, "refused": 1}
        assert await outcome(shop) is Outcome.NOT_DONE
        assert len(shop.line.sent("/capture")) == attempts

    async def test_a_plain_cancel_of_what_was_captured_meanwhile_is_not_sent(self, shop: Shop) -> None:
        """It can take effect no more, whatever arrives late: settled at once, before any horizon."""
        await left_open(shop, LOST, name="cancel")
        await shop.session(journalled=False).ecom.capture("order-1", amount=nok(100), transaction_text="Shipped")
        report = await shop.session().recover()
        assert sums(report) == {"seen": 1, "refused": 1}
        assert "take effect no more" in report.refusals[0].reason
        assert await outcome(shop) is Outcome.NOT_DONE
        assert len(shop.line.sent("/cancel")) == 1

    async def test_what_takes_effect_late_is_done_and_not_refused(self, shop: Shop) -> None:
        """A request that arrives after its operation was refused when sent again is found, however late."""
        await self.initiate(shop)
        await left_open(shop, LOST, payment="order-2")
        (held,) = shop.line.sent("/capture")
        assert sums(await shop.session().recover()) == {"seen": 1, "stays_open": 1}
        await shop.sandbox.approve("order-2")
        assert (await shop.line.inner.send(held)).status == 200
        assert sums(await shop.session().recover()) == {"seen": 1, "proven": 1}
        assert shop.sandbox.payment("order-2").captured == 10_000

    async def initiate(self, shop: Shop) -> None:
        """Initiate a payment that its customer has not accepted yet."""
        async with shop.sandbox.session(CREDENTIALS) as vipps:
            await vipps.ecom.initiate(
                order_id="order-2",
                amount=nok(100),
                transaction_text="Socks",
                callback_prefix="https://example.com/callbacks",
                fall_back="https://example.com/back",
            )

    async def test_begun_again_after_a_failed_entry_it_is_sent(self, shop: Shop) -> None:
        """If a key was begun once more than it has failed entries, recovery carries it out with that key and body."""
        await self.initiate(shop)
        key = await left_open(shop, Fault.LOSE_ANSWER, payment="order-2")
        await shop.sandbox.approve("order-2")
        shop.line.fail("/capture", LOST)
        with pytest.raises(OutcomeUnknown):
            await shop.session().ecom.capture(
                "order-2", amount=nok(100), transaction_text="Shipped", idempotency_key=key
            )
        assert sums(await shop.session().recover()) == {"seen": 1, "sent_again": 1}
        assert shop.sandbox.payment("order-2").captured == 10_000

    async def test_a_wish_overtaken_by_a_later_one_is_not_sent(self, shop: Shop) -> None:
        """An open operation with a made key whose equal was carried out since is listed, and blocks nothing."""
        await left_open(shop, LOST)
        await self.overtake(shop)
        await left_open(shop, LOST, name="refund", idempotency_key="refund-1")
        async with shop.sandbox.session(CREDENTIALS) as vipps:
            await vipps.ecom.capture("order-1", amount=nok(100), transaction_text="Shipped")
        report = await shop.session().recover()
        assert sums(report) == {"seen": 2, "sent_again": 1, "stays_open": 1}
        assert "a later operation of the same amount was carried out" in report.left_open[0].reason
        assert len(shop.line.sent("/capture")) == 1

    async def test_an_overtaken_wish_is_sent_if_somebody_decides_so(self, shop: Shop) -> None:
        """Named by its key, it is carried out after all: it was another part."""
        key = await left_open(shop, LOST)
        await self.overtake(shop)
        assert sums(await shop.session().recover()) == {"seen": 1, "stays_open": 1}
        assert sums(await shop.session().recover(send=[key])) == {"seen": 1, "sent_again": 1}
        assert shop.sandbox.payment("order-1").captured == 10_000

    async def test_a_dropped_operation_is_never_sent_and_settled_beyond_the_horizon(self, shop: Shop) -> None:
        """Dropped, it is only looked at; two looks beyond the horizon settle it as not done."""
        key = await left_open(shop, LOST)
        assert await shop.session().drop("order-1", key)
        report = await shop.session().recover()
        assert sums(report) == {"seen": 1, "stays_open": 1}
        for ahead in (timedelta(days=2), timedelta(days=2, minutes=2)):
            shop.clock.ahead = ahead
            report = await shop.session().recover()
        assert sums(report) == {"seen": 1, "refused": 1}
        assert await outcome(shop) is Outcome.NOT_DONE
        assert len(shop.line.sent("/capture")) == 1

    async def test_a_drop_is_told_as_long_as_it_is_open(self, shop: Shop) -> None:
        """Recovered again and again, with an answer or without one: reason and note say when it was dropped."""
        key = await left_open(shop, LOST)
        assert await shop.session().drop("order-1", key)
        for fault in (None, LOST, None):
            if fault is not None:
                shop.line.always["/details"] = fault
            report = await shop.session().recover()
            shop.line.always.clear()
            assert report.left_open[0].reason.count("dropped by hand on ") == 1
            entry = await shop.entry()
            assert (entry.attempts.is_dropped, entry.note) == (True, report.left_open[0].reason)

    @pytest.mark.parametrize("key", ["given", NOT_GIVEN])
    async def test_a_dropped_operation_is_sent_by_no_call(self, shop: Shop, key: str | NotGiven) -> None:
        """Neither under its key nor, where that was made, by an equal call without one: only as `send`."""
        mine = await left_open(shop, LOST, idempotency_key=key)
        assert await shop.session().drop("order-1", mine)
        sent = len(shop.line.requests)
        with pytest.raises(OrderLockedError, match=r"dropped by hand on .*; nothing was sent now") as caught:
            await shop.session().ecom.capture(
                "order-1", amount=nok(100), transaction_text="Shipped", idempotency_key=key
            )
        assert (caught.value.effect, caught.value.idempotency_key) == (Effect.POSSIBLE, mine)
        assert len(shop.line.requests) == sent
        assert (await shop.entry()).attempts.is_dropped
        assert (await shop.session().recover(send=[mine])).sent_again == 1
        assert shop.sandbox.payment("order-1").captured == 10_000

    async def test_a_dropped_operation_that_took_effect_is_done(self, shop: Shop) -> None:
        """Dropping undoes nothing: what had arrived all the same is found and noted."""
        key = await left_open(shop, Fault.LOSE_ANSWER)
        assert await shop.session().drop("order-1", key)
        assert sums(await shop.session().recover()) == {"seen": 1, "proven": 1}

    async def test_only_what_is_open_and_leased_by_nobody_is_dropped(self, shop: Shop) -> None:
        """An unknown key, another order, what is leased and what is settled stay as they are."""
        key = await left_open(shop, LOST)
        vipps = shop.session()
        assert not await vipps.drop("order-1", "another key")
        assert not await vipps.drop("order-2", key)
        intent = (await shop.entry()).intent
        await shop.journal.claim(intent, owner="somebody", lease=60)
        assert not await vipps.drop("order-1", key)
        await shop.journal.release(intent, note="")
        await vipps.recover()
        assert not await vipps.drop("order-1", key)

    async def overtake(self, shop: Shop) -> None:
        """Note that a later call without a key carried out the same amount."""
        first = (await shop.entry()).intent
        later = evolve(first, key="later", digest="0" * 64, created_at=first.created_at + timedelta(seconds=1))
        await shop.journal.begin(later, owner="x", lease=9)
        await shop.journal.settle(later, Settlement(outcome=Outcome.DONE, answer=b"{}", settled_at=shop.clock.now()))

    async def test_a_cancel_before_a_later_capture_is_not_sent(self, shop: Shop) -> None:
        """It was to release what was left then; what is left since the capture may be wanted. Its key sends it."""
        vipps = shop.session()
        await vipps.ecom.capture("order-1", amount=nok(100), transaction_text="Shipped")
        key = await left_open(shop, LOST, name="cancel", should_release_remaining_funds=True)
        await vipps.ecom.capture("order-1", amount=nok(50), transaction_text="Shipped")
        report = await shop.session().recover()
        assert sums(report) == {"seen": 1, "stays_open": 1}
        assert "a later operation of the same payment was carried out" in report.left_open[0].reason
        assert len(shop.line.sent("/cancel")) == 1
        assert sums(await shop.session().recover(send=[key])) == {"seen": 1, "sent_again": 1}

    @pytest.mark.parametrize("text", ["Shipped", "Again."])
    async def test_an_open_given_key_is_not_passed_without_a_key(self, shop: Shop, text: str) -> None:
        """Whoever asks for the same amount and leaves the key out is told the open key, and nothing is sent."""
        await left_open(shop, LOST, idempotency_key="part-1")
        sent = len(shop.line.sent("/capture"))
        with pytest.raises(OrderLockedError, match=r"is open since .* under the key part-1") as caught:
            await shop.session().ecom.capture("order-1", amount=nok(100), transaction_text=text)
        assert caught.value.effect is Effect.POSSIBLE
        assert len(shop.line.sent("/capture")) == sent
        assert sums(await shop.session().recover()) == {"seen": 1, "sent_again": 1}
        assert shop.sandbox.payment("order-1").captured == 10_000

    async def test_a_given_key_is_never_overtaken(self, shop: Shop) -> None:
        """A part with a key of its own is sent after all, though a later part of the same amount was carried out."""
        await left_open(shop, LOST, idempotency_key="part-1")
        await shop.session().ecom.capture(
            "order-1", amount=nok(100), transaction_text="Shipped", idempotency_key="part-2"
        )
        assert sums(await shop.session().recover()) == {"seen": 1, "sent_again": 1}
        assert shop.sandbox.payment("order-1").captured == 20_000

    async def test_not_provable_stays_open_with_the_reason(self, shop: Shop) -> None:
        """While details cannot be asked, nothing is sent, and report and journal have the reason."""
        await left_open(shop, Fault.LOSE_ANSWER)
        shop.line.fail("/details", LOST)
        report = await shop.session().recover()
        assert sums(report) == {"seen": 1, "stays_open": 1}
        assert not report.is_complete
        assert "the payment could not be looked up" in report.left_open[0].reason
        entry = await shop.entry()
        assert (entry.settlement, entry.owner, entry.note) == (None, "", report.left_open[0].reason)
        assert len(shop.line.sent("/capture")) == 1

    @pytest.mark.parametrize("fault", [Fault.NOT_SENT, LOST, Fault.ERROR_BEFORE, Fault.HTML, Fault.LOSE_ANSWER])
    async def test_what_cannot_be_sent_again_now_stays_open(self, shop: Shop, fault: Fault) -> None:
        """Nobody but the next recovery will try again, so not even "not sent" settles an entry."""
        await left_open(shop, LOST)
        shop.line.fail("/capture", fault)
        report = await shop.session().recover()
        if report.sent_again == 0:
            assert sums(report) == {"seen": 1, "stays_open": 1}
            assert await outcome(shop) is None
            report = await shop.session().recover()
        assert report.settled == 1
        assert await outcome(shop) is Outcome.DONE
        assert shop.sandbox.payment("order-1").captured == 10_000

    async def test_sent_again_it_took_effect_before(self, shop: Shop) -> None:
        """A cancel that arrives late, after details were asked, is found done though the second one is refused."""
        await left_open(shop, LOST, name="cancel")
        inner = shop.line.inner

        class Late(LossyTransport):
            async def send(self, request: Request) -> Response:
                if request.url.endswith("/cancel"):
                    await inner.send(request)
                return await super().send(request)

        shop.line = Late(inner)
        report = await shop.session().recover()
        assert report.settled == 1
        assert report.refused == 0
        assert await outcome(shop) is Outcome.DONE


class TestEachOperation:
    """All that is journalled can be recovered."""

    @pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, LOST])
    async def test_refund(self, shop: Shop, fault: Fault) -> None:
        """A refund is paid back once."""
        async with shop.sandbox.session(CREDENTIALS) as vipps:
            await vipps.ecom.capture("order-1", transaction_text="Shipped")
        await left_open(shop, fault, name="refund")
        assert (await shop.session().recover()).settled == 1
        assert shop.sandbox.payment("order-1").refunded == 10_000

    @pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, LOST])
    async def test_cancel(self, shop: Shop, fault: Fault) -> None:
        """A cancel is decided by the history."""
        await left_open(shop, fault, name="cancel")
        assert (await shop.session().recover()).settled == 1
        assert shop.sandbox.payment("order-1").released == 50_000
        assert await outcome(shop) is Outcome.DONE

    @pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, LOST])
    async def test_release_of_the_rest(self, shop: Shop, fault: Fault) -> None:
        """A release of what remains is told from a plain cancel by the body."""
        async with shop.sandbox.session(CREDENTIALS) as vipps:
            await vipps.ecom.capture("order-1", amount=nok(100), transaction_text="Shipped")
        await left_open(shop, fault, name="cancel", should_release_remaining_funds=True)
        assert (await shop.session().recover()).settled == 1
        assert shop.sandbox.payment("order-1").released == 40_000

    @pytest.mark.parametrize(("fault", "exists"), [(Fault.LOSE_ANSWER, True), (LOST, False)])
    async def test_initiate(self, shop: Shop, fault: Fault, *, exists: bool) -> None:
        """A payment that exists is listed and not cancelled; one that does not is never made again."""
        shop.line.fail("/payments", fault)
        shop.line.fail("/details", LOST)
        with pytest.raises(OutcomeUnknown):
            await shop.session().ecom.initiate(
                order_id="order-2",
                amount=nok(100),
                transaction_text="Socks",
                callback_prefix="https://example.com/callbacks",
                fall_back="https://example.com/back",
            )
        report = await shop.session().recover()
        if not exists:
            # It may still arrive: neither before the horizon nor before the customer's ten minutes is it settled.
            for minutes in (30, 40):
                shop.clock.ahead = timedelta(minutes=minutes)
                assert sums(await shop.session().recover()) == {"seen": 1, "stays_open": 1}
            shop.clock.ahead = timedelta()
            for ahead in (timedelta(minutes=10), timedelta(minutes=12)):
                assert sums(report) == {"seen": 1, "stays_open": 1}
                shop.clock.ahead = ahead
                report = await shop.session(settle_after=1.0).recover()
            assert sums(report) == {"seen": 1, "stays_open": 1}
            shop.clock.ahead += timedelta(minutes=1, seconds=1)
            report = await shop.session(settle_after=1.0).recover()
        assert report.urls_lost == (["order-2"] if exists else [])
        assert sums(report) == {"seen": 1, "proven" if exists else "not_done": 1}
        assert len(shop.line.sent("/payments")) == 1
        assert await outcome(shop, "order-2") is (Outcome.DONE if exists else Outcome.NOT_DONE)
        if exists:
            assert shop.sandbox.payment("order-2").state.value == "INITIATE"


class TestSequence:
    """Operations of one order are settled in the order in which they were asked for."""

    async def test_a_refund_waits_for_the_capture_before_it(self, shop: Shop) -> None:
        """Both were lost; the capture is sent first, however many work at once."""
        await left_open(shop, LOST)
        await left_open(shop, LOST, name="refund")
        report = await shop.session().recover(concurrency=50)
        assert sums(report) == {"seen": 2, "sent_again": 2}
        assert shop.sandbox.payment("order-1").refunded == 10_000

    async def test_a_refund_is_not_sent_before_a_capture_that_stays_open(self, shop: Shop) -> None:
        """If the capture cannot be settled now, the refund stays open too, rather than being refused for good."""
        await left_open(shop, LOST)
        await left_open(shop, LOST, name="refund")
        shop.line.fail("/capture", Fault.NOT_SENT)
        report = await shop.session().recover()
        assert sums(report) == {"seen": 2, "stays_open": 2}
        assert "earlier operation" in report.left_open[1].reason
        assert len(shop.line.sent("/refund")) == 1
        assert (await shop.session().recover()).sent_again == 2

    async def test_nor_before_one_that_another_has_leased(self, shop: Shop) -> None:
        """The same if somebody else is at work on the capture."""
        await left_open(shop, LOST)
        await left_open(shop, LOST, name="refund")
        captured, _ = await shop.entries()
        await shop.journal.claim(captured.intent, owner="another", lease=60)
        report = await shop.session().recover()
        assert sums(report) == {"seen": 2, "leased_elsewhere": 1, "stays_open": 1}
        assert len(shop.line.sent("/refund")) == 1

    async def test_what_is_proven_needs_no_turn(self, shop: Shop) -> None:
        """A refund that took effect is settled though another entry before it is not."""
        async with shop.sandbox.session(CREDENTIALS) as vipps:
            await vipps.ecom.capture("order-1", amount=nok(200), transaction_text="Shipped")
        await left_open(shop, LOST)
        await left_open(shop, Fault.LOSE_ANSWER, name="refund")
        shop.line.fail("/capture", Fault.NOT_SENT)
        assert sums(await shop.session().recover()) == {"seen": 2, "stays_open": 1, "proven": 1}
