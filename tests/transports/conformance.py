"""Every way in which a connection can fail, as rows that any transport must get right.

A test class inherits `FailureRows` and has a fixture `make_transport`, which makes a transport from the keywords
`ssl_context`, `proxy` and `limit` (each may be missing) and closes it after the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import gzip
import re
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import pytest
import trustme
from attrs import frozen

from tests.transports.raw_server import Connection, RawServer, Script, dead_port, full_backlog, raw_server
from vipps_async.config import Timeouts
from vipps_async.errors import OutcomeUnknown, RequestNotSent, TransportError
from vipps_async.transports import MAX_RESPONSE_BYTES, Request, Transport

#: Seconds. Short enough to wait for, long enough that a loaded machine connects to itself within them.
SHORT = 0.4
#: Seconds that never pass.
LONG = 20.0

AUTHORITY = trustme.CA()
CANARY = "canary-7f3a"
BODY = b'{"transaction":{"transactionText":"' + CANARY.encode() + b'"}}'


class Verdict(enum.Enum):
    """What a transport must say of a request."""

    NOT_SENT = "not sent"
    UNKNOWN = "unknown"
    #: The other side is free to be faster than the write or not: either, whichever is true.
    TRUE = "not sent or unknown"
    ANSWER = "an answer"


class MakeTransport(Protocol):
    """What the fixture `make_transport` gives."""

    def __call__(
        self, *, ssl_context: ssl.SSLContext | None = None, proxy: str | None = None, limit: int | None = None
    ) -> Transport:
        """Make a transport; what is not given takes its default."""
        ...


@frozen(kw_only=True)
class Scene:
    """What stands ready before the request is sent."""

    url: str
    server: RawServer | None = None
    ssl_context: ssl.SSLContext | None = None
    proxy: str | None = None
    limit: int | None = None
    #: What happens over the same transport first.
    before: Callable[[Transport, str], AbstractAsyncContextManager[None]] | None = None


@frozen(kw_only=True)
class Row:
    """One way to fail, and what must come of it."""

    name: str
    scene: Callable[[], AbstractAsyncContextManager[Scene]]
    verdict: Verdict
    #: Complete requests that the server has read in the end, those before the failing one not counted.
    read: int = 0
    #: The status that the transport must have kept.
    status: int | None = None
    #: What the message must say, as a regular expression.
    says: str = ""
    timeouts: Timeouts = Timeouts(connect=LONG, read=LONG, total=LONG)
    shapes: tuple[str, ...] = ("POST", "empty POST", "GET", "PUT", "empty PUT")

    def request(self, shape: str, url: str) -> Request:
        """Make the request of this row in one of its shapes."""
        method = shape.removeprefix("empty ")
        body = BODY if shape in {"POST", "PUT"} else None
        headers = {"Authorization": f"Bearer {CANARY}", "Content-Type": "application/json"}
        return Request(method=method, url=f"{url}/{CANARY}", headers=headers, body=body, timeouts=self.timeouts)


# --- scenes --------------------------------------------------------------------------------------------------------


def serving(script: Script, **scene: Any) -> Callable[[], AbstractAsyncContextManager[Scene]]:
    """Make a scene of a plain server that follows the script."""

    @contextlib.asynccontextmanager
    async def arranged() -> AsyncIterator[Scene]:
        async with raw_server(script) as server:
            yield Scene(url=server.url, server=server, **scene)

    return arranged


def answering(data: bytes, then: str = "close") -> Callable[[], AbstractAsyncContextManager[Scene]]:
    """Make a scene of a server that reads a request, sends these bytes and then closes, resets or stalls."""

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
async def _refused() -> AsyncIterator[Scene]:
    yield Scene(url=f"http://127.0.0.1:{dead_port()}")


@contextlib.asynccontextmanager
async def _unresolvable() -> AsyncIterator[Scene]:
    def no_such_name(*_args: object, **_kwargs: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", no_such_name)
        yield Scene(url="http://vipps.invalid:80")


@contextlib.asynccontextmanager
async def _backlog() -> AsyncIterator[Scene]:
    with full_backlog() as port:
        yield Scene(url=f"http://127.0.0.1:{port}")


def server_context(*names: str) -> ssl.SSLContext:
    """Make the TLS context of a server with a certificate of our own authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(*names).configure_cert(context)
    return context


