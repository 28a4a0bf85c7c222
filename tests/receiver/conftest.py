"""A shop and a journal."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.receiver.shop import Shop
from vipps_async.journals.memory import MemoryJournal


@pytest.fixture
def shop() -> Shop:
    """Return handlers that note what they are given."""
    return Shop()


@pytest_asyncio.fixture
async def journal() -> AsyncIterator[MemoryJournal]:
    """Return an open journal, which outlives the sessions of a test."""
    journal = MemoryJournal()
    await journal.open()
    yield journal
    await journal.aclose()
