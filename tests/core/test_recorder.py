"""What Recorder promises: nothing leaves before its intent is durable, nothing is called known that is not."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, cast

import orjson
import pytest
from attrs import evolve, frozen

from tests.faults.shop import CREDENTIALS, TWO_TRIES, Fault, Shop, open_shop
from vipps_async import (
    AiohttpTransport,
    ApiError,
    CaptureError,
    ConfigurationError,
    DuplicateOrderError,
    Effect,
    IdempotencyMismatchError,
    JournalError,
    OrderLockedError,
    OutcomeUnknown,
    PaymentUrlLostError,
    RequestNotSent,
    SettledBy,
    UnexpectedResponseError,
    VippsError,
    VippsSession,
    nok,
)
from vipps_async.core import recorder
from vipps_async.core.attempts import AttemptRecord
from vipps_async.core.clock import SystemClock
from vipps_async.core.converter import decode
from vipps_async.core.events import EventLog
from vipps_async.core.operation import AuditInfo, Call
from vipps_async.core.pipeline import Pipeline, render
from vipps_async.core.recorder import Recorder
from vipps_async.core.verdict import Verdict
from vipps_async.ecom.calls import rebuild_call
from vipps_async.ecom.enums import TransactionStatus
from vipps_async.ecom.operations import CAPTURE, INITIATE
from vipps_async.ecom.requests import MerchantInfoPayment, PaymentActionsRequest, Transaction
from vipps_async.ecom.responses import CaptureResult, InitiatedPayment, TransactionInfo
from vipps_async.errors import ErrorInfo
from vipps_async.journals.memory import MemoryJournal
from vipps_async.journals.protocol import AcquireResult, Entry, Intent, KeyOrigin, Outcome, Settlement, World
from vipps_async.transports.protocol import Request, Response

KEY = "key-1"


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """A shop with one order over 500 kr that is reserved."""
    async with open_shop() as shop:
        await shop.reserve()
        yield shop


async def capture(vipps: VippsSession, *, amount: int = 10_000, key: str = KEY, payment: str = "order-1") -> Any:
    """Capture a part of an order."""
    return await vipps.ecom.capture(payment, amount=amount, transaction_text="Shipped", idempotency_key=key)


class BrokenJournal(MemoryJournal):
    """Fails, hangs or errs where a test tells it to."""

    def __init__(self, **on: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self.on = on

    async def begin(
        self, intent: Intent, *, owner: str, lease: float, adopt: bool = False
    ) -> tuple[AcquireResult, Entry]:
        """See Journal."""
        if "begin" in self.on:
            await self.on["begin"]()
        answer = await super().begin(intent, owner=owner, lease=lease, adopt=adopt)
        if "begun" in self.on:
            await self.on["begun"]()
        return answer

    async def settle(self, intent: Intent, settlement: Settlement, *, owner: str | None = None) -> None:
        """See Journal."""
        if "settle" in self.on:
            await self.on["settle"]()
        await super().settle(intent, settlement, owner=owner)

    async def attempt(self, intent: Intent, *, owner: str, at: datetime) -> AcquireResult:
        """See Journal."""
        if "attempt" in self.on:
            await self.on["attempt"]()
        acquired = await super().attempt(intent, owner=owner, at=at)
        if "attempted" in self.on:
            await self.on["attempted"]()
        return acquired

    async def release(self, intent: Intent, **how: Any) -> None:
        """See Journal."""
        if "release" in self.on:
            await self.on["release"]()
        await super().release(intent, **how)


async def fail() -> None:
    """Fail as a store does."""
    raise JournalError("the disk is full")


async def hang() -> None:
    """Never answer."""
    await asyncio.Event().wait()


@frozen
class Ends:
    """How a call ends in an error: what the pipeline notes of its attempts, and what it says of the operation."""

    error: BaseException
    #: None: it was raised before anything was tried.
    verdict: Verdict | None = None
    begun: int = 1
    ended: int = 0
    refusal: ApiError | None = None
    moved_otherwise: object = None
    left: bool = True


class ScriptedPipeline:
    """Ends each call as told, and looks into the journal while it is on its way."""

    def __init__(self, *ends: object, journal: MemoryJournal) -> None:
        self.clock = SystemClock()
        self.log = EventLog()
        self.ends = list(ends)
        self.journal = journal
        self.bodies: list[bytes | None] = []
        self.open_when_sent: list[int] = []

    async def run_rendered(self, call: Call[Any], body: bytes | None, record: AttemptRecord | None = None) -> Any:
        """Note what is sent, and end as the script says."""
        self.bodies.append(body)
        self.open_when_sent.append(len([entry async for entry in self.journal.open_entries()]))
        end = self.ends.pop(0)
        if isinstance(end, Ends):
            assert record is not None
            record.left = end.left
            if end.verdict is not None:
                record.begun, record.ended, record.refusal = end.begun, end.ended, end.refusal
            record.verdict, record.moved_otherwise = end.verdict, end.moved_otherwise
            raise end.error
        if isinstance(end, BaseException):
            raise end
        return end

    async def run(self, call: Call[Any]) -> Any:
        """Run a call that is not journalled."""
        return await self.run_rendered(call, None)


def capture_call(key: str = KEY, payment: str = "order-1", origin: KeyOrigin = KeyOrigin.GIVEN) -> Call[CaptureResult]:
    """Make a capture as the eCom API does, without a way to ask afterwards."""
    body = PaymentActionsRequest(
        merchant_info=MerchantInfoPayment(merchant_serial_number="123456"),
        transaction=Transaction(amount=100_00, transaction_text="Shipped"),
    )
    return Call(
        operation=CAPTURE,
        path=CAPTURE.path_for(payment),
        payment=payment,
        body=body,
        idempotency_key=key,
        audit=AuditInfo(amount=100_00, currency="NOK", origin=origin),
    )


@frozen
class Bench:
    """A runner over a scripted pipeline."""

    runner: Recorder
    pipeline: ScriptedPipeline
    journal: MemoryJournal

    async def entry(self) -> Entry:
        """Return the one entry."""
        (entry,) = [entry async for entry in self.journal.recent_entries()]
        return entry


async def _vipps() -> World:
    return World(environment="test", host="vipps")


@asynccontextmanager
async def bench(*ends: object, journal: MemoryJournal | None = None, deadline: float = 20.0) -> AsyncIterator[Bench]:
    """Put a runner before a script."""
    journal = journal or MemoryJournal()
    pipeline = ScriptedPipeline(*ends, journal=journal)
    runner = Recorder(
        cast("Pipeline", pipeline),
        journal,
        rebuild=rebuild_call,
        merchant_serial_number="123456",
        deadline=deadline,
        settle_after=86_400,
        find_world=_vipps,
    )
    yield Bench(runner, pipeline, journal)
    await runner.aclose()


DONE = CaptureResult(order_id="order-1", transaction=TransactionInfo(amount=100_00, status=TransactionStatus.CAPTURED))


class TestBeforeItLeaves:
    """The intent is durable before anything is sent, or nothing is sent."""

    async def test_the_intent_stands_in_the_journal_when_the_request_leaves(self) -> None:
        """At the moment of sending, the entry is there and open."""
        async with bench(DONE) as at:
            await at.runner.run(capture_call())
            assert at.pipeline.open_when_sent == [1]

    async def test_the_intent_holds_what_recovery_needs(self) -> None:
        """API, key, payment, sales unit, amount, currency, the exact bytes and their digest are noted."""
        async with bench(DONE) as at:
            await at.runner.run(capture_call())
            intent = (await at.entry()).intent
            assert (intent.key, intent.operation, intent.payment) == (KEY, "capture", "order-1")
            assert (intent.api, intent.merchant_serial_number) == ("ecom", "123456")
            assert (intent.amount, intent.currency) == (100_00, "NOK")
            assert intent.body == at.pipeline.bodies[0]
            assert intent.digest == hashlib.sha256(intent.body or b"").hexdigest()

    async def test_a_journal_that_fails_lets_nothing_out(self) -> None:
        """If the intent cannot be made durable, nothing is sent, and the error says which call it was."""
        async with bench(DONE, journal=BrokenJournal(begin=fail)) as at:
            with pytest.raises(JournalError, match="the disk is full") as caught:
                await at.runner.run(capture_call())
            assert at.pipeline.bodies == []
            error = caught.value
            assert (error.operation, error.payment, error.idempotency_key) == ("ecom.capture", "order-1", KEY)
            assert error.effect is Effect.NONE

    async def test_one_error_of_the_store_for_many_calls_is_told_to_each_by_itself(self) -> None:
        """A store may raise one error for a whole group: each call gets a copy with its own order."""
        shared = JournalError("the disk is full")

        async def fail_all() -> None:
            raise shared

        async with bench(journal=BrokenJournal(begin=fail_all)) as at:
            calls = [at.runner.run(capture_call(payment=f"order-{number}")) for number in range(2)]
            errors = await asyncio.gather(*calls, return_exceptions=True)
            assert [getattr(error, "payment", None) for error in errors] == ["order-0", "order-1"]
            assert shared.payment is None

    async def test_a_journal_that_hangs_lets_nothing_out(self) -> None:
        """A journal that does not answer ends the call within its deadline, with nothing sent."""
        async with bench(DONE, journal=BrokenJournal(begin=hang), deadline=0.05) as at:
            with pytest.raises(JournalError, match="did not answer"):
                await at.runner.run(capture_call())
            assert at.pipeline.bodies == []

    async def test_an_intent_whose_begin_answered_too_late_is_free_for_recovery(self) -> None:
        """If it is in the journal all the same, it is open, with the reason and in nobody's hands."""
        async with bench(DONE, journal=BrokenJournal(begun=hang), deadline=0.05) as at:
            with pytest.raises(JournalError):
                await at.runner.run(capture_call())
            entry = await at.entry()
            assert (entry.settlement, entry.owner) == (None, "")
            assert "in time" in entry.note

    async def test_cancelled_while_the_intent_is_written_it_is_free_for_recovery(self) -> None:
        """A call that is cancelled before it was sent leaves no lease behind."""
        begun = asyncio.Event()

        async def stall() -> None:
            begun.set()
            await hang()

        async with bench(DONE, journal=BrokenJournal(begun=stall)) as at:
            task = asyncio.create_task(at.runner.run(capture_call()))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            entry = await at.entry()
            assert (entry.settlement, entry.owner, entry.note) == (None, "", "cancelled before it was sent")
            assert at.pipeline.bodies == []
            assert (entry.attempts.begun, entry.attempts.ended) == (1, 1)

    async def test_cancelled_while_it_takes_up_an_equal_call_no_doubt_is_added(self) -> None:
        """Whichever key it was begun under: the attempt that was only counted has ended, the earlier one stays."""
        begun = asyncio.Event()

        async def stall() -> None:
            begun.set()
            await hang()

        journal = BrokenJournal()
        async with bench(Ends(OutcomeUnknown("cut"), OPEN), journal=journal) as at:
            with pytest.raises(OutcomeUnknown):
                await at.runner.run(capture_call("first", origin=KeyOrigin.MADE))
            journal.on["begun"] = stall
            task = asyncio.create_task(at.runner.run(capture_call("second", origin=KeyOrigin.MADE)))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            entry = await at.entry()
            assert (entry.intent.key, entry.owner, entry.note) == ("first", "", "cancelled before it was sent")
            assert (entry.attempts.begun, entry.attempts.in_doubt) == (2, 1)

    @pytest.mark.parametrize("counted", [True, False], ids=["counted all the same", "not counted"])
    @pytest.mark.parametrize("fault", [Fault.LOSE_REQUEST, Fault.NOT_SENT])
    @pytest.mark.parametrize("cancelled", [True, False])
    @pytest.mark.parametrize("attempts", [2, 3])
    async def test_an_attempt_that_could_not_be_counted_changes_no_doubt(
        self, shop: Shop, fault: Fault, *, counted: bool, cancelled: bool, attempts: int
    ) -> None:
        """It never left, whether the journal has it or not: what was sent before stays in doubt, and nothing else."""
        counting = asyncio.Event()
        left = attempts - 1

        async def trouble() -> None:
            nonlocal left
            left -= 1
            if not left:
                counting.set()
                await (hang() if cancelled else fail())

        journal = BrokenJournal(**{"attempted" if counted else "attempt": trouble})
        vipps = shop.session(journal=journal, retry=evolve(TWO_TRIES, attempts=attempts))
        shop.line.fail("/capture", *[fault] * attempts)
        shop.line.always["/details"] = Fault.LOSE_REQUEST
        task = asyncio.create_task(capture(vipps))
        await counting.wait()
        if cancelled:
            task.cancel()
        with pytest.raises(asyncio.CancelledError if cancelled else VippsError):
            await task
        journal.on.clear()
        (entry,) = await journal.find(payment="order-1", merchant_serial_number="123456")
        assert entry.attempts.begun == (attempts if counted else attempts - 1)
        assert entry.attempts.in_doubt == (attempts - 1 if fault is Fault.LOSE_REQUEST else 0)
        assert len(shop.line.sent("/capture")) == attempts - 1

    @pytest.mark.parametrize(("effect", "owner", "in_doubt"), [(Effect.POSSIBLE, "", 0), (Effect.NONE, "held", 1)])
    async def test_an_intent_that_a_failing_journal_has_all_the_same_is_let_go(
        self, effect: Effect, owner: str, in_doubt: int
    ) -> None:
        """Where the answer to the commit may have got lost, nothing is in doubt; where it was not written, none is."""

        async def lose_answer() -> None:
            raise JournalError("the answer got lost", effect=effect)

        async with bench(journal=BrokenJournal(begun=lose_answer)) as at:
            with pytest.raises(JournalError):
                await at.runner.run(capture_call())
            entry = await at.entry()
            assert (entry.owner and "held", entry.attempts.in_doubt) == (owner, in_doubt)

    async def test_the_body_is_rendered_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The bytes that are noted are the bytes that are sent: rendering happens once a call."""
        rendered: list[bytes | None] = []

        def counting(call: Call[Any]) -> bytes | None:
            rendered.append(render(call))
            return rendered[-1]

        monkeypatch.setattr("vipps_async.core.recorder.render", counting)
        async with bench(DONE) as at:
            await at.runner.run(capture_call())
            assert len(rendered) == 1
            assert at.pipeline.bodies[0] is rendered[0]

    async def test_a_closed_session_begins_nothing(self, shop: Shop) -> None:
        """After closing, a call is refused before anything is noted, so that recovery will not carry it out."""
        vipps = shop.session()
        async with vipps:
            pass
        with pytest.raises(ConfigurationError, match="closed"):
            await capture(vipps)
        assert await shop.entries() == []

    async def test_a_read_leaves_no_note(self, shop: Shop) -> None:
        """Details are not journalled, and do not even open the journal."""
        journal = MemoryJournal()
        await shop.session(journal=journal).ecom.details("order-1")
        assert not journal.is_open

    async def test_an_approval_leaves_no_note(self, shop: Shop) -> None:
        """Approving in a test moves no money of the merchant's asking, and holds a phone number: it is not noted."""
        vipps = shop.session()
        payment = await vipps.ecom.initiate(
            order_id="order-2",
            amount=nok(100),
            transaction_text="Socks",
            callback_prefix="https://example.com/callbacks",
            fall_back="https://example.com/back",
        )
        await vipps.ecom.approve("order-2", mobile_number="12345678", token=payment.token or "")
        assert [entry.intent.operation for entry in await shop.entries("order-2")] == ["initiate"]


