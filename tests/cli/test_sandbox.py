"""`vipps-async sandbox`: a server that says where it is, answers, and ends when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import re
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from attrs import define

from tests.cli.inline import inline
from tests.cli.processes import command, environment
from tests.sandbox.driver import merchant_at
from tests.support.payments import initiate
from tests.support.rows import each_row
from vipps_async import ApiError, OrderNotFoundError, VippsSession

#: Seconds that starting and ending may take: far more than they need.
_PATIENCE = 20.0


@define
class Told:
    """What a sandbox has printed so far."""

    said: str

    @property
    def exports(self) -> dict[str, str]:
        """The variables that it tells to export."""
        lines = re.findall(r"^  export (.*)$", self.said, re.MULTILINE)
        return dict(pair.split("=", 1) for line in lines for pair in line.split())


@define
class Running(Told):
    """A sandbox in a process of its own."""

    process: asyncio.subprocess.Process

    async def end(self, number: signal.Signals) -> tuple[int, str, str]:
        """Send a signal and return status, the rest of stdout, and stderr."""
        self.process.send_signal(number)
        out, err = await asyncio.wait_for(self.process.communicate(), _PATIENCE)
        assert self.process.returncode is not None
        return self.process.returncode, out.decode(), err.decode()


@contextlib.asynccontextmanager
async def _running(*arguments: str) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        *command("sandbox", "--port", "0", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    try:
        said = await asyncio.wait_for(process.stdout.readuntil(_last_line(arguments).encode()), _PATIENCE)
        yield Running(said.decode(), process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def _last_line(arguments: tuple[str, ...]) -> str:
    # With keys that it was given it has none to tell.
    return "SERIAL_NUMBER=123456\n" if "--keys" in arguments else "VIPPS_SUBSCRIPTION_KEY=sandbox-key\n"


class _Until(io.StringIO):
    """Sets an event once a text was written."""

    def __init__(self, last: str) -> None:
        super().__init__()
        self._last = last
        self.is_there = asyncio.Event()

    def write(self, text: str) -> int:
        count = super().write(text)
        if self._last in self.getvalue():
            self.is_there.set()
        return count


@contextlib.asynccontextmanager
async def _running_here(*arguments: str) -> AsyncIterator[Told]:
    """Run one in this process: for what needs neither signals nor streams."""
    out = _Until(_last_line(arguments))
    command = asyncio.create_task(inline("sandbox", "--port", "0", *arguments, stdout=out))
    started = asyncio.create_task(out.is_there.wait())
    try:
        await asyncio.wait({command, started}, timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        assert started.done(), command.result() if command.done() else "it did not start"
        yield Told(out.getvalue())
        assert not command.done(), command.result()
    finally:
        for task in (started, command):
            task.cancel()
        await asyncio.gather(started, command, return_exceptions=True)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - what is tested
async def test_listening_everywhere_the_exports_work(host: str) -> None:
    """Listening on all addresses, it prints a base URL that the client takes."""
    try:
        with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError:
        pytest.skip("this machine has no such address")
    async with _running_here("--host", host) as sandbox, VippsSession.from_env(sandbox.exports) as vipps:
        with pytest.raises(OrderNotFoundError):
            await vipps.ecom.details("acme-shop-1")


async def test_hosts_are_given_by_flags() -> None:
    """Names that requests may come to, and hosts that are called, each as a list or several times."""
    flags = ("--allowed-hosts", "sandbox,vipps.local", "--allowed-hosts", "box_1", "--callback-hosts", "shop,::1")
    async with (
        _running_here(*flags, "--any-keys") as sandbox,
        merchant_at(sandbox.exports["VIPPS_BASE_URL"]) as merchant,
    ):
        for host, status in (("vipps.local:1", 200), ("BOX_1", 200), ("evil.example", 403)):
            assert (await merchant.call("GET", "/", headers={"Host": host})).status == status
        assert (await merchant.initiate("acme-1", merchantInfo={"callbackPrefix": "http://shop/x"})).status == 200
    for wrong in ("http://shop", "shop:8000", "abc:80", "", "a b", "[::1]"):
        ended = await inline("sandbox", "--callback-hosts", wrong)
        assert ended.status == 2
        assert "is no host name or address: give it without scheme and port" in ended.err


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        ("VIPPS_CLIENT_ID", 400, "unauthorized_client"),
        ("VIPPS_CLIENT_SECRET", 401, "invalid_client"),
        ("VIPPS_SUBSCRIPTION_KEY", 401, "invalid subscription key"),
    ],
)
async def test_made_up_keys_are_refused(wrong: str, status: int, said: str) -> None:
    """Who comes to this port meaning another sandbox moves nothing here: one wrong key is refused as Vipps does it."""
    async with _running_here() as sandbox:
        async with VippsSession.from_env({**sandbox.exports, wrong: "made-up"}) as vipps:
            with pytest.raises(ApiError, match=said) as caught:
                await vipps.ecom.details("acme-shop-1")
        assert caught.value.status == status
        other = {**sandbox.exports, "VIPPS_MERCHANT_SERIAL_NUMBER": "654321"}
        async with VippsSession.from_env(other) as vipps:
            with pytest.raises(OrderNotFoundError):
                await vipps.ecom.details("acme-shop-1")


async def test_any_keys_are_taken_when_told_to() -> None:
    """With --any-keys those that a shop has anyway are good; beside keys to take, it is not known what is meant."""
    async with _running_here("--any-keys") as sandbox:
        assert "It takes any keys that are not empty:\n" in sandbox.said
        made_up = dict.fromkeys(("VIPPS_CLIENT_ID", "VIPPS_CLIENT_SECRET", "VIPPS_SUBSCRIPTION_KEY"), "made-up")
        async with VippsSession.from_env({**sandbox.exports, **made_up}) as vipps:
            with pytest.raises(OrderNotFoundError):
                await vipps.ecom.details("acme-shop-1")
    ended = await inline("sandbox", "--any-keys", "--keys", "id:secret:key")
    assert (ended.status, "--any-keys and --keys: which ones are taken?" in ended.err) == (2, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_answers_until_it_is_told_to_end(number: signal.Signals) -> None:
    """The exports that it prints make a session that works; SIGTERM and SIGINT end it well."""
    async with _running() as sandbox:
        assert sandbox.said.startswith(f"Vipps sandbox at {sandbox.exports['VIPPS_BASE_URL']} ")
        async with VippsSession.from_env(sandbox.exports) as vipps:
            payment = await initiate(vipps)
            assert payment.token is not None
            await vipps.ecom.approve(payment.order_id, mobile_number="91234567", token=payment.token)
            captured = await vipps.ecom.capture(payment.order_id, transaction_text="Shipped.")
            assert captured.transaction is not None
            assert captured.transaction.amount == 49_900
        assert await sandbox.end(number) == (0, "", "")


async def test_it_ends_while_a_client_holds_the_line() -> None:
    """An open connection does not keep it from ending."""
    async with _running() as sandbox:
        port = int(sandbox.exports["VIPPS_BASE_URL"].rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"POST /accesstoken/get HTTP/1.1\r\n")
            await writer.drain()
            assert await sandbox.end(signal.SIGTERM) == (0, "", "")
        finally:
            writer.close()


async def _details_many_times(sandbox: Told, times: int) -> None:
    async with VippsSession.from_env(sandbox.exports) as vipps:
        await initiate(vipps)
        await asyncio.gather(*(vipps.ecom.details("acme-shop-1") for _ in range(times)))


async def test_rate_limits_can_be_switched_off() -> None:
    """With --no-rate-limits one order can be asked about more often than Vipps allows."""
    async with _running_here("--no-rate-limits") as sandbox:
        await _details_many_times(sandbox, 150)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - what it warns of
async def test_it_warns_when_others_can_reach_it(host: str) -> None:
    """Listening on anything but loopback is warned of, on stderr."""
    if host == "::" and not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    async with _running("--host", host) as sandbox:
        status, out, err = await sandbox.end(signal.SIGTERM)
    assert (status, out) == (0, "")
    (line,) = err.splitlines()
    assert line.startswith(f"WARNING: listening on {host}: anyone who reaches this machine")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
async def test_loopback_is_nothing_to_warn_of(host: str, caplog: pytest.LogCaptureFixture) -> None:
    """Every address of the machine's own loopback is silent."""
    async with _running_here("--host", host):
        assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_port_that_is_taken_is_one_clear_line() -> None:
    """A second server on the same port says so and ends with 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        finished = await inline("sandbox", "--port", str(port))
    assert (finished.status, finished.out) == (1, "")
    assert finished.err == f"vipps-async: cannot listen on 127.0.0.1:{port}: address already in use\n"


async def test_an_address_that_is_not_here_is_one_clear_line() -> None:
    """An address of no interface, or a name of none, says so and ends with 1."""
    for host in ("192.0.2.1", "no-such-host.invalid"):
        finished = await inline("sandbox", "--host", host, "--port", "0")
        assert (finished.status, finished.out) == (1, "")
        (line,) = finished.err.splitlines()
        assert line.startswith(f"vipps-async: cannot listen on {host}:0: ")


async def test_flags_reach_the_sandbox() -> None:
    """Token lifetime, direct capture and faults by chance are those of the flags."""
    flags = ("--token-lifetime", "77", "--direct-capture", "123456", "--fault-rate", "0.25", "--seed", "7")
    async with _running_here(*flags) as sandbox, aiohttp.ClientSession() as browser:
        url = sandbox.exports["VIPPS_BASE_URL"]
        async with browser.get(f"{url}/sandbox/faults") as answer:
            chance = (await answer.json())["randomise"]
            assert (chance["rate"], chance["seed"]) == (0.25, 7)
        async with browser.post(f"{url}/sandbox/faults", json={"clear": True}):
            pass
        keys = {
            "client_id": "sandbox-id",
            "client_secret": "sandbox-secret",
            "Ocp-Apim-Subscription-Key": "sandbox-key",
        }
        async with browser.post(f"{url}/accesstoken/get", headers=keys) as answer:
            assert (await answer.json())["expires_in"] == "77"
        async with VippsSession.from_env(sandbox.exports) as vipps:
            payment = await initiate(vipps, amount=100)
            assert payment.token is not None
            await vipps.ecom.approve("acme-shop-1", mobile_number="91234567", token=payment.token)
            details = await vipps.ecom.details("acme-shop-1")
            assert details.transaction_summary is not None
            assert details.transaction_summary.captured_amount == 100


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--fault-rate", "1.5"),
        ("--fault-rate", "often"),
        ("--token-lifetime", "0"),
        ("--token-lifetime", "1e3"),
        ("--direct-capture", "12"),
    ],
)
async def test_a_flag_that_makes_no_sense_is_refused(flag: str, value: str) -> None:
    """The message names the flag, the value and what it should be."""
    finished = await inline("sandbox", flag, value)
    assert finished.status == 2
    assert f"Invalid value for '{flag}': {value} is no " in finished.err


async def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    """With --state, payments that were answered for are there after SIGKILL, and a repeated capture moves nothing."""
    state = ("--state", str(tmp_path / "state.db"), "--no-rate-limits", "--any-keys")
    async with _running(*state) as sandbox, merchant_at(sandbox.exports["VIPPS_BASE_URL"]) as merchant:
        for number in range(20):
            await merchant.initiate(f"acme-{number}")
            await merchant.force_approve(f"acme-{number}")
            assert (await merchant.capture(f"acme-{number}", 10_000, key=f"key-{number}")).status == 200
        sandbox.process.kill()
        await sandbox.process.wait()
    async with _running(*state) as sandbox:
        async with merchant_at(sandbox.exports["VIPPS_BASE_URL"]) as merchant:
            for number in range(20):
                assert (await merchant.capture(f"acme-{number}", 10_000, key=f"key-{number}")).status == 200
                summary = (await merchant.details(f"acme-{number}")).json["transactionSummary"]
                assert summary["capturedAmount"] == 10_000
        assert await sandbox.end(signal.SIGTERM) == (0, "", "")


async def test_a_state_file_that_cannot_be_used_is_one_clear_line(tmp_path: Path) -> None:
    """A file that is no state is named, left as it is, and ends the command with 1."""
    file = tmp_path / "notes.txt"
    file.write_text("These are my notes, and no payments. " * 100)
    finished = await inline("sandbox", "--port", "0", "--state", str(file))
    assert (finished.status, finished.out) == (1, "")
    (line,) = finished.err.splitlines()
    assert line.startswith(f"vipps-async: {file}: damaged, or no state of a sandbox")
    assert file.read_text().startswith("These are my notes")


async def test_captures_without_a_request_id_are_taken_when_told_to() -> None:
    """With --request-id-optional a client that sends no `X-Request-Id` can capture; without the flag it is refused."""
    for flags, status in (((), 400), (("--request-id-optional",), 200)):
        async with (
            _running_here(*flags, "--any-keys") as sandbox,
            merchant_at(sandbox.exports["VIPPS_BASE_URL"]) as merchant,
        ):
            await merchant.initiate("acme-1")
            assert (await merchant.force_approve("acme-1", customerPhoneNumber="91234567")).status == 200
            body = {"merchantInfo": {"merchantSerialNumber": "123456"}, "transaction": {"transactionText": "Socks."}}
            assert (await merchant.call("POST", "/ecomm/v2/payments/acme-1/capture", body)).status == status


async def test_flags_of_what_vipps_does() -> None:
    """What sales units may do, whose keys are taken, how callbacks write: each flag is a setting to be read."""
    flags = (
        *("--strict", "--numeric-callback-msn", "--sub-delay", "3", "--unknown-for", "60"),
        *(
            "--skip-landing-page",
            "123456",
            "--nin",
            "123456",
            "--nin",
            "654321",
            "--refuse",
            "100031=31",
            "--refuse",
            "100032=5070",
        ),
        *("--currency", "7654321=DKK", "--currency", "7654322=EUR", "--partial-capture", "7654321"),
        *("--late-capture", "7654322", "--long-living", "123456", "--express", "123456", "--express", "7654321"),
        *("--keys", "id:secret:key", "--partner-keys", "partner:secret:key-2:123456,654321"),
    )
    async with _running_here(*flags) as sandbox, aiohttp.ClientSession() as browser:
        url = sandbox.exports["VIPPS_BASE_URL"]
        async with browser.get(f"{url}/sandbox/settings") as answer:
            assert await answer.json() == {
                "keys": [
                    {"clientId": "id", "merchantSerialNumbers": None, "partner": False},
                    {"clientId": "partner", "merchantSerialNumbers": ["123456", "654321"], "partner": True},
                ],
                "directCapture": [],
                "skipLandingPage": ["123456"],
                "nin": ["123456", "654321"],
                "currencies": {"7654321": "DKK", "7654322": "EUR"},
                "partialCapture": ["7654321"],
                "lateCapture": ["7654322"],
                "longLiving": ["123456"],
                "express": ["123456", "7654321"],
                "refuse": {"100031": "31", "100032": "5070"},
                "subDelay": 3,
                "unknownFor": 60,
                "numericCallbackMsn": True,
                "strict": True,
                "requestIdRequired": True,
            }
        wrong = {"client_id": "id", "client_secret": "wrong", "Ocp-Apim-Subscription-Key": "key"}
        async with browser.post(f"{url}/accesstoken/get", headers=wrong) as answer:
            assert (answer.status, (await answer.json())["error"]) == (401, "invalid_client")


@each_row(
    ("flag", "value", "said"),
    [
        ("--refuse", "123456", "has no code that can be chosen: 21, 22, 31"),
        ("--refuse", "12=31", "12 is no sales unit"),
        ("--currency", "123456", "has no currency of Vipps: DKK, EUR, NOK"),
        ("--currency", "123456=SEK", "has no currency of Vipps: DKK, EUR, NOK"),
        ("--currency", "123=DKK", "123 is no sales unit: 4 to 10 digits"),
        ("--express", "12345678901", "12345678901 is no sales unit: 4 to 10 digits"),
        ("--keys", "id:hunter2", "keys are client id, client secret and subscription key"),
        ("--keys", "id::key", "keys are client id, client secret and subscription key"),
        ("--partner-keys", "id:hunter2:key:12", "12 is no sales unit"),
        ("--sub-delay", "-1", "is no time: seconds, from 0 to"),
        ("--unknown-for", "nan", "is no time: seconds, from 0 to"),
    ],
)
async def test_flags_that_make_no_sense(flag: str, value: str, said: str) -> None:
    """They are refused with what they must be, and a secret in them is not repeated."""
    ended = await inline("sandbox", flag, value)
    assert ended.status == 2
    assert said in ended.err
    assert "hunter2" not in ended.err


async def test_the_commands_of_the_page_for_other_languages() -> None:
    """Each curl command of docs/sandbox.md succeeds, and the payments end as the page says."""
    if shutil.which("curl") is None:
        pytest.skip("there is no curl")
    page = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"^```sh\n(base=.*?)^```$", page, re.MULTILINE | re.DOTALL)
    async with _running_here() as sandbox, aiohttp.ClientSession() as browser:
        url = sandbox.exports["VIPPS_BASE_URL"]
        process = await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", script.replace("http://127.0.0.1:8787", url)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "no_proxy": "*"},
        )
        _, err = await asyncio.wait_for(process.communicate(), 3 * _PATIENCE)
        assert (process.returncode, err) == (0, b"")
        async with browser.get(f"{url}/sandbox/payments") as answer:
            states = {payment["orderId"]: payment["state"] for payment in (await answer.json())["payments"]}
        assert states == {
            "acme-1": "RESERVE",
            "acme-2": "CANCEL",
            "acme-3": "RESERVE",
            "acme-4": "CANCEL",
            "acme-shop-1": "RESERVE",
        }
