"""Waiting for customers, in a time that a test can let pass."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from attrs import define, field

from tests.core.virtual_time import run_in_virtual_time
from tests.ecom.payments import details, entry
from vipps_async import PaymentDetails, PaymentPending
from vipps_async.core.polling import PaymentPoller
from vipps_async.errors import (
    ApiError,
    ConfigurationError,
    InvalidInputError,
    OrderNotFoundError,
    OutcomeUnknown,
    RateLimitedError,
    ServerError,
    UnexpectedResponseError,
)
from vipps_async.one_loop import OneLoop

INITIATED = details(entry("INITIATE"))
RESERVED = details(entry("RESERVE"), entry("INITIATE"))
CANCELLED = details(entry("CANCEL"), entry("INITIATE"))


class Poller(PaymentPoller[PaymentDetails]):
    """A poller whose waits all ask the same way, for one sales unit."""

    def __init__(self, ask: Callable[[str], Coroutine[Any, Any, PaymentDetails]]) -> None:
        super().__init__(OneLoop())
        self.asking = ask

    async def wait(self, payment: str, *, timeout: float, unit: str = "1234", ask: Any = None) -> PaymentDetails:  # noqa: ASYNC109 - as it is called
        """See `PaymentPoller`."""
        return await super().wait(payment, timeout=timeout, unit=unit, ask=ask or self.asking)

    def notify(self, payment: str, *, unit: str = "1234") -> None:
        """See `PaymentPoller`."""
        super().notify(payment, unit=unit)


@define
class World:
    """A Vipps that answers from a script whose last answer repeats, or by a function of the time."""

    script: list[Any] | Callable[[str, float], Any]
    #: Seconds that an answer takes.
    takes: float = 0.0
    asked: list[tuple[str, float]] = field(factory=list)
    at_once: int = 0
    most_at_once: int = 0
    poller: Poller = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.poller = Poller(self.ask)

    async def ask(self, order_id: str) -> PaymentDetails:
        """Give the next answer."""
        now = asyncio.get_running_loop().time()
        self.asked.append((order_id, round(now, 3)))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.takes)
        finally:
            self.at_once -= 1
        if callable(self.script):
            answer = self.script(order_id, now)
        else:
            answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, BaseException):
            raise answer
        assert isinstance(answer, PaymentDetails)
        return answer

    @property
    def times(self) -> list[float]:
        """When it was asked."""
        return [at for _, at in self.asked]

    def wait(self, timeout: float = 600) -> PaymentDetails:
        """Wait for one customer."""
        return run_in_virtual_time(self.poller.wait("acme-1", timeout=timeout))


def test_the_pace() -> None:
    """Vipps is asked after 5 seconds and then every 2."""
    world = World([INITIATED, INITIATED, RESERVED])
    assert world.wait() is RESERVED
    assert world.times == [5, 7, 9]
    assert world.poller.waiting == 0


def test_a_cancelled_payment_ends_the_wait() -> None:
    """A customer who declines is not waited for."""
    assert World([INITIATED, CANCELLED]).wait() is CANCELLED


def test_time_runs_out() -> None:
    """When time is up, the error names the payment, what to do, and what Vipps said last."""
    world = World([INITIATED])
    with pytest.raises(PaymentPending, match="within 10 seconds") as raised:
        world.wait(10)
    assert world.times == [5, 7, 9]
    assert (raised.value.payment, raised.value.last) == ("acme-1", INITIATED)
    assert isinstance(raised.value, TimeoutError)
    assert "payment acme-1" in str(raised.value)
    assert "it may still be accepted: wait again, or cancel it" in str(raised.value)


def test_a_short_wait_asks_too() -> None:
    """Who waits less than ten seconds has Vipps asked at half time, for the customer may be back already."""
    world = World([RESERVED])
    assert world.wait(3) is RESERVED
    assert world.times == [1.5]


def test_the_deadline_is_kept_while_vipps_is_slow() -> None:
    """An answer that does not come in time is not waited for."""
    world = World([RESERVED], takes=30)

    async def main() -> float:
        with pytest.raises(PaymentPending):
            await world.poller.wait("acme-1", timeout=10)
        return asyncio.get_running_loop().time()

    assert run_in_virtual_time(main()) == pytest.approx(10)
    assert world.at_once == 0


@pytest.mark.parametrize(
    "error",
    [
        OutcomeUnknown("no answer"),
        RateLimitedError("slowly", status=429, retryable=True),
        UnexpectedResponseError("a page of HTML", status=200, body=""),
    ],
)
def test_a_passing_failure_is_sat_out(error: Exception) -> None:
    """A short outage does not lose the customer; one that lasts is what is raised at the end."""
    assert World([error, error, RESERVED]).wait() is RESERVED
    with pytest.raises(type(error)):
        World([error]).wait(10)
    with pytest.raises(PaymentPending):
        World([error, INITIATED]).wait(30)


@pytest.mark.parametrize("error", [OrderNotFoundError("no", status=404), ApiError("no", status=400), KeyError("bug")])
def test_a_lasting_failure_ends_the_wait(error: Exception) -> None:
    """What cannot get better is raised at once, a mistake in a program included."""
    world = World([error])
    with pytest.raises(type(error)):
        world.wait()
    assert world.times == [5]


@pytest.mark.parametrize("kind", [RateLimitedError, ServerError])
@pytest.mark.parametrize(("asked_for", "quiet"), [(30.0, 30.0), (3600.0, 60.0), (0.5, 0.5)])
def test_vipps_asks_for_quiet(kind: type[ApiError], asked_for: float, quiet: float) -> None:
    """An order is not asked about for as long as Vipps wants, but for a minute at most, news of it or not."""
    world = World([kind("slowly", status=429, retryable=True, retry_after=asked_for), RESERVED])

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(world.poller.wait("acme-1", timeout=600))
            await asyncio.sleep(5.25)
            world.poller.notify("acme-1")
            with contextlib.suppress(ApiError):
                await world.poller.wait("acme-1", timeout=0.1)

    run_in_virtual_time(main())
    assert world.times == [5, 5 + quiet]


def test_a_429_without_a_time() -> None:
    """Where Vipps does not say how long, an order is left alone for ten seconds."""
    world = World([RateLimitedError("slowly", status=429, retryable=True), RESERVED])
    assert world.wait() is RESERVED
    assert world.times == [5, 15]


def test_quiet_is_for_one_order_alone() -> None:
    """A `Retry-After` for one order keeps nobody from learning of another one."""

    def answer(order_id: str, _: float) -> Any:
        slowly = RateLimitedError("slowly", status=429, retryable=True, retry_after=3600.0)
        return slowly if order_id == "acme-1" else RESERVED

    world = World(answer)

    async def main() -> None:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            waiting = group.create_task(world.poller.wait("acme-1", timeout=600))
            await asyncio.sleep(1)
            assert await world.poller.wait("acme-2", timeout=600) is RESERVED
            assert await world.poller.wait("acme-3", timeout=600) is RESERVED
            waiting.cancel()

    run_in_virtual_time(main())
    assert world.asked == [("acme-1", 5), ("acme-2", 6), ("acme-3", 11)]


def test_a_payment_that_the_bank_refused_ends_the_wait() -> None:
    """A customer whose bank said no is told so, and not left to wait for what may never come."""
    refused = details(entry("RESERVE", success=False), entry("INITIATE"))
    world = World([INITIATED, refused])
    assert world.wait() is refused
    assert world.times == [5, 7]


@pytest.mark.parametrize("timeout", [0, -1, math.nan, math.inf, True, "5"])
def test_how_long_has_to_be_said(timeout: Any) -> None:
    """Only a positive, finite time can be waited for."""
    world = World([INITIATED])
    with pytest.raises(InvalidInputError, match="timeout"):
        world.wait(timeout)
    assert not world.asked


def test_news_is_asked_about_at_once() -> None:
    """A callback wakes those who wait for its order, without the pause; nobody else is asked about."""
    world = World(lambda _order_id, now: RESERVED if now >= 1 else INITIATED)

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        waits = [asyncio.create_task(world.poller.wait("acme-1", timeout=600)) for _ in range(2)]
        await asyncio.sleep(1)
        world.poller.notify("acme-1")
        world.poller.notify("acme-1")
        await asyncio.gather(*waits)
        return [loop.time()]

    assert run_in_virtual_time(main()) == [1]
    assert world.asked == [("acme-1", 1)]


@pytest.mark.parametrize("tick", [1e-9, 1e-5, 1e-3])
def test_a_machine_that_is_slow(tick: float) -> None:
    """Time that goes by while the queue is looked at delays no question."""
    world = World([INITIATED, INITIATED, RESERVED])

    async def main() -> None:
        world.poller.notify("acme-1")
        async with asyncio.timeout(20):
            await world.poller.wait("acme-1", timeout=600)

    run_in_virtual_time(main(), tick=tick)
    assert [round(at) for at in world.times] == [0, 2, 4]


def test_news_that_came_before_the_wait() -> None:
    """A callback may come before the customer is back and anybody waits: then the wait asks at once."""
    world = World([RESERVED])

    async def main() -> None:
        world.poller.notify("acme-1")
        await world.poller.wait("acme-1", timeout=600)
        await world.poller.wait("acme-1", timeout=600)

    run_in_virtual_time(main())
    assert world.times == [0, 5]


def test_news_is_remembered_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of news that nobody waited for, only the latest is remembered."""
    monkeypatch.setattr("vipps_async.core.polling._MOST_REMEMBERED", 2)
    world = World([RESERVED])

    async def main() -> None:
        for order_id in ("acme-1", "acme-2", "acme-1", "acme-3"):
            world.poller.notify(order_id)
        for order_id in ("acme-1", "acme-3", "acme-2"):
            await world.poller.wait(order_id, timeout=600)

    run_in_virtual_time(main())
    assert world.asked == [("acme-1", 0), ("acme-3", 0), ("acme-2", 5)]


