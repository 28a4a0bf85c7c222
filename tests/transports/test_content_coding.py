"""Undoing content codings within bounds."""

from __future__ import annotations

import gzip
import zlib

import pytest

from vipps_async.transports.content_coding import UnreadableAnswer, decoded

TEXT = b'{"orderId":"acme-1"}'


def _bare_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (TEXT, ""),
        (TEXT, "identity"),
        (gzip.compress(TEXT), "gzip"),
        (gzip.compress(TEXT), " X-GZIP "),
        (gzip.compress(TEXT[:7]) + gzip.compress(TEXT[7:]), "gzip"),
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
        (gzip.compress(TEXT + b"x"), "gzip", "larger than 20 bytes"),
        (gzip.compress(TEXT) + gzip.compress(b"x"), "gzip", "larger"),
        (gzip.compress(TEXT)[:-1], "gzip", "cut short"),
        (gzip.compress(TEXT) + b"rubbish", "gzip", "damaged"),
        (b"rubbish", "gzip", "damaged"),
        (b"\xff rubbish", "deflate", "damaged"),
        (TEXT, "br", "not asked for"),
        (gzip.compress(gzip.compress(TEXT)), "gzip, gzip", "not asked for"),
    ],
)
def test_refuses_the_rest(body: bytes, coding: str, says: str) -> None:
    """What is too large, damaged, cut short or in an unknown coding is refused with its reason."""
    with pytest.raises(UnreadableAnswer, match=says):
        decoded(body, coding, limit=len(TEXT))
