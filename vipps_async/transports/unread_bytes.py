"""Whether bytes wait at a connection that nobody has read: they answer no request that is still to be written.

A server that gives up an idle connection says so with a FIN, some with a 408 before it. Until the event loop's next
turn that lies in the kernel, and the connection looks as good as new. A request written to it would get no answer, or
that one.
"""

from __future__ import annotations

import asyncio
import select
import socket
import weakref
from collections.abc import Callable

__all__ = ["UnreadBytes"]


class UnreadBytes:
    """Looks at connections before they are written to."""

    def __init__(self) -> None:
        #: How to ask, for each connection that was used before.
        self._used: weakref.WeakKeyDictionary[asyncio.BaseProtocol, Callable[[], bool]] = weakref.WeakKeyDictionary()

    def wait_at(self, protocol: asyncio.BaseProtocol, transport: asyncio.BaseTransport) -> bool:
        """Tell whether there are any; from now on the connection counts as used."""
        ask = self._used.get(protocol)
        if ask is not None:
            return ask()
        ask = self._used[protocol] = _question(transport.get_extra_info("socket"))
        # A server sends its TLS tickets unasked (RFC 8446 4.6.1), as soon as the connection stands.
        return transport.get_extra_info("ssl_object") is None and ask()


def _question(connection: socket.socket | None) -> Callable[[], bool]:
    if connection is None:
        return lambda: False
    descriptor = connection.fileno()
    if descriptor < 0:
        return lambda: True  # closed: nothing can be written to it either
    if not hasattr(select, "poll"):  # Windows
        return lambda: bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return lambda: bool(poll.poll(0))
