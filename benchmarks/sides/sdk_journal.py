"""`VippsSession` with a `SqliteJournal` in the temporary directory, which should be on a real disk."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.sides.sdk import Sdk
from vipps_async import SqliteJournal

__all__ = ["open_side"]


class _Journalled(Sdk):
    """Calls that are noted before they leave."""

    def __init__(self, url: str, limit: int | None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="vipps-journal-")
        super().__init__(url, limit, SqliteJournal(Path(self._folder.name) / "journal.db"))

    async def aclose(self) -> None:
        """Close the session, and remove the file."""
        await super().aclose()
        self._folder.cleanup()


def open_side(url: str, limit: int | None) -> Sdk:
    """Make the side."""
    return _Journalled(url, limit)
