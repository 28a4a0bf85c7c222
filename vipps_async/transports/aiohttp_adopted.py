"""A request over a session that somebody else made, or through a proxy: written by aiohttp itself, under a witness."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from http.cookies import SimpleCookie

import aiohttp
from aiohttp import hdrs
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_writer import StreamWriter
from multidict import CIMultiDict
from yarl import URL

from vipps_async.errors import ConfigurationError
from vipps_async.transports.aiohttp_answer import BOUNDS, read_answer
from vipps_async.transports.aiohttp_failures import FAILURES, Circumstances, NotResent, translated
from vipps_async.transports.aiohttp_location import Location
from vipps_async.transports.early_answer import AnsweredTooEarly
from vipps_async.transports.protocol import Request, Response
from vipps_async.transports.request_rules import WITHOUT_LENGTH
from vipps_async.transports.unread_bytes import UnreadBytes
from vipps_async.transports.written_head import refuse_unsendable

__all__ = ["AUTO_HEADERS", "LeanRequest", "WitnessedBody", "exchange"]

#: Headers that aiohttp adds by itself unless told not to; a request is sent with its own headers only.
AUTO_HEADERS = frozenset({hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE, hdrs.USER_AGENT})

_NO_AUTO_HEADERS: CIMultiDict[None] = CIMultiDict((name, None) for name in AUTO_HEADERS)


async def exchange(
    session: aiohttp.ClientSession,
    request: Request,
    location: Location,
    *,
    is_own: bool,
    unread: UnreadBytes,
    proxy: URL | None,
    timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's, for each of its steps
    verify: ssl.SSLContext | bool,
) -> Response:
    """Send a request over a session, and read the answer.

    Args:
        session: an adopted one, or one of our own that was made with `LeanRequest`.
        request: what to send.
        location: its URL, taken apart.
        is_own: whether the session is our own.
        unread: looks at connections before they are written to.
        proxy: the proxy to go by.
        timeout: the time limits.
        verify: the TLS settings.

    Raises:
        vipps_async.errors.TransportError: as `Transport.send` says.
        vipps_async.errors.InvalidInputError: the request cannot be written.
    """
    refuse_unsendable(request)
    body = WitnessedBody(request, unread, replace_headers=not is_own)
    answer: aiohttp.ClientResponse | None = None
    try:
        answer = await session.request(
            request.method,
            location.url,
            data=body,
            # Headers of an adopted session would mix with these; see WitnessedBody.guard.
            headers=request.headers if is_own else None,
            # A session of our own has been told once.
            skip_auto_headers=None if is_own else AUTO_HEADERS,
            allow_redirects=False,
            raise_for_status=False,
            # Decompressed by us, as aiohttp before 3.13 lets a small body grow without bounds.
            auto_decompress=False,
            timeout=timeout,
            ssl=verify,
            proxy=proxy,
            # aiohttp never resends a POST, so a session of our own needs no guard for it.
            middlewares=() if is_own and request.method == "POST" else (body.guard,),
            **BOUNDS,
        )
        if body.framed and not body.sent:
            raise AnsweredTooEarly
        return await read_answer(answer, connection=body.connection)
    except FAILURES as error:
        cause = error.error if isinstance(error, NotResent) else error
        at = Circumstances(
            url=location.url,
            proxy=proxy,
            timeouts=request.timeouts,
            sent=body.sent,
            status=answer.status if answer is not None and body.sent and 200 <= answer.status <= 599 else None,
        )
        raise translated(cause, at) from cause
    finally:
        # From here on the witness's word is final: nothing may be written any more.
        body.over = True
        if answer is not None and not answer.closed:
            answer.close()


class LeanRequest(aiohttp.ClientRequest):
    """Spares each request the copying of its headers by which aiohttp finds out that it has none to add.

    Where a version of aiohttp does not call this method, `skip_auto_headers` of the session does the same work.
    """

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:  # noqa: ARG002 - aiohttp's signature
        """Add nothing."""
        self._skip_auto_headers = _NO_AUTO_HEADERS


class WitnessedBody(aiohttp.BytesPayload):
    """The body of one request, and the witness of whether it was written.

    aiohttp buffers the headers and writes them together with the first bytes of the body, inside
    `write_with_length`: before that call nothing is on the wire, and after it something may be. So the body knows.
    Requests without a body get an empty one, to have the witness too. It is also a latch: it lets itself be written
    once, on a connection that is open and silent, and never after the request was given up.
    """

    def __init__(self, request: Request, unread: UnreadBytes, *, replace_headers: bool) -> None:
        super().__init__(request.body or b"")
        self._request = request
        self._unread = unread
        self.replace_headers = replace_headers
        #: Whether a byte of the request may have been handed to the connection.
        self.sent = False
        #: Whether the request was answered or given up.
        self.over = False
        #: Whether aiohttp has looked at this body; a stand-in for a session, in a test, does not.
        self.framed = False
        #: The connection's protocol, once written.
        self.connection: ResponseHandler | None = None

    @property
    def size(self) -> int | None:
        """The number of bytes, from which aiohttp makes `Content-Length`."""
        self.framed = True
        return self._size

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body behind the headers, if the latch is open."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write the body behind the headers, if the latch is open."""
        if self.sent or self.over:
            raise aiohttp.ClientConnectionError
        if isinstance(writer, StreamWriter):
            protocol = writer.protocol
            if writer.transport is None or writer.transport.is_closing():
                raise aiohttp.ServerDisconnectedError
            if isinstance(protocol, ResponseHandler):
                # Bytes that wait here answer no request of ours: an idle connection that the server gave up with a
                # parting 408, say. Taken for the answer, they could be a capture's success.
                if protocol.should_close or self._unread.wait_at(protocol, writer.transport):
                    raise AnsweredTooEarly
                self.connection = protocol
        self.sent = True
        await super().write_with_length(writer, content_length)

    async def guard(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Keep aiohttp, or the session that was adopted, from adding anything to the exchange."""
        headers = request.headers
        if self.replace_headers:
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
