"""Who may look and who may change: a foreign host name or a foreign page may do neither."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from tests.sandbox.driver import MSN, Merchant, merchant_at
from tests.support.rows import each_row
from vipps_async import OrderNotFoundError
from vipps_async.sandbox import SandboxServer, State
from vipps_async.sandbox.network.request_filter import RequestFilter
from vipps_async.testing import Sandbox

ORDER = f"/sandbox/payments/{MSN}/acme-1"
LOOKS = (
    *("/", "/sandbox/requests", "/sandbox/controls", ORDER, "/sandbox/faults", "/sandbox/clock"),
    *("/sandbox/settings", "/sandbox/payments", "/sandbox/callbacks", "/sandbox/ignored"),
)
CHANGES = (f"{ORDER}/approve", "/sandbox/controls/clear", "/sandbox/faults", "/sandbox/clock", "/sandbox/settings")


async def _status(merchant: Merchant, method: str, path: str, headers: Mapping[str, str], body: Any = None) -> int:
    url = merchant.url + path
    async with merchant.session.request(method, url, headers=headers, json=body, allow_redirects=False) as answer:
        return answer.status


@pytest.mark.parametrize("path", LOOKS)
async def test_nobody_looks_under_a_foreign_name(merchant: Merchant, path: str) -> None:
    """A page that has brought its own name to this address, or asks across origins, gets 403."""
    await merchant.initiate("acme-1")
    port = merchant.url.rpartition(":")[2]
    for foreign in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "[::1", "10.0.0.1", "192.0.2.1"):
        assert await _status(merchant, "GET", path, {"Host": foreign}) == 403
    for foreign in ("https://evil.example", "null", f"https://127.0.0.1:{port}", "http://127.0.0.1:1"):
        assert await _status(merchant, "GET", path, {"Origin": foreign}) == 403
    for good in (f"localhost:{port}", f"127.0.0.1:{port}", "[::1]:9000", "LOCALHOST"):
        assert await _status(merchant, "GET", path, {"Host": good}) == 200


@pytest.mark.parametrize("path", CHANGES)
async def test_nobody_changes_anything_from_elsewhere(sandbox: SandboxServer, merchant: Merchant, path: str) -> None:
    """Not by a foreign name or origin, not even from another port of this machine; nothing happens."""
    await merchant.initiate("acme-1")
    now = sandbox.clock.now()
    bodies = {"/sandbox/faults": {"clear": True}, "/sandbox/settings": {"strict": True}}
    body = bodies.get(path, {"advance": 86_400})
    for headers in (
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": merchant.url, "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert await _status(merchant, "POST", path, headers, body) == 403
    assert sandbox.payment("acme-1").state is State.INITIATE
    assert (sandbox.clock.now() - now).total_seconds() < 3_600
    assert not sandbox.settings.strict
    own = {"Origin": merchant.url, "Sec-Fetch-Site": "same-origin"}
    assert await _status(merchant, "POST", path, own, body) in {200, 303}


async def test_looking_changes_nothing(sandbox: SandboxServer, merchant: Merchant) -> None:
    """What changes something wants POST."""
    await merchant.initiate("acme-1")
    for path in (f"{ORDER}/approve", "/sandbox/controls/clear"):
        assert await _status(merchant, "GET", path, {}) == 405
    assert sandbox.payment("acme-1").state is State.INITIATE


async def test_the_clock_over_http(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Another process reads it and advances it; nonsense is refused."""
    async with merchant.session.get(f"{merchant.url}/sandbox/clock") as answer:
        before = (await answer.json())["now"]
    assert await _status(merchant, "POST", "/sandbox/clock", {}, {"advance": 86_400}) == 200
    async with merchant.session.get(f"{merchant.url}/sandbox/clock") as answer:
        assert (await answer.json())["now"][:10] > before[:10]
    nonsense: tuple[Any, ...] = ({}, {"advance": -1}, {"advance": "x"}, {"advance": None}, [])
    for body in nonsense:
        assert await _status(merchant, "POST", "/sandbox/clock", {}, body) == 400


