"""Workers in trouble: cut short, robbed of a chunk, without a database; nothing is lost and nothing done twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from procrastinate import App, utils
from procrastinate.exceptions import ConnectorException
from procrastinate.manager import JobManager

from tests.batch.distributed.machines import (
    PATIENCE,
    all_once,
    captured,
    opened,
    rows_of,
    status,
    submitted,
    tasks,
    until,
    working,
)
from tests.batch.shop import MSN, stock
from vipps_async import PostgresJournal, RetryPolicy
from vipps_async.batch import RowOutcome
from vipps_async.batch.distributed.chunks import Chunks
from vipps_async.batch.distributed.database import BatchDatabase
from vipps_async.errors import JournalError
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox

ONE_TRY = RetryPolicy(attempts=1)
SHORT = "vipps_async.batch.distributed.work._PAUSE"


async def test_a_worker_that_is_cut_short_leaves_it_to_others(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """In the middle of requests: whoever misses it takes the chunk over within seconds, and moves nothing twice."""
    stock(sandbox, 40)
    sandbox.faults.stall_seconds = 30
    sandbox.faults.script("capture", Fault.STALL_AFTER_EFFECT, order_id="order-30")
    sandbox.faults.script("capture", Fault.STALL_BEFORE_EFFECT, order_id="order-31")
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(40))
        async with tasks(postgres_dsn, schema, sandbox, concurrency=4) as found, working(found) as worker:
            await until(lambda: captured(sandbox) >= 39)
            worker.kill()
        assert not (await status(database, batch.batch)).is_ended
        began = asyncio.get_running_loop().time()
        async with tasks(postgres_dsn, schema, sandbox) as other, working(other, once=True):
            pass
        assert asyncio.get_running_loop().time() - began < 15
        assert (await status(database, batch.batch)).totals.outcomes == {RowOutcome.DONE: 40}
    assert all_once(sandbox)


async def test_a_chunk_that_another_took_ends_here(
    postgres_dsn: str, schema: str, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker notices within seconds, writes nothing any more, and goes on with what it is given next."""
    stock(sandbox, 100)
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(100), chunk_size=100, rate=50)
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found):
            await until(lambda: captured(sandbox) >= 10)
            await database.rows(
                "UPDATE {schema}.batch_chunks "
                "SET epoch = epoch + 1, owner = 'another', seen_at = now() - interval '2 s'"
            )
            stopped_at = captured(sandbox)
            await until(lambda: not found.runner._runs)
            # What had passed the journal when it was taken away, and what waited for its turn at most.
            assert captured(sandbox) <= stopped_at + 8
            state = await database.rows("SELECT state, owner FROM {schema}.batch_chunks")
            assert state == [("running", "another")]
            # The other one never shows a sign of life, so it comes back: under a new epoch.
            await until(lambda: captured(sandbox) == 100)
            async with asyncio.timeout(PATIENCE):
                while not (await status(database, batch.batch)).is_ended:  # noqa: ASYNC110 - done elsewhere
                    await asyncio.sleep(0.1)
        assert (await status(database, batch.batch)).totals.outcomes == {RowOutcome.DONE: 100}
    assert all_once(sandbox)


async def test_a_database_that_drops_every_connection_is_outlived(
    postgres_dsn: str, schema: str, sandbox: Sandbox
) -> None:
    """Again and again: workers connect anew and go on, without a person."""
    stock(sandbox, 120)

    async def drop(database: BatchDatabase) -> None:
        await database.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND (query LIKE %s OR application_name LIKE 'vipps_async batch')",
            (f"%{schema}%",),
        )

    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(120), chunk_size=30, rate=60)
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            for share in (20, 60):
                await until(lambda share=share: captured(sandbox) >= share)  # type: ignore[misc]  # a default binds it
                await drop(database)
        stands = await status(database, batch.batch)
    assert stands.totals.outcomes == {RowOutcome.DONE: 120}
    assert all_once(sandbox)


