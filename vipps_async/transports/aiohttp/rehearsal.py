"""Tests a way of sending over an in-memory connection, with the installed aiohttp.

Code that uses private names of aiohttp may fail with any of its releases. This checks, before the first request, that a
request is written once and completely, and never on a connection with pending data.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import FunctionType

import aiohttp
from aiohttp.client_proto import ResponseHandler

from vipps_async.errors import RequestNotSent
from vipps_async.transports.http1 import Target, parse_target, serialize_request
from vipps_async.transports.protocol import Request, Response

Send = Callable[[aiohttp.ClientSession, Request, Target], Awaitable[Response]]

_REQUEST = Request(method="PUT", url="http://rehearsal.invalid/x", headers={"X-A": "1"}, body=b"{}")
_TARGET = parse_target(_REQUEST.url)
_ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n[]"


class _Wire(asyncio.Transport):
    """Collects what is written, and answers as soon as it is a whole request."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.written = b""
        self._protocol = protocol
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)
        if self.written.endswith(b"\r\n\r\n" + (_REQUEST.body or b"")):
            asyncio.get_running_loop().call_soon(self._protocol.data_received, _ANSWER)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0


class _Connector(aiohttp.BaseConnector):
    def __init__(self) -> None:
        super().__init__()
        self.wires: list[_Wire] = []

    async def _create_connection(self, *_: object, **__: object) -> ResponseHandler:
        protocol = ResponseHandler(asyncio.get_running_loop())
        self.wires.append(_Wire(protocol))
        protocol.connection_made(self.wires[-1])
        return protocol


def are_sessions_aiohttps() -> bool:
    """Return whether a session sends by aiohttp's own code.

    A test or a tracer may have replaced it, and must see every request.
    """
    way = aiohttp.ClientSession._request  # noqa: SLF001 - where everybody puts it
    return isinstance(way, FunctionType) and way.__code__.co_filename == aiohttp.client.__file__


async def rehearse(send: Send) -> bool:
    """Return whether a way of sending works with this aiohttp.

    Args:
        send: the function that sends; any exception means no.
    """
    connector = _Connector()
    try:
        async with asyncio.timeout(5), aiohttp.ClientSession(connector=connector) as session:
            # What observes every session of a program need not see this one.
            session.trace_configs.clear()
            for _ in range(2):
                answer = await send(session, _REQUEST, _TARGET)
                if (answer.status, answer.body) != (202, b"[]"):
                    return False
            (wire,) = connector.wires  # used again
            once = serialize_request(_REQUEST, _TARGET)
            wire._protocol.data_received(_ANSWER)  # noqa: SLF001 - what nobody has asked for
            with contextlib.suppress(RequestNotSent):
                await send(session, _REQUEST, _TARGET)
            return sorted(wire.written.split(b"\r\n")) == sorted((once * 2).split(b"\r\n"))
    except Exception:  # noqa: BLE001 - what another version raises, nobody knows
        return False
