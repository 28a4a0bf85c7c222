"""The example workers: a job that runs twice, or whose answer is lost, captures once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from arq import Retry

from examples import arq_worker, taskiq_worker
from examples.capture_job import capture_shipment
from tests.batch.shop import MSN, stock
from tests.short_waits import shorten_waits
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    """A Vipps that the ``VIPPS_…`` variables lead to, with an order of 10 kroner."""
    shorten_waits(monkeypatch.setattr, batches=False)
    async with Sandbox(rate_limits=False) as running:
        stock(running, 1)
        values = {"CLIENT_ID": "id", "CLIENT_SECRET": "secret", "SUBSCRIPTION_KEY": "key", "BASE_URL": running.url}
        for name, value in (values | {"MERCHANT_SERIAL_NUMBER": MSN}).items():
            monkeypatch.setenv(f"VIPPS_{name}", value)
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
