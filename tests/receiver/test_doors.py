"""The doors over real sockets: methods, sizes, slow and broken senders, and the session of the application."""

from __future__ import annotations

import asyncio
import functools
import gzip
import time
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from starlette.applications import Starlette
from starlette.requests import Request
from yarl import URL

from tests.ecom.callback_bodies import QUESTION, REGULAR, TOKEN, as_body
from tests.receiver.served import KEYS, receiver_of
from tests.receiver.serving import FRAMEWORKS, serve
from tests.receiver.shop import Shop, until
from vipps_async import ConfigurationError, InvalidInputError, VippsSession
from vipps_async.receiver import (
    aiohttp_context,
    aiohttp_routes,
    aiohttp_session,
    starlette_app,
    starlette_lifespan,
    starlette_session,
)
from vipps_async.testing import ScriptedTransport

PATH = "/vipps/v2/payments/acme-1"
HEADERS = {"Authorization": TOKEN}

pytestmark = pytest.mark.parametrize("framework", FRAMEWORKS)


def session() -> VippsSession:
    """Return a session that talks to nobody."""
    return VippsSession(KEYS, transport=ScriptedTransport())


async def ask(url: str, method: str, path: str, **options: Any) -> tuple[int, bytes, Any]:
    """Make a request; return status, body and headers."""
    async with (
        aiohttp.ClientSession() as client,
        client.request(method, url + path, **options) as answer,
    ):
        return answer.status, await answer.read(), answer.headers


async def test_methods(framework: str, shop: Shop) -> None:
    """Anything but POST, and DELETE for consents, is answered 405 and told what is allowed."""
    async with serve(framework, session, receiver_of(shop)) as url:
        for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"):
            status, _, headers = await ask(url, method, PATH, headers=HEADERS)
            assert (method, status, headers.get("Allow")) == (method, 405, "POST")
        status, _, headers = await ask(url, "POST", "/vipps/v2/consents/abc=", headers=HEADERS)
        assert (status, headers.get("Allow")) == (405, "DELETE")


@pytest.mark.parametrize("between", ["//", "///"])
async def test_a_prefix_that_ends_in_a_slash(framework: str, shop: Shop, between: str) -> None:
    """Vipps puts its path behind the prefix as it is, so that a slash at the prefix's end is there twice."""
    async with serve(framework, session, receiver_of(shop)) as url:
        for path, method, data in (
            ("v2/payments/acme-1", "POST", as_body(REGULAR)),
            ("v2/payments/acme-1/shippingDetails", "POST", as_body(QUESTION)),
            ("v2/consents/ab==", "DELETE", None),
        ):
            target = URL(f"{url}/vipps{between}{path}", encoded=True)
            async with (
                aiohttp.ClientSession() as client,
                client.request(method, target, data=data, headers=HEADERS) as it,
            ):
                assert (path, it.status) == (path, 200)


async def test_each_kind(framework: str, shop: Shop) -> None:
    """Payments, shipping and consents arrive, with a user id whose slashes are encoded or not."""
    async with serve(framework, session, receiver_of(shop)) as url:
        assert (await ask(url, "POST", PATH, data=as_body(REGULAR), headers=HEADERS))[0] == 200
        status, body, headers = await ask(
            url, "POST", PATH + "/shippingDetails", data=as_body(QUESTION), headers=HEADERS
        )
        assert (status, headers["Content-Type"]) == (200, "application/json;charset=UTF-8")
        assert b'"addressId":3960' in body
        for written in ("%2B%2Fab%3D%3D", "+/ab==", "%252b%252fab%253d%253d"):
            path = URL(f"{url}/vipps/v2/consents/{written}", encoded=True)
            async with aiohttp.ClientSession() as client, client.delete(path, headers=HEADERS) as answer:
                assert answer.status == 200
        await until(lambda: len(shop.removals) == 3)
        assert {removal.user_id for removal in shop.removals} == {"+/ab=="}


async def test_refusals(framework: str, shop: Shop) -> None:
    """Strangers, malformed and large bodies get their status over the wire, and no handler is called."""
    async with serve(framework, session, receiver_of(shop)) as url:
        assert (await ask(url, "POST", PATH, data=as_body(REGULAR)))[0] == 401
        assert (await ask(url, "POST", PATH, data=b"{}", headers=HEADERS))[0] == 400
        assert (await ask(url, "POST", PATH, data=b"x" * 300_000, headers=HEADERS))[0] == 413
        assert (await ask(url, "POST", "/vipps/v2/payments/a/b", data=b"{}", headers=HEADERS))[0] == 404
        assert (await ask(url, "POST", "/vipps/other", data=b"{}", headers=HEADERS))[0] == 404
        two = [("Authorization", TOKEN), ("Authorization", TOKEN)]
        assert (await ask(url, "POST", PATH, data=as_body(REGULAR), headers=two))[0] == 401
    assert not shop.payments


