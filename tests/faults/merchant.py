"""A merchant's server, as little of it as can be: it takes callbacks and counts them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import cast

__all__ = ["Merchant"]

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Merchant:
    """Counts how many callbacks came for each order."""

    def __init__(self) -> None:
        #: Order id → callbacks.
        self.callbacks: Counter[str] = Counter()
        #: The callback prefix.
        self.url = ""

    @classmethod
    @contextlib.asynccontextmanager
    async def listening(cls) -> AsyncIterator[Merchant]:
        """Open a port, and close it at the end."""
        merchant = cls()
        server = await asyncio.get_running_loop().create_server(lambda: _Callbacks(merchant), "127.0.0.1", 0)
        merchant.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield merchant
        finally:
            server.close()


class _Callbacks(asyncio.Protocol):
    def __init__(self, merchant: Merchant) -> None:
        self._merchant = merchant
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to answer on."""
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer each callback that is complete."""
        self._waiting += data
        while (end := self._waiting.find(b"\r\n\r\n")) >= 0:
            head = self._waiting[:end]
            lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            whole = end + 4 + int(lines.get(b"content-length", 0))
            if len(self._waiting) < whole:
                return
            self._waiting = self._waiting[whole:]
            path = head.split(b" ", 2)[1]
            self._merchant.callbacks[path.rpartition(b"/")[2].decode()] += 1
            self._transport.write(_ANSWER)
