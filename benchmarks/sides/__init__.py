"""The clients that are compared, each written as its users would; one file a side."""

from __future__ import annotations

import importlib
import importlib.util
from typing import NamedTuple

from benchmarks.sides.protocol import Side

__all__ = ["SIDES", "Kind", "is_available", "open_side"]


class Kind(NamedTuple):
    """A side, and what it needs. No attrs class: whatever is imported here, every side pays for."""

    module: str
    #: What the tables call it.
    title: str
    #: The modules without which it cannot run.
    needs: tuple[str, ...] = ()

    @property
    def missing(self) -> str:
        """What of that is not installed here; nothing if it can run."""
        return ", ".join(name for name in self.needs if not is_available(name))


#: All sides, by the name that the command line of a worker takes.
SIDES = {
    "sdk": Kind(module="sdk", title="vipps_async"),
    "sdk-journal": Kind(module="sdk_journal", title="vipps_async with SqliteJournal"),
    "sdk-debug": Kind(module="sdk_debug", title="vipps_async logging at DEBUG"),
    "sdk-opentelemetry": Kind(
        module="sdk_opentelemetry",
        title="vipps_async, aiohttp's client traced",
        needs=("opentelemetry.sdk", "opentelemetry.instrumentation.aiohttp_client"),
    ),
    "sdk-observed": Kind(
        module="sdk_observed",
        title="vipps_async observed by contrib.opentelemetry",
        needs=("opentelemetry.sdk", "vipps_async.contrib.opentelemetry"),
    ),
    "aiohttp": Kind(module="naive_aiohttp", title="naive aiohttp"),
    "httpx": Kind(module="naive_httpx", title="naive httpx", needs=("httpx",)),
    "vipps": Kind(module="vipps_client", title="the client `vipps`", needs=("vipps",)),
}


def is_available(module: str) -> bool:
    """Say whether a module can be imported here."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def open_side(name: str, url: str, limit: int | None) -> Side:
    """Make a side; it opens nothing before its first call.

    Args:
        name: one of `SIDES`.
        url: the server.
        limit: the most connections at a time; None: what the side has by default.
    """
    # Only the side that is measured is imported: the others would colour its memory and its start.
    module = importlib.import_module(f"benchmarks.sides.{SIDES[name].module}")
    side: Side = module.open_side(url, limit)
    return side
