"""Options that several commands share, and the parsing of their values, before anything is sent."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
from click.shell_completion import CompletionItem

from vipps_async.apis import APIS, DEFAULT_API, IN_OTHER_CURRENCIES, name_with_currency, payment_api
from vipps_async.batch.amounts import ALL, read_amount
from vipps_async.cli.commands import Command, Options
from vipps_async.config import Environment, Settings
from vipps_async.core.payment_api import PaymentApi
from vipps_async.errors import ConfigurationError, InvalidInputError
from vipps_async.input_rules import check_merchant_serial_number
from vipps_async.money import format_amount
from vipps_async.not_given import NotGiven

N = TypeVar("N", int, float)

#: Names the sales unit where the command line does not.
SALES_UNIT = "VIPPS_MERCHANT_SERIAL_NUMBER"


# --- readers ----------------------------------------------------------------------------------------------------------


class Reader(click.ParamType[Any, Any]):
    """Reads a value by a rule: the rule's error becomes click's."""

    name = "value"

    def __init__(self, read: Callable[[str], object], *, words: Iterable[str] = ()) -> None:
        """Make a reader.

        Args:
            read: the rule; raises `InvalidInputError`, `ConfigurationError` or `ValueError`.
            words: what a shell offers to complete a word to.
        """
        self.read, self.words = read, tuple(words)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.ParamType`."""
        if not isinstance(value, str):
            return value
        try:
            return self.read(value)
        except (InvalidInputError, ConfigurationError, ValueError) as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002 - click's signature
        """See `click.ParamType`."""
        return [CompletionItem(word) for word in self.words if word.startswith(incomplete)]


def number_from(kind: Callable[[str], N], low: N, high: N, rule: str) -> Reader:
    """Return what reads a number of a kind, from `low` to `high`; `rule` says so to whoever typed another one."""

    def read(text: str) -> N:
        try:
            value = kind(text) if text.isascii() and not set(text) & set(" _+") else None
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise ValueError(f"{text} is {rule}")
        return value

    return Reader(read)


def one_of(kind: Callable[[str], object], words: Sequence[str]) -> Reader:
    """Return what reads one of these words as something of a kind."""

    def read(text: str) -> object:
        if text not in words:
            raise ValueError(f"{text!r} is none of {', '.join(words)}")
        return kind(text)

    return Reader(read, words=words)


#: Reads a whole number from 1 on.
positive: Reader = number_from(int, 1, sys.maxsize, "no positive number")


def amount_of(api: PaymentApi) -> Reader:
    """Return what reads an amount as people write it, such as kroner, and returns minor units.

    A comma is read as the decimal sign: `499,00`, and `1.499,00`. What could mean two amounts is refused: `1,499`.
    """
    unit = api.main_unit

    def read(text: str) -> int:
        try:
            amount = read_amount(text, unit, api, decimal_comma=True)
        except InvalidInputError:
            amount = None
        if amount is None or isinstance(amount, NotGiven):
            example = "with at most two decimals, such as 499.00 (or 499,00)" if unit.decimals else "as a whole number"
            least, largest = format_amount(api.least, api.currency), format_amount(api.largest, api.currency)
            rule = f"{unit.word} {example}, from {least} to {largest}"
            if text == ALL:
                rule += f"; say --{ALL} to take all that remains"
            raise ValueError(f"{text!r} is no amount: {rule}")
        return amount

    return Reader(read)


# --- which API --------------------------------------------------------------------------------------------------------


def _default_api() -> str:
    return os.environ.get("VIPPS_API") or DEFAULT_API


def add_api(
    command: Command,
    *,
    read: Callable[[str], PaymentApi] = payment_api,
    names: Sequence[str] = (*APIS, *IN_OTHER_CURRENCIES),
    purpose: str = "the API that the payments were made with, and the currency of its amounts if that is not NOK",
) -> None:
    """Give a command the option `--api`, which is read as what the API has of its own."""
    command.option(
        "--api",
        type=Reader(read, words=names),
        default=_default_api,
        show_default=False,
        metavar="|".join(names),
        help=f"{purpose} (VIPPS_API, else {DEFAULT_API})",
    )


def api_named_in(arguments: Sequence[str]) -> PaymentApi:
    """Return the API that a command line names, for commands whose options depend on it.

    One that names none, or one that does not exist, gets the default's options, with which it is refused.
    """
    name = _default_api()
    for argument, following in zip(arguments, (*arguments[1:], ""), strict=False):
        if argument == "--":
            break
        if argument == "--api":
            name = following
        elif argument.startswith("--api="):
            name = argument.removeprefix("--api=")
    return payment_api(name if name in {*APIS, *IN_OTHER_CURRENCIES} else DEFAULT_API)


def api_option(api: PaymentApi) -> str:
    """Return what a command line to be copied must say of its API; empty: nothing."""
    name = name_with_currency(api)
    return "" if name == _default_api() else f" --api {name}"


# --- which sales unit -------------------------------------------------------------------------------------------------


def add_sales_unit(command: Command) -> None:
    """Give a command the option `--msn`: it acts for that sales unit, as if `SALES_UNIT` named it."""
    command.option(
        "--msn",
        "sales_unit",
        type=Reader(check_merchant_serial_number),
        metavar="MSN",
        help=f"act for this sales unit, with partner keys (default: {SALES_UNIT})",
    )


@contextlib.contextmanager
def acting_for(sales_unit: str | None) -> Iterator[None]:
    """Let `SALES_UNIT` name a sales unit meanwhile, by which sessions and settings go; None: the one that it names."""
    before = os.environ.get(SALES_UNIT)
    if sales_unit is not None:
        os.environ[SALES_UNIT] = sales_unit
    try:
        yield
    finally:
        if sales_unit is not None and before is None:
            del os.environ[SALES_UNIT]
        elif sales_unit is not None and before is not None:
            os.environ[SALES_UNIT] = before


def sales_unit_option(options: Options) -> str:
    """Return what a command line to be copied must say of its sales unit; empty: nothing."""
    sales_unit = getattr(options, "sales_unit", None)
    return "" if sales_unit is None else f" --msn {sales_unit}"


# --- which host -------------------------------------------------------------------------------------------------------


def add_allow_host(command: Command) -> None:
    """Give a command the option `--allow-host`."""
    command.option(
        "--allow-host",
        multiple=True,
        metavar="HOST",
        help="a host, not Vipps' own, that VIPPS_BASE_URL may name in production; once for each",
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
