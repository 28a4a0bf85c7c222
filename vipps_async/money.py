"""Money: Norwegian kroner as whole øre, never as floats."""

from __future__ import annotations

from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow

from vipps_async.errors import InvalidInputError

__all__ = ["LARGEST_AMOUNT", "MINIMUM_AMOUNT", "format_amount", "format_nok", "nok"]

#: The smallest amount of a payment, capture or refund, in øre: 1 NOK (OpenAPI description, `amount`).
MINIMUM_AMOUNT = 100

#: The largest sum that Vipps' integer amounts can hold safely everywhere: a signed 32-bit number of øre.
LARGEST_AMOUNT = 2**31 - 1

#: Reckons exactly or not at all, whatever precision the application has set for its own decimals.
_EXACT = Context(prec=100, traps=[Inexact, InvalidOperation, Overflow])


def nok(amount: str | int | Decimal) -> int:
    """Turn an amount in kroner into whole øre.

    Args:
        amount: kroner as text (``"499.00"``; ``"499,50"`` is refused: the decimals follow a point), as a whole number,
            or as a Decimal.

    Returns:
        The amount in øre: ``nok("499.00") == 49900``.

    Raises:
        InvalidInputError: for a float or bool, for text that is no plain decimal number, and for parts of an øre.
    """
    rule = "kroner as str, int or Decimal with at most two decimals (no float: it cannot hold every øre)"
    if isinstance(amount, bool) or not isinstance(amount, str | int | Decimal):
        raise InvalidInputError("amount", rule, value=amount)
    if isinstance(amount, str) and not _is_plain_number(amount):
        if "," in amount:
            rule += ", with a point before the decimals, such as '477.80'"
        raise InvalidInputError("amount", rule, value=amount)
    try:
        kroner = Decimal(amount)
        # Before int(): 1E+999999 has a million digits.
        if not kroner.is_finite() or kroner.adjusted() > 9:
            raise InvalidInputError("amount", rule, value=amount)
        oere = _EXACT.multiply(kroner, Decimal(100))
    except DecimalException as error:
        raise InvalidInputError("amount", rule, value=amount) from error
    whole = int(oere)
    if oere != whole or abs(whole) > LARGEST_AMOUNT:
        raise InvalidInputError("amount", rule, value=amount)
    return whole


def _is_plain_number(text: str) -> bool:
    # Decimal() would also take "1e3", "1_000", " 5 " and digits of other scripts: not what a shop means.
    return text.isascii() and text.removeprefix("-").replace(".", "", 1).isdigit()


def format_amount(amount: int, currency: str) -> str:
    """Write an amount of minor units for people: ``format_amount(49900, "NOK") == "499.00 NOK"``."""
    sign = "-" if amount < 0 else ""
    whole, rest = divmod(abs(amount), 100)
    return f"{sign}{whole}.{rest:02d} {currency}"


def format_nok(oere: int) -> str:
    """Write an amount of øre as kroner for people: ``format_nok(49900) == "499.00 NOK"``."""
    return format_amount(oere, "NOK")
