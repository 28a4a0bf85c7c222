"""Rows are held once more by the worker that is about to begin them, against what happened since."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import psycopg
import pytest

from tests.batch.distributed.machines import HEADING, opened, status, submitted, tasks, until, working
from tests.batch.shop import MSN, stock
from tests.toy.api import TOY_API
from vipps_async import PostgresJournal, RetryPolicy
from vipps_async.batch import BatchOperation, BatchRow, Origin, RowOutcome, capture_many
from vipps_async.batch.layout import Layout
from vipps_async.journals.entries import Intent, KeyOrigin, Outcome, Settlement
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox

UNNAMED = "order_id,amount_ore,transaction_text\n"


async def capture_by_hand(dsn: str, schema: str, sandbox: Sandbox, order_id: str) -> None:
    """What a service with the same journal does meanwhile: 10 kroner, without a reference."""
    async with sandbox.session(journal=PostgresJournal(dsn, schema=schema)) as vipps:
        await vipps.ecom.capture(order_id, amount=1000, transaction_text="By hand.")


async def test_what_was_done_since_submit_holds_a_row(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """The worker sends nothing for it, and says what it meets; the other rows go on."""
    stock(sandbox, 4, amount=5000)
    lines = "".join(f"order-{number},1000,Shipped.,s-{number}\n" for number in range(3))
    async with opened(postgres_dsn, schema) as database:
        batch = (await submitted(database, lines + "order-3,2000,Shipped.,s-3\n")).batch
        for order_id in ("order-0", "order-3"):
            await capture_by_hand(postgres_dsn, schema, sandbox, order_id)
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        stands = await status(database, batch)
        rows = await database.rows("SELECT payment, outcome, reason FROM {schema}.batch_rows ORDER BY number")
    assert stands.totals.outcomes == {RowOutcome.DONE: 3, RowOutcome.HELD: 1}
    assert found.runner.done.outcomes == {RowOutcome.DONE: 3, RowOutcome.HELD: 1}
    # Another amount is another operation.
    assert [sandbox.payment(f"order-{number}").captured for number in range(4)] == [1000, 1000, 1000, 3000]
    assert rows[0][:2] == ("order-0", "held")
    assert rows[0][2].startswith("meets a capture of 10.00 NOK over ecom, done ")


async def test_what_is_open_since_submit_holds_a_row(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """It may still take effect."""
    stock(sandbox, 1, amount=5000)
    async with opened(postgres_dsn, schema) as database:
        batch = (await submitted(database, "order-0,1000,Shipped.,s-0\n")).batch
        sandbox.faults.stall_seconds = 60
        sandbox.faults.script("capture", Fault.STALL_BEFORE_EFFECT)
        by_hand = asyncio.create_task(capture_by_hand(postgres_dsn, schema, sandbox, "order-0"))
        await until(lambda: bool(sandbox.faults.counts))
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        by_hand.cancel()
        await asyncio.wait({by_hand})
        assert (await status(database, batch)).totals.outcomes == {RowOutcome.HELD: 1}
    assert sandbox.payment("order-0").captured == 0


@pytest.mark.parametrize("lines", ["toy-0,1000,s-0\n", "toy-0,1000,other\n"], ids=["same reference", "another one"])
async def test_the_same_row_in_a_batch_over_another_api_is_held(postgres_dsn: str, schema: str, lines: str) -> None:
    """With one reference the two are one wish, whichever API they go over; with two they are two, as within one API."""
    async with opened(postgres_dsn, schema) as database:
        over_ecom = await submitted(database, "toy-0,1000,Shipped.,s-0\n")
        layout = Layout(api=TOY_API, operation=BatchOperation.CAPTURE)
        other = await submitted(database, lines, heading="toy,amount_cent,reference\n", layout=layout)
        assert (await status(database, other.batch)).api == "toy"
    assert (over_ecom.held_count, other.held_count) == (0, int("s-0" in lines))


@pytest.mark.parametrize("api", ["ecom", "toy"])
async def test_what_was_done_over_another_api_holds_a_row(
    postgres_dsn: str, schema: str, sandbox: Sandbox, api: str
) -> None:
    """An entry under the row's own key is the row itself over its API, and over another one the operation, done."""
    stock(sandbox, 1, amount=5000)
    row = BatchRow(payment="order-0", text="x", reference="s-0")
    intent = Intent(
        key=row.idempotency_key(BatchOperation.CAPTURE, MSN),
        api=api,
        operation="capture",
        payment="order-0",
        merchant_serial_number=MSN,
        amount=700,
        currency="NOK",
        digest="d",
        created_at=datetime.now(UTC),
        reference="s-0",
    )
    async with opened(postgres_dsn, schema) as database:
        batch = (await submitted(database, "order-0,1000,Shipped.,s-0\n")).batch
        journal = PostgresJournal(postgres_dsn, schema=schema)
        await journal.open()
        await journal.settle(intent, Settlement(outcome=Outcome.DONE, answer=b"{}", settled_at=datetime.now(UTC)))
        await journal.aclose()
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        outcomes = (await status(database, batch)).totals.outcomes
    # Over its own API the key alone decides: another amount under it is a mismatch.
    assert outcomes == ({RowOutcome.HELD: 1} if api == "toy" else {RowOutcome.REFUSED: 1})
    assert sandbox.payment("order-0").captured == 0


