"""Writes to standard output and standard error, where neither a full disk nor a closed pipe may change what happens."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable

__all__ = ["say", "silenced", "tell", "tell_lines"]


def say(text: str) -> None:
    """Write a line to standard error; where nobody can read it, it is lost."""
    if sys.stderr is None:
        # Closed by whoever started the process.
        return
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        silenced(sys.stderr)


def tell(text: str) -> bool:
    """Write a result to standard output, or else to standard error; returns whether it went where it belongs."""
    if tell_lines((text, "\n")):
        return True
    say(text)
    return False


def tell_lines(pieces: Iterable[str]) -> bool:
    """Write a longer text to standard output piece by piece; returns whether all of it could be written."""
    if sys.stdout is None:
        return False
    try:
        for piece in pieces:
            sys.stdout.write(piece)
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        silenced(sys.stdout)
        say(f"vipps-async: the result could not be written to standard output: {error}")
        return False
    return True


def silenced(stream: object) -> None:
    """Lead a stream that cannot be written into nowhere.

    What is left in its buffer would fail once more when Python flushes it at the end, and then decide about the exit
    status (documentation of SIGPIPE).
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())  # type: ignore[attr-defined]
        finally:
            os.close(nowhere)
