"""Gives pages the words that people type as entries of the index, by which the site's search finds them first.

Full text alone ranks the page that is meant low: a page says "time-outs", and nearly each one says "journal". What is
named here is found before all text. A build whose search index lacks one of them fails.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.transforms import SphinxTransform
from sphinx.util.typing import ExtensionMetadata

__all__ = ["WORDS", "setup"]

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


class _Words(SphinxTransform):
    """Puts the entries of a page at its first heading."""

    default_priority = 400

    def apply(self, **_: Any) -> None:
        words = [word for word, pages in WORDS.items() if self.env.docname in pages]
        section = next(iter(self.document.findall(nodes.section)), None)
        if words and section is not None:
            # "main": others than these are shown behind all text.
            entries = [("single", word, section["ids"][0], "main", None) for word in words]
            section.insert(1, addnodes.index(entries=entries))


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


def _check(app: Sphinx, exception: Exception | None) -> None:
    file = Path(app.outdir) / "searchindex.js"
    if exception is None and app.builder.name == "html":
        text = file.read_text("utf-8")
        if missing := missing_in(json.loads(text[text.index("{") : text.rindex("}") + 1])):
            raise ExtensionError("the site's search: " + "; ".join(missing))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Mark the pages, and check each build."""
    app.add_transform(_Words)
    app.connect("build-finished", _check)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
