"""What the httpx transport promises beyond the suite: adopting, its witness, its connections, its errors."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import h11
import httpcore
import httpx
import pytest

import vipps_async
from tests.support.rows import each_row
from vipps_async import HttpxTransport, Request
from vipps_async.config import Timeouts
from vipps_async.errors import ConfigurationError, InvalidInputError, OutcomeUnknown, RequestNotSent
from vipps_async.testing.transport_conformance.certificates import client_context, server_context
from vipps_async.testing.transport_conformance.exchanges import answer_all, post
from vipps_async.testing.transport_conformance.raw_server import OK, Connection, dead_port, raw_server
from vipps_async.transports.failures import FailureContext
from vipps_async.transports.httpx.failures import TRANSPORT_EXCEPTIONS, map_exception

Make = Callable[..., HttpxTransport]
CANARY = "canary-2c6e"


# --- adopting a client ---------------------------------------------------------------------------------------------


async def test_an_adopted_client_stays_as_it_was(httpx_transport: Make) -> None:
    """Its cookies, hooks and settings are neither used nor changed, and it stays open."""
    answer = b"HTTP/1.1 500 No\r\nSet-Cookie: ours=1; Path=/\r\nContent-Length: 2\r\n\r\n{}"
    heard: list[object] = []

    async def hear(message: object) -> None:
        heard.append(message)

    async def script(connection: Connection) -> None:
        await connection.answer(answer)
        await connection.answer(OK)

    async with (
        raw_server(script) as server,
        httpx.AsyncClient(cookies={"theirs": "1"}, event_hooks={"request": [hear], "response": [hear]}) as client,
    ):
        transport = httpx_transport(client)
        assert (await transport.send(post(server.url))).status == 500
        await transport.aclose()
        assert not client.is_closed
        assert heard == []
        assert dict(client.cookies) == {"theirs": "1"}
        assert (await client.get(f"{server.url}/theirs")).text == "{}"
    assert len(server.connections) == 1, "both used the client's connections"


async def test_a_closed_client_cannot_be_used(httpx_transport: Make) -> None:
    """The error says which of the two was closed too early."""
    client = httpx.AsyncClient()
    transport = httpx_transport(client)
    await client.aclose()
    with pytest.raises(ConfigurationError, match=r"AsyncClient of this transport is closed"):
        await transport.send(post("http://127.0.0.1:1"))


@pytest.mark.parametrize(
    "keywords",
    [{"limit": 2}, {"proxy": "http://h:1"}, {"trust_env": True}, {"ssl_context": ssl.create_default_context()}],
    ids=lambda keywords: next(iter(keywords)),
)
async def test_settings_of_a_client_are_made_where_it_is_made(keywords: dict[str, Any]) -> None:
    """What the adopted client decides cannot be asked for here."""
    async with httpx.AsyncClient() as client:
        with pytest.raises(ConfigurationError, match="together with a client"):
            HttpxTransport(client, **keywords)


async def test_what_does_not_verify_is_refused() -> None:
    """TLS verification has no switch: not by a context, nor by an adopted client, nor by one of its mounts."""
    lax = ssl.create_default_context()
    lax.check_hostname = False
    with pytest.raises(ConfigurationError, match="do not verify"):
        HttpxTransport(ssl_context=lax)
    for client in (
        httpx.AsyncClient(verify=False),  # noqa: S501 - on purpose
        httpx.AsyncClient(mounts={"https://": httpx.AsyncHTTPTransport(verify=lax)}),
    ):
        async with client:
            with pytest.raises(ConfigurationError, match="do not verify"):
                HttpxTransport(client)


@pytest.mark.parametrize("limit", [0, True, 1.5])
def test_a_limit_that_makes_no_sense_is_refused(limit: Any) -> None:
    """The limit is a whole number of at least 1."""
    with pytest.raises(InvalidInputError, match="limit must be"):
        HttpxTransport(limit=limit)


@pytest.mark.parametrize("proxy", ["", "socks5://127.0.0.1:1", "http://h:99999"])
def test_a_proxy_that_cannot_be_one_is_refused(proxy: str) -> None:
    """The proxy must be an http or https URL; it is not quoted, for it may hold a password."""
    with pytest.raises(InvalidInputError, match="proxy must be the URL") as caught:
        HttpxTransport(proxy=proxy)
    assert caught.value.value is None


async def test_another_loop_needs_another_transport(httpx_transport: Make) -> None:
    """Connections belong to one event loop."""
    async with raw_server(answer_all) as server:
        transport = httpx_transport()
        await transport.send(post(server.url))

        def elsewhere() -> str:
            with pytest.raises(ConfigurationError) as caught:
                asyncio.run(transport.send(post(server.url)))
            return caught.value.message

        assert "another event loop" in await asyncio.to_thread(elsewhere)


@pytest.mark.parametrize("headers", [{"X-A": "1\r\nX-B: 2"}, {"X-Ø": "1"}, {"X-A": "\0"}])
async def test_headers_that_cannot_be_written_are_refused(httpx_transport: Make, headers: dict[str, str]) -> None:
    """A header with a line end in it would be two."""
    with pytest.raises(InvalidInputError, match="headers must be"):
        await httpx_transport().send(Request(method="GET", url="http://127.0.0.1:1", headers=headers))


async def test_a_host_that_httpx_cannot_encode_is_refused(httpx_transport: Make) -> None:
    """A host name that is none is an error of the caller's, before any I/O."""
    with pytest.raises(InvalidInputError, match="absolute http or https URL"):
        await httpx_transport().send(post(f"http://{'ø' * 80}/"))


