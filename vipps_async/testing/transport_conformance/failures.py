"""For every way to fail: does the transport report truly whether the request was sent?"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any

import pytest

from vipps_async.errors import OutcomeUnknown, RequestNotSent, TransportError
from vipps_async.testing.transport_conformance.cases import CASES, Case, Verdict
from vipps_async.testing.transport_conformance.make_transport import MakeTransport
from vipps_async.testing.transport_conformance.scenarios import CANARY, LONG, Scenario
from vipps_async.transports.protocol import Request, Transport

PARAMETERS = [pytest.param(case, shape, id=f"{case.name}-{shape}") for case in CASES for shape in case.shapes]

#: How often a request is tried again that its server did not get to read.
_MORE_TRIES = 2

_KINDS: dict[Verdict, tuple[type[TransportError], ...]] = {
    Verdict.NOT_SENT: (RequestNotSent,),
    Verdict.UNKNOWN: (OutcomeUnknown,),
    Verdict.TRUE: (RequestNotSent, OutcomeUnknown),
    Verdict.ANSWER: (),
}


class FailureCases:
    """The cases as tests."""

    words_are_checked = False
    """Whether error messages must say what happened in words that a person understands, and name host and port. Those
    of this package do; the rest of the SDK does not depend on it.
    """

    @pytest.mark.parametrize(("case", "shape"), PARAMETERS)
    async def test_says_truly_whether_the_request_was_sent(
        self, case: Case, shape: str, make_transport: MakeTransport, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A failure is reported as not sent only if nothing was, and the server never reads a request twice."""
        caplog.set_level("DEBUG")
        await check(case, shape, make_transport, words=self.words_are_checked)
        assert CANARY not in caplog.text, "a secret, or a path, stands in a log"


async def check(case: Case, shape: str, make_transport: MakeTransport, *, words: bool = False) -> None:
    """Let a request fail in one way, and hold the transport to the truth about it.

    Args:
        case: the way to fail.
        shape: the request, one of the case's shapes.
        make_transport: makes the transport.
        words: whether the message is checked too.

    Raises:
        AssertionError: what the transport said is not true, a request was sent twice, or something secret was shown.
    """
    outcome, requests, bytes_read = await _tried(case, shape, make_transport)
    for _ in range(_MORE_TRIES):
        # Time-outs are short here: on a busy machine they may end a request before the server has come to read it.
        if requests < case.read:
            outcome, requests, bytes_read = await _tried(case, shape, make_transport)
    if case.may_connect_anew and outcome == 200:
        assert requests == 1, f"an answer came, and the server has read {requests} requests"
        return
    assert requests == case.read, f"the server has read {requests} requests, not {case.read}"
    if case.verdict is Verdict.ANSWER:
        assert outcome == case.status, f"{outcome!r} instead of the answer with status {case.status}"
        return
    assert isinstance(outcome, _KINDS[case.verdict]), f"{outcome!r} is not the truth: {case.verdict.value}"
    if isinstance(outcome, OutcomeUnknown):
        statuses = {case.status, None} if case.status_may_be_lost else {case.status}
        assert outcome.status in statuses, f"status {outcome.status} was kept, not {case.status}"
    else:
        assert bytes_read == 0, f"reported as not sent, but the server has read {bytes_read} bytes"
    assert_shows_nothing_secret(outcome)
    if words:
        message = outcome.message
        assert "127.0.0.1:" in message or "vipps.invalid:80" in message, f"host and port are missing: {message}"
        assert re.search(case.says, message), f"{case.says!r} is missing: {message}"


async def _tried(case: Case, shape: str, make_transport: MakeTransport) -> tuple[TransportError | int, int, int]:
    """Return how the request ended, and how many requests and bytes the server has read."""
    async with case.scenario() as scenario:
        # What the transport does by itself afterwards counts as well, until its server is gone.
        outcome = await _outcome(case, shape, scenario, make_transport)
        requests = len(scenario.server.requests) if scenario.server else 0
        # Over TLS and in front of a proxy, what is read is not the request.
        bytes_read = scenario.server.bytes_read if scenario.server and scenario.url.startswith("http:") else 0
    return outcome, requests, bytes_read


async def _outcome(case: Case, shape: str, scenario: Scenario, make_transport: MakeTransport) -> TransportError | int:
    keywords: dict[str, Any] = {
        name: value for name in ("ssl_context", "proxy", "limit") if (value := getattr(scenario, name)) is not None
    }
    transport = make_transport(**keywords)
    before = scenario.before(transport, scenario.url) if scenario.before else contextlib.nullcontext()
    async with before:
        return await _sent(transport, case.request(shape, scenario.url))


async def _sent(transport: Transport, request: Request) -> TransportError | int:
    try:
        async with asyncio.timeout(LONG):
            return (await transport.send(request)).status
    except TransportError as error:
        return error


def assert_shows_nothing_secret(error: BaseException | None) -> None:
    """Look for the canary in an error and in all that it was raised from.

    Raises:
        AssertionError: it is there.
    """
    while error is not None:
        shown = f"{error} {error!r} {error.args!r}"
        assert CANARY not in shown, f"a {type(error).__name__} shows a secret, or a path"
        error = error.__cause__ or error.__context__
