"""Prints what commands have to say: nothing in it steers a terminal, and a full disk or a closed pipe ends nothing."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping

import orjson

from vipps_async.printable import escaped

__all__ = ["json_line", "plain", "say", "show", "silenced", "tell", "tell_lines"]


def say(text: str, *, end: str = "\n") -> None:
    """Write a line to standard error; where nobody can read it, it is lost.

    Line breaks stay as they are; everything else that would steer a terminal is written as an escape, here and in
    `tell` and `tell_lines`: what Vipps answers and what a file says could hold it.

    Args:
        text: what to write. A text from outside that belongs on one line goes through `plain` first.
        end: what comes behind it.
    """
    if sys.stderr is None:
        # Closed by whoever started the process.
        return
    try:
        print(escaped(text, keep="\n"), end=end, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        silenced(sys.stderr)


def show(text: str) -> None:
    """Write a line to standard output, for commands that move no money.

    Raises:
        OSError: it cannot be written; where nobody reads, that ends the command, and nothing is lost by it.
    """
    _write((text, "\n"))


def _write(pieces: Iterable[str], *, keep: str = "\n") -> None:
    if sys.stdout is not None:
        for piece in pieces:
            sys.stdout.write(escaped(piece, keep=keep))
        sys.stdout.flush()


def tell(text: str) -> bool:
    """Write a result to standard output, or else to standard error; returns whether it went where it belongs."""
    if tell_lines((text, "\n")):
        return True
    say(text)
    return False


def tell_lines(pieces: Iterable[str], *, keep: str = "\n") -> bool:
    """Write a longer text to standard output piece by piece; returns whether all of it could be written.

    Args:
        pieces: what to write, with its line breaks.
        keep: characters that stay as they are.
    """
    if sys.stdout is None:
        return False
    try:
        _write(pieces, keep=keep)
    except (OSError, ValueError) as error:
        silenced(sys.stdout)
        say(f"vipps-async: the result could not be written to standard output: {plain(error)}")
        return False
    return True


def plain(text: object) -> str:
    """Make a text from outside fit to be shown: on one line, and without what steers a terminal."""
    return " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())


def json_line(facts: Mapping[str, object]) -> str:
    """Write one JSON object; a decimal number is written as text, so that none of it is lost."""
    return orjson.dumps(facts, default=str).decode()


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
