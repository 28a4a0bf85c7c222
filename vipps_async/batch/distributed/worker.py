"""A process that works on batches: it runs Procrastinate's workers, and runs them anew when the database was away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection

import structlog
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from vipps_async.batch.distributed import sql as statements
from vipps_async.batch.distributed.fence import HEARTBEAT_EVERY
from vipps_async.batch.distributed.jobs import WATCH_QUEUE, first_queue, queue
from vipps_async.batch.distributed.tasks import BatchTasks
from vipps_async.errors import JournalError

__all__ = ["BatchWorker"]

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

_log = structlog.stdlib.get_logger("vipps_async")


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
