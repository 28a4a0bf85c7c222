"""The command line: `python -m tests.faults storm` and `... kill`; exit status 1 unless all is zero that must be."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from random import SystemRandom

from tests.event_loop import use_chosen_loop
from tests.faults.kill import run_kills
from tests.faults.plan import TRADES
from tests.faults.storm import run_storm
from tests.short_waits import shorten_waits
from tests.support.postgres import available_dsn
from vipps_async import Journal, MemoryJournal, PostgresJournal, SqliteJournal


@contextlib.contextmanager
def _journal(name: str) -> Iterator[Journal | None]:
    if name == "none":
        yield None
    elif name == "memory":
        yield MemoryJournal()
    elif name == "sqlite":
        with tempfile.TemporaryDirectory(prefix="vipps-storm-") as folder:
            yield SqliteJournal(Path(folder) / "journal.db")
    else:
        with available_dsn() as dsn:
            yield PostgresJournal(dsn, schema=f"storm_{uuid.uuid4().hex}")


def _storm(options: argparse.Namespace) -> bool:
    with _journal(options.journal) as journal:
        report = asyncio.run(
            run_storm(
                captures=options.captures,
                seed=options.seed,
                rate=options.rate,
                journal=journal,
                journal_name=options.journal,
                api=options.api,
                concurrency=options.concurrency,
                below_horizon=options.below_horizon,
                shares=options.shares,
            )
        )
    print("\n".join(report.lines()), flush=True)
    return report.failed


def _kill(options: argparse.Namespace) -> bool:
    with contextlib.ExitStack() as stack:
        if options.journal == "sqlite":
            place = f"{stack.enter_context(tempfile.TemporaryDirectory(prefix='vipps-kill-'))}/journal.db"
        else:
            place = f"kill_{uuid.uuid4().hex}@{stack.enter_context(available_dsn())}"
        report = asyncio.run(
            run_kills(
                kills=options.kills,
                seed=options.seed,
                rate=options.rate,
                place=place,
                journal_name=options.journal,
                api=options.api,
            )
        )
    print("\n".join(report.lines()), flush=True)
    return report.failed


def main() -> int:
    """Read the arguments, run, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    commands = parser.add_subparsers(required=True)
    seed = SystemRandom().randrange(2**31)

    storm = commands.add_parser("storm", help="drive the client through the sandbox while everything fails")
    storm.add_argument("--captures", type=int, default=10_000, help="captures to ask for; the rest comes on top")
    storm.add_argument("--seed", type=int, default=seed, help="plans the work and the faults; drawn if left out")
    storm.add_argument("--rate", type=float, default=0.3, help="which part of all requests fails, from 0 to 1")
    storm.add_argument("--journal", choices=("none", "memory", "sqlite", "postgres"), default="sqlite")
    storm.add_argument("--concurrency", type=int, default=128, help="orders in work at the same time")
    storm.add_argument("--below-horizon", action="store_true", help="held requests take effect just below the horizon")
    storm.add_argument("--shares", action="store_true", help="fail if a new kind is too rare; 10,000 always do")
    storm.set_defaults(run=_storm)

    kill = commands.add_parser("kill", help="kill workers in ten phases and see what is left")
    kill.add_argument("--kills", type=int, default=500, help="how many workers are killed")
    kill.add_argument("--seed", type=int, default=seed, help="plans the work, the faults and the phases")
    kill.add_argument("--rate", type=float, default=0.05, help="which part of the workers' requests fails, 0 to 1")
    kill.add_argument("--journal", choices=("sqlite", "postgres"), default="sqlite")
    kill.set_defaults(run=_kill)
    for command in (storm, kill):
        command.add_argument("--api", choices=tuple(TRADES), default="ecom", help="what is traded over")

    options = parser.parse_args()
    use_chosen_loop()
    # A `Retry-After` that makes no sense holds a recovery for a minute.
    shorten_waits(setattr, batches=False)
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
