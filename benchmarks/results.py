"""What a measurement brings: a row of the table, with every pair it rests on."""

from __future__ import annotations

import enum
from typing import Any

from attrs import asdict, frozen

from benchmarks.pairing import Spread, ratios, spread

__all__ = ["Failed", "Figure", "Row", "Target"]


@frozen(kw_only=True)
class Failed:
    """A comparison that brought no figures."""

    what: str
    why: str
    #: Whether it was not even tried: something optional is not here.
    is_left_out: bool = False


class Figure(enum.Enum):
    """Which figure of a row is held against its target."""

    RATIO = "ratio"
    DIFFERENCE = "difference"
    VALUE = "value"


@frozen(kw_only=True)
class Target:
    """What the median of a row's figure should reach."""

    bound: float
    #: Whether the figure should be at least the bound, or at most.
    at_least: bool

    def is_met(self, figure: float) -> bool:
        """Hold a median against it."""
        return figure >= self.bound if self.at_least else figure <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}"


@frozen(kw_only=True)
class Row:
    """One comparison: pairs of figures, or, with nothing on the right, figures of one side alone."""

    #: What is measured, on one line.
    what: str
    unit: str
    left_name: str
    left: tuple[float, ...]
    right_name: str = ""
    right: tuple[float, ...] = ()
    #: The processor's time for one call, in µs, for both.
    left_cpu: tuple[float, ...] = ()
    right_cpu: tuple[float, ...] = ()
    #: The share of a core that the server had in use, 0 to 1.
    server_busy: float | None = None
    #: Which figure is to be read, and is held against the target.
    figure: Figure = Figure.RATIO
    target: Target | None = None
    note: str = ""

    @property
    def ratio(self) -> Spread | None:
        """The ratios left / right of the pairs."""
        return spread(ratios(self.left, self.right)) if self.right else None

    @property
    def difference(self) -> Spread | None:
        """The differences left - right of the pairs."""
        if not self.right:
            return None
        return spread([one - other for one, other in zip(self.left, self.right, strict=True)])

    @property
    def cpu_ratio(self) -> Spread | None:
        """How many times the left side's processor time the right side needs: 1 or more speaks for the left."""
        return spread(ratios(self.right_cpu, self.left_cpu)) if self.right_cpu and self.left_cpu else None

    @property
    def judged(self) -> Spread | None:
        """The figure to be read; None: it takes a right side, and there is none."""
        if self.figure is Figure.VALUE:
            return spread(self.left)
        return self.ratio if self.figure is Figure.RATIO else self.difference

    @property
    def is_met(self) -> bool | None:
        """Whether the median reaches the target; None: there is no target."""
        if self.target is None or self.judged is None:
            return None
        return self.target.is_met(self.judged.median)

    def as_json(self) -> dict[str, Any]:
        """Return everything, the pairs and what was made of them, as JSON knows it."""
        target = None if self.target is None else str(self.target)
        made = {name: getattr(self, name) for name in ("ratio", "difference", "cpu_ratio")}
        return (
            asdict(self)
            | {name: None if value is None else asdict(value) for name, value in made.items()}
            | {"figure": self.figure.value, "target": target, "is_met": self.is_met}
        )
