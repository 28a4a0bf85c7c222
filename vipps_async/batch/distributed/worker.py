"""A worker process for batches: its Procrastinate tasks, and the workers that run them, restarted if need be."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Collection
from types import TracebackType
from typing import Self

import structlog
from procrastinate import App, Blueprint, JobContext, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Status
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from vipps_async.batch.distributed import sql as statements
from vipps_async.batch.distributed.chunks import Chunks
from vipps_async.batch.distributed.database import BatchDatabase
from vipps_async.batch.distributed.fence import HEARTBEAT_EVERY, STALE_AFTER, FencedTransport, current_condition
from vipps_async.batch.distributed.jobs import (
    NAMESPACE,
    REQUEUE_ABANDONED,
    RUN_CHUNK,
    WATCH_QUEUE,
    first_queue,
    queue,
)
from vipps_async.batch.distributed.submit import check_world
from vipps_async.batch.distributed.work import ChunkRunner
from vipps_async.batch.many import DEFAULT_CONCURRENCY
from vipps_async.errors import ConfigurationError, JournalError
from vipps_async.journals.postgres.database import DEFAULT_SCHEMA
from vipps_async.journals.postgres.journal import PostgresJournal
from vipps_async.journals.protocol import Journal
from vipps_async.session import VippsSession
from vipps_async.transports.aiohttp import AiohttpTransport
from vipps_async.transports.protocol import Transport

#: Seconds until it tries again when the database is away; and between two looks whether there is anything left to do.
_AGAIN_IN, _LOOK_EVERY = 1.0, 0.5
#: Seconds after which a worker that has not ended is told to once more: far more than ending takes.
_CANCEL_AGAIN = 5.0
#: Seconds between two looks for jobs, beside the database's own notifications.
_POLL_EVERY = 1.0
#: After so many seconds without a sign of life a worker's entry is cleared away: long after its chunks were taken over.
_FORGOTTEN_AFTER = 30.0
#: Chunks from the backlog at a time, and those of lost workers that are taken up beside it: with 32 rows each they have
#: a connection to Vipps for each row.
_AT_A_TIME, _BESIDE = 1, 2
#: Connections of Procrastinate's own.
_MOST_CONNECTIONS = 4

#: Makes the session of a worker, of the transport and the journal that it must use.
OpenSession = Callable[[Transport, Journal], VippsSession]

#: Every two seconds. Of six fields the seconds are the last one.
_LOOK_OUT = "* * * * * */2"
#: The look-out goes before everything else.
_URGENT = 100

_log = structlog.stdlib.get_logger("vipps_async")


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
        self.database: BatchDatabase = BatchDatabase(dsn, schema=schema, own_jobs=own_jobs)
        self.chunks: Chunks = Chunks(self.database)
        self._transport = FencedTransport(AiohttpTransport(proxy=os.environ.get("VIPPS_PROXY") or None))
        journal = PostgresJournal(dsn, schema=schema, condition=current_condition)
        self.session: VippsSession = session(self._transport, journal)
        if self.session.journal is not journal:
            raise ConfigurationError("the session must be made with the journal that it was given")
        self.name: str = f"{socket.gethostname()}-{os.getpid()}"
        self.runner: ChunkRunner = ChunkRunner(
            self.database, self.chunks, self.session, name=self.name, concurrency=concurrency
        )

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
            await self.database.close()

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
            assert isinstance(batch, int)  # noqa: S101 - for the type checker; `defer` has made it
            assert isinstance(chunk, int)  # noqa: S101 - as above
            # Not queued again under its own number: whoever had it could still end it, from a chunk that it has lost.
            if job.id is not None and await self.chunks.give_up_job(batch, chunk):
                with contextlib.suppress(ConnectorException):
                    await manager.finish_job_by_id_async(job.id, status=Status.FAILED, delete_job=True)


class BatchWorker:
    """Works on the batches of one sales unit until it is told to stop. `run` may be called once."""

    def __init__(self, tasks: BatchTasks) -> None:
        """Make it ready.

        Args:
            tasks: what it works with, opened; Procrastinate's tables are in its schema.
        """
        self._tasks = tasks
        self._stop = asyncio.Event()

    @property
    def is_stopping(self) -> bool:
        """Whether it has been told to stop."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Finish the rows that are on their way, give the rest of the chunk back, and end."""
        self._stop.set()
        self._tasks.runner.drain()

    def kill(self) -> None:
        """End at once: what is on its way is open in the journal, and settled by whoever takes the chunk."""
        self._stop.set()
        self._tasks.runner.kill()

    async def run(self, *, once: bool = False) -> None:
        """Work.

        Args:
            once: ends when no chunk of this sales unit is left, of any batch; those of other workers are waited for.
        """
        watch = asyncio.create_task(self._watch(once=once), name="vipps batch: anything left?")
        try:
            while not self._stop.is_set():
                try:
                    await self._serve()
                except (ConnectorException, OperationalError, PoolTimeout) as error:
                    _log.warning("vipps.batch.database_away", reason=type(error).__name__)
                if not self._stop.is_set():
                    await self._pause()
        finally:
            self._stop.set()
            watch.cancel()
            await asyncio.wait({watch})

    async def _serve(self) -> None:
        """Run Procrastinate until it is to stop, or has lost the database: a new run is a new worker to it.

        Being a new one matters: jobs that were handed to the old one while the line broke are then known to be lost.
        """
        async with self._application() as app:
            msn = self._tasks.session.merchant_serial_number
            workers = [
                self._procrastinate(app, [queue(msn)], _AT_A_TIME),
                self._procrastinate(app, [first_queue(msn)], _BESIDE),
                # Never behind a chunk, and never behind one that was lost.
                self._procrastinate(app, [WATCH_QUEUE], 1),
            ]
            stop = asyncio.create_task(self._stop.wait())
            try:
                await asyncio.wait({*workers, stop}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stop.cancel()
                await self._end(workers)
            for task in workers:
                if not task.cancelled() and (error := task.exception()) is not None:
                    raise error

    async def _end(self, workers: Collection[asyncio.Task[None]]) -> None:
        """Let the workers take no more jobs and wait for those that they have."""
        pending = set(workers)
        while pending:
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN)
            # A cancellation gets lost where it meets the moment in which what was waited for comes, such as a pool's
            # connection (`asyncio.wait_for` before Python 3.12). It is repeated only while no chunk is in work, which a
            # second one would not wait for.
            while pending and self._tasks.runner.is_at_work:
                _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN)

    def _procrastinate(self, app: App, queues: list[str], concurrency: int) -> asyncio.Task[None]:
        work = app.run_worker_async(
            queues=queues,
            name=self._tasks.name,
            concurrency=concurrency,
            fetch_job_polling_interval=_POLL_EVERY,
            install_signal_handlers=False,
            update_heartbeat_interval=HEARTBEAT_EVERY,
            stalled_worker_timeout=_FORGOTTEN_AFTER,
            delete_jobs="successful",
        )
        return asyncio.create_task(work, name=f"vipps batch: {queues[0]}")

    @contextlib.asynccontextmanager
    async def _application(self) -> AsyncIterator[App]:
        database = self._tasks.database
        connector = PsycopgConnector(
            conninfo=database.conninfo,
            min_size=1,
            max_size=_MOST_CONNECTIONS,
            timeout=database.timeout,
            configure=database.set_up_session,
            kwargs={"prepare_threshold": None},
        )
        app = App(connector=connector)
        self._tasks.add_to(app)
        async with app.open_async():
            yield app

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_AGAIN_IN):
                await self._stop.wait()

    async def _watch(self, *, once: bool) -> None:
        """Stop when there is nothing left to do, or this worker cannot do it."""
        session = self._tasks.session
        values = (session.merchant_serial_number, session.environment.value)
        while not self._stop.is_set():
            if self._tasks.runner.stop_reason:
                self.stop()
            elif once:
                with contextlib.suppress(JournalError):
                    ((left,),) = await self._tasks.database.rows(statements.OPEN_CHUNKS, values)
                    if not left:
                        self.stop()
            await asyncio.sleep(_LOOK_EVERY)
