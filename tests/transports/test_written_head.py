"""Requests as they stand on the wire, read back by a parser that is not ours."""

from __future__ import annotations

from typing import Any

import h11
import pytest
from attrs import frozen
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vipps_async import Request
from vipps_async.errors import InvalidInputError
from vipps_async.transports import written_head
from vipps_async.transports.written_head import refuse_unsendable, written

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


@settings(deadline=None, max_examples=500)  # a busy machine is no failure
@given(st.dictionaries(names, values, max_size=4), st.sampled_from(METHODS), bodies)
@example({"A": "1\n\tfolded"}, "POST", b"")
@example({"A": " \ta "}, "GET", None)
def test_what_is_written_is_one_request(headers: dict[str, str], method: str, body: bytes | None) -> None:
    """Whatever headers are given: refused, or read back as exactly that one request with exactly those headers."""
    try:
        wire = written(request(headers, method=method, body=body), host="h:1", target="/p?q=%20")
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
    assert written(request(headers), host="h", target="/")


def test_byte_for_byte() -> None:
    """Host first, headers in their order and spelling, the length last, then the body."""
    headers = {"x-b": "2", "X-A": "\t1"}
    assert (
        written(request(headers), host="h:8", target="/p?q")
        == b"POST /p?q HTTP/1.1\r\nHost: h:8\r\nx-b: 2\r\nX-A: \t1\r\nContent-Length: 2\r\n\r\n{}"
    )


@pytest.mark.parametrize(
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
@pytest.mark.parametrize("others", [{}, {"X-Sound": "1"}])
def test_a_name_that_is_no_token_is_refused(name: str, others: dict[str, str]) -> None:
    """A header whose name is no token is refused each time that it comes, and is not quoted."""
    for _ in range(2):
        with pytest.raises(InvalidInputError, match="named by letters, digits and hyphens") as caught:
            refuse_unsendable(request({**others, name: "1"}))
        assert caught.value.value is None
    refuse_unsendable(request({"X-Sound": "1"}))


@pytest.mark.parametrize("name", FRAMING)
@pytest.mark.parametrize("spelled", [str.lower, str.upper, str.title])
def test_a_header_that_frames_is_refused(name: str, spelled: Any) -> None:
    """A header that only the transport may set is refused in any spelling, also beside sound ones, each time."""
    for _ in range(2):
        with pytest.raises(InvalidInputError, match="without any of connection, content-length"):
            refuse_unsendable(request({"X-Sound": "1", spelled(name): "1"}))


@pytest.mark.parametrize(
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
        refuse_unsendable(request({"X-Sound": "1", "X-Value": value}))
    assert caught.value.value is None


@pytest.mark.parametrize("method", ["", "get", "CONNECT", "GET /x HTTP/1.1\r\nX:", "GET ", "GÉT", "FOO"])
def test_a_method_that_is_none_is_refused(method: str) -> None:
    """A method that HTTP does not have, or that makes a tunnel of the connection, is refused."""
    with pytest.raises(InvalidInputError, match="method must be one of DELETE, GET,"):
        refuse_unsendable(request({}, method=method))


@pytest.mark.parametrize("headers", [{"A": 1}, {"A": b"1"}, {1: "A"}, {"A": None}])
def test_what_is_no_text_is_a_mistake_that_shows(headers: Any) -> None:
    """A number or bytes among the headers is a TypeError: it must not be taken for a header."""
    with pytest.raises(TypeError):
        written(request(headers), host="h", target="/")


def test_names_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who makes up header names fills no memory, and is still served, and still refused."""
    monkeypatch.setattr(written_head, "_sound_names", set())
    for number in range(1000):
        headers = {f"X-{number}": "1", "X-Same": "2"}
        assert len(read_back(written(request(headers), host="h", target="/")).headers) == 4
    assert 0 < len(written_head._sound_names) <= written_head._MOST_NAMES
    with pytest.raises(InvalidInputError):
        refuse_unsendable(request({"X-1001": "1", "Host": "x"}))
