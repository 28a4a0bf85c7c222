"""A session belongs to the event loop it was first used in, and says so anywhere else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.test_session import CAPTURED, CREDENTIALS
from vipps_async import ConfigurationError, MemoryJournal, VippsSession
from vipps_async.errors import Effect
from vipps_async.one_loop import OneLoop
from vipps_async.testing import ScriptedTransport


async def _capture(vipps: VippsSession) -> object:
    return await vipps.ecom.capture("acme-1", transaction_text="Shipped.")


async def _notify(vipps: VippsSession) -> None:
    vipps.ecom.notify("acme-1")


async def _enter(vipps: VippsSession) -> None:
    await vipps.__aenter__()


USES: dict[str, Callable[[VippsSession], Awaitable[Any]]] = {
    "capture": _capture,
    "details": lambda vipps: vipps.ecom.details("acme-1"),
    "wait_for": lambda vipps: vipps.ecom.wait_for("acme-1", timeout=1),
    "notify": _notify,
    "userinfo": lambda vipps: vipps.userinfo.get("sub"),
    "recover": lambda vipps: vipps.recover(),
    "unfinished": lambda vipps: vipps.unfinished("acme-1"),
    "enter": _enter,
    "close": lambda vipps: vipps.aclose(),
}


async def _used(use: Callable[[VippsSession], Awaitable[Any]], vipps: VippsSession) -> None:
    await use(vipps)


@pytest.mark.parametrize("name", USES)
async def test_another_thread_is_refused(name: str) -> None:
    """While one loop uses a session, a loop in another thread can do nothing with it: nothing is noted or sent."""
    transport = ScriptedTransport().on("/capture", CAPTURED)
    journal = MemoryJournal()
    async with VippsSession(CREDENTIALS, transport=transport, journal=journal) as vipps:
        await _capture(vipps)
        with ThreadPoolExecutor(1) as thread:
            using = thread.submit(asyncio.run, _used(USES[name], vipps))
            error = await asyncio.get_running_loop().run_in_executor(None, using.exception)
        assert isinstance(error, ConfigurationError)
        assert error.effect is Effect.NONE
        assert "used in another event loop: it belongs to the loop it was first used in" in str(error)
        assert "make one VippsSession in each event loop" in str(error)
        assert len(transport.requests) == 1
        assert [entry async for entry in journal.open_entries()] == []


async def test_a_thread_without_a_loop_is_refused() -> None:
    """What can be called without a loop is refused in a thread that has none."""
    async with VippsSession(CREDENTIALS, transport=ScriptedTransport()) as vipps:
        with pytest.raises(ConfigurationError, match="in a thread without an event loop"):
            await asyncio.to_thread(vipps.ecom.notify, "acme-1")


def test_a_loop_that_has_ended() -> None:
    """Each `asyncio.run` makes a new loop: a session of an earlier one is refused, and says that the loop has ended."""
    vipps = VippsSession(CREDENTIALS, transport=ScriptedTransport().on("/capture", CAPTURED))
    asyncio.run(_used(_capture, vipps))
    with pytest.raises(ConfigurationError, match="first used in, which has ended"):
        asyncio.run(_used(_capture, vipps))
    asyncio.run(vipps.aclose())


def test_a_session_that_was_not_used_belongs_to_no_loop() -> None:
    """It may be made, told of news, and closed anywhere before its first use."""
    transport = ScriptedTransport().on("/capture", CAPTURED)
    vipps = VippsSession(CREDENTIALS, transport=transport)
    vipps.ecom.notify("acme-1")
    assert transport.requests == []
    asyncio.run(_used(_capture, vipps))
    assert len(transport.requests) == 1
    with pytest.raises(ConfigurationError, match="in a thread without an event loop"):
        vipps.ecom.notify("acme-1")
    unused = VippsSession(CREDENTIALS, transport=transport)
    for _ in range(2):  # Each time in another loop: none has it.
        asyncio.run(unused.aclose())
    assert len(transport.requests) == 1


def test_two_threads_at_the_same_time() -> None:
    """Of many threads that are the first at once, one has the session."""
    for _ in range(50):
        one_loop, start = OneLoop(), threading.Barrier(4)

        async def use(one_loop: OneLoop = one_loop, start: threading.Barrier = start) -> bool:
            start.wait(5)
            try:
                one_loop.check()
            except ConfigurationError:
                return False
            return True

        with ThreadPoolExecutor(4) as threads:
            assert sum(threads.map(asyncio.run, [use() for _ in range(4)])) == 1
