"""A capture as an arq job: run twice, tried again, or lost with its worker, it moves money once.

Needs a Redis; run `arq examples.arq_worker.WorkerSettings`, and queue with::

    await redis.enqueue_job("capture", "order-1", "shipment-1", 49900, _job_id="capture shipment-1")

The job's id keeps a shipment from being queued twice at a time; what keeps it from being captured twice is the key. The
keys of the sales unit come from the ``VIPPS_…`` variables, the journal from ``SHOP_DSN`` (PostgreSQL, for many workers)
or ``SHOP_JOURNAL`` (a file, for one). arq itself is only maintained any more: for something new, take an engine that
grows.
"""

from __future__ import annotations

from typing import Any, ClassVar

from arq import Retry

from examples.capture_job import Worker, capture_shipment
from vipps_async import VippsError

__all__ = ["WorkerSettings", "capture"]

#: Seconds until the next try, times the number of tries so far: Vipps takes an order's captures five times a minute.
_PAUSE = 20


async def capture(context: dict[Any, Any], order_id: str, shipment: str, amount: int) -> str:
    """Capture a shipment; what is not done, or not known to be, is tried again with the same key."""
    worker: Worker = context["worker"]
    try:
        return await capture_shipment(worker.vipps, order_id=order_id, shipment=shipment, amount=amount)
    except VippsError as error:
        raise Retry(defer=_PAUSE * context["job_try"]) from error


async def _open(context: dict[Any, Any]) -> None:
    context["worker"] = await Worker.open()


async def _close(context: dict[Any, Any]) -> None:
    await context["worker"].aclose()


class WorkerSettings:
    """What arq reads."""

    functions: ClassVar = [capture]
    on_startup = _open
    on_shutdown = _close
    #: The first try included.
    max_tries = 5
