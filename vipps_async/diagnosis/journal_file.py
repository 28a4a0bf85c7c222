"""Looks at a journal file: whether it can be opened or who owns it, how much is open in it and since when."""

from __future__ import annotations

import asyncio
import shlex
from datetime import datetime
from pathlib import Path

from vipps_async.core.clock import Clock
from vipps_async.diagnosis.finding import Finding, State
from vipps_async.errors import VippsError
from vipps_async.journals.sqlite.journal import SqliteJournal
from vipps_async.journals.sqlite.ownership import JournalInUseError

__all__ = ["look_at_journal"]

_CHECK = "journal"


async def look_at_journal(path: Path, clock: Clock) -> Finding:
    """Open a journal file for as short as possible, and count what is open in it.

    Damage is not looked for, since a service that wants to start finds the file in use meanwhile.

    Args:
        path: the file.
        clock: the local time.
    """
    if not await asyncio.to_thread(path.is_file):
        # Opening would make one: a mistyped name must not look like a journal in which nothing is open.
        return Finding(
            check=_CHECK,
            state=State.FAILED,
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
        return Finding(check=_CHECK, state=State.WARNING, text=text, advice=advice, facts=facts)
    except VippsError as error:
        return Finding.of_error(_CHECK, error)
    if oldest is None:
        text = f"the journal {path} can be opened, and nothing is open in it"
        return Finding(check=_CHECK, state=State.OK, text=text, facts={"in_use": False, "open": 0})
    seconds = max(0, round((clock.now() - oldest).total_seconds()))
    text = f"{count} open in the journal {path}, the oldest for {_age(seconds)}; nobody has the file in hand"
    return Finding(
        check=_CHECK,
        state=State.WARNING,
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
