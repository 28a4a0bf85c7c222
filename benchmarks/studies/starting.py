"""How long until it can be used: the import, and the first answer of a fresh process."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import machine
from benchmarks.fixed_server import ROOT
from benchmarks.pairing import in_pairs
from benchmarks.results import Row, Target
from benchmarks.sides import SIDES
from benchmarks.studies.bench import Bench

__all__ = ["first_answer", "importing"]

# What runs in the fresh interpreter; the clock starts after the interpreter itself has.
_IMPORT = "import time; a = time.perf_counter(); import {package}; print(time.perf_counter() - a)"

#: With the modules still to be compiled a run takes seconds, and the two lie further apart.
_COLD_PAIRS_SHARE = 3


def _fresh(command: list[str], pycache: Path, *, writes: bool) -> str:
    """Run a fresh interpreter on the client's core, with its compiled modules in a folder of their own."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(pycache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    if not writes:
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    # Pinned here, so that nothing of it needs a module in there.
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    machine.pin(0, machine.CLIENT_CORE)
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    finally:
        if before is not None:
            os.sched_setaffinity(0, before)
    return done.stdout


def _import_time(package: str, pycache: Path, *, writes: bool = False) -> float:
    """Return how long an import takes in a fresh interpreter, in milliseconds."""
    return float(_fresh([sys.executable, "-c", _IMPORT.format(package=package)], pycache, writes=writes)) * 1000


def importing(bench: Bench) -> Iterator[Row]:
    """Measure `import vipps_async` against `import aiohttp`, each in fresh interpreters."""
    with tempfile.TemporaryDirectory(prefix="vipps-pycache-") as folder:
        warm, cold = Path(folder) / "warm", Path(folder) / "cold"
        for package in ("vipps_async", "aiohttp"):
            _import_time(package, warm, writes=True)
        for what, pycache, pairs, target in (
            ("import, compiled before", warm, bench.pairs, Target(bound=1.15, at_least=False)),
            ("import, compiled on the way", cold, max(1, bench.pairs // _COLD_PAIRS_SHARE), None),
        ):
            ours, theirs = in_pairs(
                functools.partial(_import_time, "vipps_async", pycache),
                functools.partial(_import_time, "aiohttp", pycache),
                pairs,
            )
            yield Row(
                what=what,
                unit="ms",
                left_name="vipps_async",
                left=ours,
                right_name="aiohttp",
                right=theirs,
                target=target,
            )


def _answer_time(side: str, url: str, pycache: Path) -> float:
    """Return how long a fresh process takes to its first answered capture, in milliseconds."""
    command = [sys.executable, "-m", "benchmarks.first_answer", side, url]
    started = time.time()
    answered = json.loads(_fresh(command, pycache, writes=True))
    return float((answered - started) * 1000)


def first_answer(bench: Bench) -> Iterator[Row]:
    """Measure from the start of a process to its first capture, the token included."""
    with tempfile.TemporaryDirectory(prefix="vipps-pycache-") as folder:
        pycache = Path(folder)
        url = bench.server.url
        for other in ("aiohttp", "httpx", "vipps"):
            if SIDES[other].missing:
                continue
            for side in ("sdk", other):
                _answer_time(side, url, pycache)
            ours, theirs = in_pairs(
                functools.partial(_answer_time, "sdk", url, pycache),
                functools.partial(_answer_time, other, url, pycache),
                bench.pairs,
            )
            yield Row(
                what="from the start of the process to the first captured order",
                unit="ms",
                left_name=SIDES["sdk"].title,
                left=ours,
                right_name=SIDES[other].title,
                right=theirs,
            )
