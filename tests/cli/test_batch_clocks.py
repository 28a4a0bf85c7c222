"""`vipps-async batch work` on machines whose clocks are wrong: what they agree about is told by the database's."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.batch.shop import stock
from tests.cli.test_batch_machines import PATIENCE, Batch, batch, env, orders, sandbox, schema
from vipps_async.testing import Sandbox

__all__ = ["batch", "env", "sandbox", "schema"]

HOUR = 3600


async def worker(env: Mapping[str, str], schema: str, ahead: int, *arguments: str) -> asyncio.subprocess.Process:
    """Start one whose clock is so many seconds ahead."""
    command = ("-m", "tests.wrong_clock", str(ahead), "batch", "work", "--schema", schema, *arguments)
    return await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", *command, stderr=asyncio.subprocess.PIPE, env=env
    )


@pytest.mark.parametrize(
    "clocks",
    [(HOUR, 0), pytest.param((0, HOUR), marks=pytest.mark.heavy), pytest.param((0, -HOUR), marks=pytest.mark.heavy)],
    ids=str,
)
async def test_a_lost_chunk_is_taken_over_whatever_a_clock_says(  # noqa: PLR0917 - fixtures
    sandbox: Sandbox, env: Mapping[str, str], schema: str, batch: Batch, tmp_path: Path, clocks: tuple[int, int]
) -> None:
    """An hour ahead or behind, of the worker that dies or of the one that is left: and each row once."""
    stock(sandbox, 60)
    assert (await batch("submit", str(orders(tmp_path, 60)), "--rate", "30")).status == 0
    async with asyncio.timeout(2 * PATIENCE):
        first = await worker(env, schema, clocks[0])
        try:
            while not any(payment.captured for payment in sandbox.payments):  # noqa: ASYNC110 - done by the process
                await asyncio.sleep(0.02)
        finally:
            first.kill()
            await first.communicate()
        second = await worker(env, schema, clocks[1], "--once")
        try:
            _, err = await second.communicate()
        finally:
            if second.returncode is None:
                second.kill()
    assert second.returncode == 0, err.decode()
    facts = json.loads((await batch("status", "1", "--json")).out)
    assert facts["outcomes"]["done"] == 60
    assert all(payment.captured == 1000 and len(payment.moved("CAPTURE")) == 1 for payment in sandbox.payments)
