"""The client's own share of a call: its work when the network takes no time at all."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.fixed_server import ROOT
from benchmarks.hot_path import OPERATIONS, OWN_COST
from benchmarks.pairing import in_pairs
from benchmarks.results import Figure, Row, Target
from benchmarks.studies.bench import Bench

__all__ = ["own_share"]


def _per_call(operation: str, calls: int) -> float:
    """Return the processor time of one call in a fresh process, in µs."""
    command = [sys.executable, "-m", "benchmarks.hot_path", operation, str(calls), "--pin"]
    return float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def own_share(bench: Bench) -> Iterator[Row]:
    """Measure each call over a transport that answers at once, less what that transport costs."""
    for operation in OPERATIONS:
        whole, transport = in_pairs(
            functools.partial(_per_call, operation, bench.share_calls),
            functools.partial(_per_call, OWN_COST, bench.share_calls),
            bench.pairs,
        )
        target = Target(bound=30.0, at_least=False) if operation == "capture" else None
        yield Row(
            what=f"processor time of one {operation} without a network",
            unit="µs",
            left_name="vipps_async",
            left=whole,
            right_name="the stand-in alone",
            right=transport,
            figure=Figure.DIFFERENCE,
            target=target,
        )
