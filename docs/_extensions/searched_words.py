"""The words that people type into the site's search, and the pages that are to come first for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["WORDS", "missing_in"]

#: Words → the pages that are to come first for them, in lower case, as the search compares them.
WORDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("timeout", "timeouts", "time-out"), ("settings", "sessions")),
    **dict.fromkeys(("capture twice", "captured twice", "double capture"), ("retries-and-unknown-outcomes", "workers")),
    **dict.fromkeys(("refund twice", "double refund"), ("retries-and-unknown-outcomes", "workers")),
    "outcomeunknown": ("retries-and-unknown-outcomes",),
    "unknown outcome": ("retries-and-unknown-outcomes",),
    "idempotency key": ("workers", "retries-and-unknown-outcomes"),
    **dict.fromkeys(("msn", "merchant serial number"), ("keys", "partner-keys")),
    "journal": ("journal",),
}


def missing_in(index: Mapping[str, Any]) -> list[str]:
    """List the words of `WORDS` that do not find their pages first, by what a `searchindex.js` has.

    An entry that is what was typed has 100 points; a heading has 16 at most, a name of the reference 26.
    """
    found = []
    for word, pages in WORDS.items():
        first = {index["docnames"][number] for number, _, is_main in index["indexentries"].get(word, ()) if is_main}
        found += [f"{word!r} does not find {page}.md first" for page in pages if page not in first]
        if len(first) > 3:
            found.append(f"{word!r} finds more than three pages first: {sorted(first)}")
    return found
