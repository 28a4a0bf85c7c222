"""Sets faults over HTTP, for what runs in another process: from this machine only, and never from a web page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from vipps_async.sandbox.api import json_answer
from vipps_async.sandbox.faults import FAULT_OPERATIONS, Fault, Faults
from vipps_async.sandbox.problems import gateway_refusal
from vipps_async.sandbox.urls import is_loopback_host

__all__ = ["CONTROL_PATH", "Control"]

CONTROL_PATH = "/sandbox/faults"


class Control:
    """The control endpoint of the faults.

    `GET` tells the state. `POST` takes a JSON object with any of ``clear`` (true), ``script`` (operation → names of
    faults, null lets a request pass) and ``randomise`` (rate, seed, operations, kinds), carried out in that order.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        """Return the two routes."""
        return [web.get(CONTROL_PATH, self._read, allow_head=False), web.post(CONTROL_PATH, self._change)]

    async def _read(self, request: web.Request) -> web.Response:
        _from_here(request)
        return json_answer(self._state())

    async def _change(self, request: web.Request) -> web.Response:
        _from_here(request)
        if request.content_type != "application/json":
            # A page elsewhere can make a browser post a form here, but not JSON.
            raise gateway_refusal(400, "The content type must be application/json.")
        try:
            self._apply(orjson.loads(await request.read()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise gateway_refusal(400, f"Cannot be read: {type(error).__name__}: {error}") from error
        return json_answer(self._state())

    def _apply(self, body: Any) -> None:
        unknown = set(body) - {"clear", "script", "randomise"}
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        scripts = {
            operation: [None if name is None else Fault[name] for name in names]
            for operation, names in body.get("script", {}).items()
        }
        randomise = dict(body.get("randomise") or {})
        if randomise.get("kinds") is not None:
            randomise["kinds"] = [Fault[name] for name in randomise["kinds"]]
        if body.get("clear"):
            self._faults.clear()
        for operation, faults in scripts.items():
            self._faults.script(operation, *faults)
        if randomise:
            self._faults.randomise(**randomise)

    def _state(self) -> dict[str, Any]:
        randomness = self._faults.randomness
        return {
            "operations": list(FAULT_OPERATIONS),
            "kinds": [fault.value for fault in Fault],
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


def _from_here(request: web.Request) -> None:
    # Host and Origin tell a page that was brought here by a name of its own from a tool on this machine.
    places = [f"//{request.host}"]
    if "Origin" in request.headers:
        places.append(request.headers["Origin"])
    for place in places:
        try:
            host = urlsplit(place).hostname
        except ValueError:
            host = None
        if not is_loopback_host(host):
            raise gateway_refusal(403, "The faults are set from this machine only.")
