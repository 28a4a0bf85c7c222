"""The ePayment API's other side, in memory: payments with sums and events, keys that count once, and faults."""

from __future__ import annotations

import enum
import itertools
from typing import Any

import orjson
from attrs import define, field

from vipps_async.errors import OutcomeUnknown
from vipps_async.testing import ScriptedTransport, answer
from vipps_async.transports.protocol import Request, Response

__all__ = ["EpaymentService", "Fault", "money", "problem"]

#: Success is declared as a problem, so nothing may go by the media type.
_PROBLEM = {"content-type": "application/problem+json"}
#: Operation → the code that says that it was done before.
_DONE_BEFORE = {"payments": "4020", "capture": "6170", "refund": "6180", "cancel": "6190"}
_NAMES = {"capture": "CAPTURED", "refund": "REFUNDED"}
_ALL_SUMS = ("authorizedAmount", "capturedAmount", "refundedAmount", "cancelledAmount")
_SUMS = {"AUTHORIZED": "authorizedAmount", "CAPTURED": "capturedAmount", "REFUNDED": "refundedAmount"}


class Fault(enum.Enum):
    """What happens to one request that changes something."""

    LOSE_REQUEST = "the request never arrives, though it was sent"
    LOSE_ANSWER = "it takes effect, and its answer gets lost"
    ARRIVE_LATE = "it arrives when `deliver` is called"
    FAIL = "the bank fails: code 6280, and an event without success"
    FAIL_SILENTLY = "it fails like that, and its answer gets lost"
    DOUBLED = "it takes effect and is sent once more behind the gateway, whose refusal is answered"
    LIE = "it is answered like a success, and nothing moves"


def money(value: int, currency: str = "NOK") -> dict[str, Any]:
    """Write a sum."""
    return {"currency": currency, "value": value}


def problem(status: int, code: str | None = None, /, **more: Any) -> Response:
    """Write an error as Vipps does."""
    details = None if code is None else [{"name": "ErrorCode", "reason": code}]
    body = {
        "type": f"https://httpstatuses.io/{status}",
        "title": "No.",
        "status": status,
        "traceId": "trace-1",
        "extraDetails": details,
    }
    return answer(status, body | more, headers=_PROBLEM)


