"""What recovery promises: proven is settled, proven absent is sent again, all else stays open with its reason."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from tests.faults.shop import CREDENTIALS, Fault, LossyTransport, Shop, open_shop
from vipps_async import (
    ConfigurationError,
    InvalidInputError,
    JournalError,
    OrderNotFoundError,
    OutcomeUnknown,
    RequestNotSent,
    SettledBy,
    SqliteJournal,
    VippsError,
    nok,
)
from vipps_async.core import open_entry, recovery_limit
from vipps_async.core import recovery as recovery_module
from vipps_async.core.recovery_report import RecoveryReport
from vipps_async.journals.memory import MemoryJournal
from vipps_async.journals.protocol import AcquireResult, Attempts, Entry, Intent, Outcome, Settlement
from vipps_async.transports.protocol import Request, Response

LOST = Fault.LOSE_REQUEST


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test wait: how slowly an outage is met is tested in virtual time, in test_recovery_under_load.py."""
    monkeypatch.setattr(recovery_limit, "_RECOVERY_FIRST_PAUSE", 0.0)
    monkeypatch.setattr(recovery_limit, "_SHORTEST_SILENCE", 0.0)


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """A shop with one order over 500 kr that is reserved."""
    async with open_shop() as shop:
        await shop.reserve()
        yield shop


async def left_open(shop: Shop, fault: Fault, *, payment: str = "order-1", name: str = "capture", **more: Any) -> str:
    """Begin an operation whose outcome stays unknown, and return the key that it is in the journal under."""
    asked: dict[str, Any] = {"transaction_text": "Shipped", **more}
    if name != "cancel":
        asked = {"amount": nok(100), **asked}
    shop.line.fail(f"/{payment}/{name}", fault)
    shop.line.fail(f"/{payment}/details", LOST)
    with pytest.raises(VippsError):
        await getattr(shop.session().ecom, name)(payment, **asked)
    entry = (await shop.entries(payment))[-1]
    assert entry.settlement is None
    # A call that ends as unreadable asks no details.
    shop.line.plan.clear()
    return entry.intent.key


async def outcome(shop: Shop, payment: str = "order-1") -> Outcome | None:
    """Return what the journal has as the outcome of the one entry of an order."""
    settlement = (await shop.entry(payment)).settlement
    return None if settlement is None else settlement.outcome


def sums(report: RecoveryReport) -> dict[str, int]:
    """Return the counts of a report that are not 0."""
    names = (
        *("seen", "proven", "sent_again", "refused", "not_done", "settled_meanwhile", "in_other_hands"),
        "stays_open",
    )
    return {name: getattr(report, name) for name in names if getattr(report, name)}


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

    async def test_a_dropped_operation_that_took_effect_is_done(self, shop: Shop) -> None:
        """Dropping undoes nothing: what had arrived all the same is found and noted."""
        key = await left_open(shop, Fault.LOSE_ANSWER)
        assert await shop.session().drop("order-1", key)
        assert sums(await shop.session().recover()) == {"seen": 1, "proven": 1}

    async def test_only_what_is_open_and_in_nobodys_hands_is_dropped(self, shop: Shop) -> None:
        """An unknown key, another order, what is in hand and what is settled stay as they are."""
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

    async def test_a_given_key_is_never_overtaken(self, shop: Shop) -> None:
        """Two parts of the same amount with keys of their own are two wishes, also when the first was lost."""
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

    async def test_nor_before_one_that_another_has_in_hand(self, shop: Shop) -> None:
        """The same if somebody else is at work on the capture."""
        await left_open(shop, LOST)
        await left_open(shop, LOST, name="refund")
        captured, _ = await shop.entries()
        await shop.journal.claim(captured.intent, owner="another", lease=60)
        report = await shop.session().recover()
        assert sums(report) == {"seen": 2, "in_other_hands": 1, "stays_open": 1}
        assert len(shop.line.sent("/refund")) == 1

    async def test_what_is_proven_needs_no_turn(self, shop: Shop) -> None:
        """A refund that took effect is settled though another entry before it is not."""
        async with shop.sandbox.session(CREDENTIALS) as vipps:
            await vipps.ecom.capture("order-1", amount=nok(200), transaction_text="Shipped")
        await left_open(shop, LOST)
        await left_open(shop, Fault.LOSE_ANSWER, name="refund")
        shop.line.fail("/capture", Fault.NOT_SENT)
        assert sums(await shop.session().recover()) == {"seen": 2, "stays_open": 1, "proven": 1}


