"""The committed counts of instructions, and what to say when they change."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

__all__ = ["PATH", "TOLERANCE", "Verdict", "compare", "differing_versions", "key", "read", "write"]

#: Where the counts stand.
PATH = Path(__file__).with_name("baseline.json")
#: By how much a count may grow. Two runs of the same code lie within 1 %; a new release of a dependency takes some.
TOLERANCE = 0.10

#: The packages that the counted instructions run through.
_PACKAGES = ("aiohttp", "attrs", "cattrs", "orjson", "structlog", "yarl", "multidict")


@frozen(kw_only=True)
class Verdict:
    """What became of one path."""

    name: str
    #: Instructions of one call now, and by the baseline; None: the baseline does not have this path.
    now: int
    before: int | None

    @property
    def change(self) -> float:
        """The growth as a share: 0.05 is 5 % more."""
        return 0.0 if self.before is None else self.now / self.before - 1

    @property
    def is_slower(self) -> bool:
        """Whether it grew beyond what is tolerated."""
        return self.before is not None and self.now > self.before * (1 + TOLERANCE)

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.name}: {self.now:,} instructions a call; not in the baseline"
        if self.is_slower:
            said = f"FAILED, more than {TOLERANCE:.0%} slower"
        else:
            said = "ok" if self.change >= -TOLERANCE else "faster: refresh the baseline"
        return f"{self.name}: {self.now:,} instructions a call, {self.change:+.1%} on {self.before:,}: {said}"


def key() -> str:
    """Return which counts belong to this interpreter: its minor version and the processor's architecture."""
    return f"{sys.version_info.major}.{sys.version_info.minor}-{platform.machine()}"


def _versions(counter: str) -> dict[str, str]:
    return {"counter": counter, "python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in _PACKAGES
    }


def read(path: Path = PATH) -> tuple[dict[str, int], dict[str, str]]:
    """Return the counts for this interpreter, and the versions they were counted with; both empty if there are none."""
    if not path.exists():
        return {}, {}
    entry: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")).get(key(), {})
    return entry.get("instructions", {}), entry.get("versions", {})


def differing_versions(versions: Mapping[str, str], counter: str) -> list[str]:
    """Say which packages, or which counter, are not those of the baseline: they, too, change counts."""
    now = _versions(counter)
    return [f"{name} {was} then, {now[name]} now" for name, was in versions.items() if now.get(name, was) != was]


def write(counts: Mapping[str, int], counter: str, path: Path = PATH) -> None:
    """Put the counts of this interpreter into the file; those of others, and of paths not counted now, stay."""
    everything: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    entry = everything.setdefault(key(), {})
    entry["instructions"] = {**entry.get("instructions", {}), **counts}
    entry["versions"] = _versions(counter)
    path.write_text(json.dumps(everything, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def compare(counts: Mapping[str, int], baseline: Mapping[str, int]) -> list[Verdict]:
    """Hold counts against a baseline, path by path."""
    return [Verdict(name=name, now=now, before=baseline.get(name)) for name, now in counts.items()]
