"""Machines that work on batches, all in this process: databases, submissions and workers for tests."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable, Sequence

from attrs import define

from tests.batch.shop import MSN
from vipps_async import Journal, RetryPolicy, Transport, VippsSession
from vipps_async.batch import BatchOperation
from vipps_async.batch.distributed.database import BatchDatabase
from vipps_async.batch.distributed.overview import BatchStatus, status_of
from vipps_async.batch.distributed.submit import Submission, Submitted, submit
from vipps_async.batch.distributed.worker import BatchTasks, BatchWorker
from vipps_async.batch.layout import Layout
from vipps_async.batch.row_store import RowStore
from vipps_async.config import Credentials, Environment
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.sandbox import SandboxServer

__all__ = [
    "HEADING",
    "PATIENCE",
    "all_once",
    "captured",
    "opened",
    "rows_of",
    "status",
    "submitted",
    "tasks",
    "until",
    "working",
]

#: Seconds that anything here may take: far more than it needs.
PATIENCE = 60.0
HEADING = "order_id,amount_ore,transaction_text,reference\n"


@define
class World:
    """Where the batches of a test are carried out."""

    base_url: str = "https://apitest.vipps.no"


#: The sandbox of the running test, if it has one.
world = World()


@contextlib.asynccontextmanager
async def opened(dsn: str, schema: str) -> AsyncIterator[BatchDatabase]:
    """An open database."""
    database = BatchDatabase(dsn, schema=schema)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


def rows_of(count: int) -> str:
    """Lines that capture 10 kroner of each of the first orders."""
    return "".join(f"order-{number},1000,Shipped.,s-{number}\n" for number in range(count))


async def submitted(
    database: BatchDatabase,
    lines: str,
    *,
    operation: BatchOperation = BatchOperation.CAPTURE,
    heading: str = HEADING,
    rate: float | None = None,
    chunk_size: int | None = None,
    new_batch: bool = False,
    layout: Layout | None = None,
    environment: Environment = Environment.TEST,
    release_remaining: bool = False,
    base_url: str | None = None,
    released: Sequence[str] = (),
) -> Submitted:
    """Submit a file of these lines."""
    layout = layout or Layout(api=ECOM_API, operation=operation)
    with RowStore() as store:
        store.load(io.BytesIO((heading + lines).encode()), layout)
        return await submit(
            database,
            store,
            Submission(
                layout=layout,
                merchant_serial_number=MSN,
                environment=environment,
                base_url=base_url or world.base_url,
                released=released,
                rate=rate,
                chunk_size=chunk_size,
                new_batch=new_batch,
                release_remaining=release_remaining,
            ),
        )


@contextlib.asynccontextmanager
async def tasks(
    dsn: str,
    schema: str,
    sandbox: SandboxServer,
    *,
    concurrency: int = 8,
    retry: RetryPolicy | None = None,
    msn: str = MSN,
    secret: str = "secret",  # noqa: S107 - of a sandbox
) -> AsyncIterator[BatchTasks]:
    """What one worker has, opened."""
    keys = Credentials(client_id="id", client_secret=secret, subscription_key="key", merchant_serial_number=msn)

    def session(transport: Transport, journal: Journal) -> VippsSession:
        return VippsSession(keys, base_url=sandbox.url, transport=transport, journal=journal, retry=retry)

    async with BatchTasks(dsn, schema=schema, own_jobs=True, session=session, concurrency=concurrency) as found:
        yield found


@contextlib.asynccontextmanager
async def working(found: BatchTasks, *, once: bool = False) -> AsyncIterator[BatchWorker]:
    """A worker at work; at the end it is waited for if it ends by itself, else drained."""
    worker = BatchWorker(found)
    task = asyncio.create_task(worker.run(once=once))
    try:
        yield worker
        if not once:
            worker.stop()
        async with asyncio.timeout(PATIENCE):
            await task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def status(database: BatchDatabase, batch: int) -> BatchStatus:
    """How a batch stands."""
    return await status_of(database, batch)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the sandbox or another task does."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - done elsewhere
            await asyncio.sleep(0.01)


def captured(sandbox: SandboxServer) -> int:
    """How many orders are captured."""
    return sum(order.payment.sums.captured > 0 for order in sandbox._book)


def all_once(sandbox: SandboxServer, amount: int = 1000) -> bool:
    """Whether each order was captured, in one go."""
    return all(payment.captured == amount and len(payment.moved("CAPTURE")) == 1 for payment in sandbox.payments)
