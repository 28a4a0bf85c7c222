"""Tables that are computed stand in the documentation as they are computed."""

from __future__ import annotations

import pytest

from benchmarks.page_tables import put_tables


def test_what_stands_between_the_marks_is_replaced() -> None:
    """A table takes the place of the one before it; the text around it stays."""
    page = "before\n<!-- one -->\nold\n<!-- end -->\nafter\n<!-- two -->\n<!-- end -->\n"
    filled = put_tables(page, {"one": "| 1 |", "two": "| 2 |"})
    expected = "before\n<!-- one -->\n\n| 1 |\n\n<!-- end -->\nafter\n<!-- two -->\n\n| 2 |\n\n<!-- end -->\n"
    assert filled == expected
    assert put_tables(filled, {"one": "| 1 |", "two": "| 2 |"}) == filled


@pytest.mark.parametrize("page", ["no mark", "<!-- one -->\n<!-- end -->\n<!-- one -->\n<!-- end -->\n"])
def test_a_mark_that_is_missing_or_there_twice_is_an_error(page: str) -> None:
    """No table gets lost, and none is put in the wrong place."""
    with pytest.raises(ValueError, match="'one'"):
        put_tables(page, {"one": "| 1 |"})
