"""Workers and a batch: who takes what, what ends how, and what is tried again."""

from __future__ import annotations

from tests.batch.distributed.machines import opened, rows_of, status, submitted, tasks, working
from tests.batch.shop import stock
from vipps_async.batch import RowOutcome
from vipps_async.testing import Sandbox


async def test_a_worker_does_a_whole_batch(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """All rows of all chunks end, once, and the worker ends when nothing is left."""
    stock(sandbox, 120)
    async with opened(postgres_dsn, schema) as database:
        batch = await submitted(database, rows_of(120))
        assert (batch.is_new, batch.chunks) == (True, 3)
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        found_status = await status(database, batch.batch)
    assert found_status.is_ended
    assert found_status.totals.outcomes == {RowOutcome.DONE: 120}
    assert found_status.totals.moved == {RowOutcome.DONE: 120_000}
    assert all(payment.captured == 1000 and len(payment.moved("CAPTURE")) == 1 for payment in sandbox.payments)
