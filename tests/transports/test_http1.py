"""HTTP/1.1 as bytes: requests read back by a parser that is not ours, URLs taken apart, content codings undone."""

from __future__ import annotations

import gzip
import time
import zlib
from typing import Any

import h11
import pytest
from attrs import frozen
from hypothesis import example, given, settings
from hypothesis import strategies as st
from yarl import URL

from tests.support.rows import each_row
from vipps_async import Request
from vipps_async.errors import InvalidInputError
from vipps_async.transports import http1
from vipps_async.transports.failures import UnusableResponse
from vipps_async.transports.http1 import Target, check_request, decode_content, parse_target, serialize_request

METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"]
FRAMING = [
    "connection",
    "content-length",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
]
TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@frozen
class Read:
    """One request as a parser reads it."""

    line: tuple[bytes, bytes]
    headers: list[tuple[bytes, bytes]]
    body: bytes


def read_back(wire: bytes) -> Read:
    """Read a request with h11, and see that nothing stands behind it."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(wire)
    head = server.next_event()
    assert isinstance(head, h11.Request)
    body = b""
    while isinstance(event := server.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert server.trailing_data == (b"", False)
    return Read((head.method, head.target), head.headers.raw_items(), body)


def request(headers: dict[str, str], *, method: str = "POST", body: bytes | None = b"{}") -> Request:
    """Make a request with these headers."""
    return Request(method=method, url="http://h/p", headers=headers, body=body)


def _target(host: str, path: str) -> Target:
    return Target(server=URL("http://h"), host=host, path=path)


names = st.one_of(
    st.text(TOKEN, min_size=1, max_size=8),
    st.sampled_from([*FRAMING, *map(str.title, FRAMING), "Host ", "Content-Length:", "X-Request-Id", ""]),
    st.text(st.sampled_from("aZ-: \t\r\n\0\x0b\x7f\xa0æ\u2028\ud800;,()/"), max_size=5),
)
values = st.one_of(
    st.text(max_size=20),
    st.text(st.characters(codec="ascii"), max_size=20),
    st.text(
        st.sampled_from("ab: \t\r\n\0\x0b\x0c\x1c\x85\x7f\xa0\xadæ\u2028\ud800\U0001f9e6"),
        max_size=8,
    ),
    st.sampled_from(
        [
            "1\r\nX: 2",
            "1\r\n\r\nGET / HTTP/1.1",
            "1\r\n folded",
            "1\n\tfolded",
            "1\r",
            "chunked",
        ]
    ),
)
bodies = st.none() | st.binary(max_size=30)


@settings(deadline=None, max_examples=150)  # a busy machine is no failure
@given(st.dictionaries(names, values, max_size=4), st.sampled_from(METHODS), bodies)
@example({"A": "1\n\tfolded"}, "POST", b"")
@example({"A": " \ta "}, "GET", None)
def test_what_is_written_is_one_request(headers: dict[str, str], method: str, body: bytes | None) -> None:
    """Whatever headers are given: refused, or read back as exactly that one request with exactly those headers."""
    try:
        wire = serialize_request(request(headers, method=method, body=body), _target("h:1", "/p?q=%20"))
    except InvalidInputError as error:
        assert error.value is None  # noqa: PT017 - both ends are fine
        return
    expected = [(b"Host", b"h:1")]
    # White space around a value is none of it (RFC 9110 5.5).
    expected += [(name.encode(), value.strip(" \t").encode()) for name, value in headers.items()]
    if body is not None or method in {"POST", "PUT", "PATCH"}:
        expected.append((b"Content-Length", str(len(body or b"")).encode()))
    assert read_back(wire) == Read((method.encode(), b"/p?q=%20"), expected, body or b"")


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.dictionaries(
        st.text(TOKEN, min_size=1, max_size=12).filter(lambda name: name.lower() not in FRAMING),
        st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=30),
        max_size=6,
    )
)
def test_what_is_sound_is_never_refused(headers: dict[str, str]) -> None:
    """Any token names a header, and any text without control characters is a value, in whatever script."""
    assert serialize_request(request(headers), _target("h", "/"))


def test_byte_for_byte() -> None:
    """Host first, headers in their order and spelling, the length last, then the body."""
    headers = {"x-b": "2", "X-A": "\t1"}
    assert (
        serialize_request(request(headers), _target("h:8", "/p?q"))
        == b"POST /p?q HTTP/1.1\r\nHost: h:8\r\nx-b: 2\r\nX-A: \t1\r\nContent-Length: 2\r\n\r\n{}"
    )


@each_row(
    "name",
    [
        "",
        " ",
        "A B",
        "A ",
        " A",
        "A:",
        "A: b\r\nC",
        "A\r\nB",
        "A\n",
        "A\0",
        "A\t",
        "A\x7f",
        "Æ",
        "K\u212a",
        "A\ud800",
        "(A)",
        "A/B",
        "Content-Length ",
        "Content-Length:",
        "Content\x0bLength",
    ],
)
@each_row("others", [{}, {"X-Sound": "1"}])
def test_a_name_that_is_no_token_is_refused(name: str, others: dict[str, str]) -> None:
    """A header whose name is no token is refused each time that it comes, and is not quoted."""
    for _ in range(2):
        with pytest.raises(InvalidInputError, match="named by letters, digits and hyphens") as caught:
            check_request(request({**others, name: "1"}))
        assert caught.value.value is None
    check_request(request({"X-Sound": "1"}))


@each_row("name", FRAMING)
@each_row("spelled", [str.lower, str.upper, str.title])
def test_a_header_that_frames_is_refused(name: str, spelled: Any) -> None:
    """A header that only the transport may set is refused in any spelling, also beside sound ones, each time."""
    for _ in range(2):
        with pytest.raises(InvalidInputError, match="without any of connection, content-length"):
            check_request(request({"X-Sound": "1", spelled(name): "1"}))


@each_row(
    "value",
    [
        "\r",
        "\n",
        "a\r\nB: c",
        "a\r\n b",
        "\0",
        "a\x0bb",
        "a\x0cb",
        "a\x1bb",
        "a\x7f",
        "a\ud800",
    ],
)
def test_a_value_that_would_end_or_be_read_otherwise_is_refused(value: str) -> None:
    """Line breaks, folded or not, other control characters and halves of characters are refused and not quoted."""
    with pytest.raises(InvalidInputError, match="without control characters") as caught:
        check_request(request({"X-Sound": "1", "X-Value": value}))
    assert caught.value.value is None


@pytest.mark.parametrize("method", ["", "get", "CONNECT", "GET /x HTTP/1.1\r\nX:", "GET ", "GÉT", "FOO"])
def test_a_method_that_is_none_is_refused(method: str) -> None:
    """A method that HTTP does not have, or that makes a tunnel of the connection, is refused."""
    with pytest.raises(InvalidInputError, match="method must be one of DELETE, GET,"):
        check_request(request({}, method=method))


@pytest.mark.parametrize("headers", [{"A": 1}, {"A": b"1"}, {1: "A"}, {"A": None}])
def test_what_is_no_text_is_a_mistake_that_shows(headers: Any) -> None:
    """A number or bytes among the headers is a TypeError: it must not be taken for a header."""
    with pytest.raises(TypeError):
        serialize_request(request(headers), _target("h", "/"))


# --- where a request goes ------------------------------------------------------------------------------------------


@each_row(
    ("text", "host", "target"),
    [
        ("http://h", "h", "/"),
        ("http://h/p?q=/%20&r=?#f/g", "h", "/p?q=/%20&r=?"),
        ("http://h/p#f?q", "h", "/p"),
        ("http://h/p#f", "h", "/p"),
        ("http://h/#", "h", "/"),
        ("http://h/?", "h", "/"),
        ("http://h?q/r", "h", "/?q/r"),
        ("http://h#f/g", "h", "/"),
        ("https://h:443/p", "h", "/p"),
        ("http://h:443/p", "h:443", "/p"),
        ("http://[::1]:80/p", "[::1]", "/p"),
        ("http://user:secret@h/p", "h", "/p"),
    ],
)
def test_a_url_is_taken_apart(text: str, host: str, target: str) -> None:
    """Host as a Host header wants it, path and query as they stand, no fragment."""
    assert (parse_target(text).host, parse_target(text).path) == (host, target)


@each_row(
    "text",
    [
        "http://h/a b",
        "http://h/æ",
        "http://h/a\r\nX: y",
        "http://h/a\nb",
        "http://h/a\tb",
        "http://h/a\0",
        "http://h/a\x7f",
        "http://h/a\xa0",
        "http://h/?q=æ",
        "http://h/?q=a b",
        " http://h/a",
        "http://h/a ",
        "http://h/a#b c",
        "http://h\n/a",
        "http://a b/c",
        "http://høst/a",
        "http://h\u2028/a",
    ],
)
def test_what_is_not_percent_encoded_is_refused(text: str) -> None:
    """Spaces, line breaks and what is not ASCII are refused anywhere in a URL, never tidied away, and not quoted."""
    with pytest.raises(InvalidInputError, match="url must be percent-encoded") as caught:
        parse_target(text)
    assert caught.value.value is None


def test_names_and_passwords_are_not_kept() -> None:
    """Only servers are remembered, a few of them: never a name or a password that stands before one."""
    http1._server.cache_clear()
    for text in ("http://user:canary@h/p", "http://canary@h/p"):
        assert parse_target(text).host == "h"
    assert http1._server.cache_info().currsize == 0
    for number in range(100):
        for path in ("/a", "/b"):
            target = parse_target(f"http://h{number}{path}")
            assert (target.host, target.path, target.url.user) == (f"h{number}", path, None)
    assert http1._server.cache_info().currsize == 16


def fresh(text: str) -> Target | None:
    """What yarl says of a URL; None: it is none that can be used."""
    if " " in text or any(not "!" <= char <= "~" for char in text):
        return None
    try:
        url = URL(text, encoded=True)
        if url.scheme not in {"http", "https"} or not url.raw_host or url.port is None:
            return None
    except (ValueError, IndexError):
        return None
    return Target(server=url.origin(), host=url.host_port_subcomponent or "", path=url.raw_path_qs)


def _parts(url: URL) -> tuple[str, str | None, int | None, str]:
    return url.scheme, url.raw_host, url.port, url.raw_path_qs


parts = st.one_of(
    st.sampled_from(["http", "https", "HTTP", "ftp", ":", "://", "/", "//", "?", "#", "@", "user"]),
    st.sampled_from(["h", "H", "h2", "[::1]", "[", "]", ":8", ":80", ":443", ":99999", ":x"]),
    st.sampled_from(["%", "%2F", "%zz", "a", "b", "..", ".", "=", "&", ";", "\\", "æ", " ", "\n", "\t"]),
)
made_up = st.builds(
    lambda server, rest: server + "".join(rest),
    st.sampled_from(
        [
            "http://h",
            "http://h/",
            "https://h/a",
            "http://h2:80/",
            "http://h?",
            "http://h#",
            "http://u:p@h/",
            "http://",
            "",
        ]
    ),
    st.lists(parts, max_size=6),
)


@settings(deadline=None, max_examples=150)  # a busy machine is no failure
@given(st.lists(made_up | st.text(max_size=12), min_size=1, max_size=8))
@example(["http://h", "http://h2"])
@example(["http://h?a/b", "http://h?a/c"])
@example(["http://h/a?", "http://h/a?"])
@example(["http://h/a#", "http://h/a#f"])
@example(["http://[]@", "http://[]@/p"])
def test_it_says_what_yarl_says(texts: list[str]) -> None:
    """Whatever came before: any URL is taken apart as yarl does it afresh, or is refused and not quoted."""
    for text in texts:
        try:
            found = parse_target(text)
        except InvalidInputError as error:
            assert error.value is None  # noqa: PT017 - both ends are fine
            found = None
        assert found == fresh(text)
        if found is not None:
            assert _parts(found.url) == _parts(URL(text, encoded=True))


# --- content codings -----------------------------------------------------------------------------------------------

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
    assert decode_content(body, coding, limit=len(TEXT)) == TEXT


def test_an_empty_body_needs_no_decoding() -> None:
    """An answer without a body may name a coding: to HEAD, for one."""
    assert decode_content(b"", "br", limit=0) == b""


@each_row(
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
    with pytest.raises(UnusableResponse, match=says):
        decode_content(body, coding, limit=len(TEXT))


def test_a_mebibyte_of_empty_parts_costs_nothing() -> None:
    """An answer made of tens of thousands of empty gzip members is refused at once, in far less than 50 ms."""
    body = _gzipped(b"") * (2**20 // 20)
    used = time.thread_time()
    with pytest.raises(UnusableResponse, match="more than 32 parts"):
        decode_content(body, "gzip", limit=2**20)
    assert time.thread_time() - used < 0.05


def test_as_many_parts_as_a_block_compressor_writes() -> None:
    """A mebibyte in blocks of 64 KiB, each a member of its own, is read."""
    block = bytes(2**16)
    assert decode_content(_gzipped(block) * 16, "gzip", limit=2**20) == bytes(2**20)
