"""Redacts secrets and personal data in text from outside, before it may stand in an error or a log."""

from __future__ import annotations

import functools
import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

import orjson

#: What stands in place of what was taken out.
REDACTED: Final = "[redacted]"
#: The longest text that comes back, in characters: enough for every honest error body.
LONGEST: Final = 2_000
#: The shortest confidential value that is cut out of texts, in characters: a shorter one stands by chance in words,
#: codes and amounts everywhere, and cutting it out there would hide what happened.
SHORTEST_SECRET: Final = 6

#: How much of a text is looked at, in characters; the rest is cut off. Redacting shrinks a text, so look further than
#: comes back, yet bound the work on a hostile megabyte.
_WINDOW: Final = 16_384
#: What stands this close to the window's end is dropped too: its end, and so its nature, may lie beyond.
_MARGIN: Final = 1_024

Span = tuple[int, int]

#: Keys of JSON, forms and headers whose value is a secret: redacted in whatever notation.
_GUARDED_KEYS = (
    r"(?:access|refresh|id|auth)[_-]?token|token|client[_-]?secret|client[_-]?id|(?:ocp-apim-)?subscription[_-]?key"
    r"|authorization|password"
)
#: Keys of JSON whose value is personal at every API. Some are plain words, so that they count in quotes only.
_PERSONAL_KEYS = (
    r"(?:customer[_-]?)?phone(?:[_-]?number)?|msisdn|e?[_-]?mail(?:[_-]?address)?"
    r"|(?:first|last|given|family|middle|user|full)[_-]?name|name|(?:street[_-]?|other[_-]?)?address\w{0,30}"
    r"|formatted|(?:post|postal|zip)[_-]?code|zip|city|region|birth[_-]?date|date[_-]?of[_-]?birth|nin|ssn|sub|sid"
    r"|user[_-]?(?:id|details|info)"
)


@functools.cache
def _quoted_key(more_keys: tuple[str, ...]) -> re.Pattern[str]:
    """Find a key in quotes, single or double, and these escaped or not, for JSON also travels as text inside JSON."""
    keys = "|".join((_GUARDED_KEYS, _PERSONAL_KEYS, *more_keys))
    return re.compile(rf"(?P<quote>\\{{0,7}}[\"'])(?:{keys})\\{{0,7}}[\"']\s*[:=]\s*", re.IGNORECASE)


_BARE_KEY = re.compile(rf"(?<![A-Za-z0-9])(?:{_GUARDED_KEYS})\s?(?:[:=]|%3D)\s?", re.IGNORECASE)
_BARE_VALUE = re.compile(r"(?:(?:bearer|basic)\s)?[^\s&\"'<>,;\\}]*", re.IGNORECASE)
_SCALAR = re.compile(r"[^\s,}\]]*")
_BRACKET_OR_STRING = re.compile(r"[{}\[\]]|\"(?:[^\"\\]|\\.)*(?:\"|\\?\Z)", re.DOTALL)
_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*(?:\"|\\?\Z)|'(?:[^'\\]|\\.)*(?:'|\\?\Z)", re.DOTALL)
_NEXT_QUOTE = re.compile(r"(\\*)[\"']")

#: What gives itself away by its form. None of these can take more than linear time: each repetition is of one class
#: of characters that the next piece does not begin with, and a lookbehind lets it begin at the start of a run only.
_FORMS = (
    # A JSON Web Token, whole or cut off.
    re.compile(r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_\-+/=.%]{4,}|eyJ[A-Za-z0-9_\-+/=.%]{20,}"),
    re.compile(r"(?<![A-Za-z0-9])bearer(?:\s|%20)+[^\s\"'<>,;]+", re.IGNORECASE),
    re.compile(r"token(?:=|%3D)[^\s&\"'<>]+", re.IGNORECASE),
    # A Norwegian phone number with country code, then one without: eight digits that stand alone.
    re.compile(r"(?:\+|%2B|(?<![0-9])00|(?<![\w+]))47[ -]?[2-9](?:[ -]?[0-9]){7}(?![0-9])", re.IGNORECASE),
    re.compile(r"(?<!\w)(?<!\w-)[2-9][0-9]{7}(?!\w)(?!-\w)"),
    re.compile(r"(?<![\w-])[2-9][0-9](?:[0-9] [0-9]{2} [0-9]{3}|(?: [0-9]{2}){3})(?![\w-])"),
    # A national identity number.
    re.compile(r"(?<!\w)(?<!\w-)[0-9]{6} ?[0-9]{5}(?!\w)(?!-\w)"),
)
_AT = re.compile(r"@|%40", re.IGNORECASE)
_MAIL_PART = re.compile(r"[^\s@\"'<>()\[\]{},;:\\|=&]+")


