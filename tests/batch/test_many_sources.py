"""Many payments at once: each order in its sequence, and sources of rows that are slow, wrong or endless."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.batch.many_rows import PATIENCE, captured, collect, drain, row, scripted
from tests.batch.shop import MSN, stock, stock_one
from tests.support.rows import each_row
from vipps_async import (
    InvalidInputError,
    MemoryJournal,
    RetryPolicy,
)
from vipps_async.batch import (
    BatchOperation,
    BatchRow,
    RowOutcome,
    cancel_many,
    capture_many,
    refund_many,
)
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox
from vipps_async.transports.protocol import Request, Response


async def test_rows_of_one_order_keep_their_sequence_and_never_overlap() -> None:
    """Of each order one row at a time, in the order of the file; other orders go on beside it."""
    inside: set[str] = set()
    seen: dict[str, list[str]] = {}
    most = 0

    async def respond(request: Request) -> Response:
        nonlocal most
        order_id = request.url.split("/")[-2]
        assert order_id not in inside
        inside.add(order_id)
        most = max(most, len(inside))
        await asyncio.sleep(0.001)
        inside.discard(order_id)
        assert request.body is not None
        seen.setdefault(order_id, []).append(request.headers["X-Request-Id"])
        return captured(request)

    rows = [row(number % 7, reference=f"r{number}") for number in range(200)]
    async with scripted(respond) as vipps:
        results = await collect(capture_many(vipps.ecom, rows, concurrency=16))
    assert len(results) == 200
    assert most > 3
    for number in range(7):
        expected = [r.idempotency_key(BatchOperation.CAPTURE, MSN) for r in rows if r.payment == f"order-{number}"]
        assert seen[f"order-{number}"] == expected


@pytest.mark.parametrize("fault", [Fault.HTML_200_BEFORE, Fault.HTTP_429])
async def test_what_comes_after_a_row_without_an_outcome_waits_for_it(sandbox: Sandbox, fault: Fault) -> None:
    """Of "100 kroner, then the rest" the rest waits until the first is settled: run again, both are right."""
    stock_one(sandbox, "order-1", 50_000)
    stock_one(sandbox, "order-2", 1000)
    rows = [
        row(1, amount=10_000, reference="first"),
        BatchRow(payment="order-1", text="x", reference="rest"),
        row(2),
    ]
    sandbox.faults.script("capture", fault, order_id="order-1")
    async with sandbox.session(journal=MemoryJournal(), retry=RetryPolicy(attempts=1, deadline=2.0)) as vipps:
        results = await collect(capture_many(vipps.ecom, rows))
        assert results["first"].outcome in {RowOutcome.UNKNOWN, RowOutcome.NOT_DONE}
        assert results["rest"].outcome is RowOutcome.NOT_BEGUN
        assert "earlier row" in results["rest"].reason
        assert results["shipment-2"].outcome is RowOutcome.DONE
        again = await collect(capture_many(vipps.ecom, rows))
    assert (again["first"].amount, again["rest"].amount) == (10_000, 40_000)


async def test_a_slow_consumer_holds_the_reading_back() -> None:
    """Rows are read no faster than results are taken: memory does not grow with the file."""
    read = 0

    def rows() -> Iterator[BatchRow]:
        nonlocal read
        for number in range(100_000):
            read += 1
            yield row(number)

    async with scripted(captured) as vipps:
        results = capture_many(vipps.ecom, rows(), concurrency=4)
        taken = 0
        async for _ in results:
            taken += 1
            await asyncio.sleep(0)
            # What waits, and what the reading thread has gathered at most.
            assert read <= taken + 4 * 4 + 2 * 256
            if taken == 600:
                break
        await results.aclose()


async def test_a_source_that_blocks_does_not_block_the_loop() -> None:
    """A file on a slow disk is read in a thread: everything else in the process goes on."""
    release = threading.Event()

    def rows() -> Iterator[BatchRow]:
        yield row(1)
        release.wait(PATIENCE)
        yield row(2)

    async with scripted(captured) as vipps:
        task = asyncio.create_task(collect(capture_many(vipps.ecom, rows())))
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert not task.done()
        release.set()
        assert len(await task) == 2


async def test_a_source_that_trickles_is_not_waited_for() -> None:
    """A row that is there is begun, though the next one is not there yet."""
    more = threading.Event()

    def rows() -> Iterator[BatchRow]:
        yield row(1)
        time.sleep(0.1)  # longer than rows are gathered for
        yield row(2)
        more.wait(PATIENCE)

    async with scripted(captured) as vipps, asyncio.timeout(PATIENCE):
        results = capture_many(vipps.ecom, rows())
        first = await anext(results)
        assert first.outcome is RowOutcome.DONE
        more.set()
        assert [result.outcome async for result in results] == [RowOutcome.DONE]


async def test_async_sources_are_read(sandbox: Sandbox) -> None:
    """Rows may come out of a database as they are asked for."""
    stock(sandbox, 3)

    async def rows() -> AsyncIterator[BatchRow]:
        for number in range(3):
            await asyncio.sleep(0)
            yield row(number)

    async with sandbox.session() as vipps:
        assert len(await collect(capture_many(vipps.ecom, rows()))) == 3


async def test_an_empty_source_ends_at_once(sandbox: Sandbox) -> None:
    """Nothing in, nothing out."""
    async with sandbox.session() as vipps:
        assert await collect(capture_many(vipps.ecom, [])) == {}


async def test_an_error_of_the_source_comes_after_what_was_read(sandbox: Sandbox) -> None:
    """What had been read is carried out and told; then the error of whoever made the rows is raised."""
    stock(sandbox, 3)

    async def rows() -> AsyncIterator[BatchRow]:
        for number in range(3):
            yield row(number)
        raise LookupError("the database is gone")

    outcomes: list[RowOutcome] = []
    async with sandbox.session() as vipps:
        with pytest.raises(LookupError, match="the database is gone"):
            await drain(capture_many(vipps.ecom, rows()), outcomes)
    assert outcomes == [RowOutcome.DONE] * 3


@pytest.mark.parametrize("rows", [7, ["a row"], iter(["a row"])], ids=["a number", "a list", "an iterator"])
async def test_what_is_no_row_is_refused(sandbox: Sandbox, rows: Any) -> None:
    """Something else than rows is told, and nothing is sent."""
    async with sandbox.session() as vipps:
        with pytest.raises(InvalidInputError, match="rows"):
            await collect(capture_many(vipps.ecom, rows))


@each_row(
    "wrong",
    [
        *({"concurrency": value} for value in (0, 101, True, 1.5)),
        *({"rate": value} for value in (0, -1.0, float("inf"), True, "10")),
    ],
    ids=str,
)
@each_row("many", [capture_many, refund_many, cancel_many])
async def test_wrong_arguments_are_refused_at_once(sandbox: Sandbox, many: Any, wrong: dict[str, Any]) -> None:
    """Before the first row is read."""
    with pytest.raises(InvalidInputError):
        many(sandbox.session(), [], **wrong)
