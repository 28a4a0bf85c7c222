"""What must hold over several requests: early answers, cancellation, closing."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest

from vipps_async.config import Timeouts
from vipps_async.errors import ConfigurationError, RequestNotSent, TransportError
from vipps_async.testing.transport_conformance.certificates import client_context, server_context
from vipps_async.testing.transport_conformance.exchanges import answer_all, post
from vipps_async.testing.transport_conformance.make_transport import MakeTransport
from vipps_async.testing.transport_conformance.raw_server import OK, Connection, raw_server
from vipps_async.testing.transport_conformance.scenarios import LONG, SHORT
from vipps_async.transports.protocol import Request, Response, Transport

_PARTING = b"HTTP/1.1 408 Time-out\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly"
_SUCCESS = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly"
#: Seconds in which a transport that reads in another thread reads what waits; in the event loop it needs none.
_HEARD = 0.05


class Lifetimes:
    """A transport that is used more than once."""

    @pytest.mark.parametrize("early", [_PARTING, _SUCCESS], ids=["408", "200"])
    @pytest.mark.parametrize("when", ["with the answer before", "later"])
    @pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
    @pytest.mark.parametrize("method", ["POST", "GET"])
    async def test_what_came_before_the_request_is_not_its_answer(
        self, make_transport: MakeTransport, early: bytes, when: str, method: str, *, tls: bool
    ) -> None:
        """Bytes that wait on an idle connection are never taken for the answer of the next request."""
        await _early(make_transport, early, when, method, tls=tls)

    @pytest.mark.parametrize("early", [_PARTING, _SUCCESS], ids=["408", "200"])
    @pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
    async def test_what_came_a_moment_before_the_request_is_not_its_answer(
        self, make_transport: MakeTransport, early: bytes, *, tls: bool
    ) -> None:
        """The same if the event loop has had no time yet to read those bytes."""
        await _early(make_transport, early, "just now", "POST", tls=tls)

    @pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
    @pytest.mark.parametrize("moment", ["before the first step", "in flight", "in the body"])
    async def test_cancelling_leaves_the_transport_usable(
        self, make_transport: MakeTransport, moment: str, method: str
    ) -> None:
        """CancelledError comes through, the connection is given up, and the next request works."""
        reached = asyncio.Event()

        async def script(connection: Connection) -> None:
            await connection.read_request()
            if connection.number == 0 and moment != "before the first step":
                if moment == "in the body":
                    await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
                reached.set()
                await connection.take_in()
                return
            await connection.send(OK)
            await connection.stall()

        async with raw_server(script) as server:
            transport = make_transport(limit=1)
            request = Request(method=method, url=server.url, headers={}, body=b"{}")
            sending = asyncio.create_task(transport.send(request))
            async with asyncio.timeout(LONG):
                if moment != "before the first step":
                    await reached.wait()
                sending.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await sending
                assert len(server.requests) == (0 if moment == "before the first step" else 1)
                assert (await transport.send(request)).status == 200

    async def test_cancelling_at_every_step_leaks_nothing(self, make_transport: MakeTransport) -> None:
        """Cancelled after any number of turns of the loop, a request leaves no connection taken."""
        async with raw_server(answer_all) as server:
            transport = make_transport(limit=1)
            for turns in range(80):
                sending = asyncio.create_task(transport.send(post(server.url)))
                for _ in range(turns):
                    await asyncio.sleep(0)
                sending.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await sending
                async with asyncio.timeout(LONG):
                    assert (await transport.send(post(server.url))).status == 200

    async def test_cancelling_while_others_wait_for_the_connection(self, make_transport: MakeTransport) -> None:
        """Who waits behind a cancelled request is answered, or told in time that nothing was sent."""
        async with raw_server(answer_all) as server:
            transport = make_transport(limit=1)
            request = Request(method="POST", url=server.url, headers={}, timeouts=Timeouts(connect=SHORT))
            for turns in range(60):
                requests = [asyncio.create_task(_response(transport, request)) for _ in range(3)]
                for _ in range(turns):
                    await asyncio.sleep(0)
                requests[0].cancel()
                requests[1].cancel()
                *_, last = await asyncio.gather(*requests, return_exceptions=True)
                assert isinstance(last, Response | RequestNotSent)
                # However long a loaded machine takes for it: the connection is free again.
                assert (await transport.send(post(server.url))).status == 200

    async def test_closing_closes_and_ends_it(self, make_transport: MakeTransport) -> None:
        """Closing twice does no harm; afterwards nothing is sent any more."""
        async with raw_server(answer_all) as server:
            transport = make_transport()
            await transport.send(post(server.url))
            await transport.aclose()
            await transport.aclose()
            with pytest.raises(ConfigurationError):
                await transport.send(post(server.url))
        assert len(server.requests) == 1


async def _response(transport: Transport, request: Request) -> Response | TransportError:
    try:
        async with asyncio.timeout(LONG):
            return await transport.send(request)
    except TransportError as error:
        return error


async def _early(make_transport: MakeTransport, early: bytes, when: str, method: str, *, tls: bool) -> None:
    async def script(connection: Connection) -> None:
        if connection.number == 0 and when == "with the answer before":
            await connection.answer(OK + early)
        else:
            await connection.answer()
        await answer_all(connection)

    context: ssl.SSLContext | None = server_context("127.0.0.1") if tls else None
    async with raw_server(script, tls=context) as server:
        url = f"https://127.0.0.1:{server.port}" if tls else server.url
        transport = make_transport(ssl_context=client_context()) if tls else make_transport()
        assert (await transport.send(post(url))).body == b"{}"
        if when != "with the answer before":
            server.connections[0].send_now(early)
        if when != "just now":
            await asyncio.sleep(_HEARD)
        outcome = await _response(transport, Request(method=method, url=url, headers={}))
        taken = isinstance(outcome, Response) and outcome.body == b"early"
        assert not taken, "an answer that came before the request was taken for its own"
        if isinstance(outcome, RequestNotSent):
            assert len(server.requests) == 1, "reported as not sent, but the server has read it"
        assert (await transport.send(post(url))).body == b"{}", "the next request must work"
