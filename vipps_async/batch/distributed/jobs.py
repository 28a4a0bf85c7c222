"""Makes jobs of Procrastinate out of chunks: names, queues, priorities, and deferring inside a transaction."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from procrastinate import PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import Job
from procrastinate.manager import JobManager
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from vipps_async.batch.distributed.sql import DATABASE_TIME

#: Tasks are called ``vipps_async:run_chunk`` and ``vipps_async:requeue_abandoned`` in whatever application they run.
NAMESPACE, RUN_CHUNK, REQUEUE_ABANDONED = "vipps_async", "run_chunk", "requeue_abandoned"

#: Where the look-out for lost chunks is queued: never behind a chunk.
WATCH_QUEUE = "vipps watch"

#: What a chunk has that was begun before: it goes before the backlog.
_FIRST = 10


def queue(merchant_serial_number: str) -> str:
    """Return the queue of a sales unit's chunks: a worker takes only what it has the keys for."""
    return f"vipps {merchant_serial_number}"


def first_queue(merchant_serial_number: str) -> str:
    """Return the queue of chunks whose worker was lost: others take them beside what they have in work."""
    return f"vipps {merchant_serial_number} first"


@functools.cache
def _manager() -> JobManager:
    # It needs no connection of its own.
    return JobManager(PsycopgConnector())


async def defer(
    connection: AsyncConnection[TupleRow],
    batch: int,
    chunks: Sequence[int],
    *,
    merchant_serial_number: str,
    first: bool = False,
    wait: float = 0.0,
) -> list[int]:
    """Queue chunks that nobody has queued, in the transaction of whoever calls; returns the ids of the jobs.

    Args:
        connection: in a transaction: the jobs are there when it is committed.
        batch: the batch.
        chunks: numbers of its chunks.
        merchant_serial_number: the sales unit.
        first: whether it is to go before the backlog, and beside it.
        wait: for how many seconds it should not begin.
    """
    name = first_queue(merchant_serial_number) if first else queue(merchant_serial_number)
    at = None
    if wait:
        # By the database's clock, as everything else that workers agree about.
        ((at,),) = await (await connection.execute(DATABASE_TIME, (wait,))).fetchall()
    jobs = [
        Job(
            queue=name,
            priority=_FIRST if first or wait else 0,
            lock=None,
            # One job at most waits for a chunk, whoever wants it queued.
            queueing_lock=f"vipps_async chunk {batch}/{number}",
            task_name=f"{NAMESPACE}:{RUN_CHUNK}",
            task_kwargs={"batch": batch, "chunk": number},
            scheduled_at=at,
        )
        for number in chunks
    ]
    deferred = await _manager().batch_defer_jobs_async(jobs, connection=connection)
    return [job.id for job in deferred if job.id is not None]


async def ensure(
    connection: AsyncConnection[TupleRow],
    batch: int,
    chunk: int,
    *,
    merchant_serial_number: str,
    first: bool = True,
    wait: float = 0.0,
) -> int | None:
    """Queue a chunk unless it is queued; returns the id of the job, if one was made."""
    try:
        async with connection.transaction():
            (job,) = await defer(
                connection, batch, [chunk], merchant_serial_number=merchant_serial_number, first=first, wait=wait
            )
    except AlreadyEnqueued:
        return None
    return job
