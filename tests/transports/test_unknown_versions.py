"""Another version of aiohttp or httpx may have other private names: then requests go the library's public way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from vipps_async import AiohttpTransport, HttpxTransport, Request
from vipps_async.config import Timeouts
from vipps_async.errors import ConfigurationError, OutcomeUnknown, RequestNotSent
from vipps_async.testing.transport_conformance.exchanges import answer_all, post
from vipps_async.testing.transport_conformance.raw_server import (
    OK,
    dead_port,
    raw_server,
)
from vipps_async.testing.transport_conformance.raw_server import (
    Connection as ServerConnection,
)
from vipps_async.transports.aiohttp import rehearsal
from vipps_async.transports.aiohttp.one_write import Destination, PreparedRequest
from vipps_async.transports.aiohttp.session_request import WitnessedBody

Patch = Callable[[pytest.MonkeyPatch], None]


def _renamed(owner: type, name: str) -> Patch:
    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(owner, name)

    return patch


def _other_signature_of_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    real = aiohttp.BaseConnector.connect

    async def connect(self: aiohttp.BaseConnector, req: Any, *, traces: Any, timeout: Any) -> Connection:  # noqa: ASYNC109
        return await real(self, req, traces, timeout)

    monkeypatch.setattr(aiohttp.BaseConnector, "connect", connect)


def _other_parameters_of_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ResponseHandler.set_response_params

    def set_response_params(self: ResponseHandler, *, timer: Any, **others: Any) -> None:
        real(self, timer=timer, **others)

    monkeypatch.setattr(ResponseHandler, "set_response_params", set_response_params)


def _other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(self: object, server: object) -> None:
        raise AssertionError("unreachable: it is called with other arguments")

    monkeypatch.setattr(Destination, "__init__", init)


def _unasked_body(monkeypatch: pytest.MonkeyPatch) -> None:
    # aiohttp writes the bytes itself.
    monkeypatch.setattr(WitnessedBody, "write_with_length", aiohttp.BytesPayload.write_with_length)
    monkeypatch.setattr(WitnessedBody, "write", aiohttp.BytesPayload.write)


def _both(monkeypatch: pytest.MonkeyPatch) -> None:
    _other_signature_of_connect(monkeypatch)
    _unasked_body(monkeypatch)


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("patch", "connections"),
    [
        (_other_signature_of_connect, 1),
        (_other_parameters_of_answers, 1),
        (_other_keys, 1),
        (_renamed(ResponseHandler, "should_close"), 3),
        (_both, 3),
    ],
    ids=[
        "connected otherwise",
        "answers read otherwise",
        "destinations otherwise",
        "no should_close",
        "body not asked",
    ],
)
async def test_aiohttp_with_other_names(
    own_session: Callable[..., AiohttpTransport],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    patch: Patch,
    connections: int,
) -> None:
    """Requests succeed all the same, once each; one warning says so; no connection is kept that may hold an answer."""
    patch(monkeypatch)
    if not hasattr(ResponseHandler, "should_close"):
        monkeypatch.setattr(ResponseHandler, "should_close", property(lambda self: self._should_close), raising=False)
        monkeypatch.setattr(rehearsal, "rehearse", _never)
        monkeypatch.setattr("vipps_async.transports.aiohttp.transport.rehearse", _never)
    async with raw_server(answer_all) as server:
        transport = own_session()
        for method in ("POST", "PUT", "GET"):
            request = Request(method=method, url=f"{server.url}/p", headers={"X-A": "1"}, body=b"{}")
            assert (await transport.send(request)).body == b"{}"
    assert [(each.line.split()[0], each.body) for each in server.requests] == [
        ("POST", b"{}"),
        ("PUT", b"{}"),
        ("GET", b"{}"),
    ]
    assert len(server.connections) == connections
    assert len(_warnings(caplog)) == 1
    assert f"aiohttp {aiohttp.__version__} is not known to this package" in _warnings(caplog)[0]


async def _never(*_: object) -> bool:
    return False


async def test_aiohttp_that_fails_only_in_earnest(
    own_session: Callable[..., AiohttpTransport], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the rehearsal has not shown is noticed at a request: nothing was written, so it goes the other way."""
    transport = own_session()
    async with raw_server(answer_all) as server:
        await transport.send(post(server.url))
        _other_parameters_of_answers(monkeypatch)
        answers = await asyncio.gather(*(transport.send(post(server.url)) for _ in range(3)))
        assert [answer.status for answer in answers] == [200] * 3
    assert len(server.requests) == 4
    assert len(_warnings(caplog)) == 1


