"""What the aiohttp transport promises when nothing fails, and around its edges."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from collections.abc import Callable, Coroutine
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aioresponses import aioresponses

from vipps_async import AiohttpTransport, Request, Transport
from vipps_async.config import Timeouts
from vipps_async.errors import ConfigurationError, InvalidInputError, OutcomeUnknown, RequestNotSent
from vipps_async.testing.transport_conformance.certificates import client_context, server_context
from vipps_async.testing.transport_conformance.raw_server import OK, Connection, ReceivedRequest, dead_port, raw_server

MakeTransport = Callable[..., AiohttpTransport]
CANARY = "canary-91bc"


async def _answer_all(connection: Connection) -> None:
    while True:
        await connection.answer()


def _answering(data: bytes) -> Callable[[Connection], Coroutine[Any, Any, None]]:
    async def script(connection: Connection) -> None:
        await connection.answer(data)
        await connection.close()

    return script


def _post(url: str, body: bytes | None = b"{}", **headers: str) -> Request:
    return Request(method="POST", url=url, headers=headers, body=body)


# --- requests ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adopted", [False, True])
@pytest.mark.parametrize(
    ("method", "body", "length"),
    [
        ("POST", b'{"a":1}', "7"),
        ("POST", None, "0"),
        ("PUT", b'{"a":1}', "7"),
        ("PUT", None, "0"),
        ("GET", None, None),
        ("DELETE", None, None),
        ("GET", b"", "0"),
    ],
)
async def test_sends_the_headers_given_and_no_others(
    own_session: MakeTransport, *, adopted: bool, method: str, body: bytes | None, length: str | None
) -> None:
    """Only Host and Content-Length are added, whatever a session was built with."""
    given = {"Authorization": "Bearer ours", "X-Request-Id": "k-1", "content-type": "application/json"}
    async with (
        raw_server(_answer_all) as server,
        aiohttp.ClientSession(
            headers={"X-Theirs": "1", "authorization": "Bearer theirs", "User-Agent": "theirs"}, cookies={"theirs": "1"}
        ) as session,
    ):
        transport = own_session(session=session if adopted else None)
        await transport.send(Request(method=method, url=f"{server.url}/p", headers=given, body=body))
    (request,) = server.requests
    host = {"Host": f"127.0.0.1:{server.port}"}
    assert dict(request.headers) == host | given | ({} if length is None else {"Content-Length": length})
    assert len(request.headers) == len(dict(request.headers))
    assert request.body == (body or b"")
    assert request.line == f"{method} /p HTTP/1.1"


@pytest.mark.parametrize("adopted", [False, True])
@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
async def test_a_request_without_headers_gets_none(own_session: MakeTransport, method: str, *, adopted: bool) -> None:
    """No content type is guessed, and no client or coding is named."""
    async with raw_server(_answer_all) as server, aiohttp.ClientSession() as session:
        transport = own_session(session=session if adopted else None)
        await transport.send(Request(method=method, url=server.url, headers={}, body=b"{}"))
    assert _names(server.requests[0]) == {"host", "content-length"}


async def test_connections_are_kept_and_shared(own_session: MakeTransport) -> None:
    """Requests in a row use one connection."""
    async with raw_server(_answer_all) as server:
        transport = own_session()
        for method in ("POST", "GET", "PUT", "POST"):
            await transport.send(Request(method=method, url=server.url, headers={}))
    assert len(server.requests) == 4
    assert len(server.connections) == 1


@pytest.mark.parametrize(
    "url", ["/relative", "ftp://host/x", "http://", "http://[::1/x", "http://host:99999/x", "http://[]@/x", ""]
)
async def test_a_url_that_cannot_be_used_is_refused_before_any_io(own_session: MakeTransport, url: str) -> None:
    """A URL that is no absolute http or https URL is an error of the caller's, and is not quoted."""
    with pytest.raises(InvalidInputError, match="absolute http or https URL") as caught:
        await own_session().send(_post(url))
    assert caught.value.value is None


