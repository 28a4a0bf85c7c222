"""Submitting a file: whole or not at all, once, with the rows of an order together."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.batch.distributed.machines import opened, rows_of, status, submitted, tasks, working
from tests.batch.shop import MSN, stock
from vipps_async.batch import BatchOperation, RowOutcome
from vipps_async.batch.distributed import jobs
from vipps_async.batch.distributed.jobs import queue
from vipps_async.batch.distributed.overview import report_of
from vipps_async.batch.distributed.submit import LARGEST_CHUNK, chunk_size
from vipps_async.batch.layout import Layout
from vipps_async.config import Environment
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.errors import ConfigurationError
from vipps_async.testing import Sandbox


async def test_rows_chunks_and_jobs_are_there_together(postgres_dsn: str, schema: str) -> None:
    """Each chunk has a job, in the queue of its sales unit, and all rows of an order are in one chunk."""
    lines = "".join(f"order-{number % 40},{100 + number},Shipped.,s-{number}\n" for number in range(200))
    async with opened(postgres_dsn, schema) as database:
        found = await submitted(database, lines, chunk_size=20)
        jobs = await database.rows("SELECT id, queue_name FROM {schema}.procrastinate_jobs ORDER BY id")
        noted = await database.rows("SELECT job_id FROM {schema}.batch_chunks ORDER BY job_id")
        spread = await database.rows(
            "SELECT max(chunks) FROM "
            "(SELECT count(DISTINCT chunk) AS chunks FROM {schema}.batch_rows GROUP BY payment) AS counted"
        )
        stands = await status(database, found.batch)
    assert len(jobs) == found.chunks == stands.waiting
    assert [job for job, _ in jobs] == [job for (job,) in noted]
    assert {name for _, name in jobs} == {queue(MSN)}
    assert spread == [(1,)]
    assert stands.totals.outcomes == {RowOutcome.NOT_BEGUN: 200}
    assert not stands.is_ended


async def test_a_file_is_submitted_once(postgres_dsn: str, schema: str) -> None:
    """The second time, and from two machines at once, the first batch is found; for another operation it is another."""
    async with opened(postgres_dsn, schema) as database, opened(postgres_dsn, schema) as other:
        both = await asyncio.gather(submitted(database, rows_of(10)), submitted(other, rows_of(10)))
        again = await submitted(database, rows_of(10))
        refund = await submitted(database, rows_of(10), operation=BatchOperation.REFUND)
        rows = await database.rows("SELECT count(*) FROM {schema}.batch_rows")
    assert {found.batch for found in both} == {again.batch}
    assert sorted(found.is_new for found in both) == [False, True]
    assert (again.is_new, again.chunks) == (False, 0)
    assert refund.is_new
    assert refund.batch != again.batch
    assert rows == [(20,)]


async def test_another_batch_of_a_file_moves_nothing_twice(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """If it is asked for, it is made; its rows have the same keys, and are found done."""
    stock(sandbox, 10)
    async with opened(postgres_dsn, schema) as database:
        first = await submitted(database, rows_of(10))
        second = await submitted(database, rows_of(10), new_batch=True)
        assert second.is_new
        assert second.batch != first.batch
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        sums = [(await status(database, batch.batch)).totals for batch in (first, second)]
        latest = await submitted(database, rows_of(10))
    assert all(payment.captured == 1000 for payment in sandbox.payments)
    assert sum(total.moved.get(RowOutcome.DONE, 0) for total in sums) == 10_000
    assert sum(total.moved.get(RowOutcome.DONE_BEFORE, 0) for total in sums) == 10_000
    assert latest.batch == second.batch


async def test_the_same_bytes_read_in_another_way_are_refused(postgres_dsn: str, schema: str) -> None:
    """Submitted in øre and then in kroner: whoever does that has made a mistake in one of the two."""
    async with opened(postgres_dsn, schema) as database:
        heading = "order_id,amount,transaction_text,reference\n"
        units = [Layout(api=ECOM_API, operation=BatchOperation.CAPTURE, unit=unit) for unit in ECOM_API.units]
        await submitted(database, rows_of(10), heading=heading, layout=units[0])
        with pytest.raises(ConfigurationError, match="read in another way"):
            await submitted(database, rows_of(10), heading=heading, layout=units[1])
        heading = "order_id,amount_ore\n"
        texts = [Layout(api=ECOM_API, operation=BatchOperation.CAPTURE, text=text) for text in ("Shipped.", "Sent.")]
        await submitted(database, "order-1,1000\n", heading=heading, layout=texts[0])
        with pytest.raises(ConfigurationError, match="read in another way"):
            await submitted(database, "order-1,1000\n", heading=heading, layout=texts[1])


async def test_play_money_and_real_money_have_no_journal_in_common(postgres_dsn: str, schema: str) -> None:
    """What is done in the test environment must not count as done in production: a schema is of one of them."""
    async with opened(postgres_dsn, schema) as database:
        await submitted(database, rows_of(10))
        with pytest.raises(ConfigurationError, match="--schema"):
            await submitted(database, rows_of(11), environment=Environment.PRODUCTION)


async def test_a_submission_that_fails_leaves_nothing(
    postgres_dsn: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows without jobs would never be worked on, and jobs without rows would find nothing."""

    async def fail(*_: object, **__: object) -> list[int]:
        raise ConfigurationError("made to fail")

    async with opened(postgres_dsn, schema) as database:
        with monkeypatch.context() as patch:
            patch.setattr(jobs, "defer", fail)
            with pytest.raises(ConfigurationError, match="made to fail"):
                await submitted(database, rows_of(10))
        count = "SELECT (SELECT count(*) FROM {schema}.batches) + (SELECT count(*) FROM {schema}.batch_chunks) "
        count += "+ (SELECT count(*) FROM {schema}.batch_rows) + (SELECT count(*) FROM {schema}.procrastinate_jobs)"
        assert await database.rows(count) == [(0,)]
        assert (await submitted(database, rows_of(10))).is_new


async def test_invalid_rows_are_kept_for_the_report(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """They are in no chunk; the others are done, and the report has all of them in the file's order."""
    stock(sandbox, 3)
    lines = "order-0,1000,Shipped.,s-0\norder-1,99,Shipped.,s-1\norder-2,1000,=1+1,s-2\n"
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, lines)
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        stands = await status(database, batch.batch)
        report = await asyncio.to_thread(lambda: list(report_of(database, batch.batch)))
    assert (stands.totals.rows, stands.totals.bad) == (3, 1)
    assert [row.outcome for row in report] == [RowOutcome.DONE, None, RowOutcome.DONE]
    assert [row.line for row in report] == [2, 3, 4]
    assert report[1].violation is not None
    assert report[0].time is not None
    assert report[0].time.utcoffset() == timedelta()


async def test_a_batch_of_nothing_but_invalid_rows_has_ended(postgres_dsn: str, schema: str) -> None:
    """There is nothing to wait for."""
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, "order-1,99,Shipped.,s-1\n")
        assert batch.chunks == 0
        assert (await status(database, batch.batch)).is_ended


async def test_there_is_no_such_batch(postgres_dsn: str, schema: str) -> None:
    """A number that was never given out."""
    async with opened(postgres_dsn, schema) as database:
        with pytest.raises(ConfigurationError, match="there is no batch 7"):
            await status(database, 7)


def test_chunks_suit_the_file() -> None:
    """A small file is cut into enough for many workers, a large one into what is done in some seconds."""
    assert chunk_size(10) == 50
    assert chunk_size(3200) == 100
    assert chunk_size(1_000_000) == LARGEST_CHUNK == 1000
