"""A PostgreSQL, a schema of its own for each test, and a Vipps."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from psycopg import sql

from tests.batch.distributed.machines import world
from tests.support.postgres import available_dsn
from vipps_async.testing import Sandbox


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """The DSN of a real PostgreSQL; one server for the session."""
    with available_dsn() as dsn:
        yield dsn


@pytest.fixture
def schema(postgres_dsn: str) -> Iterator[str]:
    """The name of a schema that is not there yet, and is gone after the test."""
    name = f"test_{uuid.uuid4().hex}"
    yield name
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))


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
