"""Checks on this machine: who has the journal file and what is open in it, and which versions run here."""

from __future__ import annotations

import asyncio
import importlib.metadata
import platform
import shlex
import sys
from datetime import datetime
from pathlib import Path

from vipps_async._version import __version__
from vipps_async.core.clock import Clock
from vipps_async.diagnosis.result import CheckResult, CheckState
from vipps_async.errors import VippsError
from vipps_async.journals.sqlite.journal import SqliteJournal
from vipps_async.journals.sqlite.ownership import JournalInUseError

__all__ = ["check_journal", "check_versions"]

_CHECK = "journal"
#: What a call to Vipps stands on.
_PACKAGES = ("aiohttp", "attrs", "cattrs", "orjson", "structlog", "yarl")


# --- the journal ------------------------------------------------------------------------------------------------------


async def check_journal(path: Path, clock: Clock) -> CheckResult:
    """Open a journal file for as short as possible, and count what is open in it.

    Damage is not looked for, since a service that wants to start finds the file in use meanwhile.

    Args:
        path: the file.
        clock: the local time.
    """
    if not await asyncio.to_thread(path.is_file):
        # Opening would make one: a mistyped name must not look like a journal in which nothing is open.
        return CheckResult(
            check=_CHECK,
            state=CheckState.FAILED,
            text=f"there is no journal {path}",
            advice="check the path; a session makes the file when it is first opened",
        )
    try:
        count, oldest = await _open_entries(path)
    except JournalInUseError as error:
        # As it should be while the service runs.
        text = f"{error.message}, so that it cannot be looked into"
        advice = (
            "nothing, if that is your service: ask it what is open; else end that process. A journal file belongs to "
            "one process; several share a PostgresJournal"
        )
        facts = {"in_use": True, "open": None}
        return CheckResult(check=_CHECK, state=CheckState.WARNING, text=text, advice=advice, facts=facts)
    except VippsError as error:
        return CheckResult.of_error(_CHECK, error)
    if oldest is None:
        text = f"the journal {path} can be opened, and nothing is open in it"
        return CheckResult(check=_CHECK, state=CheckState.OK, text=text, facts={"in_use": False, "open": 0})
    seconds = max(0, round((clock.now() - oldest).total_seconds()))
    text = f"{count} open in the journal {path}, the oldest for {_age(seconds)}; nobody has the file open"
    return CheckResult(
        check=_CHECK,
        state=CheckState.WARNING,
        text=text,
        advice=f"settle it: vipps-async journal recover --journal {shlex.quote(str(path))}",
        facts={"in_use": False, "open": count, "oldest": oldest, "oldest_seconds": seconds},
    )


async def _open_entries(path: Path) -> tuple[int, datetime | None]:
    journal = SqliteJournal(path, check_on_open=False)
    await journal.open()
    count, oldest = 0, None
    try:
        async for entry in journal.open_entries():
            count += 1
            begun = entry.intent.created_at
            oldest = begun if oldest is None else min(oldest, begun)
    finally:
        await journal.aclose()
    return count, oldest


def _age(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


# --- versions ---------------------------------------------------------------------------------------------------------


def check_versions() -> CheckResult:
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
    return CheckResult(check="versions", state=CheckState.OK, text=text, facts=facts)
