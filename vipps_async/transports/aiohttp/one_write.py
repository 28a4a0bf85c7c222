"""Sends a request in one write over a connection of aiohttp's pool, and reads the answer.

aiohttp does the pool, name resolution, TLS and parsing; left out is what a payment never needs: a session's merged
headers, a task that writes, three timers, chunks, uploads, cookies. It uses private names of aiohttp, so `rehearsal.py`
tests it before it is used, and `session_request.py` sends without them.
"""

from __future__ import annotations

import asyncio
import ssl

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from vipps_async.errors import OutcomeUnknown
from vipps_async.time_limits import TimeLimit
from vipps_async.transports.aiohttp.connection import BOUNDS, check_writable, read_answer
from vipps_async.transports.aiohttp.failures import TRANSPORT_EXCEPTIONS, NotResent, map_exception
from vipps_async.transports.failures import FailureContext, UnsolicitedData, host_and_port
from vipps_async.transports.http1 import Target, serialize_request
from vipps_async.transports.protocol import Request, Response

#: aiohttp would set three timers for each request; see `vipps_async.time_limits`.
_NO_TIMERS = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)

_NO_HEADERS: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())


class UnknownVersion(Exception):  # noqa: N818 - the name states the fact
    """aiohttp does not work as this file expects; nothing was written, and the request can no longer be."""


async def exchange(
    connector: aiohttp.BaseConnector,
    request: Request,
    target: Target,
    *,
    destination: Destination,
    is_alone: bool = True,
) -> Response:
    """Send a request over a connection of a connector's, and read the answer.

    Args:
        connector: the connector.
        request: what to send.
        target: where to.
        destination: the server of the target.
        is_alone: whether no other request is under way. Those of one turn of the event loop are written one right after
            the other otherwise: a proxy on this machine is woken once for all of them, not once for each.

    Raises:
        vipps_async.errors.TransportError: as `Transport.send` says.
        vipps_async.errors.InvalidInputError: the request cannot be written.
        UnknownVersion: it was not sent, and has to be sent by `session_request`.
    """
    prepared = PreparedRequest(request, target)
    answer: _Answer | None = None
    try:
        # The first end of all, so that the timer is set once.
        with TimeLimit(min(request.timeouts.connect, request.timeouts.total), destination.loop) as limit:
            prepared.begin(limit)
            connection = await connector.connect(destination, [], _NO_TIMERS)
            answer = _Answer(connection)
            protocol = connection.protocol
            assert protocol is not None  # noqa: S101 - a connection just taken from the pool has one
            if not is_alone:
                await asyncio.sleep(0)
            if protocol.transport is not None and protocol.should_close:
                # Something has come. Asked before there is a parser, which would take half a head for the answer's.
                raise UnsolicitedData
            protocol.set_response_params(
                skip_payload=request.method == hdrs.METH_HEAD, read_until_eof=True, auto_decompress=False, **BOUNDS
            )
            prepared.write(protocol)
            await answer.start(protocol, prepared)
            return await read_answer(answer, lost=protocol.exception, progress=prepared.progress)
    except TRANSPORT_EXCEPTIONS as error:
        cause = error.error if isinstance(error, NotResent) else prepared.timed_out() or error
        at = FailureContext(
            peer=host_and_port(target.server.host, target.server.port),
            proxy=None,
            timeouts=request.timeouts,
            sent=prepared.sent,
            status=answer.status if answer is not None and prepared.sent and 200 <= answer.status <= 599 else None,
        )
        raise map_exception(cause, at) from cause
    except (AttributeError, TypeError) as error:
        # What another version of aiohttp would raise.
        if not prepared.sent:
            raise UnknownVersion from error
        peer = host_and_port(target.server.host, target.server.port)
        raise OutcomeUnknown(f"aiohttp failed after the request to {peer} was written") from error
    finally:
        # From here on the witness's word is final: nothing may be written any more.
        prepared.over = True
        if answer is not None:
            answer.close()


