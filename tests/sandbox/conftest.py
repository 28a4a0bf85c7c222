"""A running sandbox and a merchant that talks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.sandbox.driver import Merchant, Shop, merchant_at, shop
from vipps_async.sandbox import SandboxServer, SandboxSettings


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    """Without rate limits, so that tests may call as they need."""
    async with SandboxServer(settings=SandboxSettings(sub_delay=0.0), rate_limits=False) as server:
        yield server


@pytest.fixture
async def merchant(sandbox: SandboxServer) -> AsyncIterator[Merchant]:
    """Logged in."""
    async with merchant_at(sandbox.url) as opened:
        yield opened


@pytest.fixture
async def place() -> AsyncIterator[Shop]:
    """Answers 200 to everything."""
    async with shop() as opened:
        yield opened
