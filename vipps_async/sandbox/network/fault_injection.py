"""Applies faults to requests: other answers, delays, connections that break."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TypeAlias, cast
from urllib.parse import urlencode

from aiohttp import web

from vipps_async.sandbox.ledger.entries import Disturbance
from vipps_async.sandbox.ledger.reasons import Reason, Refused
from vipps_async.sandbox.network.exchange import Exchange, over_the_wire
from vipps_async.sandbox.network.faults import Faults
from vipps_async.sandbox.network.held_requests import HeldRequests
from vipps_async.sandbox.network.waits import Waits
from vipps_async.sandbox.wire.face import Answer
from vipps_async.sandbox.wire.fault import HELD, Decided, Fault
from vipps_async.sandbox.wire.gateway import gateway_refusal, management_refusal, throttled, unauthorised

#: The number of pieces that a dripping answer is sent in.
_PIECES = 20
#: `struct linger` that is on with no time to linger: closing then sends RST, not FIN.
_RESET = struct.pack("ii", 1, 0)

_PAGE = b"<html><head><title>Please wait</title></head><body><h1>Please wait</h1></body></html>"
_REASONS = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}
#: Values of `Retry-After` that make no sense: huge, negative, a far date, no number.
_ABSURD = ("999999999999", "-5", "Fri, 31 Dec 9999 23:59:59 GMT", "soon", "1e400", "", "NaN", "0x10", "9" * 400)
#: Personal data in an error message: a client must not show them.
_PERSON = "Kari Nordmann, 48059528"
#: The statuses of answers that do not tell whether there was an effect.
_STATUSES = (400, 402, 403, 409, 422, 500)

_RESETS_BEFORE = frozenset(
    {Fault.CONNECTION_REFUSED, Fault.RESET_BEFORE_READ, Fault.RESET_BEFORE_EFFECT, Fault.HELD_RESET}
)
_RESETS_AFTER = frozenset({Fault.RESET_AFTER_EFFECT, Fault.FAILED_ENTRY_RESET, Fault.LATE_ENTRY_RESET})
_FAILS = frozenset({Fault.FAILED_ENTRY, Fault.FAILED_ENTRY_RESET, Fault.FAILURE_STATUS_BEFORE})
_SHAPED = frozenset({Fault.REFUSAL_WITH_BOM, Fault.REFUSAL_AS_XML, Fault.REFUSAL_AS_FORM, Fault.REFUSAL_AS_TEXT})
_ONLY_SUCCESSES = frozenset({Fault.EMPTY_200_AFTER, Fault.REDIRECT_302_AFTER, Fault.CUT_200_AFTER})
#: The faults whose wrong answer each API makes itself.
_CONTRADICTIONS = frozenset(
    {
        *(Fault.OTHER_AMOUNT_AFTER, Fault.FAILURE_STATUS_BEFORE, Fault.FAILURE_STATUS_AFTER),
        *(Fault.UNKNOWN_STATUS_AFTER, Fault.NO_TRANSACTION_AFTER),
        *(Fault.UNORDERED_DETAILS, Fault.DETAILS_WITHOUT_KEYS, Fault.DETAILS_ODD_TYPES),
    }
)

#: An answer, and the status that the client gets to see of it; None: no status line reaches it.
Answered: TypeAlias = tuple[web.StreamResponse, int | None]


class FaultInjection:
    """Answers the requests that a fault was decided for.

    Args:
        faults: how long things last.
        refuse: closes the listener for a while.
        held: takes requests that are delivered later.
        waits: how the time of stalls and slow answers passes.
    """

    def __init__(self, faults: Faults, refuse: Callable[[], Awaitable[None]], held: HeldRequests, waits: Waits) -> None:
        self._faults = faults
        self._held = held
        self._refuse = refuse
        self._waits = waits
        #: Set when the sandbox closes: whatever stalls or drips must end.
        self._closing = asyncio.Event()

    def end(self) -> None:
        """End the answers that stall or drip."""
        self._closing.set()

    async def answer(self, exchange: Exchange, decided: Decided) -> Answered:
        """Answer a request as its fault says; return the response and the status that the client sees."""
        fault = decided.fault
        if fault is not Fault.RESET_BEFORE_READ:
            await exchange.read()
        if fault in HELD:
            self._held.hold(exchange, self._faults.held_for(decided))
        if fault is Fault.CONNECTION_REFUSED:
            await self._refuse()
        if fault in _RESETS_BEFORE:
            return _reset(exchange.request)
        if fault in {Fault.STALL_BEFORE_EFFECT, Fault.HELD_STALL}:
            return await self._stall(exchange.request)
        make = _INSTEAD.get(fault)
        if make is not None:
            answer = make(self._faults, exchange, decided)
        else:
            self._disturb(exchange, decided)
            answer = self._contradicted(exchange, decided, await exchange.proceed())
        return await self._send(exchange.request, fault, answer)

    def _disturb(self, exchange: Exchange, decided: Decided) -> None:
        """Set what the fault does to the operation in the ledger."""
        fault, asked = decided.fault, exchange.asked
        if fault in _FAILS:
            asked.disturbance = Disturbance(reason=Reason.FAILED)
        elif fault in _SHAPED:
            asked.disturbance = Disturbance(reason=Reason.LOCKED, in_history=False)
        elif fault in {Fault.LATE_ENTRY, Fault.LATE_ENTRY_RESET}:
            asked.disturbance = Disturbance(shown_after=self._faults.lag_of(decided))
        elif fault is Fault.OTHER_AMOUNT_MOVED:
            asked.disturbance = Disturbance(half=True)
        elif fault is Fault.STALE_DETAILS:
            asked.stale_by = self._faults.stale_by(decided)

    def _contradicted(self, exchange: Exchange, decided: Decided, answer: Answer) -> Answer:
        """Return the contradicting answer after the effect; the right one, if the fault contradicts nothing."""
        fault = decided.fault
        if fault in _CONTRADICTIONS:
            return exchange.face.contradict(decided, exchange.asked, answer)
        if fault in _SHAPED:
            return _shaped(fault, answer, exchange.face.words_of(answer))
        if fault is Fault.WRONG_CONTENT_TYPE:
            return replace(answer, headers={**answer.headers, "Content-Type": "text/plain; charset=utf-8"})
        if fault in _ONLY_SUCCESSES and answer.status >= 300:
            return answer
        if fault is Fault.CUT_200_AFTER:
            return replace(answer, body=answer.body[: len(answer.body) // 2])
        make = _AFTERWARDS.get(fault)
        return answer if make is None else make(self._faults, exchange, decided)

    async def _send(self, request: web.Request, fault: Fault, answer: Answer) -> Answered:
        if fault in _RESETS_AFTER:
            return _reset(request)
        if fault is Fault.STALL_AFTER_EFFECT:
            return await self._stall(request)
        if fault is Fault.HEADERS_CUT_IN_HALF:
            return _cut_headers(request, answer)
        if fault is Fault.ANSWER_CUT_IN_HALF:
            return await _cut_body(request, answer), answer.status
        if fault is Fault.SLOW_DRIP:
            return await self._drip(request, answer), answer.status
        return over_the_wire(answer), answer.status

    async def _stall(self, request: web.Request) -> Answered:
        await self._waits.stall(self._faults.stall_seconds, self._closing, lambda: _connected(request))
        return _reset(request)

    async def _drip(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        dripping = _head_of(answer)
        await dripping.prepare(request)
        size = max(1, -(-len(answer.body) // _PIECES))
        with contextlib.suppress(ConnectionError):
            for start in range(0, len(answer.body), size):
                if self._closing.is_set():
                    _reset(request)
                    break
                await self._waits.stall(self._faults.drip_seconds / _PIECES, self._closing, lambda: True)
                await dripping.write(answer.body[start : start + size])
        return dripping


def _connected(request: web.Request) -> bool:
    return request.transport is not None and not request.transport.is_closing()


def gone() -> web.Response:
    """Return a response for a request whose connection is closed; it is never sent."""
    # aiohttp wants a response; the connection is closed, so it is never sent.
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


def _cut_headers(request: web.Request, answer: Answer) -> Answered:
    if _connected(request):
        # No isinstance check: uvloop's transports are not subclasses of asyncio's.
        transport = cast("asyncio.WriteTransport", request.transport)
        transport.write(f"HTTP/1.1 {answer.status} OK\r\nContent-Type: applica".encode())
        transport.close()
    return gone(), None


def _head_of(answer: Answer) -> web.StreamResponse:
    head = web.StreamResponse(status=answer.status, headers=answer.headers)
    head.content_length = len(answer.body)
    return head


async def _cut_body(request: web.Request, answer: Answer) -> web.StreamResponse:
    cut = _head_of(answer)
    cut.force_close()
    await cut.prepare(request)
    with contextlib.suppress(ConnectionError):
        await cut.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        # Closing sends what is written, and then the end that comes too early.
        request.transport.close()
    return cut


# -- answers in the place of the right one ---------------------------------------------------------------------------


def _unsettled(faults: Faults, exchange: Exchange, decided: Decided) -> Answer:
    status = faults.unsettled_status or decided.one_of(_STATUSES)
    group = faults.unsettled_group or decided.one_of(exchange.face.error_groups or ("",), skip=len(_STATUSES))
    return exchange.face.unsettled(decided, exchange.asked, status, group)


def _failure(_: Faults, __: Exchange, decided: Decided) -> Answer:
    status = decided.fault.status
    return management_refusal(status, _REASONS[status], "Something went wrong.").answer


def _absurd(_: Faults, __: Exchange, decided: Decided) -> Answer:
    return gateway_refusal(429, "Rate limit is exceeded.", headers={"Retry-After": decided.one_of(_ABSURD)}).answer


def _locked(_: Faults, exchange: Exchange, decided: Decided) -> Answer:
    return exchange.face.refused(Refused(Reason.LOCKED), decided.operation)


#: The first word of a fault's name → what makes its answer, before the effect or after it.
_BY_WORD: dict[str, Callable[[Faults, Exchange, Decided], Answer]] = {
    "UNSETTLED": _unsettled,
    "HTTP": _failure,
    "HTML": lambda _, __, decided: Answer(decided.fault.status, _PAGE, {"Content-Type": "text/html; charset=utf-8"}),
    "EMPTY": lambda *_: Answer(),
    "REDIRECT": lambda *_: Answer(302, headers={"Location": "https://example.com/maintenance"}),
}
_AFTERWARDS, _BEFORE = (
    {
        fault: _BY_WORD[word]
        for fault in Fault
        if fault.name.endswith(end) and (word := fault.name.partition("_")[0]) in _BY_WORD
    }
    for end in ("_AFTER", "_BEFORE")
)
#: Fault → what makes the answer that comes in the place of any effect.
_INSTEAD = {
    **_BEFORE,
    Fault.HELD_504: _failure,
    Fault.LOCKED_94: _locked,
    Fault.TOKEN_EXPIRED_401: lambda *_: unauthorised().answer,
    Fault.HTTP_429: lambda *_: throttled(0),
    Fault.HTTP_429_RETRY_AFTER: lambda faults, *_: throttled(faults.retry_after),
    Fault.ABSURD_RETRY_AFTER: _absurd,
}


def _shaped(fault: Fault, answer: Answer, words: Mapping[str, str] | None) -> Answer:
    """Return a refusal in the shape that the fault names; an answer that is no refusal stays as it is."""
    if words is None:
        return answer
    said = {**words, "customer": _PERSON}
    if fault is Fault.REFUSAL_WITH_BOM:
        return replace(answer, body=b"\xef\xbb\xbf" + answer.body)
    if fault is Fault.REFUSAL_AS_XML:
        parts = "".join(f"<{name}>{text}</{name}>" for name, text in said.items())
        text, media = f"<error>{parts}</error>", "application/xml; charset=utf-8"
    elif fault is Fault.REFUSAL_AS_FORM:
        text, media = urlencode(said), "application/x-www-form-urlencoded"
    else:
        text, media = f"Refused for {_PERSON}: {' '.join(words.values())}.", "text/plain; charset=utf-8"
    return Answer(answer.status, text.encode(), {"Content-Type": media})
