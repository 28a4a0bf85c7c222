"""Checks on this machine: who has the journal and what is open in it, and which versions run here."""

from __future__ import annotations

import asyncio
import importlib.metadata
import platform
import shlex
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path

from attrs import Factory, define

from vipps_async._version import __version__
from vipps_async.diagnosis.result import CheckResult, CheckState
from vipps_async.errors import VippsError
from vipps_async.journals.entries import World
from vipps_async.journals.postgres.place import PostgresPlace
from vipps_async.journals.protocol import Journal
from vipps_async.journals.sqlite.journal import SqliteJournal
from vipps_async.journals.sqlite.ownership import JournalInUseError

_CHECK = "journal"
#: What a call to Vipps stands on.
_PACKAGES = ("aiohttp", "attrs", "cattrs", "orjson", "structlog", "yarl")


# --- the journal ------------------------------------------------------------------------------------------------------


@define
class _Content:
    """What is open in a journal."""

    #: None: it has not been used yet.
    world: World | None
    #: How many rows of what is open cannot be read.
    damaged: int
    #: By sales unit.
    counts: Counter[str] = Factory(Counter)
    oldest: datetime | None = None


async def check_journal(
    place: Path | PostgresPlace, *, world: World | None = None, merchant_serial_number: str = ""
) -> CheckResult:
    """Open a journal for as short as possible, and count what is open in it, and which of that is damaged.

    Damage elsewhere is not looked for, since a service that wants to start finds a file in use meanwhile.

    Args:
        place: the file, or the database.
        world: the Vipps that the variables name, as far as it is known; None: they name none.
        merchant_serial_number: the sales unit that they name; empty: they name none.
    """
    try:
        if (without := await _without_journal(place)) is not None:
            return without
        content = await _content_of(place)
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
    return _told(place, content, world, merchant_serial_number)


async def _without_journal(place: Path | PostgresPlace) -> CheckResult | None:
    """Tell of a place where no journal is to be opened; None: there may be one."""
    # Opening would make one: a mistyped name must not look like a journal in which nothing is open.
    if isinstance(place, Path):
        return await asyncio.to_thread(_without_file, place)
    if await place.exists():  # noqa: ASYNC240 - it is no path
        return None
    text = f"there is no journal {place.name}"
    advice = "check database and schema; a session makes the tables when its journal is first opened"
    return CheckResult(check=_CHECK, state=CheckState.FAILED, text=text, advice=advice)


def _without_file(path: Path) -> CheckResult | None:
    if path.is_file():
        return None
    is_there = path.exists()
    text = f"{path} is no file, so it is no journal" if is_there else f"there is no journal {path}"
    advice = "name a file" if is_there else "check the path; a session makes the file when it is first opened"
    return CheckResult(check=_CHECK, state=CheckState.FAILED, text=text, advice=advice)


def _named(place: Path | PostgresPlace) -> tuple[str, str]:
    """Return what it is called, and what names it to a command that is to be copied."""
    if isinstance(place, Path):
        return str(place), f" --journal {shlex.quote(str(place))}"
    return place.name, place.option


def _told(
    place: Path | PostgresPlace, content: _Content, world: World | None, merchant_serial_number: str
) -> CheckResult:
    count, damaged = content.counts.total(), content.damaged
    name, option = _named(place)
    facts: dict[str, object] = {"in_use": False, "open": count, "damaged": damaged}
    text = f"the journal {name} can be opened, and nothing is open in it"
    advices, state = [], CheckState.OK
    if content.oldest is not None:
        state = CheckState.WARNING
        owner = "; nobody has the file open" if isinstance(place, Path) else ", of running processes included"
        text = f"{count} open in the journal {name}, the oldest since {content.oldest:%Y-%m-%d %H:%M:%S} UTC{owner}"
        facts |= {"oldest": content.oldest, "open_by_sales_unit": dict(content.counts)}
        advices.append(_how_to_settle(content.counts, option, merchant_serial_number))
    if damaged:
        state = CheckState.FAILED
        damage = f"{damaged} that {'is' if damaged == 1 else 'are'} not settled cannot be read"
        text = f"{text}; {damage}" if count else f"{damage}, in the journal {name}"
        advices.append(
            "keep a copy of it; what cannot be read is never sent: compare the payments that vipps-async journal "
            f"check{option} names, at Vipps, with your books before you send anything of them"
        )
    if content.world is not None and world is not None and not _is_same(content.world, world):
        state = CheckState.FAILED
        text += f"; it is of another Vipps ({content.world}) than the variables name ({world})"
        facts["of_another_environment"] = str(content.world)
        # Nothing of it can be settled with these.
        advice = (
            "name the journal of this environment and host, or, for what is open in this one, set VIPPS_ENVIRONMENT "
            "and VIPPS_BASE_URL to those that it is of"
        )
        advices = [advice, *advices[bool(count) :]]
    return CheckResult(check=_CHECK, state=state, text=text, advice="; ".join(advices), facts=facts)


def _how_to_settle(counts: Counter[str], option: str, merchant_serial_number: str) -> str:
    """Say what settles what is open: a recovery is of one sales unit."""
    others = counts.total() - counts[merchant_serial_number]
    own = [f"settle it: vipps-async journal recover{option}"] if counts[merchant_serial_number] else []
    of_others = (
        f"{others} of other sales units: settle each with --msn, as vipps-async journal list --open{option} shows"
    )
    return "; ".join([*own, *([of_others] if others else [])])


def _is_same(bound: World, world: World) -> bool:
    # A sandbox that does not answer is not known by its instance.
    is_same_host = (bound.environment, bound.host) == (world.environment, world.host)
    return is_same_host and (not world.instance or bound.instance == world.instance)


def _journal_at(place: Path | PostgresPlace) -> Journal:
    return SqliteJournal(place, check_on_open=False) if isinstance(place, Path) else place.journal()


async def _content_of(place: Path | PostgresPlace) -> _Content:
    journal = _journal_at(place)
    await journal.open()
    try:
        content = _Content(await journal.world(), len(await journal.damaged(only_open=True)))
        async for entry in journal.open_entries():
            content.counts[entry.intent.merchant_serial_number] += 1
            begun = entry.intent.created_at
            content.oldest = begun if content.oldest is None else min(content.oldest, begun)
    finally:
        await journal.aclose()
    return content


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
