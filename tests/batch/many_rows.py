"""Rows, their results, and a session over a script, for the tests of many payments at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.batch.shop import MSN
from vipps_async import (
    Credentials,
    RetryPolicy,
    VippsSession,
)
from vipps_async.batch import (
    BatchRow,
    RowOutcome,
    RowResult,
)
from vipps_async.testing import ScriptedTransport, answer
from vipps_async.transports.protocol import Request, Response

__all__ = ["KEYS", "PATIENCE", "captured", "collect", "drain", "row", "scripted"]

#: Seconds that anything here may take on a busy machine.
PATIENCE = 30.0


KEYS = Credentials(client_id="a", client_secret="b", subscription_key="c", merchant_serial_number=MSN)


def row(number: int, **changes: Any) -> BatchRow:
    """Capture 10 kroner of `order-{number}`."""
    values: dict[str, Any] = {
        "payment": f"order-{number}",
        "amount": 1000,
        "text": "Shipped.",
        "reference": f"shipment-{number}",
    }
    return BatchRow(**values | changes)


async def collect(results: Any) -> dict[str, RowResult]:
    """All results by reference."""
    async with asyncio.timeout(PATIENCE):
        return {result.row.reference: result async for result in results}


async def drain(results: Any, into: list[RowOutcome]) -> None:
    """Take all results; what came before an error counts."""
    async for result in results:
        into.append(result.outcome)  # noqa: PERF401 - as said


def scripted(respond: Callable[[Request], Any]) -> VippsSession:
    """A session whose captures are answered by a function."""
    transport = ScriptedTransport().on("", then=respond)
    return VippsSession(KEYS, transport=transport, retry=RetryPolicy(attempts=1))


def captured(request: Request) -> Response:
    """Vipps' answer to a capture."""
    order_id = request.url.split("/")[-2]
    info = {"amount": 1000, "status": "Captured", "transactionId": "1", "timeStamp": "2026-01-01T12:00:00Z"}
    return answer(200, {"orderId": order_id, "transactionInfo": info})
