"""The one command that serves the example shop."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from examples.shop.__main__ import main
from examples.shop.orders import Api
from examples.shop.settings import Settings
from tests.cli.processes import environment, environment_with_keys
from tests.examples.running_shop import PATIENCE
from vipps_async.testing import Sandbox


@pytest.mark.parametrize(("number", "api"), [(signal.SIGINT, "ecom"), (signal.SIGTERM, "epayment")])
async def test_the_one_command_serves_and_ends_when_it_is_told_to(number: signal.Signals, api: str) -> None:
    """`python -m examples.shop` prints where it is, serves a purchase, and ends with status 0."""
    process = await _start("--port", "0", "--api", api, env=environment())
    try:
        urls = await _urls(process, 3)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as http:
            answer = await http.post(f"{urls['Shop']}/pay", headers={"Origin": urls["Shop"]}, allow_redirects=False)
            assert answer.headers["Location"].startswith(urls["Vipps sandbox"])
            landing = await http.get(answer.headers["Location"])
            assert landing.status == 200
        process.send_signal(number)
        _, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        await _end(process)
    assert (process.returncode, err) == (0, b"")


async def test_with_keys_the_shop_talks_to_that_vipps(tmp_path: Path) -> None:
    """With `VIPPS_…` set no sandbox is started, and the merchant's pages want the password."""
    async with Sandbox() as sandbox:
        env = environment_with_keys(
            VIPPS_BASE_URL=sandbox.url,
            SHOP_URL="http://127.0.0.1:8000/",
            SHOP_DATA=str(tmp_path),
            SHOP_CALLBACK_TOKEN="token",
            SHOP_MERCHANT_PASSWORD="fjord",
        )
        missing = {**env}
        del missing["SHOP_MERCHANT_PASSWORD"]
        process = await _start("--port", "0", env=missing)
        _, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert (process.returncode, b"SHOP_MERCHANT_PASSWORD" in err, b"Traceback" in err) == (1, True, False)
        process = await _start("--port", "0", env=env)
        try:
            urls = await _urls(process, 2)
            process.send_signal(signal.SIGINT)
            out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
        finally:
            await _end(process)
        assert (process.returncode, set(urls), b"sandbox" in out) == (0, {"Shop", "Merchant"}, False)
        assert (tmp_path / "orders.db").exists()


def test_settings_that_are_none_are_refused_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that ePayment could not send, and an API that there is not, are told before the shop opens."""
    env = {"SHOP_URL": "https://example.com", "SHOP_DATA": str(tmp_path), "SHOP_MERCHANT_PASSWORD": "fjord"}
    assert Settings.from_env({**env, "SHOP_CALLBACK_TOKEN": "a-token"}, Api.EPAYMENT).api is Api.EPAYMENT
    with pytest.raises(SystemExit, match="SHOP_CALLBACK_TOKEN must be"):
        Settings.from_env({**env, "SHOP_CALLBACK_TOKEN": "a_token"}, Api.EPAYMENT)
    monkeypatch.setenv("SHOP_API", "bank")
    monkeypatch.setattr(sys, "argv", ["shop", "--port", "0"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2


async def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    """Whoever has something else on the port reads so, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = await _start("--port", str(taken.getsockname()[1]), env=environment())
        _, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 1
    assert re.fullmatch(rb"cannot listen on port [0-9]+: .*; --port 0 takes a free one\n", err)


async def _start(*arguments: str, env: object) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "examples.shop",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env,  # type: ignore[arg-type] # a Mapping will do
        cwd=Path(__file__).parents[2],
    )


async def _urls(process: asyncio.subprocess.Process, count: int) -> dict[str, str]:
    assert process.stdout is not None
    found: dict[str, str] = {}
    for _ in range(count):
        line = (await asyncio.wait_for(process.stdout.readline(), PATIENCE)).decode()
        assert line, "the shop ended before it served"
        match = re.fullmatch(r"([A-Z][a-z ]+): +(http://\S+)\n", line)
        assert match is not None, line
        found[match[1]] = match[2]
    return found


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()
