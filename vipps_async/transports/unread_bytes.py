"""Whether bytes wait at a connection that nobody has read: they answer no request that is still to be written.

A server that gives up an idle connection says so with a FIN, some with a 408 before it. Until the event loop's next
turn that lies in the kernel, and the connection looks as good as new. A request written to it would get no answer, or
that one.
"""

from __future__ import annotations

import asyncio
import select
import weakref

__all__ = ["UnreadBytes"]


class UnreadBytes:
    """Looks at connections before they are written to."""

    def __init__(self) -> None:
        self._used: weakref.WeakSet[asyncio.BaseProtocol] = weakref.WeakSet()

    def wait_at(self, protocol: asyncio.BaseProtocol, transport: asyncio.BaseTransport) -> bool:
        """Tell whether there are any; from now on the connection counts as used."""
        if protocol not in self._used:
            self._used.add(protocol)
            # A server sends its TLS tickets unasked (RFC 8446 4.6.1), as soon as the connection stands.
            if transport.get_extra_info("ssl_object") is not None:
                return False
        connection = transport.get_extra_info("socket")
        return connection is not None and _is_readable(connection.fileno())


def _is_readable(descriptor: int) -> bool:
    if descriptor < 0:
        return True  # closed: there is nothing to write to either
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