async def test_rows_that_the_fence_kept_back_lose_no_try(
    postgres_dsn: str, schema: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that stood still says nothing about the rows: they are sent when it is sure of them again."""
    stock(sandbox, 2)
    monkeypatch.setattr("vipps_async.batch.distributed.work._AFTER_DATABASE", 0.1)
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(2))
        async with tasks(postgres_dsn, schema, sandbox, retry=ONE_TRY) as found, working(found, once=True):
            with monkeypatch.context() as patch:
                patch.setattr("vipps_async.batch.distributed.fence._OWN_FOR", -1.0)
                await until(lambda: found.runner.done.chunks >= 4)
            assert captured(sandbox) == 0
            assert await database.rows("SELECT round FROM {schema}.batch_chunks") == [(0,)]
        assert (await status(database, batch.batch)).totals.outcomes == {RowOutcome.DONE: 2}
    assert all_once(sandbox)


async def test_what_a_lost_worker_had_leased_need_not_be_waited_for(
    postgres_dsn: str, schema: str, sandbox: Sandbox
) -> None:
    """An intent that it left behind holds a lease of a minute and a half: with the epoch its right to it has gone."""
    stock(sandbox, 5)
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(5))
        async with tasks(postgres_dsn, schema, sandbox) as found:
            claim = await found.chunks.claim(
                batch.batch,
                0,
                owner="lost",
                merchant_serial_number=MSN,
                environment="test",
                base_url=sandbox.url,
            )
            assert claim is not None
            sandbox.faults.stall_seconds = 30
            sandbox.faults.script("capture", Fault.STALL_BEFORE_EFFECT, order_id="order-2")
            row = (await found.chunks.rows(claim))[2].row
            await found.chunks.finish(claim, [], counts=False)
            await _leave_behind(postgres_dsn, schema, sandbox, row.idempotency_key(claim.operation, MSN))
        async with tasks(postgres_dsn, schema, sandbox) as other, working(other, once=True):
            pass
        assert (await status(database, batch.batch)).totals.outcomes == {RowOutcome.DONE: 5}
        assert await database.rows("SELECT round FROM {schema}.batch_chunks") == [(1,)]
    assert all_once(sandbox)


async def _leave_behind(dsn: str, schema: str, sandbox: Sandbox, key: str) -> None:
    """Begin a capture and drop dead: a cancelled task would end its lease."""
    journal = PostgresJournal(dsn, schema=schema)
    await journal.open()
    async with sandbox.session(journal=journal) as vipps:
        call = asyncio.create_task(
            vipps.ecom.capture("order-2", transaction_text="Shipped.", amount=1000, idempotency_key=key)
        )
        await until(lambda: any(request.operation == "capture" for request in sandbox.requests) or _stalls(sandbox))

        async def nothing(*_: object, **__: object) -> None:
            return None

        journal.release = nothing  # type: ignore[method-assign]  # a process that dies says nothing any more
        call.cancel()
        await asyncio.wait({call})
    await journal.aclose()


def _stalls(sandbox: Sandbox) -> bool:
    return sum(sandbox.faults.counts.values()) > 0


async def test_a_dead_workers_job_is_cleared_away(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """A worker that died after it was given a job and before it took the chunk: the job goes, the chunk is done."""
    stock(sandbox, 5)
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(5))
        await database.rows(
            "WITH dead AS (INSERT INTO {schema}.procrastinate_workers (last_heartbeat) "
            "VALUES (now() - interval '20 s') RETURNING id) "
            "UPDATE {schema}.procrastinate_jobs SET status = 'doing', worker_id = (SELECT id FROM dead)"
        )
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        assert (await status(database, batch.batch)).totals.outcomes == {RowOutcome.DONE: 5}
        assert await database.rows(
            "SELECT count(*) FROM {schema}.procrastinate_jobs WHERE task_name LIKE %s", ("%chunk",)
        ) == [(0,)]


async def test_results_that_cannot_be_saved_now_are_saved_later(
    postgres_dsn: str, schema: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is away for a moment, on the way and at the end: nothing is lost, nothing is done over."""
    stock(sandbox, 30)
    failures = Counter[str]()

    def failing(name: str, times: int) -> None:
        real = getattr(Chunks, name)

        async def method(self: Chunks, *arguments: object, **options: object) -> object:
            if failures[name] < times:
                failures[name] += 1
                raise JournalError("made to fail")
            return await real(self, *arguments, **options)

        monkeypatch.setattr(Chunks, name, method)

    monkeypatch.setattr("vipps_async.batch.distributed.work._SAVE", 5)
    for name, times in {"save": 2, "finish": 2, "heartbeat": 1}.items():
        failing(name, times)
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(30), rate=20)
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        assert (await status(database, batch.batch)).totals.outcomes == {RowOutcome.DONE: 30}
        assert await database.rows("SELECT round FROM {schema}.batch_chunks") == [(1,)]
    assert failures == {"save": 2, "finish": 2, "heartbeat": 1}
    assert len([request for request in sandbox.requests if request.operation == "capture"]) == 30


