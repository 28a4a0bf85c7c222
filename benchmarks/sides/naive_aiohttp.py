"""What a careful engineer writes with aiohttp: one session, a time-out, a key for each capture, errors raised."""

from __future__ import annotations

import json
import uuid
from typing import Any

import aiohttp

from benchmarks.sides.protocol import AMOUNT, CALLBACK_PREFIX, CREDENTIALS, FALL_BACK, SYSTEM, TEXT

__all__ = ["open_side"]


class _Naive:
    """Calls through one `aiohttp.ClientSession`. The token is fetched by whoever finds none."""

    def __init__(self, url: str, limit: int | None) -> None:
        self._url = url
        self._limit = limit
        self._made: aiohttp.ClientSession | None = None
        self._token: str | None = None

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._made is None:
            headers = {
                "Ocp-Apim-Subscription-Key": CREDENTIALS["subscription_key"],
                "Merchant-Serial-Number": CREDENTIALS["merchant_serial_number"],
                "Vipps-System-Name": SYSTEM[0],
                "Vipps-System-Version": SYSTEM[1],
            }
            connector = None if self._limit is None else aiohttp.TCPConnector(limit=self._limit)
            timeout = aiohttp.ClientTimeout(total=30)
            self._made = aiohttp.ClientSession(headers=headers, connector=connector, timeout=timeout)
        return self._made

    async def _authorization(self) -> dict[str, str]:
        if self._token is None:
            keys = {"client_id": CREDENTIALS["client_id"], "client_secret": CREDENTIALS["client_secret"]}
            async with self._session.post(f"{self._url}/accesstoken/get", headers=keys) as response:
                response.raise_for_status()
                self._token = json.loads(await response.read())["access_token"]
        return {"Authorization": f"Bearer {self._token}"}

    async def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
        async with self._session.post(self._url + path, json=body, headers=headers) as response:
            response.raise_for_status()
            return json.loads(await response.read())

    async def capture(self, order_id: str) -> object:
        """Capture `AMOUNT` of an order."""
        headers = {**await self._authorization(), "X-Request-Id": str(uuid.uuid4())}
        body = {
            "merchantInfo": {"merchantSerialNumber": CREDENTIALS["merchant_serial_number"]},
            "transaction": {"amount": AMOUNT, "transactionText": TEXT},
        }
        return await self._post(f"/ecomm/v2/payments/{order_id}/capture", body, headers)

    async def details(self, order_id: str) -> object:
        """Read an order with its history."""
        url = f"{self._url}/ecomm/v2/payments/{order_id}/details"
        async with self._session.get(url, headers=await self._authorization()) as response:
            response.raise_for_status()
            return json.loads(await response.read())

    async def initiate(self, order_id: str) -> object:
        """Ask for a payment of `AMOUNT`."""
        body = {
            "customerInfo": {},
            "merchantInfo": {
                "merchantSerialNumber": CREDENTIALS["merchant_serial_number"],
                "callbackPrefix": CALLBACK_PREFIX,
                "fallBack": FALL_BACK,
            },
            "transaction": {"orderId": order_id, "amount": AMOUNT, "transactionText": TEXT},
        }
        return await self._post("/ecomm/v2/payments", body, await self._authorization())

    async def aclose(self) -> None:
        """Close the session."""
        if self._made is not None:
            await self._made.close()


def open_side(url: str, limit: int | None) -> _Naive:
    """Make the side."""
    return _Naive(url, limit)
