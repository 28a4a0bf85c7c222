"""The command `vipps-async`: reads the command line and hands over to one file for each command."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence

from vipps_async._version import __version__
from vipps_async.cli import batch, demo, doctor, journal, payment, sandbox, webhooks
from vipps_async.cli.options import api_named_in
from vipps_async.cli.output import discard, plain, say
from vipps_async.config import Environment
from vipps_async.errors import VippsError
from vipps_async.transports.request_rules import EnvironmentProxies, checked_url

__all__ = ["carried_out", "main", "parser"]

#: Exit statuses: something did not go well, Ctrl-C, and nobody reads what is printed (128 + SIGINT, 128 + SIGPIPE).
_NOT_WELL, _INTERRUPTED, _NOBODY_READS = 1, 130, 141


def parser(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return what reads a command line; `run` of its answer carries the command out and gives the exit status.

    Args:
        arguments: the command line, for commands whose options depend on the API that it names.
    """
    whole = argparse.ArgumentParser(
        prog="vipps-async", description="Vipps payments from the command line, and a Vipps sandbox of your own."
    )
    whole.add_argument("--version", action="version", version=f"vipps-async {__version__}")
    whole.add_argument(
        "--trust-env",
        action="store_true",
        help="reach Vipps through the proxy that HTTPS_PROXY names, unless NO_PROXY or VIPPS_PROXY say otherwise",
    )
    commands = whole.add_subparsers(title="commands", required=True, metavar="COMMAND")
    demo.add_command(commands)
    sandbox.add_command(commands)
    doctor.add_command(commands)
    payment.add_command(commands, api_named_in(arguments))
    journal.add_command(commands)
    batch.add_command(commands)
    webhooks.add_command(commands)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 if something did not go well; ends with 2 for wrong usage."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser(arguments).parse_args(arguments)
    _print_at_once()
    try:
        return asyncio.run(carried_out(options))
    except KeyboardInterrupt:
        return _INTERRUPTED


async def carried_out(options: argparse.Namespace) -> int:
    """Carry a command out that was read by `parser`, say what kept it from going well, and return its exit status."""
    try:
        with _proxy_of_environment() if options.trust_env else contextlib.nullcontext():
            status: int = await options.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()
    except VippsError as error:
        say(f"vipps-async: {plain(error)}")
        return _NOT_WELL
    except BrokenPipeError:
        discard(sys.stdout)
        return _NOBODY_READS
    except OSError as error:
        # Commands that move money have answered for it themselves.
        discard(sys.stdout)
        say(f"vipps-async: {plain(error)}")
        return _NOT_WELL
    return status


@contextlib.contextmanager
def _proxy_of_environment() -> Iterator[None]:
    """Let `VIPPS_PROXY` name the proxy of the environment meanwhile: sessions, workers and the doctor go by it."""
    environment = os.environ.get("VIPPS_ENVIRONMENT") or Environment.TEST.value
    known = {each.value: each.base_url for each in Environment}
    url = os.environ.get("VIPPS_BASE_URL") or known.get(environment, Environment.TEST.base_url)
    proxy = None if os.environ.get("VIPPS_PROXY") else EnvironmentProxies().proxy_for(checked_url(url))
    if proxy is None:
        yield
        return
    os.environ["VIPPS_PROXY"] = str(proxy)
    try:
        yield
    finally:
        del os.environ["VIPPS_PROXY"]


def _print_at_once() -> None:
    # Into a pipe Python would print in blocks, and lines are read while things happen. A terminal that lacks a
    # character gets a "?" rather than a traceback.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="replace")
