"""`vipps-async journal backup`, `check`, `prune` and `erase`: looks after a journal."""

from __future__ import annotations

import argparse
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from vipps_async.cli.journal_store import add_store, guarded, opened, positive
from vipps_async.cli.output import plain, tell
from vipps_async.cli.statuses import UNTOLD
from vipps_async.errors import ConfigurationError
from vipps_async.journals.methods import DEFAULT_AGE, LEAST_AGE
from vipps_async.journals.sqlite.journal import SqliteJournal

if TYPE_CHECKING:
    Actions = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it

__all__ = ["add_upkeep"]

#: The exit status of a check that found damage.
_DAMAGED = 1
_MSN_VARIABLE = "VIPPS_MERCHANT_SERIAL_NUMBER"


def add_upkeep(actions: Actions) -> None:
    """Add the four actions to `journal`."""
    backup = actions.add_parser(
        "backup",
        help="copy a journal file",
        description="Copies a journal file into a new one. While a service runs, it alone can copy its journal: "
        "await journal.backup(target). A PostgreSQL journal is copied by pg_dump.",
    )
    add_store(backup)
    backup.add_argument("target", type=Path, metavar="TARGET", help="the copy; nothing may be there yet")
    backup.set_defaults(run=guarded(_backup))

    check = actions.add_parser(
        "check",
        help="look for damage",
        description="Looks through a whole journal for damage. Exit status 0: there is none; 1: rows that cannot be "
        "read are listed, and everything else can be used; 2: the journal cannot be used.",
    )
    add_store(check)
    check.set_defaults(run=guarded(_check))

    prune = actions.add_parser(
        "prune",
        help="delete old settled entries",
        description="Deletes entries that were settled long ago. What is open stays, however old it is.",
    )
    add_store(prune)
    prune.add_argument(
        "--older-than",
        type=positive,
        default=DEFAULT_AGE.days,
        metavar="DAYS",
        help=f"how many days ago they were settled at least (%(default)s; below {LEAST_AGE.days} only with --force)",
    )
    prune.add_argument("--force", action="store_true", help="also such as may still protect a refund")
    prune.set_defaults(run=guarded(_prune))

    erase = actions.add_parser(
        "erase",
        help="delete all entries of one order, for a person who has a right to that",
        description="Deletes all entries of one order, unless something of it is open.",
    )
    add_store(erase)
    erase.add_argument("order", metavar="ORDER_ID", help="the order")
    erase.add_argument("--msn", metavar="MSN", help=f"its sales unit (default: {_MSN_VARIABLE})")
    erase.set_defaults(run=guarded(_erase))


async def _backup(options: argparse.Namespace) -> int:
    if options.dsn is not None:
        advice = f"pg_dump --schema {options.schema}"
        raise ConfigurationError("a PostgreSQL journal is copied by its database's own tools", advice=advice)
    async with opened(options, thorough=True) as journal:
        assert isinstance(journal, SqliteJournal)  # noqa: S101 - for the type checker
        await journal.backup(options.target)
    return 0 if tell(f"copied to {options.target}") else UNTOLD


async def _check(options: argparse.Namespace) -> int:
    async with opened(options, thorough=True) as journal:
        damaged = await journal.damaged()
    lines = [f"entry {row.position}, payment {plain(row.payment)}: {plain(row.reason)}" for row in damaged]
    lines.append(
        f"{len(damaged)} cannot be read; nothing is ever sent for them. Compare the details of their orders at Vipps "
        "with your books, and keep a copy of the journal."
        if damaged
        else "no damage found"
    )
    if not tell("\n".join(lines)):
        return UNTOLD
    return _DAMAGED if damaged else 0


async def _prune(options: argparse.Namespace) -> int:
    async with opened(options, thorough=False) as journal:
        deleted = await journal.prune(older_than=timedelta(days=options.older_than), force=options.force)
    return 0 if tell(f"{deleted} deleted that were settled at least {options.older_than} days ago") else UNTOLD


async def _erase(options: argparse.Namespace) -> int:
    msn = options.msn or os.environ.get(_MSN_VARIABLE)
    if not msn:
        raise ConfigurationError("erase needs a sales unit", advice=f"give --msn, or set {_MSN_VARIABLE}")
    async with opened(options, thorough=False) as journal:
        deleted = await journal.erase(payment=options.order, merchant_serial_number=msn)
    return 0 if tell(f"{deleted} deleted of order {options.order}") else UNTOLD
