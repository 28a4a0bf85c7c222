"""`VippsSession` with its defaults."""

from __future__ import annotations

from benchmarks.sides.protocol import AMOUNT, CALLBACK_PREFIX, CREDENTIALS, FALL_BACK, SYSTEM, TEXT
from vipps_async import AiohttpTransport, Credentials, SystemInfo, VippsSession
from vipps_async.journals.protocol import Journal

__all__ = ["Sdk", "open_side"]


class Sdk:
    """Calls through one session.

    Attributes:
        session: the session.
    """

    def __init__(self, url: str, limit: int | None, journal: Journal | None = None) -> None:
        # A transport is handed in only where a row of the table says that the number of connections was raised.
        self._transport = None if limit is None else AiohttpTransport(limit=limit)
        self.session = VippsSession(
            Credentials(**CREDENTIALS),
            base_url=url,
            system=SystemInfo(name=SYSTEM[0], version=SYSTEM[1]),
            transport=self._transport,
            journal=journal,
        )

    async def capture(self, order_id: str) -> object:
        """Capture `AMOUNT` of an order."""
        return await self.session.ecom.capture(order_id, amount=AMOUNT, transaction_text=TEXT)

    async def details(self, order_id: str) -> object:
        """Read an order with its history."""
        return await self.session.ecom.details(order_id)

    async def initiate(self, order_id: str) -> object:
        """Ask for a payment of `AMOUNT`."""
        return await self.session.ecom.initiate(
            order_id=order_id,
            amount=AMOUNT,
            transaction_text=TEXT,
            callback_prefix=CALLBACK_PREFIX,
            fall_back=FALL_BACK,
        )

    async def aclose(self) -> None:
        """Close the session."""
        await self.session.aclose()
        if self._transport is not None:
            await self._transport.aclose()


def open_side(url: str, limit: int | None) -> Sdk:
    """Make the side."""
    return Sdk(url, limit)
