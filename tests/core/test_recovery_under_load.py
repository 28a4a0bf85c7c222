"""How a recovery treats a Vipps in trouble, in virtual time: fewer questions, more slowly, and back again."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from tests.core.virtual_time import run_in_virtual_time
from vipps_async import Credentials, OutcomeUnknown, RetryPolicy, VippsError, VippsSession
from vipps_async.core.clock import Timers
from vipps_async.core.recovery_limit import RecoveryLimiter
from vipps_async.core.recovery_report import RecoveryReport
from vipps_async.journals.entries import Intent
from vipps_async.journals.memory import MemoryJournal
from vipps_async.testing.scripted import ScriptedTransport, answer, token_answer
from vipps_async.transports.protocol import Request, Response

#: How long Vipps takes over an answer when it is well, in seconds.
QUICK = 0.3
BODY = b"{}"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
#: One attempt a call, so that what is seen is the recovery's pace and not the pauses of a single call.
ONE_TRY = RetryPolicy(attempts=1)

Behaviour = Callable[[float], Awaitable[Response | None]]


class LoopClock:
    """The session's clock by the loop's own time, which is virtual here."""

    def monotonic(self) -> float:
        """See Clock."""
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        """See Clock."""
        return EPOCH + timedelta(seconds=self.monotonic())

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        await asyncio.sleep(seconds)

    def timers(self) -> Timers:
        """See Clock."""
        return asyncio.get_running_loop()


@pytest.fixture(autouse=True)
def virtual_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let virtual seconds pass for the session too."""
    monkeypatch.setattr("vipps_async.core.pipeline.SystemClock", LoopClock)


class Vipps:
    """A Vipps that behaves as it is told, and knows when it was asked and by how many at once.

    Attributes:
        began: when each request came, in seconds.
        sent: operation and order of what was sent again, in sequence.
        absent: whether nothing has taken effect yet: all of it has to be sent again.
    """

    def __init__(self, trouble: Behaviour | None = None, *, absent: bool = False) -> None:
        self.began: list[float] = []
        self.sent: list[tuple[str, str]] = []
        self.absent = absent
        self._trouble = trouble
        self._inside = 0
        self._at_once: list[tuple[float, int]] = []
        self.transport = ScriptedTransport().on("", then=self.reply).on("/accesstoken/get", then=token_answer())

    def most_at_once(self, since: float = 0.0, until: float = float("inf")) -> int:
        """Return how many were under way at the same time, counted whenever one came."""
        return max((count for moment, count in self._at_once if since <= moment < until), default=0)

    async def reply(self, request: Request) -> Response:
        """Answer one request."""
        now = asyncio.get_running_loop().time()
        self._inside += 1
        self.began.append(now)
        self._at_once.append((now, self._inside))
        try:
            in_trouble = None if self._trouble is None else await self._trouble(now)
            if in_trouble is not None:
                return in_trouble
            await asyncio.sleep(QUICK)
        finally:
            self._inside -= 1
        payment, _, name = request.url.rpartition("/")
        payment = payment.rpartition("/")[2]
        if name != "details":
            self.sent.append((name, payment))
            words = {"capture": ("transactionInfo", "Captured"), "refund": ("transaction", "Refund")}
            where, status = words[name]
            return answer(200, {"orderId": payment, where: {"amount": 100, "status": status}})
        return answer(
            200, {"orderId": payment, "transactionLogHistory": [_logged("RESERVE", "r"), *self._done(payment)]}
        )

    def _done(self, payment: str) -> list[dict[str, Any]]:
        return [] if self.absent else [_logged("CAPTURE", f"capture-{payment}"), _logged("REFUND", f"refund-{payment}")]


def _logged(operation: str, key: str) -> dict[str, Any]:
    time = "2026-01-01T12:00:00.000Z"
    facts = {"amount": 100, "operation": operation, "operationSuccess": True, "requestId": key, "timeStamp": time}
    return {**facts, "transactionId": "1", "transactionText": "Socks"}


def refusing(status: int, *, until: float, headers: dict[str, str] | None = None) -> Behaviour:
    """Refuse at once, up to a time."""

    async def trouble(now: float) -> Response | None:
        await asyncio.sleep(0.05)
        return answer(status, headers=headers) if now < until else None

    return trouble


