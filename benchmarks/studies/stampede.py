"""What a thousand tasks do that start together on a session without a token."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import fixed_server, machine
from benchmarks.pairing import in_pairs
from benchmarks.processes import working
from benchmarks.results import Figure, Row, Target
from benchmarks.sides import SIDES
from benchmarks.studies.bench import Bench
from benchmarks.studies.memory import ask

__all__ = ["stampede"]

#: The count of requests is the same each time; only the time spreads.
_PAIRS_SHARE = 3


def _rush(side: str, tasks: int) -> tuple[float, float]:
    """Let so many tasks capture at once; return the token requests that came of it, and the milliseconds it took."""
    # Not nginx: somebody has to count.
    with fixed_server.process() as (url, server_pid):
        machine.pin(server_pid, machine.SERVER_CORE)
        with working(side, url) as worker:
            rush = worker.run("capture", tasks, tasks, warm_up=0)
        return float(ask(url, "/counts")["token"]), rush.seconds * 1000


def stampede(bench: Bench) -> Iterator[Row]:
    """Count the requests for a token, and measure how long all take."""
    tasks = bench.stampede
    ours, theirs = in_pairs(
        lambda: _rush("sdk", tasks), lambda: _rush("aiohttp", tasks), max(1, bench.pairs // _PAIRS_SHARE)
    )
    left_name, right_name = SIDES["sdk"].title, f"{SIDES['aiohttp'].title}, no lock"
    yield Row(
        what=f"token requests of {tasks:,} tasks on a cold session",
        unit="",
        left=tuple(tokens for tokens, _ in ours),
        right=tuple(tokens for tokens, _ in theirs),
        figure=Figure.VALUE,
        target=Target(bound=1, at_least=False),
        left_name=left_name,
        right_name=right_name,
    )
    yield Row(
        what=f"until all {tasks:,} have captured",
        unit="ms",
        left=tuple(took for _, took in ours),
        right=tuple(took for _, took in theirs),
        note="server in pure Python",
        left_name=left_name,
        right_name=right_name,
    )
