"""Batches for an application that runs Procrastinate already: the same tasks, in its own workers.

::

    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn))

    async def main() -> None:
        async with BatchTasks(dsn) as tasks:
            tasks.add_to(app)
            async with app.open_async():
                await app.run_worker_async(update_heartbeat_interval=1, stalled_worker_timeout=30)

Jobs are in the application's own tables of Procrastinate, which must be there; rows, results and the journal are in
the PostgreSQL schema `vipps_async` of the same database, made when it is opened. `submit` puts a file there.

- The worker's heartbeat should be short, as above. A worker that serves named queues must serve `BatchTasks.queues`,
  and at least one job more than it has chunks at a time: the look-out for lost chunks must not wait behind a chunk.
- One `BatchTasks` has the keys of one sales unit. Its session is made by `session`, by default from the ``VIPPS_…``
  variables, and must take the transport and the journal that it is given: they keep a worker that lost a chunk from
  writing and sending.
- Connections of the application should be made with ``options="-c plan_cache_mode=force_custom_plan"``: an idle worker
  otherwise keeps a plan for an empty queue, and takes seconds for each job once it is full. And with ``-c
  idle_in_transaction_session_timeout=4000``: a worker that is stopped within a transaction keeps its job locked.
- When the application shuts down, call `drain` first: rows that are on their way are finished, the rest is given back.
- `BatchTasks.blueprint` makes the tasks alone, for an application that puts blueprints together by itself; their
  namespace must be ``vipps_async``.

Needs the extra ``distributed``.
"""

from __future__ import annotations

from vipps_async.extras import missing_extra

try:
    from vipps_async.batch.distributed.overview import BatchStatus, report_of, status_of
    from vipps_async.batch.distributed.submit import Submission, Submitted, submit
    from vipps_async.batch.distributed.worker import BatchTasks, OpenSession, session_from_env
except ModuleNotFoundError as _error:
    raise missing_extra("vipps_async.contrib.procrastinate", "distributed", _error) from _error

__all__ = [
    "BatchStatus",
    "BatchTasks",
    "OpenSession",
    "Submission",
    "Submitted",
    "report_of",
    "session_from_env",
    "status_of",
    "submit",
]
