"""Workers and a batch: who takes what, what ends how, and what is tried again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from procrastinate import App
from procrastinate.exceptions import ConnectorException

from tests.batch.distributed.machines import HEADING, PATIENCE, opened, rows_of, status, submitted, tasks, working
from tests.batch.shop import MSN, stock
from vipps_async import RetryPolicy
from vipps_async.batch import BatchOperation, RowOutcome
from vipps_async.batch.distributed.chunks import Chunks
from vipps_async.batch.distributed.database import BatchDatabase
from vipps_async.batch.distributed.tasks import BatchTasks
from vipps_async.batch.distributed.worker import BatchWorker
from vipps_async.errors import ConfigurationError, JournalError
from vipps_async.journals import PostgresJournal
from vipps_async.sandbox import Fault, SandboxCredentials
from vipps_async.testing import Sandbox

ONE_TRY = RetryPolicy(attempts=1)
SHORT = "vipps_async.batch.distributed.work._PAUSE"


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the sandbox or another task does."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - done elsewhere
            await asyncio.sleep(0.01)


def captured(sandbox: Sandbox) -> int:
    """How many orders are captured."""
    return sum(order.payment.captured > 0 for order in sandbox._book)


def all_once(sandbox: Sandbox, amount: int = 1000) -> bool:
    """Whether each order was captured, in one go."""
    return all(payment.captured == amount and len(payment.moved("CAPTURE")) == 1 for payment in sandbox.payments)


async def test_two_workers_do_a_whole_batch(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """All rows of all chunks end, once, and both workers end when nothing is left."""
    stock(sandbox, 160)
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(160), chunk_size=20)
        async with (
            tasks(postgres_dsn, schema, sandbox) as one,
            tasks(postgres_dsn, schema, sandbox) as two,
            working(one, once=True),
            working(two, once=True),
        ):
            pass
        stands = await status(database, batch.batch)
        left = await database.rows("SELECT count(*) FROM {schema}.procrastinate_jobs WHERE status = 'doing'")
    assert stands.is_ended
    assert stands.totals.outcomes == {RowOutcome.DONE: 160}
    assert stands.totals.moved == {RowOutcome.DONE: 160_000}
    assert one.runner.done.chunks + two.runner.done.chunks == batch.chunks
    assert one.runner.done.moved + two.runner.done.moved == 160_000
    assert all_once(sandbox)
    assert left == [(0,)]


async def test_refunds_and_cancels(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """The same for what goes the other way, each by its own operation."""
    stock(sandbox, 4)
    now = sandbox.clock.now()
    for number in (0, 1, 3):
        sandbox._book.only(f"order-{number}").payment.capture(400, key="k", fingerprint="f", text="x", now=now)
    async with opened(postgres_dsn, schema) as database:
        refund = await submitted(
            database, "order-0,300,Back.,r-0\norder-1,all,Back.,r-1\n", operation=BatchOperation.REFUND
        )
        cancel = await submitted(
            database,
            "order-2,No.,c-2\norder-3,No.,c-3\n",
            operation=BatchOperation.CANCEL,
            heading=HEADING.replace("amount,", ""),
            release_remaining=True,
        )
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        for batch in (refund, cancel):
            assert (await status(database, batch.batch)).totals.outcomes == {RowOutcome.DONE: 2}
    assert (sandbox.payment("order-0").refunded, sandbox.payment("order-1").refunded) == (300, 400)
    assert len(sandbox.payment("order-2").moved("CANCEL") or sandbox.payment("order-2").moved("VOID")) == 1


async def test_rows_without_an_outcome_are_tried_again_later(
    postgres_dsn: str, schema: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Throttled once, an answer lost once: a later job finds out, and the row counts as captured by this batch."""
    monkeypatch.setattr(SHORT, 0.1)
    stock(sandbox, 20)
    sandbox.faults.script("capture", Fault.HTTP_429, order_id="order-3")
    sandbox.faults.script("capture", Fault.HTML_200_AFTER, order_id="order-4")
    sandbox.faults.script("details", Fault.HTML_200_AFTER, order_id="order-4")
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(20))
        async with tasks(postgres_dsn, schema, sandbox, retry=ONE_TRY) as found, working(found, once=True):
            pass
        stands = await status(database, batch.batch)
    assert stands.totals.outcomes == {RowOutcome.DONE: 20}
    assert found.runner.done.chunks == 2
    assert all_once(sandbox)


