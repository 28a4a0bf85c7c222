"""How much memory a call takes while its answer is awaited."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from benchmarks import fixed_server, machine
from benchmarks.pairing import in_pairs
from benchmarks.processes import working
from benchmarks.results import Figure, Row, Target
from benchmarks.sides import SIDES
from benchmarks.studies.bench import Bench

__all__ = ["ask", "in_flight", "wait_until_held"]

#: How long all calls may take to arrive, in seconds.
_ARRIVAL_LIMIT = 30.0
#: A pair takes seconds, and its spread is small.
_PAIRS_SHARE = 2


def ask(url: str, path: str) -> dict[str, Any]:
    """Ask the counting server for something of its own."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", path)
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def _per_call(side: str, calls: int) -> float:
    """Return how many KiB of RAM one of so many calls takes while all of them wait for their answers."""
    # A fresh server and a fresh side: memory that an earlier round left would be taken again unseen.
    with fixed_server.process(hold=True) as (url, server_pid):
        machine.pin(server_pid, machine.SERVER_CORE)
        with working(side, url, limit=calls) as worker:
            # One call fetches the token and imports what is imported late; its answer is let go like the others.
            worker.send({"operation": "capture", "calls": 1, "concurrent": 1, "warm_up": 0})
            wait_until_held(url, 1)
            ask(url, "/release")
            worker.answer()
            before = machine.resident(worker.pid)
            worker.send({"operation": "capture", "calls": calls, "concurrent": calls, "warm_up": 0})
            wait_until_held(url, calls)
            held = machine.resident(worker.pid)
            ask(url, "/release")
            worker.answer()
    return (held - before) / calls / 1024


def wait_until_held(url: str, calls: int) -> None:
    """Return when the server holds so many answers back.

    Raises:
        RuntimeError: they did not arrive in time.
    """
    until = time.monotonic() + _ARRIVAL_LIMIT
    while ask(url, "/counts")["held"] < calls:
        if time.monotonic() > until:
            raise RuntimeError(f"{calls} calls did not arrive within {_ARRIVAL_LIMIT} s")
        time.sleep(0.05)


def in_flight(bench: Bench) -> Iterator[Row]:
    """Weigh calls in flight, each on a connection of its own."""
    ours, theirs = in_pairs(
        lambda: _per_call("sdk", bench.in_flight),
        lambda: _per_call("aiohttp", bench.in_flight),
        max(1, bench.pairs // _PAIRS_SHARE),
    )
    yield Row(
        what=f"memory of each of {bench.in_flight:,} captures in flight",
        unit="KiB",
        left_name=SIDES["sdk"].title,
        left=ours,
        right_name=SIDES["aiohttp"].title,
        right=theirs,
        figure=Figure.DIFFERENCE,
        target=Target(bound=12.0, at_least=False),
        note="as many connections allowed on both sides",
    )
