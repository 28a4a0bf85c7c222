"""The sandbox over HTTP, for tests in other languages: faults, settings, clock, and lists of what happened, in JSON."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, TypeVar

import orjson
from aiohttp import web

from vipps_async.sandbox.ledger.clock import iso_utc
from vipps_async.sandbox.ledger.orders import Order
from vipps_async.sandbox.ledger.reasons import SandboxError
from vipps_async.sandbox.network.exchange import over_the_wire
from vipps_async.sandbox.network.faults import Faults
from vipps_async.sandbox.network.held_requests import HeldRequests
from vipps_async.sandbox.network.history import CallbackRecord
from vipps_async.sandbox.network.request_filter import RequestFilter
from vipps_async.sandbox.wire.face import Services, json_answer
from vipps_async.sandbox.wire.fault import Fault

R = TypeVar("R")

#: How many are listed unless `limit` says otherwise, and at most.
_USUAL, _MOST = 100, 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The control endpoints. Requests that web pages of other origins make are refused.

    `GET` tells the state, `POST` takes a JSON object. Faults: any of ``set`` (how long things last, and which variants
    occur: see `Faults.settings`), ``clear`` (true), ``script`` (operation → names of faults, null lets a request
    pass) for the order ``orderId`` or for all, ``randomise`` (rate, seed, operations, kinds) and ``deliver`` (true:
    the requests that are held), carried out in that order.
    The settings: those of `SandboxSettings.as_json`. The clock: ``advance``, in seconds.
    Consents: ``userId``, of the customer who withdraws the consent; answered once the merchant was called, with the
    merchant's answer.
    The lists have the newest first; `orderId` names one order, `limit` how many.
    """

    services: Services
    faults: Faults
    request_filter: RequestFilter
    held: HeldRequests
    callbacks: deque[CallbackRecord]
    #: Lets the customer with a `userId` withdraw the consent, and tells the merchant.
    remove_consent: Callable[[str], Awaitable[None]]

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        shown: dict[str, Callable[[web.Request], object]] = {
            "faults": lambda _: self._faults(),
            "settings": lambda _: self.services.settings.as_json(),
            "clock": lambda _: self._time(),
            # Identifies the sandbox: without a state file it has another id after a restart, as it has other payments.
            "instance": lambda _: {"instance": f"{self.services.book.instance:016x}"},
            "payments": self._payments,
            "callbacks": self._callbacks,
            "ignored": lambda _: self._ignored(),
        }
        changed: dict[str, Callable[[Any], None]] = {
            "faults": self._change_faults,
            "settings": self.services.settings.change,
            "clock": lambda body: self.services.clock.advance(float(body["advance"])),
        }
        return [
            *(web.get(f"/sandbox/{name}", self._shower(show), allow_head=False) for name, show in shown.items()),
            *(web.post(f"/sandbox/{name}", self._changer(change, shown[name])) for name, change in changed.items()),
            web.post("/sandbox/consents/remove", self._remove_consent),
        ]

    def _shower(self, show: Callable[[web.Request], object]) -> Any:
        async def handle(request: web.Request) -> web.Response:
            self.request_filter.check_read(request)
            return over_the_wire(json_answer(show(request)))

        return handle

    def _changer(self, change: Callable[[Any], None], show: Callable[[web.Request], object]) -> Any:
        async def handle(request: web.Request) -> web.Response:
            await self._read(request, change)
            return over_the_wire(json_answer(show(request)))

        return handle

    async def _read(self, request: web.Request, take: Callable[[Any], R]) -> R:
        self.request_filter.check_change(request)
        if request.content_type != "application/json":
            # A page elsewhere can make a browser post a form here, but not JSON.
            raise web.HTTPBadRequest(reason="The content type must be application/json.")
        try:
            return take(orjson.loads(await request.read()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = " ".join(f"Cannot be read: {type(error).__name__}: {error}".split())
            raise web.HTTPBadRequest(reason=reason) from error

    async def _remove_consent(self, request: web.Request) -> web.Response:
        user_id = await self._read(request, _user_id)
        try:
            await self.remove_consent(user_id)
        except SandboxError as error:
            raise web.HTTPNotFound(reason=f"{str(error).capitalize()}.") from error
        told = next(record for record in reversed(self.callbacks) if record.kind == "consentRemoval")
        return over_the_wire(json_answer({"callbacks": [_callback(told)]}))

    # -- what is changed -----------------------------------------------------------------------------------------------

    def _change_faults(self, body: Any) -> None:
        unknown = set(body) - {"clear", "set", "script", "orderId", "randomise", "deliver"}
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        order_id = body.get("orderId")
        if order_id is not None and not isinstance(order_id, str):
            raise TypeError("orderId must be text")
        scripts = {
            operation: [None if name is None else Fault[name] for name in names]
            for operation, names in body.get("script", {}).items()
        }
        randomise = dict(body.get("randomise") or {})
        if randomise.get("kinds") is not None:
            randomise["kinds"] = [Fault[name] for name in randomise["kinds"]]
        self.faults.configure(body.get("set", {}))
        if body.get("clear"):
            self.faults.clear()
        for operation, faults in scripts.items():
            self.faults.script(operation, *faults, order_id=order_id)
        if randomise:
            self.faults.randomise(**randomise)
        if body.get("deliver"):
            self.held.deliver_all()

    # -- what is shown -------------------------------------------------------------------------------------------------

    def _time(self) -> dict[str, str]:
        return {"now": iso_utc(self.services.clock.now())}

    def _faults(self) -> dict[str, Any]:
        chance = self.faults.randomness
        return {
            "operations": list(self.faults.operations),
            "kinds": [fault.value for fault in Fault],
            "set": self.faults.settings,
            "held": len(self.held),
            "counts": {fault.value: count for fault, count in self.faults.counts.items()},
            "script": [
                {"operation": operation, "orderId": order_id, "faults": [fault and fault.value for fault in faults]}
                for (operation, order_id), faults in self.faults.scripts.items()
            ],
            "randomise": chance
            and {
                "rate": chance.rate,
                "seed": chance.seed,
                "operations": sorted(chance.operations),
                "kinds": [fault.value for fault in chance.kinds],
            },
        }

    def _payments(self, request: web.Request) -> dict[str, Any]:
        order_id, limit = _asked(request)
        orders = self.services.book.all_of(order_id)[::-1] if order_id else self.services.book.newest(0, limit)
        return {"payments": [_payment(order) for order in orders[:limit]]}

    def _callbacks(self, request: web.Request) -> dict[str, Any]:
        order_id, limit = _asked(request)
        found = (record for record in tuple(self.callbacks)[::-1] if not order_id or record.order_id == order_id)
        return {"callbacks": [_callback(record) for record in islice(found, limit)]}

    def _ignored(self) -> dict[str, Any]:
        lines = self.services.ignored.counts.items()
        return {
            "ignored": [
                {"operation": operation, "place": place, "kind": kind, "count": count}
                for (operation, place, kind), count in lines
            ]
        }


def _user_id(body: Any) -> str:
    user_id = body["userId"]
    if not isinstance(user_id, str):
        raise TypeError("userId must be text")
    return user_id


def _asked(request: web.Request) -> tuple[str, int]:
    limit = request.query.get("limit", str(_USUAL))
    if not (limit.isascii() and limit.isdecimal() and len(limit) < 6 and 1 <= int(limit) <= _MOST):
        raise web.HTTPBadRequest(reason=f"limit is a number from 1 to {_MOST}.")
    return request.query.get("orderId", ""), int(limit)


def _payment(order: Order) -> dict[str, Any]:
    payment = order.payment
    return {
        "orderId": payment.reference,
        "merchantSerialNumber": payment.sales_unit,
        "api": order.api,
        "currency": payment.currency,
        "state": order.state_word,
        "amount": payment.amount,
        **asdict(payment.sums),
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
