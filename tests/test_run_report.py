"""What a run of the tests says of itself: what it left out, and that too few tests are a failure."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.run_report import ENOUGH, why_too_few

PROJECT = Path(__file__).parents[1]
_PLUGINS = ("-p", "no:cacheprovider", "-p", "xdist.plugin", "-p", "pytest_asyncio.plugin")


def _run(*arguments: str) -> tuple[int, list[str]]:
    finished = subprocess.run(
        # Looking for all plugins that are installed takes longer than these tests.
        [sys.executable, "-m", "pytest", *_PLUGINS, "-q", *arguments],
        cwd=PROJECT,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return finished.returncode, finished.stdout.splitlines()


@pytest.mark.parametrize(
    ("passed", "skipped", "words"),
    [
        (ENOUGH, 0, None),
        (ENOUGH - 1, 0, "2,999 tests passed, and 3,000 must"),
        (0, 0, "0 tests passed, and 3,000 must"),
        (8_900, 1_100, None),
        (8_899, 1_101, "8,899 of 10,000 tests passed, and 89% must"),
    ],
)
def test_what_is_enough(passed: int, skipped: int, words: str | None) -> None:
    """3,000 tests, and 89 % of all that it was asked for."""
    assert why_too_few(passed, skipped) == words


@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_run_of_too_few_tests_fails_though_none_failed(processes: str) -> None:
    """With `--enough` it says so before pytest's own last line; without it the same tests are a success."""
    chosen = ("-n", processes, "tests/test_idempotency_keys.py")
    status, lines = _run("--enough", *chosen)
    # How many these are is another Python's to say: what it lacks is skipped.
    passed = re.search(r"(\d+) passed", lines[-1])
    assert passed is not None
    assert status == 1
    told = f"too few: {passed[1]} tests passed, and 3,000 must"
    assert [line for line in lines if line.startswith("too few: ")] == [told]
    assert _run(*chosen)[0] == 0


def test_what_was_skipped_is_said_by_name_and_count() -> None:
    """The reason with its number, and the folders with theirs; what runs on demand is skipped, not uncounted."""
    status, lines = _run("-n", "2", "tests/faults/test_kill.py")
    assert status == 0
    number = int(lines[-1].split()[0])
    assert "skipped" in lines[-1]
    assert f"{number:5,}  heavy: `nox -s heavy` runs it" in lines
    assert f"       tests/faults {number}" in lines
