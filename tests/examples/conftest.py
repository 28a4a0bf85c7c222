"""A shop that is open for the time of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from examples.shop.orders import Api
from tests.examples.running_shop import RunningShop, running_shop


@pytest.fixture(params=list(Api))
def api(request: pytest.FixtureRequest) -> Api:
    """Which API makes the shop's payments: each in turn."""
    return Api(request.param)


@pytest_asyncio.fixture
async def shop(tmp_path: Path, api: Api) -> AsyncIterator[RunningShop]:
    """A shop that is open."""
    async with running_shop(tmp_path, api=api) as opened:
        yield opened
