"""What all actions of `vipps-async journal` share: which journal, and what an error ends with."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipps_async.cli.terminal import plain, say
from vipps_async.errors import ConfigurationError, VippsError
from vipps_async.journals.sqlite import SqliteJournal

if TYPE_CHECKING:
    from vipps_async.journals.postgres import PostgresJournal

    #: A journal on a disk.
    StoredJournal = SqliteJournal | PostgresJournal

__all__ = ["NOT_POSSIBLE", "add_store", "guarded", "positive", "store_of"]

#: The exit status of what could not be done at all.
NOT_POSSIBLE = 2


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a journal."""
    store = parser.add_mutually_exclusive_group(required=True)
    store.add_argument("--journal", type=Path, metavar="PATH", help="a journal file (SqliteJournal)")
    store.add_argument(
        "--dsn", help="a PostgreSQL database (PostgresJournal); leave its password to PGPASSWORD or ~/.pgpass"
    )
    parser.add_argument("--schema", default="vipps_async", help="with --dsn: its schema (%(default)s)")
    parser.add_argument(
        "--trust-owner",
        type=int,
        metavar="UID",
        help="with --journal: open it although it belongs to this other user; rather run as its owner",
    )


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
    """Make an action tell its errors on one line and end with `NOT_POSSIBLE`."""

    async def guarded_run(options: argparse.Namespace) -> int:
        try:
            return await run(options)
        except VippsError as error:
            say(f"vipps-async: {plain(error)}", file=sys.stderr)
            return NOT_POSSIBLE

    return guarded_run


def store_of(options: argparse.Namespace, *, thorough: bool) -> StoredJournal:
    """Make the journal that the options name, not opened yet.

    Args:
        options: as `add_store` has them.
        thorough: whether a file is looked through for damage when it is opened.

    Raises:
        ConfigurationError: there is no such file.
    """
    if options.dsn is not None:
        from vipps_async.journals.postgres import PostgresJournal  # noqa: PLC0415 - its extra is needed only here

        return PostgresJournal(options.dsn, schema=options.schema)
    if not options.journal.is_file():
        # Opening would make one: a mistyped name must not look like a journal in which nothing is open.
        raise ConfigurationError(f"there is no journal {options.journal}", advice="check the path")
    return SqliteJournal(options.journal, check_on_open=thorough, trusted_owner=options.trust_owner)
