"""Sends one request over httpx; its body and httpcore's event trace tell whether it was written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpcore
import httpx
from yarl import URL

from vipps_async.errors import ConfigurationError
from vipps_async.transports.failures import FailureContext, host_and_port
from vipps_async.transports.httpx.failures import NotWritten
from vipps_async.transports.protocol import Request


class ExactUrl(httpx.URL):
    """A URL whose path and query reach the wire as they are; httpx has tidied them up."""

    def __init__(self, address: httpx.URL, target: bytes) -> None:
        super().__init__(address)
        self._target = target

    @property
    def raw_path(self) -> bytes:
        """What stands in the request line."""
        return self._target


class Attempt(httpx.AsyncByteStream):
    """The body of one request, and the witness of whether it was written.

    httpcore tells its trace of each step before it takes it, and a step is not taken if the trace raises. So the
    witness knows, before the first byte of the headers, that they are about to leave, and keeps the latch: they are
    written once, and in time. Steps that it does not know count as if they had written
    something: a new version may change their names. The body is a second witness: it is asked for after the headers.
    """

    #: What httpcore does before it writes a request, or afterwards, and what a proxy or TLS needs.
    _HARMLESS = frozenset(
        {
            "connection.connect_tcp",
            "connection.connect_unix_socket",
            "connection.retry",
            "connection.start_tls",
            "http11.response_closed",
            "proxy.start_tls",
            "socks.connect_tcp",
            "socks.setup_socks5_connection",
            "socks.start_tls",
        }
    )

    def __init__(self, request: Request, url: URL) -> None:
        self.request = request
        self._host, self._port = url.raw_host, url.port
        #: When the time for everything is over, by the event loop's clock.
        self.ends: float = 0.0
        #: The time that is left: first for connecting, then for everything.
        self.deadline: asyncio.Timeout | None = None
        #: Whether a byte of the request may have been handed to the connection.
        self.sent: bool = False
        #: Whether the request was answered or given up.
        self.over = False
        #: The status of the answer, once it came.
        self.status: int | None = None
        self._proxy: str | None = None
        self._written = False
        self._opened: httpcore.AsyncNetworkStream | None = None

    @property
    def context(self) -> FailureContext:
        """What is known now, for the message of an error."""
        return FailureContext(
            peer=host_and_port(self._host, self._port),
            proxy=self._proxy,
            timeouts=self.request.timeouts,
            sent=self.sent,
            status=self.status,
        )

    async def trace(self, event: str, info: dict[str, object]) -> None:
        """Note a step of httpcore's before it is taken."""
        name, _, moment = event.rpartition(".")
        if moment == "complete" and name.startswith("connection.connect_"):
            opened = info.get("return_value")
            self._opened = opened if isinstance(opened, httpcore.AsyncNetworkStream) else None
        if moment != "started":
            return
        if name.startswith("http2."):
            raise ConfigurationError("the httpx.AsyncClient speaks HTTP/2", advice="make it with http2=False")
        if name in self._HARMLESS:
            if name.endswith("connect_tcp"):
                self._note_proxy(info)
        elif getattr(info.get("request"), "stream", self) is not self:
            pass  # of the CONNECT to a proxy, which has a body of its own
        elif name == "http11.send_request_headers":
            self._latch()
        else:
            self.sent = True

    async def close_unused(self) -> None:
        """Close the connection that was opened for this request and never written to.

        httpcore forgets it if it is cancelled in a TLS handshake, or if one behind a proxy's tunnel fails.
        """
        if self._opened is not None and not self.sent:
            await self._opened.aclose()

    def _note_proxy(self, info: dict[str, object]) -> None:
        host, port = info.get("host"), info.get("port")
        if isinstance(host, str) and isinstance(port, int) and (host, port) != (self._host, self._port):
            self._proxy = host_and_port(host, port)

    def _latch(self) -> None:
        if self._written or self.over or self.deadline is None or self.deadline.expired():
            raise NotWritten
        self.sent = self._written = True
        self.deadline.reschedule(self.ends)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the body; it is asked for when the headers have left."""
        self.sent = True
        if self.request.body:
            yield self.request.body