async def test_a_mistake_in_the_program_is_no_failure_of_the_network(own_session: MakeTransport) -> None:
    """A TypeError passes through: it must not look like something to retry."""
    async with raw_server(_answer_all) as server:
        with pytest.raises(TypeError):
            await own_session().send(_post(server.url, **{"X-Number": 1}))  # type: ignore[arg-type]  # on purpose
    assert server.requests == []


@pytest.mark.parametrize("adopted", [False, True])
@pytest.mark.parametrize("name", ["Expect", "expect", "Content-Length", "Transfer-Encoding", "Host", "Connection"])
async def test_headers_that_frame_a_request_are_refused(
    own_session: MakeTransport, name: str, *, adopted: bool
) -> None:
    """What would make a server read the request otherwise than it was meant is an error before any I/O."""
    async with raw_server(_answer_all) as server, aiohttp.ClientSession() as session:
        transport = own_session(session=session if adopted else None)
        with pytest.raises(InvalidInputError, match="headers"):
            await transport.send(Request(method="POST", url=server.url, headers={name: "1"}, body=b"{}"))
    assert server.requests == []


@pytest.mark.parametrize("adopted", [False, True])
@pytest.mark.parametrize(
    "wrong",
    [
        {"headers": {"X A": "1"}},
        {"headers": {"X-A": "1\r\nX-B: 2"}},
        {"headers": {"X-A": "\ud800"}},
        {"method": "CONNECT"},
        {"method": "post"},
    ],
)
async def test_what_would_be_read_otherwise_is_refused(
    own_session: MakeTransport, wrong: dict[str, Any], *, adopted: bool
) -> None:
    """A header or method that a server would read as something else is an error before any I/O."""
    async with raw_server(_answer_all) as server, aiohttp.ClientSession() as session:
        transport = own_session(session=session if adopted else None)
        with pytest.raises(InvalidInputError):
            await transport.send(Request(**{"method": "POST", "url": server.url, "headers": {}, "body": b"{}"} | wrong))
    assert server.connections == []


# --- answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
@pytest.mark.parametrize("adopted", [False, True])
async def test_no_redirect_is_followed(own_session: MakeTransport, status: int, method: str, *, adopted: bool) -> None:
    """Neither way sends a capture to wherever the answer says, with all its headers."""
    async with aiohttp.ClientSession() as session:
        await _answers_as_told(own_session(session=session if adopted else None), status, method)


@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE"])
@pytest.mark.parametrize("adopted", [True, False])
async def test_a_request_that_was_read_and_not_answered_is_not_sent_again(
    own_session: MakeTransport, method: str, *, adopted: bool
) -> None:
    """Not by aiohttp either, which resends all but POST: over an adopted session, and through a proxy."""

    async def read_and_close(connection: Connection) -> None:
        await connection.read_request()
        await connection.close()

    async with raw_server(read_and_close) as server, aiohttp.ClientSession() as session:
        transport = AiohttpTransport(session) if adopted else own_session(proxy=server.url)
        url = server.url if adopted else "http://vipps.example/"
        with pytest.raises(OutcomeUnknown):
            await transport.send(Request(method=method, url=url, headers={}, body=b"{}"))
        assert len(server.requests) == 1


async def test_a_read_through_a_proxy_names_no_length(own_session: MakeTransport) -> None:
    """A request without a body gets no length of aiohttp's own."""
    async with raw_server(_answer_all) as server:
        request = Request(method="GET", url="http://vipps.example/", headers={})
        await own_session(proxy=server.url).send(request)
    assert "content-length" not in str(server.requests[0]).casefold()


async def _answers_as_told(transport: AiohttpTransport, status: int, method: str = "POST") -> None:
    answer = f"HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".encode()
    async with raw_server(_answering(answer)) as server:
        request = Request(method=method, url=server.url, headers={}, body=b"{}")
        assert (await transport.send(request)).status == status
    assert len(server.requests) == 1


