"""Lists payments, callbacks and what was ignored as JSON, for tests in other languages."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson
from aiohttp import web

from vipps_async.sandbox.ledger.clock import iso_utc
from vipps_async.sandbox.ledger.customer_simulator import Wallet, state_word
from vipps_async.sandbox.ledger.orders import Order, OrderBook
from vipps_async.sandbox.network.guard import Guard
from vipps_async.sandbox.network.history import CallbackRecord
from vipps_async.sandbox.wire.ecom import json_answer
from vipps_async.sandbox.wire.ignored import Ignored
from vipps_async.sandbox.wire.refusals import gateway_refusal

__all__ = ["CALLBACKS_PATH", "IGNORED_PATH", "PAYMENTS_PATH", "Lists"]

PAYMENTS_PATH = "/sandbox/payments"
CALLBACKS_PATH = "/sandbox/callbacks"
IGNORED_PATH = "/sandbox/ignored"
#: How many are listed unless `limit` says otherwise, and at most.
_USUAL, _MOST = 100, 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """The lists, the newest first; `orderId` names one order, `limit` how many."""

    book: OrderBook
    wallet: Wallet
    guard: Guard
    callbacks: deque[CallbackRecord]
    ignored: Ignored

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get(PAYMENTS_PATH, self._payments, allow_head=False),
            web.get(CALLBACKS_PATH, self._callbacks, allow_head=False),
            web.get(IGNORED_PATH, self._ignored, allow_head=False),
        ]

    async def _payments(self, request: web.Request) -> web.Response:
        order_id, limit = self._asked(request)
        self.wallet.settle_due()
        orders = self.book.all_of(order_id)[::-1] if order_id else self.book.newest(0, limit)
        return json_answer({"payments": [_payment(order) for order in orders[:limit]]})

    async def _callbacks(self, request: web.Request) -> web.Response:
        order_id, limit = self._asked(request)
        found = (record for record in tuple(self.callbacks)[::-1] if not order_id or record.order_id == order_id)
        return json_answer({"callbacks": [_callback(record) for record in islice(found, limit)]})

    async def _ignored(self, request: web.Request) -> web.Response:
        self.guard.look(request)
        return json_answer(
            {
                "ignored": [
                    {"operation": operation, "place": place, "kind": kind, "count": count}
                    for (operation, place, kind), count in self.ignored.counts.items()
                ]
            }
        )

    def _asked(self, request: web.Request) -> tuple[str, int]:
        self.guard.look(request)
        limit = request.query.get("limit", str(_USUAL))
        if not (limit.isascii() and limit.isdecimal() and len(limit) < 6 and 1 <= int(limit) <= _MOST):
            raise gateway_refusal(400, f"limit is a number from 1 to {_MOST}.")
        return request.query.get("orderId", ""), int(limit)


def _payment(order: Order) -> dict[str, Any]:
    payment = order.payment
    return {
        "orderId": payment.order_id,
        "merchantSerialNumber": payment.merchant_serial_number,
        "state": state_word(order),
        "amount": payment.amount,
        "reserved": payment.reserved,
        "captured": payment.captured,
        "refunded": payment.refunded,
        "released": payment.released,
        "history": [
            {
                "operation": entry.operation,
                "amount": entry.amount,
                "operationSuccess": entry.success,
                "timeStamp": iso_utc(entry.time),
                "requestId": entry.request_id,
                "transactionId": entry.transaction_id,
            }
            for entry in reversed(payment.history)
        ],
    }


def _callback(record: CallbackRecord) -> dict[str, Any]:
    return {
        "kind": record.kind,
        "orderId": record.order_id,
        "merchantSerialNumber": record.merchant_serial_number,
        "method": record.method,
        "url": record.url,
        "body": orjson.loads(record.body) if record.body else None,
        "status": record.status,
        "failure": record.failure,
        "timeStamp": iso_utc(record.at),
    }
