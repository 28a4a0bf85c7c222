"""A Vipps with a queue, a capacity and an outage, on the event loop's own clock; it also keeps the truth."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random

import orjson

from benchmarks.outage.scenario import Mode, Scenario
from vipps_async.transports.protocol import Request, Response

__all__ = ["AMOUNT", "Vendor"]

#: What every order has reserved, and every capture takes, in øre.
AMOUNT = 49_900
#: A day, as in production: no token expires meanwhile.
_TOKEN = b'{"token_type":"Bearer","expires_in":"86400","access_token":"simulated"}'
_TIME = "2026-01-01T12:00:00.000Z"


class Vendor:
    """Answers captures, details and token requests.

    Attributes:
        captured: order id → the key under which it was captured, whole: a second key finds nothing left (error 61).
        keys: order id → all keys that captures of it came with.
        requests: (bin, source, kind) → requests that arrived.
        refused: bin → requests that were answered 429 or 503.
        effects: bin → captures that took effect.
    """

    def __init__(self, scenario: Scenario, random: Random) -> None:
        self._scenario = scenario
        self._random = random
        self._loop = asyncio.get_running_loop()
        #: When the next request can be begun.
        self._next_turn = 0.0
        self.captured: dict[str, str] = {}
        self.keys: dict[str, set[str]] = {}
        self.requests: Counter[tuple[int, str, str]] = Counter()
        self.refused: Counter[int] = Counter()
        self.effects: Counter[int] = Counter()

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        now = self._loop.time()
        return round(max(0.0, self._next_turn - now) * self._scenario.phase_at(now).capacity)

    async def answer(self, request: Request, source: str) -> Response:
        """Take a request in and answer it, late or never.

        Args:
            request: the request.
            source: who sent it: web, batch or recovery.
        """
        now = self._loop.time()
        path = request.url.split("/")
        kind = path[-1]
        self.requests[self._bin(now), source, kind] += 1
        act = self._act(request, kind, path[-2])
        phase = self._scenario.phase_at(now)
        if phase.mode is not Mode.WORKING:
            if kind == "capture" and self._random.random() < self._scenario.silent_effects:
                act()
            if phase.mode is Mode.STALLING:
                await self._loop.create_future()
            return await self._refuse(503, now)
        if self.waiting >= self._scenario.queue:
            return await self._refuse(429, now)
        turn = max(now, self._next_turn)
        self._next_turn = turn + 1.0 / phase.capacity
        reply: asyncio.Future[Response] = self._loop.create_future()

        def work_off() -> None:
            # Whether anybody still waits for it or not.
            response = act()
            if not reply.done():
                reply.set_result(response)

        self._loop.call_at(turn + self._random.uniform(*self._scenario.service), work_off)
        return await reply

    async def _refuse(self, status: int, now: float) -> Response:
        self.refused[self._bin(now)] += 1
        await asyncio.sleep(self._scenario.refusal)
        return Response(status=status)

    def _bin(self, now: float) -> int:
        return int(now // self._scenario.bin)

    def _act(self, request: Request, kind: str, order_id: str) -> Callable[[], Response]:
        if kind == "get":
            return lambda: Response(status=200, body=_TOKEN)
        if kind == "details":
            return lambda: self._details(order_id)
        key = request.headers["X-Request-Id"]
        self.keys.setdefault(order_id, set()).add(key)
        return lambda: self._capture(order_id, key)

    def _capture(self, order_id: str, key: str) -> Response:
        if order_id not in self.captured:
            self.captured[order_id] = key
            self.effects[self._bin(self._loop.time())] += 1
        elif self.captured[order_id] != key:
            error = {"errorGroup": "Payment", "errorCode": "61", "errorMessage": "Captured amount exceeds the reserved"}
            return _json([error], status=400)
        info = {
            "amount": AMOUNT,
            "status": "Captured",
            "timeStamp": _TIME,
            "transactionId": "5000000001",
            "transactionText": "Shipped.",
        }
        return _json({"orderId": order_id, "transactionInfo": info, "transactionSummary": _summary(AMOUNT)})

    def _details(self, order_id: str) -> Response:
        key = self.captured.get(order_id)
        history = [_entry("RESERVE", "reserve")]
        if key is not None:
            history.insert(0, _entry("CAPTURE", key))
        summary = _summary(0 if key is None else AMOUNT)
        return _json({"orderId": order_id, "transactionLogHistory": history, "transactionSummary": summary})


def _entry(operation: str, key: str) -> dict[str, object]:
    return {
        "amount": AMOUNT,
        "operation": operation,
        "operationSuccess": True,
        "requestId": key,
        "timeStamp": _TIME,
        "transactionId": "5000000001",
        "transactionText": "Shipped.",
    }


def _summary(captured: int) -> dict[str, int]:
    return {
        "capturedAmount": captured,
        "refundedAmount": 0,
        "remainingAmountToCapture": AMOUNT - captured,
        "remainingAmountToRefund": captured,
    }


def _json(body: object, *, status: int = 200) -> Response:
    return Response(status=status, headers={"content-type": "application/json"}, body=orjson.dumps(body))
