"""The page of recorded requests and callbacks: bodies and headers, with secrets left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from vipps_async.sandbox.network.history import CallbackRecord, RequestRecord

#: The longest body that is shown, in characters.
_MAX_SHOWN = 4_000
#: The headers that are shown; the values of others are in the records only.
_SHOWN_HEADERS = (
    "X-Request-Id",
    "Idempotency-Key",
    "Merchant-Serial-Number",
    "Content-Type",
    "Vipps-System-Name",
    "Vipps-System-Version",
    "Vipps-System-Plugin-Name",
    "Vipps-System-Plugin-Version",
)
_SECRETS = frozenset(
    {"authToken", "access_token", "token", "secret", "callbackAuthorizationToken", "customerToken", "personalQr"}
)
#: URLs that have a payment's token in them.
_URLS = frozenset({"url", "redirectUrl"})
_HIDDEN = "(hidden)"


def shown_path(record: RequestRecord) -> str:
    """Return the path; of user info (which ends with the `sub`) and of unknown paths without its last part."""
    secret = record.operation in {"userinfo", ""}
    return record.path.rpartition("/")[0] + "/…" if secret else record.path


def shown_url(record: CallbackRecord) -> str:
    """Return the URL; of a consent removal without its last part, the customer's id."""
    return record.url.rpartition("/")[0] + "/…" if record.kind == "consentRemoval" else record.url


def shown_headers(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the headers that are known to hold no secret."""
    return [(name, headers[name]) for name in _SHOWN_HEADERS if name in headers]


def shown_body(body: bytes) -> str:
    """Return a body as text: JSON indented and without secrets, cut off after 4,000 characters."""
    try:
        text = orjson.dumps(_without_secrets(orjson.loads(body)), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        text = body.decode("utf-8", "replace")
    if len(text) > _MAX_SHOWN:
        text = f"{text[:_MAX_SHOWN]}\n… {len(text) - _MAX_SHOWN} more characters"
    return text


def _without_secrets(value: Any, name: str = "") -> Any:
    if name in _SECRETS:
        return _HIDDEN
    if isinstance(value, dict):
        return {name: _without_secrets(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_secrets(inner) for inner in value]
    if name in _URLS and isinstance(value, str):
        head, mark, _ = value.partition("token=")
        return f"{head}{mark}{_HIDDEN}" if mark else value
    return value
