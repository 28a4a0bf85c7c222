"""A shop that is open for the time of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.examples.running_shop import RunningShop, running_shop


@pytest_asyncio.fixture
async def shop(tmp_path: Path) -> AsyncIterator[RunningShop]:
    """A shop that is open."""
    async with running_shop(tmp_path) as opened:
        yield opened
