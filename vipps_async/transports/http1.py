"""HTTP/1.1 as bytes: checks and serializes requests (RFC 9112), and decodes the content coding of responses."""

from __future__ import annotations

import functools
import re
import zlib

from attrs import frozen
from yarl import URL

from vipps_async.errors import InvalidInputError
from vipps_async.transports.failures import UnusableResponse
from vipps_async.transports.protocol import Request
from vipps_async.transports.request_rules import checked_url

#: Methods whose requests say nothing about a length when they have no body (RFC 9110 8.6).
WITHOUT_LENGTH = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "DELETE"})

#: All methods. CONNECT makes something else of a connection, and has no place here.
_METHODS = WITHOUT_LENGTH | {"PATCH", "POST", "PUT"}

#: Headers that frame a request, or let it be sent in parts.
_FRAMING = frozenset(
    {"connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)

#: What a header may be called (RFC 9110 5.6.2).
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

#: What no value may hold: control characters but for the tab (RFC 9110 5.5), and halves of characters.
_UNWRITABLE = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


# --- requests ------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Target:
    """A checked URL, and how a request names it."""

    #: Scheme, host and port.
    server: URL
    #: The value of the Host header.
    host: str
    #: Path and query, as they stand in the request line.
    path: str

    @property
    def url(self) -> URL:
        """The whole URL."""
        return URL(f"{self.server}{self.path}", encoded=True)


def parse_target(text: str) -> Target:
    """Check an absolute, percent-encoded URL and take it apart.

    Raises:
        InvalidInputError: it is none, or no http or https URL.
    """
    # Anything else would end the request line or the Host header, be read by some server as if it did, or be tidied
    # away on the quiet.
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise InvalidInputError("url", "percent-encoded", secret=True)  # its path may name a person
    *server, path = text.split("/", 3)
    # Nothing but a server stands before the path, and never a password: the same few again and again.
    if len(server) == 3 and not any(sign in server[2] for sign in "@?#") and "?" not in path and "#" not in path:
        known = _server("/".join(server))
        return Target(server=known.server, host=known.host, path=f"/{path}")
    return _parsed(text)


def _parsed(text: str) -> Target:
    url = checked_url(text)
    return Target(server=url.origin(), host=url.host_port_subcomponent or "", path=url.raw_path_qs)


_server = functools.lru_cache(maxsize=16)(_parsed)


def check_request(request: Request) -> None:
    """Refuse a request that a server could read as another one.

    Raises:
        InvalidInputError: the method is none of HTTP's, or a header would frame the request otherwise, is not named
            by a token, or has control characters in its value.
    """
    if request.method not in _METHODS:
        raise InvalidInputError("method", f"one of {', '.join(sorted(_METHODS))}", value=request.method)
    _check_names(tuple(request.headers))
    # Joined, not formatted: a value that is no text is a mistake that must show.
    values = "".join(request.headers.values())
    # The first question is quick, and answered by yes but for tabs and the like.
    if not values.isprintable() and _UNWRITABLE.search(values):
        raise InvalidInputError("headers", "without control characters", secret=True)


@functools.lru_cache(maxsize=64)  # always the same few
def _check_names(names: tuple[str, ...]) -> None:
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise InvalidInputError("headers", "named by letters, digits and hyphens", secret=True)
        if name.lower() in _FRAMING:
            raise InvalidInputError("headers", f"without any of {', '.join(sorted(_FRAMING))}", secret=True)


def serialize_request(request: Request, target: Target) -> bytes:
    """Write a request, byte for byte.

    Raises:
        InvalidInputError: a server would read another request; see `check_request`.
    """
    check_request(request)
    body = request.body
    lines = [f"{request.method} {target.path} HTTP/1.1", f"Host: {target.host}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if body is not None or request.method not in WITHOUT_LENGTH:
        lines.append(f"Content-Length: {len(body or b'')}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


# --- answers -------------------------------------------------------------------------------------------------------

#: zlib window bits (zlib manual, inflateInit2): 15 is the largest window, 32 more finds gzip or zlib by the header,
#: a negative number reads deflate without any header, which some servers send for "deflate".
_GZIP_OR_ZLIB = 15 + 32
_BARE_DEFLATE = -15
#: The most gzip members of one body. Servers send one, block compressors one for each 64 KiB, so 16 for the largest
#: answer. Each has a cost of its own, however little is in it: a body of empty ones would hold the loop for seconds.
_MOST_MEMBERS = 32


def decode_content(body: bytes, coding: str, *, limit: int) -> bytes:
    """Undo the content coding of a body.

    Args:
        body: the body as it came, its transfer coding undone.
        coding: the value of `Content-Encoding`; empty if there was none.
        limit: the most bytes that may come out.

    Raises:
        UnusableResponse: more than `limit` bytes would come out, the body is damaged or cut short, or the coding is
            neither gzip, deflate nor identity, or it has more gzip members than any server sends.
    """
    name = coding.strip().lower()
    if name in {"", "identity"} or not body:
        return body
    if name in {"gzip", "x-gzip"}:
        return _inflated(body, _GZIP_OR_ZLIB, limit)
    if name == "deflate":
        # RFC 9110 8.4.1.2 wants the zlib header, whose first half byte is 8; not everybody sends it.
        return _inflated(body, _GZIP_OR_ZLIB if body[0] & 0x0F == 8 else _BARE_DEFLATE, limit)
    raise UnusableResponse("its content coding was not asked for and is not known")


def _inflated(body: bytes, window_bits: int, limit: int) -> bytes:
    parts: list[bytes] = []
    room = limit
    while body:  # a gzip body may be several members, one after the other (RFC 1952 2.2)
        if len(parts) == _MOST_MEMBERS:
            raise UnusableResponse(f"its compressed body has more than {_MOST_MEMBERS} parts")
        member = zlib.decompressobj(window_bits)
        try:
            # One byte more than there is room for tells "just full" from "too much".
            part = member.decompress(body, room + 1)
        except zlib.error as error:
            raise UnusableResponse("its compressed body is damaged") from error
        room -= len(part)
        if room < 0:
            raise UnusableResponse(f"it is larger than {limit} bytes")
        if not member.eof:
            raise UnusableResponse("its compressed body is cut short")
        parts.append(part)
        body = member.unused_data
    return b"".join(parts)
