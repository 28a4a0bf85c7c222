"""Who may take a chunk, and how a chunk comes back whose worker, or whose job, is gone."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.batch.distributed.machines import opened, rows_of, status, submitted, world
from tests.batch.shop import MSN
from vipps_async.batch.distributed import chunks as chunks_module
from vipps_async.batch.distributed.chunks import Chunks, ClaimedChunk
from vipps_async.batch.distributed.database import BatchDatabase
from vipps_async.batch.distributed.jobs import first_queue, queue
from vipps_async.errors import ConfigurationError

AGES_AGO = "UPDATE {schema}.batch_chunks SET seen_at = now() - interval '1 hour'"


@pytest.fixture
async def database(postgres_dsn: str, schema: str) -> AsyncIterator[BatchDatabase]:
    """An open database with batch 1 of ten rows, in one chunk."""
    async with opened(postgres_dsn, schema) as database:
        assert (await submitted(database, rows_of(10))).batch == 1
        yield database


async def claim(
    database: BatchDatabase, *, msn: str = MSN, environment: str = "test", base_url: str = ""
) -> ClaimedChunk | None:
    """Try to take its chunk."""
    chunks = Chunks(database)
    place = {"merchant_serial_number": msn, "environment": environment, "base_url": base_url or world.base_url}
    return await chunks.claim(1, 0, owner="w", **place)


async def waiting(database: BatchDatabase) -> list[str]:
    """The queues of the jobs that wait."""
    found = await database.rows("SELECT queue_name FROM {schema}.procrastinate_jobs WHERE status = 'todo' ORDER BY id")
    return [name for (name,) in found]


async def set_job(database: BatchDatabase, state: str) -> None:
    """Say what became of the only job."""
    await database.rows("UPDATE {schema}.procrastinate_jobs SET status = %s::procrastinate_job_status", (state,))


async def test_one_worker_has_a_chunk(database: BatchDatabase) -> None:
    """While it is alive nobody else gets it; afterwards it goes on under another epoch."""
    first = await claim(database)
    assert first is not None
    assert not first.again
    assert await claim(database) is None
    await database.rows(AGES_AGO)
    second = await claim(database)
    assert second is not None
    assert second.again
    assert second.fence.epoch > first.fence.epoch


async def test_a_sign_of_life_keeps_it(database: BatchDatabase) -> None:
    """However long it takes."""
    first = await claim(database)
    assert first is not None
    await database.rows(AGES_AGO)
    await Chunks(database).heartbeat(first.fence)
    assert await claim(database) is None


async def test_a_chunk_that_ended_is_not_taken(database: BatchDatabase) -> None:
    """Nor one that there is not."""
    first = await claim(database)
    assert first is not None
    chunks = Chunks(database)
    for tries in (1, 2, 3):
        assert await chunks.finish(first, []) is (tries == 3)
    assert await claim(database) is None
    place = {"merchant_serial_number": MSN, "environment": "test", "base_url": world.base_url}
    assert await chunks.claim(7, 0, owner="w", **place) is None
    assert (await status(database, 1)).is_ended


@pytest.mark.parametrize(("msn", "environment"), [("654321", "test"), (MSN, "production")])
async def test_keys_of_another_sales_unit_or_environment_are_refused(
    database: BatchDatabase, msn: str, environment: str
) -> None:
    """A worker must have the keys of the batch; they are never in the database."""
    with pytest.raises(ConfigurationError, match="is of sales unit 123456 in the test environment"):
        await claim(database, msn=msn, environment=environment)


async def test_a_chunk_over_an_unknown_api_is_refused_by_name(database: BatchDatabase) -> None:
    """A newer version submitted it: whoever does not know the API takes nothing of it, and it stays for others."""
    await database.rows("UPDATE {schema}.batches SET api = 'newpay'")
    with pytest.raises(ConfigurationError, match="goes over the API newpay, which this version does not know"):
        await claim(database)
    await database.rows("UPDATE {schema}.batches SET api = 'ecom'")
    assert await claim(database) is not None


async def test_a_lost_workers_chunk_is_queued_before_the_backlog(database: BatchDatabase) -> None:
    """In the queue that is served beside it; its old hold is worth nothing from then on, and it is queued once."""
    first = await claim(database)
    assert first is not None
    await set_job(database, "doing")
    chunks = Chunks(database)
    assert await chunks.requeue_abandoned() == 0
    await database.rows(AGES_AGO)
    assert await chunks.requeue_abandoned() == 1
    assert await chunks.requeue_abandoned() == 0
    assert await waiting(database) == [first_queue(MSN)]
    found = await database.rows("SELECT state, epoch FROM {schema}.batch_chunks")
    assert found == [("waiting", first.fence.epoch + 1)]


@pytest.mark.parametrize("state", ["failed", "cancelled", "aborted"])
async def test_a_chunk_whose_job_ended_without_it_is_queued_again(database: BatchDatabase, state: str) -> None:
    """A job that failed, or that somebody cancelled by hand, takes no rows with it."""
    chunks = Chunks(database)
    assert await chunks.requeue_abandoned() == 0
    await set_job(database, state)
    assert await chunks.requeue_abandoned() == 1
    assert await waiting(database) == [first_queue(MSN)]


async def test_a_chunk_whose_job_was_deleted_is_queued_again(database: BatchDatabase) -> None:
    """As after a clearing up that went too far."""
    await database.rows("DELETE FROM {schema}.procrastinate_jobs")
    assert await Chunks(database).requeue_abandoned() == 1
    assert await waiting(database) == [first_queue(MSN)]


async def test_a_job_that_nobody_works_on_is_noticed(database: BatchDatabase) -> None:
    """Handed to a worker that never heard of it, as the line broke: after three looks it is queued again."""
    await set_job(database, "doing")
    chunks = Chunks(database)
    assert [await chunks.requeue_abandoned() for _ in range(4)] == [0, 0, 1, 0]
    assert await waiting(database) == [first_queue(MSN)]


async def test_a_dead_workers_job_is_done_with_when_its_chunk_is_seen_to(database: BatchDatabase) -> None:
    """Not while the chunk is in work; then it is queued again, unless it has ended."""
    chunks = Chunks(database)
    await set_job(database, "doing")
    first = await claim(database)
    assert first is not None
    assert not await chunks.give_up_job(1, 0)
    await chunks.finish(first, [], counts=False)
    assert await chunks.give_up_job(1, 0)
    assert await waiting(database) == [first_queue(MSN)]
    await database.rows("UPDATE {schema}.batch_chunks SET state = 'ended'")
    assert await chunks.give_up_job(1, 0)
    assert await chunks.give_up_job(9, 9)
    assert len(await waiting(database)) == 1


async def test_a_try_that_counts_rests_in_the_ordinary_queue(database: BatchDatabase) -> None:
    """Rows that did not end are tried again after a pause, and an interruption is none of their tries."""
    first = await claim(database)
    assert first is not None
    await set_job(database, "succeeded")
    chunks = Chunks(database)
    assert not await chunks.finish(first, [], wait=60, note="x" * 1000)
    assert await waiting(database) == [queue(MSN)]
    found = await database.rows("SELECT round, length(note) FROM {schema}.batch_chunks")
    assert found == [(1, 500)]
    scheduled = await database.rows(
        "SELECT scheduled_at > now() + interval '50 s' FROM {schema}.procrastinate_jobs WHERE status = 'todo'"
    )
    assert scheduled == [(True,)]


async def test_many_lost_chunks_are_queued_in_small_transactions(
    postgres_dsn: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an outage all of them are, a page at a time; and those whose jobs are gone, too."""
    monkeypatch.setattr(chunks_module, "PAGE", 3)
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(20), chunk_size=1)
        assert batch.chunks > 3 * 2
        chunks, transactions = Chunks(database), 0
        begin = database.transaction

        def counted(*, is_long: bool = False) -> contextlib.AbstractAsyncContextManager[Any]:
            nonlocal transactions
            transactions += 1
            return begin(is_long=is_long)

        monkeypatch.setattr(database, "transaction", counted)
        await database.rows("UPDATE {schema}.batch_chunks SET state = 'running', seen_at = '-infinity'")
        await database.rows("DELETE FROM {schema}.procrastinate_jobs")
        transactions = 0
        assert await chunks.requeue_abandoned() == batch.chunks
        assert transactions >= batch.chunks / 3
        await database.rows("DELETE FROM {schema}.procrastinate_jobs")
        assert await chunks.requeue_abandoned() == batch.chunks
        assert await chunks.requeue_abandoned() == 0
        assert len(await waiting(database)) == batch.chunks
