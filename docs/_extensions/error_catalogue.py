"""Makes each row of the tables of error codes a link target (``#ecom-Payment-61``) and an entry of the index.

By these alone the site's search finds a code by its number. The tables themselves stand in errors.md, as
``python docs/_extensions/error_tables.py`` has written them; a page with other tables than the code's fails the build.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from docutils import nodes
from error_rows import ROWS_OF
from error_tables import HEADINGS, PAGE, with_tables
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.nodes import make_id
from sphinx.util.typing import ExtensionMetadata

__all__ = ["setup"]

#: How wide the columns are, beside each other.
_WIDTHS = (9, 17, 11, 15, 25, 23)
_log = logging.getLogger(__name__)


class _ErrorCodes(SphinxTransform):
    """Marks the tables of the page, in the order of its two headings."""

    default_priority = 400

    def apply(self, **_: Any) -> None:
        if self.env.docname != PAGE.stem:
            return
        text = PAGE.read_text(encoding="utf-8")
        if text != with_tables(text):
            _log.warning("run: python docs/_extensions/error_tables.py", location=self.env.docname)
        tables = [table for table in self.document.findall(nodes.table) if _headings(table) == HEADINGS]
        for api, table in zip(_apis_in(text), tables, strict=True):
            self._mark(api, table)

    def _mark(self, api: str, table: nodes.table) -> None:
        table["classes"] = ["error-codes", "colwidths-given"]
        for spec, width in zip(table.findall(nodes.colspec), _WIDTHS, strict=True):
            spec["colwidth"] = width
        body = next(iter(table.findall(nodes.tbody)))
        for row, line in zip(ROWS_OF[api](), body.findall(nodes.row), strict=True):
            target = make_id(self.env, self.document, api, row.code)
            # The site's search takes an entry for found if what was typed is half of it, or more.
            words = {row.code.rpartition(" ")[2], row.code}
            entries = [("single", word, target, "main", None) for word in sorted(words)]
            line["ids"].append(target)
            line[0].insert(0, addnodes.index(entries=entries))


def _headings(table: nodes.table) -> tuple[str, ...]:
    return tuple(entry.astext() for entry in next(iter(table.findall(nodes.thead))).findall(nodes.entry))


def _apis_in(text: str) -> Iterable[str]:
    return sorted(ROWS_OF, key=lambda api: text.index(f"<!-- begin {api} -->"))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the transform."""
    app.add_transform(_ErrorCodes)
    return {"version": "2", "parallel_read_safe": True, "parallel_write_safe": True}
