"""Scenarios: servers, proxies and ports that each fail in one way."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from attrs import frozen

from vipps_async.config import Timeouts
from vipps_async.testing.transport_conformance.certificates import authority, client_context, server_context
from vipps_async.testing.transport_conformance.raw_server import (
    Connection,
    RawServer,
    Script,
    dead_port,
    full_backlog,
    raw_server,
)
from vipps_async.transports.protocol import Request, Transport

#: Seconds. Short enough to wait for, long enough that a loaded machine connects to itself within them.
SHORT = 0.15
#: Seconds that never pass.
LONG = 20.0
#: Stands in the URL, headers and body of every request and in a proxy's password: it must be shown nowhere.
CANARY = "canary-7f3a"


@frozen(kw_only=True)
class Scenario:
    """The server or port that a case sends its request to."""

    url: str
    server: RawServer | None = None
    ssl_context: ssl.SSLContext | None = None
    proxy: str | None = None
    limit: int | None = None
    #: What happens over the same transport first.
    before: Callable[[Transport, str], AbstractAsyncContextManager[None]] | None = None


def serving(script: Script) -> Callable[[], AbstractAsyncContextManager[Scenario]]:
    """Make a scenario of a plain server that follows the script."""

    @contextlib.asynccontextmanager
    async def arranged() -> AsyncIterator[Scenario]:
        async with raw_server(script) as server:
            yield Scenario(url=server.url, server=server)

    return arranged


def answering(data: bytes, then: str = "close") -> Callable[[], AbstractAsyncContextManager[Scenario]]:
    """Make a scenario of a server that reads a request, sends these bytes and then closes, resets or stalls."""

    async def script(connection: Connection) -> None:
        await connection.answer(data)
        await _end(connection, then)

    return serving(script)


async def _end(connection: Connection, then: str) -> None:
    match then:
        case "close":
            await connection.close()
        case "reset":
            connection.reset()
        case _:
            await connection.stall()


@contextlib.asynccontextmanager
async def refused() -> AsyncIterator[Scenario]:
    """Nobody listens."""
    yield Scenario(url=f"http://127.0.0.1:{dead_port()}")


@contextlib.asynccontextmanager
async def unresolvable() -> AsyncIterator[Scenario]:
    """The host has no address."""

    def no_such_name(*_args: object, **_kwargs: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", no_such_name)
        yield Scenario(url="http://vipps.invalid:80")


@contextlib.asynccontextmanager
async def backlog() -> AsyncIterator[Scenario]:
    """Connecting takes for ever."""
    with full_backlog() as port:
        yield Scenario(url=f"http://127.0.0.1:{port}")


async def _answer_once(connection: Connection) -> None:
    await connection.answer()


def tls(*, name: str = "127.0.0.1", trusted: bool = True) -> Callable[[], AbstractAsyncContextManager[Scenario]]:
    """Make a scenario of a TLS server whose certificate is for this name."""

    @contextlib.asynccontextmanager
    async def arranged() -> AsyncIterator[Scenario]:
        async with raw_server(_answer_once, tls=server_context(name)) as server:
            context = client_context() if trusted else None
            yield Scenario(url=f"https://127.0.0.1:{server.port}", server=server, ssl_context=context)

    return arranged


@contextlib.asynccontextmanager
async def client_certificate_wanted() -> AsyncIterator[Scenario]:
    """The server wants a client certificate, and says so after the handshake only (TLS 1.3)."""
    context = server_context("127.0.0.1")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    authority().configure_trust(context)
    async with raw_server(_answer_once, tls=context) as server:
        yield Scenario(url=f"https://127.0.0.1:{server.port}", server=server, ssl_context=client_context())


def tls_to_plain(script: Script) -> Callable[[], AbstractAsyncContextManager[Scenario]]:
    """Make a scenario in which a client speaks TLS to a server that does not."""

    @contextlib.asynccontextmanager
    async def arranged() -> AsyncIterator[Scenario]:
        async with raw_server(script) as server:
            yield Scenario(url=f"https://127.0.0.1:{server.port}", server=server, ssl_context=client_context())

    return arranged


async def plaintext(connection: Connection) -> None:
    """Answer a TLS handshake with plain HTTP."""
    await connection.read_some()
    await connection.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await connection.close()


def after_first_bytes(then: str) -> Script:
    """Make a script that does it once the first byte has come."""

    async def script(connection: Connection) -> None:
        await connection.read_some()
        await _end(connection, then)

    return script


def at_accept(then: str) -> Script:
    """Make a script that does it before anything was read."""

    async def script(connection: Connection) -> None:
        await _end(connection, then)

    return script


@contextlib.asynccontextmanager
async def pool_taken() -> AsyncIterator[Scenario]:
    """Another request has the only connection, and keeps it."""
    taken = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.read_request()
        connection.server.requests.clear()
        connection.server.bytes_read = 0
        taken.set()
        await connection.stall()

    @contextlib.asynccontextmanager
    async def other_request(transport: Transport, url: str) -> AsyncIterator[None]:
        request = Request(method="POST", url=url, headers={}, timeouts=Timeouts(connect=LONG, read=LONG, total=LONG))
        holder = asyncio.create_task(transport.send(request))
        async with asyncio.timeout(LONG):
            await taken.wait()
        yield
        holder.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await holder

    async with raw_server(script) as server:
        yield Scenario(url=server.url, server=server, limit=1, before=other_request)


@contextlib.asynccontextmanager
async def stale() -> AsyncIterator[Scenario]:
    """The server has closed the connection that was kept, and the client cannot have noticed yet."""
    async with raw_server(_answer_and_take_in) as server:

        @contextlib.asynccontextmanager
        async def first_request_then_fin(transport: Transport, url: str) -> AsyncIterator[None]:
            await transport.send(Request(method="POST", url=url, headers={}))
            server.requests.clear()
            server.bytes_read = 0
            server.connections[0].fin_now()
            yield

        yield Scenario(url=server.url, server=server, before=first_request_then_fin)


async def fin_and_take_in(connection: Connection) -> None:
    """End the server's side at once, and read whatever comes all the same."""
    connection.fin_now()
    await connection.take_in()


