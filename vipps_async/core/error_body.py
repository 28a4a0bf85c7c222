"""Parses the body of an error response: its errors in any known shape, or else its kind and length."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from vipps_async.core.converter import UnreadableAnswer, as_utf8, load_json
from vipps_async.errors import ErrorInfo

#: How many errors of one answer are kept.
_MOST_ERRORS = 20
#: How many bytes are looked at to tell what a body is that is not JSON.
_WINDOW = 16_384
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{0,500})", re.IGNORECASE)
_HTML = re.compile(r"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_FORM = re.compile(r"[^\s=&<>{}\[\]\"]+=[^\s=&<>{}\[\]\"]*(?:&[^\s=&<>{}\[\]\"]+=[^\s=&<>{}\[\]\"]*)*")

Item = Mapping[str, Any]
#: Reads one object in an API's own shape, its keys casefolded; empty: it is in another shape.
ReadError = Callable[[Item], Sequence[ErrorInfo]]


@frozen
class ErrorBody:
    """The errors of a response body as received; they must be redacted before they are shown."""

    #: All errors, in order; none if the body is in no known shape.
    errors: tuple[ErrorInfo, ...]
    #: Whether it is written as Vipps and its gateway write; else anybody on the way may have said it.
    in_vipps_words: bool
    #: The JSON in UTF-8; None: it is none.
    json: bytes | None
    #: What it is, with its length; of a page that is no JSON also the title, which is not redacted yet.
    kind: str
    #: Whether it is a page for people.
    is_html: bool = False


def read_error_body(body: bytes, read_error: ReadError) -> ErrorBody:
    """Read all errors of a body, in any of the shapes that the API, its gateway and what stands before it use.

    The shapes: the API's own, which `read_error` knows, one, a list, or under ``errorInfo``; the gateway's
    ``statusCode``/``message`` and ``responseInfo``/``result``; OAuth's ``error``/``error_description``; RFC 7807 and
    ASP.NET's ``errors`` by field; ``error`` as an object, and ``message`` alone. Names count in upper and lower case.
    """
    plain = as_utf8(body)
    try:
        data = load_json(plain)
    except UnreadableAnswer:
        kind, is_html = _kind_of(plain, len(body))
        return ErrorBody((), in_vipps_words=False, json=None, kind=kind, is_html=is_html)
    if isinstance(data, str):
        # Free text in quotes is free text.
        return ErrorBody((), in_vipps_words=False, json=None, kind=f"text of {len(body):,} bytes")
    items = data if isinstance(data, list) else [data]
    found, in_vipps_words = [], False
    for item in items[:_MOST_ERRORS]:
        if isinstance(item, dict):
            errors, is_theirs = _read_item(item, read_error)
            found += errors
            in_vipps_words = in_vipps_words or (is_theirs and bool(errors))
    return ErrorBody(tuple(found[:_MOST_ERRORS]), in_vipps_words, plain, f"JSON of {len(body):,} bytes")


def _kind_of(body: bytes, length: int) -> tuple[str, bool]:
    """Describe a body that is not JSON, and tell whether it is HTML; quotes nothing but the title of an HTML page."""
    size = f"of {length:,} bytes"
    window = body[:_WINDOW]
    try:
        text = window.decode("utf-8").strip()
    except UnicodeDecodeError:
        # A window may end within a character, and old servers write Latin-1; binary has control characters.
        text = window.decode("latin-1").strip()
    if not text:
        return "an empty body", False
    if _HTML.search(text) and text.startswith("<"):
        title = _TITLE.search(text)
        words = " ".join(html.unescape(title[1]).split()) if title is not None else ""
        return f'an HTML page {size}, titled "{words}"' if words else f"an HTML page {size}", True
    if text.startswith("<"):
        return f"XML {size}", False
    if text[0] in "{[":
        return f"JSON that is cut short, broken or endless, {size}", False
    if any(ord(char) < 32 and char not in "\t\n\r\f" for char in text):
        return f"{length:,} bytes that are no text", False
    return (f"a form {size}" if _FORM.fullmatch(text) else f"text {size}"), False


def _read_item(item: Item, read_error: ReadError) -> tuple[list[ErrorInfo], bool]:
    """Return the errors of one object, and whether Vipps or its gateway writes so."""
    named = _by_folded_name(item)
    if own := read_error(named):
        return list(own), True
    inner = [part for name in ("errorinfo", "error", "errors") for part in _objects(named.get(name))]
    found = [info for part in inner for info in read_error(_by_folded_name(part))]
    if not found:
        found = _read_gateway(named) or _read_oauth(named) or list(_read_problem(named))
    if found:
        return found, True
    if isinstance(named.get("error"), dict):
        named = _by_folded_name(named["error"])
    code, message = error_text(named.get("code")), error_text(named.get("message"))
    return ([ErrorInfo("", code, message, error_reference(named))] if message or code else []), False


def _by_folded_name(item: Item) -> Item:
    return {key.casefold(): value for key, value in item.items()}


def _objects(value: object) -> list[dict[str, Any]]:
    parts = value if isinstance(value, list) else [value]
    return [part for part in parts[:_MOST_ERRORS] if isinstance(part, dict)]


def _read_gateway(named: Item) -> list[ErrorInfo]:
    if isinstance(named.get("responseinfo"), dict):
        info, result = _by_folded_name(named["responseinfo"]), named.get("result")
        message = error_text(_by_folded_name(result).get("message")) if isinstance(result, dict) else ""
        return [ErrorInfo("", error_text(info.get("responsecode")), message or error_text(info.get("responsemessage")))]
    if "statuscode" in named and "message" in named:
        return [ErrorInfo("", error_text(named["statuscode"]), error_text(named["message"]), error_reference(named))]
    return []


def _read_oauth(named: Item) -> list[ErrorInfo]:
    if not isinstance(named.get("error"), str):
        return []
    return [
        ErrorInfo("", error_text(named["error"]), error_text(named.get("error_description")), error_reference(named))
    ]


def _read_problem(named: Item) -> Iterator[ErrorInfo]:
    if not ("title" in named or "detail" in named or isinstance(named.get("errors"), dict)):
        return
    message = title_and_detail(named)
    code = error_text(named.get("type")) or error_text(named.get("status"))
    if message or code:
        yield ErrorInfo("", code, message, error_reference(named))
    details = named.get("extradetails") or named.get("invalidparams") or named.get("errors")
    if isinstance(details, dict):
        # ASP.NET: the name of a field, and all that is wrong with it.
        for name, reasons in list(details.items())[:_MOST_ERRORS]:
            texts = map(error_text, reasons[:_MOST_ERRORS] if isinstance(reasons, list) else [reasons])
            yield ErrorInfo("", name, " ".join(filter(None, texts)))
    for detail in _objects(details) if isinstance(details, list) else ():
        yield ErrorInfo("", error_text(detail.get("name")), error_text(detail.get("reason")))


def error_reference(named: Item) -> str | None:
    """Return the id by which Vipps finds the answer in its logs; None: it has none."""
    names = ("contextid", "traceid", "trace_id", "correlation_id")
    return next((text for name in names if (text := error_text(named.get(name)))), None)


def title_and_detail(named: Item) -> str:
    """Return the text of RFC 7807; what stands in both is said once, with a full stop or without."""
    texts = [text for name in ("title", "detail") if (text := error_text(named.get(name)))]
    is_same = len({text.rstrip(".").casefold() for text in texts}) == 1
    return texts[-1] if is_same else ": ".join(texts)


def error_text(value: object) -> str:
    """Return a text or a number as text; empty: it is neither."""
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
