"""The heart of the suite: for every way to fail, does the transport say truly whether the request was sent?"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any

import pytest

from vipps_async.errors import OutcomeUnknown, RequestNotSent, TransportError
from vipps_async.testing.transport_conformance.make_transport import MakeTransport
from vipps_async.testing.transport_conformance.rows import ROWS, Row, Verdict
from vipps_async.testing.transport_conformance.scenes import CANARY, LONG, Scene
from vipps_async.transports.protocol import Request, Transport

__all__ = ["FailureRows", "check"]

CASES = [pytest.param(row, shape, id=f"{row.name}-{shape}") for row in ROWS for shape in row.shapes]

_KINDS: dict[Verdict, tuple[type[TransportError], ...]] = {
    Verdict.NOT_SENT: (RequestNotSent,),
    Verdict.UNKNOWN: (OutcomeUnknown,),
    Verdict.TRUE: (RequestNotSent, OutcomeUnknown),
    Verdict.ANSWER: (),
}


class FailureRows:
    """The rows as tests."""

    #: Whether error messages must say what happened in words that a person understands, and name host and port. Those
    #: of this package do; the rest of the SDK does not depend on it.
    words_are_checked = False

    @pytest.mark.parametrize(("row", "shape"), CASES)
    async def test_says_truly_whether_the_request_was_sent(
        self, row: Row, shape: str, make_transport: MakeTransport, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A failure is reported as not sent only if nothing was, and the server never reads a request twice."""
        caplog.set_level("DEBUG")
        await check(row, shape, make_transport, words=self.words_are_checked)
        assert CANARY not in caplog.text, "a secret, or a path, stands in a log"


async def check(row: Row, shape: str, make_transport: MakeTransport, *, words: bool = False) -> None:
    """Let a request fail in one way, and hold the transport to the truth about it.

    Args:
        row: the way to fail.
        shape: the request, one of the row's shapes.
        make_transport: makes the transport.
        words: whether the message is checked too.

    Raises:
        AssertionError: what the transport said is not true, a request was sent twice, or something secret was shown.
    """
    async with row.scene() as scene:
        # What the transport does by itself afterwards counts as well, until its server is gone.
        outcome = await _outcome(row, shape, scene, make_transport)
        requests = len(scene.server.requests) if scene.server else 0
        # Over TLS and in front of a proxy, what is read is not the request.
        bytes_read = scene.server.bytes_read if scene.server and scene.url.startswith("http:") else 0
    if row.may_connect_anew and outcome == 200:
        assert requests == 1, f"an answer came, and the server has read {requests} requests"
        return
    assert requests == row.read, f"the server has read {requests} requests, not {row.read}"
    if row.verdict is Verdict.ANSWER:
        assert outcome == row.status, f"{outcome!r} instead of the answer with status {row.status}"
        return
    assert isinstance(outcome, _KINDS[row.verdict]), f"{outcome!r} is not the truth: {row.verdict.value}"
    if isinstance(outcome, OutcomeUnknown):
        statuses = {row.status, None} if row.status_may_be_lost else {row.status}
        assert outcome.status in statuses, f"status {outcome.status} was kept, not {row.status}"
    else:
        assert bytes_read == 0, f"reported as not sent, but the server has read {bytes_read} bytes"
    assert_shows_nothing_secret(outcome)
    if words:
        message = outcome.message
        assert "127.0.0.1:" in message or "vipps.invalid:80" in message, f"host and port are missing: {message}"
        assert re.search(row.says, message), f"{row.says!r} is missing: {message}"


async def _outcome(row: Row, shape: str, scene: Scene, make_transport: MakeTransport) -> TransportError | int:
    keywords: dict[str, Any] = {
        name: value for name in ("ssl_context", "proxy", "limit") if (value := getattr(scene, name)) is not None
    }
    transport = make_transport(**keywords)
    before = scene.before(transport, scene.url) if scene.before else contextlib.nullcontext()
    async with before:
        return await _sent(transport, row.request(shape, scene.url))


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
