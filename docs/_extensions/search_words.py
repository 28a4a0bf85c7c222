"""Gives pages the words that people type as entries of the index, by which the site's search finds them first.

Full text alone ranks the page that is meant low: a page says "time-outs", and nearly each one says "journal". What is
named here is found before all text. A build of all pages whose search index lacks one of them fails. (One of some pages
alone is not asked: Sphinx then reads the index of the build before, and takes each of its entries for a minor one.)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from searched_words import WORDS, missing_in
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.transforms import SphinxTransform
from sphinx.util.typing import ExtensionMetadata

__all__ = ["setup"]


#: Has an entry if this build reads all pages.
_WHOLE: list[bool] = []


def _note_build(_app: Sphinx, env: BuildEnvironment, names: list[str]) -> None:
    _WHOLE[:] = [True] if set(names) >= env.found_docs else []


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


def _check(app: Sphinx, exception: Exception | None) -> None:
    file = Path(app.outdir) / "searchindex.js"
    if exception is None and app.builder.name == "html" and _WHOLE:
        text = file.read_text("utf-8")
        if missing := missing_in(json.loads(text[text.index("{") : text.rindex("}") + 1])):
            raise ExtensionError("the site's search: " + "; ".join(missing))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Mark the pages, and check each build."""
    app.add_transform(_Words)
    app.connect("env-before-read-docs", _note_build)
    app.connect("build-finished", _check)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
