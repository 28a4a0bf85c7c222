"""Puts tables that are computed into a page of the documentation, between the marks that name them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

__all__ = ["PAGE", "put_tables"]

#: The page that the tables of benchmarks are for.
PAGE = Path(__file__).parents[1] / "docs" / "capacity.md"


def put_tables(page: str, tables: Mapping[str, str]) -> str:
    """Replace what stands between ``<!-- NAME -->`` and ``<!-- end -->``, for each name.

    Raises:
        ValueError: the page has no such mark, or has it twice.
    """
    for name, table in tables.items():
        parts = re.split(rf"{re.escape(f'<!-- {name} -->')}\n.*?<!-- end -->", page, flags=re.DOTALL)
        if len(parts) != 2:
            raise ValueError(f"the page has the mark {name!r} {len(parts) - 1} times")
        page = f"<!-- {name} -->\n\n{table}\n\n<!-- end -->".join(parts)
    return page
