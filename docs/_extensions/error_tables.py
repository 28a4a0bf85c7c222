"""Writes the tables of docs/errors.md out of the code's own: ``python docs/_extensions/error_tables.py``.

They are committed, so that a reader of the repository sees them; a test fails when the page has others.
"""

from __future__ import annotations

import re
from pathlib import Path

from error_rows import ROWS_OF, Row

__all__ = ["HEADINGS", "PAGE", "with_tables"]

PAGE = Path(__file__).parents[1] / "errors.md"
HEADINGS = ("code", "meaning", "may money have moved?", "sent again?", "error", "what to do now")


def _table(api: str) -> str:
    lines = [HEADINGS, ["---"] * len(HEADINGS), *map(_cells, ROWS_OF[api]())]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(row: Row) -> list[str]:
    texts = [row.meaning, row.moved, row.again, row.error, row.advice]
    return [f"`{row.code}`", *(_as_code(text) for text in texts)]


def _as_code(text: str) -> str:
    # Names of classes, parameters and fields.
    return re.sub(r"\b(\w+Error|OutcomeUnknown|\w+_\w+(?:=True)?)\b", r"`\1`", text.replace("|", r"\|"))


def with_tables(text: str) -> str:
    """Return the page with the tables that the code gives, each between its two comments."""
    for api in ROWS_OF:
        begin, end = f"<!-- begin {api} -->\n", f"<!-- end {api} -->\n"
        before, after = text.split(begin, maxsplit=1)[0], text.split(end)[1]
        text = f"{before}{begin}\n{_table(api)}\n{end}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
