"""A capture as a Taskiq task: run twice, tried again, or lost with its worker, it moves money once.

The broker here keeps its tasks in memory, so that the example runs as it is. Take one that outlives a process instead,
and run `taskiq worker examples.taskiq_worker:broker`; nothing else changes. The keys of the sales unit come from the
``VIPPS_…`` variables, the journal from ``SHOP_DSN`` (PostgreSQL, for several processes, which Taskiq starts unless told
``--workers 1``) or ``SHOP_JOURNAL`` (a file, for one process).
"""

from __future__ import annotations

from taskiq import Context, InMemoryBroker, SimpleRetryMiddleware, TaskiqDepends, TaskiqEvents, TaskiqState

from examples.capture_job import Worker, capture_shipment

__all__ = ["broker", "capture"]

#: How often a capture is tried that Vipps gave no answer to. The session itself has made up to four attempts by then.
_TRIES = 5

broker = InMemoryBroker().with_middlewares(SimpleRetryMiddleware(default_retry_count=_TRIES))


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def _open(state: TaskiqState) -> None:
    # One session for all tasks of the worker: one token, connections that stay open, and one journal.
    state.worker = await Worker.open()


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def _close(state: TaskiqState) -> None:
    await state.worker.aclose()


@broker.task(task_name="capture", retry_on_error=True)
async def capture(
    order_id: str,
    shipment: str,
    amount: int,
    context: Context = TaskiqDepends(),  # noqa: B008 - Taskiq's way of handing it in
) -> str:
    """Capture a shipment; an error that it raises has Taskiq try again, with the same key."""
    return await capture_shipment(context.state.worker.vipps, order_id=order_id, shipment=shipment, amount=amount)
