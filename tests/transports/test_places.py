"""Waiting for a connection of a transport's own pool is not connecting: it lasts until the call's deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from vipps_async import AiohttpTransport, HttpxTransport, Request, Response
from vipps_async.config import Timeouts
from vipps_async.errors import ConfigurationError, RequestNotSent
from vipps_async.testing.transport_conformance.raw_server import Connection, raw_server
from vipps_async.transports.places import Places

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
TIMEOUTS = Timeouts(connect=0.2, read=5, total=5)


@pytest.fixture(params=[AiohttpTransport, HttpxTransport])
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[AiohttpTransport | HttpxTransport]:
    """Return a transport with one connection."""
    made: Callable[..., AiohttpTransport | HttpxTransport] = request.param
    transport = made(limit=1)
    yield transport
    await transport.aclose()


def _post(url: str, *, deadline: float | None, timeouts: Timeouts = TIMEOUTS) -> Request:
    return Request(method="POST", url=url, headers={}, body=b"{}", timeouts=timeouts, deadline=deadline)


async def _answer_slowly(connection: Connection) -> None:
    while True:
        await connection.read_request()
        await asyncio.sleep(0.1)
        await connection.send(OK)


async def _say_nothing(connection: Connection) -> None:
    await connection.take_in()


async def test_waiting_lasts_longer_than_connecting_may(transport: AiohttpTransport | HttpxTransport) -> None:
    """Eight requests over one connection that answers ten a second are all answered, in the order they came."""
    answered: list[int] = []

    async def send(number: int) -> Response:
        response = await transport.send(_post(server.url, deadline=5))
        answered.append(number)
        return response

    async with raw_server(_answer_slowly) as server:
        responses = await asyncio.gather(*(send(number) for number in range(8)))
    assert [response.status for response in responses] == [200] * 8
    assert answered == list(range(8))


async def test_waiting_ends_with_the_deadline(transport: AiohttpTransport | HttpxTransport) -> None:
    """A request that gets no place in time was certainly not sent, and says what it waited for."""
    async with raw_server(_say_nothing) as server:
        first = asyncio.create_task(transport.send(_post(server.url, deadline=5)))
        await asyncio.sleep(0)
        with pytest.raises(RequestNotSent, match=r"no connection to 127.* within 0.3 s: all 1 of the pool are in use"):
            await transport.send(_post(server.url, deadline=0.3))
        first.cancel()
        await asyncio.wait({first})


async def test_what_was_waited_is_missing_at_the_end(transport: AiohttpTransport | HttpxTransport) -> None:
    """A request whose turn comes late must have ended by the deadline all the same."""
    loop = asyncio.get_running_loop()
    async with raw_server(_say_nothing) as server:
        first = asyncio.create_task(transport.send(_post(server.url, deadline=5)))
        loop.call_later(0.3, first.cancel)
        await asyncio.sleep(0)
        began = loop.time()
        with pytest.raises(Exception, match="no whole answer"):
            await transport.send(_post(server.url, deadline=0.6))
        assert 0.5 < loop.time() - began < 1.5


async def test_without_a_deadline_waiting_is_connecting(transport: AiohttpTransport | HttpxTransport) -> None:
    """A request that names no deadline waits as long as connecting may take."""
    async with raw_server(_say_nothing) as server:
        first = asyncio.create_task(transport.send(_post(server.url, deadline=None)))
        await asyncio.sleep(0)
        with pytest.raises(RequestNotSent, match=r"within 0.2 s"):
            await transport.send(_post(server.url, deadline=None))
        first.cancel()
        await asyncio.wait({first})


async def test_closing_while_requests_wait(transport: AiohttpTransport | HttpxTransport) -> None:
    """Who waits for a place of a transport that is closed meanwhile is told so, and sends nothing."""
    async with raw_server(_say_nothing) as server:
        first = asyncio.create_task(transport.send(_post(server.url, deadline=5)))
        second = asyncio.create_task(transport.send(_post(server.url, deadline=5)))
        await asyncio.sleep(0.05)
        await transport.aclose()
        first.cancel()
        with pytest.raises(ConfigurationError, match="closed"):
            await second
        assert len(server.requests) <= 1


async def test_a_place_that_comes_with_a_cancellation_is_handed_on() -> None:
    """A place is never lost: not by who is cancelled while waiting, nor in the moment in which it is given one."""
    places = Places(1)
    request = _post("http://127.0.0.1:1", deadline=5)
    for turns in range(4):
        assert places.take()
        one = asyncio.create_task(places.wait(request, "peer"))
        two = asyncio.create_task(places.wait(request, "peer"))
        await asyncio.sleep(0)
        if turns == 0:
            one.cancel()
        places.give_back()
        for _ in range(turns):
            await asyncio.sleep(0)
        one.cancel()
        if (await asyncio.gather(one, return_exceptions=True))[0] is not None and not one.cancelled():
            places.give_back()
        async with asyncio.timeout(2):
            await two
        places.give_back()