def api_error(cls: type[ApiError], group: str = "", code: str = "", **facts: Any) -> ApiError:
    """Make an error as Vipps' answer would."""
    return cls("no", status=400, errors=(ErrorInfo(group, code, "text"),), **facts)


OPEN, REFUSED, NOT_APPLIED = Verdict.OPEN, Verdict.REFUSED, Verdict.NOT_APPLIED
MORE = api_error(CaptureError, "Payment", "61")

#: How a call ends, and what the journal then has: an outcome, or None for an entry that is open with a reason.
ENDS: dict[str, tuple[Ends, Outcome | None]] = {
    "not sent": (Ends(RequestNotSent("refused"), NOT_APPLIED, ended=1), Outcome.NOT_DONE),
    "unknown": (Ends(OutcomeUnknown("broken"), OPEN), None),
    "unreadable": (Ends(UnexpectedResponseError("html", status=200, body="<html>"), OPEN), None),
    "session closed": (Ends(ConfigurationError("closed")), Outcome.NOT_DONE),
    "refused": (Ends(MORE, NOT_APPLIED, ended=1, refusal=MORE), Outcome.NOT_DONE),
    "refused for good": (Ends(api_error(CaptureError, "Payment", "98"), REFUSED, ended=1), Outcome.REFUSED),
    "url lost": (Ends(api_error(PaymentUrlLostError, effect=Effect.NONE), OPEN), None),
    "refused, perhaps done": (Ends(OutcomeUnknown("refused"), OPEN, begun=2, ended=1, refusal=MORE), None),
    "moved otherwise": (
        Ends(UnexpectedResponseError("1 and 2", status=200, body=""), Verdict.APPLIED, moved_otherwise=DONE),
        Outcome.DONE,
    ),
    "cancelled": (Ends(asyncio.CancelledError()), None),
    "cancelled before it was sent": (Ends(asyncio.CancelledError(), ended=1, left=False), None),
    "a mistake in a transport": (Ends(TypeError("oops")), None),
}


