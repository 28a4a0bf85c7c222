"""Undoing content codings within bounds."""

from __future__ import annotations

import gzip
import time
import zlib

import pytest

from vipps_async.transports.content_coding import UnreadableAnswer, decoded

TEXT = b'{"orderId":"acme-1"}'


def _bare_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def _gzipped(content: bytes) -> bytes:
    # Without the time in it, which would be part of the names of the tests.
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (TEXT, ""),
        (TEXT, "identity"),
        (_gzipped(TEXT), "gzip"),
        (_gzipped(TEXT), " X-GZIP "),
        (_gzipped(TEXT[:7]) + _gzipped(TEXT[7:]), "gzip"),
        (zlib.compress(TEXT), "deflate"),
        (_bare_deflate(TEXT), "deflate"),
    ],
)
def test_undoes_what_servers_send(body: bytes, coding: str) -> None:
    """Gzip, also in several members, and both kinds of deflate give the body back."""
    assert decoded(body, coding, limit=len(TEXT)) == TEXT


def test_an_empty_body_needs_no_decoding() -> None:
    """An answer without a body may name a coding: to HEAD, for one."""
    assert decoded(b"", "br", limit=0) == b""


@pytest.mark.parametrize(
    ("body", "coding", "says"),
    [
        (_gzipped(TEXT + b"x"), "gzip", "larger than 20 bytes"),
        (_gzipped(TEXT) + _gzipped(b"x"), "gzip", "larger"),
        (_gzipped(TEXT)[:-1], "gzip", "cut short"),
        (_gzipped(b"") * 33, "gzip", "more than 32 parts"),
        (_gzipped(TEXT) + b"rubbish", "gzip", "damaged"),
        (b"rubbish", "gzip", "damaged"),
        (b"\xff rubbish", "deflate", "damaged"),
        (TEXT, "br", "not asked for"),
        (_gzipped(_gzipped(TEXT)), "gzip, gzip", "not asked for"),
    ],
)
def test_refuses_the_rest(body: bytes, coding: str, says: str) -> None:
    """What is too large, damaged, cut short or in an unknown coding is refused with its reason."""
    with pytest.raises(UnreadableAnswer, match=says):
        decoded(body, coding, limit=len(TEXT))


def test_a_mebibyte_of_empty_parts_costs_nothing() -> None:
    """An answer made of tens of thousands of empty gzip members is refused at once, in far less than 50 ms."""
    body = _gzipped(b"") * (2**20 // 20)
    used = time.thread_time()
    with pytest.raises(UnreadableAnswer, match="more than 32 parts"):
        decoded(body, "gzip", limit=2**20)
    assert time.thread_time() - used < 0.05


def test_as_many_parts_as_a_block_compressor_writes() -> None:
    """A mebibyte in blocks of 64 KiB, each a member of its own, is read."""
    block = bytes(2**16)
    assert decoded(_gzipped(block) * 16, "gzip", limit=2**20) == bytes(2**20)