async def test_the_answer_to_head_has_no_body(own_session: MakeTransport) -> None:
    """Length and coding of an answer to HEAD describe a body that does not come."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\nContent-Encoding: gzip\r\n\r\n"
    async with raw_server(_answering(answer)) as server:
        response = await own_session().send(Request(method="HEAD", url=server.url, headers={}))
    assert response.body == b""


@pytest.mark.parametrize("adopted", [False, True])
@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
@pytest.mark.parametrize("early", [b"HTTP/1.1 408 Time-out\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", OK])
async def test_what_came_before_the_request_is_not_its_answer(
    own_session: MakeTransport, early: bytes, method: str, *, adopted: bool
) -> None:
    """An answer that waits on an idle connection is never taken for that of the next request, which is not sent."""

    async def script(connection: Connection) -> None:
        await connection.answer()
        await connection.take_in()

    async with raw_server(script) as server, aiohttp.ClientSession() as session:
        transport = own_session(session=session if adopted else None)
        await transport.send(_post(server.url))
        server.bytes_read = 0
        server.connections[0].send_now(early)
        async with asyncio.timeout(5):
            await _taken_in(transport, session if adopted else None)
        with pytest.raises(RequestNotSent, match="spoke before the request was written"):
            await transport.send(Request(method=method, url=server.url, headers={}, body=b"{}"))
        assert server.bytes_read == 0
        assert (await transport.send(_post(server.url))).status == 200, "the transport goes on with a new connection"
    assert len(server.connections) == 2


async def _taken_in(transport: AiohttpTransport, session: aiohttp.ClientSession | None) -> None:
    # Until the client's event loop has read what the server sent over the idle connection.
    own = session or transport._session
    assert own is not None
    assert own.connector is not None
    (connections,) = own.connector._conns.values()
    while not connections[0][0].should_close:  # noqa: ASYNC110 - aiohttp tells nobody about such bytes
        await asyncio.sleep(0)


async def test_a_stand_in_for_a_session_is_believed(
    own_session: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests that replace aiohttp's own request method get their answer, though nothing was written."""
    async with raw_server(_answer_all) as server, aiohttp.ClientSession() as session:
        real = session._request

        async def faked(method: str, url: object, **_keywords: object) -> aiohttp.ClientResponse:
            return await real("GET", server.url)

        monkeypatch.setattr(
            aiohttp.ClientSession, "_request", lambda _self, *args, **keywords: faked(*args, **keywords)
        )
        assert (await own_session().send(_post("https://apitest.vipps.no/x"))).body == b"{}"


class _Answer(aiohttp.ClientResponse):
    """An answer as aioresponses makes it, which does not know what newer versions of aiohttp ask for."""

    def __init__(self, *given: Any, **more: Any) -> None:
        if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
            more.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*given, **more)


async def test_aioresponses_stands_in_for_the_default_transport(own_session: MakeTransport) -> None:
    """Tests that fake answers with aioresponses get them, and see what would have been sent to whom."""
    url = "https://apitest.vipps.no/ecomm/v2/payments/acme-1/capture"
    with aioresponses() as faked:
        faked.post(url, status=402, body=b'[{"errorCode":"61"}]', headers={"X-A": "1"}, response_class=_Answer)
        faked.post(url, exception=aiohttp.ServerDisconnectedError())
        response = await own_session().send(_post(url))
        # The stand-in has written nothing, and that is what is said.
        with pytest.raises(RequestNotSent):
            await own_session().send(_post(url))
    assert (response.status, response.body, response.headers["x-a"]) == (402, b'[{"errorCode":"61"}]', "1")
    assert [str(key[1]) for key in faked.requests] == [url]


async def test_a_stand_in_that_comes_later_gets_the_requests_too(own_session: MakeTransport) -> None:
    """A transport that has sent over the network before sends nothing there while something stands in for aiohttp."""
    async with raw_server(_answer_all) as server:
        transport = own_session()
        await transport.send(_post(server.url))
        with aioresponses() as faked:
            faked.post(server.url, status=418, response_class=_Answer)
            assert (await transport.send(_post(server.url))).status == 418
        await transport.send(_post(server.url))
    assert (len(server.requests), len(server.connections)) == (2, 1)


