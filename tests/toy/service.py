"""The toy API's other side: payments with an event log each, behind a transport without a network."""

from __future__ import annotations

from typing import Any

import orjson
from attrs import define, field

from vipps_async.errors import OutcomeUnknown
from vipps_async.testing import ScriptedTransport, answer
from vipps_async.transports.protocol import Request, Response

__all__ = ["ToyService"]


def _problem(status: int, kind: str) -> Response:
    return answer(status, {"type": f"urn:toy:{kind}", "title": kind, "status": status})


@define
class ToyService:
    """Moves money for each key once, and tells so in events."""

    #: Minor units authorized, by reference.
    authorized: dict[str, int]
    #: The verb of every request that moves money, with its key.
    sent: list[tuple[str, str]] = field(factory=list)
    #: How many of the next answers get lost after they took effect.
    losing: int = 0
    #: How many of the next requests are refused for now.
    busy: int = 0
    #: Whether requests that move money are refused with a code that no table has.
    unknown: bool = False
    #: Whether the event log cannot be read.
    events_away: bool = False
    events: dict[str, list[dict[str, Any]]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        for reference, value in self.authorized.items():
            self.events[reference] = [_event("authorize", value, None)]

    @property
    def transport(self) -> ScriptedTransport:
        """A way to it."""
        return ScriptedTransport().on("", then=self._respond)

    def total(self, reference: str, name: str) -> int:
        """Add up what was done."""
        return sum(event["amount"]["value"] for event in self.events[reference] if event["name"] == name)

    def _respond(self, request: Request) -> Response:
        reference, verb = request.url.split("/")[-2:]
        if reference not in self.events:
            return _problem(404, "no-payment")
        if verb == "events":
            log = {"reference": reference, "events": self.events[reference]}
            return _problem(503, "away") if self.events_away else answer(200, log)
        key = request.headers["Toy-Key"]
        self.sent.append((verb, key))
        if self.unknown:
            return _problem(400, "of-later")
        if self.busy:
            self.busy -= 1
            return _problem(423, "busy")
        done = [event for event in self.events[reference] if event["key"] == key]
        if not done:
            asked = orjson.loads(request.body or b"{}").get("amount")
            before = {"capture": "authorize", "refund": "capture", "cancel": "authorize"}[verb]
            taken = self.total(reference, verb) + (self.total(reference, "cancel") if verb == "capture" else 0)
            left = self.total(reference, before) - taken
            value = left if asked is None else asked["value"]
            if not 0 < value <= left:
                return _problem(400, "too-much")
            done = [_event(verb, value, key)]
            self.events[reference] += done
        if self.losing:
            self.losing -= 1
            raise OutcomeUnknown("the answer got lost")
        return answer(200, {"reference": reference, "amount": done[0]["amount"]})


def _event(name: str, value: int, key: str | None) -> dict[str, Any]:
    return {"name": name, "amount": {"currency": "EUR", "value": value}, "success": True, "key": key}
