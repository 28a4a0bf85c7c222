"""A session's waits move the sandbox's clock on: in their order, never past an answer, as far as they would take."""

from __future__ import annotations

import asyncio
import time

import pytest
from attrs import define

from tests.support.payments import initiate
from vipps_async import OutcomeUnknown, PaymentPending, RetryPolicy, Timeouts, VippsSession, nok
from vipps_async.sandbox import SandboxServer
from vipps_async.testing import SHORT_WAIT, Fault, Sandbox, SandboxThread, ScriptedTransport, answer
from vipps_async.transports.aiohttp import AiohttpTransport
from vipps_async.transports.protocol import Request, Response

ORDER = "acme-shop-1"
#: Seconds that nothing here may take, and less than each wait would really.
PATIENCE = 4.0


def moved(sandbox: SandboxServer) -> float:
    """Return how many seconds the clock was moved on."""
    return sandbox.clock.offset.total_seconds()


async def reserve(sandbox: Sandbox, vipps: VippsSession, order_id: str = ORDER) -> None:
    """Let there be a payment of 100 kroner that is accepted."""
    await initiate(vipps, order_id, amount=nok(100))
    await sandbox.approve(order_id)


async def test_waiting_for_a_customer_takes_no_time(vipps_sandbox: Sandbox, vipps: VippsSession) -> None:
    """The first question comes after five seconds by the clock, and hardly any real ones."""
    await reserve(vipps_sandbox, vipps)
    began = time.monotonic()
    assert (await vipps.ecom.wait_for(ORDER, timeout=600)).is_reserved
    assert time.monotonic() - began < PATIENCE
    assert moved(vipps_sandbox) == pytest.approx(5.0, abs=2.0)


async def test_time_runs_out_as_it_does_in_earnest(vipps_sandbox: Sandbox, vipps: VippsSession) -> None:
    """Nobody accepts: the wait ends after its own 60 seconds, or with the payment's end after 300."""
    await initiate(vipps, ORDER)
    with pytest.raises(PaymentPending):
        await vipps.ecom.wait_for(ORDER, timeout=60)
    # Less by the real time that has passed, which is some on a machine that is busy.
    assert moved(vipps_sandbox) == pytest.approx(60.0, abs=5.0)
    assert (await vipps.ecom.wait_for(ORDER, timeout=600)).is_cancelled
    assert moved(vipps_sandbox) == pytest.approx(300.0, abs=5.0)


async def test_a_customer_may_accept_meanwhile(vipps_sandbox: Sandbox, vipps: VippsSession) -> None:
    """What else the test does while somebody waits is not overtaken by the clock."""
    await initiate(vipps, ORDER)
    waiting = asyncio.create_task(vipps.ecom.wait_for(ORDER, timeout=600))
    await asyncio.sleep(0.02)
    await vipps_sandbox.approve(ORDER)
    assert (await waiting).is_reserved


async def test_userinfo_is_asked_again_by_the_same_clock(vipps_sandbox: Sandbox, vipps: VippsSession) -> None:
    """`sub` appears half a second after the approval, by the sandbox's clock."""
    await initiate(vipps, ORDER, scope=["name"])
    await vipps_sandbox.approve(ORDER)
    assert (await vipps.userinfo.of_order(ORDER)).name
    assert moved(vipps_sandbox) == pytest.approx(1.0, abs=0.3)


async def test_a_stall_takes_the_read_time_out(vipps_sandbox: Sandbox, vipps: VippsSession) -> None:
    """The session's own 15 seconds go by, then the capture is sent again with its key, and took effect once."""
    await reserve(vipps_sandbox, vipps)
    vipps_sandbox.faults.script("capture", Fault.STALL_AFTER_EFFECT)
    began = time.monotonic()
    await vipps.ecom.capture(ORDER, transaction_text="Shipped.")
    assert time.monotonic() - began < PATIENCE
    assert moved(vipps_sandbox) == pytest.approx(15.5, abs=0.6)
    keys = [request.key for request in vipps_sandbox.requests if request.operation == "capture"]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert vipps_sandbox.payment(ORDER).captured == 10_000


