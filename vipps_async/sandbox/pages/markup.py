"""HTML put together from parts: every text is escaped where it goes in, so that none can become markup."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

__all__ = ["Html", "Part", "foreign", "joined", "tag", "visible"]

#: Control characters, and the ones that turn the direction of writing: shown as what they are, never obeyed.
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_VOID = frozenset({"br", "hr", "input", "link", "meta"})


class Html:
    """Markup that is good as it is. Only `tag` and `joined` make it; no text of a merchant's ever does."""

    __slots__ = ("markup",)

    def __init__(self, markup: str) -> None:
        self.markup = markup

    def __repr__(self) -> str:
        # Pages show what merchants and customers wrote.
        return f"<Html of {len(self.markup)} characters>"


#: What an element may hold: markup, text, nothing, or several of these.
Part = Html | str | int | None | Iterable["Part"]


def visible(text: str) -> str:
    """Write characters that cannot be seen, or that turn the text around, as their numbers."""
    return _INVISIBLE.sub(lambda found: f"[U+{ord(found[0]):04X}]", text)


def joined(*parts: Part) -> Html:
    """Return all parts, one after the other."""
    return Html("".join(_written(part) for part in parts))


def tag(element: str, /, *parts: Part, **attributes: str | int | bool | None) -> Html:
    """Return an element.

    Args:
        element: its name.
        parts: what it holds; text is escaped.
        attributes: a trailing underscore goes and the others become hyphens; True gives the bare name, and what is
            False or None is left out.
    """
    head = element
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        head += f" {key.rstrip('_').replace('_', '-')}"
        if value is not True:
            head += f'="{escape(visible(str(value)))}"'
    if element in _VOID:
        return Html(f"<{head}>")
    return Html(f"<{head}>{joined(*parts).markup}</{element}>")


def foreign(text: str) -> Html:
    """Return text that came from outside, shut off so that its direction of writing stays its own."""
    return tag("bdi", text)


def _written(part: Part) -> str:
    if part is None:
        return ""
    if isinstance(part, Html):
        return part.markup
    if isinstance(part, str | int):
        return escape(visible(str(part)))
    return "".join(_written(inner) for inner in part)
