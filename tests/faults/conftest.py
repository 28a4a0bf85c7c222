"""The stores that storms and kills are run over."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest


@pytest.fixture
def own_postgres(postgres_dsn: str) -> Iterator[str]:
    """The DSN of a database that is made for the test, and gone after it."""
    import psycopg  # noqa: PLC0415 - belongs to an extra
    from psycopg import sql  # noqa: PLC0415 - belongs to an extra
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415 - belongs to an extra

    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield make_conninfo(postgres_dsn, dbname=name)
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
