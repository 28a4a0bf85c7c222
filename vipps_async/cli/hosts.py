"""Real money goes to Vipps' own host, unless the command line names another one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from urllib.parse import urlsplit

from vipps_async.config import Environment, Settings
from vipps_async.errors import ConfigurationError

__all__ = ["add_allow_host", "check_host"]


def add_allow_host(parser: argparse.ArgumentParser) -> None:
    """Give a command the option `--allow-host`."""
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="HOST",
        help="in production VIPPS_BASE_URL may name this host, which is not Vipps' own",
    )


def check_host(settings: Settings, allowed: Sequence[str]) -> None:
    """Make sure that production means Vipps, or a host that was named.

    Raises:
        ConfigurationError: it is another host.
    """
    if settings.environment is not Environment.PRODUCTION or settings.base_url == settings.environment.base_url:
        return
    host = urlsplit(settings.base_url).hostname or ""
    if host not in allowed:
        raise ConfigurationError(
            f"VIPPS_BASE_URL names {host}, which is not Vipps' own host, in the production environment",
            advice=f"unset it; if {host} is yours and leads to Vipps, say --allow-host {host}",
        )
