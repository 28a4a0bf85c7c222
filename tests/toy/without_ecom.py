"""Runs a script in a process of its own in which eCom's folder cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["run_without_ecom"]

_BLOCKING = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name == "vipps_async.ecom" or name.startswith("vipps_async.ecom."):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
"""


def run_without_ecom(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script of Python that has `sys`, and return what it printed and its exit code."""
    project = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", _BLOCKING + script], capture_output=True, text=True, check=False, cwd=project
    )
