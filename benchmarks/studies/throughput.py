"""How many calls a second: the client against others, with its own extras, and against itself."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence

from benchmarks.machine import CLIENT_CORE
from benchmarks.pairing import in_pairs
from benchmarks.processes import Slice, Worker, WorkerError, working
from benchmarks.results import Failed, Row, Target
from benchmarks.sides import SIDES
from benchmarks.studies.bench import Bench

__all__ = [
    "against_aiohttp",
    "against_httpx",
    "against_vipps",
    "cost_of_debug",
    "cost_of_journal",
    "cost_of_opentelemetry",
    "noise",
]

_OPERATIONS = ("capture", "details", "initiate")
#: Where many calls are made at a time, but not more than there are connections: what a busy shop does.
_BUSY = 64


def _compared(
    left: Worker,
    right: Worker,
    bench: Bench,
    *,
    operation: str,
    concurrent: int,
    pairs: int,
) -> tuple[tuple[Slice, ...], tuple[Slice, ...]]:
    return in_pairs(
        lambda: left.slice(operation, concurrent, bench.slice_seconds),
        lambda: right.slice(operation, concurrent, bench.slice_seconds),
        pairs,
    )


def _busy(slices: Sequence[Slice]) -> float | None:
    used = [part.server_cpu for part in slices if part.server_cpu is not None]
    return sum(used) / sum(part.server_seconds for part in slices) if used else None


def _row(
    what: str,
    names: tuple[str, str],
    slices: tuple[tuple[Slice, ...], tuple[Slice, ...]],
    *,
    target: Target | None = None,
    note: str = "",
) -> Row:
    left, right = slices
    return Row(
        what=what,
        unit="calls/s",
        left_name=SIDES[names[0]].title,
        left=tuple(part.rate for part in left),
        left_cpu=tuple(part.cpu_per_call for part in left),
        right_name=SIDES[names[1]].title,
        right=tuple(part.rate for part in right),
        right_cpu=tuple(part.cpu_per_call for part in right),
        server_busy=_busy((*left, *right)),
        target=target,
        note=note,
    )


@contextlib.contextmanager
def _two(bench: Bench, left: str, right: str, loop: str) -> Iterator[tuple[Worker, Worker]]:
    server = bench.server
    with (
        working(left, server.url, loop=loop, server_pid=server.pid) as one,
        working(right, server.url, loop=loop, server_pid=server.pid) as other,
    ):
        yield one, other


def _at_least(bound: float) -> Target:
    return Target(bound=bound, at_least=True)


def _against(
    bench: Bench, other: str, pairs: int, targets: dict[tuple[str, int], float], note: str = ""
) -> Iterator[Row | Failed]:
    for loop, operation in itertools.product(bench.loops, _OPERATIONS):
        what = f"{operation}, {{:,}} at a time, {loop}"
        concurrent = 0
        try:
            with _two(bench, "sdk", other, loop) as (left, right):
                for concurrent in bench.concurrencies:
                    slices = _compared(left, right, bench, operation=operation, concurrent=concurrent, pairs=pairs)
                    bound = targets.get((operation, concurrent))
                    target = None if bound is None else _at_least(bound)
                    yield _row(what.format(concurrent), ("sdk", other), slices, target=target, note=note)
        except WorkerError as failure:
            # One that cannot carry so many calls may still carry others.
            yield Failed(what=what.format(concurrent), why=str(failure))


def noise(bench: Bench) -> Iterator[Row]:
    """Measure the client against itself: what differs here is the machine."""
    for loop in bench.loops:
        with _two(bench, "sdk", "sdk", loop) as (left, right):
            for concurrent in bench.concurrencies:
                slices = _compared(left, right, bench, operation="capture", concurrent=concurrent, pairs=bench.pairs)
                yield _row(f"A/A: capture, {concurrent:,} at a time, {loop}", ("sdk", "sdk"), slices)


def against_aiohttp(bench: Bench) -> Iterator[Row | Failed]:
    """Measure against what a careful engineer writes with aiohttp."""
    yield from _against(bench, "aiohttp", bench.pairs, {("capture", _BUSY): 1.0, ("capture", 1000): 1.0})


def against_httpx(bench: Bench) -> Iterator[Row | Failed]:
    """Measure against the same with httpx."""
    yield from _against(bench, "httpx", bench.few_pairs, {("capture", _BUSY): 12.0})


def against_vipps(bench: Bench) -> Iterator[Row | Failed]:
    """Measure against the client `vipps`."""
    yield from _against(bench, "vipps", bench.few_pairs, {("capture", _BUSY): 10.0}, note="blocks; in threads")


def _extra(bench: Bench, side: str, *, target: Target | None = None, note: str = "") -> Iterator[Row]:
    for loop in bench.loops:
        with _two(bench, side, "sdk", loop) as (left, right):
            slices = _compared(left, right, bench, operation="capture", concurrent=_BUSY, pairs=bench.pairs)
            yield _row(f"capture, {_BUSY} at a time, {loop}", (side, "sdk"), slices, target=target, note=note)


def cost_of_journal(bench: Bench) -> Iterator[Row]:
    """Measure captures that are written to disk before they leave, against captures that are not."""
    # One core for a side is one for all its threads: unpinned, the journal's may have another.
    note = "its thread on the client's core" if CLIENT_CORE is not None else ""
    yield from _extra(bench, "sdk-journal", target=_at_least(0.8), note=note)


def cost_of_debug(bench: Bench) -> Iterator[Row]:
    """Measure with every event logged, against the default, where none is."""
    yield from _extra(bench, "sdk-debug")


def cost_of_opentelemetry(bench: Bench) -> Iterator[Row | Failed]:
    """Measure with every call traced, against the default: from below, and by the package itself."""
    for side in ("sdk-opentelemetry", "sdk-observed"):
        if SIDES[side].missing:
            yield Failed(what=SIDES[side].title, why=f"not installed: {SIDES[side].missing}", is_left_out=True)
        else:
            yield from _extra(bench, side, note="spans dropped")
