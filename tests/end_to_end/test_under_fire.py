"""A server that resets, truncates, stalls or fails at every moment of a capture: one key, one body, an honest error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import aiohttp
import attrs
import orjson
import pytest
from aiohttp.client_proto import ResponseHandler

from tests.end_to_end.checkout import FAST, KEYS
from tests.support.payments import PRICE, initiate
from vipps_async import (
    CaptureResult,
    Credentials,
    Effect,
    RetryPolicy,
    SettledBy,
    Timeouts,
    UnexpectedResponseError,
    VippsError,
    VippsSession,
)
from vipps_async.testing import Sandbox
from vipps_async.testing.transport_conformance.raw_server import Connection, RawServer, ReceivedRequest, raw_server
from vipps_async.transports.aiohttp.one_write import PreparedRequest

#: Many captures at once share a session here, and all of them fail: its retry budget must not be what ends them.
RETRY = RetryPolicy(base=0.001, throttled_base=0.001, cap=0.002, deadline=20.0, budget=10**9)
#: A stall ends soon, and a busy machine still answers in time.
HASTY = Timeouts(connect=2.0, read=0.2, total=2.0)
PATIENT = Timeouts(connect=5.0, read=5.0, total=10.0)

Misbehave = Callable[[Connection], Awaitable[None]]


def _http(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _json(value: object) -> bytes:
    return _http("200 OK", orjson.dumps(value), "Content-Type: application/json")


TOKEN = _json({"token_type": "Bearer", "expires_in": "3600", "access_token": "a-token-of-the-test"})


def _captured(order_id: str) -> bytes:
    return _json(
        {
            "paymentInstrument": "Visa",
            "orderId": order_id,
            "transactionInfo": {
                "amount": PRICE,
                "timeStamp": "2026-01-02T03:04:05.678Z",
                "transactionText": "Shipped.",
                "status": "Captured",
                "transactionId": "5000000001",
            },
            "transactionSummary": {
                "capturedAmount": PRICE,
                "remainingAmountToCapture": 0,
                "refundedAmount": 0,
                "remainingAmountToRefund": PRICE,
            },
        }
    )


def _details(order_id: str, key: str | None) -> bytes:
    """Answer details: reserved, and captured with the key if there is one."""
    reserve = {"amount": PRICE, "operation": "RESERVE", "operationSuccess": True, "requestId": ""}
    capture = {"amount": PRICE, "operation": "CAPTURE", "operationSuccess": True, "requestId": key}
    captured = PRICE if key is not None else 0
    return _json(
        {
            "orderId": order_id,
            "transactionSummary": {
                "capturedAmount": captured,
                "remainingAmountToCapture": PRICE - captured,
                "refundedAmount": 0,
                "remainingAmountToRefund": captured,
            },
            "transactionLogHistory": [reserve] if key is None else [capture, reserve],
        }
    )


def _header(request: ReceivedRequest, name: str) -> str:
    (value,) = [value for other, value in request.headers if other.lower() == name.lower()]
    return value


def _order_of(request: ReceivedRequest) -> str:
    return request.line.split("/")[4]


def _captures(server: RawServer, order_id: str | None = None) -> list[ReceivedRequest]:
    return [
        request for request in server.requests if "/capture " in request.line and order_id in {None, _order_of(request)}
    ]


@attrs.frozen
class Vipps:
    """What a raw server does: answers tokens, misbehaves at captures, and answers details in one of three ways."""

    misbehave: Callable[[Connection, ReceivedRequest], Awaitable[None]]
    #: What details show: "done", "not done", or "silent" (the connection closes).
    details: str

    async def __call__(self, connection: Connection) -> None:
        """Serve one connection, which has one request: every answer closes it."""
        request = await connection.read_request()
        if "/accesstoken/get " in request.line:
            await connection.send(TOKEN)
        elif "/capture " in request.line:
            await self.misbehave(connection, request)
        elif self.details != "silent":
            key = _header(_captures(connection.server, _order_of(request))[0], "X-Request-Id")
            await connection.send(_details(_order_of(request), key if self.details == "done" else None))
        await connection.close()


def _session(server: RawServer, timeouts: Timeouts = PATIENT) -> VippsSession:
    return VippsSession(Credentials(**KEYS), base_url=server.url, retry=RETRY, timeouts=timeouts)


async def _capture(vipps: VippsSession, order_id: str) -> CaptureResult | VippsError:
    try:
        return await vipps.ecom.capture(order_id, transaction_text="Shipped.")
    except VippsError as error:
        return error


def _check(outcome: CaptureResult | VippsError, requests: Iterable[ReceivedRequest], *, details: str) -> None:
    """One key and the same bytes in every attempt; a proven result, or an error that admits what may have happened."""
    attempts = list(requests)
    keys = {_header(request, "X-Request-Id") for request in attempts}
    assert len(keys) == 1, f"{len(attempts)} attempts had {len(keys)} keys"
    assert len({request.body for request in attempts}) == 1
    if isinstance(outcome, CaptureResult):
        assert details == "done" or outcome.settled_by is SettledBy.ANSWER
        return
    (key,) = keys
    assert outcome.effect is not Effect.NONE
    assert outcome.effect_text in str(outcome)
    assert outcome.idempotency_key == key
    assert key in str(outcome)
    assert outcome.operation == "ecom.capture"
    assert outcome.advice


# -- cut at every byte -------------------------------------------------------------------------------------------------


@pytest.mark.heavy
@pytest.mark.parametrize("details", ["done", "not done", "silent"])
@pytest.mark.parametrize("how", ["FIN", "RST"])
async def test_an_answer_cut_off_at_every_byte(how: str, details: str) -> None:
    """Whichever byte of the answer is the last, all attempts carry one key, and the error admits the doubt."""
    length = len(_captured("cut-000"))
    # Each third byte, but every one around the ends of the status line, the headers and the body.
    text = _captured("cut-000")
    ends = (0, text.index(b"\r\n") + 2, text.index(b"\r\n\r\n") + 4, length)
    cuts = sorted(
        {*range(0, length, 3), *(end + near for end in ends for near in range(-4, 5) if 0 <= end + near < length)}
    )

    async def cut(connection: Connection, request: ReceivedRequest) -> None:
        order_id = _order_of(request)
        await connection.send(_captured(order_id)[: int(order_id.removeprefix("cut-"))])
        if how == "RST":
            connection.reset()

    # Not all at once: on a busy machine the last ones would have no time left for all their attempts.
    turns = asyncio.Semaphore(16)

    async def in_turn(order_id: str) -> CaptureResult | VippsError:
        async with turns:
            return await _capture(vipps, order_id)

    async with raw_server(Vipps(cut, details)) as server, _session(server) as vipps:
        orders = [f"cut-{cut:03}" for cut in cuts]
        outcomes = await asyncio.gather(*(in_turn(order_id) for order_id in orders))
    for order_id, outcome in zip(orders, outcomes, strict=True):
        requests = _captures(server, order_id)
        assert len(requests) == 4, f"{order_id}: a KEYED call is repeated until its attempts are used up"
        _check(outcome, requests, details=details)
        if details == "done":
            assert isinstance(outcome, CaptureResult)
            assert outcome.settled_by is SettledBy.HISTORY
        else:
            assert isinstance(outcome, VippsError)


# -- before, while and after the request is read -----------------------------------------------------------------------


async def _reset(connection: Connection, _request: ReceivedRequest) -> None:
    connection.reset()


async def _close(connection: Connection, _request: ReceivedRequest) -> None:
    await connection.close()


async def _stall(connection: Connection, _request: ReceivedRequest) -> None:
    # As long as the client holds the line, and no longer: `details` come over other connections.
    await connection.take_in()


def _stall_after(count: int) -> Callable[[Connection, ReceivedRequest], Awaitable[None]]:
    async def stall(connection: Connection, request: ReceivedRequest) -> None:
        await connection.send(_captured(_order_of(request))[:count])
        await connection.take_in()

    return stall


def _answer(data: bytes) -> Callable[[Connection, ReceivedRequest], Awaitable[None]]:
    async def answer(connection: Connection, _request: ReceivedRequest) -> None:
        await connection.send(data)

    return answer


_ERROR = orjson.dumps([{"errorGroup": "VippsError", "errorCode": "99", "errorMessage": "Internal error"}])
_FAULTS: dict[str, Any] = {
    "reset after the request": _reset,
    "close after the request": _close,
    "stall before the answer": _stall,
    "stall in the status line": _stall_after(5),
    "stall in the headers": _stall_after(40),
    "stall in the body": _stall_after(len(_captured("acme-shop-1")) - 5),
    "500 with Vipps' own error": _answer(_http("500 Internal Server Error", _ERROR, "Content-Type: application/json")),
    "500 with nothing": _answer(_http("500 Internal Server Error", b"")),
    "502 with a page": _answer(_http("502 Bad Gateway", b"<html>Bad gateway</html>", "Content-Type: text/html")),
    "503 with a page": _answer(_http("503 Service Unavailable", b"<html>Later</html>", "Content-Type: text/html")),
    "504 of the gateway": _answer(
        _http("504 Gateway Timeout", b'{"statusCode":504,"message":"Time-out"}', "Content-Type: application/json")
    ),
    "408": _answer(_http("408 Request Timeout", b"")),
    "599": _answer(_http("599 Whatever", b"")),
    "garbage": _answer(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "a status that is none": _answer(b"HTTP/1.1 999 Hm\r\nContent-Length: 0\r\n\r\n"),
    "interim answers only": _answer(b"HTTP/1.1 100 Continue\r\n\r\n" * 3),
}


@pytest.mark.parametrize("details", ["done", "not done", "silent"])
@pytest.mark.parametrize("fault", _FAULTS)
async def test_a_capture_that_is_read_but_not_answered(fault: str, details: str) -> None:
    """Resets, stalls, server errors and garbage: one key over all attempts, and the last word is the history's."""
    async with raw_server(Vipps(_FAULTS[fault], details)) as server, _session(server, HASTY) as vipps:
        outcome = await _capture(vipps, "acme-shop-1")
    requests = _captures(server)
    # Code 99 settles nothing: details are asked first, and what they have is not sent again.
    is_proven_at_once = details == "done" and fault == "500 with Vipps' own error"
    assert len(requests) == (1 if is_proven_at_once else 4)
    _check(outcome, requests, details=details)
    assert isinstance(outcome, CaptureResult) == (details == "done")


