"""The command `vipps-async`: reads the command line and hands over to one file for each command."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from vipps_async._version import __version__
from vipps_async.cli import demo, journal, sandbox
from vipps_async.errors import VippsError

__all__ = ["main"]

#: Exit statuses: something did not go well, Ctrl-C.
_NOT_WELL, _INTERRUPTED = 1, 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vipps-async", description="Vipps eCom payments from the command line, and a Vipps sandbox of your own."
    )
    parser.add_argument("--version", action="version", version=f"vipps-async {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    demo.add_command(commands)
    sandbox.add_command(commands)
    journal.add_command(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = asyncio.run(options.run(options))
    except VippsError as error:
        print(f"vipps-async: {error}", file=sys.stderr)
        return _NOT_WELL
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status
