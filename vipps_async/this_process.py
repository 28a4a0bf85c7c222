"""Which process this is, known without asking the operating system each time: a fork is noticed when it happens."""

from __future__ import annotations

import os

__all__ = ["this_process"]


class _Identity:
    """The process id, until a fork makes it another."""

    def __init__(self) -> None:
        self.known: int | None = None
        self._is_watching = False

    def ask(self) -> int:
        if not self._is_watching and hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)
            self._is_watching = True
        process = os.getpid()
        if self._is_watching:
            self.known = process
        return process

    def _forget(self) -> None:
        self.known = None


_identity = _Identity()


def this_process() -> int:
    """Return the process id: what is made for one process alone, as a thread or a random sequence is, compares it."""
    return _identity.known or _identity.ask()
