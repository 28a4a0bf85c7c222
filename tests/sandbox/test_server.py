"""The server's life and its records; and the promise that it shares nothing with the client."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

import vipps_async.sandbox
from tests.sandbox.driver import Merchant, merchant_at, until
from vipps_async import Credentials
from vipps_async.sandbox import SandboxCredentials, SandboxError, SandboxServer, SandboxSettings, State
from vipps_async.sandbox import server as server_module


def test_what_is_public() -> None:
    """Every name of `__all__` is there."""
    names = vipps_async.sandbox.__all__
    assert all(hasattr(vipps_async.sandbox, name) for name in names)


async def test_it_can_be_started_again() -> None:
    """A sandbox that was closed starts again at the same URL, with its payments."""
    sandbox = SandboxServer()
    with pytest.raises(RuntimeError, match="not been started"):
        _ = sandbox.url
    await sandbox.aclose()
    await sandbox.start()
    url = sandbox.url
    with pytest.raises(RuntimeError, match="running"):
        await sandbox.start()
    async with merchant_at(url) as merchant:
        await merchant.initiate("acme-1")
    await sandbox.aclose()
    await sandbox.aclose()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)
    async with sandbox, merchant_at(url) as merchant:
        assert sandbox.url == url
        assert (await merchant.details("acme-1")).status == 200


async def test_a_taken_port_is_an_error() -> None:
    """The error is the system's own, and the sandbox can be started elsewhere afterwards."""
    async with SandboxServer() as first:
        port = int(first.url.rpartition(":")[2])
        second = SandboxServer(port=port)
        with pytest.raises(OSError, match="address"):
            await second.start()
    async with second:
        assert second.url == first.url


async def test_it_listens_on_ipv6() -> None:
    """An IPv6 address stands in brackets in the URL."""
    try:
        async with SandboxServer(host="::1") as sandbox:
            assert sandbox.url.startswith("http://[::1]:")
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")


async def test_closing_leaves_no_task() -> None:
    """Every task that the sandbox started has ended when it is closed."""
    before = asyncio.all_tasks()
    async with SandboxServer() as sandbox, merchant_at(sandbox.url) as merchant:
        await merchant.initiate("acme-1")
        await sandbox.approve("acme-1")
    assert asyncio.all_tasks() == before


async def test_payments_time_out_without_anybody_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    """The callback of a time-out is sent by itself, though nobody moves the clock or asks."""
    monkeypatch.setattr(server_module, "_TICK", 0.01)
    monkeypatch.setattr("vipps_async.sandbox.ledger.payment.LIFETIME", timedelta(seconds=0.02))
    async with SandboxServer() as sandbox, merchant_at(sandbox.url) as merchant:
        await merchant.initiate("acme-1")
        await until(lambda: bool(sandbox.callbacks))
        assert sandbox.payment("acme-1").state is State.CANCEL


