"""The transport protocol: a request in, a response out, and two kinds of failure. It knows nothing of Vipps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

from attrs import field, frozen

from vipps_async.config import Timeouts

#: The largest answer that is read, in bytes: 1 MiB. The largest honest answer is some tens of KiB.
MAX_RESPONSE_BYTES = 1024 * 1024


@frozen(kw_only=True, repr=False)
class Request:
    """One HTTP request, ready to be written. Its repr leaves out headers and body: they hold secrets."""

    method: str
    """The HTTP method in capitals."""
    url: str
    """The absolute URL, already percent-encoded: a transport must not re-encode it."""
    headers: Mapping[str, str]
    """The headers to send, and no others but those that HTTP itself needs (Host, Content-Length ...)."""
    body: bytes | None = None
    """The exact bytes of the body; None sends no body."""
    timeouts: Timeouts = Timeouts()
    """How long connecting, a silence while reading, and the whole exchange may take, in seconds."""
    deadline: float | None = None
    """Seconds within which the exchange must have ended, waiting for a free connection of the transport's own pool
    included, which the time-outs then leave out; None: such waiting counts as connecting.
    """

    def __repr__(self) -> str:
        return f"<Request {self.method} {urlsplit(self.url).netloc}>"


@frozen(kw_only=True, repr=False)
class Response:
    """One HTTP answer, read to its end. Its repr leaves out headers and body: they may hold secrets."""

    status: int
    """The HTTP status, as it came from the server."""
    headers: Mapping[str, str] = field(factory=dict)
    """The headers; names in lower case, the last one wins where a name repeats."""
    body: bytes = b""
    """The exact bytes of the body, after any content decoding."""

    def __repr__(self) -> str:
        return f"<Response {self.status}, {len(self.body)} bytes>"


class Transport(Protocol):
    """Sends one request and reads its answer.

    The split between the two failures is what keeps money right, so an implementation must be exact about it. It
    never sends a request twice, never follows a redirect, keeps no cookies and never reads more than
    MAX_RESPONSE_BYTES.
    """

    async def send(self, request: Request) -> Response:
        """Send the request once and return the answer, whatever its status.

        Raises:
            vipps_async.errors.RequestNotSent: not one byte of the request was written: it certainly had no effect.
            vipps_async.errors.OutcomeUnknown: anything else that kept a whole answer from coming back.
            vipps_async.errors.ConfigurationError: the transport is closed or cannot be used here; before any I/O.
            vipps_async.errors.InvalidInputError: the request cannot be written; before any I/O.
            asyncio.CancelledError: the calling task was cancelled; the transport stays usable.
        """
        ...

    async def aclose(self) -> None:
        """Close what the transport itself has opened. Safe to call twice."""
        ...
