"""A preview of many payments says what would happen, and changes nothing."""

from __future__ import annotations

from tests.batch.many_rows import collect, row
from tests.batch.shop import MSN, stock
from vipps_async.batch import (
    BatchOperation,
    BatchRow,
    RowOutcome,
    preview_many,
)
from vipps_async.testing import Sandbox


async def test_a_preview_says_what_would_happen_and_changes_nothing(sandbox: Sandbox) -> None:
    """Details are asked, sums are reckoned over the rows of an order, and no money moves."""
    stock(sandbox, 3, amount=5000)
    key = row(2).idempotency_key(BatchOperation.CAPTURE, MSN)
    sandbox._book.only("order-2").payment.move(
        "CAPTURE", 1000, key=key, fingerprint="f", text="x", now=sandbox.clock.now()
    )
    rows = [
        row(0, amount=3000),
        row(0, amount=3000, reference="too much together"),
        BatchRow(payment="order-1", text="x", reference="everything"),
        BatchRow(payment="order-1", text="x", reference="nothing left"),
        row(2),
        row(9),
    ]
    before = [(payment.captured, payment.history) for payment in sandbox.payments]
    async with sandbox.session() as vipps:
        repeated = frozenset({"order-0", "order-1"})
        results = await collect(preview_many(vipps.ecom, rows, BatchOperation.CAPTURE, repeated_payments=repeated))
    assert {name: result.outcome for name, result in results.items()} == {
        "shipment-0": RowOutcome.DONE,
        "too much together": RowOutcome.REFUSED,
        "everything": RowOutcome.DONE,
        "nothing left": RowOutcome.REFUSED,
        "shipment-2": RowOutcome.DONE_BEFORE,
        "shipment-9": RowOutcome.REFUSED,
    }
    assert results["everything"].amount == 5000
    assert "earlier rows take 30.00 NOK" in results["too much together"].reason
    assert [(payment.captured, payment.history) for payment in sandbox.payments] == before


async def test_a_preview_of_refunds_and_cancels(sandbox: Sandbox) -> None:
    """What was captured can be refunded, what was not can be cancelled."""
    stock(sandbox, 4)
    now = sandbox.clock.now()
    sandbox._book.only("order-1").payment.move("CAPTURE", 1000, key="k", fingerprint="f", text="x", now=now)
    sandbox._book.only("order-2").payment.move("CAPTURE", 400, key="k", fingerprint="f", text="x", now=now)
    sandbox._book.only("order-3").payment.cancel(release_remaining=False, text="x", now=now)
    rows = [BatchRow(payment=f"order-{number}", text="x", reference=str(number)) for number in range(4)]
    done, before, refused = RowOutcome.DONE, RowOutcome.FOUND_DONE, RowOutcome.REFUSED
    async with sandbox.session() as vipps:
        refunds = await collect(preview_many(vipps.ecom, rows, BatchOperation.REFUND))
        cancels = await collect(preview_many(vipps.ecom, rows, BatchOperation.CANCEL))
        releases = await collect(preview_many(vipps.ecom, rows, BatchOperation.CANCEL, release_remaining=True))
    assert [refunds[key].outcome for key in "0123"] == [refused, done, done, refused]
    assert refunds["2"].amount == 400
    assert [cancels[key].outcome for key in "0123"] == [done, refused, refused, before]
    assert [releases[key].outcome for key in "0123"] == [done, refused, done, before]
