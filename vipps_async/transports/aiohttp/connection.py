"""A pooled connection of aiohttp: checks that it may be written to, and reads a response within limits."""

from __future__ import annotations

import asyncio
import select
import socket
import weakref
from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypedDict

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler

from vipps_async.transports.aiohttp.failures import NotResent
from vipps_async.transports.failures import UnsolicitedData, UnusableResponse
from vipps_async.transports.http1 import decode_content
from vipps_async.transports.protocol import MAX_RESPONSE_BYTES, Response

#: How to ask whether something waits at it, for each connection that was written to before.
_pollers: weakref.WeakKeyDictionary[asyncio.BaseProtocol, Callable[[], bool]] = weakref.WeakKeyDictionary()


def check_writable(protocol: ResponseHandler) -> asyncio.Transport:
    """Return the connection's transport, if it is open and nothing has come over it.

    Bytes that wait here answer no request of ours, such as a 408 with which a server closes an idle connection. Taken
    for the response, they could look like a capture's success. From now on the connection counts as used.

    Raises:
        NotResent: the connection has closed.
        UnsolicitedData: something has come over it already.
    """
    wire = protocol.transport
    if wire is None or wire.is_closing():
        raise NotResent(aiohttp.ServerDisconnectedError())
    if protocol.should_close or _has_pending_data(protocol, wire):
        raise UnsolicitedData
    return wire


def _has_pending_data(protocol: ResponseHandler, wire: asyncio.Transport) -> bool:
    # What lies in the kernel until the event loop's next turn: a FIN, or a 408 before it.
    poller = _pollers.get(protocol)
    if poller is not None:
        return poller()
    poller = _pollers[protocol] = _poller(wire.get_extra_info("socket"))
    # A server sends its TLS tickets unasked (RFC 8446 4.6.1), as soon as the connection stands.
    return wire.get_extra_info("ssl_object") is None and poller()


def _poller(connection: socket.socket | None) -> Callable[[], bool]:
    if connection is None:
        return lambda: False
    descriptor = connection.fileno()
    if descriptor < 0:
        return lambda: True  # closed: nothing can be written to it either
    if not hasattr(select, "poll"):  # Windows
        return lambda: bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return lambda: bool(poll.poll(0))


class _Bounds(TypedDict):
    read_bufsize: int
    max_line_size: int
    max_field_size: int


#: aiohttp's defaults, in bytes; an adopted session could have a buffer that outgrows MAX_RESPONSE_BYTES, or the like.
BOUNDS: Final[_Bounds] = {"read_bufsize": 64 * 1024, "max_line_size": 8190, "max_field_size": 8190}


class _Answer(Protocol):
    """An answer whose head has come."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]: ...
    @property
    def content(self) -> aiohttp.StreamReader: ...


async def read_answer(
    answer: aiohttp.ClientResponse | _Answer,
    *,
    lost: Callable[[], BaseException | None] | None = None,
    progress: Callable[[], None] | None = None,
) -> Response:
    """Read an answer to its end.

    Args:
        answer: its head.
        lost: tells what broke the connection it comes over, if something did.
        progress: called whenever there is more to wait for.

    Raises:
        UnusableResponse: it is too large, or cannot be decompressed, or its status is none.
        aiohttp.ClientError: it broke off.
    """
    if not 200 <= answer.status <= 599:
        # 101 would leave HTTP, and the others do not exist (RFC 9110 15).
        raise UnusableResponse(f"{answer.status} is no status of an answer")
    body = await _body(answer.content, progress)
    framed = hdrs.CONTENT_LENGTH in answer.headers or hdrs.TRANSFER_ENCODING in answer.headers
    # A body without a length ends where the connection does, and aiohttp takes a reset for that end as well.
    if not framed and lost is not None and isinstance(error := lost(), aiohttp.ClientOSError):
        raise error
    # latin-1 reads every byte; headers that matter are ASCII (RFC 9110 5.5).
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.raw_headers}
    if "content-encoding" in headers:
        body = decode_content(body, headers["content-encoding"], limit=MAX_RESPONSE_BYTES)
    return Response(status=answer.status, headers=headers, body=body)


async def _body(content: aiohttp.StreamReader, progress: Callable[[], None] | None) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        if progress is not None and not content.is_eof():
            progress()
        part = await content.readany()
        if not part:
            break
        size += len(part)
        if size > MAX_RESPONSE_BYTES:
            raise UnusableResponse(f"it is larger than {MAX_RESPONSE_BYTES} bytes")
        parts.append(part)
        if content.at_eof():
            break
    return parts[0] if len(parts) == 1 else b"".join(parts)
