"""Workers and a batch: who takes what, what ends how, and what is tried again."""

from __future__ import annotations

import pytest

from tests.batch.distributed.machines import (
    HEADING,
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
from tests.batch.shop import stock
from vipps_async import RetryPolicy
from vipps_async.batch import BatchOperation, RowOutcome
from vipps_async.batch.distributed.chunks import ROUNDS
from vipps_async.batch.distributed.overview import withdraw
from vipps_async.batch.distributed.worker import BatchTasks, BatchWorker
from vipps_async.errors import ConfigurationError, JournalError
from vipps_async.sandbox import Fault, SandboxCredentials, SandboxSettings
from vipps_async.testing import Sandbox

ONE_TRY = RetryPolicy(attempts=1)
SHORT = "vipps_async.batch.distributed.work._PAUSE"


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
    assert one.runner.done.outcomes + two.runner.done.outcomes == {RowOutcome.DONE: 160}
    assert all_once(sandbox)
    assert left == [(0,)]


async def test_refunds_and_cancels(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """The same for what goes the other way, each by its own operation."""
    stock(sandbox, 4)
    now = sandbox.clock.now()
    for number in (0, 1, 3):
        sandbox._book.only(f"order-{number}").payment.move("CAPTURE", 400, key="k", fingerprint="f", text="x", now=now)
    async with opened(postgres_dsn, schema) as database:
        refund = await submitted(
            database, "order-0,300,Back.,r-0\norder-1,all,Back.,r-1\n", operation=BatchOperation.REFUND
        )
        cancel = await submitted(
            database,
            "order-2,No.,c-2\norder-3,No.,c-3\n",
            operation=BatchOperation.CANCEL,
            heading=HEADING.replace("amount_ore,", ""),
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
    """An answer lost once: a later job finds out, and the row counts as captured by this batch."""
    monkeypatch.setattr(SHORT, 0.1)
    stock(sandbox, 20)
    sandbox.faults.script("capture", Fault.HTML_200_AFTER, order_id="order-4")
    sandbox.faults.script("details", *[Fault.HTML_200_AFTER] * 5, order_id="order-4")
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(20))
        async with tasks(postgres_dsn, schema, sandbox, retry=ONE_TRY) as found, working(found, once=True):
            pass
        stands = await status(database, batch.batch)
    assert stands.totals.outcomes == {RowOutcome.DONE: 20}
    assert found.runner.done.chunks == 2
    assert all_once(sandbox)


async def test_a_limit_is_waited_for_and_is_no_outcome(
    postgres_dsn: str, schema: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vipps takes five captures a minute of one order: however often it says so, the row is captured in the end."""
    monkeypatch.setattr("vipps_async.batch.distributed.work._LIMIT_PASSES", 0.1)
    stock(sandbox, 5)
    sandbox.faults.script("capture", *[Fault.HTTP_429] * (2 * ROUNDS), order_id="order-3")
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(5))
        async with tasks(postgres_dsn, schema, sandbox, retry=ONE_TRY) as found, working(found, once=True):
            pass
        stands = await status(database, batch.batch)
    assert stands.totals.outcomes == {RowOutcome.DONE: 5}
    assert all_once(sandbox)


async def test_a_bad_row_does_not_end_its_chunk(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """A row that cannot be read, put there by whatever: the others are captured, and it is refused with the reason."""
    stock(sandbox, 5)
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(5))
        await database.rows("UPDATE {schema}.batch_rows SET payment = '', amount = 5 WHERE number = 2")
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        stands = await status(database, batch.batch)
    assert stands.totals.outcomes == {RowOutcome.DONE: 4, RowOutcome.REFUSED: 1}
    assert stands.totals.refusals == {"breaks a rule": 1}


async def test_a_withdrawn_batch_is_begun_no_more(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """What waits is not begun, what is in work is finished within seconds; the same file then is another batch."""
    stock(sandbox, 200)
    async with opened(postgres_dsn, schema) as database:
        waiting = await submitted(database, rows_of(100))
        assert (await withdraw(database, waiting.batch)).is_ended
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        assert sandbox.requests == ()
        batch = await submitted(database, rows_of(200), rate=20.0, chunk_size=200)
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            await until(lambda: any(payment.captured for payment in sandbox.payments))
            stands = await withdraw(database, batch.batch)
            assert stands.withdrawn_at is not None
        stands = await withdraw(database, batch.batch)
        captured = sum(payment.captured > 0 for payment in sandbox.payments)
        assert stands.is_ended
        assert stands.totals.outcomes[RowOutcome.DONE] == captured < 200
        again = await submitted(database, rows_of(200))
        assert (again.is_new, again.held_count) == (True, 0)
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
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


async def test_keys_that_are_refused_stop_the_worker_and_cost_no_try(postgres_dsn: str, schema: str) -> None:
    """One worker with wrong keys must not use up what others could do."""
    keys = SandboxCredentials(client_id="id", client_secret="right", subscription_key="key")
    async with (
        Sandbox(settings=SandboxSettings(credentials=[keys]), rate_limits=False) as sandbox,
        opened(postgres_dsn, schema) as database,
    ):
        stock(sandbox, 30)
        batch = await submitted(database, rows_of(30), base_url=sandbox.url)
        async with (
            tasks(postgres_dsn, schema, sandbox, secret="wrong") as found,
            working(found, once=True) as worker,
        ):
            await until(lambda: worker.is_stopping)
        assert "no row gets a usable answer" in found.runner.stop_reason
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
