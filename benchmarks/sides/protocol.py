"""What a side can do: three calls to Vipps and an end."""

from __future__ import annotations

from typing import Protocol

__all__ = ["AMOUNT", "CALLBACK_PREFIX", "CREDENTIALS", "FALL_BACK", "SYSTEM", "TEXT", "Side"]

#: The keys that every side sends; the servers look at none of them.
CREDENTIALS = {
    "client_id": "fb492b5e-7907-4d83-ba20-c7fb60ca35de",
    "client_secret": "benchmark-secret",
    "subscription_key": "0f14ebcab0ec4b29ae0cb90d91b4a84a",
    "merchant_serial_number": "123456",
}
#: The shop's software and its version, as the headers say it.
SYSTEM = ("acme-shop", "1.0.0")
#: Øre.
AMOUNT = 1000
TEXT = "One pair of socks."
CALLBACK_PREFIX = "https://example.com/vipps/callbacks"
FALL_BACK = "https://example.com/vipps/result"


class Side(Protocol):
    """One client, with a token and open connections after its first call. Each call returns what its user gets."""

    async def capture(self, order_id: str) -> object:
        """Capture `AMOUNT` of an order."""
        ...

    async def details(self, order_id: str) -> object:
        """Read an order with its history."""
        ...

    async def initiate(self, order_id: str) -> object:
        """Ask for a payment of `AMOUNT`."""
        ...

    async def aclose(self) -> None:
        """Close what the side has opened."""
        ...