class TestBesideOthers:
    """Safe to run twice, at once, and while new work runs."""

    async def test_twice(self, shop: Shop) -> None:
        """The second one finds nothing to do."""
        await left_open(shop, LOST)
        vipps = shop.session()
        assert (await vipps.recover()).sent_again == 1
        assert sums(await vipps.recover()) == {}
        assert shop.sandbox.payment("order-1").captured == 10_000

    async def test_what_is_not_done_is_not_sent_again(self, shop: Shop) -> None:
        """A caller who was told that nothing was sent decides what comes next, not recovery."""
        shop.line.fail("/capture", Fault.NOT_SENT)
        with pytest.raises(RequestNotSent):
            await shop.session().ecom.capture("order-1", transaction_text="Shipped")
        assert sums(await shop.session().recover()) == {}
        assert shop.sandbox.payment("order-1").captured == 0

    async def test_at_the_same_time(self, shop: Shop) -> None:
        """Two sessions on one journal share the work, and each capture takes effect once."""
        orders = [f"many-{number}" for number in range(12)]
        for payment in orders:
            await shop.reserve(payment)
            await left_open(shop, LOST, payment=payment)
        reports = await asyncio.gather(*(shop.session().recover(concurrency=3) for _ in range(3)))
        assert sum(report.sent_again for report in reports) == 12
        assert len(shop.line.sent("/capture")) == 24
        assert {shop.sandbox.payment(payment).captured for payment in orders} == {10_000}

    async def test_a_call_that_is_under_way_is_left_alone(self, shop: Shop) -> None:
        """An intent in a live call's hands is counted, with the time until which it may be so, and not touched."""
        gate, arrived = asyncio.Event(), asyncio.Event()
        inner = shop.line.inner

        class Slow(LossyTransport):
            async def send(self, request: Request) -> Response:
                if request.url.endswith("/capture"):
                    arrived.set()
                    await gate.wait()
                return await super().send(request)

        shop.line = Slow(inner)
        vipps = shop.session()
        live = asyncio.create_task(vipps.ecom.capture("order-1", amount=nok(100), transaction_text="Shipped"))
        await asyncio.wait_for(arrived.wait(), 5)
        report = await vipps.recover()
        assert sums(report) == {"seen": 1, "in_other_hands": 1}
        assert report.in_other_hands_until == (await shop.entry()).lease_until
        assert not report.is_complete
        gate.set()
        await live
        assert len(shop.line.sent("/capture")) == 1

    async def test_settled_by_another_meanwhile(self, shop: Shop) -> None:
        """What somebody settles between the walk and the claim is left as it is."""
        await left_open(shop, LOST)
        intent = (await shop.entry()).intent
        done = Settlement(outcome=Outcome.DONE, answer=b"{}", settled_at=datetime(2026, 1, 1, tzinfo=UTC))

        class Overtaken(MemoryJournal):
            async def claim(self, intent: Intent, *, owner: str, lease: float) -> tuple[AcquireResult, Entry]:
                await self.settle(intent, done)
                return await super().claim(intent, owner=owner, lease=lease)

        journal = Overtaken(clock=shop.hands)
        await journal.open()
        await journal.begin(intent, owner="gone", lease=0)
        report = await shop.session(journal=journal).recover()
        assert sums(report) == {"seen": 1, "settled_meanwhile": 1}
        assert report.is_complete

    @pytest.mark.parametrize("told", [Outcome.REFUSED, Outcome.NOT_DONE])
    async def test_a_proof_outranks_a_refusal_that_somebody_noted_meanwhile(
        self, shop: Shop, told: Outcome, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is done; the report names it and a line of level error tells it, so that nobody believes the refusal."""
        key = await left_open(shop, Fault.LOSE_ANSWER)
        refused = Settlement(outcome=told, answer=b"", settled_at=datetime(2026, 1, 1, tzinfo=UTC))
        entry, line = await shop.entry(), shop.line

        class Meanwhile(LossyTransport):
            async def send(self, request: Request) -> Response:
                if request.url.endswith("/details"):
                    await shop.journal.settle(entry.intent, refused)
                return await line.send(request)

        caplog.set_level(logging.ERROR, "vipps_async")
        caplog.clear()
        shop.line = Meanwhile(line)
        report = await shop.session().recover()
        assert sums(report) == {"seen": 1, "proven": 1}
        assert [(each.intent.key, each.reason) for each in report.overruled] == [
            (key, f"Vipps carried it out, though it was settled as {told.value} at 2026-01-01 00:00:00 UTC")
        ]
        assert await outcome(shop) is Outcome.DONE
        about = f"operation=ecom.capture payment=order-1 idempotency_key={key} amount=10000"
        assert [record.getMessage() for record in caplog.records] == [
            f"event=vipps.refusal_overruled {about} level=error"
        ]

    async def test_a_damaged_row_is_named_and_the_others_go_on(self, shop: Shop, tmp_path: Path) -> None:
        """What cannot be read is never sent: the report names its order, and is not complete."""
        journal = SqliteJournal(tmp_path / "journal.sqlite")
        await journal.open()
        intent = evolve((await self._open_intent(shop)), created_at=shop.clock.now())
        for number in (1, 2):
            await journal.begin(evolve(intent, key=f"key-{number}"), owner="gone", lease=0)
        await journal.aclose()
        with contextlib.closing(sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)) as file:
            file.execute("UPDATE entries SET amount = amount + 1 WHERE key = 'key-1'")
        report = await shop.session(journal=journal).recover()
        assert sums(report) == {"seen": 1, "sent_again": 1}
        assert [(row.position, row.payment) for row in report.damaged] == [(1, "order-1")]
        assert not report.is_complete
        assert [request.headers["X-Request-Id"] for request in shop.line.sent("/capture")][1:] == ["key-2"]

    async def _open_intent(self, shop: Shop) -> Intent:
        await left_open(shop, LOST)
        return (await shop.entry()).intent

    async def test_a_dead_owner_is_waited_for_until_its_lease_ends(self, shop: Shop) -> None:
        """A process that died leaves a lease; once that ran out, recovery goes on."""
        await left_open(shop, LOST)
        await shop.journal.begin((await shop.entry()).intent, owner="dead", lease=60)
        assert sums(await shop.session().recover()) == {"seen": 1, "in_other_hands": 1}
        shop.hands.let_leases_run_out()
        assert sums(await shop.session().recover()) == {"seen": 1, "sent_again": 1}

    async def test_entries_of_another_sales_unit_are_left_alone(self, shop: Shop) -> None:
        """Recovery acts for its own merchant serial number only."""
        await left_open(shop, LOST)
        other = shop.session(credentials=evolve(CREDENTIALS, merchant_serial_number="654321"))
        assert sums(await other.recover()) == {}
        assert await outcome(shop) is None

    async def test_no_more_at_once_than_asked_for(self, shop: Shop) -> None:
        """Concurrency bounds the entries in work."""
        at_once, most = 0, 0
        inner = shop.line.inner
        for number in range(9):
            await shop.reserve(f"many-{number}")
            await left_open(shop, LOST, payment=f"many-{number}")

        class Counting(LossyTransport):
            async def send(self, request: Request) -> Response:
                nonlocal at_once, most
                at_once += 1
                most = max(most, at_once)
                try:
                    return await super().send(request)
                finally:
                    at_once -= 1

        shop.line = Counting(inner)
        report = await shop.session().recover(concurrency=2)
        assert report.sent_again == 9
        assert most == 2


class TestBadEntries:
    """One entry that cannot be settled keeps no other one from being settled."""

    async def add(self, shop: Shop, **changes: Any) -> None:
        """Put an entry before that of order-1 into the journal."""
        await left_open(shop, LOST)
        entry = await shop.entry()
        journal = MemoryJournal(clock=shop.hands)
        await journal.open()
        await journal.begin(evolve(entry.intent, **{"payment": "order-0", **changes}), owner="gone", lease=0)
        await journal.begin(entry.intent, owner="gone", lease=0)
        shop.journal = journal

    async def test_an_operation_that_is_not_known(self, shop: Shop) -> None:
        """It stays open with the reason; the others are settled."""
        await self.add(shop, operation="charge")
        report = await shop.session().recover(concurrency=1)
        assert sums(report) == {"seen": 2, "stays_open": 1, "sent_again": 1}
        assert "'ecom.charge'" in (await shop.entry("order-0")).note

    @pytest.mark.parametrize("name", ["callback", "consent_removal"])
    async def test_the_note_of_a_callback(self, shop: Shop, name: str) -> None:
        """It is no payment: it is passed over, counts for nothing, and keeps no operation of its order waiting."""
        await self.add(shop, operation=name, payment="order-1")
        report = await shop.session().recover(concurrency=1)
        assert sums(report) == {"seen": 1, "sent_again": 1}
        assert report.is_complete
        assert [found.intent.operation for found in await shop.session().unfinished("order-1")] == []
        assert any(entry.settlement is None for entry in await shop.entries("order-1"))

    @pytest.mark.parametrize("body", [b"{}", None], ids=["changed", "missing"])
    @pytest.mark.parametrize("operation", ["capture", "cancel"])
    async def test_a_damaged_body_is_never_sent(self, shop: Shop, body: bytes | None, operation: str) -> None:
        """A body that does not fit its digest, or is gone, is not sent and not taken for an initiate's."""
        await shop.reserve("order-0")
        await self.add(shop, operation=operation, body=body)
        report = await shop.session().recover(concurrency=1)
        assert sums(report) == {"seen": 2, "stays_open": 1, "sent_again": 1}
        assert "damaged" in report.left_open[0].reason
        assert shop.sandbox.payment("order-0").captured == shop.sandbox.payment("order-0").released == 0

    async def test_a_damaged_body_does_not_hide_a_proof(self, shop: Shop) -> None:
        """A capture that took effect is proven by its key, whatever became of its body here."""
        key = await left_open(shop, Fault.LOSE_ANSWER)
        entry = await shop.entry()
        shop.journal = MemoryJournal(clock=shop.hands)
        await shop.journal.open()
        await shop.journal.begin(evolve(entry.intent, body=None), owner="gone", lease=0)
        assert sums(await shop.session().recover()) == {"seen": 1, "proven": 1}
        assert shop.sandbox.payment("order-1").request_ids == (key,)

    async def test_an_order_that_vipps_does_not_know(self, shop: Shop) -> None:
        """It may have been begun in another environment: it stays open, and the reason asks that question."""
        await self.add(shop)
        report = await shop.session().recover()
        assert sums(report) == {"seen": 2, "stays_open": 1, "sent_again": 1}
        assert "another environment" in report.left_open[0].reason
        assert await outcome(shop, "order-0") is None

    async def test_a_caller_who_repeats_it_learns_why(self, shop: Shop) -> None:
        """Whoever asks for it again is told that there is no such order, and that an earlier attempt is in doubt."""
        await self.add(shop)
        await shop.session().recover()
        intent = (await shop.entry("order-0")).intent
        with pytest.raises(OutcomeUnknown, match="Merchant 35") as caught:
            await shop.session().ecom.capture(
                "order-0", amount=nok(100), transaction_text="Shipped", idempotency_key=intent.key
            )
        assert isinstance(caught.value.__cause__, OrderNotFoundError)
        assert await outcome(shop, "order-0") is None


class TestWhenVippsIsDown:
    """An outage leaves everything as it is and is not met with a storm."""

    @pytest.mark.parametrize("fault", [Fault.NOT_SENT, LOST, Fault.ERROR_BEFORE, Fault.HTML])
    async def test_it_stops_early(self, shop: Shop, fault: Fault) -> None:
        """After twenty questions in a row without an answer it stops, and says so; nothing is lost."""
        await left_open(shop, LOST)
        intent = (await shop.entry()).intent
        for number in range(100):
            await shop.journal.begin(evolve(intent, key=f"k{number}", payment=f"o{number}"), owner="gone", lease=0)
        asked = len(shop.line.sent("/details"))
        shop.line.always["/details"] = fault
        report = await shop.session().recover(concurrency=4)
        assert "did not answer 20 questions in a row" in report.stopped
        assert not report.is_complete
        assert 20 <= len(shop.line.sent("/details")) - asked < 25
        still_open = [entry async for entry in shop.journal.open_entries()]
        assert len(still_open) == 101
        assert {entry.owner for entry in still_open} <= {"", "gone"}
        assert len(shop.line.sent("/capture")) == 1

    async def test_refused_keys_stop_it_too(self, shop: Shop) -> None:
        """If it is the keys that are refused, asking on is of no use."""
        await left_open(shop, LOST)
        intent = (await shop.entry()).intent
        for number in range(30):
            await shop.journal.begin(evolve(intent, key=f"k{number}", payment=f"o{number}"), owner="gone", lease=0)
        inner = shop.line.inner

        class Refused(LossyTransport):
            async def send(self, request: Request) -> Response:
                if request.url.endswith("/sandbox/instance"):
                    return await super().send(request)
                return Response(status=401, body=b'{"statusCode":401,"message":"Access denied"}')

        shop.line = Refused(inner)
        report = await shop.session().recover(concurrency=1)
        assert report.stopped
        assert report.seen == 20

    async def test_single_failures_do_not(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        """An answer in between shows that Vipps is there."""
        monkeypatch.setattr(recovery_limit, "_UNANSWERED", 2)
        for number in range(6):
            await shop.reserve(f"many-{number}")
            await left_open(shop, LOST, payment=f"many-{number}")
        for number in (0, 2, 4):
            shop.line.fail(f"/many-{number}/details", LOST)
        report = await shop.session().recover(concurrency=1)
        assert sums(report) == {"seen": 6, "stays_open": 3, "sent_again": 3}
        assert report.stopped == ""


class TestEnding:
    """However a recovery ends, nothing is left in its hands."""

    async def test_cancelled_while_asking(self, shop: Shop) -> None:
        """A cancelled recovery gives its entries back, with the reason that they had."""
        await left_open(shop, LOST)
        note = (await shop.entry()).note
        arrived = asyncio.Event()
        inner = shop.line.inner

        class Stalled(LossyTransport):
            async def send(self, request: Request) -> Response:
                arrived.set()
                await asyncio.Event().wait()
                return await super().send(request)

        shop.line = Stalled(inner)
        task = asyncio.create_task(shop.session().recover())
        await asyncio.wait_for(arrived.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        entry = await shop.entry()
        assert (entry.settlement, entry.owner, entry.note) == (None, "", note)

    @pytest.mark.parametrize("method", ["claim", "settle", "release", "open_entries", "flush"])
    async def test_a_store_that_fails_ends_it_with_its_own_error(self, shop: Shop, method: str) -> None:
        """The JournalError itself is raised, not a group, from whichever method."""
        await left_open(shop, LOST)
        intent = (await shop.entry()).intent

        class Failing(MemoryJournal):
            def __getattribute__(self, name: str) -> Any:
                if name == method and super().__getattribute__("armed"):
                    return self.fail_walk if name == "open_entries" else self.fail_now
                return super().__getattribute__(name)

            armed = False

            async def fail_now(self, *args: object, **kwargs: object) -> list[Entry]:
                raise JournalError("the disk is full")

            async def fail_walk(self, *args: object, **kwargs: object) -> AsyncIterator[Entry]:
                for entry in await self.fail_now():
                    yield entry

        journal = Failing(clock=shop.hands)
        await journal.open()
        await journal.begin(intent, owner="gone", lease=0)
        for number in range(5):
            await journal.begin(evolve(intent, key=f"k{number}", payment=f"o{number}"), owner="gone", lease=0)
        journal.armed = True
        if method == "release":
            shop.line.always["/details"] = LOST
        with pytest.raises(JournalError, match="the disk is full") as caught:
            await shop.session(journal=journal).recover()
        assert type(caught.value) is JournalError
        journal.armed = False

    async def test_an_error_of_the_progress_callback_comes_out_bare(self, shop: Shop) -> None:
        """A mistake in the caller's callback is raised as it is, and leaves nothing in hand."""
        await left_open(shop, LOST)

        def progress(report: RecoveryReport) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await shop.session().recover(progress=progress)
        assert (await shop.entry()).settlement is not None

    async def test_a_walk_that_is_left_lets_go_of_the_store(self, shop: Shop) -> None:
        """The journal's own walk is closed before recovery returns."""
        await left_open(shop, LOST)
        intent = (await shop.entry()).intent
        closed = asyncio.Event()

        class Watched(MemoryJournal):
            async def open_entries(self, *, merchant_serial_number: str | None = None) -> AsyncIterator[Entry]:
                try:
                    while True:
                        yield Entry(
                            intent=intent, attempts=Attempts(last_at=intent.created_at), lease_until=shop.hands()
                        )
                finally:
                    closed.set()

            async def claim(self, intent: Intent, *, owner: str, lease: float) -> tuple[AcquireResult, Entry]:
                raise JournalError("the disk is full")

        with pytest.raises(JournalError):
            await shop.session(journal=Watched()).recover()
        assert closed.is_set()


class TestReport:
    """The report says what was done."""

    async def test_progress_is_told_after_each_entry(self, shop: Shop) -> None:
        """The callback sees the numbers grow."""
        for number in range(3):
            await shop.reserve(f"many-{number}")
            await left_open(shop, LOST, payment=f"many-{number}")
        told: list[int] = []
        await shop.session().recover(concurrency=1, progress=lambda report: told.append(report.settled))
        assert told == [1, 2, 3]

    async def test_it_names_no_more_than_a_thousand(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        """Beyond that, what stays open and what was refused is counted only."""
        monkeypatch.setattr(open_entry, "MOST_NAMED", 1)
        for number in range(2):
            await shop.reserve(f"many-{number}")
            await left_open(shop, Fault.LOSE_ANSWER, payment=f"many-{number}", amount=nok(501))
            await shop.reserve(f"open-{number}")
            await left_open(shop, LOST, payment=f"open-{number}")
        shop.line.always["/capture"] = Fault.NOT_SENT
        report = await shop.session().recover()
        assert (report.stays_open, len(report.left_open)) == (4, 1)
        for ahead in (timedelta(days=2), timedelta(days=2, minutes=2)):
            shop.clock.ahead = ahead
            report = await shop.session().recover()
        assert (report.refused, len(report.refusals)) == (2, 1)
        assert (report.stays_open, len(report.left_open)) == (2, 1)

    async def test_memory_does_not_grow_with_the_journal(self, shop: Shop) -> None:
        """The walk is never more than some entries ahead of those who settle them."""
        await left_open(shop, LOST)
        intent = (await shop.entry()).intent
        given = settled = ahead = 0

        class Endless(MemoryJournal):
            async def open_entries(self, *, merchant_serial_number: str | None = None) -> AsyncIterator[Entry]:
                nonlocal given, ahead
                for number in range(500):
                    given += 1
                    ahead = max(ahead, given - settled)
                    other = evolve(intent, payment=f"o{number}")
                    attempts = Attempts(last_at=intent.created_at)
                    yield Entry(intent=other, attempts=attempts, lease_until=shop.hands())

            async def claim(self, intent: Intent, *, owner: str, lease: float) -> tuple[AcquireResult, Entry]:
                nonlocal settled
                await asyncio.sleep(0)
                settled += 1
                done = Settlement(outcome=Outcome.DONE, settled_at=shop.hands())
                attempts = Attempts(last_at=intent.created_at)
                return AcquireResult.SETTLED, Entry(
                    intent=intent, attempts=attempts, settlement=done, lease_until=shop.hands()
                )

        report = await shop.session(journal=Endless()).recover(concurrency=4)
        assert report.settled_meanwhile == 500
        assert ahead <= 4 * (recovery_module._AHEAD + 1) + 2


class TestRefusedBeforeItBegins:
    """What cannot work is refused at once."""

    async def test_without_a_journal(self, shop: Shop) -> None:
        """A session without a journal has nothing to recover."""
        with pytest.raises(ConfigurationError, match="no journal"):
            await shop.session(journalled=False).recover()
        with pytest.raises(ConfigurationError, match="no journal"):
            await shop.session(journalled=False).drop("order-1", "key")

    async def test_after_closing(self, shop: Shop) -> None:
        """A closed session does not recover."""
        vipps = shop.session()
        async with vipps:
            pass
        with pytest.raises(ConfigurationError, match="closed"):
            await vipps.recover()

    @pytest.mark.parametrize("concurrency", [0, -1, 101, True, 2.0, "8"])
    async def test_concurrency_out_of_range(self, shop: Shop, concurrency: Any) -> None:
        """Only whole numbers from 1 to 100 are taken."""
        with pytest.raises(InvalidInputError, match="concurrency"):
            await shop.session().recover(concurrency=concurrency)


async def test_no_secret_is_in_log_report_or_journal(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """Keys and tokens are in none of what a recovery leaves behind."""
    caplog.set_level(logging.DEBUG, "vipps_async")
    await left_open(shop, LOST)
    report = await shop.session().recover()
    assert report.sent_again == 1
    _, token = shop.line.sent("/capture")[0].headers["Authorization"].split()
    text = caplog.text + repr(report) + repr(await shop.entry())
    assert "operation=ecom.capture" in text
    for secret in (CREDENTIALS.client_id, CREDENTIALS.client_secret, CREDENTIALS.subscription_key, token):
        assert secret not in text