@define
class EpaymentService:
    """Moves money for each key once, and tells so in sums and events."""

    #: What the next requests that change something meet, in their order; after these none meets anything.
    faults: list[Fault | Response] = field(factory=list)
    #: How many of the last events cannot be read yet.
    lag: int = 0
    #: Path, key and body of every request that changes something, whatever became of it.
    sent: list[tuple[str, str, bytes]] = field(factory=list)
    payments: dict[str, dict[str, Any]] = field(factory=dict)
    events: dict[str, list[dict[str, Any]]] = field(factory=dict)
    reads: int = 0
    _replays: dict[tuple[str, str], tuple[bytes, Response]] = field(factory=dict)
    _late: list[Request] = field(factory=list)
    _numbers: Any = field(factory=itertools.count)

    @property
    def transport(self) -> ScriptedTransport:
        """A way to it."""
        return ScriptedTransport().on("", then=self._respond)

    def keys(self, verb: str) -> list[str]:
        """The keys of the requests to one operation, in their order."""
        return [key for path, key, _ in self.sent if path.rpartition("/")[2] == verb]

    def sums(self, reference: str) -> tuple[int, int, int, int]:
        """What was authorized, captured, refunded and cancelled."""
        found = self.payments[reference]["aggregate"]
        return tuple(found[name]["value"] for name in _ALL_SUMS)

    def authorized(self, reference: str, value: int, currency: str = "NOK", *, key: str = "key-of-create") -> None:
        """Make a payment that the customer has accepted."""
        self.make(reference, value, currency, key=key)
        self.accept(reference)

    def make(self, reference: str, value: int, currency: str = "NOK", *, key: str = "key-of-create") -> None:
        """Make a payment that waits for its customer."""
        nothing = money(0, currency)
        self.payments[reference] = {
            "reference": reference,
            "amount": money(value, currency),
            "state": "CREATED",
            "pspReference": f"psp-{next(self._numbers)}",
            "paymentMethod": {"type": "WALLET"},
            "profile": {},
            "redirectUrl": f"https://pay-mt.vipps.no/?token=secret-{reference}",
            "aggregate": dict.fromkeys(_ALL_SUMS, nothing),
        }
        self.events[reference] = []
        self._note(reference, "CREATED", value, key)

    def accept(self, reference: str) -> None:
        """Let the customer accept; the event repeats the key of the creation."""
        payment = self.payments[reference]
        payment["state"] = "AUTHORIZED"
        value = payment["amount"]["value"]
        self._add(reference, "authorizedAmount", value)
        self._note(reference, "AUTHORIZED", value, self.events[reference][0]["idempotencyKey"])

    def deliver(self) -> None:
        """Let requests arrive that are late."""
        while self._late:
            self._carry_out(self._late.pop(0))

    def _respond(self, request: Request) -> Response:
        if request.method == "GET":
            self.reads += 1
            return self._read(request)
        self.sent.append((_path(request), request.headers.get("Idempotency-Key", ""), request.body or b""))
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, Response):
            return fault
        if fault is Fault.ARRIVE_LATE:
            self._late.append(request)
        elif fault in {Fault.FAIL, Fault.FAIL_SILENTLY}:
            *_, reference, verb = _path(request).split("/")
            value = orjson.loads(request.body or b"")["modificationAmount"]["value"]
            self._note(reference, _NAMES[verb], value, request.headers["Idempotency-Key"], success=False)
            if fault is Fault.FAIL:
                return problem(400, "6280")
        elif fault is Fault.LIE:
            *_, reference, _verb = _path(request).split("/")
            return answer(200, self._adjusted(reference), headers=_PROBLEM)
        elif fault is not Fault.LOSE_REQUEST:
            done = self._carry_out(request)
            if fault is None:
                return done
            if fault is Fault.DOUBLED:
                return problem(400, _DONE_BEFORE[_path(request).rpartition("/")[2]])
        raise OutcomeUnknown("the answer got lost")

    def _read(self, request: Request) -> Response:
        parts = _path(request).split("/")
        reference = parts[4]
        if reference not in self.payments:
            return problem(404, "5090")
        if parts[-1] != "events":
            return answer(200, self.payments[reference])
        events = self.events[reference]
        return answer(200, events[: max(1, len(events) - self.lag)])

    def _carry_out(self, request: Request) -> Response:
        path, key, body = _path(request), request.headers.get("Idempotency-Key", ""), request.body or b""
        verb = path.rpartition("/")[2]
        if verb != "cancel" and (path, key) in self._replays:
            before, response = self._replays[path, key]
            conflict = {"payments": "4020", "capture": "4010", "refund": "4150"}[verb]
            return response if before == body else problem(409, conflict)
        response = getattr(self, f"_{verb}")(path.split("/")[4:], key, orjson.loads(body or b"{}"))
        assert isinstance(response, Response)
        self._replays[path, key] = (body, response)
        return response

    def _payments(self, _parts: list[str], key: str, body: dict[str, Any]) -> Response:
        reference = body["reference"]
        if reference in self.payments:
            return problem(409, "4150")
        self.make(reference, body["amount"]["value"], body["amount"]["currency"], key=key)
        if body["userFlow"] == "PUSH_MESSAGE":
            del self.payments[reference]["redirectUrl"]
        url = self.payments[reference].get("redirectUrl")
        return answer(201, {"reference": reference} | ({} if url is None else {"redirectUrl": url}))

    def _capture(self, parts: list[str], key: str, body: dict[str, Any]) -> Response:
        authorized, captured, _, cancelled = self.sums(parts[0])
        return self._move("CAPTURED", parts[0], key, body["modificationAmount"], authorized - captured - cancelled)

    def _refund(self, parts: list[str], key: str, body: dict[str, Any]) -> Response:
        _, captured, refunded, _ = self.sums(parts[0])
        return self._move("REFUNDED", parts[0], key, body["modificationAmount"], captured - refunded)

    def _move(self, name: str, reference: str, key: str, asked: dict[str, Any], left: int) -> Response:
        if asked["currency"] != self.payments[reference]["amount"]["currency"]:
            return problem(400, "5040")
        if asked["value"] > left:
            return problem(400, {"CAPTURED": "6090", "REFUNDED": "6150"}[name])
        self._add(reference, _SUMS[name], asked["value"])
        self._note(reference, name, asked["value"], key)
        return answer(200, self._adjusted(reference), headers=_PROBLEM)

    def _cancel(self, parts: list[str], _key: str, body: dict[str, Any]) -> Response:
        reference, payment = parts[0], self.payments[parts[0]]
        authorized, captured, _, cancelled = self.sums(reference)
        if cancelled:
            return problem(400, "6190")
        if payment["state"] == "CREATED":
            payment["state"] = "TERMINATED"
            self._add(reference, "cancelledAmount", payment["amount"]["value"])
            self._note(reference, "TERMINATED", payment["amount"]["value"], None)
        elif payment["state"] != "AUTHORIZED":
            return problem(400, "6050")
        elif body.get("cancelTransactionOnly"):
            return problem(400, "6060")
        elif captured == authorized:
            return problem(400, "6040")
        else:
            self._add(reference, "cancelledAmount", authorized - captured)
            self._note(reference, "CANCELLED", authorized - captured, None)
        return answer(200, self._adjusted(reference), headers=_PROBLEM)

    def _approve(self, parts: list[str], _key: str, _body: dict[str, Any]) -> Response:
        self.accept(parts[1])
        return answer(200)

    def _adjusted(self, reference: str) -> dict[str, Any]:
        # The id is the creation's, and the amount the payment's: neither tells of the operation.
        payment = self.payments[reference]
        return {name: payment[name] for name in ("amount", "state", "aggregate", "pspReference", "reference")}

    def _add(self, reference: str, name: str, value: int) -> None:
        payment = self.payments[reference]
        found = payment["aggregate"][name]
        payment["aggregate"] = payment["aggregate"] | {name: found | {"value": found["value"] + value}}

    def _note(self, reference: str, name: str, value: int, key: str | None, *, success: bool = True) -> None:
        number = next(self._numbers)
        event = {
            "reference": reference,
            "pspReference": f"psp-{number}",
            "name": name,
            "amount": money(value, self.payments[reference]["amount"]["currency"]),
            "timestamp": f"2026-01-01T10:00:{number % 60:02d}.1234567Z",
            "success": success,
        }
        self.events[reference].append(event | ({} if key is None else {"idempotencyKey": key}))


def _path(request: Request) -> str:
    return request.url.partition("//")[2].partition("/")[1] + request.url.partition("//")[2].partition("/")[2]