async def test_who_observes_every_session_of_a_program_sees_each_request(
    own_session: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tracers add their traces to each session that is made, and a session of the transport's own is one."""
    seen: list[str] = []
    trace = aiohttp.TraceConfig()

    async def started(_session: object, _context: object, params: aiohttp.TraceRequestStartParams) -> None:
        seen.append(str(params.url))

    trace.on_request_start.append(started)
    real = aiohttp.ClientSession.__init__
    monkeypatch.setattr(
        aiohttp.ClientSession, "__init__", lambda self, **given: real(self, trace_configs=[trace], **given)
    )
    async with raw_server(_answer_all) as server:
        await own_session().send(_post(f"{server.url}/p"))
    assert seen == [f"{server.url}/p"]


# --- adopting a session --------------------------------------------------------------------------------------------


async def test_an_adopted_session_stays_as_it_was(own_session: MakeTransport) -> None:
    """Its cookie jar, headers and settings are neither used nor changed, and it stays open."""
    answer = b"HTTP/1.1 500 No\r\nSet-Cookie: ours=1; Path=/\r\nContent-Length: 2\r\n\r\n{}"
    jar = aiohttp.CookieJar(unsafe=True)

    async def script(connection: Connection) -> None:
        await connection.answer(answer)
        await connection.answer(OK)

    async with (
        raw_server(script) as server,
        aiohttp.ClientSession(
            base_url="http://127.0.0.1:1/api/",
            cookie_jar=jar,
            cookies={"theirs": "1"},
            raise_for_status=True,
            auto_decompress=False,
            headers={"X-Theirs": "1"},
            connector_owner=True,
        ) as session,
    ):
        transport = own_session(session=session)
        assert (await transport.send(_post(server.url))).status == 500
        await transport.aclose()
        assert not session.closed
        async with session.get(server.url + "/theirs") as response:
            assert await response.text() == "{}"
        assert [cookie.key for cookie in jar] == ["theirs"]
        assert dict(session.headers) == {"X-Theirs": "1"}
    ours, theirs = server.requests
    assert "cookie" not in _names(ours)
    assert {"cookie", "x-theirs"} <= _names(theirs)


def _names(request: ReceivedRequest) -> set[str]:
    return {name.lower() for name, _ in request.headers}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # newer versions of aiohttp advise against `auth`
async def test_the_password_of_an_adopted_session_is_not_sent(own_session: MakeTransport) -> None:
    """`auth` of the session neither replaces our Authorization nor joins a request that has none."""
    auth = aiohttp.BasicAuth("them", CANARY)
    async with raw_server(_answer_all) as server, aiohttp.ClientSession(auth=auth) as session:
        transport = own_session(session=session)
        await transport.send(_post(server.url, Authorization="Bearer ours"))
        await transport.send(_post(server.url))
    first, second = server.requests
    assert ("Authorization", "Bearer ours") in first.headers
    assert "authorization" not in _names(second)


async def test_the_traces_of_an_adopted_session_see_its_requests(own_session: MakeTransport) -> None:
    """What the caller uses for observing keeps working."""
    seen: list[str] = []
    trace = aiohttp.TraceConfig()

    async def started(_session: object, _context: object, params: aiohttp.TraceRequestStartParams) -> None:
        seen.append(params.method)

    trace.on_request_start.append(started)
    async with raw_server(_answer_all) as server, aiohttp.ClientSession(trace_configs=[trace]) as session:
        await own_session(session=session).send(_post(server.url))
    assert seen == ["POST"]


async def test_a_closed_session_cannot_be_used(own_session: MakeTransport) -> None:
    """A session that its owner has closed is named before any I/O."""
    session = aiohttp.ClientSession()
    transport = own_session(session=session)
    await session.close()
    with pytest.raises(ConfigurationError, match="ClientSession of this transport is closed"):
        await transport.send(_post("http://127.0.0.1:1"))


async def test_a_session_that_sends_headers_ahead_is_refused(own_session: MakeTransport) -> None:
    """With `Expect` among a session's headers nobody could tell whether anything was sent."""
    async with raw_server(_answer_all) as server, aiohttp.ClientSession(headers={"expect": "100-continue"}) as session:
        with pytest.raises(ConfigurationError, match="adds Expect"):
            await own_session(session=session).send(_post(server.url))
    assert server.connections == []


@pytest.mark.parametrize("keywords", [{"limit": 5}, {"trust_env": True}])
async def test_what_an_adopted_session_already_has_cannot_be_given(keywords: dict[str, Any]) -> None:
    """`limit` and `trust_env` belong to the session itself."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ConfigurationError, match="cannot be given together"):
            AiohttpTransport(session, **keywords)


# --- opening and closing -------------------------------------------------------------------------------------------


def test_nothing_is_opened_before_the_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport can be made where no event loop runs: connector and connection are made by the first request."""
    made: list[aiohttp.TCPConnector] = []
    init = aiohttp.TCPConnector.__init__

    def counted(connector: aiohttp.TCPConnector, **options: Any) -> None:
        made.append(connector)
        init(connector, **options)

    monkeypatch.setattr(aiohttp.TCPConnector, "__init__", counted)
    unused: Transport = AiohttpTransport()
    asyncio.run(unused.aclose())
    transport = AiohttpTransport()

    async def send() -> int:
        async with raw_server(_answer_all) as server:
            assert (made, server.connections) == ([], [])
            await transport.send(_post(server.url))
            await transport.aclose()
            return len(server.connections)

    assert asyncio.run(send()) == 1
    assert len(made) == 1


async def test_closing_ends_what_is_under_way(own_session: MakeTransport) -> None:
    """A request in flight when the transport is closed fails as unknown."""
    received = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.read_request()
        received.set()
        await connection.stall()

    async with raw_server(script) as server:
        transport = own_session()
        sending = asyncio.create_task(transport.send(_post(server.url)))
        async with asyncio.timeout(5):
            await received.wait()
            await transport.aclose()
            with pytest.raises(OutcomeUnknown):
                await sending


@pytest.mark.parametrize("adopted", [False, True])
def test_another_event_loop_is_refused(*, adopted: bool) -> None:
    """A transport that was opened in one event loop says so in another, before any I/O."""
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()

    async def opened() -> tuple[AiohttpTransport, aiohttp.ClientSession | None]:
        async with raw_server(_answer_all) as server:
            session = aiohttp.ClientSession() if adopted else None
            transport = AiohttpTransport(session)
            await transport.send(_post(server.url))
            return transport, session

    async def closed(transport: AiohttpTransport, session: aiohttp.ClientSession | None) -> None:
        await transport.aclose()
        if session is not None:
            await session.close()

    transport, session = first.run_until_complete(opened())
    with pytest.raises(ConfigurationError, match="another event loop"):
        second.run_until_complete(transport.send(_post("http://127.0.0.1:1")))
    if not adopted:
        with pytest.raises(ConfigurationError, match="another event loop"):
            second.run_until_complete(transport.aclose())
    first.run_until_complete(closed(transport, session))
    first.close()
    second.close()


# --- cancelling ----------------------------------------------------------------------------------------------------


def _open_connections(transport: AiohttpTransport) -> int:
    assert transport._session is not None
    connector = transport._session.connector
    assert connector is not None
    return len(connector._acquired)


# --- proxies and TLS -----------------------------------------------------------------------------------------------


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
async def test_tunnels_through_a_proxy(
    own_session: MakeTransport, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy given, or named by the environment if that is trusted, is used, and the certificate is still verified."""
    async with raw_server(_answer_all, tls=server_context("127.0.0.1")) as server, raw_server(_tunnel) as proxy:
        proxy_url = f"http://user:{CANARY}@127.0.0.1:{proxy.port}"
        monkeypatch.setenv("https_proxy", proxy_url)
        monkeypatch.setenv("no_proxy", "other.example")
        chosen: dict[str, Any] = {"proxy": proxy_url} if source == "argument" else {"trust_env": True}
        transport = own_session(ssl_context=client_context(), **chosen)
        for _ in range(2):
            await transport.send(_post(f"https://127.0.0.1:{server.port}/x", Authorization="Bearer ours"))
        await transport.aclose()
    (connect,) = proxy.requests
    assert connect.line == f"CONNECT 127.0.0.1:{server.port} HTTP/1.1"
    assert "proxy-authorization" in _names(connect)
    assert ("Authorization", "Bearer ours") not in connect.headers
    assert [("Authorization", "Bearer ours") in request.headers for request in server.requests] == [True, True]


@pytest.mark.parametrize(
    ("keywords", "no_proxy"), [({"trust_env": True}, "127.0.0.1"), ({"trust_env": False}, ""), ({}, "")]
)
async def test_the_environment_is_left_out_unless_trusted(
    own_session: MakeTransport, monkeypatch: pytest.MonkeyPatch, keywords: dict[str, Any], no_proxy: str
) -> None:
    """Proxies of the environment count only with trust_env, and not for hosts in NO_PROXY."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{dead_port()}")
    monkeypatch.setenv("no_proxy", no_proxy)
    async with raw_server(_answer_all) as server:
        assert (await own_session(**keywords).send(_post(server.url))).status == 200


async def test_a_netrc_file_is_never_used(
    own_session: MakeTransport, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Trusting the environment's proxies does not send a password that a netrc file has for every host."""
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text(f"default login them password {CANARY}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with raw_server(_answer_all) as server:
        ours = own_session(trust_env=True)
        await ours.send(_post(server.url, Authorization="Bearer ours"))
        await ours.send(_post(server.url))
        async with aiohttp.ClientSession(trust_env=True) as session:
            theirs = own_session(session=session)
            await theirs.send(_post(server.url, Authorization="Bearer ours"))
            await theirs.send(_post(server.url))
    found = [value for request in server.requests for name, value in request.headers if name == "Authorization"]
    assert found == ["Bearer ours", "Bearer ours"]


@pytest.mark.parametrize("proxy", ["", "127.0.0.1:3128", "socks5://127.0.0.1:1", "http://", "http://h:99999", 7])
def test_a_proxy_that_cannot_be_one_is_refused(proxy: Any) -> None:
    """The proxy must be an http or https URL; it is not quoted, for it may hold a password."""
    with pytest.raises(InvalidInputError, match="proxy must be the URL of an http or https proxy") as caught:
        AiohttpTransport(proxy=proxy)
    assert caught.value.value is None


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "9"])
def test_a_limit_that_makes_no_sense_is_refused(limit: Any) -> None:
    """The limit is a whole number of at least 1."""
    with pytest.raises(InvalidInputError, match="limit must be"):
        AiohttpTransport(limit=limit)


async def test_a_context_that_does_not_verify_is_refused() -> None:
    """TLS verification has no switch: not by a context, nor by an adopted session's connector."""
    lax = ssl.create_default_context()
    lax.check_hostname = False
    blind = ssl.create_default_context()
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    for context in (lax, blind):
        with pytest.raises(ConfigurationError, match="do not verify"):
            AiohttpTransport(ssl_context=context)
    for setting in (False, blind):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=setting)) as session:
            with pytest.raises(ConfigurationError, match="do not verify"):
                AiohttpTransport(session)
            AiohttpTransport(session, ssl_context=ssl.create_default_context())


