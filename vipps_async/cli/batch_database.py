"""Helpers of commands for batches in a database: its options, its extra, its failures."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from vipps_async.batch.distributed import OtherSettingsError, SubmissionUnknownError
from vipps_async.cli.commands import Command, Options, Run, UsageError
from vipps_async.cli.exit_status import ExitStatus
from vipps_async.cli.output import plain, say
from vipps_async.core.batch import BatchOperation
from vipps_async.errors import ConfigurationError, VippsError
from vipps_async.extras import text_for_missing

if TYPE_CHECKING:
    from vipps_async.batch.distributed.database import BatchDatabase


#: Where the database is, if the command line does not say so: there a password would stand in every list of processes.
_DSN_VARIABLE = "VIPPS_BATCH_DSN"


def _check(options: Options) -> None:
    if not options.dsn:
        raise UsageError(f"which database? give --dsn, or set {_DSN_VARIABLE}")
    if getattr(options, "release_remaining", False) and options.operation is not BatchOperation.CANCEL:
        raise UsageError("--release-remaining belongs to a cancel")


def database_action(name: str, run: Run, purpose: str, description: str, example: str) -> Command:
    """Make a command with `--dsn` and `--schema`, whose failures are told with their exit status."""

    async def guarded(options: Options) -> int:
        try:
            check_extra(name)
            return await run(options)
        except (VippsError, OSError, sqlite3.Error) as error:
            say(f"vipps-async: {plain(error)}")
            return _status_of(error)

    made = Command(name, guarded, purpose, description, examples=[example], check=_check)
    made.option(
        "--dsn",
        # Not shown with the help: it may hold a password.
        default=lambda: os.environ.get(_DSN_VARIABLE),
        show_default=False,
        help=f"the PostgreSQL database (or {_DSN_VARIABLE}); leave its password to PGPASSWORD or ~/.pgpass",
    )
    made.option("--schema", default="vipps_async", help="its schema")
    return made


def _status_of(error: Exception) -> int:
    if isinstance(error, SubmissionUnknownError):
        return ExitStatus.UNKNOWN
    return ExitStatus.OTHER_SETTINGS if isinstance(error, OtherSettingsError) else ExitStatus.USAGE


def check_extra(name: str) -> None:
    """Make sure that the libraries are installed that a command needs.

    Raises:
        ConfigurationError: they are not.
    """
    try:
        import procrastinate  # noqa: F401, PLC0415 - an extra
        import psycopg_pool  # noqa: F401, PLC0415 - as above
    except ImportError as error:
        raise ConfigurationError(
            text_for_missing(f"`batch {name}`", "distributed"), advice=f"a library could not be loaded: {error}"
        ) from error
    # What they have to say of a database that is away is said in our own words.
    for theirs in ("procrastinate", "psycopg"):
        logging.getLogger(theirs).addHandler(logging.NullHandler())


@contextlib.asynccontextmanager
async def opened_database(options: Options, *, only_read: bool = False) -> AsyncIterator[BatchDatabase]:
    """Open the database that the command line names; `only_read` needs no rights to write, and makes nothing."""
    from vipps_async.batch.distributed.database import BatchDatabase  # noqa: PLC0415 - needs the extra

    database = BatchDatabase(options.dsn, schema=options.schema, only_read=only_read)
    await database.open()
    try:
        yield database
    finally:
        await database.close()
