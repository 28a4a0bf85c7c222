"""A sandbox for the tests of batches, and no row store left open behind any of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.batch.row_stores import close_row_stores
from vipps_async.testing import Sandbox


@pytest.fixture(autouse=True)
def _closed_row_stores() -> Iterator[None]:
    yield
    close_row_stores()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own."""
    async with Sandbox(rate_limits=False) as running:
        yield running
