"""`vipps-async sandbox`: a Vipps that runs on this machine until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import signal
from typing import TYPE_CHECKING

from vipps_async.sandbox import SandboxServer

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it

__all__ = ["add_command"]

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def add_command(commands: Commands) -> None:
    """Add `sandbox` to the command line."""
    parser = commands.add_parser(
        "sandbox",
        help="run a Vipps sandbox on this machine",
        description="Runs a Vipps eCom API on this machine: payments, callbacks and a page on which to approve them.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8787, help="where to listen; 0 takes a free port (%(default)s)")
    parser.add_argument("--no-rate-limits", action="store_true", help="switch off the limits per order")
    parser.set_defaults(run=_run)


async def _run(options: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if options.host not in _LOOPBACK:
        print(f"WARNING: listening on {options.host}: anyone who reaches this machine can use this sandbox.")
    async with SandboxServer(host=options.host, port=options.port, rate_limits=not options.no_rate_limits) as server:
        print(
            f"Vipps sandbox at {server.url} (Ctrl-C ends it). It takes any credentials that are not empty:\n"
            f"  export VIPPS_BASE_URL={server.url} VIPPS_ENVIRONMENT=test VIPPS_MERCHANT_SERIAL_NUMBER=123456\n"
            "  export VIPPS_CLIENT_ID=id VIPPS_CLIENT_SECRET=secret VIPPS_SUBSCRIPTION_KEY=key",
            flush=True,
        )
        await stop.wait()
    return 0
