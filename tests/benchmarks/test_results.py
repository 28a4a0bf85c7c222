"""Rows, and how they are held against their targets and printed."""

from __future__ import annotations

import json

import pytest

from benchmarks import table
from benchmarks.results import Failed, Figure, Row, Target
from tests.support.rows import each_row


def _row(**changes: object) -> Row:
    parts: dict[str, object] = {
        "what": "capture",
        "unit": "calls/s",
        "left_name": "one",
        "left": (90.0, 100.0, 110.0),
        "right_name": "other",
        "right": (100.0, 100.0, 100.0),
    }
    return Row(**(parts | changes))  # type: ignore[arg-type]  # the parts are checked by the class


@each_row(
    ("figure", "target", "is_met"),
    [
        pytest.param(Figure.RATIO, Target(bound=1.0, at_least=True), True, id="the median ratio reaches it exactly"),
        pytest.param(Figure.RATIO, Target(bound=1.01, at_least=True), False, id="the median ratio is too low"),
        pytest.param(Figure.RATIO, Target(bound=0.99, at_least=False), False, id="the median ratio is too high"),
        pytest.param(Figure.DIFFERENCE, Target(bound=0.0, at_least=False), True, id="the median difference is within"),
        pytest.param(Figure.DIFFERENCE, Target(bound=-1.0, at_least=False), False, id="the difference is too high"),
        pytest.param(Figure.VALUE, Target(bound=100.0, at_least=False), True, id="the left side alone is within"),
        pytest.param(Figure.VALUE, Target(bound=99.0, at_least=False), False, id="the left side alone is too high"),
        pytest.param(Figure.RATIO, None, None, id="there is no target"),
    ],
)
def test_a_median_is_held_against_its_target(figure: Figure, target: Target | None, *, is_met: bool | None) -> None:
    """The figure that a row names is what has to reach the target."""
    assert _row(figure=figure, target=target).is_met is is_met


def test_less_processor_time_on_the_left_makes_the_processor_ratio_larger_than_one() -> None:
    """Like the ratio of the rates, the ratio of the processor's time is larger when the left side is better."""
    cpu = _row(left_cpu=(100.0, 100.0), right_cpu=(150.0, 250.0)).cpu_ratio

    assert cpu is not None
    assert (cpu.smallest, cpu.median, cpu.largest) == (1.5, 2.0, 2.5)


def test_a_row_says_when_its_target_is_missed() -> None:
    """A printed row names its target and whether it is met."""
    assert table.line(_row(target=Target(bound=1.0, at_least=True))).endswith("| ≥ 1 met |")
    assert table.line(_row(target=Target(bound=2.0, at_least=True))).endswith("| ≥ 2 **missed** |")


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    """Rows with and without a right side, a processor's time and a server are all as wide as the head."""
    rows: list[Row | Failed] = [
        Failed(what="one", why="no | way"),
        _row(),
        _row(right=(), right_name="", figure=Figure.VALUE),
        _row(server_busy=0.5, left_cpu=(1.0,)),
    ]

    assert {one.count("|") for one in table.render(rows).splitlines()} == {table.HEAD.splitlines()[0].count("|")}


def test_what_is_written_holds_every_pair() -> None:
    """The JSON of a row has each figure that was measured, and survives being written and read."""
    read = json.loads(json.dumps(_row(target=Target(bound=1.0, at_least=True)).as_json()))

    assert read["left"] == [90.0, 100.0, 110.0]
    assert read["right"] == [100.0, 100.0, 100.0]
    assert read["ratio"]["median"] == 1.0
    assert read["is_met"] is True
