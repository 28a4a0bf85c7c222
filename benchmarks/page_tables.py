"""Puts tables that are computed into a page of the documentation, between the marks that name them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

__all__ = ["PAGE", "put_tables"]

#: The page that the tables of benchmarks are for.
PAGE = Path(__file__).parents[1] / "docs" / "how-far-it-goes.md"


def put_tables(page: str, tables: Mapping[str, str]) -> str:
    """Replace what stands between ``<!-- NAME -->`` and ``<!-- end -->``, for each name.

    Raises:
        ValueError: the page has no such mark, or has it twice.
    """
    for name, table in tables.items():
        mark = re.escape(f"<!-- {name} -->")
        filled = f"<!-- {name} -->\n\n{table}\n\n<!-- end -->"
        page, count = re.subn(rf"{mark}\n.*?<!-- end -->", lambda _, text=filled: text, page, flags=re.DOTALL)
        if count != 1:
            raise ValueError(f"the page has the mark {name!r} {count} times")
    return page