async def test_aiohttp_that_fails_after_the_write(
    own_session: Callable[..., AiohttpTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the request was written, an error of a changed aiohttp is an unknown outcome, and it is not sent again."""
    transport = own_session()
    real = PreparedRequest.write

    def write(self: PreparedRequest, protocol: ResponseHandler) -> None:
        real(self, protocol)
        raise AttributeError("no such thing any more")

    async with raw_server(answer_all) as server:
        await transport.send(post(server.url))
        monkeypatch.setattr(PreparedRequest, "write", write)
        with pytest.raises(OutcomeUnknown, match="aiohttp failed after the request to 127"):
            await transport.send(post(server.url))


async def test_without_a_witness_few_failures_prove_anything(
    own_session: Callable[..., AiohttpTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that never stood still proves that nothing was sent; whatever came later proves nothing."""
    _both(monkeypatch)

    async def close(connection: ServerConnection) -> None:
        await connection.read_request()
        await connection.close()

    transport = own_session()
    with pytest.raises(RequestNotSent):
        await transport.send(post(f"http://127.0.0.1:{dead_port()}"))
    async with raw_server(close) as server:
        for method in ("POST", "PUT"):
            with pytest.raises(OutcomeUnknown):
                await transport.send(Request(method=method, url=server.url, headers={}, body=b"{}"))
        assert len(server.requests) == 2


async def test_without_a_witness_no_session_is_adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over connections that others have used, an earlier answer could be taken for that of a capture: refused."""
    _unasked_body(monkeypatch)
    async with raw_server(answer_all) as server, aiohttp.ClientSession() as session:
        with pytest.raises(ConfigurationError, match="give the transport no session"):
            await AiohttpTransport(session).send(post(server.url))
    assert server.requests == []


async def test_a_connector_that_hides_its_tls_settings_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """If nobody can say how an adopted session verifies, the certificates of the system decide."""
    connector = aiohttp.TCPConnector(ssl=False)
    async with aiohttp.ClientSession(connector=connector) as session:
        monkeypatch.delattr(connector, "_ssl")
        assert AiohttpTransport(session)._ssl is not True


# --- httpx ---------------------------------------------------------------------------------------------------------


async def test_an_httpx_client_with_other_names(
    httpx_transport: Callable[..., HttpxTransport], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An adopted client sends by its public method: once, following nothing, with no header or cookie of its own."""

    async def script(connection: ServerConnection) -> None:
        await connection.answer(b"HTTP/1.1 302 X\r\nSet-Cookie: a=1\r\nLocation: /y\r\nContent-Length: 2\r\n\r\n{}")

    async with (
        raw_server(script) as server,
        httpx.AsyncClient(follow_redirects=True, auth=("them", "secret"), headers={"X-Theirs": "1"}) as client,
    ):
        monkeypatch.delattr(httpx.AsyncClient, "_transport_for_url")
        monkeypatch.setattr(client, "_send_handling_redirects", _by_pool(client))
        transport = httpx_transport(client)
        for _ in range(2):
            response = await transport.send(post(server.url))
            assert (response.status, response.body) == (302, b"{}")
        with pytest.raises(OutcomeUnknown):
            await transport.send(post(f"http://127.0.0.1:{dead_port()}"))
    assert [{name.lower() for name, _ in each.headers} for each in server.requests] == [
        {"host", "content-length", "connection"}
    ] * 2
    assert [each for each in _warnings(caplog) if "httpx" in each] == _warnings(caplog)
    assert len(_warnings(caplog)) == 1


def _by_pool(client: httpx.AsyncClient) -> Callable[..., Any]:
    # httpx's own way from here on, which has that name in it.
    async def send(request: httpx.Request, *, follow_redirects: bool, history: object) -> httpx.Response:
        assert not follow_redirects
        response = await client._transport.handle_async_request(request)
        response.request = request
        return response

    return send


async def test_httpx_that_hides_its_buffers(
    httpx_transport: Callable[..., HttpxTransport], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nobody can tell that a connection is silent, each request gets its own, and one warning says so."""
    monkeypatch.setattr("vipps_async.transports.httpx.transport._is_silent", lambda _response: None)

    async def script(connection: ServerConnection) -> None:
        await connection.answer(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
        await answer_all(connection)

    async with raw_server(script) as server, httpx.AsyncClient() as client:
        transport = httpx_transport(client)
        for _ in range(3):
            request = Request(method="POST", url=server.url, headers={}, timeouts=Timeouts())
            assert (await transport.send(request)).body == b"{}"
    assert len(server.connections) == 3
    assert len(_warnings(caplog)) == 1


async def test_an_httpx_client_that_hides_its_tls_settings_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client of which nobody can say whether it verifies certificates is not adopted."""
    async with httpx.AsyncClient() as client:
        transport = client._transport
        monkeypatch.delattr(client, "_transport")
        with pytest.raises(ConfigurationError, match="does not show whether a client verifies"):
            HttpxTransport(client)
        monkeypatch.setattr(client, "_transport", transport, raising=False)
