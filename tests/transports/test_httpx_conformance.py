"""The httpx transport under the suite that every transport must pass."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import pytest_asyncio

from vipps_async import HttpxTransport
from vipps_async.testing.transport_conformance import MakeTransport, TransportConformance


class TestOwnConnections(TransportConformance):
    """The suite over connections that the transport opened, one for each request."""

    words_are_checked = True
    connections_are_kept = False

    @pytest.fixture
    def make_transport(self, httpx_transport: Callable[..., HttpxTransport]) -> MakeTransport:
        """Make transports with connections of their own."""
        return httpx_transport


@pytest.mark.heavy
class TestAdoptedClient(TransportConformance):
    """The suite over a client of the caller, with much set in it that must not matter."""

    words_are_checked = True

    @pytest_asyncio.fixture
    async def make_transport(self) -> AsyncIterator[MakeTransport]:
        """Make transports that adopt a client."""
        clients: list[httpx.AsyncClient] = []

        def make(
            *, ssl_context: ssl.SSLContext | None = None, proxy: str | None = None, limit: int | None = None
        ) -> HttpxTransport:
            client = httpx.AsyncClient(
                verify=ssl_context or True,
                proxy=proxy,
                limits=httpx.Limits(max_connections=limit or 100),
                timeout=0.01,
                follow_redirects=True,
                headers={"Accept-Encoding": "gzip", "X-Theirs": "1"},
                cookies={"theirs": "1"},
                auth=("them", "secret"),
                base_url="http://127.0.0.1:1/api/",
                trust_env=False,
            )
            clients.append(client)
            return HttpxTransport(client)

        yield make
        for client in clients:
            assert not client.is_closed
            await client.aclose()
