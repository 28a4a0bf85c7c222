"""Other processes that use a journal: started by tests, stopped by them, and never left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: Longer than any child takes, in seconds; a hung one is killed by it.
PATIENCE = 60


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@contextlib.contextmanager
def child(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start Python with some code; it is killed at the end at the latest."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def output_of(code: str, *arguments: str, before: Callable[[], None] | None = None) -> str:
    """Run Python with some code to its end and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=_environment(),
        timeout=PATIENCE,
        check=False,
        # Safe here: the tests that use it have no threads that could hold a lock.
        preexec_fn=before,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def without_override() -> None:
    """Give up root's right to ignore file permissions, so that they count in the program that is started next."""
    if sys.platform == "linux" and os.geteuid() == 0:
        drop_from_bounding_set, override, read_search = 24, 1, 2  # linux/prctl.h, linux/capability.h
        library = ctypes.CDLL(None)
        for capability in (override, read_search):
            assert library.prctl(drop_from_bounding_set, capability, 0, 0, 0) == 0
