"""What a mutant is: one place of the package, changed."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

__all__ = ["ROOT", "Mutant", "of"]

ROOT = Path(__file__).resolve().parents[2]


@frozen
class Mutant:
    """One change of one file, and the tests that must notice it."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied_to(self, text: str) -> str:
        """Return the file's text with the change.

        Raises:
            ValueError: the old text does not occur exactly once.
        """
        if (found := text.count(self.old)) != 1:
            raise ValueError(f"{self.file} has {self.old!r} {found} times, not once")
        return text.replace(self.old, self.new)

    def __str__(self) -> str:
        """Tell the change on one line."""
        return f"{self.file}: {' '.join(self.old.split())!r} -> {' '.join(self.new.split())!r}"


def of(file: str, tests: tuple[str, ...], *changes: tuple[str, str]) -> list[Mutant]:
    """Make the mutants of one file, given as old and new text."""
    return [Mutant(file, old, new, tests) for old, new in changes]
