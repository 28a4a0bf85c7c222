"""The signature of a delivery, by the known answers and by all that must not be good."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.support.rows import each_row
from tests.webhooks.delivered import AUTHORIZED, DATE, ID, SECRET, URL, body_of, delivery, headers_for
from vipps_async import CallbackError, InvalidInputError
from vipps_async.receiver import PaymentNotification, Receiver, Webhooks
from vipps_async.webhooks.signature import signed_target

PATH = "/vipps/webhooks?shop=1"


def _handle(*_: object) -> None:
    """Do nothing."""


def _reader(**options: Any) -> Receiver:
    given: dict[str, Any] = {"url": URL, "secrets": {ID: SECRET}, "on_event": _handle}
    return Receiver(Webhooks(**(given | options)))


def _read(headers: Any, body: bytes, at: str = PATH, **options: Any) -> Any:
    return _reader(**options).read("POST", at, headers, body)


def _status(headers: Any, body: bytes, **options: Any) -> int:
    with pytest.raises(CallbackError) as caught:
        _read(headers, body, **options)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    return caught.value.status


# -- known answers -----------------------------------------------------------------------------------------------------

VENDOR_URL = "https://webhook.site/e2cee29b-012e-4f1d-8ef4-e95fd74a7a63"
VENDOR_BODY = b'{"some-unique-content":"ee6e441b-cc4a-46f8-895d-a5af79bcc233/hello-world"}'
VENDOR_SECRET = "A0+AeKBRG2KRGvnNwJpQlb6IJFk48CKXCIcrLoHncVJKDILsQSxS6NWCccwWm6r6FhGKhiHTBsG2wo/xU6FY/A=="
MISPRINTED_SECRET = "A" * 86 + "=="
OWN_URL = "https://shop.example.com/hooks/vipps"
OWN_BODY = '{"n":"blåbær ø"}'.encode()
OWN_HASH = "xGqjDdBxShpnvhsNpXXZXzHUh5V7dWTXMODRvV1aGsw="
VENDOR_SIGNATURE = "agAiSyogQbDHpeucoNwYz+yAr5nJ+v+zasdkSbqzv+U="


def _known(date: str, content: str, signed: str) -> dict[str, str]:
    authorization = f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signed}"
    return {"x-ms-date": date, "x-ms-content-sha256": content, "Authorization": authorization}


def _vendor(signed: str = VENDOR_SIGNATURE) -> dict[str, str]:
    headers = headers_for(VENDOR_BODY, date="Thu, 30 Mar 2023 08:38:32 GMT", webhook_id=None)
    return _known(headers["x-ms-date"], headers["x-ms-content-sha256"], signed)


def test_the_vendor_s_example() -> None:
    """The vendor's own example of 2023 verifies."""
    options = {"url": VENDOR_URL, "secrets": [VENDOR_SECRET]}
    path = "/e2cee29b-012e-4f1d-8ef4-e95fd74a7a63"
    assert _read(_vendor(), VENDOR_BODY, path, **options).body == VENDOR_BODY


def test_the_vendor_s_misprint() -> None:
    """The newer page shows another secret beside the old signature: that pair does not verify, the right value does."""
    options: dict[str, Any] = {"url": VENDOR_URL, "secrets": [MISPRINTED_SECRET]}
    path = "/e2cee29b-012e-4f1d-8ef4-e95fd74a7a63"
    with pytest.raises(CallbackError, match="no known secret"):
        _read(_vendor(), VENDOR_BODY, path, **options)
    assert _read(_vendor("u4zz3dyO3c3xJwl36rPpn1n7WF75u6r2epjH70MZTGM="), VENDOR_BODY, path, **options)


def test_letters_beyond_ascii() -> None:
    """The hash is that of the bytes in UTF-8, and a secret that is a UUID is taken as it stands."""
    headers = _known(DATE, OWN_HASH, "hVP5wRMVpdHnSLv+ydC/l3dLtGhHWzRl0Y1KjhlWjwI=")
    options = {"url": OWN_URL, "secrets": ["090a478d-37ff-4e77-970e-d457aeb26a3a"]}
    assert _read(headers, OWN_BODY, "/hooks/vipps", **options).data == {"n": "blåbær ø"}


