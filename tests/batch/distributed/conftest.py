"""A PostgreSQL, a schema of its own for each test, and a Vipps."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.batch.distributed.machines import world
from vipps_async.testing import Sandbox


@pytest.fixture
def schema(postgres_schema: str) -> str:
    """The name of a schema that is not there yet, and is gone after the test."""
    return postgres_schema


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    # A worker that is to end when nothing is left looks for that, and for jobs, more often than it does for its users.
    monkeypatch.setattr("vipps_async.batch.distributed.worker._LOOK_EVERY", 0.05)
    monkeypatch.setattr("vipps_async.batch.distributed.worker._POLL_EVERY", 0.1)


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    """A Vipps of its own."""
    async with Sandbox(rate_limits=False) as running:
        monkeypatch.setattr(world, "base_url", running.url)
        yield running
