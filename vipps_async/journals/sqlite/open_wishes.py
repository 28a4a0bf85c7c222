"""Which wishes have open entries with made keys in the file: kept in memory, so that a begin need not look there."""

from __future__ import annotations

from collections.abc import Iterable

from vipps_async.journals.protocol import Intent, KeyOrigin
from vipps_async.journals.slots import Wish, wish_of

__all__ = ["MOST", "OpenWishes"]

#: The most wishes that are remembered: some 30 MB. With more, each begin looks in the file.
MOST = 100_000


class OpenWishes:
    """Counts the open entries with made keys of each wish.

    Args:
        wishes: those of the entries that are open in the file, one for each; more than `MOST`: too many to remember.
    """

    def __init__(self, wishes: Iterable[Wish]) -> None:
        self._counts: dict[Wish, int] | None = {}
        for wish in wishes:
            self._change(wish, 1)

    def may_have(self, wish: Wish) -> bool:
        """Whether the file may have an open entry of this wish; False is certain."""
        return self._counts is None or wish in self._counts

    def began(self, intent: Intent) -> None:
        """Note that the file has one more open entry."""
        if intent.origin is KeyOrigin.MADE:
            self._change(wish_of(intent), 1)

    def ended(self, intent: Intent) -> None:
        """Note that the file has one open entry less."""
        if intent.origin is KeyOrigin.MADE:
            self._change(wish_of(intent), -1)

    def _change(self, wish: Wish, by: int) -> None:
        if self._counts is None:
            return
        count = self._counts.get(wish, 0) + by
        if count > 0:
            self._counts[wish] = count
            if len(self._counts) > MOST:
                self._counts = None
        else:
            self._counts.pop(wish, None)
