"""What all actions of `vipps-async journal` share: which journal, how it is opened, and what an error ends with."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from vipps_async.cli.journal_file import add_journal, journal_path, open_journal
from vipps_async.cli.output import plain, say
from vipps_async.cli.statuses import BUSY, USAGE
from vipps_async.errors import ConfigurationError, VippsError
from vipps_async.journals.sqlite.journal import SqliteJournal
from vipps_async.journals.sqlite.ownership import JournalInUseError

if TYPE_CHECKING:
    from vipps_async.journals.postgres.journal import PostgresJournal

__all__ = ["StoredJournal", "add_store", "existing_file", "guarded", "opened", "positive"]

#: A journal on a disk.
StoredJournal: TypeAlias = "SqliteJournal | PostgresJournal"


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a journal."""
    add_journal(parser)
    parser.add_argument(
        "--dsn", help="instead a PostgreSQL database (PostgresJournal); leave its password to PGPASSWORD or ~/.pgpass"
    )
    parser.add_argument("--schema", default="vipps_async", help="with --dsn: its schema (%(default)s)")
    parser.set_defaults(refuse_usage=parser.error)


def positive(text: str) -> int:
    """Read a whole number from 1 on.

    Raises:
        ValueError: it is none.
    """
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def guarded(
    run: Callable[[argparse.Namespace], Coroutine[Any, Any, int]],
) -> Callable[[argparse.Namespace], Coroutine[Any, Any, int]]:
    """Make an action tell its errors on one line and end with the status of each."""

    async def guarded_run(options: argparse.Namespace) -> int:
        if options.dsn is not None and options.journal is not None:
            options.refuse_usage("--journal and --dsn: which one is meant?")
        try:
            return await run(options)
        except JournalInUseError as error:
            say(f"vipps-async: {plain(error)}")
            return BUSY
        except VippsError as error:
            say(f"vipps-async: {plain(error)}")
            return USAGE

    return guarded_run


def existing_file(options: argparse.Namespace) -> Path:
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
async def opened(options: argparse.Namespace, *, thorough: bool) -> AsyncIterator[StoredJournal]:
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
