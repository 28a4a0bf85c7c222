"""The command as a whole, and the servers that it measures against."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from benchmarks import fixed_server, servers
from benchmarks.processes import WorkerError, working
from benchmarks.studies.memory import ask, wait_until_held
from tests.support.payments import initiate
from vipps_async import Credentials, VippsSession

ROOT = Path(__file__).parents[2]


@contextmanager
def _best() -> Iterator[str]:
    with servers.running() as server:
        yield server.url


@pytest.mark.parametrize(
    "serving", [pytest.param(_best, id="nginx if there is one"), pytest.param(fixed_server.running, id="pure Python")]
)
def test_a_server_answers_about_the_order_it_was_asked_for(serving: type[AbstractContextManager[str]]) -> None:
    """Each server of the benchmarks gives the client answers that it takes: of the right order, and whole."""
    keys = Credentials(client_id="id", client_secret="s", subscription_key="k", merchant_serial_number="123456")

    async def pay(url: str) -> None:
        async with VippsSession(keys, base_url=url) as vipps:
            payment = await initiate(vipps, "acme-shop-7", amount=1000)
            assert payment.order_id == "acme-shop-7"
            captured = await vipps.ecom.capture("acme-shop-7", amount=1000, transaction_text="One sock.")
            assert captured.order_id == "acme-shop-7"
            details = await vipps.ecom.details("acme-shop-7")
            assert details.order_id == "acme-shop-7"
            assert details.is_captured

    with serving() as url:
        asyncio.run(pay(url))


def test_a_side_that_fails_tells_why() -> None:
    """A worker whose calls fail ends with the reason, rather than with figures of nothing."""
    with working("aiohttp", "http://127.0.0.1:1") as worker, pytest.raises(WorkerError, match="ClientConnectorError"):
        worker.run("capture", 4, 2)


def test_a_quick_run_of_one_study_measures_prints_and_writes(tmp_path: Path) -> None:
    """`--quick --only logging` ends well, prints its rows, and writes the pairs they rest on."""
    written = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "logging", "--pairs", "1"]

    done = subprocess.run(
        [*command, "--json", str(written)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )

    assert done.returncode == 0, done.stderr
    assert "| capture, 64 at a time, asyncio | vipps_async logging at DEBUG |" in done.stdout
    [row, *_] = json.loads(written.read_text())["studies"]["logging"]
    assert len(row["left"]) == len(row["right"]) == 1
    assert row["left"][0] > 0
    assert row["ratio"]["median"] == pytest.approx(row["left"][0] / row["right"][0])


def test_a_server_that_holds_its_answers_lets_them_go_when_told() -> None:
    """No answer comes before `/release`, all come after it, and the token is never held."""

    async def capture_all(url: str) -> int:
        keys = Credentials(client_id="id", client_secret="s", subscription_key="k", merchant_serial_number="123456")
        async with VippsSession(keys, base_url=url) as vipps, asyncio.TaskGroup() as group:
            calls = [
                group.create_task(vipps.ecom.capture(f"acme-shop-{number}", amount=1000, transaction_text="One sock."))
                for number in range(3)
            ]
            await asyncio.to_thread(wait_until_held, url, len(calls))
            assert not any(call.done() for call in calls)
            await asyncio.to_thread(ask, url, "/release")
        return len([call.result() for call in calls])

    with fixed_server.process(hold=True) as (url, _):
        assert asyncio.run(capture_all(url)) == 3
        assert ask(url, "/counts") == {"token": 1, "other": 3, "held": 0}
