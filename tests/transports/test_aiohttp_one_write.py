"""Requests over a session of the transport's own: time limits to the moment, interim answers, and what is reused."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from attrs import Factory, define

from tests.core.virtual_time import run_in_virtual_time
from tests.support.rows import each_row
from vipps_async import AiohttpTransport, Request, Response
from vipps_async.config import Timeouts
from vipps_async.errors import OutcomeUnknown, RequestNotSent, TransportError
from vipps_async.testing.transport_conformance.raw_server import OK, PATIENCE, Connection, raw_server
from vipps_async.time_limits import TimeLimit
from vipps_async.transports.aiohttp.one_write import Destination, PreparedRequest, exchange
from vipps_async.transports.http1 import parse_target

MakeTransport = Callable[..., AiohttpTransport]

INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
TIMEOUTS = Timeouts(connect=5, read=15, total=60)


def _post(url: str, **parts: Any) -> Request:
    return Request(**{"method": "POST", "url": url, "headers": {}, "body": b"{}", **parts})


# --- time limits, in virtual time ----------------------------------------------------------------------------------


@define
class Stage:
    """A connector without a network: it takes so long to connect, and then the answer comes piece by piece."""

    #: Seconds until the connection stands.
    connects_after: float
    #: Each piece of the answer, and how many seconds after the one before it comes.
    pieces: tuple[tuple[float, bytes], ...] = ()

    async def connect(self, _request: object, _traces: object, _timeout: object) -> Any:
        """Return a connection."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self.connects_after)
        protocol = ResponseHandler(loop)
        wire = Mock(spec=asyncio.Transport)
        wire.get_extra_info.return_value = None
        wire.is_closing.return_value = False
        wire.get_write_buffer_size.return_value = 0
        moment = loop.time()
        for seconds, piece in self.pieces:
            moment += seconds
            loop.call_at(moment, protocol.data_received, piece)
        protocol.connection_made(wire)
        return Mock(protocol=protocol, transport=wire)


def _play(stage: Stage, timeouts: Timeouts = TIMEOUTS) -> tuple[Response | TransportError, float]:
    async def main() -> tuple[Response | TransportError, float]:
        request = _post("http://h/p", timeouts=timeouts)
        target = parse_target(request.url)
        destination = Destination(target.server, verify=True, loop=asyncio.get_running_loop())
        found: Response | TransportError
        try:
            connector = cast("aiohttp.BaseConnector", stage)
            found = await exchange(connector, request, target, destination=destination)
        except TransportError as error:
            found = error
        return found, asyncio.get_running_loop().time()

    return run_in_virtual_time(main())


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
NO_CONNECTION, SILENT, NOT_WHOLE = (
    "no connection to h:80 within",
    "h:80 was silent for",
    "no whole answer of h:80 within",
)


@each_row(
    ("stage", "timeouts", "kind", "says", "at"),
    [
        (Stage(1000), TIMEOUTS, RequestNotSent, f"{NO_CONNECTION} 5 s", 5),
        (Stage(1000), Timeouts(connect=5, read=1, total=5), RequestNotSent, f"{NOT_WHOLE} 5 s", 5),
        (Stage(1000), Timeouts(connect=50, read=1, total=8), RequestNotSent, f"{NOT_WHOLE} 8 s", 8),
        (Stage(3), TIMEOUTS, OutcomeUnknown, f"{SILENT} 15 s", 18),
        (Stage(3, ((14, HEAD),)), TIMEOUTS, OutcomeUnknown, f"{SILENT} 15 s", 32),
        (Stage(3, ((14, HEAD), (14, b"x"), (14, b"y"))), TIMEOUTS, OutcomeUnknown, f"{NOT_WHOLE} 60 s", 60),
        (Stage(3, ((14, HEAD), (2, b"x"), (2, b"y"))), TIMEOUTS, OutcomeUnknown, f"{SILENT} 15 s", 36),
        (Stage(3, ((14, HEAD), *((14, b"x"),) * 9)), TIMEOUTS, OutcomeUnknown, f"{NOT_WHOLE} 60 s", 60),
        (Stage(3, ((14, INTERIM),)), TIMEOUTS, OutcomeUnknown, f"{SILENT} 15 s", 32),
        (Stage(3, ((14, INTERIM),) * 9), TIMEOUTS, OutcomeUnknown, f"{NOT_WHOLE} 60 s", 60),
        # The headers count as one piece: half of them is no progress.
        (Stage(3, ((14, HEAD[:9]), (14, HEAD[9:]))), TIMEOUTS, OutcomeUnknown, f"{SILENT} 15 s", 18),
        (Stage(4, ()), Timeouts(connect=5, read=56, total=60), OutcomeUnknown, f"{NOT_WHOLE} 60 s", 60),
        (Stage(3, ()), Timeouts(connect=5, read=56, total=60), OutcomeUnknown, f"{SILENT} 56 s", 59),
    ],
    ids=[
        "connect",
        "connect is total",
        "connect after total",
        "silence",
        "silence in front of the body",
        "slow body",
        "silence in the body",
        "dripping body",
        "silence after an interim answer",
        "interim answers without end",
        "half a head",
        "silence until the end of all",
        "silence until just before",
    ],
)
def test_each_limit_ends_it_to_the_moment(
    stage: Stage, timeouts: Timeouts, kind: type[TransportError], says: str, at: float
) -> None:
    """The limit that comes first ends it when it should, neither rounded nor late, and is the one that is named."""
    found, moment = _play(stage, timeouts)
    assert type(found) is kind
    assert says in str(found)
    assert moment == at


