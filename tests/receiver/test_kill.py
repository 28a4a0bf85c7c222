"""A shop that is killed in the middle of a callback has lost nothing that it has answered."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp

from tests.ecom.callback_bodies import REGULAR, TOKEN, as_body
from tests.receiver.served import at_work
from tests.receiver.shop import Shop, until
from vipps_async import SqliteJournal

#: Seconds for a Python to start on a busy machine.
PATIENCE = 60


async def test_killed_after_the_answer(shop: Shop, tmp_path: Path) -> None:
    """As soon as Vipps has its 200, not even SIGKILL loses the order: the next process hands it to its handler."""
    file = tmp_path / "vipps.db"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.receiver.killed_shop", str(file), TOKEN, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            port = int(await process.stdout.readline())
            url = f"http://127.0.0.1:{port}/vipps/v2/payments/acme-1"
            async with (
                aiohttp.ClientSession(headers={"Authorization": TOKEN}) as client,
                client.post(url, data=as_body(REGULAR)) as answer,
            ):
                assert answer.status == 200
    finally:
        process.kill()
        await process.communicate()
    # An hour later, when the dead process' lease is over.
    journal = SqliteJournal(file, clock=lambda: datetime.now(UTC) + timedelta(hours=1))
    async with at_work(shop, journal=journal) as served:
        await until(lambda: served.receiver.counts.handled)
    (event,) = shop.payments
    assert event.is_redelivered
    assert (event.order_id, event.claimed_amount) == ("acme-1", 49900)
