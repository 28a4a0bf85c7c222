"""The directive ``{error-codes}``: a table of all error codes of an API, made of the code's own tables at build time.

``{error-codes} ecom`` or ``{error-codes} epayment``. Each row is a link target (``#ecom-Payment-61``) and an entry of
the index: by these alone the site's search finds a code by its number. A code without a meaning fails the build.
"""

from __future__ import annotations

from docutils import nodes
from error_rows import ROWS_OF
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_id
from sphinx.util.typing import ExtensionMetadata

__all__ = ["setup"]

_HEADINGS = ("code", "meaning", "may money have moved?", "sent again?", "error", "what to do now")


class _ErrorCodes(SphinxDirective):
    """The table of one API's codes."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        table = nodes.table(classes=["error-codes", "colwidths-given"])
        group = nodes.tgroup(cols=len(_HEADINGS))
        table += group
        group += [nodes.colspec(colwidth=width) for width in (9, 18, 12, 17, 20, 24)]
        head, body = nodes.thead(), nodes.tbody()
        group += [head, body]
        head += _table_row([[nodes.Text(heading)] for heading in _HEADINGS])
        for row in ROWS_OF[self.arguments[0]]():
            target = make_id(self.env, self.state.document, row.api, row.code)
            # The site's search takes an entry for found if what was typed is half of it, or more.
            words = {row.code.rpartition(" ")[2], row.code}
            index = addnodes.index(entries=[("single", word, target, "", None) for word in sorted(words)])
            errors = [nodes.literal(text=row.error)] if " " not in row.error else [nodes.Text(row.error)]
            cells: list[list[nodes.Node]] = [
                [nodes.literal(text=row.code)],
                [nodes.Text(row.meaning)],
                [nodes.Text(row.moved)],
                [nodes.Text(row.again)],
                errors,
                [nodes.Text(row.advice)],
            ]
            line = _table_row(cells)
            first = line[0]
            first.insert(0, index)
            line["ids"].append(target)
            body += line
        return [table]


def _table_row(cells: list[list[nodes.Node]]) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        entry, paragraph = nodes.entry(), nodes.paragraph()
        paragraph += cell
        entry += paragraph
        row += entry
    return row


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the directive."""
    app.add_directive("error-codes", _ErrorCodes)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
