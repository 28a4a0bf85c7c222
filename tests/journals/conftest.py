"""The three kinds of journal that one suite is run over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.journals.material import Shelf
from vipps_async import MemoryJournal, PostgresJournal, SqliteJournal


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    """A fresh place for a journal, of each kind in turn."""
    if request.param == "memory":
        journal = MemoryJournal()
        return Shelf(name="memory", make=lambda: journal)
    if request.param == "sqlite":
        return Shelf(name="sqlite", make=lambda: SqliteJournal(tmp_path / "journal.db"))
    dsn, schema = request.getfixturevalue("postgres_dsn"), request.getfixturevalue("postgres_schema")
    return Shelf(name="postgres", make=lambda: PostgresJournal(dsn, schema=schema), shared=True)


@pytest.fixture
async def journal(shelf: Shelf) -> AsyncIterator[Any]:
    """An open journal of each kind in turn."""
    journal = await shelf.opened()
    yield journal
    await journal.aclose()


@pytest.fixture
def postgres(postgres_dsn: str, postgres_schema: str) -> Callable[..., PostgresJournal]:
    """Makes journals that share one PostgreSQL schema."""

    def make(**settings: Any) -> PostgresJournal:
        return PostgresJournal(postgres_dsn, schema=postgres_schema, **settings)

    return make
