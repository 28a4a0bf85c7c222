"""A worker that is stopped in the middle of its work, missed, and continued: it writes and sends nothing any more."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from tests.batch.shop import stock
from tests.cli.processes import environment_with_keys, run
from tests.faults.killed_batch import running
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox

pytestmark = pytest.mark.heavy

ROWS = 60
#: Seconds for the whole of it.
PATIENCE = 60.0


def _worker(env: Mapping[str, str], name: str) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    # So that its requests can be told from another's.
    named = {**env, "VIPPS_SYSTEM_PLUGIN_NAME": name, "VIPPS_SYSTEM_PLUGIN_VERSION": "1"}
    return running("batch", "work", "--once", "--concurrency", "8", env=named)


def _sent(sandbox: Sandbox, name: str, *, since: datetime | None = None) -> int:
    """How many captures one worker has sent, by when they came: one that hangs is on record only when it has ended."""
    return sum(
        request.operation == "capture"
        and request.headers.get("Vipps-System-Plugin-Name") == name
        and (since is None or request.at >= since)
        for request in sandbox.requests
    )


def _epochs(dsn: str) -> list[tuple[str, int]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute("SELECT state, epoch FROM vipps_async.batch_chunks ORDER BY number").fetchall()


def _written(dsn: str) -> list[tuple[object, ...]]:
    """All that a worker might write: the journal and the results."""
    with psycopg.connect(dsn) as connection:
        journal = connection.execute(
            "SELECT key, outcome, owner, lease_until, note, xmin::text FROM vipps_async.journal_entries ORDER BY key"
        )
        results = connection.execute(
            "SELECT number, outcome, reason, xmin::text FROM vipps_async.batch_rows ORDER BY 1"
        )
        return [*journal.fetchall(), *results.fetchall()]


async def test_a_worker_that_comes_back_too_late_writes_and_sends_nothing(tmp_path: Path, own_postgres: str) -> None:
    """With requests on their way, rows that wait and outcomes that are not written yet: all of it is another's now."""
    file = tmp_path / "captures.csv"
    lines = "".join(f"order-{number},1000,Shipped.,s-{number}\n" for number in range(ROWS))
    file.write_text(f"order_id,amount_ore,transaction_text,reference\n{lines}")
    async with Sandbox(rate_limits=False) as sandbox, asyncio.timeout(PATIENCE):
        stock(sandbox, ROWS)
        # Two requests of the first worker hang, before and after their effect, for longer than it is stopped.
        sandbox.faults.stall_seconds = 60
        sandbox.faults.script("capture", Fault.STALL_AFTER_EFFECT, order_id="order-0")
        sandbox.faults.script("capture", Fault.STALL_BEFORE_EFFECT, order_id="order-1")
        env = environment_with_keys(
            VIPPS_BASE_URL=sandbox.url,
            VIPPS_ENVIRONMENT="test",
            VIPPS_BATCH_DSN=own_postgres,
        )
        submitted = await run("batch", "submit", str(file), "--rate", "20", "--chunk-size", str(ROWS), env=env)
        assert submitted.status == 0, submitted.err
        async with _worker(env, "first") as first:
            while _sent(sandbox, "first") < 12:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
            first.send_signal(signal.SIGSTOP)
            # The chunk is taken over only when it is missed, and that within seconds.
            began = asyncio.get_running_loop().time()
            async with _worker(env, "second") as second:
                while _sent(sandbox, "second") == 0:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.01)
                assert asyncio.get_running_loop().time() - began < 10 + 3, "with the start of a process"
                _, errors = await second.communicate()
                assert second.returncode == 0, errors.decode()
            states = await asyncio.to_thread(_epochs, own_postgres)
            assert [state for state, _ in states] == ["ended"]
            before, continued_at = await asyncio.to_thread(_written, own_postgres), sandbox.clock.now()
            first.send_signal(signal.SIGCONT)
            _, errors = await first.communicate()
            assert first.returncode == 0, errors.decode()
            assert _sent(sandbox, "first", since=continued_at) == 0
            hung = [request.fault for request in sandbox.requests if request.fault]
            assert sorted(hung) == ["STALL_AFTER_EFFECT", "STALL_BEFORE_EFFECT"]
            assert await asyncio.to_thread(_written, own_postgres) == before
        status = await run("batch", "status", submitted.out.strip(), env=env)
        assert status.status == 0, status.out
        assert all(payment.captured == 1000 and len(payment.moved("CAPTURE")) == 1 for payment in sandbox.payments)
