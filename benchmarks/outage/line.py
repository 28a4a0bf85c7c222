"""The way to the simulated vendor: a transport with so many connections, and time-outs as the request has them."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

from benchmarks.outage.vendor import Vendor
from vipps_async.errors import OutcomeUnknown, RequestNotSent
from vipps_async.transports.protocol import Request, Response

__all__ = ["SOURCE", "Line"]

#: On whose behalf a request is sent: web, batch or recovery.
SOURCE: ContextVar[str] = ContextVar("SOURCE", default="web")


class Line:
    """A `Transport`. Like a real one it makes a request wait for a free connection, at most the time-out to connect."""

    def __init__(self, vendor: Vendor, connections: int) -> None:
        self._vendor = vendor
        self._connections = asyncio.Semaphore(connections)

    async def send(self, request: Request) -> Response:
        """Send a request; see Transport."""
        timeouts = request.timeouts
        try:
            async with asyncio.timeout(min(timeouts.connect, timeouts.total)):
                await self._connections.acquire()
        except TimeoutError as error:
            raise RequestNotSent("no connection became free") from error
        try:
            # The vendor sends nothing until it sends all: the longest silence is the whole of the waiting.
            async with asyncio.timeout(min(timeouts.read, timeouts.total)):
                return await self._vendor.answer(request, SOURCE.get())
        except TimeoutError as error:
            raise OutcomeUnknown("no answer came in time") from error
        finally:
            self._connections.release()

    async def aclose(self) -> None:
        """See Transport."""