_UNREADABLE: dict[str, Any] = {
    "a page with status 200": _http("200 OK", b"<html>Welcome</html>", "Content-Type: text/html"),
    "nothing with status 200": _http("200 OK", b""),
    "half of a JSON object": _http("200 OK", b'{"orderId": "acme-sh', "Content-Type: application/json"),
    "another order": _captured("acme-shop-2"),
    "a list": _json([]),
    "a redirect": _http("307 Temporary Redirect", b"", "Location: /ecomm/v2/payments/acme-shop-1/capture"),
    "a redirect elsewhere": _http("308 Permanent Redirect", b"", "Location: https://example.com/"),
}


@pytest.mark.parametrize("details", ["done", "not done", "silent"])
@pytest.mark.parametrize("kind", _UNREADABLE)
async def test_a_success_that_cannot_be_read_is_looked_up_before_it_is_sent_again(kind: str, details: str) -> None:
    """A 2xx or 3xx that makes no sense may have taken effect: details are asked first, and the key stays the same."""
    async with raw_server(Vipps(_answer(_UNREADABLE[kind]), details)) as server, _session(server) as vipps:
        outcome = await _capture(vipps, "acme-shop-1")
    requests = _captures(server)
    _check(outcome, requests, details=details)
    asked = [request.line for request in server.requests if "/accesstoken/" not in request.line]
    assert "/capture " in asked[0]
    assert "/details " in asked[1]
    if details == "done":
        assert len(requests) == 1
        assert isinstance(outcome, CaptureResult)
        assert outcome.settled_by is SettledBy.HISTORY
    else:
        assert len(requests) == 4
        assert isinstance(outcome, UnexpectedResponseError)


