"""Counts what requests hold that Vipps takes and ignores: fields that it does not know, and nulls."""

from __future__ import annotations

from collections import Counter

__all__ = ["Ignored"]

#: Different places that are counted apart; beyond that only those that are known already.
_MAX_PLACES = 1_000
#: Characters of a place's name that are kept.
_MAX_NAME = 200


class Ignored:
    """What was taken and ignored, by operation and place."""

    def __init__(self) -> None:
        #: (operation, place, ``"unknown"`` or ``"null"``) → how often.
        self.counts: Counter[tuple[str, str, str]] = Counter()

    def count(self, operation: str, place: str, kind: str) -> None:
        """Count one."""
        entry = operation, place[:_MAX_NAME], kind
        if entry in self.counts or len(self.counts) < _MAX_PLACES:
            self.counts[entry] += 1
