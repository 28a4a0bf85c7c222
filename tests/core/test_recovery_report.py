"""What recovery tells: its report, damaged entries, what is refused before it begins, and no secret."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from tests.core.recovering import LOST, left_open, outcome, sums
from tests.faults.shop import CREDENTIALS, Fault, Shop
from vipps_async import ConfigurationError, InvalidInputError, OrderNotFoundError, OutcomeUnknown, nok
from vipps_async.core import open_entry, recovery_report
from vipps_async.core import recovery as recovery_module
from vipps_async.journals.entries import Attempts, Entry, Intent, Outcome, Settlement
from vipps_async.journals.memory import MemoryJournal
from vipps_async.journals.protocol import AcquireResult
from vipps_async.not_given import NOT_GIVEN

pytestmark = pytest.mark.usefixtures("in_a_hurry")


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

    async def test_it_names_what_was_done_with_what_moved(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        """All that remained is told as the sum that it was; beyond a thousand, what was done is counted only."""
        monkeypatch.setattr(recovery_report, "MOST_NAMED", 1)
        for number in range(2):
            await shop.reserve(f"sent-{number}")
            await left_open(shop, LOST, payment=f"sent-{number}", amount=NOT_GIVEN)
            await shop.reserve(f"proven-{number}")
            await left_open(shop, Fault.LOSE_ANSWER, payment=f"proven-{number}", amount=nok(30 + number))
        report = await shop.session().recover(concurrency=1)
        assert (report.proven, report.sent_again) == (2, 2)
        assert [(done.intent.payment, done.intent.amount, done.amount) for done in report.proven_operations] == [
            ("proven-0", 3_000, 3_000)
        ]
        assert [(done.intent.payment, done.intent.amount, done.amount) for done in report.sent_again_operations] == [
            ("sent-0", None, 50_000)
        ]

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