async def test_what_stays_unknown_ends_and_is_tried_again_when_submitted_again(
    postgres_dsn: str, schema: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three tries the batch has ended; the same file opens it again, for these rows alone."""
    monkeypatch.setattr(SHORT, 0.1)
    stock(sandbox, 12)
    for operation in ("capture", "details"):
        sandbox.faults.script(operation, *[Fault.HTML_200_AFTER] * 20, order_id="order-4")
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(12), chunk_size=4)
        async with tasks(postgres_dsn, schema, sandbox, retry=ONE_TRY) as found, working(found, once=True):
            pass
        first = await status(database, batch.batch)
        assert first.is_ended
        assert first.totals.outcomes == {RowOutcome.DONE: 11, RowOutcome.UNKNOWN: 1}
        sandbox.faults.clear()
        again = await submitted(database, rows_of(12), chunk_size=4)
        assert (again.batch, again.is_new, again.chunks) == (batch.batch, False, 1)
        before = len([request for request in sandbox.requests if request.operation == "capture"])
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        assert (await status(database, batch.batch)).totals.outcomes == {RowOutcome.DONE: 12}
    assert len([request for request in sandbox.requests if request.operation == "capture"]) == before + 1
    assert all_once(sandbox)


async def test_a_drained_worker_gives_the_rest_back(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """It finishes what is on its way and ends at once; another goes on, and nothing counts as a try."""
    stock(sandbox, 60)
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(60), chunk_size=60, rate=50)
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found):
            await until(lambda: captured(sandbox) >= 10)
        stands = await status(database, batch.batch)
        assert not stands.is_ended
        assert (stands.running, stands.waiting) == (0, 1)
        assert stands.totals.outcomes[RowOutcome.DONE] == captured(sandbox) < 60
        assert await database.rows("SELECT round FROM {schema}.batch_chunks") == [(0,)]
        async with tasks(postgres_dsn, schema, sandbox) as other, working(other, once=True):
            pass
        stands = await status(database, batch.batch)
    assert stands.totals.outcomes == {RowOutcome.DONE: 60}
    assert all_once(sandbox)


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
            worker.cut()
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


async def test_keys_that_are_refused_stop_the_worker_and_cost_no_try(postgres_dsn: str, schema: str) -> None:
    """One worker with wrong keys must not use up what others could do."""
    keys = SandboxCredentials(client_id="id", client_secret="right", subscription_key="key")
    async with Sandbox(rate_limits=False, credentials=keys) as sandbox, opened(postgres_dsn, schema) as database:
        stock(sandbox, 30)
        batch = await submitted(database, rows_of(30))
        async with (
            tasks(postgres_dsn, schema, sandbox, secret="wrong") as found,
            working(found, once=True) as worker,
        ):
            await until(lambda: worker.is_stopping)
        assert "no row gets a usable answer" in found.runner.hopeless
        stands = await status(database, batch.batch)
        assert (stands.ended, "no row gets a usable answer" in stands.note) == (0, True)
        assert await database.rows("SELECT round FROM {schema}.batch_chunks") == [(0,)]
        await database.rows("UPDATE {schema}.procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'")
        async with tasks(postgres_dsn, schema, sandbox, secret="right") as other, working(other, once=True):
            pass
        assert (await status(database, batch.batch)).totals.outcomes == {RowOutcome.DONE: 30}


async def test_a_worker_of_another_sales_unit_takes_nothing(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """Its queue is another one: the batch waits for whoever has its keys."""
    stock(sandbox, 5)
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(5))
        async with tasks(postgres_dsn, schema, sandbox, msn="654321") as found, working(found, once=True):
            pass
        assert not (await status(database, batch.batch)).is_ended
    assert captured(sandbox) == 0


async def test_a_chunk_that_runs_again_finds_its_rows_captured_by_this_batch(
    postgres_dsn: str, schema: str, sandbox: Sandbox
) -> None:
    """Done by a worker that died before it could say so, or before the batch was submitted: the report tells which."""
    stock(sandbox, 8)
    async with opened(postgres_dsn, schema) as database:
        earlier = await submitted(database, rows_of(4), chunk_size=50)
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        batch = await submitted(database, rows_of(8), chunk_size=50)
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        assert (await status(database, earlier.batch)).totals.outcomes == {RowOutcome.DONE: 4}
        expected = {RowOutcome.DONE_BEFORE: 4, RowOutcome.DONE: 4}
        assert (await status(database, batch.batch)).totals.outcomes == expected
        # As if its results had not been written.
        await database.rows(
            "UPDATE {schema}.batch_rows SET outcome = NULL, moved = NULL WHERE batch = %s", (batch.batch,)
        )
        again = await submitted(database, rows_of(8), chunk_size=50)
        assert again.chunks == 1
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        assert (await status(database, batch.batch)).totals.outcomes == expected
    assert all_once(sandbox)


async def test_what_a_lost_worker_had_in_hand_need_not_be_waited_for(
    postgres_dsn: str, schema: str, sandbox: Sandbox
) -> None:
    """An intent that it left behind holds a lease of a minute and a half: with the epoch its right to it has gone."""
    stock(sandbox, 5)
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(5))
        async with tasks(postgres_dsn, schema, sandbox) as found:
            claim = await found.chunks.claim(
                batch.batch, 0, owner="lost", merchant_serial_number=MSN, environment="test"
            )
            assert claim is not None
            sandbox.faults.stall_seconds = 30
            sandbox.faults.script("capture", Fault.STALL_BEFORE_EFFECT, order_id="order-2")
            row = (await found.chunks.rows(claim))[2]
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


async def test_a_session_must_take_the_journal_it_is_given(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """With another one, or none, nothing would keep a lost worker out."""
    with pytest.raises(ConfigurationError, match="journal that it was given"):
        BatchTasks(postgres_dsn, schema=schema, session=lambda transport, _: sandbox.session(transport=transport))


async def test_what_cannot_be_opened_is_closed(schema: str, sandbox: Sandbox) -> None:
    """A database that is not there: an error, and no connection left behind."""
    with pytest.raises(JournalError):
        async with tasks("postgresql://127.0.0.1:9/shop", schema, sandbox):
            pass


async def test_a_worker_that_is_told_to_stop_first_does_nothing(
    postgres_dsn: str, schema: str, sandbox: Sandbox
) -> None:
    """It ends, and what it is handed meanwhile goes back."""
    stock(sandbox, 5)
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(5))
        async with tasks(postgres_dsn, schema, sandbox) as found:
            worker = BatchWorker(found)
            worker.stop()
            await worker.run()
            await found.runner.run(batch.batch, 0)
            assert (await status(database, batch.batch)).waiting == 1
    assert captured(sandbox) == 0


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
    for name, times in {"save": 2, "finish": 2, "beat": 1}.items():
        failing(name, times)
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(30), rate=20)
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        assert (await status(database, batch.batch)).totals.outcomes == {RowOutcome.DONE: 30}
        assert await database.rows("SELECT round FROM {schema}.batch_chunks") == [(1,)]
    assert failures == {"save": 2, "finish": 2, "beat": 1}
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
            monkeypatch.setattr("vipps_async.batch.distributed.work.BEAT_EVERY", beat_every)
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
