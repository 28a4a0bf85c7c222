"""Tells what runs here: the versions of Python and of what calls stand on, and which event loop."""

from __future__ import annotations

import asyncio
import importlib.metadata
import platform
import sys

from vipps_async._version import __version__
from vipps_async.diagnosis.finding import Finding, State

__all__ = ["look_at_versions"]

#: What a call to Vipps stands on.
_PACKAGES = ("aiohttp", "attrs", "cattrs", "orjson", "structlog", "yarl")


def look_at_versions() -> Finding:
    """Name the versions; called in a running event loop."""
    versions = {"python": platform.python_version(), "vipps_async": __version__}
    for package in _PACKAGES:
        versions[package] = importlib.metadata.version(package)
    kind = type(asyncio.get_running_loop())
    loop = f"{kind.__module__}.{kind.__qualname__}"
    text = f"{', '.join(f'{name} {version}' for name, version in versions.items())}; event loop {loop}"
    facts: dict[str, object] = {"versions": versions, "event_loop": loop}
    if sys.version_info < (3, 14):  # pragma: no branch - from then on asking for it is deprecated
        policy = type(asyncio.get_event_loop_policy())
        facts["event_loop_policy"] = f"{policy.__module__}.{policy.__qualname__}"
        text += f" by {policy.__qualname__}"
    return Finding(check="versions", state=State.OK, text=text, facts=facts)