async def test_open_to_others_it_says_so_loudly(caplog: pytest.LogCaptureFixture) -> None:
    """In the log and on every page; addresses are good as names then, other names are not."""
    with caplog.at_level(logging.WARNING, "vipps_async.sandbox"):
        async with SandboxServer(host="0.0.0.0") as sandbox:  # noqa: S104 - what is warned of
            (record,) = caplog.records
            assert record.getMessage().startswith("listening on 0.0.0.0: anyone who reaches this machine")
            async with merchant_at(sandbox.url, log_in=False) as merchant:
                async with merchant.session.get(sandbox.url) as page:
                    assert "anyone who reaches this machine can use it" in await page.text()
                assert await _status(merchant, "GET", "/", {"Host": "192.0.2.7:8787"}) == 200
                assert await _status(merchant, "GET", "/", {"Host": "evil.example"}) == 403
                assert await _status(merchant, "GET", "/", {"Host": ""}) in {400, 403}


EVERY_ROUTE = (
    ("POST", "/accesstoken/get"),
    ("POST", "/ecomm/v2/payments"),
    ("GET", "/ecomm/v2/payments/acme-1/details"),
    ("POST", "/ecomm/v2/payments/acme-1/capture"),
    ("PUT", "/ecomm/v2/payments/acme-1/cancel"),
    ("GET", "/vipps-userinfo-api/userinfo/x"),
    ("GET", "/dwo-api-application/v1/deeplink/vippsgateway?v=2&token=x"),
    ("POST", "/dwo-api-application/v1/deeplink/vippsgateway"),
    ("GET", "/sandbox/pages/style.css"),
    ("GET", "/nothing"),
)


@each_row(("method", "path"), EVERY_ROUTE)
async def test_no_route_is_to_be_had_under_a_foreign_name(merchant: Merchant, method: str, path: str) -> None:
    """A web page that has brought its own name to this address reaches no route, be it the API's or a page's."""
    for foreign in ("evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::1", ""):
        assert await _status(merchant, method, path, {"Host": foreign}) == 403
    for good in ("localhost:1", "127.0.0.1", "[::1]:9000"):
        assert await _status(merchant, method, path, {"Host": good}) != 403


async def test_names_that_the_sandbox_was_given() -> None:
    """A container's name is good once it was allowed; beyond loopback only the address it listens on is besides."""
    async with (
        SandboxServer(allowed_hosts=["Sandbox", "vipps.local"]) as sandbox,
        merchant_at(sandbox.url) as merchant,
    ):
        for host, status in (("sandbox:8787", 200), ("VIPPS.local", 200), ("other", 403)):
            assert await _status(merchant, "GET", "/", {"Host": host}) == status
    request_filter = RequestFilter("192.0.2.7")
    for host, is_ours in (("192.0.2.7:1", True), ("localhost", True), ("192.0.2.8", False), ("sandbox", False)):
        request = make_mocked_request("GET", "/", headers={"Host": host})
        answer = await request_filter.middleware(request, _passed)
        assert (answer.status == 200) is is_ours


async def _passed(_request: web.Request) -> web.Response:
    return web.Response()


@pytest.mark.parametrize(("host", "url"), [("0.0.0.0", "http://127.0.0.1:"), ("::", "http://[::1]:")])  # noqa: S104
async def test_the_url_is_one_that_the_client_takes(host: str, url: str) -> None:
    """Listening on all addresses, the sandbox names the one on which this machine reaches it."""
    try:
        async with Sandbox(host=host) as sandbox, sandbox.session() as vipps:
            assert sandbox.url.startswith(url)
            with pytest.raises(OrderNotFoundError):
                await vipps.ecom.details("acme-1")
    except OSError:
        pytest.skip("this machine has no IPv6")


@pytest.mark.parametrize("path", ["/ecomm/v2/payments", "/sandbox/clock", "/nothing"])
async def test_a_body_that_does_not_come(
    sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Who sends the head of a request and no more is answered 408, and hung up on."""
    monkeypatch.setattr("vipps_async.sandbox.network.request_filter._BODY_TIME", 0.1)
    where = urlsplit(sandbox.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{"
    writer.write(head.encode())
    async with asyncio.timeout(5):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    writer.close()
    await writer.wait_closed()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_on_loopback_there_is_nothing_to_say(sandbox: SandboxServer, merchant: Merchant) -> None:
    """No warning on the pages."""
    async with merchant.session.get(merchant.url) as page:
        assert "anyone who reaches" not in await page.text()
