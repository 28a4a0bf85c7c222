"""A capture that is cancelled at any of its suspensions leaves session, journal and Vipps in a state that is known."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.faults.interrupt import AtSuspension
from tests.faults.shop import CREDENTIALS, TWO_TRIES, Fault, LossyTransport, Shop, open_shop
from vipps_async import AiohttpTransport, SqliteJournal, VippsSession, nok
from vipps_async.journals.entries import Outcome
from vipps_async.journals.memory import MemoryJournal
from vipps_async.journals.protocol import Journal

#: More suspensions than a capture can have: a walk that gets here does not end.
_TOO_MANY = 200
#: How each walk begins, and at how many suspensions a capture then has at least: the wait for a token, for a
#: connection, for the answer, for the pause before the second attempt.
_BEGINNINGS = {"warm": 1, "cold": 2, "reconnecting": 2, "retrying": 3}


def _tasks() -> set[asyncio.Task[Any]]:
    # The sandbox has one task for each connection, which ends some time after it, and workers for callbacks,
    # which begin with the first one.
    own = ("RequestHandler", "run_workers")
    return {task for task in asyncio.all_tasks() if not any(name in repr(task.get_coro()) for name in own)}


class Walk:
    """One capture after the other, each cancelled one suspension later than the one before."""

    def __init__(self, shop: Shop, *, beginning: str, journalled: bool) -> None:
        self.shop = shop
        self.beginning = beginning
        self.journalled = journalled

    async def run(self) -> int:
        """Walk until a capture completes uncancelled; return how many were cancelled."""
        for number in range(1, _TOO_MANY):
            if not await self.step(number):
                return number - 1
        raise AssertionError("unreachable: the walk does not end")

    async def step(self, number: int) -> bool:
        """Cancel one capture at one suspension; False if it was over before."""
        order_id = f"order-{number}"
        await self.shop.reserve(order_id)
        before = _tasks()
        connector = aiohttp.TCPConnector(force_close=self.beginning == "reconnecting")
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as client:
            line = LossyTransport(AiohttpTransport(client))
            if self.beginning == "retrying":
                line.fail("/capture", Fault.LOSE_ANSWER)
            vipps = VippsSession(
                CREDENTIALS,
                base_url=self.shop.sandbox.url,
                transport=line,
                journal=self.shop.journal if self.journalled else None,
                retry=TWO_TRIES,
            )
            async with vipps:
                if self.beginning != "cold":
                    await vipps.ecom.details(order_id)
                cancelled = await self.cancelled_capture(vipps, order_id, number)
                await self.still_works(vipps, order_id, cancelled=cancelled)
                # Only now: a token fetch that others may wait for goes on when one who waited is cancelled.
                assert not connector._acquired, "a connection was not given back"
        assert _tasks() <= before, "a task was left behind"
        return cancelled

    async def cancelled_capture(self, vipps: VippsSession, order_id: str, number: int) -> bool:
        """Capture in a task that cancels itself at its n-th suspension; True if it came to that."""

        async def body() -> None:
            task = asyncio.current_task()
            assert task is not None
            key = {} if self.journalled else {"idempotency_key": order_id}
            call = vipps.ecom.capture(order_id, amount=nok(100), transaction_text="Shipped", **key)
            await AtSuspension(call, number, task.cancel)

        task = asyncio.create_task(body())
        done, _ = await asyncio.wait({task}, timeout=10)
        assert done, "a cancelled capture does not end"
        if not task.cancelled():
            task.result()
        return task.cancelled()

    async def still_works(self, vipps: VippsSession, order_id: str, *, cancelled: bool) -> None:
        """Hold session, journal and sandbox against each other."""
        assert (await vipps.ecom.details(order_id)).order_id == order_id
        if self.journalled:
            await self.journal_is_true(vipps, order_id, cancelled=cancelled)
        else:
            # Without a journal the caller has the key that it passed: the same again has no further effect.
            await vipps.ecom.capture(order_id, amount=nok(100), transaction_text="Shipped", idempotency_key=order_id)
            assert self.shop.sandbox.payment(order_id).request_ids == (order_id,)

    async def journal_is_true(self, vipps: VippsSession, order_id: str, *, cancelled: bool) -> None:
        """The entry is missing (nothing was sent), open (and can be found), or done (and it is)."""
        entries = await self.shop.entries(order_id)
        if not entries:
            assert cancelled
            assert self.shop.sandbox.payment(order_id).captured == 0
            return
        (entry,) = entries
        if entry.settlement is not None:
            assert entry.settlement.outcome is Outcome.DONE
            assert self.shop.sandbox.payment(order_id).request_ids == (entry.intent.key,)
            return
        assert cancelled
        (left,) = await vipps.unfinished(order_id)
        assert left.intent.key == entry.intent.key
        # One that was cancelled while its outcome was being written is leased until its lease ends.
        self.shop.hands.let_leases_run_out()
        report = await vipps.recover()
        assert report.is_complete
        assert self.shop.sandbox.payment(order_id).request_ids == (entry.intent.key,)
        assert await vipps.unfinished(order_id) == []


@pytest.mark.parametrize("beginning", _BEGINNINGS)
@pytest.mark.parametrize("kind", ["memory", "sqlite", "none"])
async def test_cancelled_at_every_suspension(kind: str, beginning: str, tmp_path: Path) -> None:
    """After each: the session works, no connection or task is left, the journal is true, recovery settles it."""
    async with open_shop() as shop:
        journal: Journal = MemoryJournal(clock=shop.hands)
        if kind == "sqlite":
            journal = SqliteJournal(tmp_path / "journal.db", clock=shop.hands)
        await journal.open()
        shop.journal = journal
        try:
            cancelled = await Walk(shop, beginning=beginning, journalled=kind != "none").run()
        finally:
            await journal.aclose()
    # The intent on its way to the disk is one more suspension.
    assert cancelled >= _BEGINNINGS[beginning] + (kind == "sqlite")


async def test_cancelled_while_it_waits_to_try_again() -> None:
    """A cancellation between two attempts leaves the entry open, with the reason, and leased by nobody."""
    async with open_shop() as shop:
        await shop.reserve("order-1")
        waiting = asyncio.Event()
        vipps = shop.session(retry=TWO_TRIES)

        async def sleep(seconds: float) -> None:
            waiting.set()
            await asyncio.Event().wait()

        shop.line.fail("/capture", Fault.LOSE_ANSWER)
        vipps._parts.pipeline.clock.sleep = sleep  # type: ignore[method-assign]  # the pause that is cancelled
        task = asyncio.create_task(vipps.ecom.capture("order-1", transaction_text="Shipped"))
        await asyncio.wait_for(waiting.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        entry = await shop.entry("order-1")
        assert (entry.settlement, entry.owner) == (None, "")
        assert "CancelledError" in entry.note
        assert (await shop.session().recover()).proven == 1


async def test_a_time_limit_of_the_caller_leaves_the_key_to_be_found() -> None:
    """Cancelled by `asyncio.timeout`, the caller finds the key in the journal and goes on with it."""
    async with open_shop() as shop:
        await shop.reserve("order-1")
        vipps = shop.session()
        inner = shop.line.inner

        class Deaf:
            async def send(self, request: Any) -> Any:
                answer = await inner.send(request)
                if request.url.endswith("/capture"):
                    await asyncio.Event().wait()
                return answer

            async def aclose(self) -> None:
                await inner.aclose()

        shop.line.inner = Deaf()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await vipps.ecom.capture("order-1", amount=nok(100), transaction_text="Shipped")
        shop.line.inner = inner
        (left,) = await vipps.unfinished("order-1")
        await vipps.ecom.capture(
            "order-1", amount=nok(100), transaction_text="Shipped", idempotency_key=left.intent.key
        )
        assert shop.sandbox.payment("order-1").captured == 10_000