async def test_another_read_time_out_is_known(vipps_sandbox: Sandbox) -> None:
    """A session with a shorter time-out waits as long as that."""
    async with vipps_sandbox.session(timeouts=Timeouts(read=2.0), retry=RetryPolicy(base=0.01)) as vipps:
        await reserve(vipps_sandbox, vipps)
        vipps_sandbox.faults.script("capture", Fault.STALL_BEFORE_EFFECT)
        await vipps.ecom.capture(ORDER, transaction_text="Shipped.")
    assert moved(vipps_sandbox) == pytest.approx(2.0, abs=0.2)


async def test_the_deadline_of_a_call_holds(vipps_sandbox: Sandbox, vipps: VippsSession) -> None:
    """Stalls use the call's 60 seconds up as they do in earnest: it ends in doubt, though none of it was waited for."""
    await reserve(vipps_sandbox, vipps)
    vipps_sandbox.faults.script("capture", *[Fault.STALL_AFTER_EFFECT] * 4)
    vipps_sandbox.faults.script("details", *[Fault.STALL_BEFORE_EFFECT] * 8)
    with pytest.raises(OutcomeUnknown, match="money may have moved"):
        await vipps.ecom.capture(ORDER, transaction_text="Shipped.")
    assert 55.0 < moved(vipps_sandbox) < 80.0


async def test_a_closed_listener_opens_by_the_same_clock(vipps_sandbox: Sandbox, vipps: VippsSession) -> None:
    """Attempts are as far apart as the listener's time is long by the clock, so that one of them gets through."""
    await reserve(vipps_sandbox, vipps)
    vipps_sandbox.faults.refusal_seconds = 0.01
    vipps_sandbox.faults.script("capture", Fault.CONNECTION_REFUSED)
    await vipps.ecom.capture(ORDER, transaction_text="Shipped.")
    assert vipps_sandbox.payment(ORDER).captured == 10_000


async def test_waits_end_in_their_order_and_together() -> None:
    """Waits that begin together take as long as the longest, and each ends at its own time."""
    ended: list[tuple[float, float]] = []

    async def wait(seconds: float) -> None:
        await sandbox.waits.sleep(seconds)
        ended.append((seconds, round(moved(sandbox), 1)))

    async with Sandbox(longest_wait=SHORT_WAIT) as sandbox:
        await asyncio.gather(*map(wait, (50.0, 30.0, 50.0, 40.0)))
    assert ended == [(30.0, 30.0), (40.0, 40.0), (50.0, 50.0), (50.0, 50.0)]


async def test_nothing_is_moved_on_while_an_answer_is_awaited() -> None:
    """A request on its way has all its time: only what really passes ends a wait meanwhile."""
    async with Sandbox(longest_wait=0.0) as sandbox:
        with sandbox.waits.request():
            waiting = asyncio.create_task(sandbox.waits.sleep(3600.0))
            await sandbox.waits.sleep(0.02)
            assert moved(sandbox) < 0.001
            assert not waiting.done()
        await waiting
        assert moved(sandbox) == pytest.approx(3600.0, abs=1.0)


@define
class Slow:
    """A transport whose answers take longer than any wait."""

    transport: AiohttpTransport

    async def send(self, request: Request) -> Response:
        """See Transport."""
        response = await self.transport.send(request)
        await asyncio.sleep(10 * SHORT_WAIT)
        return response

    async def aclose(self) -> None:
        """See Transport."""
        await self.transport.aclose()


async def test_an_answer_is_not_overtaken_by_a_time_out(vipps_sandbox: Sandbox) -> None:
    """The question that is asked after three seconds is answered in time, however long that takes really."""
    slow = Slow(AiohttpTransport())
    async with vipps_sandbox.session(transport=slow) as vipps:
        await reserve(vipps_sandbox, vipps)
        assert (await vipps.ecom.wait_for(ORDER, timeout=6)).is_reserved
    await slow.aclose()
    assert moved(vipps_sandbox) == pytest.approx(3.0, abs=0.3)


def compute(*_: object) -> None:
    """Keep an event loop busy for longer than any wait."""
    time.sleep(10 * SHORT_WAIT)


