"""Shows texts at a terminal, harmless wherever they come from, and asks a person there."""

from __future__ import annotations

import asyncio
import sys
from typing import TextIO

from vipps_async.printable import escaped

__all__ = ["is_terminal", "plain", "say", "typed_line"]


def say(text: object, *, file: TextIO | None = None, end: str = "\n", flush: bool = False) -> None:
    """Print a text, its line breaks as they are, and everything else that would steer a terminal as an escape.

    Every command prints by this: what Vipps answers and what a file says could hold sequences that a terminal obeys.

    Args:
        text: what to print. A text from outside that belongs on one line goes through `plain` first.
        file: where to; standard output by default.
        end: what comes behind it.
        flush: whether to print at once.
    """
    print(escaped(str(text), keep="\n") + end, file=sys.stdout if file is None else file, end="", flush=flush)


def is_terminal() -> bool:
    """Tell whether there is somebody who can read a question and answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


async def typed_line(question: str) -> str:
    """Ask on stderr, and return the line that is typed; empty at the end of the input."""
    say(question, end="", file=sys.stderr, flush=True)
    # Not input(): it would go on waiting after Ctrl-C, which asyncio turns into a cancellation of this task.
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    number = sys.stdin.fileno()
    loop.add_reader(number, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(number)
    return sys.stdin.readline().strip()


def plain(text: object) -> str:
    """Make a text from outside fit to be shown: on one line, and without what steers a terminal."""
    return " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())
