"""Sends a request by aiohttp's public API: for adopted sessions, proxies, and unknown versions."""

from __future__ import annotations

import ssl
from http.cookies import SimpleCookie

import aiohttp
from aiohttp import hdrs
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_writer import StreamWriter
from yarl import URL

from vipps_async.errors import ConfigurationError
from vipps_async.transports.aiohttp.connection import BOUNDS, check_writable, read_answer
from vipps_async.transports.aiohttp.failures import NEVER_CONNECTED, TRANSPORT_EXCEPTIONS, NotResent, map_exception
from vipps_async.transports.failures import FailureContext, UnsolicitedData, host_and_port
from vipps_async.transports.http1 import WITHOUT_LENGTH, Target, check_request
from vipps_async.transports.protocol import Request, Response

#: Headers that aiohttp adds by itself unless told not to; a request is sent with its own headers only.
_AUTO_HEADERS = frozenset({hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE, hdrs.USER_AGENT})


async def exchange(
    session: aiohttp.ClientSession,
    request: Request,
    target: Target,
    *,
    timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's, for each of its steps
    verify: ssl.SSLContext | bool,
    proxy: URL | None = None,
    witnessed: bool = True,
) -> Response:
    """Send a request over a session, and read the answer.

    Args:
        session: any session. One that is not witnessed must never use a connection twice.
        request: what to send.
        target: where to.
        timeout: the time limits.
        verify: the TLS settings.
        proxy: the proxy to go by.
        witnessed: whether this version of aiohttp is known to ask a body to write itself. If it is not, only the class
            of an exception proves that nothing was sent, which it does for a few.

    Raises:
        vipps_async.errors.TransportError: as `Transport.send` says.
        vipps_async.errors.InvalidInputError: the request cannot be written.
    """
    check_request(request)
    body = WitnessedBody(request)
    answer: aiohttp.ClientResponse | None = None
    try:
        answer = await session.request(
            request.method,
            target.url,
            data=body if witnessed else request.body,
            skip_auto_headers=_AUTO_HEADERS,
            allow_redirects=False,
            raise_for_status=False,
            # Decompressed by us, as aiohttp before 3.13 lets a small body grow without bounds.
            auto_decompress=False,
            timeout=timeout,
            ssl=verify,
            proxy=proxy,
            middlewares=(body.guard,),
            **BOUNDS,
        )
        if body.framed and not body.sent:
            raise UnsolicitedData
        return await read_answer(answer, lost=body.lost)
    except TRANSPORT_EXCEPTIONS as error:
        cause = error.error if isinstance(error, NotResent) else error
        sent = body.sent if witnessed else not isinstance(cause, NEVER_CONNECTED)
        at = FailureContext(
            peer=host_and_port(target.server.host, target.server.port),
            proxy=None if proxy is None else host_and_port(proxy.host, proxy.port),
            timeouts=request.timeouts,
            sent=sent,
            status=answer.status if answer is not None and sent and 200 <= answer.status <= 599 else None,
        )
        raise map_exception(cause, at) from cause
    finally:
        # From here on the witness's word is final: nothing may be written any more.
        body.over = True
        if answer is not None and not answer.closed:
            answer.close()


class WitnessedBody(aiohttp.BytesPayload):
    """The body of one request, and the witness of whether it was written.

    aiohttp buffers the headers and writes them together with the first bytes of the body, inside
    `write_with_length`: before that call nothing is on the wire, and after it something may be. So the body knows.
    Requests without a body get an empty one, to have the witness too. It is also a latch: it lets itself be written
    once, on a connection that is open and silent, and never after the request was given up.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(request.body or b"")
        self._request = request
        #: Whether a byte of the request may have been handed to the connection.
        self.sent: bool = False
        #: Whether the request was answered or given up.
        self.over = False
        #: Whether aiohttp has looked at this body; a stand-in for a session, in a test, does not.
        self.framed: bool = False
        self._protocol: ResponseHandler | None = None

    @property
    def size(self) -> int | None:
        """The number of bytes, from which aiohttp makes `Content-Length`."""
        self.framed = True
        return super().size

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body behind the headers, if the latch is open."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write the body behind the headers, if the latch is open."""
        if self.sent or self.over:
            raise aiohttp.ClientConnectionError
        protocol = writer.protocol if isinstance(writer, StreamWriter) else None
        if isinstance(protocol, ResponseHandler):
            check_writable(protocol)
            self._protocol = protocol
        self.sent = True
        await super().write_with_length(writer, content_length)

    def lost(self) -> BaseException | None:
        """What broke the connection it was written to, if something did."""
        return None if self._protocol is None else self._protocol.exception()

    async def guard(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Keep aiohttp, and whatever the session was built with, from adding anything to the exchange."""
        headers = request.headers
        if hdrs.EXPECT in headers:
            # aiohttp would send the headers ahead of the body, past the witness.
            raise ConfigurationError("the aiohttp.ClientSession adds Expect", advice="take it out of its headers")
        kept = {name: headers[name] for name in (hdrs.HOST, hdrs.CONTENT_LENGTH) if name in headers}
        headers.clear()
        headers.update(kept)
        headers.update(self._request.headers)
        if self._request.body is None and request.method in WITHOUT_LENGTH:
            headers.pop(hdrs.CONTENT_LENGTH, None)
        try:
            response = await handler(request)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise NotResent(error) from error
        # The session would put them into its cookie jar.
        response.cookies = SimpleCookie()
        return response
