"""Connections for the httpx transport: each is a pool of one, in the hands of one request at a time.

The pool of httpx looks at all its requests and connections for every request, which costs far more than the request
once there are some dozens of them; and it can lose a place for ever if a request is cancelled while it is given one,
or if TLS fails behind a proxy's tunnel. A pool of one connection has nothing to look through, and after any failure
it is thrown away as a whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator

import httpcore
import httpx
from attrs import define, frozen
from yarl import URL

__all__ = ["Destination", "Line", "Lines"]

#: Seconds that an unused connection is kept, as aiohttp does: shorter than servers and load balancers do.
_KEPT_FOR = 15.0

_ONE_CONNECTION = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEPT_FOR)


@frozen
class Destination:
    """Where a connection leads: scheme, host and port, and the proxy on the way."""

    scheme: str
    host: str | None
    port: int | None
    proxy: URL | None


@define(eq=False)
class Line:
    """One connection, or the place of one that is made by the first request over it."""

    destination: Destination
    transport: httpx.AsyncHTTPTransport
    #: The connection itself, after the first answer over it.
    stream: httpcore.AsyncNetworkStream | None = None
    #: Whether the last exchange over it ended so cleanly that the next request may use it.
    reusable: bool = False
    #: When it was put away, by the event loop's clock.
    unused_since: float = 0.0


class Lines:
    """Lends connections, and keeps those that are still good.

    Args:
        limit: the most connections at once; whoever borrows one has a place of so many.
        ssl_context: what to trust; None: the certificates of the system.
    """

    def __init__(self, limit: int, ssl_context: ssl.SSLContext | None) -> None:
        self._limit = limit
        self._ssl_context = ssl_context
        self._unused: deque[Line] = deque()
        self._lent: set[Line] = set()
        self._in_use = 0
        self._closed = False

    @contextlib.asynccontextmanager
    async def lent(self, destination: Destination) -> AsyncIterator[Line]:
        """Lend a connection; it is kept afterwards only if the caller calls it reusable."""
        line = self._kept(destination)
        self._in_use += 1
        try:
            await self._close_surplus()
            if line is None:
                line = Line(destination, await self._opened(destination))
            line.reusable = False
            self._lent.add(line)
            yield line
        finally:
            self._in_use -= 1
            if line is not None:
                await self._taken_back(line)

    async def aclose(self) -> None:
        """Close all connections, those in use included."""
        self._closed = True
        lines = [*self._unused, *self._lent]
        self._unused.clear()
        for line in lines:
            await line.transport.aclose()

    async def _taken_back(self, line: Line) -> None:
        self._lent.discard(line)
        if line.reusable and not self._closed:
            line.unused_since = asyncio.get_running_loop().time()
            self._unused.append(line)
        else:
            # The socket is closed before anything is waited for, so being cancelled here loses nothing.
            await line.transport.aclose()

    def _kept(self, destination: Destination) -> Line | None:
        # The one used last: the others can then grow old and be closed.
        for index in range(len(self._unused) - 1, -1, -1):
            if self._unused[index].destination == destination:
                line = self._unused[index]
                del self._unused[index]
                return line
        return None

    async def _close_surplus(self) -> None:
        oldest_kept = asyncio.get_running_loop().time() - _KEPT_FOR
        while self._unused and (
            self._unused[0].unused_since < oldest_kept or len(self._unused) + self._in_use > self._limit
        ):
            await self._unused.popleft().transport.aclose()

    async def _opened(self, destination: Destination) -> httpx.AsyncHTTPTransport:
        proxy = destination.proxy
        with_tls = destination.scheme == "https" or (proxy is not None and proxy.scheme == "https")
        if with_tls and self._ssl_context is None:
            # Reads some hundred files.
            self._ssl_context = await asyncio.to_thread(ssl.create_default_context)
        # Without TLS, one that trusts nobody: httpx would read the certificates of a package for each connection.
        context = self._ssl_context if with_tls and self._ssl_context else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        through = None
        if proxy is not None:
            through = httpx.Proxy(str(proxy), ssl_context=context if proxy.scheme == "https" else None)
        return httpx.AsyncHTTPTransport(
            verify=context, trust_env=False, http2=False, retries=0, limits=_ONE_CONNECTION, proxy=through
        )
