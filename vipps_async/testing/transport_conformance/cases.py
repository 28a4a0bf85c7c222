"""Every way in which a connection can fail, as cases that any transport must get right."""

from __future__ import annotations

import enum
import gzip
import zlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from attrs import frozen

from vipps_async.config import Timeouts
from vipps_async.testing.transport_conformance import scenarios
from vipps_async.testing.transport_conformance.scenarios import (
    CANARY,
    LONG,
    SHORT,
    Scenario,
    answering,
    framed,
    serving,
)
from vipps_async.transports.protocol import MAX_RESPONSE_BYTES, Request

BODY = b'{"transaction":{"transactionText":"' + CANARY.encode() + b'"}}'


class Verdict(enum.Enum):
    """What a transport must report of a request."""

    NOT_SENT = "not sent"
    UNKNOWN = "unknown"
    TRUE = "not sent or unknown"
    """The other side is free to be faster than the write or not: either, whichever is true."""
    ANSWER = "an answer"


@frozen(kw_only=True)
class Case:
    """One way to fail, and the outcome that the transport must report."""

    name: str
    """What goes wrong."""
    scenario: Callable[[], AbstractAsyncContextManager[Scenario]]
    """Opens the server that it goes wrong at."""
    verdict: Verdict
    """What the transport must say."""
    read: int = 0
    """Complete requests that the server has read in the end, those before the failing one not counted."""
    status: int | None = None
    """The status that the transport must have kept."""
    status_may_be_lost: bool = False
    """Whether losing the status is no fault, because it stands in a part of the answer that was never whole."""
    may_connect_anew: bool = False
    """Whether it is right as well to notice the failure beforehand and to be answered over a new connection."""
    says: str = ""
    """What the message must say where words are checked, as a regular expression."""
    timeouts: Timeouts = Timeouts(connect=LONG, read=LONG, total=LONG)
    """The time-outs of the request."""
    shapes: tuple[str, ...] = ("POST", "empty POST", "GET", "PUT", "empty PUT")
    """The requests that it is tried with: method, and whether there is a body."""

    def request(self, shape: str, url: str) -> Request:
        """Make the request of this case in one of its shapes."""
        method = shape.removeprefix("empty ")
        body = BODY if shape in {"POST", "PUT"} else None
        headers = {"Authorization": f"Bearer {CANARY}", "Content-Type": "application/json"}
        return Request(method=method, url=f"{url}/{CANARY}", headers=headers, body=body, timeouts=self.timeouts)


BY_CONNECT = Timeouts(connect=SHORT, read=LONG, total=LONG)
BY_READ = Timeouts(connect=LONG, read=SHORT, total=LONG)
BY_TOTAL = Timeouts(connect=LONG, read=LONG, total=SHORT)
#: Which of the three limits ended it, in the words of the message.
NO_CONNECTION = rf"no connection to 127\.0\.0\.1:\d+ within {SHORT} s"
SILENT = rf"127\.0\.0\.1:\d+ was silent for {SHORT} s"
NOT_WHOLE = rf"no whole answer of 127\.0\.0\.1:\d+ within {SHORT} s"
ONE_SHAPE = ("POST",)
TWO_SHAPES = ("POST", "GET")
RESENT_BY_SOME = ("PUT", "empty PUT", "GET", "DELETE", "HEAD")
BOMB = gzip.compress(b"0" * (8 * MAX_RESPONSE_BYTES))
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
NOT_SENT, UNKNOWN, TRUE, ANSWER = Verdict.NOT_SENT, Verdict.UNKNOWN, Verdict.TRUE, Verdict.ANSWER

