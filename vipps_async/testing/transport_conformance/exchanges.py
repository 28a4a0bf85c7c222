"""What a transport must do with requests and answers when nothing fails."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest

from vipps_async.errors import InvalidInputError
from vipps_async.testing.transport_conformance.make_transport import MakeTransport
from vipps_async.testing.transport_conformance.raw_server import OK, Connection, Script, raw_server
from vipps_async.testing.transport_conformance.scenarios import framed
from vipps_async.transports.protocol import MAX_RESPONSE_BYTES, Request

#: What HTTP itself may need; no other header may be added.
_OF_HTTP = {"host", "content-length", "connection"}


def post(url: str, body: bytes | None = b"{}", **headers: str) -> Request:
    """Make a small request."""
    return Request(method="POST", url=url, headers=headers, body=body)


async def answer_all(connection: Connection) -> None:
    """Answer every request that comes over a connection."""
    while True:
        await connection.answer()


def _answering(data: bytes) -> Script:
    async def script(connection: Connection) -> None:
        await connection.answer(data)
        await connection.close()

    return script


class Exchanges:
    """Requests as they were given, answers as they came."""

    #: Whether a connection is used for further requests. False: each request gets one of its own.
    connections_are_kept = True

    @pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE"])
    async def test_sends_what_was_given_and_nothing_else(self, make_transport: MakeTransport, method: str) -> None:
        """Method, headers and body arrive as they are, and only Host and Content-Length are added."""
        body = b'{"a":1}' if method in {"POST", "PUT"} else None
        given = {"Authorization": "Bearer ours", "X-Request-Id": "k-1", "content-type": "application/json"}
        async with raw_server(answer_all) as server:
            await make_transport().send(Request(method=method, url=f"{server.url}/p", headers=given, body=body))
        (request,) = server.requests
        received = {name.lower(): value for name, value in request.headers}
        expected = {name.lower(): value for name, value in given.items()}
        assert {name: received.get(name) for name in expected} == expected
        assert len(received) == len(request.headers), "a header was sent twice"
        added = set(received) - set(expected) - _OF_HTTP
        assert not added, f"headers were added: {added}"
        assert (request.line, request.body) == (f"{method} /p HTTP/1.1", body or b"")

    @pytest.mark.parametrize(
        "target", ["/a%2Fb/%7Ec/%41;x=1?q=%20+%2B&r=%C3%A6", "/", "/~a/(b)!", "/a//b/../c/./d?x?y"]
    )
    async def test_the_url_reaches_the_wire_unchanged(self, make_transport: MakeTransport, target: str) -> None:
        """Path and query are sent byte for byte, neither decoded nor encoded nor tidied up."""
        async with raw_server(answer_all) as server:
            await make_transport().send(post(server.url + target))
        assert server.requests[0].line == f"POST {target} HTTP/1.1"

    @pytest.mark.parametrize("url", ["/relative", "ftp://host/x", "http://", "http://host:99999/x", ""])
    async def test_a_url_that_cannot_be_used_is_refused(self, make_transport: MakeTransport, url: str) -> None:
        """A URL that is no absolute http or https URL is an error of the caller's."""
        with pytest.raises(InvalidInputError):
            await make_transport().send(post(url))

    async def test_the_answer_comes_whole(self, make_transport: MakeTransport) -> None:
        """Status, headers with names in lower case (the last one wins), and the exact body."""
        answer = b"HTTP/1.1 402 Odd\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 4\r\n\r\n\x00\xff{}"
        async with raw_server(_answering(answer)) as server:
            response = await make_transport().send(post(server.url))
        assert (response.status, response.body) == (402, b"\x00\xff{}")
        assert dict(response.headers) == {"x-a": "2", "content-length": "4"}

    @pytest.mark.parametrize("status", [200, 204, 301, 302, 303, 304, 307, 308, 404, 500, 599])
    @pytest.mark.parametrize("method", ["POST", "GET"])
    async def test_any_status_is_an_answer(self, make_transport: MakeTransport, status: int, method: str) -> None:
        """No status raises, and no redirect is followed, though the server would answer there."""
        first = f"HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".encode()

        async def script(connection: Connection) -> None:
            await connection.answer(OK if connection.server.requests else first)
            await connection.answer(OK)

        async with raw_server(script) as server:
            request = Request(method=method, url=server.url, headers={})
            assert (await make_transport().send(request)).status == status
        assert len(server.requests) == 1, "the redirect was followed, or the request was sent again"

    @pytest.mark.parametrize(
        ("answer", "body"),
        [
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", b"{}"),
            (b"HTTP/1.1 200 OK\r\n\r\n{}", b"{}"),
            (b"HTTP/1.0 200 OK\r\n\r\n{}", b"{}"),
            (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"{}"),
            (framed(gzip.compress(b"{}"), "Content-Encoding: gzip"), b"{}"),
            (framed(zlib.compress(b"{}"), "Content-Encoding: deflate"), b"{}"),
            (framed(b"x" * MAX_RESPONSE_BYTES), b"x" * MAX_RESPONSE_BYTES),
            (framed(gzip.compress(b"x" * MAX_RESPONSE_BYTES), "Content-Encoding: gzip"), b"x" * MAX_RESPONSE_BYTES),
        ],
        ids=[
            "chunked",
            "until close",
            "HTTP/1.0",
            "after an interim answer",
            "gzip",
            "deflate",
            "1 MiB",
            "1 MiB, gzip",
        ],
    )
    async def test_bodies_are_read_however_they_are_framed(
        self, make_transport: MakeTransport, answer: bytes, body: bytes
    ) -> None:
        """Chunked, until the end of the connection, compressed, and as large as may be."""
        async with raw_server(_answering(answer)) as server:
            assert (await make_transport().send(post(server.url))).body == body

    async def test_no_cookie_is_kept(self, make_transport: MakeTransport) -> None:
        """A cookie that the server sets does not come back."""
        answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nContent-Length: 0\r\n\r\n"

        async def script(connection: Connection) -> None:
            await connection.answer(answer)
            await connection.answer(answer)

        async with raw_server(script) as server:
            transport = make_transport()
            for _ in range(2):
                await transport.send(post(server.url.replace("127.0.0.1", "localhost")))
        names = {name.lower() for request in server.requests for name, _ in request.headers}
        assert len(server.requests) == 2
        assert "cookie" not in names

    async def test_no_more_connections_than_the_limit(self, make_transport: MakeTransport) -> None:
        """The limit bounds the requests that are under way at once; connections that are kept are used again."""
        under_way: set[int] = set()
        most = 0

        async def script(connection: Connection) -> None:
            nonlocal most
            while True:
                await connection.read_request()
                under_way.add(connection.number)
                most = max(most, len(under_way))
                # As long as others would need to come, too.
                for _ in range(50):
                    await asyncio.sleep(0)
                under_way.remove(connection.number)
                await connection.send(OK)

        async with raw_server(script) as server:
            transport = make_transport(limit=2)
            await asyncio.gather(*(transport.send(post(server.url)) for _ in range(10)))
        assert len(server.requests) == 10
        assert most == 2, f"{most} requests were under way at once"
        allowed = 2 if self.connections_are_kept else 10
        assert len(server.connections) <= allowed, f"{len(server.connections)} connections were opened"
