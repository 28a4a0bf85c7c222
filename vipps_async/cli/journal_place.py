"""Finds the journal of a command, a file or a PostgreSQL database: by options, by variables, or the default one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click
from attrs import frozen

from vipps_async.cli.commands import Command, Options, Run, UsageError
from vipps_async.cli.exit_status import ExitStatus
from vipps_async.cli.journal_file import VARIABLE, files_of, journal_path, open_journal
from vipps_async.cli.options import number_from
from vipps_async.cli.output import plain, say, say_error
from vipps_async.errors import ConfigurationError, VippsError
from vipps_async.journals.postgres.place import PostgresPlace
from vipps_async.journals.sqlite.journal import SqliteJournal
from vipps_async.journals.sqlite.ownership import JournalInUseError

if TYPE_CHECKING:
    from vipps_async.journals.postgres.journal import PostgresJournal


#: A journal on a disk.
StoredJournal: TypeAlias = "SqliteJournal | PostgresJournal"

#: Name the database of the journal, and its schema, where the command line does not.
_DSN_VARIABLE, _SCHEMA_VARIABLE = "VIPPS_JOURNAL_DSN", "VIPPS_JOURNAL_SCHEMA"
_SCHEMA = "vipps_async"
#: For how long a journal that another process has is waited for, in seconds.
_WAIT = 10.0


@frozen(kw_only=True)
class JournalPlace:
    """A journal file or database, which may not be there yet."""

    #: None: it is a database.
    path: Path | None = None
    #: None: it is a file.
    database: PostgresPlace | None = None
    #: Whether an option or a variable names it; else it is the command line's own.
    is_named: bool
    wait: float = 0.0
    trusted_owner: int | None = None

    def __str__(self) -> str:
        return plain(str(self.path) if self.database is None else self.database.name)

    @property
    def is_shared(self) -> bool:
        """Whether other processes use it meanwhile; a file belongs to one."""
        return self.database is not None

    @property
    def option(self) -> str:
        """What a command line to be copied must say of it; empty: nothing."""
        return f" --journal {shlex.quote(str(self.path))}" if self.database is None else self.database.option

    @property
    def files(self) -> list[Path]:
        """The files that it is made of: nothing else may be written there."""
        return [] if self.path is None else files_of(self.path)

    async def exists(self) -> bool:
        """Look whether it is there; makes nothing.

        Raises:
            VippsError: its database does not answer, or cannot be used.
        """
        if self.database is not None:
            return await self.database.exists()
        assert self.path is not None  # noqa: S101 - for the type checker; it is one of both
        return await asyncio.to_thread(self.path.is_file)

    async def open(self, *, check: bool = True) -> StoredJournal:
        """Open it, and make it if it is not there; `check`: look through a file for damage.

        Raises:
            VippsError: it cannot be opened; JournalInUseError: another process has it.
        """
        if self.database is not None:
            journal = self.database.journal()
            await journal.open()
            return journal
        assert self.path is not None  # noqa: S101 - for the type checker; it is one of both
        return await open_journal(self.path, wait=self.wait, check=check, trusted_owner=self.trusted_owner)

    def told(self, *, is_there: bool) -> str:
        """Say on one line which journal is looked into before money moves, and what that does not show."""
        if not self.is_named:
            return (
                f"journal {self} (the command line's own: what a service has open in another one is not known here; "
                "--journal, --dsn)"
            )
        return f"journal {self}" if is_there else f"journal {self} (there is none yet: it knows of no payment)"


def add_place(command: Command) -> None:
    """Give a command the options `--journal`, `--dsn` and `--schema`."""
    command.option(
        "--journal",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help=f"the journal file (default: {VARIABLE}, or one of the command line's own in the state folder)",
    )
    command.option(
        "--dsn",
        help=f"instead a PostgreSQL database (PostgresJournal; default: {_DSN_VARIABLE}); leave its password to "
        "PGPASSWORD or ~/.pgpass",
    )
    command.option(
        "--schema", help=f"with --dsn or {_DSN_VARIABLE}: its schema (default: {_SCHEMA_VARIABLE}, or {_SCHEMA})"
    )
    others = command.check

    def check(options: Options) -> None:
        if others is not None:
            others(options)
        _check(options)

    command.check = check


def add_journal(command: Command) -> None:
    """Give a command the options that name a journal and say how it is opened."""
    add_place(command)
    command.option(
        "--wait",
        type=number_from(float, 0.0, 86_400.0, "no number of seconds from 0 to a day"),
        default=_WAIT,
        metavar="SECONDS",
        help="how long to wait while another process has the journal file",
    )
    command.option(
        "--trust-owner",
        type=int,
        metavar="UID",
        help="open a journal file although it belongs to this other user; rather run as its owner",
    )


def _check(options: Options) -> None:
    if options.dsn is not None and options.journal is not None:
        raise UsageError("--journal and --dsn: which one is meant?")
    is_database = options.dsn is not None or (options.journal is None and os.environ.get(_DSN_VARIABLE))
    if options.schema is not None and not is_database:
        raise UsageError(f"--schema belongs to --dsn, or to {_DSN_VARIABLE}")


def place_of(options: Options) -> JournalPlace:
    """Tell which journal is meant: what the command line names goes before what variables name.

    Args:
        options: as `add_place` has them, and `wait` and `trust_owner` where it is to be opened.

    Raises:
        ConfigurationError: two variables name one each, or nothing does and there is no place for a state folder.
    """
    named, dsn = os.environ.get(VARIABLE), options.dsn
    if dsn is None and options.journal is None and (dsn := os.environ.get(_DSN_VARIABLE) or None) and named:
        raise ConfigurationError(
            f"{VARIABLE} and {_DSN_VARIABLE} name a journal each", advice="unset the one that is not your service's"
        )
    if dsn is not None:
        schema = options.schema or os.environ.get(_SCHEMA_VARIABLE) or _SCHEMA
        # A DSN is never shown: whoever has typed it types it again.
        option = " --dsn DSN" if options.dsn is not None else ""
        option += f" --schema {shlex.quote(options.schema)}" if options.schema is not None else ""
        return JournalPlace(database=PostgresPlace(dsn, schema, option), is_named=True)
    path = journal_path(options.journal, os.environ)
    return JournalPlace(
        path=path,
        is_named=options.journal is not None or bool(named),
        wait=getattr(options, "wait", 0.0),
        trusted_owner=getattr(options, "trust_owner", None),
    )


# --- what all actions of `vipps-async journal` share ------------------------------------------------------------------


def guarded(run: Run) -> Run:
    """Make an action tell its errors on one line and end with the status of each."""

    async def guarded_run(options: Options) -> int:
        try:
            return await run(options)
        except JournalInUseError as error:
            say_error(error)
            return ExitStatus.BUSY
        except VippsError as error:
            say_error(error)
            return ExitStatus.USAGE

    return guarded_run


async def existing_place(options: Options) -> JournalPlace:
    """Return the journal that is meant.

    Raises:
        ConfigurationError: there is none.
        JournalError: its database does not answer, or cannot be used.
    """
    place = place_of(options)
    if not await place.exists():
        # Opening would make one: a mistyped name must not look like a journal in which nothing is open.
        advice = "check the path" if place.database is None else "check --dsn and --schema"
        raise ConfigurationError(f"there is no journal {place}", advice=advice)
    return place


@contextlib.asynccontextmanager
async def opened(options: Options, *, thorough: bool) -> AsyncIterator[StoredJournal]:
    """Say which journal the options name, unless it is only read for machines; open and close it.

    Args:
        options: as `add_journal` has them.
        thorough: whether a file is looked through for damage when it is opened, as more than a list follows.

    Raises:
        ConfigurationError: there is none.
        JournalError: it cannot be opened.
    """
    place = await existing_place(options)
    if thorough or not getattr(options, "json", False):
        say(f"Journal: {place}")
    journal = await place.open(check=thorough)
    try:
        yield journal
    finally:
        await journal.aclose()