# -- what is good ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://Shop.Example.COM", ("/", "shop.example.com")),
        ("https://shop.example.com:443/a?b=c&d", ("/a?b=c&d", "shop.example.com")),
        ("https://shop.example.com:8080/a/", ("/a/", "shop.example.com:8080")),
        ("http://127.0.0.1:80/a", ("/a", "127.0.0.1")),
        ("http://[::1]:8000/a%20b", ("/a%20b", "[::1]:8000")),
    ],
)
def test_what_is_signed_of_a_url(url: str, target: tuple[str, str]) -> None:
    """Path and query as registered; the host in small letters, with a port that is not the usual one."""
    assert signed_target(url) == target


@pytest.mark.parametrize("path", ["/vipps/webhooks", "/vipps/webhooks?x", "/vipps%2Fwebhooks"])
def test_the_request_line_does_not_count(path: str) -> None:
    """Whatever became of query and host on the way, the registered URL's are signed."""
    headers, body = delivery()
    assert _read(headers | {"Host": "10.0.0.7:8000"}, body, path).reference == AUTHORIZED["reference"]


def test_a_path_of_its_own() -> None:
    """An application behind a proxy that rewrites paths says which path it is called by."""
    headers, body = delivery()
    assert isinstance(_read(headers, body, "/internal/hooks", path="/internal/hooks"), PaymentNotification)


def test_the_second_name_of_the_header() -> None:
    """Where a server has kept Authorization for itself, the signature may stand under the second name."""
    headers, body = delivery(name="X-Vipps-Authorization")
    assert _read(headers, body)
    # Only as a fall-back: what stands in Authorization decides.
    assert _status(headers | {"Authorization": "Basic eA=="}, body) == 401


@pytest.mark.parametrize(
    "secrets", [{ID: SECRET, "other": "another"}, {"other": SECRET, "x": "y"}, ["old", SECRET], SECRET]
)
def test_several_secrets(secrets: Any) -> None:
    """The header names the secret; where it names none that is known, any of them may be the one."""
    headers, body = delivery()
    assert _read(headers, body, secrets=secrets)
    assert _read(headers_for(body, webhook_id=None), body, secrets=secrets)


def test_the_header_picks_the_secret() -> None:
    """A delivery for one registration is not good with the secret of another."""
    headers, body = delivery(secret="another secret")
    assert _status(headers, body, secrets={ID: SECRET, "other": "another secret"}) == 401


def test_secrets_that_come_later() -> None:
    """A dictionary may be empty at first, which lets nobody in, and gets the secret once there is one."""
    secrets: dict[str, str] = {}
    reader = _reader(secrets=secrets)
    headers, body = delivery()
    with pytest.raises(CallbackError):
        reader.read("POST", PATH, headers, body)
    secrets[ID] = SECRET
    assert isinstance(reader.read("POST", PATH, headers, body), PaymentNotification)
    secrets[ID] = ""
    with pytest.raises(CallbackError):
        reader.read("POST", PATH, headers_for(body, secret=""), body)


def test_the_signature_is_followed_by_more() -> None:
    """What follows the signature behind an ampersand is not part of it, and its equals signs are."""
    headers, body = delivery()
    assert _read(headers | {"Authorization": headers["Authorization"] + "&Other=1"}, body)


# -- what is not -------------------------------------------------------------------------------------------------------


@each_row(
    "changes",
    [
        {"x-ms-date": "Mon, 19 Jan 2026 16:26:34 GMT"},
        {"x-ms-content-sha256": OWN_HASH},
        {"x-ms-content-sha256": ""},
        {"Authorization": ""},
        {"Authorization": "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="},
        {"Authorization": "Bearer token"},
        {"Authorization": "HMAC-SHA256 Signature=" + "A" * 2_000},
        {"x-ms-date": "\udc80"},
        {"Webhook-Id": "x" * 2_000},
    ],
)
def test_what_is_not_signed(changes: Mapping[str, str]) -> None:
    """Nothing of what is signed can be changed, and nothing can be left out."""
    headers, body = delivery()
    assert _status(headers | dict(changes), body) == 401


