"""How sides are compared, and what becomes of one that fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from benchmarks.processes import Slice, WorkerError
from benchmarks.results import Failed, Row
from benchmarks.servers import Server
from benchmarks.studies import throughput
from benchmarks.studies.bench import Bench


class _Worker:
    """A side that makes a thousand calls a second, or half as many, and breaks down at a thousand at a time."""

    def __init__(self, side: str) -> None:
        self._rate = 1000 if side == "sdk" else 500

    def slice(self, _operation: str, concurrent: int, seconds: float) -> Slice:
        if concurrent == 1000:
            raise WorkerError("httpx: PoolTimeout")
        calls = int(self._rate * seconds)
        return Slice(calls=calls, seconds=seconds, cpu_seconds=seconds / 2, server_cpu=0.25, server_seconds=1.0)


@contextlib.contextmanager
def _working(side: str, _url: str, **_options: object) -> Iterator[_Worker]:
    yield _Worker(side)


def test_a_side_that_breaks_down_keeps_its_other_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison that fails is told as failed, and neither hides nor ends the ones beside it."""
    monkeypatch.setattr(throughput, "working", _working)
    server = Server(name="none", url="", pid=0)

    rows = list(throughput.against_httpx(Bench(server=server, slice_seconds=1.0, loops=("asyncio",))))

    assert [row.what for row in rows if isinstance(row, Failed)] == [
        f"{operation}, 1,000 at a time, asyncio" for operation in ("capture", "details", "initiate")
    ]
    measured = [row for row in rows if isinstance(row, Row)]
    assert [row.what for row in measured] == [
        f"{operation}, {concurrent} at a time, asyncio"
        for operation in ("capture", "details", "initiate")
        for concurrent in (1, 64)
    ]
    assert {row.ratio.median for row in measured if row.ratio} == {2.0}
    assert {row.cpu_ratio.median for row in measured if row.cpu_ratio} == {2.0}
    assert {row.server_busy for row in measured} == {0.25}
