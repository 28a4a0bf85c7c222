"""The machine that the figures belong to: its cores, who runs on which, and how busy a process is."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import sys
from pathlib import Path

__all__ = ["CLIENT_CORE", "SERVER_CORE", "cpu_seconds", "description", "load", "pin", "raise_file_limit", "resident"]

_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
#: The core for the side that is measured; None: it cannot be chosen here.
CLIENT_CORE: int | None = _CORES[0] if len(_CORES) > 1 else None
#: The core for the server, and for the raw client when the server is what is measured.
SERVER_CORE: int | None = _CORES[1] if len(_CORES) > 1 else None

#: What the figures depend on.
_PACKAGES = ("aiohttp", "orjson", "cattrs", "attrs", "structlog", "httpx", "uvloop", "vipps", "requests")


def pin(pid: int, core: int | None) -> None:
    """Keep a process (0: this one) on one core, where that is possible."""
    if core is not None:
        os.sched_setaffinity(pid, {core})


def cpu_seconds(pid: int) -> float | None:
    """Return the processor time that a process has used, in seconds; None where the system does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    # The name, in brackets, may hold blanks; user and system time are the 14th and 15th field.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Return the memory of a process that is in RAM, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def raise_file_limit() -> None:
    """Allow this process as many open files as it may have: thousands of connections need them."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _versions() -> str:
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def load() -> str:
    """Return the load of the last minute, five and fifteen."""
    return ", ".join(f"{figure:.2f}" for figure in os.getloadavg())


def description() -> list[str]:
    """Say on a few lines what was measured on."""
    if CLIENT_CORE is None:
        pinned = "processes are not pinned: there is one core, or the system does not let choose"
    else:
        pinned = f"client on core {CLIENT_CORE}, server on core {SERVER_CORE}"
    python = f"Python {platform.python_version()} ({sys.implementation.name})"
    cores = f"{len(_CORES) or os.cpu_count()} cores of {_processor()}"
    return [
        f"{python}, {platform.system()} {platform.machine()}, {cores}; {pinned}",
        f"load average at the start: {load()}",
        _versions(),
    ]