def client_context() -> ssl.SSLContext:
    """Make the TLS context of a client that trusts our own authority."""
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


async def _answer_once(connection: Connection) -> None:
    await connection.answer()


def tls(*, name: str = "127.0.0.1", trusted: bool = True) -> Callable[[], AbstractAsyncContextManager[Scene]]:
    """Make a scene of a TLS server whose certificate is for this name."""

    @contextlib.asynccontextmanager
    async def arranged() -> AsyncIterator[Scene]:
        async with raw_server(_answer_once, tls=server_context(name)) as server:
            context = client_context() if trusted else None
            yield Scene(url=f"https://127.0.0.1:{server.port}", server=server, ssl_context=context)

    return arranged


@contextlib.asynccontextmanager
async def _client_certificate_wanted() -> AsyncIterator[Scene]:
    context = server_context("127.0.0.1")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    AUTHORITY.configure_trust(context)
    async with raw_server(_answer_once, tls=context) as server:
        yield Scene(url=f"https://127.0.0.1:{server.port}", server=server, ssl_context=client_context())


def tls_to_plain(script: Script) -> Callable[[], AbstractAsyncContextManager[Scene]]:
    """Make a scene in which a client speaks TLS to a server that does not."""

    @contextlib.asynccontextmanager
    async def arranged() -> AsyncIterator[Scene]:
        async with raw_server(script) as server:
            yield Scene(url=f"https://127.0.0.1:{server.port}", server=server, ssl_context=client_context())

    return arranged


async def _plaintext(connection: Connection) -> None:
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
async def _pool_taken() -> AsyncIterator[Scene]:
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
        yield Scene(url=server.url, server=server, limit=1, before=other_request)


@contextlib.asynccontextmanager
async def _stale() -> AsyncIterator[Scene]:
    async with raw_server(_answer_and_take_in) as server:

        @contextlib.asynccontextmanager
        async def first_request_then_fin(transport: Transport, url: str) -> AsyncIterator[None]:
            await transport.send(Request(method="POST", url=url, headers={}))
            server.requests.clear()
            server.bytes_read = 0
            server.connections[0].fin_now()
            yield

        yield Scene(url=server.url, server=server, before=first_request_then_fin)


async def _answer_and_take_in(connection: Connection) -> None:
    await connection.answer()
    await connection.take_in()