async def test_requests_are_recorded(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Method, path, operation, headers, body and status, also of what was refused; reprs keep the secrets."""
    await merchant.initiate("acme-1")
    await merchant.capture("acme-1", key="key-1")
    token, initiate, capture = sandbox.requests
    assert (token.operation, token.headers["client_secret"]) == ("token", "client-secret")
    assert (initiate.operation, initiate.method, initiate.path) == ("initiate", "POST", "/ecomm/v2/payments")
    assert b'"acme-1"' in initiate.body
    assert (capture.operation, capture.status) == ("capture", 400)
    assert capture.headers["X-Request-Id"] == "key-1"
    for record in sandbox.requests:
        assert "secret" not in repr(record)
        assert merchant.token not in repr(record)


async def test_the_landing_pages_token_stays_out_of_reprs(sandbox: SandboxServer, merchant: Merchant) -> None:
    """The query of a landing page holds a secret."""
    url = (await merchant.initiate("acme-1")).json["url"]
    async with merchant.session.get(url):
        pass
    assert sandbox.requests[-1].query.startswith("v=2&token=")
    assert "token=" not in repr(sandbox.requests[-1])


async def test_records_are_bounded() -> None:
    """The oldest records go; 0 keeps none."""
    async with SandboxServer(keep_requests=2, keep_callbacks=1) as sandbox, merchant_at(sandbox.url) as merchant:
        for number in range(3):
            await merchant.initiate(f"acme-{number}")
            await sandbox.reject(f"acme-{number}")
        await sandbox.callbacks_delivered()
        assert len(sandbox.requests) == 2
        assert [record.order_id for record in sandbox.callbacks] == ["acme-2"]
    async with SandboxServer(keep_requests=0, keep_callbacks=0) as sandbox, merchant_at(sandbox.url) as merchant:
        await merchant.initiate("acme-1")
        await sandbox.reject("acme-1")
        await sandbox.callbacks_delivered()
        assert (sandbox.requests, sandbox.callbacks) == ((), ())


async def test_asking_for_what_is_not_there(sandbox: SandboxServer) -> None:
    """An order id that nobody used is an error of its own, not a KeyError."""
    with pytest.raises(SandboxError, match="no sales unit has an order 'acme-1'"):
        sandbox.payment("acme-1")


async def test_a_client_that_hangs_up_halfway_has_no_effect(
    sandbox: SandboxServer, merchant: Merchant, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a request does nothing, and is no error of the server."""
    await merchant.initiate("acme-1")
    await sandbox.approve("acme-1")
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
    head = (
        "POST /ecomm/v2/payments/acme-1/capture HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {merchant.token}\r\nOcp-Apim-Subscription-Key: key\r\nX-Request-Id: key-1\r\n"
        "Content-Length: 1000\r\n\r\n"
        '{"merchantInfo":'
    )
    writer.write(head.encode())
    await writer.drain()
    await asyncio.sleep(0)
    writer.close()
    await writer.wait_closed()
    assert await reader.read() == b""
    assert (await merchant.details("acme-1")).status == 200
    await until(lambda: len(sandbox.requests) == 4)
    assert sandbox.payment("acme-1").captured == 0
    assert caplog.records == []


async def test_an_error_in_the_tick_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task of the sandbox that fails makes closing fail, instead of being forgotten."""
    monkeypatch.setattr(server_module, "_TICK", 0.001)
    sandbox = SandboxServer()
    await sandbox.start()
    (ticker,) = (task for task in asyncio.all_tasks() if task.get_name() == "vipps sandbox time")

    def broken() -> None:
        raise LookupError("broken on purpose")

    monkeypatch.setattr(sandbox.clock, "run_due", broken)
    await until(ticker.done)
    with pytest.raises(LookupError, match="on purpose"):
        await sandbox.aclose()


def test_keys_of_a_session_are_refused_before_the_sandbox_is_made() -> None:
    """Settings with a session's `Credentials`, or with keys that are no list, say what they want."""
    own: Any = Credentials(client_id="a", client_secret="b", subscription_key="c", merchant_serial_number="123456")
    one: Any = SandboxCredentials(client_id="a", client_secret="b", subscription_key="c")
    for wrong in (own, [own], [one, own], one):
        with pytest.raises(TypeError, match=r"credentials is a list of SandboxCredentials\(client_id=…"):
            SandboxSettings(credentials=wrong)


async def test_settings_of_the_sandbox_are_a_copy() -> None:
    """What is changed in one sandbox stays in it: settings may be given to several."""
    given = SandboxSettings(strict=True)
    async with SandboxServer(settings=given) as one, SandboxServer(settings=given) as other:
        one.settings.strict = False
        assert other.settings.strict
    assert given.strict


async def test_closing_while_connections_are_refused() -> None:
    """The sandbox can be closed, and started again, in the middle of a refusal."""
    sandbox = SandboxServer()
    await sandbox.start()
    async with sandbox.refusing_connections():
        await sandbox.aclose()
    async with sandbox, merchant_at(sandbox.url) as merchant:
        assert (await merchant.details("acme-1")).status == 404
    listener = sandbox._listener
    async with listener.refused():
        assert listener.refusing
    assert not listener.running
