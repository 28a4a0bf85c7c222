"""A request as it stands on the wire (HTTP/1.1, RFC 9112), and the headers that nobody but the transport may set."""

from __future__ import annotations

import re
from collections.abc import Mapping

from vipps_async.errors import InvalidInputError
from vipps_async.transports.protocol import Request
from vipps_async.transports.request_rules import WITHOUT_LENGTH

__all__ = ["refuse_unsendable", "written"]

#: Headers that say how a request is framed, or that it leaves in parts.
_FRAMING = frozenset(
    {"connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)

#: All methods. CONNECT makes something else of a connection, and has no place here.
_METHODS = WITHOUT_LENGTH | {"PATCH", "POST", "PUT"}

#: What a header may be called (RFC 9110 5.6.2).
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

#: What no value may hold: control characters but for the tab (RFC 9110 5.5), and halves of characters.
_UNWRITABLE = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")

#: Header names that have been looked at and may be sent: always the same few.
_sound_names: set[str] = set()

#: How many of them are remembered, in case somebody makes them up.
_MOST_NAMES = 256


def refuse_unsendable(request: Request) -> None:
    """Refuse what would make a server read another request than was meant.

    Raises:
        InvalidInputError: the method is none of HTTP's, or a header would frame the request otherwise, is not named
            by a token, or has control characters in its value.
    """
    if request.method not in _METHODS:
        raise InvalidInputError("method", f"one of {', '.join(sorted(_METHODS))}", value=request.method)
    headers = request.headers
    if not headers.keys() <= _sound_names:
        _look_at_names(headers)
    # Joined, not formatted: a value that is no text is a mistake that must show.
    values = "".join(headers.values())
    # The first question is quick, and answered by yes but for tabs and the like.
    if not values.isprintable() and _UNWRITABLE.search(values):
        raise InvalidInputError("headers", "without control characters", secret=True)


def _look_at_names(headers: Mapping[str, str]) -> None:
    for name in headers:
        if not _TOKEN.fullmatch(name):
            raise InvalidInputError("headers", "named by letters, digits and hyphens", secret=True)
        if name.lower() in _FRAMING:
            raise InvalidInputError("headers", f"without any of {', '.join(sorted(_FRAMING))}", secret=True)
    if len(_sound_names) + len(headers) <= _MOST_NAMES:
        _sound_names.update(headers)


def written(request: Request, *, host: str, target: str) -> bytes:
    """Write a request, byte for byte.

    Args:
        request: what to write.
        host: the value of the Host header, checked.
        target: path and query, percent-encoded and checked.

    Raises:
        InvalidInputError: a server would read another request; see `refuse_unsendable`.
    """
    refuse_unsendable(request)
    body = request.body
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if body is not None or request.method not in WITHOUT_LENGTH:
        lines.append(f"Content-Length: {len(body or b'')}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")
