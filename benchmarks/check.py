"""`--check` and `--update-baseline`: instruction counts against the committed ones."""

from __future__ import annotations

from benchmarks import baseline
from benchmarks.instructions import count_all, find_counter

__all__ = ["check", "counted", "update"]

_NO_COUNTER = "no counter of instructions here: neither perf (with access to the processor's counters) nor valgrind"


def counted() -> dict[str, int] | None:
    """Count all paths; None, said on the output, where nothing counts."""
    counter = find_counter()
    if counter is None:
        print(_NO_COUNTER)
        return None
    print(f"counting instructions with {counter.name} ...", flush=True)
    return count_all(counter)


def check() -> int:
    """Hold the counts against the baseline; returns the exit status: 0 only if all were compared and none grew."""
    before, versions = baseline.read()
    if not before:
        print(f"the baseline has nothing for {baseline.key()}; --update-baseline writes it")
        return 1
    counts = counted()
    if counts is None:
        return 1
    for difference in baseline.differing_versions(versions):
        print(f"note: {difference}")
    verdicts = baseline.compare(counts, before)
    for verdict in verdicts:
        print(verdict)
    return int(any(verdict.is_slower or verdict.before is None for verdict in verdicts))


def update() -> int:
    """Write the counts into the baseline; returns the exit status."""
    counts = counted()
    if counts is None:
        return 1
    baseline.write(counts)
    for name, count in counts.items():
        print(f"{name}: {count:,} instructions a call")
    return 0
