"""Which journal a command uses, and how it is opened: one file a world and user, unless another one is named."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

import click

from vipps_async.cli.commands import Command, Options, Run, UsageError
from vipps_async.cli.options import number_from
from vipps_async.cli.output import BUSY, USAGE, say, say_error
from vipps_async.config import Environment
from vipps_async.errors import ConfigurationError, VippsError
from vipps_async.journals.sqlite.journal import SqliteJournal
from vipps_async.journals.sqlite.opening import log_of, partial_of
from vipps_async.journals.sqlite.ownership import OWNER_SUFFIX, JournalInUseError

if TYPE_CHECKING:
    from vipps_async.journals.postgres.journal import PostgresJournal

__all__ = [
    "VARIABLE",
    "StoredJournal",
    "add_journal",
    "add_store",
    "existing_file",
    "files_of",
    "guarded",
    "journal_path",
    "make_folder",
    "open_journal",
    "opened",
]

#: A journal on a disk.
StoredJournal: TypeAlias = "SqliteJournal | PostgresJournal"

#: Names the journal where the command line does not.
VARIABLE = "VIPPS_JOURNAL"
#: For how long a journal that another process has is waited for, and how often it is tried, in seconds.
_WAIT, _TRY_EVERY = 10.0, 0.1


def add_journal(command: Command) -> None:
    """Give a command the options `--journal`, `--wait` and `--trust-owner`."""
    command.option(
        "--journal",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help=f"the journal file (default: {VARIABLE}, or in the state folder)",
    )
    command.option(
        "--wait",
        type=number_from(float, 0.0, 86_400.0, "no number of seconds from 0 to a day"),
        default=_WAIT,
        metavar="SECONDS",
        help="how long to wait while another process has the journal",
    )
    command.option(
        "--trust-owner",
        type=int,
        metavar="UID",
        help="open a journal file although it belongs to this other user; rather run as its owner",
    )


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


def make_folder(path: Path) -> None:
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
    make_folder(path)
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


# --- what all actions of `vipps-async journal` share ------------------------------------------------------------------


def add_store(command: Command) -> None:
    """Add the options that name a journal."""
    add_journal(command)
    command.option(
        "--dsn", help="instead a PostgreSQL database (PostgresJournal); leave its password to PGPASSWORD or ~/.pgpass"
    )
    command.option("--schema", default="vipps_async", help="with --dsn: its schema")
    command.check = _check_store


def _check_store(options: Options) -> None:
    if options.dsn is not None and options.journal is not None:
        raise UsageError("--journal and --dsn: which one is meant?")


def guarded(run: Run) -> Run:
    """Make an action tell its errors on one line and end with the status of each."""

    async def guarded_run(options: Options) -> int:
        try:
            return await run(options)
        except JournalInUseError as error:
            say_error(error)
            return BUSY
        except VippsError as error:
            say_error(error)
            return USAGE

    return guarded_run


def existing_file(options: Options) -> Path:
    """Return the journal file that is meant.

    Raises:
        ConfigurationError: there is no such file.
    """
    path = journal_path(options.journal, os.environ)
    if not path.is_file():
        # Opening would make one: a mistyped name must not look like a journal in which nothing is open.
        raise ConfigurationError(f"there is no journal {path}", advice="check the path")
    return path


@contextlib.asynccontextmanager
async def opened(options: Options, *, thorough: bool) -> AsyncIterator[StoredJournal]:
    """Open the journal that the options name, and close it.

    Args:
        options: as `add_store` has them.
        thorough: whether a file is looked through for damage when it is opened.

    Raises:
        ConfigurationError: there is no such file.
        JournalError: it cannot be opened.
    """
    journal: StoredJournal
    if options.dsn is not None:
        from vipps_async.journals.postgres.journal import PostgresJournal  # noqa: PLC0415 - its extra is needed only here

        journal = PostgresJournal(options.dsn, schema=options.schema)
        await journal.open()
    else:
        path = existing_file(options)
        if not getattr(options, "json", False):
            say(f"Journal: {path}")
        journal = await open_journal(path, wait=options.wait, check=thorough, trusted_owner=options.trust_owner)
    try:
        yield journal
    finally:
        await journal.aclose()
