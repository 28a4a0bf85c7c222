r"""The signature of a delivery: HMAC-SHA256 over the registered URL, the date and the hash of the raw body.

Vipps signs ``POST\n{path?query}\n{x-ms-date};{host};{hash}``, the hash being base64 of the body's SHA-256, with the
secret's own UTF-8 bytes as key (Webhooks API, request authentication). Path and host are those of the URL that was
registered: what stands before an application may have changed both in the request that reaches it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from attrs import field, frozen

from vipps_async.errors import CallbackError

_DATE: Final = "x-ms-date"
_HASH: Final = "x-ms-content-sha256"
_MARK: Final = "Signature="
#: The longest value of a header that is looked at, in characters: an honest one has 150.
_LONGEST: Final = 1_000
_USUAL_PORTS = {"https": 443, "http": 80}


@frozen(kw_only=True)
class SignedHeaders:
    """What a delivery's headers say of its signature."""

    date: str
    content_hash: bytes
    signature: bytes = field(repr=False)
    #: The registration, by the header `Webhook-Id`; None: it does not say.
    webhook_id: str | None


def signed_target(url: str) -> tuple[str, str]:
    """Return path with query, and authority, of a registered URL, as they are signed: a usual port is left out."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in {None, _USUAL_PORTS.get(parts.scheme)} else f":{parts.port}"
    query = f"?{parts.query}" if parts.query else ""
    return (parts.path or "/") + query, host + port


def read_signed_headers(headers: Iterable[tuple[str, str]]) -> SignedHeaders:
    """Read the headers of a signature.

    The signature stands in `Authorization`; only where there is none, in `X-Vipps-Authorization`, as some servers keep
    `Authorization` for themselves.

    Args:
        headers: names in lower case, and values.

    Raises:
        CallbackError: one is missing, there twice, or of another form (401).
    """
    named: dict[str, list[str]] = {}
    for name, value in headers:
        named.setdefault(name, []).append(value)
    authorization = "authorization" if "authorization" in named else "x-vipps-authorization"
    given = _only(named, authorization)
    scheme, _, rest = given.partition(" ")
    _, found, signature = rest.partition(_MARK)
    if scheme != "HMAC-SHA256" or not found:
        raise CallbackError("the Authorization header holds no HMAC-SHA256 signature", status=401)
    return SignedHeaders(
        date=_only(named, _DATE),
        content_hash=_only(named, _HASH).encode("utf-8", "surrogatepass"),
        signature=signature.partition("&")[0].encode("utf-8", "surrogatepass"),
        webhook_id=_only(named, "webhook-id") if "webhook-id" in named else None,
    )


def _only(named: dict[str, list[str]], name: str) -> str:
    values = named.get(name, [])
    if len(values) != 1 or len(values[0]) > _LONGEST:
        raise CallbackError(f"there is not exactly one {name} header of a usual length", status=401)
    return values[0]


def verify(signed: SignedHeaders, body: bytes, *, target: tuple[str, str], secrets: Iterable[str]) -> None:
    """Check hash and signature, in constant time.

    Args:
        signed: what the headers say.
        body: the raw bytes, as they came.
        target: see `signed_target`.
        secrets: any of them is good; an empty one never is.

    Raises:
        CallbackError: the body is another one, or none of the secrets has made the signature (401).
    """
    content_hash = base64.b64encode(hashlib.sha256(body).digest())
    if not hmac.compare_digest(content_hash, signed.content_hash):
        raise CallbackError(f"{_HASH} is not the hash of the body", status=401)
    path, authority = target
    text = f"POST\n{path}\n{signed.date};{authority};".encode("utf-8", "surrogatepass") + content_hash
    # All of them are compared, whichever fits.
    keys = [secret.encode() for secret in secrets if secret]
    made = [base64.b64encode(hmac.digest(key, text, hashlib.sha256)) for key in keys]
    if sum(hmac.compare_digest(signed.signature, one) for one in made) == 0:
        raise CallbackError("no known secret has made the signature", status=401)


def check_age(date: str, max_age: float) -> None:
    """Refuse what was signed too long ago, or as far ahead.

    Args:
        date: RFC 1123's, as it was signed.
        max_age: seconds.

    Raises:
        CallbackError: it was (401), or the date is none.
    """
    try:
        moment = parsedate_to_datetime(date)
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        age = abs((datetime.now(UTC) - moment).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        age = float("inf")
    if age > max_age:
        raise CallbackError(f"it was not signed within the last {max_age:g} seconds", status=401)