@pytest.mark.parametrize("line", ["order-0,all,Shipped.,s-0,no", "order-0,1000,Shipped.,s-0,yes"])
async def test_rows_that_are_never_held(postgres_dsn: str, schema: str, sandbox: Sandbox, line: str) -> None:
    """One that takes all that is left takes no more by that, and one that was said to be another is another."""
    stock(sandbox, 1, amount=5000)
    async with opened(postgres_dsn, schema) as database:
        heading = HEADING.replace("\n", ",another\n")
        batch = (await submitted(database, f"{line}\n", heading=heading)).batch
        await capture_by_hand(postgres_dsn, schema, sandbox, "order-0")
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        assert (await status(database, batch)).totals.outcomes == {RowOutcome.DONE: 1}
    assert sandbox.payment("order-0").captured == (5000 if "all" in line else 2000)


async def test_a_row_that_was_begun_before_is_itself(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """Its own entry, which an earlier worker left open, does not hold it."""
    stock(sandbox, 1, amount=5000)
    async with opened(postgres_dsn, schema) as database:
        batch = (await submitted(database, "order-0,1000,Shipped.\n", heading=UNNAMED)).batch
        sandbox.faults.stall_seconds = 60
        sandbox.faults.script("capture", Fault.STALL_AFTER_EFFECT)
        async with tasks(postgres_dsn, schema, sandbox) as one, working(one) as worker:
            await until(lambda: sandbox.payment("order-0").captured == 1000)
            worker.kill()
        async with tasks(postgres_dsn, schema, sandbox) as two, working(two, once=True):
            pass
        assert (await status(database, batch)).totals.outcomes == {RowOutcome.DONE: 1}
    assert sandbox.payment("order-0").captured == 1000


async def test_a_cancel_is_noted_as_a_row(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """With its reference, as captures and refunds are."""
    stock(sandbox, 1)
    async with opened(postgres_dsn, schema) as database:
        heading = HEADING.replace("amount_ore,", "")
        await submitted(database, "order-0,No.,c-0\n", operation=BatchOperation.CANCEL, heading=heading)
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        journal = PostgresJournal(postgres_dsn, schema=schema)
        await journal.open()
        (entry,) = await journal.find(payment="order-0", merchant_serial_number="123456")
        await journal.aclose()
    assert (entry.intent.origin, entry.intent.reference) == (KeyOrigin.ROW, "c-0")


async def test_what_cannot_be_read_holds_a_row(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """Damaged since `submit`: the worker holds the payment's rows, but for those that are said to be another one."""
    stock(sandbox, 3, amount=5000)
    lines = "".join(f"order-{number},{1000 + number},Shipped.,s-{number}\n" for number in range(3))
    async with opened(postgres_dsn, schema) as database:
        batch = (await submitted(database, lines)).batch
        for order_id in ("order-0", "order-1"):
            await capture_by_hand(postgres_dsn, schema, sandbox, order_id)
        with psycopg.connect(postgres_dsn, autocommit=True) as other:
            for change in ("journal_entries SET amount = 1", "batch_rows SET another = payment = 'order-1'"):
                other.execute(f"UPDATE {schema}.{change}".encode())
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        stands = await status(database, batch)
        rows = await database.rows("SELECT reason FROM {schema}.batch_rows ORDER BY number")
    assert stands.totals.outcomes == {RowOutcome.DONE: 2, RowOutcome.HELD: 1}
    assert [sandbox.payment(f"order-{number}").captured for number in range(3)] == [1000, 2001, 1002]
    assert "is of a payment of which the journal has what cannot be read" in rows[0][0]


async def test_two_amounts_of_one_file_are_no_correction_of_each_other(
    postgres_dsn: str, schema: str, sandbox: Sandbox
) -> None:
    """Rows without reference of one payment and file, the second of them begun anew when the first one is done."""
    stock(sandbox, 1, amount=5000)
    sandbox.faults.script("capture", Fault.HTML_200_AFTER, Fault.LOCKED_94, order_id="order-0")
    async with opened(postgres_dsn, schema) as database:
        lines = "order-0,1000,One.\norder-0,700,Two.\n"
        batch = (await submitted(database, lines, heading=UNNAMED)).batch
        once = RetryPolicy(attempts=1)
        async with tasks(postgres_dsn, schema, sandbox, retry=once) as found, working(found, once=True):
            pass
        assert (await status(database, batch)).totals.outcomes == {RowOutcome.DONE: 2}
    assert found.runner.done.outcomes[RowOutcome.NOT_DONE] == 1
    assert sandbox.payment("order-0").captured == 1700


async def test_a_changed_amount_in_another_file_is_held(postgres_dsn: str, schema: str, sandbox: Sandbox) -> None:
    """It corrects the first file, begun or not, or is another operation: nobody knows, so it is not added on top."""
    stock(sandbox, 2, amount=5000)
    async with opened(postgres_dsn, schema) as database:
        await submitted(database, "order-0,1000,One.\norder-1,1000,One.\n", heading=UNNAMED)
        other = await submitted(database, "order-0,900,One.\n", heading=UNNAMED)
        named = await submitted(database, "order-1,900,Two.,s-1\n")
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
    assert (other.held_count, named.held_count) == (1, 0)
    assert [sandbox.payment(f"order-{number}").captured for number in range(2)] == [1000, 1900]


async def test_what_another_file_did_since_submit_may_be_corrected(
    postgres_dsn: str, schema: str, sandbox: Sandbox
) -> None:
    """A row without reference, carried out meanwhile with another amount, holds such a row of a batch."""
    stock(sandbox, 1, amount=5000)
    row = BatchRow(payment="order-0", text="x", amount=1000, origin=Origin(digest="ab" * 32, number=1, line=2))
    async with opened(postgres_dsn, schema) as database:
        batch = (await submitted(database, "order-0,900,One.\n", heading=UNNAMED)).batch
        async with sandbox.session(journal=PostgresJournal(postgres_dsn, schema=schema)) as vipps:
            results = [result.outcome async for result in capture_many(vipps.ecom, [row])]
        async with tasks(postgres_dsn, schema, sandbox) as found, working(found, once=True):
            pass
        ((outcome, reason),) = await database.rows("SELECT outcome, reason FROM {schema}.batch_rows")
        assert (await status(database, batch)).totals.outcomes == {RowOutcome.HELD: 1}
    assert (results, outcome) == ([RowOutcome.DONE], "held")
    assert "this row has another amount: is it a correction" in reason
    assert sandbox.payment("order-0").captured == 1000
