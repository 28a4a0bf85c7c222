"""Small operations of every way of repeating, and a pipeline over a script, for the tests of core."""

from __future__ import annotations

import random
from typing import Any

from attrs import evolve, field, frozen

from tests.core.fake_clock import FakeClock
from vipps_async.config import Credentials, Environment, RetryPolicy, Settings, SystemInfo, Timeouts
from vipps_async.core.operation import (
    Applied,
    Call,
    Evidence,
    Inconclusive,
    NotApplied,
    Operation,
    Reconciliation,
    Repeat,
    SettledBy,
)
from vipps_async.core.pipeline import Pipeline
from vipps_async.core.token import Token
from vipps_async.ecom.dialect import ECOM
from vipps_async.ecom.errors import UNKNOWN_ORDER, has_code
from vipps_async.errors import ApiError
from vipps_async.testing import ScriptedTransport, answer
from vipps_async.transports.protocol import Response

ORDER = "acme-1"
KEY = "key-1"
SECRETS = {"client_id": "canary-client-id", "client_secret": "canary-secret", "subscription_key": "canary-sub-key"}
CREDENTIALS = Credentials(**SECRETS, merchant_serial_number="123456")

#: What an attempt was sent with.
TOKEN = Token(value="canary-token", headers={}, renew_at=2e9, unusable_at=3e9)


@frozen(kw_only=True)
class Sum:
    """A body with an amount."""

    amount: int
    text: str = "Two socks."


@frozen(kw_only=True)
class Receipt:
    """The result of an operation that changes something."""

    order_id: str
    status: str = ""
    settled_by: SettledBy = field(default=SettledBy.ANSWER, metadata={"vipps_async.not_in_json": True})


@frozen(kw_only=True)
class Facts:
    """What the question answers: whether it happened."""

    happened: str


def _interpret(facts: Facts) -> Evidence[Receipt]:
    if facts.happened == "yes":
        return Applied(Receipt(order_id=ORDER, status="Proven", settled_by=SettledBy.HISTORY))
    if facts.happened == "no":
        return NotApplied("the history does not have it")
    if facts.happened == "failed":
        return NotApplied("the bank said no", failed=1)
    if facts.happened == "otherwise":
        return Applied(Receipt(order_id=ORDER, status="Proven"), "49900 øre were asked for, and 100 øre were moved")
    return Inconclusive("the history is torn")


def _interpret_refusal(error: ApiError) -> Evidence[Receipt]:
    # Vipps' own word that the order is unknown; a bare 404 may come from a gateway that has never asked.
    if has_code(error.errors, UNKNOWN_ORDER):
        return NotApplied("the order is unknown")
    return Inconclusive(f"details answered {error.status}")


def operation(repeat: Repeat, name: str, *, per_minute: int | None = None) -> Operation[Receipt]:
    """Make an operation named after what Vipps calls it."""
    method = {Repeat.SAFE: "GET", Repeat.CONFIRM: "PUT"}.get(repeat, "POST")
    return Operation(
        dialect=ECOM,
        verb=name,
        method=method,
        path=f"/pay/{{}}/{name}",
        result=Receipt,
        repeat=repeat,
        per_minute=per_minute,
    )


NAMES = {Repeat.SAFE: "status", Repeat.KEYED: "capture", Repeat.CONFIRM: "cancel", Repeat.ONCE: "initiate"}
DETAILS: Operation[Facts] = Operation(
    dialect=ECOM, verb="details", method="GET", path="/pay/{}/details", result=Facts, repeat=Repeat.SAFE
)
QUESTION: Call[Facts] = Call(operation=DETAILS, path=DETAILS.path_for(ORDER), payment=ORDER)
RECONCILIATION: Reconciliation[Receipt, Facts] = Reconciliation(
    lookup=QUESTION, interpret=_interpret, interpret_refusal=_interpret_refusal
)


def call_of(repeat: Repeat, *, ask: bool = True, per_minute: int | None = None, **changes: Any) -> Call[Receipt]:
    """Make a call of this way of repeating, with all that such calls carry."""
    kind = operation(repeat, NAMES[repeat], per_minute=per_minute)
    call = Call(
        operation=kind,
        path=kind.path_for(ORDER),
        payment=ORDER,
        body=None if repeat is Repeat.SAFE else Sum(amount=49900),
        idempotency_key=KEY if repeat is Repeat.KEYED else None,
        make_reconciliation=(lambda: RECONCILIATION) if ask and repeat is not Repeat.SAFE else None,
    )
    return evolve(call, **changes)


def settings(
    *, retry: RetryPolicy | None = None, timeouts: Timeouts | None = None, system: SystemInfo | None = None
) -> Settings:
    """Make settings for the test environment."""
    return Settings.build(
        CREDENTIALS, environment=Environment.TEST, base_url=None, timeouts=timeouts, retry=retry, system=system
    )


def pipeline(
    transport: ScriptedTransport,
    *,
    clock: FakeClock | None = None,
    retry: RetryPolicy | None = None,
    timeouts: Timeouts | None = None,
) -> Pipeline:
    """Make a pipeline over a script, with a clock that does not wait and dice that fall the same each time."""
    return Pipeline(
        settings(retry=retry, timeouts=timeouts),
        transport,
        clock=clock or FakeClock(),
        random_source=random.Random(7),
    )


def done(payment: str = ORDER) -> Response:
    """Make the answer of an operation that took effect."""
    return answer(200, {"orderId": payment, "status": "Captured"})


def details(happened: str) -> Response:
    """Make the answer to the question: "yes", "no", "failed", or anything else for "cannot tell"."""
    return answer(200, {"happened": happened})


def vipps_error(status: int, group: str, code: str, message: str = "No.", **headers: str) -> Response:
    """Make a refusal in Vipps' own shape."""
    body = [{"errorGroup": group, "errorCode": code, "errorMessage": message, "contextId": "ctx-1"}]
    return answer(status, body, headers={name.replace("_", "-"): value for name, value in headers.items()})
