"""The same with httpx: one client, a time-out, a key for each capture, errors raised."""

from __future__ import annotations

import uuid
from typing import Any

import httpx

from benchmarks.sides.protocol import AMOUNT, CALLBACK_PREFIX, CREDENTIALS, FALL_BACK, SYSTEM, TEXT

__all__ = ["open_side"]


class _Naive:
    """Calls through one `httpx.AsyncClient`. The token is fetched by whoever finds none."""

    def __init__(self, url: str, limit: int | None) -> None:
        self._token: str | None = None
        headers = {
            "Ocp-Apim-Subscription-Key": CREDENTIALS["subscription_key"],
            "Merchant-Serial-Number": CREDENTIALS["merchant_serial_number"],
            "Vipps-System-Name": SYSTEM[0],
            "Vipps-System-Version": SYSTEM[1],
        }
        # httpx' own default of 5 s would include the wait for a connection: with many calls at once they would fail.
        timeout = httpx.Timeout(30)
        if limit is None:
            self._client = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout)
        else:
            limits = httpx.Limits(max_connections=limit, max_keepalive_connections=limit)
            self._client = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout, limits=limits)

    async def _authorization(self) -> dict[str, str]:
        if self._token is None:
            keys = {"client_id": CREDENTIALS["client_id"], "client_secret": CREDENTIALS["client_secret"]}
            response = await self._client.post("/accesstoken/get", headers=keys)
            response.raise_for_status()
            self._token = response.json()["access_token"]
        return {"Authorization": f"Bearer {self._token}"}

    async def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
        response = await self._client.post(path, json=body, headers=headers)
        response.raise_for_status()
        return response.json()

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
        path = f"/ecomm/v2/payments/{order_id}/details"
        response = await self._client.get(path, headers=await self._authorization())
        response.raise_for_status()
        return response.json()

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
        """Close the client."""
        await self._client.aclose()


def open_side(url: str, limit: int | None) -> _Naive:
    """Make the side."""
    return _Naive(url, limit)
