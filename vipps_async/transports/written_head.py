"""A request as it stands on the wire (HTTP/1.1, RFC 9112), and the headers that nobody but the transport may set."""

from __future__ import annotations

from vipps_async.errors import InvalidInputError
from vipps_async.transports.protocol import Request
from vipps_async.transports.request_rules import WITHOUT_LENGTH

__all__ = ["refuse_framing", "written"]

#: Headers that say how a request is framed, or that it leaves in parts.
_FRAMING = frozenset(
    {"connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)


def refuse_framing(request: Request) -> None:
    """Refuse headers that would frame the request otherwise than it is.

    Raises:
        InvalidInputError: there is one.
    """
    if not _FRAMING.isdisjoint(map(str.lower, request.headers)):
        raise InvalidInputError("headers", f"without any of {', '.join(sorted(_FRAMING))}", secret=True)


def written(request: Request, *, host: str, target: str) -> bytes:
    """Write a request, byte for byte.

    Args:
        request: what to write.
        host: the value of the Host header.
        target: path and query, percent-encoded.

    Raises:
        InvalidInputError: a header would frame the request otherwise, or end before its value does.
    """
    refuse_framing(request)
    body = request.body
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {host}"]
    # Added up, not formatted: a value that is no text is a mistake that must show.
    lines += [name + ": " + value for name, value in request.headers.items()]
    if body is not None or request.method not in WITHOUT_LENGTH:
        lines.append(f"Content-Length: {len(body or b'')}")
    head = "\r\n".join(lines)
    # As many line ends as lines, or one came in with a name or a value, and more of the sender's making behind it.
    ends = len(lines) - 1
    if head.count("\r") != ends or head.count("\n") != ends or "\0" in head:
        raise InvalidInputError("headers", "without line breaks and NUL characters", secret=True)
    return head.encode() + b"\r\n\r\n" + (body or b"")