CASES = (
    # Before a connection stands.
    Case(name="connection refused", scenario=scenarios.refused, verdict=NOT_SENT, says="connection refused"),
    Case(name="name not found", scenario=scenarios.unresolvable, verdict=NOT_SENT, says="vipps.invalid:80"),
    Case(name="connect time-out", scenario=scenarios.backlog, verdict=NOT_SENT, timeouts=BY_CONNECT, says=NO_CONNECTION, shapes=TWO_SHAPES),  # noqa: E501 - a case
    Case(name="connecting, total time-out", scenario=scenarios.backlog, verdict=NOT_SENT, timeouts=BY_TOTAL, says=NOT_WHOLE, shapes=TWO_SHAPES),  # noqa: E501 - a case
    Case(name="waiting for the pool, connect", scenario=scenarios.pool_taken, verdict=NOT_SENT, timeouts=BY_CONNECT, says=NO_CONNECTION, shapes=TWO_SHAPES),  # noqa: E501 - a case
    Case(name="waiting for the pool, total", scenario=scenarios.pool_taken, verdict=NOT_SENT, timeouts=BY_TOTAL, says=f"{NO_CONNECTION}|{NOT_WHOLE}", shapes=TWO_SHAPES),  # noqa: E501 - a case
    # TLS.
    Case(name="untrusted certificate", scenario=scenarios.tls(trusted=False), verdict=NOT_SENT, says="certificate"),
    Case(name="certificate of another host", scenario=scenarios.tls(name="example.org"), verdict=NOT_SENT, says="certificate"),  # noqa: E501 - a case
    Case(name="plaintext on a TLS port", scenario=scenarios.tls_to_plain(scenarios.plaintext), verdict=NOT_SENT),
    Case(name="RST in the handshake", scenario=scenarios.tls_to_plain(scenarios.after_first_bytes("reset")), verdict=NOT_SENT),  # noqa: E501 - a case
    Case(name="FIN in the handshake", scenario=scenarios.tls_to_plain(scenarios.after_first_bytes("close")), verdict=NOT_SENT),  # noqa: E501 - a case
    Case(name="handshake stalls, connect", scenario=scenarios.tls_to_plain(scenarios.after_first_bytes("stall")), verdict=NOT_SENT, timeouts=BY_CONNECT, says=NO_CONNECTION, shapes=TWO_SHAPES),  # noqa: E501 - a case
    Case(name="handshake stalls, total", scenario=scenarios.tls_to_plain(scenarios.after_first_bytes("stall")), verdict=NOT_SENT, timeouts=BY_TOTAL, says=NOT_WHOLE, shapes=TWO_SHAPES),  # noqa: E501 - a case
    # TLS 1.3: the client may write as soon as it has sent its own last message, before the server has judged it.
    Case(name="client certificate refused", scenario=scenarios.client_certificate_wanted, verdict=TRUE),
    # A proxy: what it reads is not the request.
    Case(name="proxy refused", scenario=scenarios.through_proxy(None), verdict=NOT_SENT, says="proxy"),
    Case(name="proxy refuses CONNECT", scenario=scenarios.through_proxy(scenarios.refused_tunnel(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")), verdict=NOT_SENT, says="proxy.*407"),  # noqa: E501 - a case
    Case(name="proxy closes on CONNECT", scenario=scenarios.through_proxy(scenarios.refused_tunnel(b"")), verdict=NOT_SENT, says="proxy"),  # noqa: E501 - a case
    Case(name="proxy answers CONNECT with garbage", scenario=scenarios.through_proxy(scenarios.refused_tunnel(b"hello?\r\n\r\n")), verdict=NOT_SENT),  # noqa: E501 - a case
    Case(name="proxy stalls on CONNECT", scenario=scenarios.through_proxy(scenarios.after_first_bytes("stall")), verdict=NOT_SENT, timeouts=BY_CONNECT, says=NO_CONNECTION, shapes=TWO_SHAPES),  # noqa: E501 - a case
    # A connection stands, no answer comes.
    Case(name="RST at accept", scenario=serving(scenarios.at_accept("reset")), verdict=TRUE),
    Case(name="FIN at accept", scenario=serving(scenarios.at_accept("close")), verdict=TRUE),
    # Whatever leaves is read here, so that "not sent" is held to the truth.
    Case(name="FIN at accept, by one who reads on", scenario=serving(scenarios.fin_and_take_in), verdict=TRUE),
    Case(name="RST in the middle of the request", scenario=serving(scenarios.after_first_bytes("reset")), verdict=UNKNOWN),  # noqa: E501 - a case
    Case(name="FIN in the middle of the request", scenario=serving(scenarios.after_first_bytes("close")), verdict=UNKNOWN),  # noqa: E501 - a case
    Case(name="RST after the request", scenario=answering(b"", "reset"), verdict=UNKNOWN, read=1),
    Case(name="FIN after the request", scenario=answering(b""), verdict=UNKNOWN, read=1),
    Case(name="no answer, read time-out", scenario=answering(b"", "stall"), verdict=UNKNOWN, read=1, timeouts=BY_READ, shapes=TWO_SHAPES, says=SILENT),  # noqa: E501 - a case
    Case(name="no answer, total time-out", scenario=answering(b"", "stall"), verdict=UNKNOWN, read=1, timeouts=BY_TOTAL, says=NOT_WHOLE, shapes=TWO_SHAPES),  # noqa: E501 - a case
    # An answer that is none.
    Case(name="garbage", scenario=answering(b"hello?\r\n\r\n"), verdict=UNKNOWN, read=1),
    Case(name="garbage, held open", scenario=answering(b"hello?\r\n\r\n", "stall"), verdict=UNKNOWN, read=1),
    Case(name="a TLS alert", scenario=answering(b"\x15\x03\x03\x00\x02\x02\x28"), verdict=UNKNOWN, read=1),
    Case(name="a status that does not exist", scenario=answering(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"), verdict=UNKNOWN, read=1),  # noqa: E501 - a case
    Case(name="another protocol", scenario=answering(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "stall"), verdict=UNKNOWN, read=1),  # noqa: E501 - a case
    Case(name="status line cut short", scenario=answering(b"HTTP/1.1 20"), verdict=UNKNOWN, read=1),
    Case(name="an interim answer only", scenario=answering(b"HTTP/1.1 100 Continue\r\n\r\n"), verdict=UNKNOWN, read=1),
    Case(name="endless header", scenario=answering(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2_000_000), verdict=UNKNOWN, read=1),  # noqa: E501 - a case
    # An answer that breaks off behind its status line.
    Case(name="headers cut short", scenario=answering(b"HTTP/1.1 200 OK\r\nContent-Le"), verdict=UNKNOWN, read=1, status=200, status_may_be_lost=True),  # noqa: E501 - a case
    Case(name="body cut short", scenario=answering(HALF), verdict=UNKNOWN, read=1, status=200),
    Case(name="body reset", scenario=answering(HALF, "reset"), verdict=UNKNOWN, read=1, status=200),
    Case(name="chunked body cut short", scenario=answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"), verdict=UNKNOWN, read=1, status=200),  # noqa: E501 - a case
    Case(name="chunks damaged", scenario=answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"), verdict=UNKNOWN, read=1, status=200, status_may_be_lost=True),  # noqa: E501 - a case
    Case(name="body without length, reset", scenario=answering(b"HTTP/1.1 200 OK\r\n\r\n{", "reset"), verdict=UNKNOWN, read=1, status=200),  # noqa: E501 - a case
    Case(name="body stalls, read", scenario=answering(HALF, "stall"), verdict=UNKNOWN, read=1, status=200, timeouts=BY_READ, says=SILENT, shapes=TWO_SHAPES),  # noqa: E501 - a case
    Case(name="body stalls, total", scenario=answering(HALF, "stall"), verdict=UNKNOWN, read=1, status=200, timeouts=BY_TOTAL, says=NOT_WHOLE, shapes=TWO_SHAPES),  # noqa: E501 - a case
    Case(name="body drips, total", scenario=serving(scenarios.drip), verdict=UNKNOWN, read=1, status=200, timeouts=BY_TOTAL, says=NOT_WHOLE, shapes=TWO_SHAPES),  # noqa: E501 - a case
    # An answer that would fill the memory, or whose body cannot be read.
    Case(name="too large", scenario=answering(framed(b"x" * (MAX_RESPONSE_BYTES + 1))), verdict=UNKNOWN, read=1, status=200, says="larger", shapes=TWO_SHAPES),  # noqa: E501 - a case
    Case(name="too large, no length", scenario=answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_RESPONSE_BYTES + 1)), verdict=UNKNOWN, read=1, status=200, says="larger", shapes=TWO_SHAPES),  # noqa: E501 - a case
    Case(name="gzip bomb", scenario=answering(framed(BOMB, "Content-Encoding: gzip")), verdict=UNKNOWN, read=1, status=200, says="larger", shapes=TWO_SHAPES),  # noqa: E501 - a case
    Case(name="gzip cut short", scenario=answering(framed(gzip.compress(b"{}" * 99)[:-9], "Content-Encoding: gzip")), verdict=UNKNOWN, read=1, status=200, shapes=ONE_SHAPE),  # noqa: E501 - a case
    Case(name="gzip damaged", scenario=answering(framed(b"no gzip", "Content-Encoding: gzip")), verdict=UNKNOWN, read=1, status=200, shapes=ONE_SHAPE),  # noqa: E501 - a case
    Case(name="unknown coding", scenario=answering(framed(zlib.compress(b"{}"), "Content-Encoding: x-odd")), verdict=UNKNOWN, read=1, status=200, shapes=ONE_SHAPE),  # noqa: E501 - a case
    # Sent twice by a transport that repeats on its own.
    Case(name="stale keep-alive", scenario=scenarios.stale, verdict=TRUE, may_connect_anew=True),
    Case(name="processed, then FIN", scenario=answering(b""), verdict=UNKNOWN, read=1, shapes=RESENT_BY_SOME),
    Case(name="processed, then RST", scenario=answering(b"", "reset"), verdict=UNKNOWN, read=1, shapes=RESENT_BY_SOME),
    Case(name="processed, then FIN, a second one would be answered", scenario=serving(scenarios.close_first_answer_second), verdict=UNKNOWN, read=1, shapes=RESENT_BY_SOME),  # noqa: E501 - a case
    Case(name="processed, then FIN, listener gone", scenario=serving(scenarios.close_and_stop_listening), verdict=UNKNOWN, read=1, shapes=RESENT_BY_SOME),  # noqa: E501 - a case
    Case(name="redirected to a dead host", scenario=scenarios.redirect_to_dead_host, verdict=ANSWER, read=1, status=307),  # noqa: E501 - a case
)  # fmt: skip