async def test_a_loop_that_computes_is_not_overtaken(vipps_sandbox: Sandbox, vipps: VippsSession) -> None:
    """An answer that takes long to be looked at counts as if it had been looked at at once."""
    await reserve(vipps_sandbox, vipps)
    with vipps.listening(compute):
        assert (await vipps.ecom.wait_for(ORDER, timeout=6)).is_reserved
    assert moved(vipps_sandbox) == pytest.approx(3.0, abs=0.3)


def test_nor_is_a_loop_of_another_thread(vipps_sandbox_thread: SandboxThread) -> None:
    """The same in a session's own thread: its loop is asked whether it has anything to do."""
    sandbox = vipps_sandbox_thread
    before = sandbox.clock.now()

    async def pay() -> None:
        async with sandbox.session() as vipps:
            await initiate(vipps, ORDER)
            sandbox.approve(ORDER)
            with vipps.listening(compute):
                assert (await vipps.ecom.wait_for(ORDER, timeout=6)).is_reserved

    asyncio.run(pay())
    assert (sandbox.clock.now() - before).total_seconds() < 5.0


async def test_what_is_under_way_in_a_loop_ends_first() -> None:
    """Callbacks of callbacks run, and requests one after the other, before the clock is moved on."""
    async with Sandbox(longest_wait=0.0) as sandbox:
        timer = sandbox.waits.call_at(sandbox.waits.time() + 3600.0, lambda: None)
        for _ in range(40):
            with sandbox.waits.request():
                await asyncio.sleep(0)
            for _ in range(4):
                await asyncio.sleep(0)
        timer.cancel()
        await asyncio.sleep(0.01)
        assert moved(sandbox) < 1.0


async def test_a_wait_that_is_given_up_moves_nothing() -> None:
    """A cancelled wait leaves the clock alone."""
    async with Sandbox(longest_wait=0.05) as sandbox:
        waiting = asyncio.create_task(sandbox.waits.sleep(3600.0))
        await asyncio.sleep(0)
        waiting.cancel()
        await sandbox.waits.sleep(0.06)
        assert moved(sandbox) < 1.0


async def test_a_sandbox_that_has_ended_moves_no_time() -> None:
    """What still waits then, and what waits later, takes its real time and ends."""
    async with Sandbox(longest_wait=30.0) as sandbox:
        waiting = asyncio.create_task(sandbox.waits.sleep(0.02))
        await asyncio.sleep(0)
    await waiting
    began = time.monotonic()
    await sandbox.waits.sleep(0.02)
    assert time.monotonic() - began > 0.015
    assert moved(sandbox) == 0.0


async def test_waits_are_real_unless_they_are_to_be_short() -> None:
    """Without `longest_wait` a session keeps the machine's clock, and the sandbox's own waits take their time."""
    async with Sandbox() as sandbox:
        began = time.monotonic()
        await sandbox.waits.sleep(0.02)
        assert time.monotonic() - began > 0.015
        assert moved(sandbox) == 0.0
        assert sandbox.faults.stall_seconds == 60.0
        async with sandbox.session() as vipps:
            await initiate(vipps, ORDER)
            sandbox.clock.advance(86_400)
            # By a clock in common the token would have expired, and a second one been fetched.
            assert (await vipps.ecom.details(ORDER)).is_cancelled


@pytest.mark.parametrize("longest", [-0.1, float("inf"), float("nan")])
def test_how_long_a_wait_takes_is_checked(longest: float) -> None:
    """A negative or endless wait is refused at once."""
    with pytest.raises(ValueError, match="longest_wait"):
        Sandbox(longest_wait=longest)


async def test_a_transport_of_ones_own_stays_open(vipps_sandbox: Sandbox) -> None:
    """A transport that was handed in is used, and closed by whoever made it."""
    transport = ScriptedTransport().on("/details", answer(404, {"message": "nothing"}))
    async with vipps_sandbox.session(transport=transport) as vipps:
        with pytest.raises(Exception, match=r"nothing|404"):
            await vipps.ecom.details(ORDER)
    assert len(transport.requests) == 1
    assert transport.closed == 0


async def test_the_environment_leads_to_the_sandbox(vipps_sandbox: Sandbox) -> None:
    """`env` holds all that `from_env` needs."""
    async with VippsSession.from_env(vipps_sandbox.env) as vipps:
        await initiate(vipps, ORDER, amount=nok(100))
    assert vipps_sandbox.payment(ORDER).amount == 10_000