@pytest.mark.parametrize("how", ["close at once", "reset at once", "reset after a byte", "reset in the headers"])
async def test_a_connection_that_ends_before_the_request_was_read(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server never has the whole request, yet it cannot be known here: the error admits the doubt, with the key.

    A connection that ends at once may be gone before any attempt has begun to write: an event loop may notice or not.
    Then, and only then, there is no doubt.
    """
    keys: list[str] = []
    written: list[bytes] = []
    write = PreparedRequest.write

    def noted(prepared: PreparedRequest, protocol: ResponseHandler) -> None:
        write(prepared, protocol)
        if b"/capture HTTP/1.1" in prepared.data:
            written.append(prepared.data)

    monkeypatch.setattr(PreparedRequest, "write", noted)

    async def script(connection: Connection) -> None:
        if connection.number == 0:
            await connection.read_request()
            await connection.send(TOKEN)
            await connection.close()
            return
        if how == "reset after a byte":
            await connection.read_some()
        elif how == "reset in the headers":
            line = await asyncio.wait_for(connection.reader.readline(), 5)
            if line.startswith(b"POST"):
                await asyncio.wait_for(connection.reader.readuntil(b"X-Request-Id: "), 5)
                keys.append((await asyncio.wait_for(connection.reader.readline(), 5)).decode().strip())
        if how == "close at once":
            await connection.close()
        else:
            connection.reset()

    async with raw_server(script) as server, _session(server) as vipps:
        outcome = await _capture(vipps, "acme-shop-1")
    assert isinstance(outcome, VippsError)
    key = outcome.idempotency_key
    assert key is not None
    assert key in str(outcome)
    attempts = len(written)
    assert (outcome.effect is Effect.NONE) == (attempts == 0)
    assert attempts == 4 or how.endswith("at once")
    assert keys == ([key] * 4 if how == "reset in the headers" else [])
    assert len(server.connections) > 4


async def test_nothing_sent_is_nothing_moved() -> None:
    """Only where no byte of any attempt has left does the error say that no money moved."""

    async def script(connection: Connection) -> None:
        await connection.read_request()
        connection.server.stop_listening()
        await connection.send(TOKEN)
        await connection.close()

    async with raw_server(script) as server, _session(server) as vipps:
        outcome = await _capture(vipps, "acme-shop-1")
    assert isinstance(outcome, VippsError)
    assert outcome.effect is Effect.NONE
    assert outcome.idempotency_key is not None
    assert outcome.idempotency_key in str(outcome)
    assert len(server.requests) == 1


# -- in front of a true Vipps ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["capture", "refund", "cancel"])
@pytest.mark.parametrize("failures", [1, 4])
async def test_money_moves_once_behind_a_line_that_breaks(sandbox: Sandbox, operation: str, failures: int) -> None:
    """A line that passes every request on and loses answers, at any byte: the sandbox moved once, the client knows."""
    orders = [f"lost-{cut:03}" for cut in range(0, 300, 20)]
    lost: dict[str, int] = {}

    async def line(connection: Connection) -> None:
        request = await connection.read_request()
        method, path, _ = request.line.split(" ")
        headers = {name: value for name, value in request.headers if name.lower() not in {"host", "content-length"}}
        async with (
            aiohttp.ClientSession() as onward,
            onward.request(method, f"{sandbox.url}{path}", data=request.body, headers=headers) as answer,
        ):
            reason = answer.reason or "OK"
            data = _http(f"{answer.status} {reason}", await answer.read(), "Content-Type: application/json")
        if path.endswith(f"/{operation}"):
            order_id = _order_of(request)
            lost[order_id] = lost.get(order_id, 0) + 1
            if lost[order_id] <= failures:
                await connection.send(data[: int(order_id.removeprefix("lost-"))])
                connection.reset()
                return
        await connection.send(data)
        await connection.close()

    async with sandbox.session(retry=FAST) as direct:
        for order_id in orders:
            await initiate(direct, order_id)
            await sandbox.approve(order_id)
            if operation == "refund":
                await direct.ecom.capture(order_id, transaction_text="Shipped.")
    async with raw_server(line) as server, _session(server) as vipps:
        act: Callable[..., Awaitable[Any]] = getattr(vipps.ecom, operation)
        results = await asyncio.gather(*(act(order_id, transaction_text="Now.") for order_id in orders))
    by_details = operation == "cancel" or failures == 4
    assert {result.settled_by for result in results} == {SettledBy.HISTORY if by_details else SettledBy.ANSWER}
    for order_id in orders:
        truth = sandbox.payment(order_id)
        moved = {"capture": truth.captured, "refund": truth.refunded, "cancel": truth.released}[operation]
        assert moved == PRICE
        assert len(truth.moved({"capture": "CAPTURE", "refund": "REFUND", "cancel": "VOID"}[operation])) == 1
