"""What a second and a third worker bring: rows a second of one batch on 1, 2 and 3 workers, side by side.

Run it with `python -m benchmarks.many_workers`; `--dsn` names a PostgreSQL, else one is started from the wheel that the
tests use. Every worker is a process of its own and keeps `--concurrency` requests on their way to a server that takes
`--answer-time` over each, so one worker can do `concurrency / answer time` rows a second and no more. With the defaults
that is 16, far less than the server, the database or two cores can do: what is measured is how well work is shared, not
the machine. The figure to quote is the median of the ratios; each round measures all numbers of workers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import psycopg

from benchmarks import fixed_server
from tests.support.postgres import available_dsn
from vipps_async.batch import BatchOperation, RowOutcome
from vipps_async.batch.distributed.database import BatchDatabase
from vipps_async.batch.distributed.overview import BatchStatus, status_of
from vipps_async.batch.distributed.submit import Submission, submit
from vipps_async.batch.layout import Layout
from vipps_async.batch.row_store import RowStore
from vipps_async.config import Environment
from vipps_async.ecom.payment_api import ECOM_API

_MSN = "123456"


@contextlib.contextmanager
def _workers(dsn: str, schema: str, url: str, count: int, options: argparse.Namespace) -> Iterator[None]:
    """Start workers, and wait until each says that it is there."""
    keys = {"CLIENT_ID": "id", "CLIENT_SECRET": "secret", "SUBSCRIPTION_KEY": "key", "MERCHANT_SERIAL_NUMBER": _MSN}
    env = os.environ | {f"VIPPS_{name}": value for name, value in (keys | {"BASE_URL": url, "BATCH_DSN": dsn}).items()}
    command = [sys.executable, "-m", "vipps_async", "batch", "work", "--schema", schema]
    command += ["--concurrency", str(options.concurrency)]
    with contextlib.ExitStack() as stack:
        started = []
        for _ in range(count):
            process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
            stack.callback(process.communicate)
            stack.callback(process.terminate)
            started.append(process)
        for process in started:
            assert process.stderr is not None
            process.stderr.readline()
        # They have said so before they look for jobs.
        time.sleep(1)
        yield


async def _measure(dsn: str, url: str, count: int, options: argparse.Namespace) -> float:
    """Return the rows a second of one batch on so many workers."""
    database = BatchDatabase(dsn, schema=f"benchmark_{uuid.uuid4().hex}")
    await database.open()
    lines = "".join(f"order-{number},1000,Benchmark,{number}\n" for number in range(options.rows))
    with RowStore() as store, _workers(dsn, database.schema, url, count, options):
        layout = Layout(api=ECOM_API, operation=BatchOperation.CAPTURE)
        store.load(io.BytesIO(f"order_id,amount_ore,transaction_text,reference\n{lines}".encode()), layout)
        submission = Submission(
            layout=layout,
            merchant_serial_number=_MSN,
            environment=Environment.TEST,
            base_url=url,
            chunk_size=options.chunk,
        )
        started = time.perf_counter()
        batch = (await submit(database, store, submission)).batch
        status = await _ended(database, batch)
        seconds = time.perf_counter() - started
    assert status.totals.outcomes == {RowOutcome.DONE: options.rows}
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {database.schema} CASCADE".encode())
    await database.close()
    return float(options.rows / seconds)


async def _ended(database: BatchDatabase, batch: int) -> BatchStatus:
    while not (status := await status_of(database, batch)).is_ended:  # noqa: ASYNC110 - other processes end it
        await asyncio.sleep(0.1)
    return status


def main() -> None:
    """Run rounds of measurements and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn")
    parser.add_argument("--rows", type=int, default=480)
    parser.add_argument("--chunk", type=int, default=40)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--answer-time", type=float, default=0.25, metavar="SECONDS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    ratios: dict[int, list[float]] = {count: [] for count in options.workers}
    with contextlib.ExitStack() as stack:
        dsn = options.dsn or stack.enter_context(available_dsn())
        url = stack.enter_context(fixed_server.running(options.answer_time))
        for number in range(1, options.rounds + 1):
            figures = {count: asyncio.run(_measure(dsn, url, count, options)) for count in options.workers}
            first = figures[options.workers[0]]
            for count, figure in figures.items():
                ratios[count].append(figure / first)
            shown = ", ".join(f"{count}: {figure:6.1f} (x{figure / first:.2f})" for count, figure in figures.items())
            print(f"{number:3}: rows a second by workers: {shown}", flush=True)
    for count, found in ratios.items():
        print(
            f"{count} workers: median ratio {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f}), at "
            f"{options.concurrency} requests at once each and {options.answer_time * 1000:.0f} ms an answer"
        )


if __name__ == "__main__":
    main()
