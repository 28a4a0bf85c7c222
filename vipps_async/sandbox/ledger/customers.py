"""Test customers, and the phone numbers of those who cannot pay."""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from dataclasses import dataclass, field
from datetime import date

from vipps_async.sandbox.ledger.reasons import Reason, Refused

#: What stands in the place of personal data once the merchant may no longer read it.
EXPIRED = "[Expired]"
#: Phone numbers that stand for a customer who cannot pay, and why not.
NUMBERS = {
    "40000081": Reason.NO_SUCH_CUSTOMER,
    "40000082": Reason.APP_TOO_OLD,
    "40001082": Reason.CUSTOMER_UNVERIFIED,
    "40001501": Reason.CUSTOMER_UNDER_AGE,
}
#: What people put between digits.
_SEPARATORS = re.compile(r"[\s().\-/]+")
#: Eight digits, perhaps behind the country code.
_NUMBER = re.compile(r"(?:\+47|0047|47)?([0-9]{8})")
#: Nine to fifteen digits, the country code among them.
_MSISDN = re.compile(r"(?:\+|00)?([1-9][0-9]{8,14})")


def corrected_number(given: str) -> str | None:
    """Return the eight digits of a Norwegian number however it is written; None for what is no such number."""
    found = _NUMBER.fullmatch(_SEPARATORS.sub("", given))
    return None if found is None else found[1]


def corrected_msisdn(given: str) -> str | None:
    """Return the digits of any country's number with its country code, however it is written; None for what is none."""
    found = _MSISDN.fullmatch(_SEPARATORS.sub("", given))
    return None if found is None else found[1]


def check_number(number: str | None) -> None:
    """Let a number pass unless it stands for a customer who cannot pay.

    Raises:
        Refused: the reason that the number stands for.
    """
    if number in NUMBERS:
        raise Refused(NUMBERS[number])


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the customer lives. Invented, and left out of reprs all the same."""

    line1: str = field(default="Storgata 1", repr=False)
    line2: str = field(default="", repr=False)
    postal_code: str = field(default="0155", repr=False)
    city: str = field(default="Oslo", repr=False)


@dataclass(frozen=True, kw_only=True)
class Customer:
    """A person with the app. Every value is invented; reprs leave them out as they would a real person's."""

    first_name: str = field(default="Kari", repr=False)
    last_name: str = field(default="Nordmann", repr=False)
    email: str = field(default="kari.nordmann@example.com", repr=False)
    mobile_number: str = field(default="91234567", repr=False)
    """Eight digits in Norway; elsewhere with the country code."""
    birth_date: str = field(default="1990-01-31", repr=False)
    """ISO 8601."""
    nin: str = field(default="31019000000", repr=False)
    """National identity number: eleven digits that belong to nobody."""
    address: Address = field(default_factory=Address, repr=False)

    @property
    def msisdn(self) -> str:
        """The number with its country code."""
        return self.mobile_number if len(self.mobile_number) > 8 else f"47{self.mobile_number}"

    def age(self, today: date) -> int:
        """Return the whole years of the customer's life."""
        born = date.fromisoformat(self.birth_date)
        return today.year - born.year - ((today.month, today.day) < (born.month, born.day))

    def _digest(self, sales_unit: str) -> bytes:
        return hashlib.sha256(f"{sales_unit}/{self.mobile_number}".encode()).digest()

    def user_id(self, sales_unit: str) -> str:
        """Return the id that express checkout knows the customer by: base64 with the characters that hurt in URLs."""
        # These two bytes make every id begin with "+/", and sixteen bytes in all make it end with "==".
        return base64.b64encode(b"\xfb\xff" + self._digest(sales_unit)[:14]).decode()

    def sub(self, sales_unit: str) -> str:
        """Return the id that user info knows the customer by, another one for each sales unit."""
        return str(uuid.UUID(bytes=self._digest(sales_unit)[16:32], version=4))
