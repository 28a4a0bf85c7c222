"""The httpx transport's own connection pools, replaced after they may have lost a connection."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

import httpx
from attrs import define
from yarl import URL

from vipps_async.transports.httpx.attempt import Attempt

__all__ = ["OwnConnections"]

#: Seconds that an unused connection is kept, as aiohttp does: shorter than servers and load balancers do.
_KEPT_FOR = 15.0


@define(eq=False)
class _Pool:
    transport: httpx.AsyncHTTPTransport
    requests: int = 0
    is_retired: bool = False


class OwnConnections:
    """Lends the pool for a proxy, or for none.

    Args:
        limit: the most connections that are kept unused; whoever borrows a pool has seen to the limit of those in use.
        ssl_context: what to trust; None: the certificates of the system.
    """

    def __init__(self, limit: int, ssl_context: ssl.SSLContext | None) -> None:
        # No limit of its own: httpx loses a place for ever if a request is cancelled while it is given one, or if TLS
        # fails behind a proxy's tunnel.
        self._limits = httpx.Limits(max_keepalive_connections=limit, keepalive_expiry=_KEPT_FOR)
        self._ssl_context = ssl_context
        self._pools: dict[tuple[bool, URL | None], _Pool] = {}
        self._lent: set[_Pool] = set()

    @contextlib.asynccontextmanager
    async def lent(self, scheme: str, proxy: URL | None, attempt: Attempt) -> AsyncIterator[httpx.AsyncHTTPTransport]:
        """Lend a pool; it is not lent again if the attempt ends before it was written."""
        with_tls = scheme == "https" or (proxy is not None and proxy.scheme == "https")
        if with_tls and self._ssl_context is None:
            # Reads some hundred files.
            self._ssl_context = await asyncio.to_thread(ssl.create_default_context)
        key = (with_tls, proxy)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = _Pool(self._opened(proxy, with_tls=with_tls))
        pool.requests += 1
        self._lent.add(pool)
        try:
            yield pool.transport
        finally:
            pool.requests -= 1
            if not attempt.sent and self._pools.get(key) is pool:
                del self._pools[key]
                pool.is_retired = True
            try:
                await attempt.close_unused()
            finally:
                if not pool.requests:
                    self._lent.discard(pool)
                    if pool.is_retired:
                        await pool.transport.aclose()

    async def aclose(self) -> None:
        """Close all connections, those in use included."""
        pools = {*self._pools.values(), *self._lent}
        self._pools.clear()
        for pool in pools:
            await pool.transport.aclose()

    def _opened(self, proxy: URL | None, *, with_tls: bool) -> httpx.AsyncHTTPTransport:
        # Without TLS, one that trusts nobody: httpx would read the certificates of a package.
        context = self._ssl_context if with_tls and self._ssl_context else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        through = None
        if proxy is not None:
            through = httpx.Proxy(str(proxy), ssl_context=context if proxy.scheme == "https" else None)
        return httpx.AsyncHTTPTransport(
            verify=context, trust_env=False, http2=False, retries=0, limits=self._limits, proxy=through
        )
