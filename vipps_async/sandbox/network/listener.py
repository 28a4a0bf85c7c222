"""The listening socket: opened, closed for a while to refuse connections, and reopened on the same port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from vipps_async.sandbox.network.waits import Waits
from vipps_async.sandbox.network.workers import cancelled

#: Seconds that closing waits for requests under way.
_SHUTDOWN_TIMEOUT = 2.0
#: Seconds until closed connections are closed at both ends: some turns of the loop.
_SETTLE = 0.01
#: The loopback address to connect to where the listener is bound to all addresses.
_REACHED_AT = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - nothing is bound here


class Listener:
    """Runs an aiohttp application on one socket.

    Args:
        host: the address to bind to.
        port: the port; 0 takes a free one, which is kept from then on.
        refusal_seconds: returns how long `refuse_for_a_while` lasts, in seconds.
        waits: how that time passes.
    """

    def __init__(self, host: str, port: int, *, refusal_seconds: Callable[[], float], waits: Waits) -> None:
        self._host = host
        self._port = port
        self._refusal_seconds = refusal_seconds
        self._waits = waits
        self._runner: web.AppRunner | None = None
        self._reopening: asyncio.Task[None] | None = None
        #: The number of `refused` blocks that are entered.
        self._refusals = 0
        self._url = ""
        #: Connections with a request under way.
        self.busy: set[object] = set()

    @property
    def running(self) -> bool:
        """Whether the application runs; connections may be refused all the same, see `refusing`."""
        return self._runner is not None

    @property
    def refusing(self) -> bool:
        """Whether connections are refused now."""
        return self._refusals > 0

    @property
    def url(self) -> str:
        """The URL at which this machine reaches the socket; it stays after closing.

        Raises:
            RuntimeError: the socket was never opened.
        """
        if not self._url:
            raise RuntimeError("the sandbox has not been started")
        return self._url

    async def open(self, app: web.Application) -> None:
        """Open the socket.

        Raises:
            OSError: the port is taken, or the address is not this machine's.
        """
        # Bodies are not decompressed: merchants send none compressed, and a small one could fill the memory.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT, auto_decompress=False)
        try:
            await runner.setup()
            await web.TCPSite(runner, self._host, self._port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self._port = runner.addresses[0][1]
        reached = _REACHED_AT.get(self._host, self._host)
        host = f"[{reached}]" if ":" in reached else reached
        self._url = f"http://{host}:{self._port}"

    async def close(self) -> None:
        """Close the socket and every connection; requests under way have some seconds to end."""
        runner, self._runner = self._runner, None
        reopening, self._reopening = self._reopening, None
        self._refusals = 0
        try:
            await cancelled(reopening)
        finally:
            if runner is not None:
                await runner.cleanup()

    @asynccontextmanager
    async def refused(self) -> AsyncIterator[None]:
        """Refuse connections inside the `with` block."""
        self._refusals += 1
        try:
            await self._shut()
            yield
        finally:
            # Closing altogether ends all refusals.
            self._refusals = max(0, self._refusals - 1)
            if not self._refusals:
                await self._reopen()

    async def refuse_for_a_while(self) -> None:
        """Refuse connections for `refusal_seconds`; returns once they are refused. A call meanwhile does nothing."""
        if self._runner is None or self._reopening is not None:
            return
        closed = asyncio.Event()
        self._reopening = asyncio.create_task(self._refuse(closed), name="vipps sandbox listener")
        await closed.wait()

    async def _refuse(self, closed: asyncio.Event) -> None:
        try:
            async with self.refused():
                closed.set()
                await self._waits.sleep(self._refusal_seconds())
        finally:
            closed.set()
            self._reopening = None

    async def _shut(self) -> None:
        runner = self._runner
        if runner is None:
            return
        for site in tuple(runner.sites):
            await site.stop()
        if runner.server is not None:
            for connection in tuple(runner.server.connections):
                # A request under way is answered first; its connection is closed with the answer.
                if connection not in self.busy:
                    connection.force_close()
        # So that a client on this very loop has seen the end of its idle connections, and does not write into one.
        await asyncio.sleep(_SETTLE)

    async def _reopen(self) -> None:
        if self._runner is not None and not self._runner.sites:
            await web.TCPSite(self._runner, self._host, self._port).start()
