"""The journal in one SQLite file."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from vipps_async.errors import InvalidInputError
from vipps_async.journals.sqlite.thread import SqliteThread
from vipps_async.journals.stored_journal import LARGEST_BACKLOG, StoredJournal


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SqliteJournal(StoredJournal):
    """A `Journal` in one file, owned by one process; the choice unless several machines share the work.

    An intent is on the disk (fsync included) before `begin` returns. All that tasks ask for at the same time goes to
    the disk together, so that many at once cost little more than one. Beside the file stand its write-ahead log
    (``-wal``) and its lock (``.owner``); all of them can be read by their owner only. Keep the file on a local disk.
    Opening the file ends the leases of the process that had it before, whenever they expire.

    After a fork the child must open a journal of its own. The object may be made anywhere, may be shared by several
    sessions of one event loop, and is used from one event loop at a time.

    Args:
        path: the file; made if it is not there, and refused if it has 0 bytes, as it was cut off then. Its directory
            must exist.
        clock: gives the time that leases are measured by; aware. Tests set it by hand.
        check_on_open: look through the whole file for damage when it is opened: some seconds for a GB.
        max_queued_outcomes: how many outcomes may wait to be written before `settle` and `release` wait.
        trusted_owner: a user (UID) whose files are opened, too; by default only files of the user that runs this
            process are. Ignored on Windows.

    Raises:
        InvalidInputError: `path` names no file (such as ``":memory:"``), or `max_queued_outcomes` is not positive.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], datetime] = _utc_now,
        check_on_open: bool = True,
        max_queued_outcomes: int = LARGEST_BACKLOG,
        trusted_owner: int | None = None,
    ) -> None:
        # Made absolute here: the program may change its directory while the journal is open.
        self._path = Path(_checked_name(path)).absolute()
        super().__init__(f"the journal {self._path}", max_queued_outcomes=max_queued_outcomes)
        self._clock = clock
        self._check_on_open = check_on_open
        self._trusted_owner = trusted_owner

    def __repr__(self) -> str:
        return f"<SqliteJournal {self._path}>"

    @property
    def path(self) -> Path:
        """The journal file, as an absolute path."""
        return self._path

    def _new_store(self) -> SqliteThread:
        return SqliteThread(self._path, clock=self._clock, check=self._check_on_open, trusted_owner=self._trusted_owner)

    async def backup(self, target: str | os.PathLike[str]) -> None:
        """Copy the journal as it is now, while it is in use, into a file that only its owner can read.

        What is asked for meanwhile waits: some seconds for a GB. A copy does not know of attempts that were begun after
        it was made: one that is put back proves nothing about what happened later, and recovery asks Vipps.

        Args:
            target: the copy's name; nothing may be there yet.

        Raises:
            JournalError: it is there already, or cannot be written; or the journal cannot be read.
        """
        path = Path(_checked_name(target))
        await cast("SqliteThread", await self._written_store()).back_up(path)


def _checked_name(path: object) -> str:
    name = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    # SQLite would read two of these as "no file at all".
    if not isinstance(name, str) or not name or name == ":memory:" or name.startswith("file:") or "\0" in name:
        raise InvalidInputError("path", "the name of a file", value=path)
    return name
