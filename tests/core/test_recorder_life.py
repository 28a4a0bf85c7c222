"""What Recorder promises beside a single capture: initiate, what is overruled later, opening and closing."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime

import orjson
import pytest
from attrs import evolve

from tests.core.recorder_bench import KEY, bench, capture
from tests.faults.shop import CREDENTIALS, TWO_TRIES, Fault, Shop
from vipps_async import (
    AiohttpTransport,
    ConfigurationError,
    DuplicateOrderError,
    JournalError,
    PaymentUrlLostError,
    SettledBy,
    VippsError,
    nok,
)
from vipps_async.core.operation import AuditInfo, Call
from vipps_async.ecom.operations import INITIATE
from vipps_async.ecom.responses import InitiatedPayment
from vipps_async.journals.entries import Outcome, Settlement
from vipps_async.journals.memory import MemoryJournal
from vipps_async.transports.protocol import Request, Response


class TestOverruled:
    """What Vipps answers outranks what was concluded without it, and is told loudly."""

    @pytest.mark.parametrize("noted", [Outcome.REFUSED, Outcome.NOT_DONE])
    async def test_an_answer_outranks_a_refusal_that_was_noted_meanwhile(
        self, shop: Shop, noted: Outcome, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The call returns its result, the journal says done and what it had, and a line of level error tells it."""
        inner, journal = shop.line.inner, shop.journal
        refused = Settlement(outcome=noted, answer=b"", settled_at=datetime(2026, 1, 1, tzinfo=UTC))

        class Meanwhile(AiohttpTransport):
            async def send(self, request: Request) -> Response:
                if request.url.endswith("/capture"):
                    await journal.settle((await shop.entry()).intent, refused)
                return await inner.send(request)

        caplog.set_level(logging.ERROR, "vipps_async")
        shop.line.inner = Meanwhile()
        try:
            result = await capture(shop.session())
        finally:
            await shop.line.inner.aclose()
            shop.line.inner = inner
        assert result.settled_by is SettledBy.ANSWER
        entry = await shop.entry()
        assert entry.settlement is not None
        assert entry.settlement.outcome is Outcome.DONE
        assert entry.note == f"Vipps carried it out, though it was settled as {noted.value} at 2026-01-01 00:00:00 UTC"
        about = f"operation=ecom.capture payment=order-1 idempotency_key={KEY} amount=10000"
        assert [record.getMessage() for record in caplog.records] == [
            f"event=vipps.refusal_overruled {about} level=error"
        ]

    async def test_of_two_sales_units_each_tells_of_its_own(self, shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
        """Sessions of several sales units share a journal; one line for one entry, and none when it is closed."""
        caplog.set_level(logging.ERROR, "vipps_async")
        other = evolve(CREDENTIALS, merchant_serial_number="654321")
        mine, theirs = shop.session(), shop.session(credentials=other)
        await capture(mine)
        with suppress(VippsError):
            await capture(theirs)
        intent = evolve((await shop.entry()).intent, key="another")
        for outcome in (Outcome.REFUSED, Outcome.DONE):
            await shop.journal.settle(intent, Settlement(outcome=outcome, settled_at=datetime.now(UTC)))
        assert len(caplog.records) == 1
        await mine.aclose()
        await theirs.aclose()
        assert shop.journal.on_overruled == []


class TestInitiate:
    """Initiate is noted so that a payment whose URL got lost can be found."""

    SECRETS = ("98765432", "secret-auth-token", "Kari Nordmann")

    async def initiate(self, shop: Shop) -> InitiatedPayment:
        """Initiate with personal data."""
        return await shop.session(retry=TWO_TRIES).ecom.initiate(
            order_id="order-9",
            amount=nok(100),
            transaction_text="Socks",
            callback_prefix="https://example.com/callbacks",
            fall_back="https://example.com/back",
            mobile_number=self.SECRETS[0],
            auth_token=self.SECRETS[1],
        )

    @pytest.mark.parametrize("fault", [None, *(fault for fault in Fault)])
    async def test_no_personal_datum_and_no_token_is_in_the_journal(self, shop: Shop, fault: Fault | None) -> None:
        """However it ends, neither number nor tokens are in the entry; its body is not kept."""
        if fault is not None:
            shop.line.fail("/payments", fault)
        payment = None
        with suppress(VippsError, TypeError):
            payment = await self.initiate(shop)
        entry = await shop.entry("order-9")
        answer = b"" if entry.settlement is None else entry.settlement.answer
        text = repr(entry) + repr(entry.intent.body) + answer.decode()
        assert entry.intent.body is None
        for secret in (*self.SECRETS, (payment and payment.token) or "-none-"):
            assert secret not in text

    async def test_a_lost_url_stays_open_until_recovery_tells(self, shop: Shop) -> None:
        """The payment exists, its URL is gone: the entry stays open so that a recovery lists it."""
        shop.line.fail("/payments", Fault.LOSE_ANSWER)
        with pytest.raises(PaymentUrlLostError):
            await self.initiate(shop)
        assert (await shop.entry("order-9")).settlement is None
        report = await shop.session().recover()
        assert report.urls_lost == ["order-9"]

    async def test_a_duplicate_is_noted_as_refused(self, shop: Shop) -> None:
        """An order id that was used before is refused for good."""
        await self.initiate(shop)
        with pytest.raises(DuplicateOrderError):
            await self.initiate(shop)
        outcomes = [entry.settlement and entry.settlement.outcome for entry in await shop.entries("order-9")]
        assert outcomes == [Outcome.DONE, Outcome.REFUSED]

    async def test_its_result_is_not_on_record(self) -> None:
        """The answer has a token in its URL: only that it was answered is kept."""
        call = Call(
            operation=INITIATE,
            path=INITIATE.path,
            payment="order-9",
            audit=AuditInfo(amount=100, currency="NOK", keep_body=False, keep_answer=False),
        )
        async with bench(InitiatedPayment(order_id="order-9", url="https://x?token=t")) as at:
            await at.runner.run(call)
            settlement = (await at.entry()).settlement
            assert settlement is not None
            assert orjson.loads(settlement.answer) == {}


class TestOpeningAndClosing:
    """Whoever opens a journal closes it."""

    async def test_it_is_opened_by_the_first_call_and_closed_with_the_session(self, shop: Shop) -> None:
        """A journal that was not open before belongs to the session."""
        journal = MemoryJournal()
        vipps = shop.session(journal=journal)
        await asyncio.gather(*(capture(vipps, key=f"key-{number}") for number in range(3)))
        assert journal.is_open
        await vipps.aclose()
        assert not journal.is_open

    async def test_one_that_was_open_stays_open(self, shop: Shop) -> None:
        """A journal that its owner opened is only flushed."""
        vipps = shop.session()
        await capture(vipps)
        await vipps.aclose()
        assert shop.journal.is_open

    async def test_one_that_its_owner_closed_is_left_alone(self, shop: Shop) -> None:
        """A session goes on with its journal after the journal's owner has closed it, and then closes it."""
        journal = MemoryJournal()
        await journal.open()
        vipps = shop.session(journal=journal)
        await capture(vipps)
        await journal.aclose()
        await capture(vipps, key="after")
        await vipps.aclose()
        assert not journal.is_open

    @pytest.mark.parametrize("first_out", [0, 1])
    async def test_of_two_sessions_the_last_one_closes_it(self, shop: Shop, first_out: int) -> None:
        """Two sessions on one journal object: whichever closes first, the other one can go on."""
        journal = MemoryJournal()
        sessions = [shop.session(journal=journal), shop.session(journal=journal)]
        for number, vipps in enumerate(sessions):
            await capture(vipps, key=f"key-{number}")
        await sessions[first_out].aclose()
        await capture(sessions[1 - first_out], key="still open")
        await sessions[1 - first_out].aclose()
        assert not journal.is_open

    async def test_a_journal_that_cannot_be_opened_keeps_the_session_from_opening(self, shop: Shop) -> None:
        """A broken journal is found out when the session opens, not at the first capture."""

        class Damaged(MemoryJournal):
            async def open(self) -> None:
                raise JournalError("damaged")

        with pytest.raises(JournalError, match="damaged"):
            async with shop.session(journal=Damaged()):
                pass

    async def test_what_is_unfinished_can_be_asked_for(self, shop: Shop) -> None:
        """A cancelled caller finds the key that was made for the call, and goes on with it."""
        vipps = shop.session()
        shop.line.fail("/capture", Fault.BUG)
        with pytest.raises(TypeError):
            await vipps.ecom.capture("order-1", amount=nok(100), transaction_text="Shipped")
        (left,) = await vipps.unfinished("order-1")
        assert "TypeError" in left.reason
        result = await capture(vipps, key=left.intent.key)
        assert result.transaction is not None
        assert await vipps.unfinished("order-1") == []
        assert shop.sandbox.payment("order-1").captured == 10_000

    async def test_without_a_journal_nothing_can_be_asked_for(self, shop: Shop) -> None:
        """A session without a journal says so."""
        with pytest.raises(ConfigurationError, match="no journal"):
            await shop.session(journalled=False).unfinished("order-1")
