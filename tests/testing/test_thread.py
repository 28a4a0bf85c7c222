"""A sandbox in a thread of its own: all of it without an event loop, and sessions that live in other threads."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta

import pytest

from vipps_async import MemoryJournal, PaymentPending, RequestNotSent, RetryPolicy, VippsSession, nok
from vipps_async.testing import Customer, Fault, Sandbox, SandboxError, SandboxThread, State


async def _initiate(vipps: VippsSession, order_id: str) -> None:
    await vipps.ecom.initiate(
        order_id=order_id,
        amount=nok(100),
        transaction_text="Socks.",
        callback_prefix="https://shop.example/vipps",
        fall_back="https://shop.example/thanks",
    )


def _make(sandbox: SandboxThread, *order_ids: str) -> None:
    async def made() -> None:
        async with sandbox.session() as vipps:
            for order_id in order_ids:
                await _initiate(vipps, order_id)

    asyncio.run(made())


def test_a_customer_acts_and_what_moved_is_seen(vipps_sandbox_thread: SandboxThread) -> None:
    """Approve, decline and time out; payments, requests and callbacks can be looked at."""
    sandbox = vipps_sandbox_thread
    _make(sandbox, "order-1", "order-2", "order-3", "order-4")
    assert sandbox.approve("order-1", customer=Customer()).state is State.RESERVE
    assert sandbox.reject("order-2").state is State.CANCEL
    assert sandbox.open("order-3").state is State.INITIATE
    assert sandbox.landing_url("order-3").startswith(sandbox.url)
    assert sandbox.expire("order-3").state is State.CANCEL
    sandbox.clock.advance(timedelta(minutes=11))
    assert sandbox.payment("order-4").state is State.CANCEL
    assert [payment.order_id for payment in sandbox.payments] == ["order-1", "order-2", "order-3", "order-4"]
    assert [request.operation for request in sandbox.requests] == ["token", *["initiate"] * 4]
    sandbox.callbacks_delivered()
    assert {callback.order_id for callback in sandbox.callbacks} == {"order-1", "order-2", "order-3", "order-4"}
    assert sandbox.url.startswith("http://127.0.0.1:")
    assert sandbox.env["VIPPS_BASE_URL"] == sandbox.url
    with pytest.raises(SandboxError):
        sandbox.payment("order-5")


def test_a_session_in_another_thread_has_the_same_short_waits(vipps_sandbox_thread: SandboxThread) -> None:
    """Waiting for a customer, a held request and a stall take seconds of the sandbox's clock, and no real ones."""
    sandbox = vipps_sandbox_thread
    before = sandbox.clock.now()

    async def pay() -> None:
        async with sandbox.session() as vipps:
            await _initiate(vipps, "order-1")
            sandbox.approve("order-1")
            assert (await vipps.ecom.wait_for("order-1", timeout=600)).is_reserved
            sandbox.faults.script("capture", Fault.STALL_BEFORE_EFFECT)
            await vipps.ecom.capture("order-1", transaction_text="Shipped.")

    asyncio.run(pay())
    assert timedelta(seconds=19) < sandbox.clock.now() - before < timedelta(seconds=27)
    assert sandbox.payment("order-1").captured == 10_000
    assert sandbox.deliver_held() == 0


def test_a_session_outlives_its_sandbox() -> None:
    """What a session waits for after the sandbox's end passes in real time, and it closes as ever."""

    async def wait() -> None:
        with SandboxThread() as sandbox:
            vipps = sandbox.session(retry=RetryPolicy(attempts=2, base=0.001))
            await _initiate(vipps, "order-1")
        async with vipps:
            with pytest.raises(RequestNotSent):
                await vipps.ecom.details("order-1")

    asyncio.run(wait())


def test_code_that_takes_its_session_from_the_environment(
    vipps_sandbox_thread: SandboxThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`session` can stand in the place of `from_env`, journal and all."""
    monkeypatch.setattr(VippsSession, "from_env", vipps_sandbox_thread.session)

    async def work() -> None:
        async with VippsSession.from_env(journal=MemoryJournal()) as vipps:
            await _initiate(vipps, "order-1")

    asyncio.run(work())
    assert vipps_sandbox_thread.payment("order-1").amount == 10_000


def test_a_loop_that_has_ended_keeps_nobody_waiting(vipps_sandbox_thread: SandboxThread) -> None:
    """What was left waiting in a loop that runs no more holds up no wait of another one."""
    sandbox = vipps_sandbox_thread
    before = sandbox.clock.now()

    async def leave() -> None:
        async with sandbox.session() as vipps:
            await _initiate(vipps, "order-1")
            sandbox.faults.script("details", Fault.STALL_BEFORE_EFFECT)
            asking = asyncio.create_task(vipps.ecom.details("order-1"))
            await asyncio.sleep(0)
            asking.cancel()
            clock = sandbox._sandbox.waits
            clock.call_at(clock.time() + 20.0, lambda: None)

    async def wait() -> None:
        async with sandbox.session() as vipps:
            with pytest.raises(PaymentPending):
                await vipps.ecom.wait_for("order-1", timeout=60)

    asyncio.run(leave())
    asyncio.run(wait())
    assert timedelta(seconds=59) < sandbox.clock.now() - before < timedelta(seconds=90)


def test_connections_can_be_refused(vipps_sandbox_thread: SandboxThread) -> None:
    """Whoever connects meanwhile is refused, and served again afterwards."""
    sandbox = vipps_sandbox_thread

    async def work() -> None:
        async with sandbox.session(retry=RetryPolicy(attempts=2)) as vipps:
            with sandbox.refusing_connections(), pytest.raises(RequestNotSent):
                await _initiate(vipps, "order-1")
            await _initiate(vipps, "order-1")

    asyncio.run(work())
    assert len(sandbox.payments) == 1


def test_one_that_cannot_start_says_why() -> None:
    """A port that is taken is told to whoever starts it; afterwards it does not run."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        sandbox = SandboxThread(Sandbox(port=taken.getsockname()[1]))
        with pytest.raises(OSError, match="address already in use"), sandbox:
            pass
    with pytest.raises(RuntimeError, match="does not run"):
        _ = sandbox.payments


def test_it_runs_once() -> None:
    """A second start is refused, while it runs and afterwards; what it is asked after its end is refused, too."""
    sandbox = SandboxThread()
    with sandbox, pytest.raises(RuntimeError, match="has been started"):
        sandbox.__enter__()
    with pytest.raises(RuntimeError, match="does not run"):
        sandbox.approve("order-1")
    sandbox.__exit__(None, None, None)
    with pytest.raises(RuntimeError, match="has been started"):
        sandbox.__enter__()