async def test_an_end_that_cannot_be_written_for_long_is_left_to_others(
    postgres_dsn: str, schema: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an error of the job, not an endless wait; the chunk is missed, and taken up again."""

    async def fail(*_: object, **__: object) -> bool:
        raise JournalError("made to fail")

    stock(sandbox, 3)
    monkeypatch.setattr("vipps_async.batch.distributed.work._PATIENCE", 0.0)
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(3))
        async with tasks(postgres_dsn, schema, sandbox) as found:
            with monkeypatch.context() as patch:
                patch.setattr(Chunks, "finish", fail)
                with pytest.raises(JournalError, match="made to fail"):
                    await found.runner.run(batch.batch, 0)
            await found.runner.run(batch.batch, 0)
            assert (await status(database, batch.batch)).running == 1
            await database.rows("UPDATE {schema}.batch_chunks SET seen_at = now() - interval '1 minute'")
            await found.runner.run(batch.batch, 0)
        assert (await status(database, batch.batch)).totals.outcomes == {RowOutcome.DONE: 3}
    assert all_once(sandbox)


async def test_a_chunk_that_was_lost_before_its_results_were_saved(
    postgres_dsn: str, schema: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found out while saving, or by the next sign of life: the worker lets go of it without an error."""
    stock(sandbox, 40)
    monkeypatch.setattr("vipps_async.batch.distributed.work._SAVE_EVERY", 0.05)
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(40), rate=20)
        for beat_every in (60.0, 0.1):
            monkeypatch.setattr("vipps_async.batch.distributed.work.HEARTBEAT_EVERY", beat_every)
            monkeypatch.setattr("vipps_async.batch.distributed.work._SAVE_EVERY", beat_every / 10)
            async with tasks(postgres_dsn, schema, sandbox) as found:
                before = captured(sandbox)
                run = asyncio.create_task(found.runner.run(batch.batch, 0))
                await until(lambda before=before: captured(sandbox) > before)  # type: ignore[misc]  # a default binds it
                await database.rows(
                    "UPDATE {schema}.batch_chunks SET epoch = epoch + 1, seen_at = now() - interval '1 minute'"
                )
                if beat_every == 60.0:
                    monkeypatch.setattr("vipps_async.batch.distributed.work._SAVE_EVERY", 0.0)
                async with asyncio.timeout(PATIENCE):
                    await run
                assert found.runner.done.chunks == 0
                assert not found.runner._runs
        assert captured(sandbox) < 40


async def test_a_database_that_is_away_is_tried_again(
    postgres_dsn: str, schema: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Procrastinate gives up at the first error: it is begun anew, as another worker, until it works."""
    stock(sandbox, 5)
    monkeypatch.setattr("vipps_async.batch.distributed.worker._AGAIN_IN", 0.1)
    left = [ConnectorException(), ConnectorException()]
    real = App.run_worker_async

    async def fail(app: App, **options: Any) -> None:
        if left:
            raise left.pop()
        await real(app, **options)

    monkeypatch.setattr(App, "run_worker_async", fail)
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(5))
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        assert (await status(database, batch.batch)).totals.outcomes == {RowOutcome.DONE: 5}
    assert not left


async def test_a_cancellation_that_gets_lost_keeps_no_worker(
    postgres_dsn: str, schema: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to end while it registers itself, a worker may not hear of it: then it is told once more."""
    monkeypatch.setattr("vipps_async.batch.distributed.worker._CANCEL_AGAIN", 0.1)
    register = JobManager.register_worker
    waiting: list[bool] = []

    async def deaf(self: JobManager) -> int:
        # As `asyncio.wait_for` does when what it waits for comes at that moment.
        waiting.append(True)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(PATIENCE)
        return await register(self)

    monkeypatch.setattr(JobManager, "register_worker", deaf)
    async with tasks(postgres_dsn, schema, sandbox) as found, working(found):
        await until(lambda: len(waiting) == 3)


async def test_a_job_that_failed_is_queued_again_whatever_the_workers_clock_says(
    postgres_dsn: str, schema: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clock is an hour ahead: the chunk rests for seconds, not for an hour."""
    stock(sandbox, 5)
    now, claim = utils.utcnow, Chunks.claim
    monkeypatch.setattr(utils, "utcnow", lambda: now() + timedelta(hours=1))
    failed: list[bool] = []

    async def fails_once(self: Chunks, batch: int, chunk: int, **named: Any) -> Any:
        if not failed:
            failed.append(True)
            raise JournalError("the database is away")
        return await claim(self, batch, chunk, **named)

    monkeypatch.setattr(Chunks, "claim", fails_once)
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(5))
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        assert (await status(database, batch.batch)).totals.outcomes == {RowOutcome.DONE: 5}
    assert failed
    assert all_once(sandbox)
