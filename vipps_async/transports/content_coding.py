"""Undoes the content coding of an answer without letting a small one grow beyond bounds in memory."""

from __future__ import annotations

import zlib

__all__ = ["UnreadableAnswer", "decoded"]

#: zlib window bits (zlib manual, inflateInit2): 15 is the largest window, 32 more finds gzip or zlib by the header,
#: a negative number reads deflate without any header, which some servers send for "deflate".
_GZIP_OR_ZLIB = 15 + 32
_BARE_DEFLATE = -15
#: The most gzip members of one body. Servers send one, block compressors one for each 64 KiB, so 16 for the largest
#: answer. Each has a cost of its own, however little is in it: a body of empty ones would hold the loop for seconds.
_MOST_MEMBERS = 32


class UnreadableAnswer(Exception):  # noqa: N818 - the name states the fact
    """The answer is too large, or its body cannot be read; the text says which. It never leaves a transport."""


def decoded(body: bytes, coding: str, *, limit: int) -> bytes:
    """Undo the content coding of a body.

    Args:
        body: the body as it came, its transfer coding undone.
        coding: the value of `Content-Encoding`; empty if there was none.
        limit: the most bytes that may come out.

    Raises:
        UnreadableAnswer: more than `limit` bytes would come out, the body is damaged or cut short, or the coding is
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
    raise UnreadableAnswer("its content coding was not asked for and is not known")


def _inflated(body: bytes, window_bits: int, limit: int) -> bytes:
    parts: list[bytes] = []
    room = limit
    while body:  # a gzip body may be several members, one after the other (RFC 1952 2.2)
        if len(parts) == _MOST_MEMBERS:
            raise UnreadableAnswer(f"its compressed body has more than {_MOST_MEMBERS} parts")
        member = zlib.decompressobj(window_bits)
        try:
            # One byte more than there is room for tells "just full" from "too much".
            part = member.decompress(body, room + 1)
        except zlib.error as error:
            raise UnreadableAnswer("its compressed body is damaged") from error
        room -= len(part)
        if room < 0:
            raise UnreadableAnswer(f"it is larger than {limit} bytes")
        if not member.eof:
            raise UnreadableAnswer("its compressed body is cut short")
        parts.append(part)
        body = member.unused_data
    return b"".join(parts)
