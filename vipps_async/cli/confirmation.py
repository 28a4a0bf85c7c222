"""Asks before real money moves: a person at a terminal, whose Ctrl-C still counts meanwhile, or `--yes`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from vipps_async.cli.commands import Command
from vipps_async.cli.output import REFUSED, USAGE, say
from vipps_async.config import Environment, Settings

__all__ = ["add_yes", "ask", "ask_anywhere", "is_terminal", "typed_line"]


def add_yes(command: Command) -> None:
    """Give a command the option `--yes`."""
    command.option("--yes", is_flag=True, help="do not ask in production; needed where there is no terminal")


async def ask(what: Callable[[], Awaitable[str]], settings: Settings, *, yes: bool) -> int | None:
    """Ask in production whether to go on, unless that was said before; says what follows from any other answer.

    Args:
        what: what is about to be done; called only if somebody is asked.
        settings: the environment and the sales unit.
        yes: whether the command line has agreed.

    Returns:
        None: go on; else the exit status: there is nobody to ask, or somebody said no.
    """
    if settings.environment is not Environment.PRODUCTION:
        return None

    async def question() -> str:
        return f"{await what()}, sales unit {settings.merchant_serial_number}, in PRODUCTION?"

    missing = "this moves real money: confirm it on a terminal, or give --yes. Nothing was sent."
    return await _ask(question, missing, "Nothing was sent: no money moved.", yes=yes)


async def ask_anywhere(question: str, *, yes: bool) -> int | None:
    """Ask in any environment whether something that sends nothing is to be done; see `ask`.

    Args:
        question: what is about to be done.
        yes: whether the command line has agreed.
    """

    async def asked() -> str:
        return question

    return await _ask(
        asked, "confirm it on a terminal, or give --yes. Nothing was changed.", "Nothing was changed.", yes=yes
    )


async def _ask(question: Callable[[], Awaitable[str]], missing: str, declined: str, *, yes: bool) -> int | None:
    if yes:
        return None
    if not is_terminal():
        say(f"vipps-async: {missing}")
        return USAGE
    if await typed_line(f'{await question()} Type "yes": ') != "yes":
        say(declined)
        return REFUSED
    return None


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
