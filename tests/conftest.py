"""What holds for every test: its event loop, what is said of those that do not run, and a PostgreSQL if it asks."""

from __future__ import annotations

import gc
import signal
import uuid
from collections.abc import Iterator

import pytest

from tests.event_loop import chosen_loop, use_chosen_loop
from tests.short_waits import shorten_looks
from tests.support.postgres import available_dsn

pytest_plugins = ["tests.run_report", "tests.support.seed", "pytest_vipps_async"]


def pytest_configure() -> None:
    """Let everything in this process run in the chosen loop: tests, fixtures, `asyncio.run` in a thread."""
    use_chosen_loop()
    # What is collected is kept: looking through it for garbage takes a tenth of the time until the first test.
    gc.disable()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # So a shell starts what runs in its background; commands that tests start would not take Ctrl-C either.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Leave alone what was loaded: the collector would go through it again and again, a tenth of the time of a run."""
    gc.enable()
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    """Say which loop it is."""
    return f"event loop: {chosen_loop()}"


@pytest.fixture(autouse=True)
def look_again_at_once(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Let no test wait for details that lag; how long a call does is tested where the pauses are."""
    if request.path.name not in {"test_retry.py", "test_outage.py"}:
        shorten_looks(monkeypatch.setattr)


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """The DSN of a real PostgreSQL; one server for the session."""
    with available_dsn() as dsn:
        yield dsn


@pytest.fixture
def postgres_schema(postgres_dsn: str) -> Iterator[str]:
    """The name of a schema that is not there yet, and is gone after the test."""
    import psycopg  # noqa: PLC0415 - belongs to an extra
    from psycopg import sql  # noqa: PLC0415 - belongs to an extra

    name = f"test_{uuid.uuid4().hex}"
    yield name
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))
