"""The arithmetic of pairs."""

from __future__ import annotations

import pytest

from benchmarks.pairing import in_pairs, ratios, spread


def test_a_ratio_belongs_to_its_pair() -> None:
    """The ratios are taken pair by pair, so that a slow moment that hits both sides of a pair leaves no trace."""
    quiet, slow = (1000.0, 500.0), (100.0, 50.0)

    assert ratios([quiet[0], slow[0], quiet[0]], [quiet[1], slow[1], quiet[1]]) == (2.0, 2.0, 2.0)


def test_sides_of_different_length_are_no_pairs() -> None:
    """A figure without its partner is refused rather than dropped."""
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0, 2.0], [1.0])


def test_the_spread_tells_the_middle_the_quartiles_and_the_extremes() -> None:
    """Nine figures have their fifth as the median, the third and seventh as quartiles."""
    told = spread([9.0, 1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0])

    assert (told.smallest, told.lower, told.median, told.upper, told.largest) == (1.0, 3.0, 5.0, 7.0, 9.0)


def test_one_figure_has_no_spread() -> None:
    """A single figure is its own median, quartiles and extremes."""
    told = spread([4.0])

    assert (told.smallest, told.lower, told.median, told.upper, told.largest) == (4.0, 4.0, 4.0, 4.0, 4.0)


def test_the_two_sides_take_turns_in_going_first() -> None:
    """Pairs are measured A B, B A, A B, and each figure lands on its own side and in its own pair."""
    order: list[str] = []

    def side(name: str) -> str:
        order.append(name)
        return f"{name}{sum(one == name for one in order)}"

    left, right = in_pairs(lambda: side("a"), lambda: side("b"), 3)

    assert order == ["a", "b", "b", "a", "a", "b"]
    assert left == ("a1", "a2", "a3")
    assert right == ("b1", "b2", "b3")
