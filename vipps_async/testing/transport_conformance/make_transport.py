"""The factory of transports that a user of the suite provides."""

from __future__ import annotations

import ssl
from typing import Protocol

from vipps_async.transports.protocol import Transport


class MakeTransport(Protocol):
    """The type of the fixture `make_transport`."""

    def __call__(
        self, *, ssl_context: ssl.SSLContext | None = None, proxy: str | None = None, limit: int | None = None
    ) -> Transport:
        """Make a transport; what is not given takes its default."""
        ...