# --- the witness ---------------------------------------------------------------------------------------------------


class _Failing(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody knows what it did before")


class _Repeating(httpx.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except httpx.HTTPError:
            return await super().handle_async_request(request)


async def test_the_failure_of_an_unknown_transport_never_proves_anything(httpx_transport: Make) -> None:
    """A client with a transport of its own making may have sent the request before it failed."""
    async with httpx.AsyncClient(transport=_Failing()) as client:
        with pytest.raises(OutcomeUnknown):
            await httpx_transport(client).send(post("http://127.0.0.1:1"))


async def test_a_client_that_repeats_writes_once_all_the_same(httpx_transport: Make) -> None:
    """The witness holds the second writing back: the server reads one request."""

    async def script(connection: Connection) -> None:
        await connection.read_request()
        await connection.close()

    async with raw_server(script) as server, httpx.AsyncClient(transport=_Repeating()) as client:
        with pytest.raises(OutcomeUnknown, match="not written a second time"):
            await httpx_transport(client).send(post(server.url))
    assert len(server.requests) == 1


async def test_a_mock_is_believed(httpx_transport: Make) -> None:
    """Tests that give a client httpx's own mock get their answer, though nothing was written."""
    mock = httpx.MockTransport(lambda request: httpx.Response(201, text=request.url.path))
    async with httpx.AsyncClient(transport=mock) as client:
        response = await httpx_transport(client).send(post("https://apitest.vipps.no/x"))
    assert (response.status, response.body) == (201, b"/x")


async def test_http2_is_refused_before_it_writes(httpx_transport: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The witness is proven for HTTP/1.1 only."""
    await _with_event(monkeypatch, "http2.send_connection_init.started")
    async with raw_server(answer_all) as server:
        with pytest.raises(ConfigurationError, match="HTTP/2"):
            await httpx_transport().send(post(server.url))
    assert server.requests == []


async def test_a_step_that_it_does_not_know_counts_as_written(
    httpx_transport: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If another version of httpcore names its steps differently, nothing is called unsent that may be sent."""
    await _with_event(monkeypatch, "connection.whatever.started")
    with pytest.raises(OutcomeUnknown):
        await httpx_transport().send(post(f"http://127.0.0.1:{dead_port()}"))


async def _with_event(monkeypatch: pytest.MonkeyPatch, event: str) -> None:
    real = httpx.AsyncHTTPTransport.handle_async_request

    async def traced(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        await request.extensions["trace"](event, {})
        return await real(transport, request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", traced)


async def test_the_body_is_a_second_witness(httpx_transport: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even without any trace, a request whose body was asked for counts as written."""

    async def untraced(_transport: object, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        assert [part async for part in request.stream] == [b"{}"]
        raise httpx.ReadError("broken")

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", untraced)
    with pytest.raises(OutcomeUnknown):
        await httpx_transport().send(post("http://127.0.0.1:1"))


# --- connections ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adopted", [False, True])
@pytest.mark.parametrize("tls", [False, True])
async def test_only_a_client_keeps_connections(httpx_transport: Make, *, adopted: bool, tls: bool) -> None:
    """Over a client, requests in a row use one connection: this version of httpx shows that it is silent.

    Without a client each request has its own, which the client's side ends: none can hold a late answer.
    """
    ended = 0

    async def script(connection: Connection) -> None:
        nonlocal ended
        with contextlib.suppress(asyncio.IncompleteReadError):
            await answer_all(connection)
        ended += 1

    async with raw_server(script, tls=server_context("localhost") if tls else None) as server:
        url = f"https://localhost:{server.port}" if tls else server.url
        context = client_context() if tls else None
        client = httpx.AsyncClient(verify=context or True) if adopted else None
        transport = httpx_transport(client) if client else httpx_transport(ssl_context=context)
        for _ in range(3):
            await transport.send(post(url))
        if client:
            await client.aclose()
        async with asyncio.timeout(5):
            while ended < len(server.connections):  # noqa: ASYNC110 - the server notices in its own time
                await asyncio.sleep(0)
    assert (len(server.requests), len(server.connections)) == (3, 1 if adopted else 3)


async def test_what_cannot_be_told_to_be_silent_is_not_used_again(
    httpx_transport: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If another version of httpx hides its buffers, each request gets a connection of its own."""
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", _hiding())
    async with raw_server(answer_all) as server, httpx.AsyncClient() as client:
        transport = httpx_transport(client)
        for _ in range(2):
            assert (await transport.send(post(server.url))).status == 200
    assert len(server.connections) == 2


def _hiding() -> Callable[..., Any]:
    real = httpx.AsyncHTTPTransport.handle_async_request

    class Opaque(httpx.AsyncByteStream):
        def __init__(self, stream: httpx.AsyncByteStream) -> None:
            self._hidden = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for part in self._hidden:
                yield part

        async def aclose(self) -> None:
            await self._hidden.aclose()

    async def hidden(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        response = await real(transport, request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = Opaque(response.stream)
        return response

    return hidden


@pytest.mark.parametrize("adopted", [False, True])
async def test_cancelled_in_the_tls_handshake_it_hangs_up(httpx_transport: Make, *, adopted: bool) -> None:
    """The connection is closed, though httpcore forgets it."""
    reached, ended = asyncio.Event(), asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.read_some()
        reached.set()
        await connection.take_in()
        ended.set()

    async with raw_server(script) as server, httpx.AsyncClient() as client:
        transport = httpx_transport(client if adopted else None)
        sending = asyncio.create_task(transport.send(post(f"https://127.0.0.1:{server.port}")))
        async with asyncio.timeout(10):
            await reached.wait()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            await ended.wait()


async def test_closing_ends_what_is_in_flight(httpx_transport: Make) -> None:
    """A request that is being answered when the transport is closed has an unknown outcome."""
    reached = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.read_request()
        reached.set()
        await connection.take_in()

    async with raw_server(script) as server:
        transport = httpx_transport()
        sending = asyncio.create_task(transport.send(post(server.url)))
        async with asyncio.timeout(5):
            await reached.wait()
            await transport.aclose()
            with pytest.raises(OutcomeUnknown):
                await sending


# --- proxies -------------------------------------------------------------------------------------------------------


async def _tunnel(connection: Connection) -> None:
    request = await connection.read_request()
    host, _, port = request.line.split()[1].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    await connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
    try:
        await asyncio.gather(_pump(connection.reader, writer), _pump(reader, connection.writer))
    finally:
        writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.mark.parametrize("source", ["argument", "environment"])
async def test_tunnels_through_a_proxy(httpx_transport: Make, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy given, or named by the environment if that is trusted, is used; its password goes to nobody else."""
    async with raw_server(answer_all, tls=server_context("127.0.0.1")) as server, raw_server(_tunnel) as proxy:
        proxy_url = f"http://user:{CANARY}@127.0.0.1:{proxy.port}"
        monkeypatch.setenv("https_proxy", proxy_url)
        monkeypatch.setenv("no_proxy", "other.example")
        chosen: dict[str, Any] = {"proxy": proxy_url} if source == "argument" else {"trust_env": True}
        transport = httpx_transport(ssl_context=client_context(), **chosen)
        for _ in range(2):
            await transport.send(post(f"https://127.0.0.1:{server.port}/a/../b", Authorization="Bearer ours"))
        await transport.aclose()
    connect, _ = proxy.requests
    assert connect.line == f"CONNECT 127.0.0.1:{server.port} HTTP/1.1"
    assert ("Authorization", "Bearer ours") not in connect.headers
    assert [request.line for request in server.requests] == ["POST /a/../b HTTP/1.1"] * 2
    assert all(("Authorization", "Bearer ours") in request.headers for request in server.requests)
    assert not any(name.lower() == "proxy-authorization" for request in server.requests for name, _ in request.headers)


@pytest.mark.parametrize(
    ("keywords", "no_proxy"), [({"trust_env": True}, "127.0.0.1"), ({"trust_env": False}, ""), ({}, "")]
)
async def test_the_environment_is_left_out_unless_trusted(
    httpx_transport: Make,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    keywords: dict[str, Any],
    no_proxy: str,
) -> None:
    """Proxies of the environment count only with trust_env, not for hosts in NO_PROXY, and netrc never."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"default login them password {CANARY}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{dead_port()}")
    monkeypatch.setenv("no_proxy", no_proxy)
    async with raw_server(answer_all) as server:
        assert (await httpx_transport(**keywords).send(post(server.url))).status == 200
    assert not any(name.lower() == "authorization" for name, _ in server.requests[0].headers)


# --- errors --------------------------------------------------------------------------------------------------------

#: Of how a client is used, not of an exchange; of URLs and cookies that this transport does not hand on.
NEVER_RAISED = {"CookieConflict", "InvalidURL", "UnsupportedProtocol"}


def _exceptions_of(module: object) -> list[type[Exception]]:
    values = [value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, Exception)]
    return sorted(set(values), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("module", [httpx, httpcore, h11], ids=lambda module: module.__name__)
def test_no_exception_of_theirs_slips_by(module: object) -> None:
    """Each exception that httpx and its foundations define is translated, or is known never to come."""
    missed = {kind.__name__ for kind in _exceptions_of(module) if not issubclass(kind, TRANSPORT_EXCEPTIONS)}
    assert missed <= NEVER_RAISED


@each_row("sent", [False, True])
@each_row(
    "kind",
    [
        kind
        for module in (httpx, httpcore, h11)
        for kind in _exceptions_of(module)
        if issubclass(kind, TRANSPORT_EXCEPTIONS)
    ]
    + [TimeoutError, OSError, ssl.SSLError, UnicodeError],
    ids=lambda kind: f"{kind.__module__}.{kind.__name__}",
)
def test_the_witness_decides_and_nothing_is_quoted(kind: type[Exception], *, sent: bool) -> None:
    """Any exception means "not sent" if nothing was written, else "unknown"; what it quotes is taken out of it."""
    error = kind.__new__(kind)
    error.args = (CANARY,)
    at = FailureContext(peer="api.example:443", proxy=None, timeouts=Timeouts(), sent=sent, status=None)
    ours = map_exception(error, at)
    assert type(ours) is (OutcomeUnknown if sent else RequestNotSent)
    assert "api.example:443" in ours.message
    assert CANARY not in ours.message
    if kind.__module__.startswith(("httpx", "httpcore", "h11")):
        assert CANARY not in f"{error} {error.args!r}"


# --- importing -----------------------------------------------------------------------------------------------------


def _run(code: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(vipps_async.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return finished.stdout


def test_httpx_is_imported_when_it_is_asked_for() -> None:
    """Nobody pays for the extra who does not use it."""
    code = """
import sys, vipps_async, vipps_async.transports, vipps_async.testing
print("httpx" in sys.modules, "pytest" in sys.modules, hasattr(vipps_async.transports, "Nothing"))
from vipps_async import HttpxTransport
print("httpx" in sys.modules, HttpxTransport.__name__)
"""
    assert _run(code) == "False False False\nTrue HttpxTransport\n"


def test_without_httpx_the_error_names_the_extra() -> None:
    """Who forgot the extra is told what to install."""
    code = """
import sys
sys.modules["httpx"] = None
try:
    from vipps_async import HttpxTransport
except ImportError as error:
    print(error)
"""
    assert _run(code).startswith("HttpxTransport needs the extra 'httpx': ")
