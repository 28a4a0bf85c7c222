"""A test over a table tries each row, and tells which ones fail, as tests of their own would."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from tests.support.rows import each_row

SEEN: list[Any] = []


@each_row("number", [3, pytest.param(4, id="four")])
@each_row(("letter", "word"), [("a", "x"), ("b", "y")], ids=["first", "second"])
def _seen(number: int, letter: str, word: str, place: list[Any]) -> None:
    place.append((number, letter, word))
    assert number != 4 or letter != "b", f"{word} is wrong"


def test_every_row_is_tried_and_what_fails_is_told_by_name() -> None:
    """Those behind a row that fails are tried, too; the error names the row, and has what it raised."""
    place: list[Any] = []
    with pytest.raises(ExceptionGroup, match="1 of 4 rows failed: four-second") as caught:
        _seen(place=place)
    assert sorted(place) == [(3, "a", "x"), (3, "b", "y"), (4, "a", "x"), (4, "b", "y")]
    (error,) = caught.value.exceptions
    assert (str(error).splitlines()[0], error.__notes__) == ("y is wrong", ["row: four-second"])


def test_what_is_left_are_fixtures() -> None:
    """Pytest looks for a fixture for each parameter that no row gives."""
    assert list(inspect.signature(_seen).parameters) == ["place"]


class TestInAClass:
    """As a method, with a fixture."""

    @each_row("number", range(3))
    def test_each(self, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """Rows share the fixtures of their test."""
        monkeypatch.setenv("VIPPS_TEST_ROW", str(number))
        SEEN.append((self, number))

    def test_that_it_ran(self) -> None:
        """Once, with one object for all rows."""
        assert [number for _, number in SEEN] == [0, 1, 2]
        assert len({id(each) for each, _ in SEEN}) == 1


async def test_a_coroutine_is_awaited() -> None:
    """Each row of it, one after the other."""

    @each_row("number", [1, 2, 3])
    async def coroutine(number: int) -> None:
        assert number == 2

    assert inspect.iscoroutinefunction(coroutine)
    with pytest.raises(ExceptionGroup, match="2 of 3 rows failed: 1, 3"):
        await coroutine()


def test_of_many_that_fail_the_first_are_named() -> None:
    """The line of a list of failures stays one; each of them is among the errors."""

    @each_row("number", range(400))
    def fails(number: int) -> None:
        assert number < 0

    with pytest.raises(ExceptionGroup, match="400 of 400 rows failed: 0, 1, 2, 3, 4 and 395 more") as caught:
        fails()
    assert len(caught.value.exceptions) == 400


@pytest.mark.parametrize("end", [pytest.skip, pytest.fail])
def test_a_row_that_is_skipped_or_told_to_fail_has_failed(end: Any) -> None:
    """Nothing is left out in silence."""

    @each_row("number", [1])
    def ends(number: int) -> None:
        end(f"of {number}")

    with pytest.raises(ExceptionGroup, match="1 of 1 rows failed") as caught:
        ends()
    assert "of 1" in str(caught.value.exceptions[0])


def test_a_table_that_says_nothing_is_refused() -> None:
    """No row, a row of another length, marks, and a parameter that the test has not."""
    with pytest.raises(ValueError, match="no row for number"):
        each_row("number", [])
    with pytest.raises(TypeError, match="has 1 values, not 2"):
        each_row("number, word", [(1,)])
    with pytest.raises(TypeError, match="has marks"):
        each_row("number", [pytest.param(1, marks=pytest.mark.heavy)])
    with pytest.raises(TypeError, match="has no parameter letter"):
        each_row("letter", ["a"])(lambda: None)