def silent(*, until: float) -> Behaviour:
    """Let everything run into its time-out, up to a time."""

    async def trouble(now: float) -> Response | None:
        if now < until:
            await asyncio.sleep(15)
            raise OutcomeUnknown("no answer in time")
        return None

    return trouble


def slow(seconds: float, *, until: float) -> Behaviour:
    """Answer late, up to a time."""

    async def trouble(now: float) -> Response | None:
        if now < until:
            await asyncio.sleep(seconds)
        return None

    return trouble


async def journal_of(orders: int, *operations: str) -> MemoryJournal:
    """Make a journal in which these operations are open for so many orders, leased by nobody."""
    journal = MemoryJournal(clock=lambda: LoopClock().now())
    await journal.open()
    for operation in operations or ("capture",):
        for number in range(orders):
            intent = Intent(
                key=f"{operation}-order-{number}",
                api="ecom",
                operation=operation,
                payment=f"order-{number}",
                merchant_serial_number="123456",
                amount=100,
                currency="NOK",
                digest=hashlib.sha256(BODY).hexdigest(),
                body=BODY,
                created_at=EPOCH,
            )
            await journal.begin(intent, owner="gone", lease=0)
    return journal


def session_of(vipps: Vipps, journal: MemoryJournal, retry: RetryPolicy = ONE_TRY) -> VippsSession:
    """Make a session of the simulated sales unit."""
    credentials = Credentials(client_id="i", client_secret="s", subscription_key="k", merchant_serial_number="123456")
    return VippsSession(credentials, transport=vipps.transport, journal=journal, retry=retry)


def recovered(
    vipps: Vipps, *, orders: int = 400, concurrency: int = 8, retry: RetryPolicy = ONE_TRY
) -> tuple[RecoveryReport, float]:
    """Recover captures of so many orders; returns the report and how long it took, in virtual seconds."""

    async def run() -> tuple[RecoveryReport, float]:
        async with session_of(vipps, await journal_of(orders), retry) as session:
            began = asyncio.get_running_loop().time()
            report = await session.recover(concurrency=concurrency)
            return report, asyncio.get_running_loop().time() - began

    return run_in_virtual_time(run())


