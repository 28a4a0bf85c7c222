"""The fence: a worker that lost its chunk neither writes to the journal, nor to the results, nor sends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from tests.batch.distributed.machines import opened, rows_of, status, submitted, world
from tests.batch.shop import MSN
from vipps_async import AcquireResult, Intent, Outcome, PostgresJournal, Settlement
from vipps_async.batch import RowOutcome, RowResult
from vipps_async.batch.distributed import fence as fence_module
from vipps_async.batch.distributed.chunks import Chunks, ClaimedChunk, LostError
from vipps_async.batch.distributed.database import BatchDatabase
from vipps_async.batch.distributed.fence import (
    STALE_AFTER,
    Fence,
    FencedTransport,
    current_condition,
    current_fence,
    now,
)
from vipps_async.errors import JournalError, RequestNotSent
from vipps_async.testing import ScriptedTransport
from vipps_async.transports.protocol import Request, Response

CAPTURE = "https://apitest.vipps.no/ecomm/v2/payments/order-1/capture"


@contextmanager
def behind(fence: Fence) -> Iterator[None]:
    """Work under a fence."""
    token = current_fence.set(fence)
    try:
        yield
    finally:
        current_fence.reset(token)


def a_fence(asked_at: float | None = None) -> Fence:
    """A fence around nothing in particular."""
    return Fence.around(1, 1, 1, statement=b"", asked_at=now() if asked_at is None else asked_at)


async def claimed(chunks: Chunks, batch: int, *, chunk: int = 0) -> ClaimedChunk:
    """Take a chunk that can be taken."""
    place = {"merchant_serial_number": MSN, "environment": "test", "base_url": world.base_url}
    claim = await chunks.claim(batch, chunk, owner="w", **place)
    assert claim is not None
    return claim


async def taken_away(database: BatchDatabase, claim: ClaimedChunk) -> None:
    """Let another worker have it."""
    await database.rows("UPDATE {schema}.batch_chunks SET epoch = epoch + 1 WHERE batch = %s", (claim.batch,))


def an_intent(order_id: str, key: str) -> Intent:
    """Something to note."""
    return Intent(
        key=key,
        api="ecom",
        operation="capture",
        payment=order_id,
        merchant_serial_number=MSN,
        amount=1000,
        currency="NOK",
        digest="d",
        created_at=datetime.now(UTC),
    )


def test_a_hold_ends_before_others_may_take_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted from when the database was last asked, not from when it answered; and not again once it is lost."""
    times = [100.0]
    monkeypatch.setattr(fence_module, "now", lambda: times[0])
    fence = Fence.around(1, 1, 1, statement=b"", asked_at=100.0)
    assert fence.may_send()
    times[0] = 100.0 + STALE_AFTER - 0.9
    assert not fence.may_send()
    fence.confirmed(103.0)
    assert fence.may_send()
    fence.confirmed(101.0)
    assert fence.may_send()
    other = Fence.around(1, 1, 1, statement=b"", asked_at=times[0])
    other.is_lost = True
    assert not other.may_send()


async def test_captures_pass_only_with_a_hold() -> None:
    """Without one, or with one that has run out or is lost, nothing is sent; details and tokens may pass."""
    inner = ScriptedTransport()
    transport = FencedTransport(inner)
    request = Request(method="POST", url=CAPTURE, headers={}, body=b"{}")

    async def refused() -> bool:
        try:
            await transport.send(request)
        except RequestNotSent:
            return True
        return False

    assert await refused()
    with behind(a_fence(now() - STALE_AFTER)):
        assert await refused()
    lost = a_fence()
    lost.is_lost = True
    with behind(lost):
        assert await refused()
        inner.on("", then=Response(status=200))
        for url in ("https://apitest.vipps.no/accesstoken/get", CAPTURE.replace("/capture", "/details")):
            assert (await transport.send(Request(method="GET", url=url, headers={}))).status == 200
        assert await refused()
    with behind(a_fence()):
        assert not await refused()
    await transport.aclose()
    assert len([request for request in inner.requests if request.url == CAPTURE]) == 1
    assert inner.closed == 1


def test_the_journal_of_a_batch_is_written_by_batches_only() -> None:
    """A write outside of any chunk is a mistake, and refused."""
    with pytest.raises(JournalError, match="only what works on a chunk"):
        current_condition()
    fence = a_fence()
    with behind(fence):
        assert current_condition() is fence.condition


async def test_the_journal_keeps_out_whoever_lost_the_chunk(postgres_dsn: str, schema: str) -> None:
    """Its begin is refused, its outcomes are dropped, and another's in the same commit go through."""
    async with opened(postgres_dsn, schema) as database:
        batch = (await submitted(database, rows_of(60), chunk_size=30)).batch
        chunks = Chunks(database)
        lost, kept = await claimed(chunks, batch, chunk=0), await claimed(chunks, batch, chunk=1)
        journal = PostgresJournal(postgres_dsn, schema=schema, condition=current_condition)
        await journal.open()
        mine, theirs, later = an_intent("order-1", "k-1"), an_intent("order-2", "k-2"), an_intent("order-3", "k-3")
        with behind(lost.fence):
            assert (await journal.begin(mine, owner="o", lease=60))[0] is AcquireResult.ACQUIRED
        await database.rows(
            "UPDATE {schema}.batch_chunks SET epoch = epoch + 1 WHERE batch = %s AND number = 0", (batch,)
        )
        settlement = Settlement(outcome=Outcome.DONE, answer=b"{}", settled_at=datetime.now(UTC))

        async def write(fence: Fence, intent: Intent) -> AcquireResult:
            with behind(fence):
                return (await journal.begin(intent, owner="o", lease=60))[0]

        with behind(lost.fence):
            await journal.settle(mine, settlement)
            await journal.release(mine, note="n")
        outcomes = await asyncio.gather(write(lost.fence, later), write(kept.fence, theirs), return_exceptions=True)
        assert isinstance(outcomes[0], JournalError)
        assert "another worker" in str(outcomes[0])
        assert outcomes[1] is AcquireResult.ACQUIRED
        await journal.flush()
        entries = {entry.intent.key: entry async for entry in journal.recent_entries()}
        await journal.aclose()
    assert entries.keys() == {"k-1", "k-2"}
    assert entries["k-1"].settlement is None
    assert entries["k-1"].owner == "o"


async def test_results_are_not_written_by_whoever_lost_the_chunk(postgres_dsn: str, schema: str) -> None:
    """Neither on the way nor at the end, nor does it show signs of life for another."""
    async with opened(postgres_dsn, schema) as database:
        batch = (await submitted(database, rows_of(10))).batch
        chunks = Chunks(database)
        claim = await claimed(chunks, batch)
        results = [
            RowResult(row=each.row, outcome=RowOutcome.REFUSED, idempotency_key="k")
            for each in await chunks.rows(claim)
        ]
        await chunks.save(claim, results[:2])
        await chunks.heartbeat(claim.fence)
        await chunks.save(claim, [])
        await taken_away(database, claim)
        with pytest.raises(LostError):
            await chunks.save(claim, results[2:4])
        assert claim.fence.is_lost
        with pytest.raises(LostError):
            await chunks.finish(claim, results[2:4])
        with pytest.raises(LostError):
            await chunks.heartbeat(claim.fence)
        assert (await status(database, batch)).totals.outcomes == {RowOutcome.REFUSED: 2, RowOutcome.NOT_BEGUN: 8}
