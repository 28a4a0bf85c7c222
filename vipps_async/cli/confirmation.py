"""Asks before real money moves: a person at a terminal, whose Ctrl-C still counts meanwhile, or `--yes`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Iterator

from vipps_async.cli.commands import Command
from vipps_async.cli.exit_status import ExitStatus
from vipps_async.cli.output import say
from vipps_async.config import Environment, Settings

#: What is said where real money would move, and nobody has agreed nor can be asked.
_MISSING = "this moves real money: confirm it on a terminal, or give --yes. Nothing was sent."


def add_yes(command: Command) -> None:
    """Give a command the option `--yes`."""
    command.option("--yes", is_flag=True, help="do not ask in production; needed where there is no terminal")


def is_asked(settings: Settings, *, yes: bool) -> bool:
    """Tell whether somebody must say yes before money moves: in production, unless the command line has agreed."""
    return settings.environment is Environment.PRODUCTION and not yes


def nobody_to_ask(settings: Settings, *, yes: bool) -> int | None:
    """Refuse where somebody must say yes and there is no terminal: before anything is opened, read or sent.

    Args:
        settings: the environment.
        yes: whether the command line has agreed.

    Returns:
        The exit status, once it has been said; None: somebody can be asked, or nobody need be.
    """
    if not is_asked(settings, yes=yes) or is_terminal():
        return None
    say(f"vipps-async: {_MISSING}")
    return ExitStatus.USAGE


async def ask(
    what: Callable[[], Awaitable[str]],
    settings: Settings,
    *,
    yes: bool,
    keeps_journal: bool = False,
    declined: str = "Nothing was sent: no money moved.",
) -> int | None:
    """Ask in production whether to go on, unless that was said before; says what follows from any other answer.

    Args:
        what: what is about to be done; called only if somebody is asked.
        settings: the environment and the sales unit.
        yes: whether the command line has agreed.
        keeps_journal: whether the journal is open meanwhile, so that other processes wait for it: that is said.
        declined: what follows from a no; empty: whoever asks says it.

    Returns:
        None: go on; else the exit status: USAGE, as there is nobody to ask, or REFUSED, as somebody said no.
    """
    if not is_asked(settings, yes=yes):
        return None

    async def question() -> str:
        if keeps_journal:
            say("The journal is kept from other processes until you answer.")
        return f"{await what()}, sales unit {settings.merchant_serial_number}, in PRODUCTION?"

    return await _ask(question, _MISSING, declined)


async def ask_anywhere(question: str, *, yes: bool) -> int | None:
    """Ask in any environment whether something that sends nothing is to be done; see `ask`.

    Args:
        question: what is about to be done.
        yes: whether the command line has agreed.
    """

    async def asked() -> str:
        return question

    if yes:
        return None
    with telling_if_cut_off("Nothing was changed."):
        return await _ask(
            asked, "confirm it on a terminal, or give --yes. Nothing was changed.", "Nothing was changed."
        )


@contextlib.contextmanager
def telling_if_cut_off(text: str) -> Iterator[None]:
    """Say what follows from Ctrl-C meanwhile, on a line of its own."""
    try:
        yield
    except asyncio.CancelledError:
        say(f"\n{text}")
        raise


async def _ask(question: Callable[[], Awaitable[str]], missing: str, declined: str) -> int | None:
    if not is_terminal():
        say(f"vipps-async: {missing}")
        return ExitStatus.USAGE
    if await typed_line(f'{await question()} Type "yes": ') != "yes":
        if declined:
            say(declined)
        return ExitStatus.REFUSED
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
