"""Applies each mutant in a copy of the package, runs the tests that must notice it, and reports the survivors.

`python -m tests.mutants [--only TEXT] [--sample N --seed S] [--at-once N]`
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from attrs import frozen

from tests.mutants.money import MUTANTS
from tests.mutants.mutant import ROOT, Mutant

__all__ = ["main"]

T = TypeVar("T")

#: A mutant that makes a test hang has been noticed, too; in seconds.
_LONGEST = 120.0
#: Only what these tests need: looking for all plugins that are installed takes longer than most of them.
_PYTEST = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "pytest_asyncio.plugin", "-p", "no:cacheprovider")
#: pytest's exit code for "tests were run, and some failed"; others are mistakes in how it was called.
_FAILED, _NOT_COLLECTED = 1, 2


@frozen
class Finding:
    """What came of one run."""

    passed: bool
    #: Of the tests' output, the end; or that they took too long.
    text: str


def run_tests(place: Path, tests: Iterable[str]) -> Finding:
    """Run some files of tests in a copy of the project."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [*_PYTEST, *tests],
            cwd=place,
            env=environment,
            timeout=_LONGEST,
            capture_output=True,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding(passed=False, text="the tests took too long")
    if done.returncode not in {0, _FAILED, _NOT_COLLECTED}:
        raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout}{done.stderr}")
    return Finding(done.returncode == 0, (done.stdout + done.stderr)[-2000:])


def judge(place: Path, mutant: Mutant, sound: frozenset[str]) -> Finding | None:
    """Run the tests of a mutant that pass without it; None: there is none, so nothing can be told."""
    tests = [each for each in mutant.tests if each in sound]
    if not tests:
        return None
    path = place / "vipps_async" / mutant.file
    before, times = path.read_bytes(), path.stat()
    path.write_text(mutant.applied_to(before.decode()), encoding="utf-8", newline="")
    try:
        return run_tests(place, tests)
    finally:
        path.write_bytes(before)
        # The compiled file beside it is valid again.
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def side_by_side(work: list[T], at_once: int, do: Callable[[Path, T], None]) -> None:
    """Do all work, each of the threads in a copy of the project."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        places = [Path(directory) / str(number) for number in range(at_once)]
        for place in places:
            place.mkdir()
            shutil.copy2(ROOT / "pyproject.toml", place)
            for part in ("vipps_async", "tests"):
                shutil.copytree(ROOT / part, place / part)
        free = list(places)

        def one(item: T) -> None:
            place = free.pop()
            try:
                do(place, item)
            finally:
                free.append(place)

        with concurrent.futures.ThreadPoolExecutor(at_once) as threads:
            for each in [threads.submit(one, item) for item in work]:
                each.result()


def sound_tests(mutants: list[Mutant], at_once: int) -> frozenset[str]:
    """Find which of the named files pass as the package is."""
    files = sorted({each for mutant in mutants for each in mutant.tests})
    sound: set[str] = set()

    def look(place: Path, file: str) -> None:
        finding = run_tests(place, [file])
        if finding.passed:
            sound.add(file)
        else:
            print(f"fails without any mutant: {file}\n{finding.text}", flush=True)

    side_by_side(files, at_once, look)
    return frozenset(sound)


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; 1 if a mutant survived, or none of its tests passes without it."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="mutants in whose line this text stands")
    parser.add_argument("--sample", type=int, help="so many of them, drawn at random")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="for the sample")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    mutants = [each for each in MUTANTS if options.only in str(each)]
    if options.sample is not None:
        print(f"seed {options.seed}")
        mutants = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
    began, failed = time.monotonic(), list[str]()
    sound = sound_tests(mutants, options.at_once)

    def do(place: Path, mutant: Mutant) -> None:
        finding = judge(place, mutant, sound)
        if finding is None:
            failed.append(f"NOT JUDGED {mutant}")
        elif finding.passed:
            failed.append(f"SURVIVED {mutant}")
        else:
            return
        print(failed[-1], flush=True)

    side_by_side(mutants, options.at_once, do)
    print(f"{len(mutants)} mutants, {len(failed)} not caught, in {time.monotonic() - began:.0f} s")
    return 1 if failed or not mutants else 0


if __name__ == "__main__":
    sys.exit(main())
