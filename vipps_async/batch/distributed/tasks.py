"""The tasks of distributed batches for Procrastinate, and all that they need: database, journal, session."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Self

from procrastinate import App, Blueprint, JobContext
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Status

from vipps_async.batch.distributed.chunks import Chunks
from vipps_async.batch.distributed.database import DEFAULT_SCHEMA, BatchDatabase
from vipps_async.batch.distributed.fence import STALE_AFTER, FencedTransport, current_guard
from vipps_async.batch.distributed.jobs import (
    NAMESPACE,
    REQUEUE_ABANDONED,
    RUN_CHUNK,
    WATCH_QUEUE,
    Jobs,
    first_queue,
    queue,
)
from vipps_async.batch.distributed.submit import check_world
from vipps_async.batch.distributed.work import ChunkRunner
from vipps_async.batch.many import DEFAULT_CONCURRENCY
from vipps_async.errors import ConfigurationError
from vipps_async.journals.postgres import PostgresJournal
from vipps_async.journals.protocol import Journal
from vipps_async.session import VippsSession
from vipps_async.transports.aiohttp_transport import AiohttpTransport
from vipps_async.transports.protocol import Transport

__all__ = ["BatchTasks", "OpenSession", "session_from_env"]

#: Makes the session of a worker, of the transport and the journal that it must use.
OpenSession = Callable[[Transport, Journal], VippsSession]

#: Every two seconds. Of six fields the seconds are the last one.
_LOOK_OUT = "* * * * * */2"
#: The look-out goes before everything else.
_URGENT = 100


def session_from_env(transport: Transport, journal: Journal) -> VippsSession:
    """Make a session from the ``VIPPS_…`` variables."""
    return VippsSession.from_env(transport=transport, journal=journal)


class BatchTasks:
    """What a process needs to work on batches; use it with `async with`, around the worker.

    Args:
        dsn: the database of batches, journal and jobs. Never shown anywhere: it may hold a password.
        schema: the PostgreSQL schema of batches and journal.
        own_jobs: whether Procrastinate's tables are in that schema, too. If not, they are an application's own.
        session: makes the session, with the keys of the one sales unit that this process works for.
        concurrency: the most rows of one chunk at once, 1 to 100.

    Raises:
        InvalidInputError: `dsn` cannot be read, or `schema` is no plain name.
        ConfigurationError: the session's settings are missing or contradict each other.
    """

    def __init__(
        self,
        dsn: str,
        *,
        schema: str = DEFAULT_SCHEMA,
        own_jobs: bool = False,
        session: OpenSession = session_from_env,
        concurrency: int = DEFAULT_CONCURRENCY,
    ) -> None:
        self.database = BatchDatabase(dsn, schema=schema, own_jobs=own_jobs)
        self.chunks = Chunks(self.database, Jobs.detached())
        self._transport = FencedTransport(AiohttpTransport(proxy=os.environ.get("VIPPS_PROXY") or None))
        journal = PostgresJournal(dsn, schema=schema, guard=current_guard)
        self.session = session(self._transport, journal)
        if self.session.journal is not journal:
            raise ConfigurationError("the session must be made with the journal that it was given")
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self.runner = ChunkRunner(self.database, self.chunks, self.session, name=self.name, concurrency=concurrency)

    async def __aenter__(self) -> Self:
        try:
            await self.database.open()
            async with self.database.transaction() as connection:
                await check_world(connection, self.database, self.session.environment, self.session.base_url)
            await self.session.__aenter__()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        try:
            await self.session.aclose()
        finally:
            await self._transport.aclose()
            await self.database.aclose()

    @property
    def queues(self) -> list[str]:
        """What a worker serves, if it is told which queues: chunks, those of lost workers, and the look-out."""
        msn = self.session.merchant_serial_number
        return [queue(msn), first_queue(msn), WATCH_QUEUE]

    def drain(self) -> None:
        """Begin no more rows: what is on its way is finished, and the rest of each chunk given back."""
        self.runner.drain()

    def add_to(self, app: App) -> None:
        """Give an application the tasks; its worker then takes chunks and looks out for lost ones."""
        app.add_tasks_from(self.blueprint(), namespace=NAMESPACE)

    def blueprint(self) -> Blueprint:
        """Make the tasks; a blueprint can be added to one application."""
        blueprint = Blueprint()

        # A job that ends in an error, such as a database that was away for long, is not tried again by Procrastinate:
        # it would be when this worker's clock says so. The look-out queues its chunk within seconds.
        @blueprint.task(name=RUN_CHUNK)
        async def run_chunk(batch: int, chunk: int) -> None:
            await self.runner.run(batch, chunk)

        # The lock: while one waits to be run, no second one is queued.
        @blueprint.periodic(cron=_LOOK_OUT, queueing_lock=f"vipps_async {REQUEUE_ABANDONED}")
        @blueprint.task(name=REQUEUE_ABANDONED, queue=WATCH_QUEUE, priority=_URGENT, pass_context=True)
        async def requeue_abandoned(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 - Procrastinate gives it
            await self._requeue_abandoned(context.app)

        return blueprint

    async def _requeue_abandoned(self, app: App) -> None:
        await self.chunks.requeue_abandoned()
        manager, name = app.job_manager, f"{NAMESPACE}:{RUN_CHUNK}"
        for job in await manager.get_stalled_jobs(task_name=name, seconds_since_heartbeat=STALE_AFTER):
            batch, chunk = job.task_kwargs["batch"], job.task_kwargs["chunk"]
            assert isinstance(batch, int)  # noqa: S101 - for the type checker; `Jobs` has made it
            assert isinstance(chunk, int)  # noqa: S101 - as above
            # Not queued again under its own number: whoever had it could still end it, from a chunk that it has lost.
            if job.id is not None and await self.chunks.give_up_job(batch, chunk):
                with contextlib.suppress(ConnectorException):
                    await manager.finish_job_by_id_async(job.id, status=Status.FAILED, delete_job=True)
