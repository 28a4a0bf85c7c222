"""The example workers: a job that runs twice, or whose answer is lost, captures once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from arq import Retry

from examples import arq_worker, taskiq_worker
from examples.capture_job import Worker, capture_shipment
from tests.batch.shop import MSN, stock
from tests.short_waits import shorten_waits
from vipps_async import SqliteJournal, VippsError, VippsSession, derive_idempotency_key
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Sandbox]:
    """A Vipps that the ``VIPPS_…`` variables lead to, with an order of 10 kroner."""
    shorten_waits(monkeypatch.setattr, batches=False)
    async with Sandbox(rate_limits=False) as running:
        stock(running, 1)
        values = {"CLIENT_ID": "id", "CLIENT_SECRET": "secret", "SUBSCRIPTION_KEY": "key", "BASE_URL": running.url}
        for name, value in (values | {"MERCHANT_SERIAL_NUMBER": MSN}).items():
            monkeypatch.setenv(f"VIPPS_{name}", value)
        monkeypatch.setenv("SHOP_JOURNAL", str(tmp_path / "journal.db"))
        yield running


def captures(sandbox: Sandbox) -> list[int]:
    """What was captured, one amount for each capture that took effect."""
    return [entry.amount for entry in sandbox.payment("order-0").moved("CAPTURE")]


async def test_a_refused_job_says_what_was_taken_by_another_key(sandbox: Sandbox) -> None:
    """A capture that a colleague made before is told with the refusal, so that nobody holds paid goods back."""
    async with sandbox.session() as vipps:
        await vipps.ecom.capture("order-0", transaction_text="By hand.", idempotency_key="by-hand")
        said = await capture_shipment(vipps, order_id="order-0", shipment="s-1", amount=600)
        unknown = await capture_shipment(vipps, order_id="order-9", shipment="s-1", amount=600)
    assert said.startswith("refused: ")
    assert said.endswith("captured in all, by details that may lag: 10.00 NOK")
    assert unknown.startswith("refused: ")
    assert captures(sandbox) == [1_000]


async def test_a_taskiq_task_that_runs_twice_captures_once(sandbox: Sandbox) -> None:
    """Two tasks for one shipment, on Taskiq's broker in memory; a network between them is not part of this test."""
    await taskiq_worker.broker.startup()
    try:
        for _ in range(2):
            task = await taskiq_worker.capture.kiq("order-0", "s-1", 600)
            result = await task.wait_result(timeout=30)
            assert result.return_value == "captured"
        assert captures(sandbox) == [600]
        task = await taskiq_worker.capture.kiq("order-0", "s-2", 401)
        assert (await task.wait_result(timeout=30)).return_value.startswith("refused: ")
        await (await taskiq_worker.capture.kiq("order-0", "s-3", 400)).wait_result(timeout=30)
        assert captures(sandbox) == [600, 400]
    finally:
        await taskiq_worker.broker.shutdown()


async def test_a_taskiq_task_whose_answers_are_lost_is_tried_again(sandbox: Sandbox) -> None:
    """The capture took effect, and neither its answer nor details came: Taskiq runs the task anew with the same key."""
    for operation in ("capture", "details"):
        sandbox.faults.script(operation, *[Fault.HTML_200_AFTER] * 2)
    await taskiq_worker.broker.startup()
    try:
        task = await taskiq_worker.capture.kiq("order-0", "s-1", 600)
        result = await task.wait_result(timeout=30)
    finally:
        await taskiq_worker.broker.shutdown()
    assert result.return_value == "captured"
    assert captures(sandbox) == [600]


async def test_an_arq_job_that_runs_twice_captures_once(sandbox: Sandbox) -> None:
    """The job's function with arq's context, as its worker calls it; arq's queue in Redis is not part of this test."""
    context: dict[Any, Any] = {"job_try": 1}
    await arq_worker.WorkerSettings.on_startup(context)
    try:
        for _ in range(2):
            assert await arq_worker.capture(context, "order-0", "s-1", 600) == "captured"
        assert captures(sandbox) == [600]
        assert (await arq_worker.capture(context, "order-0", "s-2", 401)).startswith("refused: ")
        for operation in ("capture", "details"):
            sandbox.faults.script(operation, *[Fault.HTML_200_AFTER] * 40)  # More than a call ever asks.
        with pytest.raises(Retry) as again:
            await arq_worker.capture({**context, "job_try": 2}, "order-0", "s-3", 400)
        assert again.value.defer_score == 40_000
        sandbox.faults.clear()
        assert await arq_worker.capture(context, "order-0", "s-3", 400) == "captured"
    finally:
        await arq_worker.WorkerSettings.on_shutdown(context)
    assert captures(sandbox) == [600, 400]


async def test_a_worker_settles_what_the_one_before_has_left_open(sandbox: Sandbox, tmp_path: Path) -> None:
    """A capture whose answer was lost is open in the journal, and the next worker has it settled, without its job."""
    key = derive_idempotency_key("capture", MSN, "order-0", "s-1")
    for operation in ("capture", "details"):
        sandbox.faults.script(operation, *[Fault.HTML_200_AFTER] * 1000)
    async with VippsSession.from_env(journal=SqliteJournal(tmp_path / "journal.db")) as vipps:
        with pytest.raises(VippsError):
            await vipps.ecom.capture("order-0", amount=600, transaction_text="Shipment s-1", idempotency_key=key)
        assert await vipps.unfinished("order-0")
    sandbox.faults.clear()
    worker = await Worker.open()
    try:
        async with asyncio.timeout(20):
            while await worker.vipps.unfinished("order-0"):  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)
    finally:
        await worker.aclose()
    assert captures(sandbox) == [600]


async def test_the_loop_of_the_page_goes_on_after_each_error(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A refusal ends no other job, what got no answer is put back and captured once, and recovery works beside it."""
    names: dict[str, Any] = {"__name__": "snippet"}
    page = (Path(__file__).parents[2] / "docs" / "workers.md").read_text("utf-8")
    exec(compile(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[1], "workers.md", "exec"), names)  # noqa: S102
    jobs: asyncio.Queue[str] = asyncio.Queue()
    working = asyncio.create_task(names["work"](jobs, journal=str(tmp_path / "journal.db"), pause=0.01))
    jobs.put_nowait("order-unknown")
    await _until(lambda: "somebody has to look at order-unknown" in caplog.text)
    for operation in ("capture", "details"):
        sandbox.faults.script(operation, *[Fault.RESET_AFTER_EFFECT] * 1000)  # More than calls and recovery ask.
    jobs.put_nowait("order-0")
    await _until(lambda: "order-0 is run again" in caplog.text)
    sandbox.faults.clear()
    jobs.put_nowait("stop")
    await asyncio.wait_for(working, 30)
    # Put back before or behind the word to stop: the next worker has it.
    if not jobs.empty():
        jobs.put_nowait("stop")
        await asyncio.wait_for(names["work"](jobs, journal=str(tmp_path / "journal.db"), pause=0.01), 30)
    assert captures(sandbox) == [1000]
    assert "recovery failed" not in caplog.text


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the page's code tells nobody
            await asyncio.sleep(0.01)
