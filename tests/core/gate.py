"""A reply that the test holds back until it lets it through."""

from __future__ import annotations

import asyncio

from vipps_async.transports.protocol import Request, Response

__all__ = ["Gate"]


class Gate:
    """Holds requests back until the test lets them through.

    Attributes:
        reached: set when the first request has come.
        open: set it to let all of them through.
    """

    def __init__(self, reply: Response) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self.reply = reply

    async def __call__(self, _request: Request) -> Response:
        """Wait, then answer."""
        self.reached.set()
        await self.open.wait()
        return self.reply
