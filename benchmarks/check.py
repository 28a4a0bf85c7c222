"""`--check` and `--update-baseline`: instruction counts against the committed ones."""

from __future__ import annotations

from benchmarks import baseline
from benchmarks.instructions import count_all, find_counter

__all__ = ["check", "counted", "update"]

_NO_COUNTER = "no counter of instructions here: neither perf (with access to the processor's counters) nor valgrind"


def counted() -> tuple[dict[str, int], str] | None:
    """Count all paths, and tell with what; None, said on the output, where nothing counts."""
    counter = find_counter()
    if counter is None:
        print(_NO_COUNTER)
        return None
    print(f"counting instructions with {counter.name} ...", flush=True)
    return count_all(counter), counter.name


def check() -> int:
    """Hold the counts against the baseline; returns the exit status: 0 only if all were compared and none grew."""
    before, versions = baseline.read()
    if not before:
        print(f"the baseline has nothing for {baseline.key()}; --update-baseline writes it")
        return 1
    found = counted()
    if found is None:
        return 1
    counts, counter = found
    for difference in baseline.differing_versions(versions, counter):
        print(f"note: {difference}")
    verdicts = baseline.compare(counts, before)
    for verdict in verdicts:
        print(verdict)
    return int(any(verdict.is_slower or verdict.before is None for verdict in verdicts))


def update() -> int:
    """Write the counts into the baseline; returns the exit status."""
    found = counted()
    if found is None:
        return 1
    counts, counter = found
    baseline.write(counts, counter)
    for name, count in counts.items():
        print(f"{name}: {count:,} instructions a call")
    return 0