def redact(text: str, *, secrets: Iterable[str] = (), personal_keys: tuple[str, ...] = (), payment: str = "") -> str:
    """Return a text without its secrets and personal data, at most 2,000 characters of it.

    Taken out are the confidential values of 6 characters and more (also percent-encoded, or escaped as in JSON or
    HTML), the values of sensitive keys of JSON at any depth, broken JSON included, tokens, e-mail addresses, Norwegian
    phone numbers and national identity numbers. Takes time in proportion to the text, whatever it holds.

    Args:
        text: what came from outside.
        secrets: values that must not stand in the result, such as the phone number that was sent.
        personal_keys: keys of JSON whose value is personal at one API, beside those that are so at all; regular
            expressions.
        payment: the id of the payment that it is about: it stays, though it looks like a phone number.
    """
    secrets = sorted({form for value in secrets if len(value) >= SHORTEST_SECRET for form in _forms_of(value)})
    text = _without_escapes(text)
    window = text[:_WINDOW]
    end = len(window)
    if end < len(text):
        end = max(0, end - max(_MARGIN, *map(len, secrets)) if secrets else end - _MARGIN)
    pieces = []
    length = done = 0
    for start, stop in _merged(_spans(window, secrets, _quoted_key(personal_keys), payment)):
        if start >= end or length > LONGEST:
            break
        pieces += [window[done:start], REDACTED]
        length += start - done + len(REDACTED)
        done = stop
    if done < end:
        pieces.append(window[done:end])
    result = "".join(pieces)
    if len(result) > LONGEST or end < len(text):
        return result[: LONGEST - 1] + "…"
    return result


def _forms_of(value: str) -> set[str]:
    try:
        encoded = {quote(value, safe=""), quote(value), quote_plus(value)}
    except UnicodeEncodeError:  # half of a surrogate pair has no percent-encoding
        encoded = set()
    escaped = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    return {value, html.escape(value), *encoded, *escaped, *(form.replace("/", "\\/") for form in escaped)}


def _without_escapes(text: str) -> str:
    """Write JSON that hides characters behind escapes in plain characters, so that patterns can see them."""
    if "\\u" not in text:
        return text
    try:
        return orjson.dumps(orjson.loads(text)).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return text


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    last: Span | None = None
    for start, stop in sorted(spans):
        if last is None or start > last[1]:
            if last is not None:
                yield last
            last = (start, stop)
        else:
            last = (last[0], max(last[1], stop))
    if last is not None:
        yield last


def _spans(text: str, secrets: Iterable[str], quoted_key: re.Pattern[str], payment: str) -> Iterator[Span]:
    for secret in secrets:
        start = text.find(secret)
        while start >= 0:
            yield start, start + len(secret)
            start = text.find(secret, start + len(secret))
    yield from _values_of_quoted_keys(text, quoted_key)
    yield from _values_of_bare_keys(text)
    for form in _FORMS:
        yield from (match.span() for match in form.finditer(text) if match[0] != payment)
    yield from _mail_addresses(text)


def _values_of_quoted_keys(text: str, quoted_key: re.Pattern[str]) -> Iterator[Span]:
    key = quoted_key.search(text)
    while key is not None:
        stop = _end_of_value(text, key.end(), escapes=len(key["quote"]) - 1)
        if stop > key.end():
            yield key.end(), stop
        # On from the value's end: what it holds is taken out already, and every character is looked at once.
        key = quoted_key.search(text, stop)


def _values_of_bare_keys(text: str) -> Iterator[Span]:
    key = _BARE_KEY.search(text)
    while key is not None:
        value = _BARE_VALUE.match(text, key.end())
        stop = key.end() if value is None else value.end()
        if stop > key.end():
            yield key.end(), stop
        key = _BARE_KEY.search(text, stop)


def _end_of_value(text: str, start: int, *, escapes: int) -> int:
    """Return where a JSON value ends that begins at `start`; the text's end, if it is cut off."""
    first = text[start : start + 1]
    if first in {"{", "["}:
        depth = 0
        for piece in _BRACKET_OR_STRING.finditer(text, start):
            depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(piece[0], 0)
            if depth == 0:
                return piece.end()
        return len(text)
    if first in {'"', "'"}:
        string = _STRING.match(text, start)
        return len(text) if string is None else string.end()
    opening = _NEXT_QUOTE.match(text, start)
    if opening is not None:
        # A string inside a string: it ends at the next quote that is escaped no deeper than the key's own.
        for closing in _NEXT_QUOTE.finditer(text, opening.end()):
            if len(closing[1]) <= escapes:
                return closing.end()
        return len(text)
    scalar = _SCALAR.match(text, start)
    return start if scalar is None else scalar.end()


def _mail_addresses(text: str) -> Iterator[Span]:
    # From each @ outwards, never past the next one: a pattern that begins with the part before the @ would try every
    # character as its start.
    signs = [match.span() for match in _AT.finditer(text)]
    for number, (start, stop) in enumerate(signs):
        left = signs[number - 1][1] if number else 0
        right = signs[number + 1][0] if number + 1 < len(signs) else len(text)
        before = _MAIL_PART.match(text[left:start][::-1])
        after = _MAIL_PART.match(text, stop, right)
        if before is not None and after is not None:
            yield start - before.end(), after.end()
