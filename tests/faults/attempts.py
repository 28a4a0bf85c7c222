"""Which call made which attempt, how it was answered, and which attempt moved the money in the end."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any
from unittest import mock

import orjson
from aiohttp import web
from attrs import evolve, field, frozen

from vipps_async import RequestNotSent
from vipps_async.epayment import calls as epayment_calls
from vipps_async.journals.entries import KeyOrigin
from vipps_async.sandbox import SandboxServer
from vipps_async.sandbox.network.exchange import Exchange
from vipps_async.sandbox.wire.fault import Decided, Fault
from vipps_async.transports.aiohttp import AiohttpTransport
from vipps_async.transports.protocol import Request, Response

__all__ = [
    "CALL",
    "CALL_HEADER",
    "Attribution",
    "CountingTransport",
    "attributing",
    "noting_keys",
    "refused_in_its_own_right",
]

#: The number of the call that is being made; 0: a recovery.
CALL: ContextVar[int] = ContextVar("CALL", default=0)
CALL_HEADER = "X-Storm-Call"

#: The last part of a path, where it is not the operation's own name.
_OPERATIONS = {"get": "token", "payments": "initiate"}
_CHANGES = frozenset({"initiate", "capture", "cancel", "refund"})
#: In the URL of each operation of ePayment.
_EPAYMENT = "/epayment/"
#: Refusals that settle nothing, whatever their group; and 93, which depends on whether the bytes are others.
_SETTLE_NOTHING = frozenset({"63", "52", "74", "92", "99", "93"})
#: The same of ePayment.
_SETTLE_NOTHING_EPAYMENT = frozenset({"3010", "4010", "4150", "6170", "6180", "6190", "6280"})


class CountingTransport:
    """The real transport. It counts attempts, notes whose they are, and which calls have one that is in doubt."""

    def __init__(self) -> None:
        self._inner = AiohttpTransport()
        #: Operation → attempts.
        self.attempts: Counter[str] = Counter()
        #: Calls of which an attempt was neither refused in its own right nor kept from leaving.
        self.doubtful: set[int] = set()

    async def send(self, request: Request) -> Response:
        """Send it."""
        operation = _operation_of(request)
        self.attempts[f"{'epayment ' if _EPAYMENT in request.url else ''}{operation}"] += 1
        call = CALL.get()
        if operation not in _CHANGES:
            return await self._inner.send(request)
        request = evolve(request, headers={**request.headers, CALL_HEADER: str(call)})
        clear = False
        try:
            response = await self._inner.send(request)
            clear = refused_in_its_own_right(response)
        except RequestNotSent:
            clear = True
            raise
        finally:
            if not clear:
                self.doubtful.add(call)
        return response

    async def aclose(self) -> None:
        """Close the inner one."""
        await self._inner.aclose()


def _operation_of(request: Request) -> str:
    last = request.url.rpartition("/")[2]
    if _EPAYMENT in request.url and request.method == "GET" and last != "events":
        return "get"
    return _OPERATIONS.get(last, last)


@contextlib.contextmanager
def noting_keys(made: dict[int, list[str]]) -> Iterator[None]:
    """Note for which call the library makes which keys: in ePayment's history nothing else tells whose an entry is.

    Args:
        made: number of the call → keys.
    """
    choose_key = epayment_calls._choose_key

    def noted(given: str | None, row_reference: str | None) -> tuple[str, KeyOrigin]:
        key, origin = choose_key(given, row_reference)
        if given is None:
            made.setdefault(CALL.get(), []).append(key)
        return key, origin

    # Fails if it is not there: without these keys the audit would take what has moved for lost.
    with mock.patch.object(epayment_calls, "_choose_key", noted):
        yield


def refused_in_its_own_right(response: Response) -> bool:
    """Whether an answer says in Vipps' own words that this attempt did nothing."""
    if response.status not in {400, 401, 403, 404, 409, 422, 423, 429}:
        return False
    try:
        body = orjson.loads(response.body.removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        return False
    if isinstance(body, list):
        return bool(body) and all(error.get("errorCode") not in _SETTLE_NOTHING for error in body)
    if "extraDetails" in body:
        codes = {detail.get("reason") for detail in body["extraDetails"] or () if detail.get("name") == "ErrorCode"}
        return not codes & _SETTLE_NOTHING_EPAYMENT
    code = body.get("statusCode") or body.get("responseInfo", {}).get("responseCode")
    return code in {401, 429}


@frozen
class Attribution:
    """What a sandbox knows of who moved what, and whom it lied to."""

    #: Transaction id → number of the call.
    moved_by: dict[str, int] = field(factory=dict)
    #: Operation, order id and key of what was answered with another amount than moved.
    lies: set[tuple[str, str, str]] = field(factory=set)


@contextlib.contextmanager
def attributing(sandbox: SandboxServer) -> Iterator[Attribution]:
    """Note for each transaction which call moved it, also when its request is delivered much later."""
    found = Attribution()
    moved_by = found.moved_by
    decide = sandbox.faults.decide

    def decided(operation: str, order_id: str, key: str) -> Decided | None:
        answer = decide(operation, order_id, key)
        if answer is not None and answer.fault is Fault.OTHER_AMOUNT_AFTER:
            # In ePayment's history a cancel has no key, whatever was sent.
            found.lies.add((operation, order_id, "" if operation == "cancel" else key))
        return answer

    sandbox.faults.decide = decided  # type: ignore[method-assign]
    proceed = Exchange.proceed

    async def attributed(self: Exchange) -> Any:
        with contextlib.suppress(web.HTTPException):
            await self.read()
        path = self.request.match_info
        orders = sandbox._book.all_of(path.get("order_id") or path.get("reference", ""))
        for order in orders:
            # What is due by now is nobody's.
            sandbox._customers.settle(order)
        before = [(order.payment.history, len(order.payment.history)) for order in orders]
        # Nothing waits in here once the body is read, so what is new in the history is this request's.
        answer = await proceed(self)
        for history, length in before:
            for entry in history[length:]:
                moved_by[entry.transaction_id] = int(self.request.headers.get(CALL_HEADER, "0"))
        return answer

    Exchange.proceed = attributed  # type: ignore[method-assign]
    try:
        yield found
    finally:
        sandbox.faults.decide = decide  # type: ignore[method-assign]
        Exchange.proceed = proceed  # type: ignore[method-assign]
