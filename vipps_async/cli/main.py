"""The command `vipps-async`: reads the command line and hands over to one file for each command."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import io
import itertools
import os
import sys
from collections.abc import Iterator, Sequence

import click
from click.shell_completion import CompletionItem

from vipps_async._version import __version__
from vipps_async.cli.commands import Group, Options, UsageError
from vipps_async.cli.env_file import load_env_file
from vipps_async.cli.exit_status import ExitStatus
from vipps_async.cli.failures import emit_error, status_of
from vipps_async.cli.options import acting_for
from vipps_async.cli.output import discard, note_error, recorded, say_error
from vipps_async.config import Environment
from vipps_async.errors import ConfigurationError, VippsError
from vipps_async.transports.request_rules import EnvironmentProxies, checked_url

#: Exit statuses: something did not go well, Ctrl-C, and nobody reads what is printed (128 + SIGINT, 128 + SIGPIPE).
_NOT_WELL, _INTERRUPTED, _NOBODY_READS = 1, 130, 141
#: Each stands in a module of its own name, whose `command()` makes it: only the one that is meant is imported.
_COMMANDS = {
    "demo": "take a payment from its beginning to a refund, step by step",
    "sandbox": "run a Vipps sandbox on this machine",
    "doctor": "check settings, host, certificate, clock, keys and journal",
    "payment": "show one payment, capture, refund or cancel it, or make one",
    "journal": "show what a journal has open, settle it, and look after the journal",
    "batch": "capture, refund or cancel the payments in a file",
    "webhooks": "list, register or delete webhooks",
}
_HELP = ("help", "show the help of a command: help payment capture")


class _Commands(Group):
    """All commands, imported when one is asked for."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Group`; `help COMMAND` is read as `COMMAND --help`."""
        return super().parse_args(ctx, [*args[1:], "--help"] if args[:1] == ["help"] else args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """See `click.Group`."""
        return [*_COMMANDS, "help"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """See `click.Group`."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"vipps_async.cli.{cmd_name}").command()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """See `click.Group`."""
        with formatter.section("Commands"):
            formatter.write_dl([*_COMMANDS.items(), _HELP])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """See `click.Group`."""
        named = [(name, text) for name, text in (*_COMMANDS.items(), _HELP) if name.startswith(incomplete)]
        return [CompletionItem(name, help=text) for name, text in named] + click.Command.shell_complete(
            self, ctx, incomplete
        )


def _whole() -> click.Group:
    whole = _Commands(
        "vipps-async",
        "",
        "Vipps payments from the command line, and a Vipps sandbox of your own.",
        examples=("demo", "doctor", "payment show acme-shop-123-order123abc", "help payment capture"),
    )
    whole.subcommand_metavar = "COMMAND ..."
    whole.params.append(
        click.Option(
            ["--trust-env"],
            is_flag=True,
            help="reach Vipps through the proxy that HTTPS_PROXY names, unless NO_PROXY or VIPPS_PROXY say otherwise",
        )
    )
    return click.version_option(__version__, message="vipps-async %(version)s")(whole)


def read_command_line(arguments: Sequence[str]) -> Options:
    """Read a command line; `run` of the answer carries the command out and gives the exit status.

    Raises:
        SystemExit: wrong use, which was said (2), or help, which was shown (0).
    """
    with recorded() as printed:
        answer = _read(arguments)
    if isinstance(answer, Options):
        return answer
    if "--json" in itertools.takewhile(lambda argument: argument != "--", arguments):
        emit_error(printed, answer)
    raise SystemExit(answer)


def _read(arguments: Sequence[str]) -> Options | int:
    try:
        load_env_file()
        answer = _whole().main(list(arguments), prog_name="vipps-async", standalone_mode=False)
    except click.ClickException as error:
        return _say_usage(error)
    except ConfigurationError as error:
        say_error(error)
        return ExitStatus.USAGE
    # `--help` and `--version` have been answered by a status.
    return answer if isinstance(answer, Options) else answer or 0


def _say_usage(error: click.ClickException) -> int:
    if sys.stderr is not None:
        error.show()
    note_error(error.format_message())
    return error.exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 if something did not go well; ends with 2 for wrong usage."""
    try:
        options = read_command_line(sys.argv[1:] if arguments is None else arguments)
        _print_at_once()
        return asyncio.run(carried_out(options))
    except (KeyboardInterrupt, click.Abort):
        return _INTERRUPTED


async def carried_out(options: Options) -> int:
    """Carry out what `read_command_line` has read, say what kept it from going well, and return its exit status.

    With `--json` each failure is an object on standard output, too.
    """
    with recorded() as printed:
        status = await _carried_out(options)
    if getattr(options, "json", False) and status != _NOBODY_READS:
        emit_error(printed, status, options)
    return status


async def _carried_out(options: Options) -> int:
    try:
        with (
            _proxy_of_environment() if options.trust_env else contextlib.nullcontext(),
            acting_for(getattr(options, "sales_unit", None)),
        ):
            status: int = await options.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()
    except UsageError as error:
        return _say_usage(error)
    except VippsError as error:
        say_error(error)
        return status_of(error)
    except BrokenPipeError:
        discard(sys.stdout)
        return _NOBODY_READS
    except OSError as error:
        # Commands that move money have answered for it themselves.
        discard(sys.stdout)
        say_error(error)
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