def test_news_that_comes_while_vipps_is_being_asked() -> None:
    """An answer that was on its way when the callback came may be older than it: Vipps is asked again at once."""
    world = World([INITIATED, RESERVED], takes=1)

    async def main() -> None:
        wait = asyncio.create_task(world.poller.wait("acme-1", timeout=600))
        await asyncio.sleep(5.5)
        world.poller.notify("acme-1")
        await wait

    run_in_virtual_time(main())
    assert world.times == [5, 6]


def test_one_question_serves_all_who_wait_for_an_order() -> None:
    """Ten who wait for the same payment cost one question."""
    world = World([RESERVED])

    async def main() -> None:
        await asyncio.gather(*(world.poller.wait("acme-1", timeout=600) for _ in range(10)))

    run_in_virtual_time(main())
    assert world.times == [5]


def test_each_waiter_has_a_deadline_of_its_own() -> None:
    """The one who has less time gives up alone, and has the first question asked earlier."""
    world = World(lambda _order_id, now: RESERVED if now > 8 else INITIATED)

    async def main() -> None:
        patient = asyncio.create_task(world.poller.wait("acme-1", timeout=600))
        await asyncio.sleep(0)
        with pytest.raises(PaymentPending):
            await world.poller.wait("acme-1", timeout=2)
        assert await patient is RESERVED

    run_in_virtual_time(main())
    assert world.times == [1, 3, 5, 7, 9]