@functools.cache
def _bomb() -> bytes:
    """Two hundred mebibytes of zeros, compressed: that takes a second, and once is enough."""
    return gzip.compress(bytes(200 * 2**20), mtime=0)


@pytest.mark.parametrize(("token", "status"), [("a guess", 401), (TOKEN, 415)])
async def test_a_compressed_body(framework: str, shop: Shop, token: str, status: int) -> None:
    """A body that would grow a thousandfold is answered before it does, whoever sends it, and costs next to nothing."""
    bomb = _bomb()
    head = f"POST {PATH} HTTP/1.1\r\nHost: shop\r\nAuthorization: {token}\r\nContent-Encoding: gzip\r\n"
    async with serve(framework, session, receiver_of(shop)) as url:
        reader, writer = await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)
        used = time.thread_time()
        writer.write(f"{head}Content-Length: {len(bomb)}\r\n\r\n".encode() + bomb)
        async with asyncio.timeout(5):
            assert f" {status} ".encode() in await reader.readline()
            assert (await ask(url, "POST", PATH, data=as_body(REGULAR), headers=HEADERS))[0] == 200
        assert time.thread_time() - used < 0.3
        writer.transport.abort()
    assert len(shop.payments) == 1


async def test_a_slow_sender(framework: str, shop: Shop) -> None:
    """Who does not send the rest of a body is answered 408."""
    async with serve(framework, session, receiver_of(shop, body_timeout=0.05)) as url:
        reader, writer = await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)
        writer.write(
            f"POST {PATH} HTTP/1.1\r\nHost: shop\r\nAuthorization: {TOKEN}\r\nContent-Length: 10\r\n\r\n{{".encode()
        )
        async with asyncio.timeout(5):
            assert b" 408 " in await reader.readline()
        writer.close()
        await writer.wait_closed()


async def test_a_sender_that_goes_away(framework: str, shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """Who breaks off in the middle of a body leaves no error behind, and the next one is served."""
    async with serve(framework, session, receiver_of(shop)) as url:
        _, writer = await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)
        writer.write(
            f"POST {PATH} HTTP/1.1\r\nHost: shop\r\nAuthorization: {TOKEN}\r\nContent-Length: 10\r\n\r\n{{".encode()
        )
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.transport.abort()
        assert (await ask(url, "POST", PATH, data=as_body(REGULAR), headers=HEADERS))[0] == 200
        await until(lambda: shop.payments)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_the_session_of_the_application(framework: str, shop: Shop) -> None:
    """One session lives as long as the application, views get it, and it is closed at the end."""
    opened: list[VippsSession] = []

    def open_session() -> VippsSession:
        opened.append(session())
        return opened[-1]

    async with serve(framework, open_session, receiver_of(shop)) as url:
        assert (await ask(url, "GET", "/order"))[:2] == (200, b"123456")
        if framework == "aiohttp":
            assert (await ask(url, "GET", "/part/order"))[:2] == (200, b"123456")
    assert len(opened) == 1
    with pytest.raises(ConfigurationError, match="closed"):
        await opened[0].ecom.details("acme-1")


async def test_a_session_without_callbacks(framework: str) -> None:
    """An application may have a session and take no callbacks in."""
    if framework == "aiohttp":
        app = web.Application()
        context = aiohttp_context(session)(app)
        await anext(context)
        request = make_mocked_request("GET", "/", app=app)
        assert isinstance(aiohttp_session(request), VippsSession)
        with pytest.raises(StopAsyncIteration):
            await anext(context)
    else:
        async with starlette_lifespan(session)(Starlette()) as state:
            assert isinstance(starlette_session(Request({"type": "http", "state": state})), VippsSession)


async def test_an_application_without_a_session(framework: str) -> None:
    """A view that asks for a session that nobody opened is told what is missing."""
    get: Any = aiohttp_session if framework == "aiohttp" else starlette_session
    request: Any = make_mocked_request("GET", "/", app=web.Application())
    with pytest.raises(ConfigurationError, match="no Vipps session"):
        get(request if framework == "aiohttp" else Request({"type": "http"}))


async def test_how_paths_are_given(framework: str, shop: Shop) -> None:
    """A prefix that could not be one is refused; a server that gives decoded paths only is understood."""
    if framework == "aiohttp":
        for prefix in ("", "/", "vipps", "/vipps/", "/{vipps}"):
            with pytest.raises(InvalidInputError, match="prefix"):
                aiohttp_routes(receiver_of(shop), prefix=prefix)
        return
    taking_in = receiver_of(shop)
    app = starlette_app(taking_in)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "DELETE",
        "path": "/v2/consents/+/ab==",
        "headers": [(b"authorization", TOKEN.encode())],
    }
    async with session() as vipps, taking_in.serving(vipps):
        await app({"type": "websocket"}, receive, send)
        assert sent == []
        await app(scope, receive, send)
        await until(lambda: shop.removals)
    assert sent[0]["status"] == 200
    assert shop.removals[0].user_id == "+/ab=="
