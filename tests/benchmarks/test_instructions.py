"""How instructions are counted: what a tool prints, and what falls out by the difference of two lengths."""

from __future__ import annotations

import re
import sys

import pytest

from benchmarks.instructions import Counter, count_all, find_counter

_VALGRIND = "==42== \n==42== I   refs:      2,226,783,678\n"
_PERF = "1234567,,instructions:u,330000,100.00,,\n"


def _printing(text: str, *, status: int = 0) -> Counter:
    """Return a counter that runs no command but prints this."""
    program = f"import sys; sys.stderr.write({text!r}); sys.exit({status})"
    pattern = re.compile(r"I\s+refs:\s+([\d,]+)")
    return Counter(name="told", command=(sys.executable, "-c", program), pattern=pattern)


def test_a_count_is_read_from_what_the_tool_prints() -> None:
    """The number is found among the tool's other lines, with its thousands separated."""
    assert _printing(_VALGRIND).count(["anything"]) == 2_226_783_678


@pytest.mark.parametrize(
    ("text", "status"),
    [
        pytest.param("perf: not supported\n", 0, id="no number"),
        pytest.param(_VALGRIND, 1, id="the counted program failed"),
    ],
)
def test_a_run_without_a_count_is_an_error(text: str, status: int) -> None:
    """A tool that prints no number, or whose program failed, counts nothing rather than 0."""
    with pytest.raises(RuntimeError, match="told counted nothing"):
        _printing(text, status=status).count(["anything"])


def test_nothing_counts_where_no_tool_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without valgrind and perf there is no counter."""
    monkeypatch.setenv("PATH", "")

    assert find_counter() is None


def test_perf_counts_where_valgrind_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second choice is taken where the first is not installed, and its line of figures is read."""
    monkeypatch.setattr("benchmarks.instructions._PERF", _printing(_PERF).command)
    monkeypatch.setattr("benchmarks.instructions.shutil.which", lambda name: None if name == "valgrind" else name)
    counter = find_counter()

    assert counter is not None
    assert counter.name == "perf"
    assert counter.count(["anything"]) == 1_234_567


class _Linear(Counter):
    """Counts a start of a million instructions, and 700 for each call that the command asks for."""

    def count(self, command: list[str]) -> int:
        return 1_000_000 + 700 * int(command[4])


def test_start_and_warm_up_fall_out() -> None:
    """One call's instructions are the difference of a run with 2n and a run with n calls, by n."""
    linear = _Linear(name="linear", command=(), pattern=re.compile(""))

    assert count_all(linear, ("details",), calls=10) == {"details": 700}
