"""What recovery promises beside other work: leases are kept, an outage stops it, and it can be cut short."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from tests.core.recovering import LOST, left_open, outcome, sums
from tests.faults.shop import CREDENTIALS, Fault, LossyTransport, Shop
from vipps_async import JournalError, RequestNotSent, SqliteJournal, nok
from vipps_async.core import recovery_limit
from vipps_async.core.recovery_report import RecoveryReport
from vipps_async.journals.entries import Attempts, Entry, Intent, Outcome, Settlement
from vipps_async.journals.memory import MemoryJournal
from vipps_async.journals.protocol import AcquireResult
from vipps_async.transports.protocol import Request, Response

pytestmark = pytest.mark.usefixtures("in_a_hurry")


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
        assert sums(report) == {"seen": 1, "leased_elsewhere": 1}
        assert report.leased_elsewhere_until == (await shop.entry()).lease_until
        assert not report.is_complete
        gate.set()
        await live
        assert len(shop.line.sent("/capture")) == 1

    async def test_told_to_stop_it_finishes_what_is_on_its_way(self, shop: Shop) -> None:
        """It waits for what it has sent, begins nothing more, and says that something may be left."""
        arrived, gate, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()
        orders = [f"many-{number}" for number in range(3)]
        for payment in orders:
            await shop.reserve(payment)
            await left_open(shop, LOST, payment=payment)

        class Slow(LossyTransport):
            async def send(self, request: Request) -> Response:
                if request.url.endswith("/capture"):
                    arrived.set()
                    await gate.wait()
                return await super().send(request)

        shop.line = Slow(shop.line.inner)
        recovering = asyncio.create_task(shop.session().recover(concurrency=1, stop=stop))
        async with asyncio.timeout(5):
            await arrived.wait()
            stop.set()
            await asyncio.sleep(0)
            assert not recovering.done()
            gate.set()
            report = await recovering
        assert sums(report) == {"seen": 1, "sent_again": 1}
        assert (report.stopped, report.is_complete) == ("it was told to stop; what is not counted here is open", False)
        assert sorted(shop.sandbox.payment(payment).captured for payment in orders) == [0, 0, 10_000]
        assert (await shop.session().recover(stop=asyncio.Event())).sent_again == 2
        assert not [task for task in asyncio.all_tasks() if "vipps_async/core/recovery" in repr(task)], "left behind"

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
        assert sums(await shop.session().recover()) == {"seen": 1, "leased_elsewhere": 1}
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

    async def test_cancelled_while_the_journal_leases(self, shop: Shop) -> None:
        """A lease that the journal grants when nobody waits for it any more is given back, too."""
        await left_open(shop, LOST)
        intent, leased = (await shop.entry()).intent, asyncio.Event()

        class Late(MemoryJournal):
            async def claim(self, intent: Intent, *, owner: str, lease: float) -> tuple[AcquireResult, Entry]:
                await super().claim(intent, owner=owner, lease=lease)
                leased.set()
                await asyncio.Event().wait()
                raise AssertionError

        journal = Late(clock=shop.hands)
        await journal.open()
        await journal.begin(intent, owner="gone", lease=0)
        task = asyncio.create_task(shop.session(journal=journal).recover())
        await asyncio.wait_for(leased.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (entry,) = await journal.find(payment=intent.payment, merchant_serial_number=intent.merchant_serial_number)
        assert (entry.settlement, entry.owner) == (None, "")
        assert (await MemoryJournal.claim(journal, intent, owner="next", lease=60))[0] is AcquireResult.ACQUIRED

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
        """A mistake in the caller's callback is raised as it is, and leaves nothing leased."""
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
