"""Money: sums in minor units with their currency, never floats."""

from __future__ import annotations

from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow
from functools import total_ordering

from attrs import frozen

from vipps_async.errors import InvalidInputError

__all__ = ["LARGEST_AMOUNT", "MINIMUM_AMOUNT", "Money", "dkk", "eur", "format_amount", "format_nok", "nok"]

#: The smallest amount of a payment, capture or refund, in øre: 1 NOK (OpenAPI description, `amount`).
MINIMUM_AMOUNT = 100

#: The largest sum that Vipps' integer amounts can hold safely everywhere: a signed 32-bit number of minor units.
LARGEST_AMOUNT = 2**31 - 1

#: Reckons exactly or not at all, whatever precision the application has set for its own decimals.
_EXACT = Context(prec=100, traps=[Inexact, InvalidOperation, Overflow])


@total_ordering
@frozen
class Money:
    """A sum of one currency, as the ePayment API has it; made by `nok`, `dkk` or `eur`, or out of an answer.

    Sums of one currency can be added, subtracted and compared; ``sum(sums, start=nok(0))`` adds many. A sum of 0 is
    false. Two sums of different currencies are unequal, and can be neither added, subtracted nor ordered. There are no
    fractions: a sum cannot be multiplied or divided.

    Raises:
        InvalidInputError: the value is no whole number from 0 up (also the difference of two sums), the currency is no
            text, or an operation's two sums differ in currency.
    """

    value: int
    """The sum in minor units (øre, cent), 0 or more."""
    currency: str
    """ISO 4217's code: ``"NOK"``, ``"DKK"`` or ``"EUR"``; an answer's is kept as it came."""

    def __attrs_post_init__(self) -> None:
        value: object = self.value
        currency: object = self.currency
        # Exactly int: a bool is one, too, and an enum's member is written otherwise.
        if type(value) is not int or value < 0:
            raise InvalidInputError("value", "a whole number of minor units, 0 or more", value=value)
        if not isinstance(currency, str) or not currency:
            raise InvalidInputError("currency", "a code such as 'NOK'", value=currency)

    def __add__(self, other: object) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        return Money(self.value + self._value_of(other), self.currency)

    def __sub__(self, other: object) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        return Money(self.value - self._value_of(other), self.currency)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return self.value < self._value_of(other)

    def __bool__(self) -> bool:
        return self.value > 0

    def __str__(self) -> str:
        """Write the sum for people: ``str(nok("499.00")) == "499.00 NOK"``."""
        return format_amount(self.value, self.currency)

    def _value_of(self, other: Money) -> int:
        if other.currency != self.currency:
            raise InvalidInputError("currency", f"{self.currency} as in the other sum", value=other.currency)
        return other.value


def nok(amount: str | int | Decimal) -> Money:
    """Return a sum in Norwegian kroner.

    Args:
        amount: kroner as text (``"499.00"``; ``"499,50"`` is refused: the decimals follow a point), as a whole number,
            or as a Decimal.

    Returns:
        The sum, in øre: ``nok("499.00") == Money(49900, "NOK")``.

    Raises:
        InvalidInputError: for a float or bool, for text that is no plain decimal number, for parts of an øre, and for
            less than 0.
    """
    return _read(amount, "NOK", "kroner")


def dkk(amount: str | int | Decimal) -> Money:
    """Return a sum in Danish kroner; see `nok`."""
    return _read(amount, "DKK", "kroner")


def eur(amount: str | int | Decimal) -> Money:
    """Return a sum in euros; see `nok`."""
    return _read(amount, "EUR", "euros")


def _read(amount: object, currency: str, unit: str) -> Money:
    rule = f"{unit} as str, int or Decimal, 0 or more, with at most two decimals (no float: it cannot hold every sum)"
    if isinstance(amount, bool) or not isinstance(amount, str | int | Decimal):
        raise InvalidInputError("amount", rule, value=amount)
    if isinstance(amount, str) and not _is_plain_number(amount):
        if "," in amount:
            rule += ", with a point before the decimals, such as '477.80'"
        raise InvalidInputError("amount", rule, value=amount)
    try:
        major = Decimal(amount)
        # Before int(): 1E+999999 has a million digits.
        if not major.is_finite() or major.adjusted() > 9:
            raise InvalidInputError("amount", rule, value=amount)
        minor = _EXACT.multiply(major, Decimal(100))
    except DecimalException as error:
        raise InvalidInputError("amount", rule, value=amount) from error
    whole = int(minor)
    if minor != whole or not 0 <= whole <= LARGEST_AMOUNT:
        raise InvalidInputError("amount", rule, value=amount)
    return Money(whole, currency)


def _is_plain_number(text: str) -> bool:
    # Decimal() would also take "1e3", "1_000", " 5 " and digits of other scripts: not what a shop means.
    return text.isascii() and text.replace(".", "", 1).isdigit()


def format_amount(amount: int, currency: str) -> str:
    """Write an amount of minor units for people: ``format_amount(49900, "NOK") == "499.00 NOK"``."""
    sign = "-" if amount < 0 else ""
    whole, rest = divmod(abs(amount), 100)
    return f"{sign}{whole}.{rest:02d} {currency}"


def format_nok(oere: int) -> str:
    """Write an amount of øre as kroner for people: ``format_nok(49900) == "499.00 NOK"``."""
    return format_amount(oere, "NOK")
