"""Pairs of measurements and their arithmetic: what is compared is measured side by side, never from memory."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import TypeVar

from attrs import frozen

__all__ = ["Spread", "in_pairs", "ratios", "spread"]

T = TypeVar("T")


@frozen(kw_only=True)
class Spread:
    """The middle of some figures, and how far they lie apart."""

    median: float
    #: The lower and upper quartile: half of the figures lie between them.
    lower: float
    upper: float
    smallest: float
    largest: float


def spread(figures: Sequence[float]) -> Spread:
    """Return the median, the quartiles and the extremes of at least one figure."""
    if len(figures) == 1:
        lower = upper = figures[0]
    else:
        lower, _, upper = statistics.quantiles(figures, n=4, method="inclusive")
    return Spread(
        median=statistics.median(figures), lower=lower, upper=upper, smallest=min(figures), largest=max(figures)
    )


def ratios(left: Sequence[float], right: Sequence[float]) -> tuple[float, ...]:
    """Return the ratio left / right of each pair.

    The median of these is what to quote, not the ratio of the medians: a pair shares its moment, and with it whatever
    else the machine was doing.

    Raises:
        ValueError: the two are not of the same length.
    """
    return tuple(one / other for one, other in zip(left, right, strict=True))


def in_pairs(left: Callable[[], T], right: Callable[[], T], pairs: int) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """Measure the two in turn, A B, B A, A B ..., so that a machine that slows down harms neither more.

    Args:
        left: measures one side.
        right: measures the other.
        pairs: how many pairs, at least one.
    """
    lefts, rights = [], []
    for number in range(pairs):
        if number % 2:
            rights.append(right())
            lefts.append(left())
        else:
            lefts.append(left())
            rights.append(right())
    return tuple(lefts), tuple(rights)
