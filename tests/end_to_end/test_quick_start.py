"""The quick start by curl: its commands stand in a file, and only host, keys and ids are put in."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from attrs import define, field

from tests.end_to_end.outsider import KEYS
from vipps_async.sandbox import SandboxServer, SandboxSettings

COMMANDS = Path(__file__).with_name("quick_start.txt")
#: Seconds that one request may take on a busy machine.
_PATIENCE = 30

#: Makes the request of a curl command's arguments, and returns status and body.
Send = Callable[[list[str]], Awaitable[tuple[int, bytes]]]


async def by_curl(arguments: list[str]) -> tuple[int, bytes]:
    """Run curl itself."""
    process = await asyncio.create_subprocess_exec(
        *("curl", "--silent", "--noproxy", "*", "--write-out", "\n%{http_code}", *arguments),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(_PATIENCE):
        output, _ = await process.communicate()
    assert process.returncode == 0
    body, _, status = output.rpartition(b"\n")
    return int(status), body


async def by_hand(arguments: list[str]) -> tuple[int, bytes]:
    """Write the same request to a socket."""
    _, method, url, *options = arguments
    target, body, given = urlsplit(url), b"", list[str]()
    for option, value in zip(options[::2], options[1::2], strict=True):
        if option == "-d":
            body = value.encode()
        else:
            given.append(value)
    headers = [f"Host: {target.netloc}", "Connection: close", f"Content-Length: {len(body)}", *given]
    async with asyncio.timeout(_PATIENCE):
        reader, writer = await asyncio.open_connection(target.hostname, target.port)
        writer.write("\r\n".join([f"{method} {target.path} HTTP/1.1", *headers, "", ""]).encode() + body)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    head, _, content = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), content


@define
class QuickStart:
    """Runs commands of the file."""

    send: Send
    values: dict[str, str]
    #: Name → command as it stands in the file.
    commands: dict[str, str] = field(
        factory=lambda: dict(re.findall(r"^# (\w+)\n(.+?)(?=^# |\Z)", COMMANDS.read_text(), re.DOTALL | re.MULTILINE))
    )

    async def run(self, name: str, **ids: str) -> tuple[int, Any]:
        """Put host, keys and ids into a command, run it, and return status and JSON."""
        command = self.commands[name]
        for placeholder, value in {**self.values, "REQUEST-ID": str(uuid.uuid4()), **ids}.items():
            command = command.replace(placeholder, value)
        curl, *arguments = shlex.split(command.replace("\\\n", ""))
        assert curl == "curl"
        status, body = await self.send(arguments)
        return status, json.loads(body)

    async def log_in(self) -> None:
        """Fetch a token and keep it."""
        status, token = await self.run("token")
        assert status == 200
        self.values["ACCESS-TOKEN"] = token["access_token"]


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    """One that looks at the keys."""
    async with SandboxServer(settings=SandboxSettings(credentials=[KEYS])) as server:
        yield server


@pytest.fixture(params=[by_curl, by_hand], ids=["curl", "socket"])
def quick_start(request: pytest.FixtureRequest, sandbox: SandboxServer) -> QuickStart:
    """The commands, by curl where there is one, and by hand everywhere."""
    if request.param is by_curl and shutil.which("curl") is None:
        pytest.skip("there is no curl on this machine")
    values = {
        "https://apitest.vipps.no": sandbox.url,
        "CLIENT-ID": KEYS.client_id,
        "CLIENT-SECRET": KEYS.client_secret,
        "SUBSCRIPTION-KEY": KEYS.subscription_key,
        "MSN": "123456",
    }
    return QuickStart(request.param, values)


async def test_the_commands_in_their_order(quick_start: QuickStart, sandbox: SandboxServer) -> None:
    """Token, initiate, details, capture, refund, user info, and a second payment that is cancelled: 200 each."""
    await quick_start.log_in()
    order = {"ORDER-ID": "acme-shop-123-order123abc"}
    status, payment = await quick_start.run("initiate", **order)
    assert (status, payment["orderId"]) == (200, order["ORDER-ID"])
    await sandbox.approve(order["ORDER-ID"])
    sandbox.clock.advance(1)
    status, details = await quick_start.run("details", **order)
    assert (status, details["transactionLogHistory"][0]["operation"]) == (200, "RESERVE")
    for name, total in (("capture", "capturedAmount"), ("refund", "refundedAmount")):
        status, done = await quick_start.run(name, **order)
        assert (status, done["transactionSummary"][total]) == (200, 49900)
    status, customer = await quick_start.run("userinfo", SUB=quote(details["sub"], safe=""))
    assert (status, customer["phone_number"]) == (200, "4791234567")
    other = {"ORDER-ID": "acme-shop-123-order124"}
    assert (await quick_start.run("initiate", **other))[0] == 200
    status, done = await quick_start.run("cancel", **other)
    assert (status, done["transactionInfo"]["status"]) == (200, "Cancelled")
    assert set(quick_start.commands) == {*("token", "initiate", "details", "capture", "refund", "userinfo", "cancel")}


async def test_trailing_commas_are_named_with_their_line(quick_start: QuickStart, sandbox: SandboxServer) -> None:
    """With a comma behind the last field, the answer is 500, the message says which comma, and no payment is made."""
    await quick_start.log_in()
    last = '"fallBack": "https://example.com/vipps/result/ORDER-ID"'
    assert last in quick_start.commands["initiate"]
    quick_start.commands["initiate"] = quick_start.commands["initiate"].replace(last, f"{last},")
    status, (error,) = await quick_start.run("initiate", **{"ORDER-ID": "acme-shop-123-order123abc"})
    assert (status, error["errorGroup"], error["errorCode"]) == (500, "VippsError", "99")
    assert "the comma in line 8 stands before }" in error["errorMessage"]
    assert sandbox.payments == ()


async def test_user_info_looks_at_the_token_alone(quick_start: QuickStart) -> None:
    """Without a subscription key a wrong token is refused all the same."""
    quick_start.values["ACCESS-TOKEN"] = "wrong"
    status, _ = await quick_start.run("userinfo", SUB="some-sub")
    assert status == 401
