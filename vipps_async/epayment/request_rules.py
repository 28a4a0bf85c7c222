"""The rules of values that several requests of the ePayment API hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from vipps_async.errors import InvalidInputError
from vipps_async.money import Money

T = TypeVar("T")

#: The smallest payment, capture and refund of each currency, in minor units (OpenAPI description, `Amount`).
LEAST: Final = {"NOK": 100, "DKK": 1, "EUR": 1}
#: The largest sum, in minor units (OpenAPI description, `Amount`).
LARGEST: Final = 65_000_000
_PHONE_NUMBER: Final = re.compile(r"[0-9]{9,15}")


def check_money(parameter: str, value: object, *, currency: str | None = None) -> Money:
    """Return a sum that Vipps takes: Money in NOK, DKK or EUR, 0 included.

    Args:
        parameter: its name in an error.
        value: the sum.
        currency: the only currency that fits; None: any of them.

    Raises:
        InvalidInputError: it is no Money, too much, or of another currency.
    """
    wanted = (currency,) if currency is not None else tuple(LEAST)
    if not isinstance(value, Money) or value.currency not in wanted or value.value > LARGEST:
        rule = f"Money in {' or '.join(wanted)}, such as {wanted[0].lower()}('499.00'), up to {LARGEST} minor units"
        raise InvalidInputError(parameter, rule, value=value)
    return value


def check_payment_amount(value: object) -> Money:
    """Return the sum of a payment, a capture or a refund: what `check_money` takes, but not less than Vipps does.

    Raises:
        InvalidInputError: it is no Money, too little or too much, or of another currency.
    """
    money = check_money("amount", value)
    least = Money(LEAST[money.currency], money.currency)
    if money.value < least.value:
        error = InvalidInputError("amount", f"at least {least}", value=value)
        if not money:
            error.advice = (
                "if it was read from the payment, nothing is left: what you ask for may be done; see its events"
            )
        raise error
    return money


def check_currency(parameter: str, value: object) -> str:
    """Return the code of a currency that Vipps takes."""
    if not isinstance(value, str) or value not in LEAST:
        raise InvalidInputError(parameter, " or ".join(LEAST), value=value)
    return value


def check_phone_number(value: object) -> str:
    """Return a phone number with its country's code. It is personal: the error does not show it."""
    if not isinstance(value, str) or not _PHONE_NUMBER.fullmatch(value):
        rule = "a string of 9 to 15 digits, the country's code first, without '+', '00' or spaces"
        raise InvalidInputError("phone_number", rule, secret=True)
    return value


def check_range(parameter: str, value: object, least: int, largest: int) -> int:
    """Return a whole number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= largest:
        raise InvalidInputError(parameter, f"a whole number from {least} to {largest}", value=value)
    return value


def check_optional(check: Callable[..., object], parameter: str, value: object, *bounds: Any) -> None:
    """Check a value unless it is None."""
    if value is not None:
        check(parameter, value, *bounds)


def check_items(parameter: str, value: object, cls: type[T]) -> tuple[T, ...]:
    """Return a list, tuple or other iterable of at least one item of a class."""
    rule = f"a non-empty list of {cls.__name__}"
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise InvalidInputError(parameter, rule, value=value)
    items = tuple(value)
    if not items or not all(isinstance(item, cls) for item in items):
        raise InvalidInputError(parameter, rule, value=value)
    return items
