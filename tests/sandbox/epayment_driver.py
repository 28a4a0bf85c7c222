"""A merchant of ePayment without any client library: bare aiohttp, as outsiders would write it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from attrs import define

from tests.sandbox.driver import MSN, Answer, Merchant, merchant_at

__all__ = ["PAYMENTS", "REFERENCE", "Epayment", "code", "epayment_at", "fields", "values"]

PAYMENTS = "/epayment/v1/payments"
REFERENCE = "acme-shop-1"


@define
class Epayment:
    """Calls the API with plain dictionaries."""

    merchant: Merchant
    currency: str = "NOK"

    def creation(self, reference: object = REFERENCE, value: object = 49_900, **parts: Any) -> dict[str, Any]:
        """Return the body of a create; a part given as None is left out."""
        body = {
            "amount": {"currency": self.currency, "value": value},
            "paymentMethod": {"type": "WALLET"},
            "reference": reference,
            "userFlow": "WEB_REDIRECT",
            "returnUrl": "https://example.com/result",
            "paymentDescription": "One pair of socks.",
            **parts,
        }
        return {name: part for name, part in body.items() if part is not None}

    async def create(
        self, reference: object = REFERENCE, value: object = 49_900, *, key: str | None = None, **parts: Any
    ) -> Answer:
        """Create a payment."""
        return await self.post(PAYMENTS, self.creation(reference, value, **parts), key=key)

    async def post(self, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        """Post with a key; a fresh one if none is given."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return await self.merchant.call("POST", path, body, headers=headers)

    async def capture(self, value: object, reference: str = REFERENCE, *, key: str | None = None) -> Answer:
        """Capture."""
        return await self.post(f"{PAYMENTS}/{reference}/capture", self._modification(value), key=key)

    async def refund(self, value: object, reference: str = REFERENCE, *, key: str | None = None) -> Answer:
        """Refund."""
        return await self.post(f"{PAYMENTS}/{reference}/refund", self._modification(value), key=key)

    async def cancel(self, reference: str = REFERENCE, *, body: Any = None, key: str | None = None) -> Answer:
        """Cancel."""
        return await self.post(f"{PAYMENTS}/{reference}/cancel", body, key=key)

    async def get(self, reference: str = REFERENCE) -> Answer:
        """Ask where it stands."""
        return await self.merchant.call("GET", f"{PAYMENTS}/{reference}")

    async def events(self, reference: str = REFERENCE) -> Answer:
        """Ask for the event log."""
        return await self.merchant.call("GET", f"{PAYMENTS}/{reference}/events")

    async def names(self, reference: str = REFERENCE) -> list[tuple[str, int, bool]]:
        """Return the events' names and amounts, and whether they succeeded."""
        return [
            (event["name"], event["amount"]["value"], event["success"]) for event in (await self.events(reference)).json
        ]

    async def approve(self, reference: str = REFERENCE, **body: Any) -> Answer:
        """Force approve."""
        path = f"/epayment/v1/test/payments/{reference}/approve"
        return await self.merchant.call("POST", path, body or {"customer": {"phoneNumber": "4712345678"}})

    def _modification(self, value: object) -> dict[str, Any]:
        return {"modificationAmount": {"currency": self.currency, "value": value}}


def code(answer: Answer) -> str:
    """Return the code of a problem."""
    (part,) = answer.json["extraDetails"]
    assert part["name"] == "ErrorCode"
    reason: str = part["reason"]
    return reason


def fields(answer: Answer) -> list[str]:
    """Return the fields that a problem without a code names."""
    assert answer.json["title"] == "Bad Request"
    return [part["name"] for part in answer.json["extraDetails"]]


def values(answer: Answer) -> dict[str, int]:
    """Return the sums of an answer, those that are not 0."""
    sums = {name.removesuffix("Amount"): amount["value"] for name, amount in answer.json["aggregate"].items()}
    return {name: value for name, value in sums.items() if value}


@asynccontextmanager
async def epayment_at(url: str, msn: str = MSN, *, currency: str = "NOK") -> AsyncIterator[Epayment]:
    """Open a merchant that is logged in."""
    async with merchant_at(url, msn) as merchant:
        yield Epayment(merchant, currency)
