"""The scripted transport that users test their own code with."""

from __future__ import annotations

import pytest

from vipps_async import sandbox, testing
from vipps_async.errors import OutcomeUnknown, RequestNotSent
from vipps_async.testing import TOKEN_PATH, ScriptedTransport, ScriptError, answer, token_answer
from vipps_async.transports.protocol import Request, Response, Transport


def request(path: str) -> Request:
    """Make a request with a secret in its headers and its body."""
    return Request(method="POST", url=f"https://h.example{path}?q", headers={"k": "canary"}, body=b"canary")


async def test_replies_are_used_in_order() -> None:
    """A route's replies are used up one by one, each by one request."""
    transport = ScriptedTransport().on("/a", answer(200, {"n": 1}), answer(404, b"raw", headers={"x": "y"}))
    first, second = await transport.send(request("/v1/a")), await transport.send(request("/v1/a"))
    assert (first.status, first.body) == (200, b'{"n":1}')
    assert (second.status, second.body, second.headers) == (404, b"raw", {"x": "y"})
    assert transport.unused == 0
    with pytest.raises(ScriptError, match="no reply is scripted for /v1/a"):
        await transport.send(request("/v1/a"))


async def test_the_first_fitting_route_answers() -> None:
    """Routes are tried in their order; one that is used up lets the next one answer, and the empty one fits all."""
    transport = ScriptedTransport().on("/a", answer(201)).on("", then=answer(202))
    assert [(await transport.send(request("/a"))).status for _ in range(3)] == [201, 202, 202]
    assert (await transport.send(request("/b"))).status == 202


async def test_failures_are_raised_as_copies() -> None:
    """A failure is raised anew each time, so that what is noted on one does not show on the next."""
    failure = RequestNotSent("unplugged")
    transport = ScriptedTransport().on("", then=failure)
    raised = []
    for _ in range(2):
        with pytest.raises(RequestNotSent, match="unplugged") as caught:
            await transport.send(request("/a"))
        raised.append(caught.value)
    assert raised[0] is not raised[1]
    assert failure not in raised


async def test_functions_make_replies() -> None:
    """A function, plain or async, sees the request and makes the answer or raises."""

    async def later(_request: Request) -> Response:
        raise OutcomeUnknown("cut")

    transport = ScriptedTransport().on("", lambda sent: answer(200, sent.body or b""), later)
    assert (await transport.send(request("/a"))).body == b"canary"
    with pytest.raises(OutcomeUnknown):
        await transport.send(request("/a"))


async def test_tokens_come_by_themselves() -> None:
    """Token requests are answered and recorded apart, unless the script has replies of its own for them."""
    transport = ScriptedTransport().on("", then=answer(204))
    assert b"scripted-token" in (await transport.send(request(TOKEN_PATH))).body
    transport.on(TOKEN_PATH, token_answer("mine", lifetime=5))
    assert b'"expires_in":"5"' in (await transport.send(request(TOKEN_PATH))).body
    with pytest.raises(ScriptError):
        await transport.send(request(TOKEN_PATH))
    assert (len(transport.requests), len(transport.token_requests)) == (0, 3)


async def test_it_is_a_transport_that_keeps_secrets() -> None:
    """It fits the protocol, counts how often it was closed, and its repr shows no request's content."""
    transport = ScriptedTransport().on("", then=answer(204))
    fits: Transport = transport
    await fits.send(request("/a"))
    await fits.aclose()
    assert transport.closed == 1
    assert "canary" not in repr(transport) + repr(transport.requests)
    assert repr(transport) == "<ScriptedTransport, 1 requests, 0 token requests>"


def test_what_a_test_needs_comes_from_one_place() -> None:
    """Faults, customers, snapshots and records are had where the sandbox is, too, and are the sandbox's own."""
    shared = set(testing.__all__) & set(sandbox.__all__)
    assert shared >= {"Customer", "Fault", "LogEntry", "PaymentSnapshot", "RequestRecord", "SandboxClock", "State"}
    assert all(getattr(testing, name) is getattr(sandbox, name) for name in shared)
