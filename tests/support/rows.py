"""Tries all rows of a table in one test, and tells which of them fail: for rows that are many and cost next to nothing.

A test of its own for each row costs more than such a row does: each process of a run collects it.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import reprlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import pytest
from attrs import Factory, frozen

__all__ = ["each_row"]

#: So many rows that fail are named where a run lists its failures; all of them are shown.
_NAMED = 5
_looks = reprlib.Repr()
_looks.maxstring = _looks.maxother = 80


@frozen
class _Part:
    """What one table gives to a row: the name that it has there, if it has one, and values by parameter."""

    name: str | None
    values: dict[str, Any]

    def __str__(self) -> str:
        """Name it, by what its values look like if need be."""
        return "-".join(map(_looks.repr, self.values.values())) if self.name is None else self.name


_Row: TypeAlias = tuple[_Part, ...]


@frozen
class _Failures:
    """What the rows of one run have raised."""

    errors: list[Exception] = Factory(list)
    names: list[str] = Factory(list)

    @contextlib.contextmanager
    def of(self, row: _Row) -> Iterator[None]:
        """Keep what a row raises. One that is skipped has failed: it would be a hole that nobody sees."""
        try:
            yield
        except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:  # noqa: BLE001 - told below
            told = error if isinstance(error, Exception) else AssertionError(f"{type(error).__name__}: {error}")
            name = "-".join(map(str, row))
            told.add_note(f"row: {name}")
            self.errors.append(told)
            self.names.append(name)

    def tell(self, count: int) -> None:
        """Raise what was kept, if anything was."""
        if self.errors:
            more = f" and {len(self.names) - _NAMED} more" if len(self.names) > _NAMED else ""
            named = ", ".join(self.names[:_NAMED]) + more
            raise ExceptionGroup(f"{len(self.names)} of {count} rows failed: {named}", self.errors)


def each_row(
    names: str | Sequence[str],
    values: Iterable[Any],
    ids: Callable[[Any], object] | Iterable[object] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Run a test, or a coroutine, with each of the values, as `pytest.mark.parametrize` does, but as one test.

    All rows are run, and share the test's fixtures; then it fails with an `ExceptionGroup` of what each failing row
    raised, the row's name noted to it. Above each other, each row of the one is run with each of the other.

    Args:
        names: of the parameters, as `pytest.mark.parametrize` takes them.
        values: one for each row; a sequence of them if there are several names.
        ids: what the rows are called; without it, as their values look.

    Raises:
        ValueError: there is no row: such a test would promise nothing.
        TypeError: a row's length is not that of the names, it has marks, which nothing here looks at, or the test has
            no such parameter.
    """
    parameters = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    parts = list(_parts(parameters, values, ids))
    if not parts:
        raise ValueError(f"there is no row for {', '.join(parameters)}")

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        bare, below = getattr(test, "_table", (test, [()]))
        return _as_one_test(bare, [(part, *row) for part in parts for row in below])

    return decorate


def _parts(
    names: list[str], values: Iterable[Any], ids: Callable[[Any], object] | Iterable[object] | None
) -> Iterator[_Part]:
    given = None if ids is None or callable(ids) else list(ids)
    for number, value in enumerate(values):
        row: Any = value
        name: object = None
        if isinstance(value, type(pytest.param())):
            if value.marks:
                raise TypeError(f"{value} has marks")
            row, name = value.values[0] if len(names) == 1 else value.values, value.id
        cells = [row] if len(names) == 1 else list(row)
        if len(cells) != len(names):
            raise TypeError(f"{row!r} has {len(cells)} values, not {len(names)}")
        if name is None and callable(ids):
            name = "-".join(str(ids(cell)) for cell in cells)
        elif name is None and given is not None:
            name = given[number]
        yield _Part(None if name is None else str(name), dict(zip(names, cells, strict=True)))


def _as_one_test(test: Callable[..., Any], rows: list[_Row]) -> Callable[..., Any]:
    tried = [(row, {name: value for part in row for name, value in part.values.items()}) for row in rows]
    run: Callable[..., Any]
    if inspect.iscoroutinefunction(test):

        async def run_coroutine(*arguments: Any, **fixtures: Any) -> None:
            found = _Failures()
            for row, values in tried:
                with found.of(row):
                    await test(*arguments, **fixtures, **values)
            found.tell(len(tried))

        run = run_coroutine
    else:

        def run_function(*arguments: Any, **fixtures: Any) -> None:
            found = _Failures()
            for row, values in tried:
                with found.of(row):
                    test(*arguments, **fixtures, **values)
            found.tell(len(tried))

        run = run_function
    functools.update_wrapper(run, test)
    # What pytest must not look for: it would take the parameters of the rows for fixtures.
    del vars(run)["__wrapped__"]
    signature = inspect.signature(test)
    given = set(tried[0][1])
    if unknown := given - set(signature.parameters):
        raise TypeError(f"{test.__name__} has no parameter {', '.join(sorted(unknown))}")
    fixtures = [parameter for name, parameter in signature.parameters.items() if name not in given]
    vars(run).update(__signature__=signature.replace(parameters=fixtures), _table=(test, rows))
    return run
