"""The example in several processes: `uvicorn --workers 2`, a real PostgreSQL, and callbacks that any worker takes."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.examples.running_shop import until
from tests.support.postgres import available_dsn
from vipps_async.testing import Fault, Sandbox

_ROOT = Path(__file__).parents[2]
#: Seconds that anything here may take on a busy machine.
_PATIENCE = 60.0


@asynccontextmanager
async def _served(sandbox: Sandbox, dsn: str) -> AsyncIterator[str]:
    """Serve the example as its first lines say, and end it as a deployment does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    own = {"SHOP_DSN": dsn, "SHOP_URL": url, "SHOP_CALLBACK_TOKEN": "a-token-of-the-shop"}
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "--factory", "examples.fastapi_workers:make_app", "--workers", "2"),
        *("--port", str(port), "--log-level", "warning"),
        cwd=_ROOT,
        env={**os.environ, **sandbox.env, **own, "PYTHONPATH": str(_ROOT)},
    )
    try:
        yield url
    finally:
        server.terminate()
        assert await asyncio.wait_for(server.wait(), _PATIENCE) == 0


async def _worker(url: str) -> dict[str, int]:
    """Ask whichever worker takes a new connection who it is."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/worker") as answer:
        told: dict[str, int] = await answer.json()
        return told


@pytest.mark.heavy
async def test_any_worker_takes_a_callback_and_each_order_is_captured_once() -> None:
    """Two workers start, both take callbacks, some of them twice, and what was accepted is captured once each."""
    with available_dsn() as dsn:
        async with Sandbox(rate_limits=False) as sandbox, _served(sandbox, dsn) as url:
            workers: dict[int, dict[str, int]] = {}

            async def both_are_up() -> bool:
                try:
                    told = await _worker(url)
                except aiohttp.ClientError:
                    return False
                workers[told["pid"]] = told
                return len(workers) == 2

            await until(both_are_up)

            async def both_have_received() -> bool:
                await both_are_up()
                return all(told["received"] for told in workers.values())

            bought: list[str] = []
            async with aiohttp.ClientSession() as http, asyncio.timeout(_PATIENCE):
                while not await both_have_received():
                    orders = [f"order-{len(bought) + number}" for number in range(8)]
                    sandbox.faults.script("callback", Fault.CALLBACK_TWICE, None, Fault.CALLBACK_TWICE)
                    for order in orders:
                        async with http.post(f"{url}/buy/{order}") as answer:
                            assert answer.status == 200, await answer.text()
                        await sandbox.approve(order)
                    bought += orders
                    await sandbox.callbacks_delivered()

            async def all_are_captured() -> bool:
                return all(sandbox.payment(order).captured for order in bought)

            await until(all_are_captured)
            assert {len(sandbox.payment(order).moved("CAPTURE")) for order in bought} == {1}
            assert {callback.status for callback in sandbox.callbacks} == {200}
