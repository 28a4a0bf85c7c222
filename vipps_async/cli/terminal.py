"""Asks a person at a terminal, so that Ctrl-C is still heard while the answer is awaited."""

from __future__ import annotations

import asyncio
import sys

from vipps_async.cli.output import say

__all__ = ["is_terminal", "typed_line"]


def is_terminal() -> bool:
    """Tell whether there is somebody who can read a question and answer it."""
    # A stream is None where whoever started the process has closed it.
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


async def typed_line(question: str) -> str:
    """Ask on stderr, and return the line that is typed; empty at the end of the input."""
    say(question, end="")
    # Not input(): it would go on waiting after Ctrl-C, which asyncio turns into a cancellation of this task.
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    number = sys.stdin.fileno()
    loop.add_reader(number, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(number)
    return sys.stdin.readline().strip()