class TestHealthy:
    """A Vipps that is well is asked as fast as ever."""

    @pytest.mark.parametrize("concurrency", [1, 8, 20])
    def test_it_begins_with_all_that_it_may(self, concurrency: int) -> None:
        """As many are in work as `concurrency` says, from the first moment and no more later."""
        vipps = Vipps()
        report, _ = recovered(vipps, orders=1000, concurrency=concurrency)
        assert report.proven == 1000
        assert vipps.most_at_once(until=QUICK) == vipps.most_at_once() == concurrency

    @pytest.mark.parametrize("concurrency", [1, 8, 100])
    def test_the_pace_costs_no_time(self, concurrency: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """It takes as long as a recovery that passes no gate at all."""
        _, seconds = recovered(Vipps(), concurrency=concurrency)

        async def pass_by(_limiter: RecoveryLimiter) -> bool:
            return True

        monkeypatch.setattr(RecoveryLimiter, "acquire", pass_by)
        _, without = recovered(Vipps(), concurrency=concurrency)
        assert seconds == without

    def test_a_bad_line_does_not_pause_it(self) -> None:
        """One question in ten gets no answer while others do: that is no outage, and nothing waits for seconds."""
        count = 0

        async def trouble(_now: float) -> Response | None:
            nonlocal count
            count += 1
            return answer(503) if count % 10 == 0 else None

        vipps = Vipps(trouble)
        report, seconds = recovered(vipps)
        assert (report.proven, report.stays_open, report.stopped) == (360, 40, "")
        gaps = [later - earlier for earlier, later in pairwise(vipps.began)]
        assert sum(gap for gap in gaps if gap > 2 * QUICK) < seconds / 10


class TestTrouble:
    """A Vipps in trouble is asked less and more slowly, and again as much as before when it is well."""

    @pytest.mark.parametrize(
        ("behaviour", "until"),
        [
            (partial(refusing, 429), 20),
            (partial(refusing, 500), 20),
            (partial(refusing, 503), 20),
            (silent, 100),
        ],
        ids=["429", "500", "503", "no answer"],
    )
    def test_fewer_and_fewer_are_asked_at_once(self, behaviour: Callable[..., Behaviour], until: float) -> None:
        """All at first, soon a half of them, then one, while nothing is answered."""
        vipps = Vipps(behaviour(until=until))
        report, _ = recovered(vipps)
        assert vipps.most_at_once(until=0.01) == 8
        assert 1 <= vipps.most_at_once(0.5, until / 2) <= 4
        assert vipps.most_at_once(until / 2, until) == 1
        assert report.stopped == ""

    @pytest.mark.parametrize(
        ("behaviour", "until"),
        [(partial(refusing, 503), 20), (silent, 100), (partial(slow, 6.0), 60)],
        ids=["503", "no answer", "late"],
    )
    def test_it_grows_back_when_vipps_answers_again(self, behaviour: Callable[..., Behaviour], until: float) -> None:
        """Step by step, up to what it had in the beginning."""
        vipps = Vipps(behaviour(until=until))
        report, seconds = recovered(vipps)
        assert report.stopped == ""
        back = next(moment for moment in vipps.began if moment >= until)
        assert vipps.most_at_once(back, back + QUICK) <= 3
        assert vipps.most_at_once(seconds - 5, seconds) == 8

    def test_they_begin_more_slowly(self) -> None:
        """While each question is refused at once, the pauses before the next one grow to some seconds."""
        vipps = Vipps(refusing(503, until=20))
        recovered(vipps)
        moments = sorted({moment for moment in vipps.began if moment < 20})
        gaps = [round(later - earlier, 3) for earlier, later in pairwise(moments)][1:]
        assert gaps == sorted(gaps)
        assert 1 <= gaps[0] < 2
        assert 4 <= gaps[-1] < 5
        assert len([moment for moment in vipps.began if moment < 20]) < 25

    def test_answers_that_come_too_late_slow_it_down(self) -> None:
        """Whoever waits six seconds for an answer stands in a queue, and does not make it longer."""
        vipps = Vipps(slow(6.0, until=60))
        report, _ = recovered(vipps)
        assert report.proven == 400
        assert vipps.most_at_once(40, 60) <= 2

    def test_what_is_sent_again_counts_as_well(self) -> None:
        """Captures that are answered 503 slow the recovery down though every question is answered."""

        class Torn(Vipps):
            async def reply(self, request: Request) -> Response:
                response = await super().reply(request)
                return response if request.url.endswith("/details") else answer(503)

        vipps = Torn(absent=True)
        report, seconds = recovered(vipps, orders=200)
        assert report.stays_open == 200
        _, healthy = recovered(Vipps(absent=True), orders=200)
        assert seconds > 1.5 * healthy

    def test_live_calls_beside_it_do_not_slow_it_down(self) -> None:
        """It is the recovery's own answers that count, not those of another call of the session."""
        vipps = Vipps()
        # A reply for every path comes last: the first one that fits is taken.
        vipps.transport = ScriptedTransport().on("/live/details", then=answer(503))
        vipps.transport.on("/accesstoken/get", then=token_answer()).on("", then=vipps.reply)

        async def run() -> float:
            async with session_of(vipps, await journal_of(400)) as session:

                async def ask_in_vain() -> None:
                    while True:
                        with pytest.raises(VippsError):
                            await session.ecom.details("live")
                        await asyncio.sleep(0.1)

                live = asyncio.create_task(ask_in_vain())
                began = asyncio.get_running_loop().time()
                report = await session.recover()
                seconds = asyncio.get_running_loop().time() - began
                live.cancel()
                await asyncio.wait({live})
                assert report.proven == 400
                return seconds

        _, alone = recovered(Vipps())
        assert run_in_virtual_time(run()) == pytest.approx(alone)


class TestRetryAfter:
    """what Vipps asks to wait is granted."""

    @pytest.mark.parametrize("name", ["details", "capture"])
    @pytest.mark.parametrize("status", [429, 503])
    def test_nothing_is_begun_before(self, name: str, status: int) -> None:
        """What is under way ends; the next entry is begun when the time has passed, whatever it was asked for."""
        said: list[float] = []

        class Asking(Vipps):
            async def reply(self, request: Request) -> Response:
                response = await super().reply(request)
                if not said and len(self.began) > 50 and request.url.endswith(f"/{name}"):
                    said.append(asyncio.get_running_loop().time())
                    return answer(status, headers={"retry-after": "30"})
                return response

        vipps = Asking(absent=True)
        report, _ = recovered(vipps)
        assert (report.sent_again, report.stays_open) == (399, 1)
        # Of what is in work a capture may still follow its question.
        during = [moment for moment in vipps.began if said[0] + 4 * QUICK < moment < said[0] + 30]
        assert during == []
        assert any(said[0] + 30 <= moment < said[0] + 31 for moment in vipps.began)

    def test_who_asks_for_an_hour_is_believed_the_second_time(self) -> None:
        """After a minute one more question; if the answer is the same, the recovery stops and says why."""
        vipps = Vipps(refusing(429, until=10_000, headers={"retry-after": "3600"}))
        report, seconds = recovered(vipps)
        assert report.stopped == "Vipps asks to wait 3600 s; what is not counted here is open"
        assert 60 <= seconds < 65
        assert len([moment for moment in vipps.began if moment > 1]) <= 4

    def test_an_hour_for_one_order_holds_the_others_up_for_a_minute_only(self) -> None:
        """A single order may be limited for long: the others are settled."""
        count = 0

        async def trouble(_now: float) -> Response | None:
            nonlocal count
            count += 1
            return answer(429, headers={"retry-after": "3600"}) if count == 5 else None

        report, seconds = recovered(Vipps(trouble), orders=40)
        assert (report.proven, report.stays_open, report.stopped) == (39, 1, "")
        assert 60 <= seconds < 70

    def test_that_of_a_token_counts_as_well(self) -> None:
        """It is not the question that was refused, but the answer is Vipps' own."""
        vipps = Vipps()
        refused = answer(429, headers={"retry-after": "20"})
        vipps.transport = ScriptedTransport().on("/accesstoken/get", refused, then=token_answer())
        vipps.transport.on("", then=vipps.reply)
        report, _ = recovered(vipps)
        assert report.stays_open == 8
        assert report.proven == 392
        assert vipps.began[0] >= 20


class TestOutage:
    """Whoever recovers at the start of a service, during an outage, waits neither for nothing nor for ever."""

    @pytest.mark.parametrize("concurrency", [1, 8, 100])
    def test_a_gateway_that_is_started_anew_is_outlasted(self, concurrency: int) -> None:
        """Twenty-five seconds of 503: what was asked then stays open, all else is settled."""
        report, _ = recovered(Vipps(refusing(503, until=25)), orders=1000, concurrency=concurrency)
        assert report.stopped == ""
        assert report.proven > 700

    @pytest.mark.parametrize(("concurrency", "longest"), [(1, 90), (8, 60), (100, 60)])
    def test_refused_at_once_it_stops_after_a_minute_or_so(self, concurrency: int, longest: float) -> None:
        """Twenty questions in a row are not burnt within a moment, and it says so in the end."""
        vipps = Vipps(refusing(503, until=10_000))
        report, seconds = recovered(vipps, orders=1000, concurrency=concurrency)
        assert "questions in a row" in report.stopped
        assert 30 <= seconds <= longest
        assert 20 <= len(vipps.began) <= 20 + 3 * concurrency

    @pytest.mark.parametrize("concurrency", [1, 8, 100])
    @pytest.mark.parametrize("retry", [ONE_TRY, RetryPolicy()])
    def test_a_vipps_that_says_nothing_is_waited_for_no_longer_than_four_minutes(
        self, concurrency: int, retry: RetryPolicy
    ) -> None:
        """Twenty time-outs one after the other would take far longer."""
        report, seconds = recovered(Vipps(silent(until=10_000)), concurrency=concurrency, retry=retry)
        assert "questions in a row" in report.stopped
        assert 30 <= seconds <= 4 * 60 + 5

    def test_refused_keys_are_not_waited_for(self) -> None:
        """Wrong keys do not get right by waiting: it stops at once."""
        report, seconds = recovered(Vipps(refusing(401, until=10_000)), concurrency=1)
        assert "did not answer 20 questions in a row" in report.stopped
        assert seconds < 3

    def test_a_few_orders_that_never_get_an_answer_keep_no_other_one_waiting_for_long(self) -> None:
        """Two in a row, each for minutes, and the rest is settled all the same."""

        class Stuck(Vipps):
            async def reply(self, request: Request) -> Response:
                if any(f"/order-{number}/" in request.url for number in (0, 1)):
                    await asyncio.sleep(200)
                    raise OutcomeUnknown("no answer in time")
                return await super().reply(request)

        report, _ = recovered(Stuck(), orders=40, concurrency=1, retry=RetryPolicy(attempts=1, deadline=600))
        assert (report.proven, report.stays_open, report.stopped) == (38, 2, "")

    def test_nothing_is_leased_in_the_end(self) -> None:
        """All that was not settled is open and free, as it was."""

        async def run() -> None:
            journal = await journal_of(100)
            async with session_of(Vipps(refusing(503, until=10_000)), journal) as session:
                report = await session.recover()
                entries = [entry async for entry in journal.open_entries()]
                assert len(entries) == 100
                assert {entry.owner for entry in entries} <= {"", "gone"}
                assert report.seen == report.stays_open < 30

        run_in_virtual_time(run())


class TestSequence:
    """However slowly they go, operations of one order keep their sequence."""

    @pytest.mark.parametrize("concurrency", [1, 8, 40])
    def test_no_refund_is_sent_before_its_capture(self, concurrency: int) -> None:
        """Vipps comes and goes; recovery is run until all is settled, and each order has its capture first."""
        # Drawn, since a period would meet the same order each time.
        drawn = random.Random(concurrency)

        async def trouble(_now: float) -> Response | None:
            return answer(drawn.choice((503, 503, 429))) if drawn.random() < 3 / 7 else None

        vipps = Vipps(trouble, absent=True)

        async def run() -> None:
            journal = await journal_of(30, "capture", "refund")
            async with session_of(vipps, journal) as session:
                for _ in range(50):
                    if (await session.recover(concurrency=concurrency)).is_complete:
                        return
            pytest.fail("it was not settled in fifty recoveries")

        run_in_virtual_time(run())
        sent: dict[str, list[str]] = defaultdict(list)
        for name, payment in vipps.sent:
            sent[payment].append(name)
        assert len(sent) == 30
        assert {tuple(names) for names in sent.values()} == {("capture", "refund")}


class TestCancelled:
    """A recovery can be given up at any time."""

    @pytest.mark.parametrize("moment", [0.02, 0.5, 1.05, 2.0, 3.1, 10.0, 21.0])
    def test_nothing_is_left_running(self, moment: float) -> None:
        """Under way, waiting for a place or pausing: no task, no entry leased, nobody who listens."""

        async def run() -> None:
            journal = await journal_of(400)
            session = session_of(Vipps(refusing(503, until=20)), journal)
            async with session:
                before = asyncio.all_tasks()
                task = asyncio.create_task(session.recover())
                await asyncio.sleep(moment)
                assert not task.done()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert asyncio.all_tasks() == before
                assert {entry.owner async for entry in journal.open_entries()} <= {"", "gone"}
                assert session._parts.pipeline.log.listeners == []
                # And the next one finds everything as it should be.
                await asyncio.sleep(30)
                assert (await session.recover()).is_complete

        run_in_virtual_time(run())

    def test_a_time_limit_around_it_is_enough(self) -> None:
        """A service that must not wait for Vipps to start gives it ten seconds, and goes on."""

        async def run() -> float:
            async with session_of(Vipps(refusing(503, until=10_000)), await journal_of(400)) as session:
                began = asyncio.get_running_loop().time()
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(10):
                        await session.recover()
                return asyncio.get_running_loop().time() - began

        assert run_in_virtual_time(run()) == pytest.approx(10)
