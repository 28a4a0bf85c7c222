"""Carries out a fault on a connection: what the wire would do, down to the reset."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import cast

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from vipps_async.sandbox.ledger.entries import Disturbance
from vipps_async.sandbox.ledger.orders import OrderBook
from vipps_async.sandbox.network.callers import unauthorised
from vipps_async.sandbox.network.fault_notes import fault_notes
from vipps_async.sandbox.network.faults import HELD, Decided, Fault, Faults
from vipps_async.sandbox.network.held_requests import HeldRequests
from vipps_async.sandbox.wire.ecom import refusal_answer
from vipps_async.sandbox.wire.ecom_distortions import (
    DRESSED,
    FAILED_CODES,
    UNSETTLED,
    absurd_retry_after,
    distorted,
    dressed,
    empty,
    failure,
    redirect,
    unsettled,
)
from vipps_async.sandbox.wire.refusals import Refusal, gateway_refusal, management_refusal, vipps_refusal

__all__ = ["Exchange", "Interference", "gone"]

#: How often a stalled request looks whether its client is still there, in seconds.
_LOOK = 0.05
#: In how many pieces an answer drips.
_PIECES = 20
#: `struct linger` that is on with no time to linger: closing then sends RST, not FIN.
_RESET = struct.pack("ii", 1, 0)

_PAGE = b"<html><head><title>Please wait</title></head><body><h1>Please wait</h1></body></html>"
_REASONS = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}

_RESETS_BEFORE = frozenset(
    {Fault.CONNECTION_REFUSED, Fault.RESET_BEFORE_READ, Fault.RESET_BEFORE_EFFECT, Fault.HELD_RESET}
)
#: Fault → the status that is answered in the place of the right one.
_STATUS_BEFORE = {
    Fault.HTTP_500_BEFORE: 500,
    Fault.HTTP_502_BEFORE: 502,
    Fault.HTTP_503_BEFORE: 503,
    Fault.HTTP_504_BEFORE: 504,
    Fault.HELD_504: 504,
}
_STATUS_AFTER = {
    Fault.HTTP_500_AFTER: 500,
    Fault.HTTP_502_AFTER: 502,
    Fault.HTTP_503_AFTER: 503,
    Fault.HTTP_504_AFTER: 504,
}
_RESETS_AFTER = frozenset({Fault.RESET_AFTER_EFFECT, Fault.FAILED_ENTRY_RESET, Fault.LATE_ENTRY_RESET})
_DISTORTED = frozenset(
    {
        Fault.OTHER_AMOUNT_AFTER,
        Fault.FAILURE_STATUS_AFTER,
        Fault.UNKNOWN_STATUS_AFTER,
        Fault.NO_TRANSACTION_AFTER,
        Fault.EMPTY_200_AFTER,
        Fault.CUT_200_AFTER,
        Fault.REDIRECT_302_AFTER,
        Fault.UNORDERED_DETAILS,
        Fault.DETAILS_WITHOUT_KEYS,
        Fault.DETAILS_ODD_TYPES,
    }
)
_PAGE_BEFORE = {Fault.HTML_200_BEFORE: 200, Fault.HTML_502_BEFORE: 502}
_PAGE_AFTER = {Fault.HTML_200_AFTER: 200, Fault.HTML_502_AFTER: 502}

#: An answer, and the status that the client gets to see of it; None: no status line reaches it.
Answered = tuple[web.StreamResponse, int | None]


class Exchange:
    """A request, and the way to let it take effect."""

    def __init__(self, request: web.Request, handler: Handler) -> None:
        self.request = request
        self._handler = handler
        #: What was read of the body.
        self.body = b""
        #: What was answered, or would have been but for a fault.
        self.answer = b""

    async def read(self) -> bytes:
        """Read the body."""
        self.body = await self.request.read()
        return self.body

    async def proceed(self) -> web.StreamResponse:
        """Let the request take effect, and return the right answer."""
        try:
            await self.read()
            response = await self._handler(self.request)
        except Refusal as refusal:
            response = refusal_answer(refusal)
        except web.HTTPException as error:
            response = refusal_answer(gateway_refusal(error.status, error.reason))
        if isinstance(response, web.Response) and isinstance(response.body, bytes):
            self.answer = response.body
        return response

    async def order_id(self, operation: str) -> str:
        """Return whom the request is about: an order, or for user info a `sub`; empty if that cannot be known."""
        if operation != "initiate":
            parts = self.request.match_info
            return parts.get("order_id", parts.get("sub", ""))
        # Chance goes by the order, which only the body of an initiate names; a body that cannot be read names none.
        try:
            order_id = orjson.loads(await self.read())["transaction"]["orderId"]
        except (ValueError, LookupError, TypeError, web.HTTPException):
            return ""
        return order_id if isinstance(order_id, str) else ""

    def named(self) -> dict[str, str]:
        """Return order and sales unit, as far as the request names them: refusals do so, too."""
        msn = self.request.headers.get("Merchant-Serial-Number", "")
        with contextlib.suppress(ValueError, LookupError, TypeError):
            msn = orjson.loads(self.body)["merchantInfo"]["merchantSerialNumber"]
        return {"order_id": self.request.match_info.get("order_id", ""), "msn": str(msn)}


class Interference:
    """Stands between the connection and the API.

    Args:
        faults: how long things last.
        refuse: closes the listener for a while.
        held: takes requests that are delivered later.
        book: has the orders.
    """

    def __init__(
        self, faults: Faults, refuse: Callable[[], Awaitable[None]], held: HeldRequests, book: OrderBook
    ) -> None:
        self._faults = faults
        self._held = held
        self._book = book
        self._refuse = refuse
        #: Fault → what makes the answer that comes in the place of any effect.
        self._instead: dict[Fault, Callable[[Decided], web.Response]] = {
            Fault.LOCKED_94: lambda _: refusal_answer(vipps_refusal("VippsError", "94")),
            Fault.TOKEN_EXPIRED_401: lambda _: refusal_answer(unauthorised()),
            Fault.HTTP_429: self._throttled,
            Fault.HTTP_429_RETRY_AFTER: self._throttled,
            Fault.ABSURD_RETRY_AFTER: absurd_retry_after,
            Fault.EMPTY_200_BEFORE: lambda _: empty(),
            Fault.REDIRECT_302_BEFORE: lambda _: redirect(),
        }
        #: Set when the sandbox closes: whatever stalls or drips must end.
        self._closing = asyncio.Event()

    def end(self) -> None:
        """End all that stalls or drips."""
        self._closing.set()

    async def answer(self, exchange: Exchange, decided: Decided) -> Answered:
        """Answer a request as the fault wants it."""
        fault = decided.fault
        if fault is not Fault.RESET_BEFORE_READ:
            await exchange.read()
        if fault in HELD:
            self._held.hold(exchange, self._faults.held_for(decided))
        before = await self._without_effect(exchange, decided)
        if before is not None:
            return before
        self._disturb(exchange.request, decided)
        answer = await exchange.proceed()
        if isinstance(answer, web.Response):
            answer = self._another_answer(exchange, decided, answer)
        return await self._after_effect(exchange.request, fault, answer)

    def _disturb(self, request: web.Request, decided: Decided) -> None:
        """Note on the request what shall happen to it inside Vipps."""
        fault = decided.fault
        if fault in {Fault.FAILED_ENTRY, Fault.FAILED_ENTRY_RESET, Fault.FAILURE_STATUS_BEFORE}:
            fault_notes(request).disturbance = Disturbance(refusal=("Payment", FAILED_CODES[decided.operation]))
        elif fault in DRESSED:
            fault_notes(request).disturbance = Disturbance(refusal=("VippsError", "94"), in_history=False)
        elif fault in {Fault.LATE_ENTRY, Fault.LATE_ENTRY_RESET}:
            fault_notes(request).disturbance = Disturbance(shown_after=self._faults.lag_of(decided))
        elif fault is Fault.OTHER_AMOUNT_MOVED:
            fault_notes(request).disturbance = Disturbance(half=True)
        elif fault is Fault.STALE_DETAILS:
            fault_notes(request).stale_by = self._faults.stale_by(decided)

    def _another_answer(self, exchange: Exchange, decided: Decided, answer: web.Response) -> web.Response:
        """Return what is answered in the place of the right answer, or that."""
        fault = decided.fault
        if fault in UNSETTLED:
            return self._unsettled(exchange, decided)
        if fault is Fault.FAILURE_STATUS_BEFORE:
            return failure(decided, answer, exchange.request.match_info["order_id"], exchange.body, self._book)
        if fault in DRESSED:
            return dressed(fault, answer)
        return distorted(decided, answer) if fault in _DISTORTED else answer

    def _unsettled(self, exchange: Exchange, decided: Decided) -> web.Response:
        return unsettled(decided, self._faults.unsettled_status, self._faults.unsettled_group, **exchange.named())

    async def _without_effect(self, exchange: Exchange, decided: Decided) -> Answered | None:
        request, fault = exchange.request, decided.fault
        if fault in _RESETS_BEFORE:
            if fault is Fault.CONNECTION_REFUSED:
                await self._refuse()
            return _reset(request)
        if fault in {Fault.STALL_BEFORE_EFFECT, Fault.HELD_STALL}:
            return await self._stall(request)
        response = self._answer_instead(exchange, decided)
        return None if response is None else (response, response.status)

    def _answer_instead(self, exchange: Exchange, decided: Decided) -> web.Response | None:
        fault = decided.fault
        if UNSETTLED.get(fault) is False:
            return self._unsettled(exchange, decided)
        if fault in _STATUS_BEFORE:
            return _failure(_STATUS_BEFORE[fault])
        if fault in _PAGE_BEFORE:
            return _page(_PAGE_BEFORE[fault])
        make = self._instead.get(fault)
        return None if make is None else make(decided)

    def _throttled(self, decided: Decided) -> web.Response:
        told = decided.fault is Fault.HTTP_429_RETRY_AFTER
        wait = self._faults.retry_after
        headers = {"Retry-After": str(wait)} if told else {}
        text = f"Rate limit is exceeded. Try again in {wait} seconds." if told else "Rate limit is exceeded."
        return refusal_answer(gateway_refusal(429, text, headers=headers))

    async def _after_effect(self, request: web.Request, fault: Fault, answer: web.StreamResponse) -> Answered:
        if fault in _RESETS_AFTER:
            return _reset(request)
        if fault is Fault.STALL_AFTER_EFFECT:
            return await self._stall(request)
        if fault is Fault.HEADERS_CUT_IN_HALF:
            return _cut_headers(request, answer)
        if fault in _STATUS_AFTER:
            answer = _failure(_STATUS_AFTER[fault])
        elif fault in _PAGE_AFTER:
            answer = _page(_PAGE_AFTER[fault])
        elif isinstance(answer, web.Response) and isinstance(answer.body, bytes):
            if fault is Fault.WRONG_CONTENT_TYPE:
                answer.headers["Content-Type"] = "text/plain; charset=utf-8"
            elif fault is Fault.ANSWER_CUT_IN_HALF:
                return await _cut_body(request, answer, answer.body), answer.status
            elif fault is Fault.SLOW_DRIP:
                return await self._drip(request, answer, answer.body), answer.status
        return answer, answer.status

    async def _stall(self, request: web.Request) -> Answered:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._faults.stall_seconds):
                while not self._closing.is_set() and _connected(request):
                    await self._pause(_LOOK)
        return _reset(request)

    async def _drip(self, request: web.Request, answer: web.Response, body: bytes) -> web.StreamResponse:
        dripping = _same_head(answer, body)
        await dripping.prepare(request)
        size = max(1, -(-len(body) // _PIECES))
        with contextlib.suppress(ConnectionError):
            for start in range(0, len(body), size):
                if self._closing.is_set():
                    _reset(request)
                    break
                await self._pause(self._faults.drip_seconds / _PIECES)
                await dripping.write(body[start : start + size])
        return dripping

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()


def _connected(request: web.Request) -> bool:
    return request.transport is not None and not request.transport.is_closing()


def gone() -> web.Response:
    """Return the answer to a request whose connection is closed: it goes nowhere."""
    # aiohttp wants an answer; on a connection that is closed it finds no way out.
    response = web.Response(status=500)
    response.force_close()
    return response


def _reset(request: web.Request) -> Answered:
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        if connection is not None and connection.fileno() != -1:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        request.transport.abort()
    return gone(), None


def _cut_headers(request: web.Request, answer: web.StreamResponse) -> Answered:
    if _connected(request):
        # Not asked by its class: uvloop's transports are none of asyncio's.
        transport = cast("asyncio.WriteTransport", request.transport)
        transport.write(f"HTTP/1.1 {answer.status} OK\r\nContent-Type: applica".encode())
        transport.close()
    return gone(), None


def _same_head(answer: web.Response, body: bytes) -> web.StreamResponse:
    head = web.StreamResponse(status=answer.status, headers=answer.headers)
    head.content_length = len(body)
    return head


async def _cut_body(request: web.Request, answer: web.Response, body: bytes) -> web.StreamResponse:
    cut = _same_head(answer, body)
    cut.force_close()
    await cut.prepare(request)
    with contextlib.suppress(ConnectionError):
        await cut.write(body[: len(body) // 2])
    if request.transport is not None:
        # Closing sends what is written, and then the end that comes too early.
        request.transport.close()
    return cut


def _failure(status: int) -> web.Response:
    return refusal_answer(management_refusal(status, _REASONS[status], "Something went wrong."))


def _page(status: int) -> web.Response:
    return web.Response(status=status, body=_PAGE, content_type="text/html", charset="utf-8")
