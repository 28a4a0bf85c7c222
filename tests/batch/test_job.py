"""One run over a file: what it settles first, what it tries again, and when it ends."""

from __future__ import annotations

import asyncio
import io
import re

import pytest

from tests.batch.row_stores import new_row_store
from tests.batch.shop import stock
from vipps_async import MemoryJournal, RetryPolicy
from vipps_async.batch import BatchOperation, RowOutcome, RowResult
from vipps_async.batch.job import BatchJob, JobOptions, Progress
from vipps_async.batch.layout import Layout
from vipps_async.batch.row_store import RowStore
from vipps_async.cli.batch_output import progress_line
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox

CAPTURE = JobOptions(api=ECOM_API, operation=BatchOperation.CAPTURE)


def store_of(count: int) -> RowStore:
    """Capture 10 kroner of each order."""
    store = new_row_store()
    lines = "".join(f"order-{number},1000,Shipped.,s-{number}\n" for number in range(count))
    content = "order_id,amount_ore,transaction_text,reference\n" + lines
    store.load(io.BytesIO(content.encode()), Layout(api=ECOM_API, operation=BatchOperation.CAPTURE))
    return store


async def test_rows_without_an_outcome_are_tried_again(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Throttled often, an answer lost once: in a later round they are done, and counted once.

    A limit that Vipps publishes passes: it is waited for, however often it is met, and is no outcome.
    """
    monkeypatch.setattr("vipps_async.batch.job._PAUSE", 0.01)
    monkeypatch.setattr("vipps_async.batch.job._LIMIT_PASSES", 0.01)
    stock(sandbox, 20)
    sandbox.faults.script("capture", *[Fault.HTTP_429] * 5, order_id="order-3")
    sandbox.faults.script("capture", Fault.HTML_200_AFTER, order_id="order-4")
    async with sandbox.session(journal=MemoryJournal(), retry=RetryPolicy(attempts=1)) as vipps:
        job = BatchJob(vipps, store_of(20), CAPTURE, stop=asyncio.Event())
        totals = await job.run()
    assert totals.outcomes == {RowOutcome.DONE: 20}
    assert totals.moved == {RowOutcome.DONE: 20_000}
    assert (job.progress.ended, job.progress.rows) == (20, 20)
    assert all(payment.captured == 1000 for payment in sandbox.payments)


@pytest.mark.parametrize("has_come_up", [True, False])
async def test_the_progress_counts_what_the_sums_count(sandbox: Sandbox, *, has_come_up: bool) -> None:
    """What an earlier round of this run left unknown, and the journal has as done now, was done in this run."""
    stock(sandbox, 1)
    store = store_of(1)
    (row,) = store.rows()
    key = row.idempotency_key(BatchOperation.CAPTURE, "123456")
    if has_come_up:
        store.save([RowResult(row=row, outcome=RowOutcome.UNKNOWN, idempotency_key=key)])
    async with sandbox.session(journal=MemoryJournal()) as vipps:
        await vipps.ecom.capture("order-0", amount=1000, transaction_text="Shipped.", idempotency_key=key)
        job = BatchJob(vipps, store, CAPTURE, stop=asyncio.Event())
        totals = await job.run()
    outcome, moved = (RowOutcome.DONE, 1000) if has_come_up else (RowOutcome.DONE_BEFORE, 0)
    assert (totals.outcomes, dict(job.progress.outcomes), job.progress.moved) == ({outcome: 1}, {outcome: 1}, moved)


@pytest.mark.parametrize("seconds", [3600, 31_536_000], ids=["an hour", "a year"])
async def test_an_absurd_wish_to_wait_ends_the_run(sandbox: Sandbox, seconds: int) -> None:
    """Nobody sits before a batch for an hour: it ends at once, begins no more rows, and says what is left."""
    stock(sandbox, 200)
    sandbox.faults.retry_after = seconds
    sandbox.faults.randomise(rate=1.0, seed=1, operations=("capture",), kinds=(Fault.HTTP_429_RETRY_AFTER,))
    async with sandbox.session(journal=MemoryJournal()) as vipps:
        job = BatchJob(vipps, store_of(200), CAPTURE, stop=asyncio.Event())
        async with asyncio.timeout(10):
            totals = await job.run()
    assert f"Vipps asks to wait {seconds:,} s" in job.gave_up
    assert "200 rows are left" in job.gave_up
    assert totals.outcomes.get(RowOutcome.NOT_DONE, 0) < 100
    assert not any(payment.captured for payment in sandbox.payments)


async def test_one_payment_that_is_to_wait_keeps_no_other(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others go on, those without an outcome are tried again, and only that one is left."""
    monkeypatch.setattr("vipps_async.batch.job._PAUSE", 0.01)
    stock(sandbox, 20)
    sandbox.faults.retry_after = 3600
    sandbox.faults.script("capture", *[Fault.HTTP_429_RETRY_AFTER] * 99, order_id="order-3")
    sandbox.faults.script("capture", Fault.HTTP_429, order_id="order-4")
    async with sandbox.session(journal=MemoryJournal(), retry=RetryPolicy(attempts=1)) as vipps:
        job = BatchJob(vipps, store_of(20), CAPTURE, stop=asyncio.Event())
        monkeypatch.setattr("vipps_async.batch.job._LIMIT_PASSES", 0.01)
        async with asyncio.timeout(20):
            totals = await job.run()
    assert totals.outcomes == {RowOutcome.DONE: 19, RowOutcome.NOT_DONE: 1}
    assert "1 row is left" in job.gave_up


async def test_a_pause_is_shown_with_its_length_and_reason(sandbox: Sandbox) -> None:
    """While it waits, what is tried again after it has not ended: not 1 of 1, and nothing said."""
    stock(sandbox, 1)
    sandbox.faults.retry_after = 90
    sandbox.faults.randomise(rate=1.0, seed=1, operations=("capture",), kinds=(Fault.HTTP_429_RETRY_AFTER,))
    stop = asyncio.Event()
    async with sandbox.session(journal=MemoryJournal()) as vipps:
        job = BatchJob(vipps, store_of(1), CAPTURE, stop=stop)
        running = asyncio.create_task(job.run())
        async with asyncio.timeout(10):
            while job.progress.wait is None:  # noqa: ASYNC110 - a field
                await asyncio.sleep(0.005)
        line = progress_line(job.progress, ECOM_API, BatchOperation.CAPTURE, preview=False)
        stop.set()
        await running
    assert line.startswith("0 of 1, ")
    assert re.search(r"; waits for (89|90) s: Vipps asks for it; 1 left$", line)
    assert job.progress.wait is None


@pytest.mark.parametrize("when", ["before", "in the pause"])
async def test_a_stopped_run_tries_nothing_again(sandbox: Sandbox, when: str) -> None:
    """Ctrl-C ends the pause between two rounds, too."""
    stock(sandbox, 1)
    sandbox.faults.randomise(rate=1.0, seed=1, operations=("capture",), kinds=(Fault.HTTP_429,))
    stop = asyncio.Event()
    async with sandbox.session(journal=MemoryJournal(), retry=RetryPolicy(attempts=1)) as vipps:
        job = BatchJob(vipps, store_of(1), CAPTURE, stop=stop)
        if when == "before":
            stop.set()
        running = asyncio.create_task(job.run())
        while when != "before" and not job.progress.outcomes[RowOutcome.NOT_DONE]:  # noqa: ASYNC110 - a count
            await asyncio.sleep(0.005)
        stop.set()
        async with asyncio.timeout(4):
            totals = await running
    expected = RowOutcome.NOT_BEGUN if when == "before" else RowOutcome.NOT_DONE
    assert totals.outcomes == {expected: 1}


async def test_results_are_kept_when_a_run_is_cancelled(sandbox: Sandbox) -> None:
    """What had ended by then stands in the report."""
    stock(sandbox, 40)
    store = store_of(40)
    async with sandbox.session(journal=MemoryJournal()) as vipps:
        options = JobOptions(api=ECOM_API, operation=BatchOperation.CAPTURE, rate=50)
        job = BatchJob(vipps, store, options, stop=asyncio.Event())
        running = asyncio.create_task(job.run())
        while job.progress.ended < 5:  # noqa: ASYNC110 - a count
            await asyncio.sleep(0.005)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert store.totals().outcomes[RowOutcome.DONE] >= 5


async def test_no_row_that_may_have_moved_is_called_not_begun(sandbox: Sandbox) -> None:
    """Rows that are cut off under way are unknown, with their key and what to do; the next run finds out."""
    stock(sandbox, 40)
    store, journal = store_of(40), MemoryJournal()
    sandbox.faults.randomise(rate=1.0, seed=1, operations=("capture",), kinds=(Fault.STALL_AFTER_EFFECT,))
    async with sandbox.session(journal=journal) as vipps:
        running = asyncio.create_task(BatchJob(vipps, store, CAPTURE, stop=asyncio.Event()).run())
        while sum(payment.captured > 0 for payment in sandbox.payments) < 5:  # noqa: ASYNC110 - a count
            await asyncio.sleep(0.005)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        cut_off = [row for row in store.report() if row.outcome is RowOutcome.UNKNOWN]
        not_begun = {row.payment for row in store.report() if row.outcome is None}
        assert len(cut_off) >= 5
        assert all("cut off while it was under way" in row.reason and row.idempotency_key for row in cut_off)
        assert not {payment.order_id for payment in sandbox.payments if payment.captured} & not_begun
        sandbox.faults.clear()
        totals = await BatchJob(vipps, store, CAPTURE, stop=asyncio.Event()).run()
    assert totals.outcomes.get(RowOutcome.DONE, 0) + totals.outcomes.get(RowOutcome.DONE_BEFORE, 0) == 40
    assert all(len(payment.request_ids) == 1 for payment in sandbox.payments)


def test_progress_knows_its_rate_and_what_is_left() -> None:
    """Before the first row has ended there is no telling how long it will take."""
    progress = Progress(rows=100)
    assert progress.seconds_left is None
    progress.outcomes[RowOutcome.DONE] = 50
    assert progress.rate > 0
    assert progress.seconds_left is not None


def test_what_was_done_before_says_nothing_of_speed() -> None:
    """A run that goes on is through with the rows of the run before at once: the rest takes as long as its own rows."""
    progress = Progress(rows=1_000)
    progress.began -= 10
    progress.outcomes[RowOutcome.DONE_BEFORE] = 800
    progress.outcomes[RowOutcome.OTHERWISE_BEFORE] = 90
    assert progress.seconds_left is None
    progress.outcomes[RowOutcome.DONE] = 10
    assert progress.rate == pytest.approx(1, rel=0.1)
    assert progress.seconds_left == pytest.approx(100, rel=0.1)
    # A dry run asks Vipps about each of them.
    progress.counts_earlier = True
    assert progress.rate == pytest.approx(90, rel=0.1)


def test_what_a_stopped_run_has_not_begun_has_not_ended() -> None:
    """After Ctrl-C the count is of what has ended; rows that were only read are not among them."""
    progress = Progress(rows=100)
    progress.outcomes[RowOutcome.DONE] = 7
    progress.outcomes[RowOutcome.NOT_BEGUN] = 40
    assert progress.ended == 7
