"""Batches in an application that has a Procrastinate of its own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import uuid
from collections.abc import Iterator

import procrastinate
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.batch.shop import MSN, stock
from tests.support.postgres import available_dsn
from vipps_async.batch import BatchOperation, RowOutcome
from vipps_async.batch.layout import Layout
from vipps_async.batch.row_store import RowStore
from vipps_async.config import Environment
from vipps_async.contrib.procrastinate import BatchTasks, Submission, report_of, status_of, submit
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.testing import Sandbox


@pytest.fixture
def dsn() -> Iterator[str]:
    """The DSN of a database of the application's own, with Procrastinate's tables in it."""
    name = f"test_{uuid.uuid4().hex}"
    with available_dsn() as server:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        own = make_conninfo(server, dbname=name)
        with psycopg.connect(own, autocommit=True) as connection:
            connection.execute(procrastinate.schema.SchemaManager.get_schema())
        yield own
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


async def test_an_applications_worker_does_batches_beside_its_own_jobs(dsn: str) -> None:
    """It gets the tasks, submits a file and works it off; its own job runs too, and a drained one gives back."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn))
    greeted = asyncio.Event()

    @app.task(name="greet")
    async def greet() -> None:
        greeted.set()

    async with Sandbox(rate_limits=False) as sandbox, contextlib.AsyncExitStack() as stack:
        stock(sandbox, 60)
        tasks = await stack.enter_async_context(
            BatchTasks(dsn, session=lambda transport, journal: sandbox.session(transport=transport, journal=journal))
        )
        tasks.add_to(app)
        assert len(tasks.queues) == 3
        await stack.enter_async_context(app.open_async())
        layout = Layout(api=ECOM_API, operation=BatchOperation.CAPTURE)
        lines = "".join(f"order-{number},1000,Shipped.,s-{number}\n" for number in range(60))
        with RowStore() as store:
            store.load(io.BytesIO(f"order_id,amount_ore,transaction_text,reference\n{lines}".encode()), layout)
            submission = Submission(
                layout=layout,
                merchant_serial_number=MSN,
                environment=Environment.TEST,
                base_url=sandbox.url,
                chunk_size=20,
            )
            batch = (await submit(tasks.database, store, submission)).batch
        await greet.defer_async()
        worker = asyncio.create_task(
            app.run_worker_async(
                queues=["default", *tasks.queues],
                concurrency=3,
                install_signal_handlers=False,
                update_heartbeat_interval=1,
            )
        )
        async with asyncio.timeout(30):
            await greeted.wait()
            while not (await status_of(tasks.database, batch)).is_ended:  # noqa: ASYNC110 - the worker ends it
                await asyncio.sleep(0.05)
        tasks.drain()
        worker.cancel()
        await asyncio.wait({worker})
        assert (await status_of(tasks.database, batch)).totals.outcomes == {RowOutcome.DONE: 60}
        report = await asyncio.to_thread(lambda: list(report_of(tasks.database, batch)))
        assert len(report) == 60
        assert all(payment.captured == 1000 for payment in sandbox.payments)