class PreparedRequest:
    """A serialized request, how long each step of it may take, and the witness of whether it was written.

    It is also a latch: it lets itself be written once, on a connection that is open and silent, and never after the
    request was given up.
    """

    __slots__ = ("_ends", "_limit", "_timeouts", "data", "over", "sent")

    def __init__(self, request: Request, target: Target) -> None:
        #: Head and body.
        self.data: bytes = serialize_request(request, target)
        #: Whether a byte of the request may have been handed to the connection.
        self.sent: bool = False
        #: Whether the request was answered or given up.
        self.over: bool = False
        self._timeouts = request.timeouts
        self._limit: TimeLimit | None = None
        self._ends = 0.0

    def begin(self, limit: TimeLimit) -> None:
        """Keep to a limit whose end is that of connecting; each later step moves it, to the end of all at most."""
        self._limit = limit
        self._ends = limit.ends + max(0.0, self._timeouts.total - self._timeouts.connect)

    def progress(self) -> None:
        """Restart the read time-out, since bytes have come."""
        limit = self._limit
        if limit is not None:
            limit.move(min(self._ends, limit.now() + self._timeouts.read))

    def timed_out(self) -> Exception | None:
        """Return which time limit ended it; None: none of ours."""
        limit = self._limit
        if limit is None or not limit.expired:
            return None
        if limit.ends >= self._ends:
            return TimeoutError()
        return aiohttp.SocketTimeoutError() if self.sent else aiohttp.ConnectionTimeoutError()

    def write(self, protocol: ResponseHandler) -> None:
        """Write everything, if the latch is open.

        Raises:
            NotResent: the connection has closed; nothing was written.
            aiohttp.ClientConnectionError: it was written, or given up, before; nothing was written now.
            UnsolicitedData: something has come over the connection already; nothing was written.
        """
        if self.sent or self.over:
            raise aiohttp.ClientConnectionError
        wire = check_writable(protocol)
        self.sent = True
        wire.write(self.data)
        self.progress()


class Destination(aiohttp.ClientRequest):
    """The server of requests, as aiohttp's connector wants it; one for all requests to that server.

    Args:
        server: scheme, host and port.
        verify: the TLS settings.
        loop: the running loop.
    """

    def __init__(self, server: URL, *, verify: ssl.SSLContext | bool, loop: asyncio.AbstractEventLoop) -> None:
        # Not aiohttp's own: it does a dozen things that are left out here on purpose.
        self.method = "POST"
        self.url = server
        self.original_url = server
        self.loop = loop
        self.server_hostname = None
        self.proxy: None = None
        self.proxy_auth: None = None
        self.proxy_headers: None = None
        self._ssl = verify
        self._key = super().connection_key

    @property
    def connection_key(self) -> ConnectionKey:
        """The key of the connection pool."""
        return self._key


class _Answer:
    """An answer, as far as anybody looks at it; it gives the connection back as soon as it has come to its end."""

    __slots__ = ("_connection", "content", "headers", "raw_headers", "status")

    def __init__(self, connection: Connection) -> None:
        # Until it is given back.
        self._connection: Connection | None = connection
        self.status = 0
        self.headers = _NO_HEADERS
        self.raw_headers: tuple[tuple[bytes, bytes], ...] = ()
        self.content: aiohttp.StreamReader = aiohttp.EMPTY_PAYLOAD

    async def start(self, protocol: ResponseHandler, prepared: PreparedRequest) -> None:
        """Wait for the status and the headers."""
        try:
            while True:
                message, content = await protocol.read()
                # What begins with 1 goes before the answer, but for 101, which would be one.
                if not 100 <= message.code <= 199 or message.code == 101:
                    break
                prepared.progress()
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise NotResent(error) from error
        self.status, self.headers, self.raw_headers = message.code, message.headers, message.raw_headers
        self.content = content
        content.on_eof(self._ended)

    def _ended(self) -> None:
        connection = self._connection
        if connection is not None:
            self._connection = None
            wire = connection.transport
            if wire is not None and wire.get_write_buffer_size():
                # Answered before the request was whole: its rest would stand in the way of the next one.
                connection.close()
            else:
                connection.release()

    def close(self) -> None:
        """Drop the connection, if it has not been given back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
