"""How much the server could do if the client cost almost nothing."""

from __future__ import annotations

import subprocess
import sys

from attrs import frozen

from benchmarks import machine
from benchmarks.fixed_server import ROOT
from benchmarks.servers import Server

__all__ = ["Limit", "measure"]

#: Enough to find out how many calls take the time that is asked for.
_PROBE = 2000


@frozen(kw_only=True)
class Limit:
    """What a bare socket client reached."""

    #: Captures a second.
    rate: float
    #: The share of a core that the server used meanwhile; None: the system does not tell.
    busy: float | None

    def __str__(self) -> str:
        busy = "" if self.busy is None else f", at which it is {self.busy:.0%} busy"
        return f"a bare socket client gets {self.rate:,.0f} captures a second out of it{busy}"


def _run(url: str, calls: int) -> float:
    command = [sys.executable, "-m", "benchmarks.raw_client", url, str(calls)]
    return float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def measure(server: Server, *, seconds: float) -> Limit:
    """Let a bare socket client make captures for about so many seconds."""
    calls = max(_PROBE, int(_PROBE / _run(server.url, _PROBE) * seconds))
    before = machine.cpu_seconds(server.pid)
    took = _run(server.url, calls)
    after = machine.cpu_seconds(server.pid)
    busy = None if before is None or after is None else min(1.0, (after - before) / took)
    return Limit(rate=calls / took, busy=busy)