async def test_a_private_authority_and_a_client_certificate_are_honoured(own_session: MakeTransport) -> None:
    """The context's own trust is used, with a session of ours or an adopted one."""
    async with raw_server(_answer_all, tls=server_context("localhost")) as server:
        url = f"https://localhost:{server.port}"
        assert (await own_session(ssl_context=client_context()).send(_post(url))).status == 200
        async with aiohttp.ClientSession() as session:
            transport = own_session(session=session, ssl_context=client_context())
            assert (await transport.send(_post(url))).status == 200
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_context())) as session:
            assert (await own_session(session=session).send(_post(url))).status == 200


# --- time-outs -----------------------------------------------------------------------------------------------------


async def test_time_outs_over_an_adopted_session_are_exact(own_session: MakeTransport) -> None:
    """Time-outs over 5 seconds are not rounded up, and follow the request."""
    received: list[aiohttp.ClientTimeout] = []
    async with raw_server(_answer_all) as server, aiohttp.ClientSession() as session:
        transport = own_session(session=session)
        for timeouts in (Timeouts(), Timeouts(connect=1.5, read=7.25, total=9.75)):
            await transport.send(Request(method="GET", url=server.url, headers={}, timeouts=timeouts))
            received.append(transport._client_timeout)
    assert [(each.connect, each.sock_read, each.total) for each in received] == [(5, 15, 30), (1.5, 7.25, 9.75)]
    assert all(each.ceil_threshold == float("inf") for each in received)
