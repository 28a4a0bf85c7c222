"""The client `vipps` from PyPI, which blocks: an asyncio application calls it in threads of the default pool.

It opens a connection for every call, since it uses no `requests.Session`.
"""

from __future__ import annotations

import asyncio

from vipps import VippsEcomApi

from benchmarks.sides.protocol import AMOUNT, CALLBACK_PREFIX, CREDENTIALS, FALL_BACK, SYSTEM, TEXT

__all__ = ["open_side"]


class _InThreads:
    """Calls through one `VippsEcomApi`, each by `asyncio.to_thread`."""

    def __init__(self, url: str) -> None:
        self._api = VippsEcomApi(
            client_id=CREDENTIALS["client_id"],
            client_secret=CREDENTIALS["client_secret"],
            vipps_subscription_key=CREDENTIALS["subscription_key"],
            merchant_serial_number=CREDENTIALS["merchant_serial_number"],
            vipps_server=url,
            callback_prefix=CALLBACK_PREFIX,
            fall_back=FALL_BACK,
            vipps_system_name=SYSTEM[0],
            vipps_system_version=SYSTEM[1],
        )

    async def capture(self, order_id: str) -> object:
        """Capture `AMOUNT` of an order."""
        return await asyncio.to_thread(self._api.capture_payment, order_id, AMOUNT, TEXT)

    async def details(self, order_id: str) -> object:
        """Read an order with its history."""
        return await asyncio.to_thread(self._api.details_payment, order_id)

    async def initiate(self, order_id: str) -> object:
        """Ask for a payment of `AMOUNT`."""
        return await asyncio.to_thread(self._api.init_payment, order_id, AMOUNT, TEXT)

    async def aclose(self) -> None:
        """Nothing stays open."""


def open_side(url: str, limit: int | None) -> _InThreads:  # noqa: ARG001 - it has no such limit
    """Make the side."""
    return _InThreads(url)
