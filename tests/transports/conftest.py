"""Transports that are closed after the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest_asyncio

from vipps_async import AiohttpTransport, HttpxTransport


@pytest_asyncio.fixture
async def own_session() -> AsyncIterator[Callable[..., AiohttpTransport]]:
    """Make transports that open a session of their own."""
    made: list[AiohttpTransport] = []

    def make(**keywords: Any) -> AiohttpTransport:
        transport = AiohttpTransport(**keywords)
        made.append(transport)
        return transport

    yield make
    for transport in made:
        await transport.aclose()


@pytest_asyncio.fixture
async def httpx_transport() -> AsyncIterator[Callable[..., HttpxTransport]]:
    """Make transports over httpx that open connections of their own, or adopt a client."""
    made: list[HttpxTransport] = []

    def make(*arguments: Any, **keywords: Any) -> HttpxTransport:
        transport = HttpxTransport(*arguments, **keywords)
        made.append(transport)
        return transport

    yield make
    for transport in made:
        await transport.aclose()
