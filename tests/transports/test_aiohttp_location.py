"""URLs taken apart, with servers that are known by then and servers that are not."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from yarl import URL

from vipps_async.errors import InvalidInputError
from vipps_async.transports import aiohttp_location
from vipps_async.transports.aiohttp_location import Location, Locations
from vipps_async.transports.request_rules import checked_url


def fresh(text: str) -> Location | None:
    """What yarl says of a URL; None: it is none that can be used."""
    if " " in text or any(not "!" <= char <= "~" for char in text):
        return None
    try:
        url = URL(text, encoded=True)
        if url.scheme not in {"http", "https"} or not url.raw_host or url.port is None:
            return None
    except (ValueError, IndexError):
        return None
    return Location(url=url, host=url.host_port_subcomponent or "", target=url.raw_path_qs)


def found(locations: Locations, text: str) -> Location | None:
    """What is found; None: it is refused."""
    try:
        return locations.of(text)
    except InvalidInputError as error:
        assert error.value is None  # noqa: PT017 - both ends are fine
        return None


def test_a_server_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second URL of a server is taken apart without looking at the server again."""
    looked_at: list[str] = []
    real = checked_url

    def checked(text: str) -> URL:
        looked_at.append(text)
        return real(text)

    monkeypatch.setattr(aiohttp_location, "checked_url", checked)
    locations = Locations()
    for path in ("/a", "/b%2Fc", "/", "/a//b/../c"):
        location = locations.of(f"https://h:8{path}")
        assert (location.host, location.target, str(location.url)) == ("h:8", path, f"https://h:8{path}")
    assert looked_at == ["https://h:8/a"]


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
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
def test_a_url_is_taken_apart(text: str, host: str, target: str, *, known: bool) -> None:
    """Host as a Host header wants it, path and query as they stand, no fragment: also of a server that is known."""
    locations = Locations()
    if known:
        for other in ("http://h/a", "https://h:443/a", "http://h:443/", "http://[::1]:80/", text):
            locations.of(other)
    assert (locations.of(text).host, locations.of(text).target) == (host, target)


@pytest.mark.parametrize(
    ("first", "second", "target"),
    [
        ("http://one", "http://two", "/"),
        ("http://one?a/b", "http://one?a/c", "/?a/c"),
        ("http://one#a/b", "http://one#a/c", "/"),
    ],
)
def test_no_url_is_taken_for_another(first: str, second: str, target: str) -> None:
    """Nothing but a whole server is remembered: a URL without a path never leads to the server of the one before."""
    locations = Locations()
    locations.of(first)
    location = locations.of(second)
    assert (str(location.url), location.target) == (str(URL(second, encoded=True)), target)


def test_names_and_passwords_are_not_kept() -> None:
    """A URL with a name or a password leaves no trace of it."""
    locations = Locations()
    for text in ("http://user:canary@h/p", "http://canary@h/p", "http://h/a"):
        assert locations.of(text).host == "h"
    assert list(locations._servers) == [("http:", "", "h")]
    assert "canary" not in f"{locations._servers}"
    assert locations.of("http://h/b").url.user is None


def test_more_servers_than_are_remembered() -> None:
    """Who goes to ever new servers fills no memory, and is still sent to the right ones."""
    locations = Locations()
    for number in range(100):
        for path in ("/a", "/b"):
            location = locations.of(f"http://h{number}{path}")
            assert (location.host, location.target) == (f"h{number}", path)
    assert len(locations._servers) == aiohttp_location._MOST_SERVERS


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
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
def test_what_is_not_percent_encoded_is_refused(text: str, *, known: bool) -> None:
    """Spaces, line breaks and what is not ASCII are refused anywhere in a URL, never tidied away, and not quoted."""
    locations = Locations()
    if known:
        locations.of("http://h/a")
    with pytest.raises(InvalidInputError, match="url must be percent-encoded") as caught:
        locations.of(text)
    assert caught.value.value is None


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


@settings(deadline=None, max_examples=500)  # a busy machine is no failure
@given(st.lists(made_up | st.text(max_size=12), min_size=1, max_size=8))
@example(["http://h", "http://h2"])
@example(["http://h?a/b", "http://h?a/c"])
@example(["http://h/a?", "http://h/a?"])
@example(["http://h/a#", "http://h/a#f"])
@example(["http://[]@", "http://[]@/p"])
def test_it_says_what_yarl_says(texts: list[str]) -> None:
    """Whatever came before: any URL is taken apart as yarl does it afresh, or is refused."""
    locations = Locations()
    for text in texts:
        assert found(locations, text) == fresh(text)
