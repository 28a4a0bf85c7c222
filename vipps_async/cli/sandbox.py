"""`vipps-async sandbox`: a Vipps that runs on this machine until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import os
import signal
import sys
from typing import TYPE_CHECKING

from vipps_async.sandbox import SandboxServer

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it

__all__ = ["add_command"]

_LARGEST_PORT = 65535


def add_command(commands: Commands) -> None:
    """Add `sandbox` to the command line."""
    parser = commands.add_parser(
        "sandbox",
        help="run a Vipps sandbox on this machine",
        description="Runs a Vipps eCom API on this machine: payments, callbacks and a page on which to approve them.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8787, help="where to listen; 0 takes a free one (%(default)s)")
    parser.add_argument("--no-rate-limits", action="store_true", help="switch off the limits per order")
    parser.set_defaults(run=_run)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"{text} is no port: a number from 0 to {_LARGEST_PORT}")
    return int(text)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _run(options: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = SandboxServer(host=options.host, port=options.port, rate_limits=not options.no_rate_limits)
    try:
        await server.start()
    except OSError as error:
        print(f"vipps-async: cannot listen on {options.host}:{options.port}: {_reason(error)}", file=sys.stderr)
        return 1
    try:
        if not _is_loopback(options.host):
            print(
                f"WARNING: listening on {options.host}: anyone who reaches this machine can use this sandbox.",
                file=sys.stderr,
            )
        print(
            f"Vipps sandbox at {server.url} (Ctrl-C ends it). It takes any credentials that are not empty:\n"
            f"  export VIPPS_BASE_URL={server.url} VIPPS_ENVIRONMENT=test VIPPS_MERCHANT_SERIAL_NUMBER=123456\n"
            "  export VIPPS_CLIENT_ID=id VIPPS_CLIENT_SECRET=secret VIPPS_SUBSCRIPTION_KEY=key",
            flush=True,
        )
        await stop.wait()
    finally:
        await server.aclose()
    return 0


def _reason(error: OSError) -> str:
    # asyncio packs a text of its own around the system's; an unknown host name has a negative number instead.
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return (error.strerror or "the address cannot be used").lower()
