"""Many payments at once: the pace follows Vipps' answers, and a rate is a limit."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.batch.many_rows import KEYS, PATIENCE, captured, collect, drain, row, scripted
from tests.batch.shop import stock
from vipps_async import (
    JournalError,
    MemoryJournal,
    TransportError,
    VippsSession,
)
from vipps_async.batch import (
    RowOutcome,
    capture_many,
)
from vipps_async.not_given import NOT_GIVEN
from vipps_async.testing import Sandbox, ScriptedTransport, answer
from vipps_async.transports.protocol import Request, Response


async def test_it_slows_down_when_vipps_says_too_much_and_speeds_up_again() -> None:
    """While Vipps throttles, few rows are on their way at once; afterwards there are more again."""
    inside, most = 0, {"before": 0, "during": 0, "after": 0}
    phase = "before"

    async def respond(request: Request) -> Response:
        nonlocal inside
        inside += 1
        most[phase] = max(most[phase], inside)
        await asyncio.sleep(0.005)
        inside -= 1
        return answer(429, b"") if phase == "throttling" else captured(request)

    most["throttling"] = 0
    async with scripted(respond) as vipps, asyncio.timeout(PATIENCE):
        results = capture_many(vipps.ecom, (row(number) for number in range(100_000)), concurrency=32)
        done = 0
        async for result in results:
            done += 1
            if phase == "before" and most["before"] == 32:
                phase = "throttling"
            elif phase == "throttling" and result.outcome is RowOutcome.NOT_DONE:
                phase = "draining"
                done = 0
            elif phase == "draining" and done > 64:
                most["during"] = 0
                phase = "during"
                done = 0
            elif phase == "during" and done > 40:
                phase = "after"
            elif phase == "after" and most["after"] > most["during"] + 2:
                break
            most.setdefault("draining", 0)
        await results.aclose()
    assert most["before"] == 32
    assert most["during"] < 32
    assert most["after"] > most["during"]


async def test_turns_may_come_from_elsewhere(sandbox: Sandbox) -> None:
    """A rate that is shared with others is asked before each row, and waited for."""
    stock(sandbox, 6)

    class Slots:
        taken = 0

        async def slot(self, now: float) -> float:
            self.taken += 1
            return 0.02

    slots = Slots()
    async with sandbox.session() as vipps:
        found = await collect(capture_many(vipps.ecom, [row(number) for number in range(6)], rate=slots))
    assert {result.outcome for result in found.values()} == {RowOutcome.DONE}
    assert slots.taken == 6


async def test_rows_that_are_done_take_no_turn(sandbox: Sandbox) -> None:
    """Nothing is sent for them: a file that is run again is through at once, and the new row alone has its turn.

    Neither another wish under another key nor what was refused counts as done.
    """
    stock(sandbox, 8)

    class Slots:
        taken = 0

        async def slot(self, now: float) -> float:
            self.taken += 1
            return 0.0

    slots = Slots()
    async with sandbox.session(journal=MemoryJournal()) as vipps:
        await collect(capture_many(vipps.ecom, [row(number) for number in range(6)], rate=slots))
        assert slots.taken == 6
        again = [*(row(number) for number in range(6)), row(6), row(0, amount=NOT_GIVEN, reference="the rest")]
        found = await collect(capture_many(vipps.ecom, again, rate=slots))
        outcomes = [found[each.reference or ""].outcome for each in again]
        assert outcomes == [RowOutcome.DONE_BEFORE] * 6 + [RowOutcome.DONE, RowOutcome.REFUSED]
        assert slots.taken == 8
        # Of one that was refused before, Vipps is asked why.
        await collect(capture_many(vipps.ecom, again[-1:], rate=slots))
        assert slots.taken == 9


async def test_a_journal_that_cannot_be_asked_ends_a_batch_with_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """No row is sent by guess: it ends with the journal's error, and nothing was begun."""
    journal = MemoryJournal()

    async def broken(**_: str) -> list[Any]:
        raise JournalError("the disk is gone")

    outcomes: list[RowOutcome] = []
    async with VippsSession(KEYS, transport=ScriptedTransport(), journal=journal) as vipps, asyncio.timeout(PATIENCE):
        monkeypatch.setattr(journal, "find", broken)
        with pytest.raises(JournalError, match="the disk is gone"):
            await drain(capture_many(vipps.ecom, [row(0), row(1)], rate=50), outcomes)
    assert set(outcomes) == {RowOutcome.NOT_BEGUN}


async def test_the_rate_is_a_limit() -> None:
    """With twenty rows a second, ten rows take at least almost half a second, however quick Vipps is."""
    async with scripted(captured) as vipps:
        started = time.monotonic()
        await collect(capture_many(vipps.ecom, [row(number) for number in range(10)], rate=20))
    assert time.monotonic() - started >= 0.4


async def test_wrong_keys_end_it_at_once() -> None:
    """A million rows with the wrong keys are one refusal, not a million."""
    transport = ScriptedTransport().on("/accesstoken/get", then=answer(401, {"error": "unauthorized_client"}))
    outcomes: list[RowOutcome] = []
    async with VippsSession(KEYS, transport=transport) as vipps, asyncio.timeout(PATIENCE):
        with pytest.raises(TransportError, match="rest of the batch was not begun"):
            await drain(capture_many(vipps.ecom, (row(number) for number in range(10_000)), concurrency=4), outcomes)
    assert set(outcomes) <= {RowOutcome.NOT_DONE, RowOutcome.NOT_BEGUN}
    assert len(outcomes) <= 4 * 4 + 4


async def test_an_outage_pauses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing is answered any more, rows are not burnt one after the other: it waits."""
    waits: list[float] = []

    async def wait(_gate: object, seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr("vipps_async.core.batch_limit.BatchLimiter._wait", wait)
    monkeypatch.setattr("vipps_async.core.batch_limit._BATCH_FIRST_PAUSE", 0.01)
    monkeypatch.setattr("vipps_async.core.batch_limit._BATCH_LONGEST_PAUSE", 0.01)
    outcomes: list[RowOutcome] = []
    async with scripted(lambda _: answer(500, b"")) as vipps, asyncio.timeout(PATIENCE):
        with pytest.raises(TransportError, match="no row gets a usable answer"):
            await drain(capture_many(vipps.ecom, (row(number) for number in range(10_000)), concurrency=2), outcomes)
    assert waits
    assert 12 <= len(outcomes) < 200
