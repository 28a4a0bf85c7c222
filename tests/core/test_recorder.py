"""What Recorder promises: nothing leaves before its intent is durable, nothing is called known that is not."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from tests.core.recorder_bench import DONE, KEY, BrokenJournal, Ends, bench, capture, capture_call, fail, hang
from tests.faults.shop import TWO_TRIES, Fault, Shop
from tests.support.rows import each_row
from vipps_async import (
    ApiError,
    CaptureError,
    ConfigurationError,
    Effect,
    JournalError,
    OutcomeUnknown,
    PaymentUrlLostError,
    RequestNotSent,
    UnexpectedResponseError,
    VippsError,
    nok,
)
from vipps_async.core import recorder
from vipps_async.core.converter import decode
from vipps_async.core.operation import Call
from vipps_async.core.pipeline import render
from vipps_async.core.verdict import Verdict
from vipps_async.ecom.enums import TransactionStatus
from vipps_async.ecom.responses import CaptureResult, TransactionInfo
from vipps_async.errors import ErrorInfo
from vipps_async.journals.entries import Entry, Intent, KeyOrigin, Outcome, Settlement
from vipps_async.journals.memory import MemoryJournal
from vipps_async.journals.protocol import AcquireResult


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
        """If it is in the journal all the same, it is open, with the reason and leased by nobody."""
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

    @each_row("end", ENDS.values(), ids=ENDS.keys())
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

    @pytest.mark.parametrize("outcome", [None, Outcome.DONE, Outcome.NOT_DONE], ids=["open", "done", "not done"])
    @pytest.mark.parametrize("verdict", [Verdict.NOT_APPLIED, Verdict.REFUSED])
    async def test_what_another_worker_has_taken_over_is_not_told_as_not_done(
        self, verdict: Verdict, outcome: Outcome | None
    ) -> None:
        """The machine stood still for longer than the lease, and recovery may have sent it: nobody knows here."""
        time = [datetime(2026, 1, 1, tzinfo=UTC)]

        async def take_over() -> None:
            intent = (await at.entry()).intent
            time[0] += timedelta(hours=1)
            del journal.on["settle"]
            assert (await journal.claim(intent, owner="recovery", lease=60))[0] is AcquireResult.ACQUIRED
            if outcome is not None:
                await journal.settle(intent, Settlement(outcome=outcome, settled_at=time[0]), owner="recovery")

        journal = BrokenJournal(lambda: time[0], settle=take_over)
        refused = api_error(CaptureError, "Payment", "61")
        async with bench(Ends(refused, verdict, begun=1, ended=1), journal=journal) as at:
            with pytest.raises(CaptureError) as caught:
                await at.runner.run(capture_call())
        assert caught.value.effect is Effect.POSSIBLE
        assert "has taken this operation over" in caught.value.advice
        assert "never with a new one" in caught.value.advice

    async def test_a_journal_that_cannot_be_read_afterwards_leaves_a_doubt(self) -> None:
        """Whether somebody has taken the operation over is not known then."""

        class Unread(BrokenJournal):
            async def find(self, *, payment: str, merchant_serial_number: str) -> list[Entry]:
                raise JournalError("the disk is gone")

        ends = Ends(api_error(CaptureError, "Payment", "61"), Verdict.NOT_APPLIED, begun=1, ended=1)
        async with bench(ends, journal=Unread()) as at:
            with pytest.raises(CaptureError) as caught:
                await at.runner.run(capture_call())
        assert caught.value.effect is Effect.POSSIBLE

    async def test_the_lease_outlasts_a_slow_journal_and_the_call(self) -> None:
        """The journal may take one deadline to begin, the call another one: until both have ended nobody takes over."""
        leases: list[float] = []

        class Watched(MemoryJournal):
            async def begin(self, intent: Intent, *, owner: str, lease: float, adopt: bool = False) -> Any:
                leases.append(lease)
                return await super().begin(intent, owner=owner, lease=lease, adopt=adopt)

        async with bench(DONE, journal=Watched(), deadline=20.0) as at:
            await at.runner.run(capture_call())
        assert leases == [50.0]

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
            with pytest.raises(UnexpectedResponseError, match=r"100\.00 NOK were asked for, and it says 50\.00"):
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
