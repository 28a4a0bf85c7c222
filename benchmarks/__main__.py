"""The command: runs the studies and prints their tables. `python -m benchmarks --help` tells the options."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from attrs import asdict, evolve

from benchmarks import machine, server_limit, servers, table
from benchmarks.check import check, counted, update
from benchmarks.processes import WorkerError
from benchmarks.results import Failed, Row
from benchmarks.sides import SIDES, is_available
from benchmarks.studies import memory, share, stampede, starting, throughput
from benchmarks.studies.bench import Bench

__all__ = ["STUDIES", "main"]

#: The name of the study that counts instead of measuring.
_INSTRUCTIONS = "instructions"

#: The studies by name, in the order of the table; each with the side it cannot do without, or none.
STUDIES: Mapping[str, tuple[Callable[[Bench], Iterator[Row | Failed]], str | None]] = {
    "noise": (throughput.noise, None),
    "aiohttp": (throughput.against_aiohttp, "aiohttp"),
    "httpx": (throughput.against_httpx, "httpx"),
    "vipps": (throughput.against_vipps, "vipps"),
    "import": (starting.importing, None),
    "first-answer": (starting.first_answer, None),
    "memory": (memory.in_flight, None),
    "journal": (throughput.cost_of_journal, None),
    "logging": (throughput.cost_of_debug, None),
    "opentelemetry": (throughput.cost_of_opentelemetry, None),
    "stampede": (stampede.stampede, None),
    "share": (share.own_share, None),
}


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description="what the client costs, beside others and alone")
    names = (*STUDIES, _INSTRUCTIONS)
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("--pairs", type=int, metavar="N", help="pairs of each close comparison (default 9)")
    parser.add_argument("--quick", action="store_true", help="little of everything: to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every pair of figures there")
    parser.add_argument("--check", action="store_true", help="only hold instruction counts against the baseline")
    parser.add_argument("--update-baseline", action="store_true", help="only write the baseline anew")
    options = parser.parse_args(arguments)
    if options.pairs is not None and options.pairs < 1:
        parser.error("--pairs takes 1 or more")
    return options


def _bench(options: argparse.Namespace, server: servers.Server) -> Bench:
    bench = Bench(server=server)
    if options.quick:
        bench = evolve(
            bench,
            pairs=2,
            few_pairs=1,
            slice_seconds=0.1,
            concurrencies=(64,),
            in_flight=200,
            stampede=200,
            share_calls=2000,
        )
    if not is_available("uvloop"):
        print("no uvloop here: its rows are left out")
        bench = evolve(bench, loops=("asyncio",))
    if options.pairs is not None:
        bench = evolve(bench, pairs=options.pairs, few_pairs=min(bench.few_pairs, options.pairs))
    return bench


def _run_study(name: str, bench: Bench) -> tuple[list[Row], list[Failed]]:
    """Run one study, printing its rows as they come; returns those that have figures, and those that have not."""
    study, side = STUDIES[name]
    missing = "" if side is None else SIDES[side].missing
    if missing:
        print(f"\n### {name}\n\nleft out; not installed: {missing}")
        return [], []
    print(f"\n### {name}\n\n{table.HEAD}", flush=True)
    rows: list[Row] = []
    failed: list[Failed] = []
    try:
        for row in study(bench):
            print(table.line(row), flush=True)
            if isinstance(row, Row):
                rows.append(row)
            elif not row.is_left_out:
                failed.append(row)
    except WorkerError as failure:
        failed.append(Failed(what=name, why=str(failure)))
        print(table.line(failed[-1]), flush=True)
    return rows, failed


def _measure(names: list[str], options: argparse.Namespace) -> int:
    begun = time.monotonic()
    about = machine.description()
    print("\n".join(f"- {line}" for line in about), flush=True)
    results: dict[str, list[Row]] = {}
    failures: list[Failed] = []
    with servers.running() as server:
        bench = _bench(options, server)
        limit = server_limit.measure(server, seconds=bench.slice_seconds * 2)
        print(f"- server: {server.name}; {limit}", flush=True)
        for name in names:
            if name in STUDIES:
                results[name], failed = _run_study(name, bench)
                failures += failed
    counts: dict[str, int] = {}
    if _INSTRUCTIONS in names:
        print("\n### instructions\n")
        counts, _ = counted() or ({}, "")
        for path, count in counts.items():
            print(f"- {path}: {count:,} a call")
    busy = [row.server_busy for rows in results.values() for row in rows if row.server_busy is not None]
    if busy:
        print(f"\nThe server was at most {max(busy):.0%} busy in any row.")
    print(f"\n{time.monotonic() - begun:.0f} s in all; load average at the end: {machine.load()}")
    if options.json is not None:
        everything = {
            "machine": about,
            "server": {"name": server.name, "limit": str(limit)},
            "studies": {name: [row.as_json() for row in rows] for name, rows in results.items()},
            "instructions": counts,
            "failures": [asdict(failure) for failure in failures],
        }
        options.json.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    return int(bool(failures))


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments say, and return the exit status."""
    options = _arguments(arguments)
    # So that an end from outside, too, leaves no server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    if options.check:
        return check()
    if options.update_baseline:
        return update()
    every = [name for name in STUDIES if name != _INSTRUCTIONS] + ([] if options.quick else [_INSTRUCTIONS])
    return _measure(options.only or every, options)


if __name__ == "__main__":
    sys.exit(main())