class TestAfterwards:
    """What is noted afterwards is what is known, and nothing else."""

    @pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
    async def test_what_is_noted_for_each_way_to_end(self, end: tuple[Ends, Outcome | None]) -> None:
        """Each verdict is noted as refused, as not done, or left open with a reason and without an owner."""
        ends, expected = end
        async with bench(ends) as at:
            with pytest.raises(type(ends.error)) as caught:
                await at.runner.run(capture_call())
            assert caught.value is ends.error
            entry = await at.entry()
            assert (entry.settlement and entry.settlement.outcome) == expected
            if expected is None:
                assert entry.owner == ""
                assert entry.note
                assert entry.attempts.ended == ends.ended
                assert bool(entry.attempts.refusal) is (ends.refusal is not None)

    async def test_an_error_before_anything_was_tried_ends_no_earlier_doubt(self) -> None:
        """A session that is closed now says nothing about the attempt before: money may have moved."""
        closed = ConfigurationError("closed")
        async with bench(Ends(OutcomeUnknown("broken"), OPEN), Ends(closed)) as at:
            with pytest.raises(OutcomeUnknown):
                await at.runner.run(capture_call())
            with pytest.raises(ConfigurationError) as caught:
                await at.runner.run(capture_call())
            assert caught.value.effect is Effect.POSSIBLE
            entry = await at.entry()
            assert (entry.settlement, entry.attempts.begun, entry.attempts.ended) == (None, 2, 1)

    async def test_what_was_moved_otherwise_is_never_told_as_a_success(self) -> None:
        """On record as done with another amount, the same key raises both amounts again, and nothing is sent."""
        less = CaptureResult(
            order_id="order-1", transaction=TransactionInfo(amount=50_00, status=TransactionStatus.CAPTURED)
        )
        error = UnexpectedResponseError("otherwise", status=200, body="")
        async with bench(Ends(error, Verdict.APPLIED, moved_otherwise=less)) as at:
            with pytest.raises(UnexpectedResponseError):
                await at.runner.run(capture_call())
            with pytest.raises(UnexpectedResponseError, match="10000 øre were asked for, and it says 5000"):
                await at.runner.run(capture_call())
            assert len(at.pipeline.bodies) == 1

    async def test_a_result_is_noted_as_done_with_its_answer(self) -> None:
        """The answer on record reads back as the result."""
        async with bench(DONE) as at:
            assert await at.runner.run(capture_call()) is DONE
            entry = await at.entry()
            assert entry.settlement is not None
            assert entry.settlement.outcome is Outcome.DONE
            assert decode(entry.settlement.answer, CaptureResult) == DONE

    @pytest.mark.parametrize("broken", [fail, hang], ids=["fails", "hangs"])
    async def test_a_journal_that_fails_after_sending_hides_no_result(
        self, broken: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The caller learns that money moved though the outcome cannot be noted; the entry stays open."""
        monkeypatch.setattr(recorder, "_NOTE_PATIENCE", 0.02)
        async with bench(DONE, journal=BrokenJournal(settle=broken)) as at:
            assert await at.runner.run(capture_call()) is DONE
            assert (await at.entry()).settlement is None

    @pytest.mark.parametrize("broken", [fail, hang], ids=["fails", "hangs"])
    async def test_a_journal_that_fails_after_sending_hides_no_error(
        self, broken: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The caller gets the error of the call, not the journal's."""
        monkeypatch.setattr(recorder, "_NOTE_PATIENCE", 0.02)
        async with bench(Ends(OutcomeUnknown("broken"), Verdict.OPEN), journal=BrokenJournal(release=broken)) as at:
            with pytest.raises(OutcomeUnknown):
                await at.runner.run(capture_call())

    async def test_a_coroutine_that_is_thrown_away_ends_quietly(self) -> None:
        """If the loop is gone, nothing is awaited any more; the entry stays open until its lease ends."""
        async with bench(DONE) as at:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            async def never(_call: object, _body: object, _record: object) -> None:
                await waiting

            at.pipeline.run_rendered = never  # type: ignore[method-assign, assignment]  # hangs
            coroutine = at.runner.run(capture_call())
            stepped = coroutine.__await__()
            next(stepped)
            stepped.close()
            assert (await at.entry()).settlement is None


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
        """While one has it in hand, the other is told so, and that money may have moved."""
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

    async def test_an_attempt_that_another_worker_has_in_hand_is_not_sent(self, shop: Shop) -> None:
        """Whoever lost the entry between two attempts sends no second one."""

        class Lost(MemoryJournal):
            async def attempt(self, intent: Intent, *, owner: str, at: datetime) -> AcquireResult:
                return AcquireResult.HELD

        shop.line.fail("/capture", Fault.ERROR_BEFORE)
        with pytest.raises(OutcomeUnknown, match="another worker has this operation in hand"):
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
        """Whether it is the same wish cannot be known: nothing is sent, and the open key is named."""
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
        """Two parts of the same amount under two given keys are two wishes, also while the first one is open."""
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