def test_giving_up_leaves_nothing_behind() -> None:
    """A cancelled wait asks no more, drops its question, and its order can be waited for anew."""
    world = World([RESERVED], takes=1)

    async def main() -> None:
        wait = asyncio.create_task(world.poller.wait("acme-1", timeout=600))
        await asyncio.sleep(5.5)
        wait.cancel()
        await asyncio.wait({wait})
        assert wait.cancelled()
        assert world.poller.waiting == 0
        await asyncio.sleep(100)
        assert (world.times, world.at_once) == ([5], 0)
        await world.poller.wait("acme-1", timeout=600)

    run_in_virtual_time(main())
    assert world.times == [5, 110.5]


def test_never_more_than_vipps_takes() -> None:
    """Whatever is asked, notified or overdue, no minute has more than 120 questions, and there are always some."""
    world = World([INITIATED])

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(world.poller.wait(f"acme-{n}", timeout=600)) for n in range(300)]
            for second in range(300):
                await asyncio.sleep(1)
                world.poller.notify(f"acme-{second}")
            for wait in waits:
                wait.cancel()

    run_in_virtual_time(main())
    times = world.times
    assert all(later - at >= 60 for at, later in zip(times, times[120:], strict=False))
    assert len(times) >= 100 * 295 / 60


def test_thousands_are_asked_about_in_turn() -> None:
    """With far more waiting than Vipps takes questions, each order has its turn before any has a second one."""
    world = World([INITIATED])
    many = 10_000

    async def main() -> None:
        waits = [asyncio.create_task(world.poller.wait(f"acme-{n}", timeout=1e6)) for n in range(many)]
        await asyncio.sleep(20 * 60)
        assert world.poller.waiting == many
        # One question at a time: no task for each order.
        assert len(asyncio.all_tasks()) <= many + 2
        asked_before = len(world.asked)
        world.poller.notify("acme-9999")
        await asyncio.sleep(0.001)
        assert world.asked[asked_before:] == [("acme-9999", world.times[-1])]
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)

    run_in_virtual_time(main())
    assert max(Counter(order_id for order_id, _ in world.asked).values()) == 1
    assert 1_990 <= len(world.asked) <= 2_025
    assert [order_id for order_id, _ in world.asked[:3]] == ["acme-0", "acme-1", "acme-2"]