@pytest.mark.parametrize("interim", [(), ((14, INTERIM),) * 2, ((0, INTERIM * 3),)])
def test_what_comes_in_time_is_read(interim: tuple[tuple[float, bytes], ...]) -> None:
    """An answer whose every silence is short enough comes whole; interim answers in front of it count as progress."""
    found, moment = _play(Stage(4.5, (*interim, (14, HEAD), (0.5, b"12345"), (0.5, b"6789"))))
    assert isinstance(found, Response)
    assert (found.status, found.body) == (200, b"123456789")
    assert moment == 4.5 + sum(seconds for seconds, _ in interim) + 15


def test_what_was_given_up_is_not_sent_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a request has failed it is closed: whoever still holds it cannot send it behind the verdict."""
    held: list[PreparedRequest] = []

    def hold(self: PreparedRequest, limit: TimeLimit) -> None:
        held.append(self)
        begin(self, limit)

    begin = PreparedRequest.begin
    monkeypatch.setattr(PreparedRequest, "begin", hold)
    found, _ = _play(Stage(1000))
    assert type(found) is RequestNotSent
    (prepared,) = held
    assert prepared.over
    with pytest.raises(aiohttp.ClientConnectionError):
        prepared.write(Mock(spec=ResponseHandler))
    assert not prepared.sent


# --- requests of one turn --------------------------------------------------------------------------------------------


@define
class AtHand:
    """A connector whose connections stand already; it notes what is done with them."""

    done: list[str] = Factory(list)
    protocols: list[ResponseHandler] = Factory(list)

    async def connect(self, _request: object, _traces: object, _timeout: object) -> Any:
        """Return a connection at once."""
        self.done.append("connected")
        protocol = ResponseHandler(asyncio.get_running_loop())
        wire = Mock(spec=asyncio.Transport)
        wire.get_extra_info.return_value = None
        wire.is_closing.return_value = False
        wire.write.side_effect = lambda _data: self.done.append("written")
        protocol.connection_made(wire)
        self.protocols.append(protocol)
        return Mock(protocol=protocol, transport=wire, close=lambda: self.done.append("closed"))


async def _at_hand(count: int, *, is_alone: bool, turns: int) -> list[str]:
    """Begin exchanges, cancel them after so many turns of the loop, and return what was done."""
    connector = AtHand()
    request = _post("http://h/p")
    target = parse_target(request.url)
    destination = Destination(target.server, verify=True, loop=asyncio.get_running_loop())
    exchanges = [
        asyncio.create_task(
            exchange(
                cast("aiohttp.BaseConnector", connector), request, target, destination=destination, is_alone=is_alone
            )
        )
        for _ in range(count)
    ]
    for _ in range(turns):
        await asyncio.sleep(0)
    for one in exchanges:
        one.cancel()
    await asyncio.wait(exchanges)
    assert all(one.cancelled() for one in exchanges)
    return connector.done


async def test_requests_of_one_turn_are_written_one_after_the_other() -> None:
    """A proxy on the same machine is woken once for all of them; one that is alone waits for no turn."""
    assert (await _at_hand(3, is_alone=False, turns=2))[:6] == ["connected"] * 3 + ["written"] * 3
    assert (await _at_hand(1, is_alone=True, turns=1))[:2] == ["connected", "written"]


@pytest.mark.parametrize("came", [b"HTTP/1.1 200 OK\r\nContent-", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"])
async def test_what_comes_before_its_turn_answers_nothing(came: bytes) -> None:
    """Not even half a head, whose rest would pass for the answer: nothing is written to such a connection."""
    connector = AtHand()
    request = _post("http://h/p")
    target = parse_target(request.url)
    destination = Destination(target.server, verify=True, loop=asyncio.get_running_loop())
    sending = asyncio.create_task(
        exchange(cast("aiohttp.BaseConnector", connector), request, target, destination=destination, is_alone=False)
    )
    await asyncio.sleep(0)
    connector.protocols[0].data_received(came)
    with pytest.raises(RequestNotSent):
        await asyncio.wait_for(sending, PATIENCE)
    assert connector.done == ["connected", "closed"]


async def test_cancelled_before_its_turn_nothing_is_written() -> None:
    """What is cancelled between the connection and the write has certainly not been sent."""
    assert await _at_hand(3, is_alone=False, turns=1) == ["connected"] * 3 + ["closed"] * 3


# --- over real sockets ---------------------------------------------------------------------------------------------


async def _send_all(connection: Connection, answer: bytes) -> None:
    # Each piece with a write of its own, so that none waits for another.
    await connection.read_request()
    await connection.send(answer)


def _repeating(answer: bytes) -> Callable[[Connection], Awaitable[None]]:
    async def script(connection: Connection) -> None:
        while True:
            await _send_all(connection, answer)

    return script


@pytest.mark.parametrize(
    ("answer", "method", "status", "body"),
    [
        (OK, "POST", 200, b"{}"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "POST", 200, b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "POST", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "GET", 304, b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD", 200, b""),
        (b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno", "POST", 500, b"no"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "POST", 200, b"{}"),
        (INTERIM * 2 + b"HTTP/1.1 100 Continue\r\n\r\n" + OK, "PUT", 200, b"{}"),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}", "POST", 200, b"{}"),
    ],
    ids=["length", "empty", "204", "304", "HEAD", "500", "chunked", "interim", "HTTP/1.0 that stays"],
)
async def test_the_connection_is_used_again(
    own_session: MakeTransport, answer: bytes, method: str, status: int, body: bytes
) -> None:
    """After an answer that came to its end, the next request goes over the same connection, and gets its own answer."""
    async with raw_server(_repeating(answer)) as server:
        transport = own_session()
        for _ in range(3):
            response = await transport.send(_post(server.url, method=method))
            assert (response.status, response.body) == (status, body)
            assert _taken(transport) == 0
        await transport.aclose()
    assert (len(server.requests), len(server.connections)) == (3, 1)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        # Something behind the answer that nobody asked for.
        OK + OK,
    ],
    ids=["close", "HTTP/1.0", "two answers"],
)
async def test_the_connection_is_not_used_again(own_session: MakeTransport, answer: bytes) -> None:
    """Where the server wants it closed, or has said more than it should, the next request takes another connection."""
    async with raw_server(_repeating(answer)) as server:
        transport = own_session()
        for _ in range(2):
            response = await transport.send(_post(server.url))
            assert (response.status, response.body) == (200, b"{}")
            assert _taken(transport) == 0
        await transport.aclose()
    assert (len(server.requests), len(server.connections)) == (2, 2)


async def test_a_body_that_ends_with_its_connection(own_session: MakeTransport) -> None:
    """Without any length the body lasts until the server closes, and the next request takes another connection."""

    async def script(connection: Connection) -> None:
        await connection.answer(b"HTTP/1.1 200 OK\r\n\r\n{")
        await connection.send(b"}")
        await connection.close()

    async with raw_server(script) as server:
        transport = own_session()
        for _ in range(2):
            assert (await transport.send(_post(server.url))).body == b"{}"
            assert _taken(transport) == 0
    assert len(server.connections) == 2


async def test_an_idle_connection_that_the_server_closed(own_session: MakeTransport) -> None:
    """A connection that is known to be closed when the next request comes is left, and nothing is lost with it."""

    async def script(connection: Connection) -> None:
        await connection.answer()
        await connection.close()

    async with raw_server(script) as server:
        transport = own_session()
        for _ in range(3):
            assert (await transport.send(_post(server.url))).status == 200
            async with asyncio.timeout(PATIENCE):
                await _none_is_idle(transport)
    assert (len(server.requests), len(server.connections)) == (3, 3)


async def _none_is_idle(transport: AiohttpTransport) -> None:
    # Until the client's event loop has seen that the server closed.
    connector = _connector(transport)
    while any(each[0].is_connected() for idle in connector._conns.values() for each in idle):  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_another_protocol_does_not_go_back_into_the_pool(own_session: MakeTransport) -> None:
    """A server that leaves HTTP has not answered: the outcome is unknown, and its connection is closed."""
    closed = asyncio.Event()

    async def script(connection: Connection) -> None:
        if connection.number > 0:
            await connection.answer()
            return
        await connection.answer(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello")
        await connection.take_in()
        closed.set()

    async with raw_server(script) as server:
        transport = own_session()
        with pytest.raises(OutcomeUnknown, match="101 is no status of an answer"):
            await transport.send(_post(server.url))
        async with asyncio.timeout(PATIENCE):
            await closed.wait()
        assert (await transport.send(_post(server.url))).status == 200
        assert _taken(transport) == 0


async def test_an_answer_that_comes_before_the_request_is_whole(own_session: MakeTransport) -> None:
    """Such an answer counts; but its connection, on which the rest of the request stands in line, is not used again."""
    seen = asyncio.Event()

    async def script(connection: Connection) -> None:
        if connection.number > 0:
            await connection.answer()
            return
        # A small window, so that the rest cannot leave.
        await connection.read_some()
        await connection.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await seen.wait()

    async with raw_server(script) as server:
        transport = own_session()
        with _small_buffers():
            response = await transport.send(_post(server.url, body=bytes(16 * 1024 * 1024)))
        assert (response.status, response.body) == (413, b"no")
        assert _taken(transport) == 0
        response = await transport.send(_post(server.url))
        seen.set()
        assert response.status == 200
    assert len(server.connections) == 2


@contextlib.contextmanager
def _small_buffers() -> Any:
    real = socket.socket.connect_ex

    def connect_ex(self: socket.socket, address: Any) -> int:
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return real(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect_ex", connect_ex)
        yield


def _connector(transport: AiohttpTransport) -> aiohttp.BaseConnector:
    session = transport._session
    assert session is not None
    assert session.connector is not None
    return session.connector


def _taken(transport: AiohttpTransport) -> int:
    return len(_connector(transport)._acquired)


# --- giving up -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["cancelling", "a limit"])
@pytest.mark.parametrize("kept", [True, False])
async def test_giving_up_at_any_step_leaks_nothing(
    own_session: MakeTransport, monkeypatch: pytest.MonkeyPatch, by: str, *, kept: bool
) -> None:
    """Given up while connecting, writing or reading, a request leaves no connection taken and the pool usable."""
    answer = INTERIM + b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
    answer += b"\r\n2\r\n{}\r\n0\r\n\r\n" if kept else b"Connection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    outcomes: set[str] = set()
    limits: list[Any] = []
    real = PreparedRequest.begin

    def begin(self: PreparedRequest, limit: Any) -> None:
        limits.append(limit)
        real(self, limit)

    async with raw_server(_repeating(answer)) as server:
        transport = own_session(limit=1)
        await transport.send(_post(server.url))
        monkeypatch.setattr(PreparedRequest, "begin", begin)
        for turns in range(60):
            limits.clear()
            sending = asyncio.create_task(transport.send(_post(server.url)))
            for _ in range(turns):
                await asyncio.sleep(0)
            if by == "cancelling":
                sending.cancel()
            elif limits and not sending.done():
                limits[0].move(0)
            try:
                await sending
                outcomes.add("answered")
            except asyncio.CancelledError:
                outcomes.add("cancelled")
            except TransportError as error:
                outcomes.add(type(error).__name__)
            async with asyncio.timeout(PATIENCE):
                assert (await transport.send(_post(server.url))).status == 200
            assert _taken(transport) == 0
    expected = {"cancelled"} if by == "cancelling" else {"OutcomeUnknown"}
    if by == "a limit" and not kept:
        expected.add("RequestNotSent")  # an idle connection is written to in the very first turn
    # Which steps the turns meet is the loop's affair: uvloop may write and read within one.
    assert outcomes <= {*expected, "answered"}
    assert outcomes & expected
