"""Lists of what came in and what went out: requests and callbacks with their bodies, secrets left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from vipps_async.sandbox.network.history import CallbackRecord, RequestRecord
from vipps_async.sandbox.pages.layout import moment
from vipps_async.sandbox.pages.markup import Html, foreign, tag
from vipps_async.sandbox.wire.paths import OPERATIONS

__all__ = ["callback_list", "request_list", "requests_of"]

#: The longest body that is shown, in characters.
_MAX_SHOWN = 4_000
#: Headers that are shown as they are; of all others only tests get to see the value.
_SHOWN_HEADERS = (
    "X-Request-Id",
    "Merchant-Serial-Number",
    "Content-Type",
    "Vipps-System-Name",
    "Vipps-System-Version",
    "Vipps-System-Plugin-Name",
    "Vipps-System-Plugin-Version",
)
#: The operations whose paths name an order, before their last part.
_OF_AN_ORDER = frozenset(operation for operation, (_, path) in OPERATIONS.items() if "{order_id}/" in path)
_SECRETS = frozenset({"authToken", "access_token", "token"})
_HIDDEN = "(hidden)"


def requests_of(records: Iterable[RequestRecord], msn: str, order_id: str) -> Iterator[RequestRecord]:
    """Return the API requests about one order."""
    for record in records:
        if record.operation == "initiate":
            about = _whose(record.body)
            if about == (msn, order_id):
                yield record
        elif record.operation in _OF_AN_ORDER and record.path.rstrip("/").split("/")[-2] == order_id:
            named = record.headers.get("Merchant-Serial-Number") or _whose(record.body)[0]
            if named in {None, msn}:
                yield record


def _whose(body: bytes) -> tuple[object, object]:
    value = _parsed(body)
    parts = value if isinstance(value, dict) else {}
    merchant, transaction = parts.get("merchantInfo"), parts.get("transaction")
    return (
        merchant.get("merchantSerialNumber") if isinstance(merchant, dict) else None,
        transaction.get("orderId") if isinstance(transaction, dict) else None,
    )


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def request_list(records: Iterable[RequestRecord], *, identity: str) -> Html:
    """Return a list of requests, the newest first."""
    items = [_request(record) for record in records]
    return _list(items[::-1], identity, "No requests on record.")


def callback_list(records: Iterable[CallbackRecord], *, identity: str) -> Html:
    """Return a list of callbacks, the newest first."""
    items = [_callback(record) for record in records]
    return _list(items[::-1], identity, "Nothing was sent to the shop.")


def _list(items: list[Html], identity: str, nothing: str) -> Html:
    content = tag("ol", items, class_="exchanges") if items else tag("p", nothing, class_="help")
    return tag("div", content, id=identity, data_live=True)


def _request(record: RequestRecord) -> Html:
    secret_path = record.operation == "userinfo" or not record.operation
    path = record.path if not secret_path else record.path.rpartition("/")[0] + "/…"
    failed = record.status is None or record.status >= 400
    return tag(
        "li",
        tag(
            "details",
            tag(
                "summary",
                moment(record.at),
                " ",
                tag("strong", record.operation or "page"),
                " ",
                tag("code", f"{record.method} ", foreign(path)),
                " ",
                _about(record),
                _badge("no answer" if record.status is None else str(record.status), failed=failed),
                " ",
                tag("span", f"fault: {record.fault}", class_="fault") if record.fault else None,
            ),
            tag("h4", "Request"),
            _headers(record.headers),
            _body(record.body),
            tag("h4", "Answer"),
            _body(record.answer),
        ),
    )


def _about(record: RequestRecord) -> Html | None:
    """Say what the path does not: the order of an initiate, the key of a capture or refund."""
    about = _whose(record.body)[1] if record.operation == "initiate" else record.headers.get("X-Request-Id")
    return tag("span", foreign(str(about)[:50]), " ", class_="about") if about else None


def _callback(record: CallbackRecord) -> Html:
    # A consent removal's URL ends with the customer's id.
    url = record.url if record.kind != "consentRemoval" else record.url.rpartition("/")[0] + "/…"
    said = str(record.status) if record.status is not None else record.failure
    return tag(
        "li",
        tag(
            "details",
            tag(
                "summary",
                moment(record.at),
                " ",
                tag("strong", record.kind),
                " ",
                tag("code", f"{record.method} ", foreign(url)),
                " ",
                _badge(said, failed=not record.delivered),
            ),
            tag("h4", "Sent"),
            _body(record.body),
            tag("h4", "The shop answered"),
            _body(record.answer) if record.status is not None else tag("p", record.failure, class_="help"),
        ),
    )


def _badge(text: str, *, failed: bool) -> Html:
    return tag("span", text, class_="badge bad" if failed else "badge good")


def _headers(headers: Mapping[str, str]) -> Html | None:
    shown = [(name, headers[name]) for name in _SHOWN_HEADERS if name in headers]
    if not shown:
        return None
    return tag(
        "dl",
        [tag("div", tag("dt", name), tag("dd", tag("code", foreign(value)))) for name, value in shown],
        class_="facts",
    )


def _body(body: bytes) -> Html:
    if not body:
        return tag("p", "No body.", class_="help")
    value = _parsed(body)
    if value is None:
        text = body.decode("utf-8", "replace")
    else:
        text = orjson.dumps(_without_secrets(value), option=orjson.OPT_INDENT_2).decode()
    if len(text) > _MAX_SHOWN:
        text = f"{text[:_MAX_SHOWN]}\n… {len(text) - _MAX_SHOWN} more characters"
    return tag("pre", tag("code", foreign(text)), tabindex=0)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _HIDDEN
            if name in _SECRETS
            else _without_token(inner)
            if name == "url" and isinstance(inner, str)
            else _without_secrets(inner)
            for name, inner in value.items()
        }
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value


def _without_token(url: str) -> str:
    head, mark, _ = url.partition("token=")
    return f"{head}{mark}{_HIDDEN}" if mark else url
