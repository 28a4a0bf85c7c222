"""Runs the command line in this very process and loop: for tests that need no process of its own, which takes long."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from typing import TextIO
from unittest import mock

import pytest

from tests.cli.processes import Finished, environment
from tests.short_waits import shorten_waits
from vipps_async.cli import confirmation
from vipps_async.cli.main import carried_out, read_command_line
from vipps_async.cli.output import say

__all__ = ["inline"]


async def inline(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    said: str = "",
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    typed: Sequence[str] | None = None,
) -> Finished:
    """Run a command to its end as `main` does; `said` is what it can read.

    There is no terminal, unless `typed` has the lines that are typed at one: each question takes the next. All of them
    must have been asked for.

    What a process of its own is needed for (streams, signals, what is loaded) is tested with one, each command once.
    """
    out, err = io.StringIO(), io.StringIO()
    left = list(typed or ())

    async def typed_line(question: str) -> str:
        say(question)
        return left.pop(0)

    stdin = io.TextIOWrapper(io.BytesIO(said.encode()))
    with (
        pytest.MonkeyPatch.context() as patch,
        mock.patch.dict(os.environ, environment() if env is None else env, clear=True),
        mock.patch("sys.stdin", stdin),
        contextlib.redirect_stdout(stdout or out),
        contextlib.redirect_stderr(stderr or err),
    ):
        shorten_waits(patch.setattr)
        if typed is not None:
            patch.setattr(confirmation, "is_terminal", lambda: True)
            patch.setattr(confirmation, "typed_line", typed_line)
        try:
            options = read_command_line(arguments)
            status = await carried_out(options)
        except SystemExit as ending:
            status = int(ending.code or 0)
    assert not left, f"nobody asked for {left}: {err.getvalue()}"
    return Finished(status, out.getvalue(), err.getvalue())
