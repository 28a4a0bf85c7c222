"""A rate that several workers share."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from tests.batch.distributed.machines import opened, rows_of, submitted
from vipps_async.batch.distributed.work import _GRACE, SharedRateLimiter


async def test_workers_share_one_rate(postgres_dsn: str, schema: str) -> None:
    """Two workers, each with several rows that wait: in no span of time more than the rate, and both get on."""
    rate, count = 80.0, 60
    taken: list[tuple[float, int]] = []
    async with opened(postgres_dsn, schema) as one, opened(postgres_dsn, schema) as two:
        batch = (await submitted(one, rows_of(1), rate=rate)).batch
        loop = asyncio.get_running_loop()

        async def work(number: int, turns: SharedRateLimiter) -> None:
            while len(taken) < count:
                assert await turns.slot(loop.time()) == 0.0
                taken.append((loop.time(), number))

        async with asyncio.TaskGroup() as group:
            for number, database in enumerate((one, two)):
                turns = SharedRateLimiter(database, batch, rate, stop=asyncio.Event())
                for _ in range(4):
                    group.create_task(work(number, turns))
    times = sorted(time for time, _ in taken)
    for (first, begin), (last, end) in itertools.combinations(enumerate(times), 2):
        assert last - first <= (end - begin + _GRACE) * rate + 1
    assert {number for _, number in taken} == {0, 1}


async def test_a_lull_is_not_made_up_for(postgres_dsn: str, schema: str) -> None:
    """Turns that nobody took in time are gone."""
    async with opened(postgres_dsn, schema) as database:
        batch = (await submitted(database, rows_of(1), rate=20)).batch
        turns = SharedRateLimiter(database, batch, 20, stop=asyncio.Event())
        await turns.slot(0)
        await asyncio.sleep(0.5)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(5):
            await turns.slot(0)
        assert loop.time() - began >= 3 / 20


async def test_nobody_waits_once_it_stops(postgres_dsn: str, schema: str) -> None:
    """At one row an hour a worker is drained at once all the same."""
    stop = asyncio.Event()
    async with opened(postgres_dsn, schema) as database:
        batch = (await submitted(database, rows_of(1), rate=1 / 3600)).batch
        turns = SharedRateLimiter(database, batch, 1 / 3600, stop=stop)
        await turns.slot(0)
        waiting = [asyncio.create_task(turns.slot(0)) for _ in range(3)]
        done, _ = await asyncio.wait(waiting, timeout=0.2)
        assert not done
        stop.set()
        async with asyncio.timeout(5):
            await asyncio.gather(*waiting)


async def test_without_the_database_nobody_waits(postgres_dsn: str, schema: str) -> None:
    """The journal refuses to begin then; a row that waited for a turn would never hear of it."""
    async with opened(postgres_dsn, schema) as database:
        turns = SharedRateLimiter(database, 1, 1.0, stop=asyncio.Event())
        await database.close()
        async with asyncio.timeout(5):
            assert await turns.slot(0) == 0.0


@pytest.mark.parametrize(("rate", "size"), [(0.5, 1), (100, 10), (10_000, 20)])
async def test_lots_are_small(postgres_dsn: str, schema: str, rate: float, size: int) -> None:
    """What a worker that dies takes with it is a tenth of a second's worth, and never many rows."""
    async with opened(postgres_dsn, schema) as database:
        assert SharedRateLimiter(database, 1, rate, stop=asyncio.Event())._size == size
