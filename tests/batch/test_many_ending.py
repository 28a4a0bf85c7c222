"""Many payments at once: stopped, left, cancelled, or ended by a failing journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.batch.many_rows import KEYS, PATIENCE, captured, collect, drain, row, scripted
from tests.batch.shop import stock
from vipps_async import (
    ConfigurationError,
    JournalError,
    SqliteJournal,
    VippsSession,
)
from vipps_async.batch import (
    BatchRow,
    RowOutcome,
    capture_many,
)
from vipps_async.testing import Sandbox, ScriptedTransport
from vipps_async.transports.protocol import Request, Response


class _Held:
    """Answers captures only when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.inside = 0
        self.answered = 0

    async def __call__(self, request: Request) -> Response:
        self.inside += 1
        await self.go.wait()
        self.answered += 1
        return captured(request)

    async def has(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.inside < count:  # noqa: ASYNC110 - the counting is in the transport's own task
                await asyncio.sleep(0.001)


async def test_stopping_finishes_what_is_in_work_and_begins_nothing() -> None:
    """Rows that wait end as not begun; rows behind them are not read."""
    held, stop = _Held(), asyncio.Event()
    read = 0

    async def rows() -> AsyncIterator[BatchRow]:
        nonlocal read
        while True:
            read += 1
            yield row(read)

    async with scripted(held) as vipps:
        task = asyncio.create_task(collect(capture_many(vipps.ecom, rows(), concurrency=4, stop=stop)))
        await held.has(4)
        stop.set()
        await asyncio.sleep(0.01)
        assert not task.done()
        held.go.set()
        results = await task
    outcomes = [result.outcome for result in results.values()]
    assert outcomes.count(RowOutcome.DONE) == 4
    assert outcomes.count(RowOutcome.NOT_BEGUN) == len(outcomes) - 4 <= 4 * 4
    assert held.inside == 4
    assert read <= 4 * 4 + 1


@pytest.mark.parametrize("why", ["rate", "place"])
async def test_stopping_wakes_rows_that_wait_for_their_turn(why: str) -> None:
    """Nobody waits a minute for a turn that will not be taken."""
    held, stop = _Held(), asyncio.Event()
    rate = 0.01 if why == "rate" else None
    async with scripted(held) as vipps:
        rows = [row(number) for number in range(40)]
        task = asyncio.create_task(collect(capture_many(vipps.ecom, rows, concurrency=20, rate=rate, stop=stop)))
        await held.has(1 if why == "rate" else 8)
        stop.set()
        held.go.set()
        results = await task
    assert len(results) == 40
    expected = 1 if why == "rate" else 8
    assert sum(result.outcome is RowOutcome.DONE for result in results.values()) == held.answered == expected


async def test_leaving_the_iteration_finishes_what_is_in_work() -> None:
    """A consumer that has seen enough leaves no capture cut in the middle, and nothing is begun any more."""
    held = _Held()

    async def respond(request: Request) -> Response:
        return captured(request) if request.url.endswith("/order-0/capture") else await held(request)

    async with scripted(respond) as vipps, asyncio.timeout(PATIENCE):
        results = capture_many(vipps.ecom, (row(number) for number in range(1000)), concurrency=4)
        await anext(results)
        await held.has(4)
        leaving = asyncio.create_task(results.aclose())
        await asyncio.sleep(0.01)
        assert not leaving.done()
        held.go.set()
        await leaving
        assert held.inside == held.answered == 4
        await _nothing_runs()


async def test_cancelling_cancels_what_is_in_work(tmp_path: Path) -> None:
    """It ends at once; the journal has what was on its way open, and nothing goes on in the background."""
    held = _Held()
    journal = SqliteJournal(tmp_path / "journal.db")
    await journal.open()
    transport = ScriptedTransport().on("", then=held)
    async with VippsSession(KEYS, transport=transport, journal=journal) as vipps:
        task = asyncio.create_task(
            collect(capture_many(vipps.ecom, [row(number) for number in range(100)], concurrency=4))
        )
        await held.has(4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(PATIENCE):
                await task
        assert held.answered == 0
        await _nothing_runs()
    open_entries = [entry async for entry in journal.open_entries()]
    assert len(open_entries) == 4
    assert all(not entry.owner for entry in open_entries)
    await journal.aclose()


async def _nothing_runs() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if "vipps batch" in task.get_name()] == []


async def test_a_journal_that_fails_ends_the_batch(sandbox: Sandbox, tmp_path: Path) -> None:
    """Without a journal nothing may be sent: the error is raised, and the other rows are not begun."""
    stock(sandbox, 50)
    journal = SqliteJournal(tmp_path / "journal.db")
    await journal.open()
    outcomes: list[RowOutcome] = []

    async def rows() -> AsyncIterator[BatchRow]:
        for number in range(50):
            if number == 20:
                # The session's part in it as well as our own: it is closed under the session's hands.
                await journal.aclose()
                await journal.aclose()
            yield row(number)

    async with sandbox.session(journal=journal) as vipps:
        with pytest.raises(JournalError):
            await drain(capture_many(vipps.ecom, rows(), concurrency=2), outcomes)
    assert outcomes.count(RowOutcome.DONE) < 50
    assert sum(payment.captured > 0 for payment in sandbox.payments) <= outcomes.count(RowOutcome.DONE) + 2


async def test_a_closed_session_ends_the_batch(sandbox: Sandbox) -> None:
    """That is the program's mistake, and no row's."""
    vipps = sandbox.session()
    await vipps.aclose()
    with pytest.raises(ConfigurationError, match="closed"):
        await collect(capture_many(vipps.ecom, [row(0)]))


async def test_a_mistake_in_the_engine_does_not_hang(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody foresaw ends the batch and is raised."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("vipps_async.batch.many.done", broken)
    stock(sandbox, 5)
    async with sandbox.session() as vipps:
        with pytest.raises(ZeroDivisionError):
            await collect(capture_many(vipps.ecom, [row(number) for number in range(5)]))
        await _nothing_runs()


async def test_attempts_are_listened_to_only_while_the_batch_runs(sandbox: Sandbox) -> None:
    """The session does not go on reporting to a batch that has ended."""
    heard: list[tuple[str, int | None]] = []
    stock(sandbox, 1)
    async with sandbox.session() as vipps:
        with vipps.listening(lambda operation, _seconds, status: heard.append((operation, status))):
            await collect(capture_many(vipps.ecom, [row(0)]))
        assert vipps._parts.pipeline.log.listeners == []
        await vipps.ecom.details("order-0")
    assert ("ecom.capture", 200) in heard
    assert "details" not in {operation for operation, _ in heard}