def through_proxy(script: Script | None) -> Callable[[], AbstractAsyncContextManager[Scene]]:
    """Make a scene of a TLS server behind a proxy that follows the script; None: nobody listens there."""

    @contextlib.asynccontextmanager
    async def arranged() -> AsyncIterator[Scene]:
        async with contextlib.AsyncExitStack() as stack:
            origin = await stack.enter_async_context(raw_server(_answer_once, tls=server_context("127.0.0.1")))
            port = dead_port() if script is None else (await stack.enter_async_context(raw_server(script))).port
            yield Scene(
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


async def _close_first_answer_second(connection: Connection) -> None:
    await connection.read_request()
    if connection.number > 0:
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    await connection.close()


async def _close_and_stop_listening(connection: Connection) -> None:
    await connection.read_request()
    connection.server.stop_listening()
    await connection.close()


@contextlib.asynccontextmanager
async def _redirect_to_dead_host() -> AsyncIterator[Scene]:
    location = f"http://127.0.0.1:{dead_port()}/elsewhere".encode()
    answer = b"HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"
    async with answering(answer, "stall")() as scene:
        yield scene


async def _drip(connection: Connection) -> None:
    await connection.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not connection.server.stopping.is_set():
        await connection.send(b"x")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(connection.server.stopping.wait(), SHORT / 8)


def framed(body: bytes, *headers: str) -> bytes:
    """Make an answer with status 200, these headers and this body."""
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


BY_CONNECT = Timeouts(connect=SHORT, read=LONG, total=LONG)
BY_READ = Timeouts(connect=LONG, read=SHORT, total=LONG)
BY_TOTAL = Timeouts(connect=LONG, read=LONG, total=SHORT)
#: Which of the three limits ended it, in the words of the message.
NO_CONNECTION = r"no connection to 127\.0\.0\.1:\d+ within 0\.4 s"
SILENT = r"127\.0\.0\.1:\d+ was silent for 0\.4 s"
NOT_WHOLE = r"no whole answer of 127\.0\.0\.1:\d+ within 0\.4 s"
ONE_SHAPE = ("POST",)
TWO_SHAPES = ("POST", "GET")
RESENT_BY_SOME = ("PUT", "empty PUT", "GET", "DELETE", "HEAD")
BOMB = gzip.compress(b"0" * (64 * MAX_RESPONSE_BYTES))
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
NOT_SENT, UNKNOWN, TRUE, ANSWER = Verdict.NOT_SENT, Verdict.UNKNOWN, Verdict.TRUE, Verdict.ANSWER

ROWS = (
    # Before a connection stands.
    Row(name="connection refused", scene=_refused, verdict=NOT_SENT, says="connection refused"),
    Row(name="name not found", scene=_unresolvable, verdict=NOT_SENT, says="vipps.invalid:80"),
    Row(name="connect time-out", scene=_backlog, verdict=NOT_SENT, timeouts=BY_CONNECT, says=NO_CONNECTION, shapes=TWO_SHAPES),  # noqa: E501 - a row
    Row(name="connecting, total time-out", scene=_backlog, verdict=NOT_SENT, timeouts=BY_TOTAL, says=NOT_WHOLE, shapes=TWO_SHAPES),  # noqa: E501 - a row
    Row(name="waiting for the pool, connect", scene=_pool_taken, verdict=NOT_SENT, timeouts=BY_CONNECT, says=NO_CONNECTION, shapes=TWO_SHAPES),  # noqa: E501 - a row
    Row(name="waiting for the pool, total", scene=_pool_taken, verdict=NOT_SENT, timeouts=BY_TOTAL, says=NOT_WHOLE, shapes=TWO_SHAPES),  # noqa: E501 - a row
    # TLS.
    Row(name="untrusted certificate", scene=tls(trusted=False), verdict=NOT_SENT, says="certificate"),
    Row(name="certificate of another host", scene=tls(name="example.org"), verdict=NOT_SENT, says="certificate"),
    Row(name="plaintext on a TLS port", scene=tls_to_plain(_plaintext), verdict=NOT_SENT),
    Row(name="RST in the handshake", scene=tls_to_plain(after_first_bytes("reset")), verdict=NOT_SENT),
    Row(name="FIN in the handshake", scene=tls_to_plain(after_first_bytes("close")), verdict=NOT_SENT),
    Row(name="handshake stalls, connect", scene=tls_to_plain(after_first_bytes("stall")), verdict=NOT_SENT, timeouts=BY_CONNECT, says=NO_CONNECTION, shapes=TWO_SHAPES),  # noqa: E501 - a row
    Row(name="handshake stalls, total", scene=tls_to_plain(after_first_bytes("stall")), verdict=NOT_SENT, timeouts=BY_TOTAL, says=NOT_WHOLE, shapes=TWO_SHAPES),  # noqa: E501 - a row
    # TLS 1.3: the client may write as soon as it has sent its own last message, before the server has judged it.
    Row(name="client certificate refused", scene=_client_certificate_wanted, verdict=TRUE),
    # A proxy: what it reads is not the request.
    Row(name="proxy refused", scene=through_proxy(None), verdict=NOT_SENT, says="proxy"),
    Row(name="proxy refuses CONNECT", scene=through_proxy(refused_tunnel(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")), verdict=NOT_SENT, says="proxy.*407"),  # noqa: E501 - a row
    Row(name="proxy closes on CONNECT", scene=through_proxy(refused_tunnel(b"")), verdict=NOT_SENT, says="proxy"),
    Row(name="proxy answers CONNECT with garbage", scene=through_proxy(refused_tunnel(b"hello?\r\n\r\n")), verdict=NOT_SENT),  # noqa: E501 - a row
    Row(name="proxy stalls on CONNECT", scene=through_proxy(after_first_bytes("stall")), verdict=NOT_SENT, timeouts=BY_CONNECT, says=NO_CONNECTION, shapes=TWO_SHAPES),  # noqa: E501 - a row
    # A connection stands, no answer comes.
    Row(name="RST at accept", scene=serving(at_accept("reset")), verdict=TRUE),
    Row(name="FIN at accept", scene=serving(at_accept("close")), verdict=TRUE),
    Row(name="RST in the middle of the request", scene=serving(after_first_bytes("reset")), verdict=UNKNOWN),
    Row(name="FIN in the middle of the request", scene=serving(after_first_bytes("close")), verdict=UNKNOWN),
    Row(name="RST after the request", scene=answering(b"", "reset"), verdict=UNKNOWN, read=1),
    Row(name="FIN after the request", scene=answering(b""), verdict=UNKNOWN, read=1),
    Row(name="no answer, read time-out", scene=answering(b"", "stall"), verdict=UNKNOWN, read=1, timeouts=BY_READ, shapes=TWO_SHAPES, says=SILENT),  # noqa: E501 - a row
    Row(name="no answer, total time-out", scene=answering(b"", "stall"), verdict=UNKNOWN, read=1, timeouts=BY_TOTAL, says=NOT_WHOLE, shapes=TWO_SHAPES),  # noqa: E501 - a row
    # An answer that is none.
    Row(name="garbage", scene=answering(b"hello?\r\n\r\n"), verdict=UNKNOWN, read=1),
    Row(name="garbage, held open", scene=answering(b"hello?\r\n\r\n", "stall"), verdict=UNKNOWN, read=1),
    Row(name="a TLS alert", scene=answering(b"\x15\x03\x03\x00\x02\x02\x28"), verdict=UNKNOWN, read=1),
    Row(name="a status that does not exist", scene=answering(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"), verdict=UNKNOWN, read=1),  # noqa: E501 - a row
    Row(name="another protocol", scene=answering(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "stall"), verdict=UNKNOWN, read=1),  # noqa: E501 - a row
    Row(name="status line cut short", scene=answering(b"HTTP/1.1 20"), verdict=UNKNOWN, read=1),
    Row(name="an interim answer only", scene=answering(b"HTTP/1.1 100 Continue\r\n\r\n"), verdict=UNKNOWN, read=1),
    Row(name="endless header", scene=answering(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2_000_000), verdict=UNKNOWN, read=1),
    # An answer that breaks off behind its status line.
    Row(name="headers cut short", scene=answering(b"HTTP/1.1 200 OK\r\nContent-Le"), verdict=UNKNOWN, read=1, status=200),  # noqa: E501 - a row
    Row(name="body cut short", scene=answering(HALF), verdict=UNKNOWN, read=1, status=200),
    Row(name="body reset", scene=answering(HALF, "reset"), verdict=UNKNOWN, read=1, status=200),
    Row(name="chunked body cut short", scene=answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"), verdict=UNKNOWN, read=1, status=200),  # noqa: E501 - a row
    Row(name="chunks damaged", scene=answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"), verdict=UNKNOWN, read=1),  # noqa: E501 - a row
    Row(name="body without length, reset", scene=answering(b"HTTP/1.1 200 OK\r\n\r\n{", "reset"), verdict=UNKNOWN, read=1, status=200),  # noqa: E501 - a row
    Row(name="body stalls, read", scene=answering(HALF, "stall"), verdict=UNKNOWN, read=1, status=200, timeouts=BY_READ, says=SILENT, shapes=TWO_SHAPES),  # noqa: E501 - a row
    Row(name="body stalls, total", scene=answering(HALF, "stall"), verdict=UNKNOWN, read=1, status=200, timeouts=BY_TOTAL, says=NOT_WHOLE, shapes=TWO_SHAPES),  # noqa: E501 - a row
    Row(name="body drips, total", scene=serving(_drip), verdict=UNKNOWN, read=1, status=200, timeouts=BY_TOTAL, says=NOT_WHOLE, shapes=TWO_SHAPES),  # noqa: E501 - a row
    # An answer that would fill the memory, or whose body cannot be read.
    Row(name="too large", scene=answering(framed(b"x" * (MAX_RESPONSE_BYTES + 1))), verdict=UNKNOWN, read=1, status=200, says="larger", shapes=TWO_SHAPES),  # noqa: E501 - a row
    Row(name="too large, no length", scene=answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_RESPONSE_BYTES + 1)), verdict=UNKNOWN, read=1, status=200, says="larger", shapes=TWO_SHAPES),  # noqa: E501 - a row
    Row(name="gzip bomb", scene=answering(framed(BOMB, "Content-Encoding: gzip")), verdict=UNKNOWN, read=1, status=200, says="larger", shapes=TWO_SHAPES),  # noqa: E501 - a row
    Row(name="gzip cut short", scene=answering(framed(gzip.compress(b"{}" * 99)[:-9], "Content-Encoding: gzip")), verdict=UNKNOWN, read=1, status=200, shapes=ONE_SHAPE),  # noqa: E501 - a row
    Row(name="gzip damaged", scene=answering(framed(b"no gzip", "Content-Encoding: gzip")), verdict=UNKNOWN, read=1, status=200, shapes=ONE_SHAPE),  # noqa: E501 - a row
    Row(name="unknown coding", scene=answering(framed(zlib.compress(b"{}"), "Content-Encoding: x-odd")), verdict=UNKNOWN, read=1, status=200, shapes=ONE_SHAPE),  # noqa: E501 - a row
    # Sent twice by a transport that repeats on its own.
    Row(name="stale keep-alive", scene=_stale, verdict=TRUE),
    Row(name="processed, then FIN", scene=answering(b""), verdict=UNKNOWN, read=1, shapes=RESENT_BY_SOME),
    Row(name="processed, then RST", scene=answering(b"", "reset"), verdict=UNKNOWN, read=1, shapes=RESENT_BY_SOME),
    Row(name="processed, then FIN, a second one would be answered", scene=serving(_close_first_answer_second), verdict=UNKNOWN, read=1, shapes=RESENT_BY_SOME),  # noqa: E501 - a row
    Row(name="processed, then FIN, listener gone", scene=serving(_close_and_stop_listening), verdict=UNKNOWN, read=1, shapes=RESENT_BY_SOME),  # noqa: E501 - a row
    Row(name="redirected to a dead host", scene=_redirect_to_dead_host, verdict=ANSWER, read=1, status=307),
)  # fmt: skip

CASES = [pytest.param(row, shape, id=f"{row.name}-{shape}") for row in ROWS for shape in row.shapes]


class FailureRows:
    """The tests that any transport must pass."""

    @pytest.mark.parametrize(("row", "shape"), CASES)
    async def test_says_truly_whether_the_request_was_sent(
        self, row: Row, shape: str, make_transport: MakeTransport
    ) -> None:
        """A failure is reported as not sent only if nothing was, and the server never reads a request twice."""
        async with row.scene() as scene:
            keywords: dict[str, Any] = {
                name: value for name in ("ssl_context", "proxy", "limit") if (value := getattr(scene, name)) is not None
            }
            transport = make_transport(**keywords)
            before = scene.before(transport, scene.url) if scene.before else contextlib.nullcontext()
            async with before:
                outcome = await _outcome(transport, row.request(shape, scene.url))
            requests = len(scene.server.requests) if scene.server else 0
            # Over TLS and in front of a proxy, what is read is not the request.
            bytes_read = scene.server.bytes_read if scene.server and scene.url.startswith("http:") else 0
        assert requests == row.read
        if row.verdict is ANSWER:
            assert outcome == row.status
            return
        assert isinstance(outcome, TransportError)
        _assert_verdict(outcome, row, bytes_read=bytes_read)
        assert "127.0.0.1:" in outcome.message or "vipps.invalid:80" in outcome.message
        assert re.search(row.says, outcome.message)
        _assert_says_nothing_secret(outcome)


async def _outcome(transport: Transport, request: Request) -> TransportError | int:
    try:
        async with asyncio.timeout(LONG):
            return (await transport.send(request)).status
    except TransportError as error:
        return error


def _assert_verdict(error: TransportError, row: Row, *, bytes_read: int) -> None:
    kinds: dict[Verdict, tuple[type[TransportError], ...]] = {
        NOT_SENT: (RequestNotSent,),
        UNKNOWN: (OutcomeUnknown,),
        TRUE: (RequestNotSent, OutcomeUnknown),
    }
    assert isinstance(error, kinds[row.verdict])
    if isinstance(error, OutcomeUnknown):
        assert error.status == row.status
    else:
        assert bytes_read == 0


def _assert_says_nothing_secret(error: BaseException | None) -> None:
    while error is not None:
        assert CANARY not in f"{error} {error!r} {error.args!r}"
        error = error.__cause__ or error.__context__
