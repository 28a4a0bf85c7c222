"""Options that several commands have, and how what is typed there is read: refused before anything is sent."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar
from urllib.parse import urlsplit

from vipps_async.apis import APIS, DEFAULT_API, IN_OTHER_CURRENCIES, name_with_currency, payment_api
from vipps_async.batch.amounts import ALL, read_amount
from vipps_async.config import Environment, Settings
from vipps_async.core.payment_api import PaymentApi
from vipps_async.errors import ConfigurationError, InvalidInputError
from vipps_async.money import format_amount
from vipps_async.not_given import NotGiven

__all__ = [
    "Commands",
    "add_allow_host",
    "add_api",
    "amount_of",
    "api_named_in",
    "api_option",
    "check_allowed_host",
    "checked",
    "number_from",
    "positive",
]

T = TypeVar("T")
V = TypeVar("V")
N = TypeVar("N", int, float)

#: What commands and actions are added to; argparse has no public name for it.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - as above


# --- readers ----------------------------------------------------------------------------------------------------------


def checked(check: Callable[[V], T]) -> Callable[[V], T]:
    """Make a reader of a rule: the rule's error becomes argparse's."""

    def read(text: V) -> T:
        try:
            return check(text)
        except (InvalidInputError, ConfigurationError) as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def number_from(kind: Callable[[str], N], low: N, high: N, rule: str) -> Callable[[str], N]:
    """Return what reads a number of a kind, from `low` to `high`; `rule` says so to whoever typed another one."""

    def read(text: str) -> N:
        try:
            value = kind(text) if text.isascii() and not set(text) & set(" _+") else None
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is {rule}")
        return value

    return read


#: Reads a whole number from 1 on.
positive: Callable[[str], int] = number_from(int, 1, sys.maxsize, "no positive number")


def amount_of(api: PaymentApi) -> Callable[[str], int]:
    """Return what reads an amount as people write it, such as kroner, and returns minor units."""
    unit = api.main_unit

    def read(text: str) -> int:
        try:
            amount = read_amount(text, unit, api, decimal_comma=False)
        except InvalidInputError:
            amount = None
        if amount is None or isinstance(amount, NotGiven):
            example = "with at most two decimals, such as 499.00" if unit.decimals else "as a whole number"
            least, largest = format_amount(api.least, api.currency), format_amount(api.largest, api.currency)
            rule = f"{unit.word} {example}, from {least} to {largest}"
            if text == ALL:
                rule += f"; say --{ALL} to take all that remains"
            raise argparse.ArgumentTypeError(f"{text!r} is no amount: {rule}")
        return amount

    return read


# --- which API --------------------------------------------------------------------------------------------------------


def _default_api() -> str:
    return os.environ.get("VIPPS_API") or DEFAULT_API


def add_api(
    parser: argparse.ArgumentParser,
    *,
    read: Callable[[str], PaymentApi] = payment_api,
    names: Sequence[str] = (*APIS, *IN_OTHER_CURRENCIES),
    purpose: str = "the API that the payments were made with, and the currency of its amounts if that is not NOK",
) -> None:
    """Give a command the option `--api`, which is read as what the API has of its own."""
    parser.add_argument(
        "--api",
        type=checked(read),
        default=_default_api(),
        metavar="|".join(names),
        help=f"{purpose} (VIPPS_API, else {DEFAULT_API})",
    )


def api_named_in(arguments: Sequence[str]) -> PaymentApi:
    """Return the API that a command line names, for commands whose options depend on it.

    One that names none, or one that does not exist, gets the default's options, with which it is refused.
    """
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    early.add_argument("--api", default=_default_api())
    try:
        name: str = early.parse_known_args(list(arguments))[0].api
    except argparse.ArgumentError:
        name = DEFAULT_API
    return payment_api(name if name in {*APIS, *IN_OTHER_CURRENCIES} else DEFAULT_API)


def api_option(api: PaymentApi) -> str:
    """Return what a command line to be copied must say of its API; empty: nothing."""
    name = name_with_currency(api)
    return "" if name == _default_api() else f" --api {name}"


# --- which host -------------------------------------------------------------------------------------------------------


def add_allow_host(parser: argparse.ArgumentParser) -> None:
    """Give a command the option `--allow-host`."""
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="HOST",
        help="in production VIPPS_BASE_URL may name this host, which is not Vipps' own",
    )


def check_allowed_host(settings: Settings, allowed: Sequence[str]) -> None:
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
