"""Reads what a person types for a payment, and refuses it before anything is sent."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final, TypeVar

from vipps_async.ecom.responses import InitiatedPayment
from vipps_async.errors import InvalidInputError
from vipps_async.input_rules import (
    check_amount,
    check_idempotency_key,
    check_mobile_number,
    check_order_id,
    check_token,
    check_transaction_text,
)
from vipps_async.money import LARGEST_AMOUNT, MINIMUM_AMOUNT, format_nok, nok

__all__ = ["amount", "idempotency_key", "mobile_number", "order_id", "token_in", "transaction_text"]

T = TypeVar("T")


def amount(text: str) -> int:
    """Read kroner, and return øre."""
    try:
        return check_amount(nok(text))
    except InvalidInputError as error:
        rule = f"kroner with at most two decimals, such as 499.00, from {format_nok(MINIMUM_AMOUNT)}"
        rule = f"{rule} to {format_nok(LARGEST_AMOUNT)}"
        raise argparse.ArgumentTypeError(f"{text!r} is no amount: {rule}") from error


def _checked(check: Callable[[object], T]) -> Callable[[str], T]:
    def read(text: str) -> T:
        try:
            return check(text)
        except InvalidInputError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


order_id: Final = _checked(check_order_id)
transaction_text: Final = _checked(check_transaction_text)
idempotency_key: Final = _checked(check_idempotency_key)
#: Its error does not show the number.
mobile_number: Final = _checked(check_mobile_number)


def token_in(order: str, line: str) -> str:
    """Take the token out of a payment's URL, or take a token as it is.

    Raises:
        InvalidInputError: there is none in it; the error does not show the line.
    """
    if "://" in line:
        return check_token(InitiatedPayment(order_id=order, url=line).token)
    return check_token(line)
