"""Counts the instructions of the client's hot path: a figure that a busy machine does not move.

Each path is run twice, with n and with 2n calls; the difference belongs to n calls alone, since start, imports and
warm-up are the same in both. Only the client is counted: where it talks to a server, that is a process of its own.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from attrs import frozen

from benchmarks import fixed_server
from benchmarks.fixed_server import ROOT

__all__ = ["PATHS", "Counter", "count_all", "find_counter"]

#: What is counted, by its name in the baseline: the operation, and whether it goes over aiohttp to a server.
PATHS: Mapping[str, tuple[str, bool]] = {
    "capture": ("capture", False),
    "details": ("details", False),
    "initiate": ("initiate", False),
    "capture over aiohttp": ("capture", True),
    "ePayment capture over aiohttp": ("epayment.capture", True),
}
#: How many calls the shorter run makes.
_CALLS = 600

# cachegrind without a cache to simulate counts the same as callgrind does, in half the time.
_VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
_VALGRIND_COUNT = re.compile(r"I\s+refs:\s+([\d,]+)")
_PERF = ("perf", "stat", "-x,", "-e", "instructions:u")
_PERF_COUNT = re.compile(r"^(\d+),[^,]*,instructions:u", re.MULTILINE)


@frozen(kw_only=True)
class Counter:
    """A tool that counts the instructions of a process."""

    name: str
    command: tuple[str, ...]
    pattern: re.Pattern[str]

    def count(self, command: list[str]) -> int:
        """Run a command and return how many instructions it took.

        Raises:
            RuntimeError: the command failed, or the tool told no count.
        """
        # With one seed, dictionaries collide alike in every run.
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run(
            [*self.command, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        found = self.pattern.search(done.stderr)
        if done.returncode or found is None:
            told = done.stderr.strip().splitlines()
            raise RuntimeError(f"{self.name} counted nothing: {told[-1] if told else done.returncode}")
        return int(found[1].replace(",", ""))


def find_counter() -> Counter | None:
    """Return what counts here; None: nothing does. Machines in clouds seldom let perf see the processor's counters."""
    for counter in (
        # First what counts the same on every machine, then what is there on few.
        Counter(name="valgrind", command=_VALGRIND, pattern=_VALGRIND_COUNT),
        Counter(name="perf", command=_PERF, pattern=_PERF_COUNT),
    ):
        if shutil.which(counter.command[0]) is None:
            continue
        try:
            counter.count(["true"])
        except RuntimeError:
            continue
        return counter
    return None


def _per_call(count: Callable[[list[str]], int], name: str, calls: int, url: str | None) -> Iterator[Callable[[], int]]:
    operation, _ = PATHS[name]
    where = [] if url is None else ["--url", url]
    for length in (calls, 2 * calls):
        command = [sys.executable, "-m", "benchmarks.hot_path", operation, str(length), *where]
        yield functools.partial(count, command)


def count_all(counter: Counter, names: tuple[str, ...] = tuple(PATHS), calls: int = _CALLS) -> dict[str, int]:
    """Return the instructions of one call on each path.

    Args:
        counter: what counts.
        names: some of `PATHS`.
        calls: how many calls the shorter run makes.

    Raises:
        RuntimeError: a run failed.
    """
    with fixed_server.running() as url, ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        runs = {}
        for name in names:
            server = url if PATHS[name][1] else None
            # Compiles the modules, so that no counted run does.
            subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "benchmarks.hot_path",
                    PATHS[name][0],
                    "1",
                    *(["--url", server] if server else []),
                ],
                cwd=ROOT,
                check=True,
                capture_output=True,
            )
            runs[name] = [pool.submit(run) for run in _per_call(counter.count, name, calls, server)]
        try:
            return {name: (long.result() - short.result()) // calls for name, (short, long) in runs.items()}
        except BaseException:
            # Whoever ends this, or the first failure, need not wait for what has not begun.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
