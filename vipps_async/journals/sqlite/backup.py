"""A copy of a journal file that is in use: whole or not there at all, and for its owner alone."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from vipps_async.errors import JournalError
from vipps_async.journals.sqlite.opening import translated

__all__ = ["copy_file"]


def copy_file(connection: sqlite3.Connection, path: Path, target: Path) -> None:
    """Copy a database under another name until it is whole and on the disk, then give it its own.

    Args:
        connection: the open journal.
        path: what it is called in errors.
        target: the copy's name.

    Raises:
        JournalError: there is something of that name, or it cannot be written, or the journal cannot be read.
    """
    partial = target.with_name(f"{target.name}.partial")
    with contextlib.ExitStack() as stack:
        try:
            # Never over an older copy, which may be the only good one.
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError as error:
            raise JournalError(f"{target} is there already; nothing was copied", advice="name a new file") from error
        except OSError as error:
            raise translated(error, target, "written") from error
        stack.callback(target.unlink, missing_ok=True)
        try:
            os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
            stack.callback(partial.unlink, missing_ok=True)
            with contextlib.closing(sqlite3.connect(partial)) as copy:
                connection.backup(copy)
                # In one file, without a log beside it.
                copy.execute("PRAGMA journal_mode = DELETE")
            descriptor = os.open(partial, os.O_RDWR)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            partial.replace(target)
        except (sqlite3.Error, OSError) as error:
            raise translated(error, path, f"copied to {target}") from error
        stack.pop_all()
