"""The customer who holds the phone: who it is, and what of it the merchant is told."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field

__all__ = ["EXPIRED", "Address", "Customer"]

#: What stands in the place of personal data once the merchant may no longer read it.
EXPIRED = "[Expired]"


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
    #: Eight digits.
    mobile_number: str = field(default="91234567", repr=False)
    #: ISO 8601.
    birth_date: str = field(default="1990-01-31", repr=False)
    #: National identity number: eleven digits that belong to nobody.
    nin: str = field(default="31019000000", repr=False)
    address: Address = field(default_factory=Address, repr=False)

    def _digest(self, merchant_serial_number: str) -> bytes:
        return hashlib.sha256(f"{merchant_serial_number}/{self.mobile_number}".encode()).digest()

    def user_id(self, merchant_serial_number: str) -> str:
        """Return the id that express checkout knows the customer by: base64 with the characters that hurt in URLs."""
        # These two bytes make every id begin with "+/", and sixteen bytes in all make it end with "==".
        return base64.b64encode(b"\xfb\xff" + self._digest(merchant_serial_number)[:14]).decode()

    def sub(self, merchant_serial_number: str) -> str:
        """Return the id that user info knows the customer by, another one for each sales unit."""
        return str(uuid.UUID(bytes=self._digest(merchant_serial_number)[16:32], version=4))

    def user_details(self, merchant_serial_number: str, *, expired: bool = False) -> dict[str, str]:
        """Return `userDetails` of callbacks and details."""
        personal = {
            "email": self.email,
            "firstName": self.first_name,
            "lastName": self.last_name,
            "mobileNumber": self.mobile_number,
        }
        if expired:
            personal = dict.fromkeys(personal, EXPIRED)
        return {**personal, "userId": self.user_id(merchant_serial_number)}

    def claims(self, sub: str, scope: Collection[str], *, expired: bool = False) -> dict[str, object]:
        """Return the answer of user info: what the scope allows, and no more."""
        claims: dict[str, object] = {}
        if "name" in scope:
            claims["name"] = f"{self.first_name} {self.last_name}"
            claims["given_name"], claims["family_name"] = self.first_name, self.last_name
        if "email" in scope:
            claims["email"] = self.email
        if "phoneNumber" in scope:
            claims["phone_number"] = f"47{self.mobile_number}"
        if "birthDate" in scope:
            claims["birthdate"] = self.birth_date
        if "nin" in scope:
            claims["nin"] = self.nin
        if "address" in scope:
            claims["address"] = self._address_claim()
            claims["other_addresses"] = []
        if expired:
            claims = {name: _expired(value) for name, value in claims.items()}
        if "email" in scope:
            claims["email_verified"] = True
        if "phoneNumber" in scope:
            claims["phone_number_verified"] = True
        return {"sid": str(uuid.uuid5(uuid.UUID(sub), "sid")), "sub": sub, **claims}

    def _address_claim(self) -> dict[str, str]:
        street = "\n".join(line for line in (self.address.line1, self.address.line2) if line)
        return {
            "address_type": "home",
            "country": "NO",
            "formatted": f"{street}\n{self.address.postal_code} {self.address.city.upper()}\nNORWAY",
            "postal_code": self.address.postal_code,
            "region": self.address.city,
            "street_address": street,
        }


def _expired(value: object) -> object:
    if isinstance(value, dict):
        return dict.fromkeys(value, EXPIRED)
    return value if isinstance(value, list) else EXPIRED
