"""Changes faults, settings and the clock over HTTP for other processes, and never for a web page from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from vipps_async.sandbox.ledger.changes import Changes
from vipps_async.sandbox.ledger.clock import SandboxClock, iso_utc
from vipps_async.sandbox.ledger.orders import OrderBook
from vipps_async.sandbox.ledger.settings import Settings
from vipps_async.sandbox.network.faults import FAULT_OPERATIONS, Fault, Faults
from vipps_async.sandbox.network.guard import Guard
from vipps_async.sandbox.network.held_requests import HeldRequests
from vipps_async.sandbox.wire.ecom import json_answer
from vipps_async.sandbox.wire.refusals import gateway_refusal

__all__ = ["CLOCK_PATH", "CONTROL_PATH", "SETTINGS_PATH", "Control"]

CONTROL_PATH = "/sandbox/faults"
CLOCK_PATH = "/sandbox/clock"
SETTINGS_PATH = "/sandbox/settings"
INSTANCE_PATH = "/sandbox/instance"


class Control:
    """The control endpoints of the faults, of the settings and of the clock.

    `GET` tells the state, `POST` takes a JSON object. Faults: any of ``set`` (how long things last, and which variants
    occur: see `Faults.settings`), ``clear`` (true), ``script`` (operation → names of faults, null lets a request
    pass) for the order ``orderId`` or for all, ``randomise`` (rate, seed, operations, kinds) and ``deliver`` (true:
    the requests that are held), carried out in that order.
    The settings: those of `Settings.as_json`. The clock: ``advance``, in seconds.
    """

    def __init__(
        self,
        faults: Faults,
        clock: SandboxClock,
        guard: Guard,
        changes: Changes,
        *,
        held: HeldRequests,
        book: OrderBook,
        settings: Settings,
    ) -> None:
        self._faults = faults
        self._clock = clock
        self._guard = guard
        self._changes = changes
        self._held = held
        self._book = book
        self._settings = settings

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get(CONTROL_PATH, self._read, allow_head=False),
            web.post(CONTROL_PATH, self._change),
            web.get(SETTINGS_PATH, self._read_settings, allow_head=False),
            web.post(SETTINGS_PATH, self._change_settings),
            web.get(INSTANCE_PATH, self._read_instance, allow_head=False),
            web.get(CLOCK_PATH, self._read_clock, allow_head=False),
            web.post(CLOCK_PATH, self._advance),
        ]

    async def _read(self, request: web.Request) -> web.Response:
        self._guard.look(request)
        return json_answer(self._state())

    async def _change(self, request: web.Request) -> web.Response:
        await self._carry_out(request, self._apply)
        return json_answer(self._state())

    async def _read_settings(self, request: web.Request) -> web.Response:
        self._guard.look(request)
        return json_answer(self._settings.as_json())

    async def _change_settings(self, request: web.Request) -> web.Response:
        await self._carry_out(request, self._settings.change)
        return json_answer(self._settings.as_json())

    async def _read_instance(self, request: web.Request) -> web.Response:
        # Which sandbox this is: one that forgets its payments when it ends is another one the next time.
        self._guard.look(request)
        return json_answer({"instance": f"{self._book.instance:016x}"})

    async def _read_clock(self, request: web.Request) -> web.Response:
        self._guard.look(request)
        return json_answer({"now": iso_utc(self._clock.now())})

    async def _advance(self, request: web.Request) -> web.Response:
        await self._carry_out(request, lambda body: self._clock.advance(float(body["advance"])))
        return json_answer({"now": iso_utc(self._clock.now())})

    async def _carry_out(self, request: web.Request, change: Callable[[Any], None]) -> None:
        self._guard.change(request)
        if request.content_type != "application/json":
            # A page elsewhere can make a browser post a form here, but not JSON.
            raise gateway_refusal(400, "The content type must be application/json.")
        try:
            change(orjson.loads(await request.read()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise gateway_refusal(400, f"Cannot be read: {type(error).__name__}: {error}") from error
        self._changes.note()

    def _apply(self, body: Any) -> None:
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
        self._faults.configure(body.get("set", {}))
        if body.get("clear"):
            self._faults.clear()
        for operation, faults in scripts.items():
            self._faults.script(operation, *faults, order_id=order_id)
        if randomise:
            self._faults.randomise(**randomise)
        if body.get("deliver"):
            self._held.deliver_all()

    def _state(self) -> dict[str, Any]:
        randomness = self._faults.randomness
        return {
            "operations": list(FAULT_OPERATIONS),
            "kinds": [fault.value for fault in Fault],
            "set": self._faults.settings,
            "held": len(self._held),
            "counts": {fault.value: count for fault, count in self._faults.counts.items()},
            "script": [
                {
                    "operation": operation,
                    "orderId": order_id,
                    "faults": [None if fault is None else fault.value for fault in faults],
                }
                for (operation, order_id), faults in self._faults.scripts.items()
            ],
            "randomise": None
            if randomness is None
            else {
                "rate": randomness.rate,
                "seed": randomness.seed,
                "operations": sorted(randomness.operations),
                "kinds": [fault.value for fault in randomness.kinds],
            },
        }