async def _answer_and_take_in(connection: Connection) -> None:
    await connection.answer()
    await connection.take_in()


def through_proxy(script: Script | None) -> Callable[[], AbstractAsyncContextManager[Scenario]]:
    """Make a scenario of a TLS server behind a proxy that follows the script; None: nobody listens there."""

    @contextlib.asynccontextmanager
    async def arranged() -> AsyncIterator[Scenario]:
        async with contextlib.AsyncExitStack() as stack:
            origin = await stack.enter_async_context(raw_server(_answer_once, tls=server_context("127.0.0.1")))
            port = dead_port() if script is None else (await stack.enter_async_context(raw_server(script))).port
            yield Scenario(
                url=f"https://127.0.0.1:{origin.port}",
                server=origin,
                ssl_context=client_context(),
                proxy=f"http://proxyuser:{CANARY}@127.0.0.1:{port}",
            )

    return arranged


def refused_tunnel(data: bytes) -> Script:
    """Make the script of a proxy that answers CONNECT with these bytes, and closes."""

    async def script(connection: Connection) -> None:
        await connection.answer(data)
        await connection.close()

    return script


async def close_first_answer_second(connection: Connection) -> None:
    """Take the first request in and close; a second one would be answered."""
    await connection.read_request()
    if connection.number > 0:
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    await connection.close()


async def close_and_stop_listening(connection: Connection) -> None:
    """Take a request in, and then be gone altogether."""
    await connection.read_request()
    connection.server.stop_listening()
    await connection.close()


@contextlib.asynccontextmanager
async def redirect_to_dead_host() -> AsyncIterator[Scenario]:
    """The answer points to a host where nobody listens."""
    location = f"http://127.0.0.1:{dead_port()}/elsewhere".encode()
    answer = b"HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"
    async with answering(answer, "stall")() as scenario:
        yield scenario


async def drip(connection: Connection) -> None:
    """Send an answer that never ends, a byte at a time."""
    await connection.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not connection.server.stopping.is_set():
        await connection.send(b"x")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(connection.server.stopping.wait(), SHORT / 8)


def framed(body: bytes, *headers: str) -> bytes:
    """Make an answer with status 200, these headers and this body."""
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