def test_the_queue_is_fair_round_after_round() -> None:
    """More orders than turns: nobody is asked about twice before everybody was asked about once, round by round."""
    world = World([INITIATED])

    async def main() -> None:
        waits = [asyncio.create_task(world.poller.wait(f"acme-{n}", timeout=1e6)) for n in range(50)]
        await asyncio.sleep(600)
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)

    run_in_virtual_time(main())
    counts = Counter(order_id for order_id, _ in world.asked)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_a_slow_vipps_is_not_flooded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many questions are under way at the same time, however long the answers take."""
    monkeypatch.setattr("vipps_async.core.polling._MOST_AT_ONCE", 3)
    world = World([RESERVED], takes=25)

    async def main() -> None:
        await asyncio.gather(*(world.poller.wait(f"acme-{n}", timeout=600) for n in range(9)))

    run_in_virtual_time(main())
    assert world.most_at_once == 3
    assert len(world.asked) == 9


def test_closing_ends_all_waits() -> None:
    """When the session is closed, those who wait are told so, and questions under way end."""
    world = World([RESERVED], takes=60)

    async def main() -> None:
        waits = [asyncio.create_task(world.poller.wait(f"acme-{n}", timeout=600)) for n in range(3)]
        await asyncio.sleep(6)
        assert world.at_once == 3
        await world.poller.aclose()
        await world.poller.aclose()
        for wait in waits:
            with pytest.raises(ConfigurationError, match="closed"):
                await wait
        assert (world.at_once, world.poller.waiting) == (0, 0)
        with pytest.raises(ConfigurationError, match="closed"):
            await world.poller.wait("acme-1", timeout=600)
        assert len(asyncio.all_tasks()) == 1

    run_in_virtual_time(main())


def test_a_question_that_somebody_cancels_is_asked_again() -> None:
    """A question that was cancelled from outside does not strand the wait."""
    world = World([asyncio.CancelledError(), RESERVED])
    assert world.wait() is RESERVED
    assert world.times == [5, 7]


def test_a_waiter_that_is_cancelled_when_the_answer_comes() -> None:
    """A failure that nobody can see any more is not complained about by the loop."""
    world = World([OrderNotFoundError("no", status=404)])
    complaints: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        wait = asyncio.create_task(world.poller.wait("acme-1", timeout=600))
        await asyncio.sleep(4.999)
        asyncio.get_running_loop().call_later(0.001, wait.cancel)
        await asyncio.wait({wait})

    run_in_virtual_time(main())
    assert complaints == []


def test_two_callbacks_at_once_in_another_event_loop() -> None:
    """Uvloop's timers of this very moment cannot tell when they are: nothing asks them."""
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    world = World([RESERVED])

    async def main() -> None:
        world.poller.notify("acme-1")
        world.poller.notify("acme-2")
        waits = (world.poller.wait(order_id, timeout=600) for order_id in ("acme-1", "acme-2"))
        assert await asyncio.gather(*waits) == [RESERVED, RESERVED]
        await world.poller.aclose()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
