"""A shop that takes a callback in and hangs in its handler, to be killed: run with the path of its journal."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from aiohttp import web

from tests.event_loop import use_chosen_loop
from vipps_async import Credentials, SqliteJournal, VippsSession
from vipps_async.receiver import EcomCallbacks, Receiver, aiohttp_context, aiohttp_routes


async def _hang(_event: Any, _vipps: VippsSession) -> None:
    await asyncio.Event().wait()


async def _main(journal: str, token: str) -> None:
    keys = Credentials(client_id="a", client_secret="b", subscription_key="c", merchant_serial_number="123456")
    receiver = Receiver(EcomCallbacks(token, on_payment=_hang))
    app = web.Application()
    app.cleanup_ctx.append(aiohttp_context(lambda: VippsSession(keys, journal=SqliteJournal(journal)), receiver))
    app.add_routes(aiohttp_routes(receiver, prefix="/vipps"))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)  # noqa: T201 - tells the test where it is
    await asyncio.Event().wait()


if __name__ == "__main__":
    use_chosen_loop()
    asyncio.run(_main(*sys.argv[1:]))
