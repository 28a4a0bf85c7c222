"""Runs the command line as a person or a script does: as a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

__all__ = ["Finished", "command", "environment", "environment_with_keys", "run"]

_PROJECT = Path(__file__).parents[2]
#: Seconds that any command here may take: far more than it needs.
_PATIENCE = 30.0


@frozen
class Finished:
    """A command that has ended."""

    status: int
    out: str
    err: str


def command(*arguments: str, as_users: bool = False) -> tuple[str, ...]:
    """Return the command line, warnings as errors; no more of the development mode: that reports slow machines, too.

    Args:
        arguments: of the command.
        as_users: with the waits that its users have, rather than with short ones.
    """
    return (sys.executable, "-W", "error", "-m", "vipps_async" if as_users else "tests.short_waits", *arguments)


def environment(**further: str) -> Mapping[str, str]:
    """Return this process's environment without any `VIPPS_…` variable, and with those given."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("VIPPS_")}
    return own | {"PYTHONPATH": str(_PROJECT), "PYTHONIOENCODING": "utf-8"} | further


def environment_with_keys(**further: str) -> Mapping[str, str]:
    """Return such an environment with keys that open nothing, of the sales unit 123456."""
    keys = {"CLIENT_ID": "id", "CLIENT_SECRET": "secret", "SUBSCRIPTION_KEY": "key", "MERCHANT_SERIAL_NUMBER": "123456"}
    return environment(**{f"VIPPS_{name}": value for name, value in keys.items()}, **further)


async def run(*arguments: str, env: Mapping[str, str] | None = None, said: str | None = None) -> Finished:
    """Run a command to its end; `said` is what it can read from a pipe."""
    process = await asyncio.create_subprocess_exec(
        *command(*arguments),
        stdin=asyncio.subprocess.DEVNULL if said is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment() if env is None else env,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(None if said is None else said.encode()), _PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Finished(process.returncode, out.decode(), err.decode())
