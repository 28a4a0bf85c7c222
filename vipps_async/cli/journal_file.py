"""Finds and opens the journal file of a command: one for each world and user, unless another one is named."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from vipps_async.config import Environment
from vipps_async.errors import ConfigurationError
from vipps_async.journals.sqlite.journal import SqliteJournal
from vipps_async.journals.sqlite.opening import log_of, partial_of
from vipps_async.journals.sqlite.ownership import OWNER_SUFFIX, JournalInUseError

#: Names the journal where the command line does not.
VARIABLE = "VIPPS_JOURNAL"
#: How often a journal is tried that another process has, in seconds.
_TRY_EVERY = 0.1


def journal_path(given: Path | None, env: Mapping[str, str]) -> Path:
    """Tell which journal is meant.

    Each environment and host has its own: what is done in one world is not done in the other.

    Args:
        given: what the command line says.
        env: the process's environment.

    Raises:
        ConfigurationError: nothing names one, and there is no place for a state folder.
    """
    if given is not None:
        return given
    if named := env.get(VARIABLE):
        return Path(named)
    return _state_folder(env) / f"{_world(env)}.journal.db"


def files_of(path: Path) -> list[Path]:
    """Name the files that a journal is made of: nothing else may be written there."""
    return [path, log_of(path), partial_of(path), path.with_name(path.name + OWNER_SUFFIX)]


def _make_folder(path: Path) -> None:
    """Make the folder of a journal, if that is the state folder and not there yet.

    Raises:
        ConfigurationError: it cannot be made or written.
    """
    try:
        if path.parent.name == _FOLDER:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        writable = os.access(path.parent, os.W_OK | os.X_OK)
    except OSError as error:
        raise _no_place(f"the journal's folder {path.parent} cannot be made: {error.strerror or error}") from error
    if not writable:
        raise _no_place(f"the journal's folder {path.parent} is not there, or cannot be written")


async def open_journal(
    path: Path, *, wait: float, check: bool = True, trusted_owner: int | None = None
) -> SqliteJournal:
    """Open a journal file; while another process has it, wait.

    Args:
        path: the file, made if it is not there.
        wait: for how many seconds.
        check: whether to look for damage.
        trusted_owner: the id of another user whose file it may be.

    Raises:
        JournalInUseError: another process still has it; it is named.
        JournalError: it cannot be opened.
        ConfigurationError: its folder cannot be made or written.
    """
    _make_folder(path)
    until = time.monotonic() + wait
    while True:
        journal = SqliteJournal(path, check_on_open=check, trusted_owner=trusted_owner)
        try:
            await journal.open()
        except JournalInUseError:
            if time.monotonic() >= until:
                raise
        else:
            return journal
        await asyncio.sleep(_TRY_EVERY)


_FOLDER = "vipps_async"


def _state_folder(env: Mapping[str, str]) -> Path:
    # XDG Base Directory Specification: a relative path is to be ignored.
    if (given := env.get("XDG_STATE_HOME")) and Path(given).is_absolute():
        return Path(given) / _FOLDER
    home = env.get("HOME") or env.get("LOCALAPPDATA")
    if not home or not Path(home).is_absolute():
        raise _no_place("there is no folder for the journal: neither XDG_STATE_HOME nor HOME is set")
    return Path(home) / ".local" / "state" / _FOLDER


def _no_place(text: str) -> ConfigurationError:
    advice = f"name a file that outlives this machine or container: --journal PATH, or {VARIABLE}"
    return ConfigurationError(text, advice=advice)


def _world(env: Mapping[str, str]) -> str:
    name = env.get("VIPPS_ENVIRONMENT") or Environment.TEST.value
    try:
        environment = Environment(name)
    except ValueError as error:
        raise ConfigurationError(f"VIPPS_ENVIRONMENT is {name!r}", advice="set it to test or production") from error
    parts = urlsplit(env.get("VIPPS_BASE_URL") or environment.base_url)
    host = parts.netloc.lower().removesuffix(":443" if parts.scheme == "https" else ":80")
    return f"{environment.value}-{re.sub(r'[^a-z0-9.-]', '_', host)}"