@pytest.mark.parametrize("missing", ["x-ms-date", "x-ms-content-sha256", "Authorization"])
def test_what_is_missing(missing: str) -> None:
    """Without one of the three headers, or with one twice, a delivery is refused before its body is read."""
    headers, body = delivery()
    assert _status({name: value for name, value in headers.items() if name != missing}, body) == 401
    assert _status([*headers.items(), (missing.upper(), headers[missing])], body) == 401


def test_another_body() -> None:
    """A body that was changed is refused, also if its hash was changed with it."""
    headers, body = delivery()
    other = body.replace(b"49900", b"99900")
    assert _status(headers, other) == 401
    changed = headers | {"x-ms-content-sha256": headers_for(other)["x-ms-content-sha256"]}
    assert _status(changed, other) == 401


def test_another_url() -> None:
    """A delivery that was signed for another path, query or host is refused."""
    for options in ({"target": "/vipps/webhooks"}, {"host": "evil.example.com"}, {"host": "shop.example.com:443"}):
        headers, body = delivery(**options)
        assert _status(headers, body) == 401


def test_nothing_switches_the_check_off() -> None:
    """No secret, an empty secret, or something else in its place is refused when the source is made."""
    for secrets in ([], "", [""], ["  "], {ID: ""}, None, b"x", [b"x"], {ID: None}, 5):
        with pytest.raises(InvalidInputError, match="secrets must be"):
            _reader(secrets=secrets)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"url": "shop.example.com"}, "url"),
        ({"url": "http://shop.example.com/"}, "url"),
        ({"path": "hooks"}, "path"),
        ({"path": "/hooks?x"}, "path"),
        ({"path": 5}, "path"),
        ({"max_age": 0}, "max_age"),
    ],
)
def test_wrong_settings(options: dict[str, Any], named: str) -> None:
    """Each setting is checked when the source is made."""
    with pytest.raises(InvalidInputError, match=named):
        _reader(**options)


def test_other_paths_and_methods() -> None:
    """The source answers for its own path only, and for POST only."""
    headers, body = delivery()
    for method, path, status in (("POST", "/vipps/webhooks/", 404), ("POST", "/", 404), ("GET", PATH, 405)):
        with pytest.raises(CallbackError) as caught:
            _reader().read(method, path, headers, body)
        assert (path, caught.value.status) == (path, status)


# -- age ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "good"), [(0, True), (250, True), (-250, True), (400, False), (-400, False)])
def test_age(seconds: int, good: bool) -> None:  # noqa: FBT001 - a column of the table
    """With `max_age` what was signed longer ago, or as far ahead, is refused; without it any date is good."""
    date = format_datetime(datetime.now(UTC) - timedelta(seconds=seconds), usegmt=True)
    headers, body = delivery(date=date)
    assert _read(headers, body)
    if good:
        assert _read(headers, body, max_age=300)
    else:
        assert _status(headers, body, max_age=300) == 401


@pytest.mark.parametrize("date", ["", "soon", "2026-01-19T16:26:33Z", "Mon, 99 Jan 2026 16:26:33 GMT", "9" * 300])
def test_a_date_that_is_none(date: str) -> None:
    """With `max_age`, a date that cannot be read is too old."""
    headers, body = delivery(date=date)
    assert _status(headers, body, max_age=300) == 401


def test_no_repr_shows_a_secret() -> None:
    """Neither secrets nor the URL, whose query may hold a key, stand in a repr."""
    source: Any = Webhooks(url=URL, secrets={ID: SECRET}, on_event=_handle)
    assert SECRET not in repr(source)
    assert "shop=1" not in repr(source)
    assert body_of(AUTHORIZED) == body_of(body_of(AUTHORIZED))
