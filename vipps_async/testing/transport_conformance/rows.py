"""Every way in which a connection can fail, as rows that any transport must get right."""

from __future__ import annotations

import enum
import gzip
import zlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from attrs import frozen

from vipps_async.config import Timeouts
from vipps_async.testing.transport_conformance import scenes
from vipps_async.testing.transport_conformance.scenes import CANARY, LONG, SHORT, Scene, answering, framed, serving
from vipps_async.transports.protocol import MAX_RESPONSE_BYTES, Request

__all__ = ["ROWS", "Row", "Verdict"]

BODY = b'{"transaction":{"transactionText":"' + CANARY.encode() + b'"}}'


class Verdict(enum.Enum):
    """What a transport must say of a request."""

    NOT_SENT = "not sent"
    UNKNOWN = "unknown"
    #: The other side is free to be faster than the write or not: either, whichever is true.
    TRUE = "not sent or unknown"
    ANSWER = "an answer"


@frozen(kw_only=True)
class Row:
    """One way to fail, and what must come of it."""

    name: str
    scene: Callable[[], AbstractAsyncContextManager[Scene]]
    verdict: Verdict
    #: Complete requests that the server has read in the end, those before the failing one not counted.
    read: int = 0
    #: The status that the transport must have kept.
    status: int | None = None
    #: Whether losing the status is no fault, because it stands in a part of the answer that was never whole.
    status_may_be_lost: bool = False
    #: Whether it is right as well to notice the failure beforehand and to be answered over a new connection.
    may_connect_anew: bool = False
    #: What the message must say where words are checked, as a regular expression.
    says: str = ""
    timeouts: Timeouts = Timeouts(connect=LONG, read=LONG, total=LONG)
    shapes: tuple[str, ...] = ("POST", "empty POST", "GET", "PUT", "empty PUT")

    def request(self, shape: str, url: str) -> Request:
        """Make the request of this row in one of its shapes."""
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

ROWS = (
    # Before a connection stands.
    Row(name="connection refused", scene=scenes.refused, verdict=NOT_SENT, says="connection refused"),
    Row(name="name not found", scene=scenes.unresolvable, verdict=NOT_SENT, says="vipps.invalid:80"),
    Row(name="connect time-out", scene=scenes.backlog, verdict=NOT_SENT, timeouts=BY_CONNECT, says=NO_CONNECTION, shapes=TWO_SHAPES),  # noqa: E501 - a row
    Row(name="connecting, total time-out", scene=scenes.backlog, verdict=NOT_SENT, timeouts=BY_TOTAL, says=NOT_WHOLE, shapes=TWO_SHAPES),  # noqa: E501 - a row
    Row(name="waiting for the pool, connect", scene=scenes.pool_taken, verdict=NOT_SENT, timeouts=BY_CONNECT, says=NO_CONNECTION, shapes=TWO_SHAPES),  # noqa: E501 - a row
    Row(name="waiting for the pool, total", scene=scenes.pool_taken, verdict=NOT_SENT, timeouts=BY_TOTAL, says=f"{NO_CONNECTION}|{NOT_WHOLE}", shapes=TWO_SHAPES),  # noqa: E501 - a row
    # TLS.
    Row(name="untrusted certificate", scene=scenes.tls(trusted=False), verdict=NOT_SENT, says="certificate"),
    Row(name="certificate of another host", scene=scenes.tls(name="example.org"), verdict=NOT_SENT, says="certificate"),
    Row(name="plaintext on a TLS port", scene=scenes.tls_to_plain(scenes.plaintext), verdict=NOT_SENT),
    Row(name="RST in the handshake", scene=scenes.tls_to_plain(scenes.after_first_bytes("reset")), verdict=NOT_SENT),
    Row(name="FIN in the handshake", scene=scenes.tls_to_plain(scenes.after_first_bytes("close")), verdict=NOT_SENT),
    Row(name="handshake stalls, connect", scene=scenes.tls_to_plain(scenes.after_first_bytes("stall")), verdict=NOT_SENT, timeouts=BY_CONNECT, says=NO_CONNECTION, shapes=TWO_SHAPES),  # noqa: E501 - a row
    Row(name="handshake stalls, total", scene=scenes.tls_to_plain(scenes.after_first_bytes("stall")), verdict=NOT_SENT, timeouts=BY_TOTAL, says=NOT_WHOLE, shapes=TWO_SHAPES),  # noqa: E501 - a row
    # TLS 1.3: the client may write as soon as it has sent its own last message, before the server has judged it.
    Row(name="client certificate refused", scene=scenes.client_certificate_wanted, verdict=TRUE),
    # A proxy: what it reads is not the request.
    Row(name="proxy refused", scene=scenes.through_proxy(None), verdict=NOT_SENT, says="proxy"),
    Row(name="proxy refuses CONNECT", scene=scenes.through_proxy(scenes.refused_tunnel(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")), verdict=NOT_SENT, says="proxy.*407"),  # noqa: E501 - a row
    Row(name="proxy closes on CONNECT", scene=scenes.through_proxy(scenes.refused_tunnel(b"")), verdict=NOT_SENT, says="proxy"),  # noqa: E501 - a row
    Row(name="proxy answers CONNECT with garbage", scene=scenes.through_proxy(scenes.refused_tunnel(b"hello?\r\n\r\n")), verdict=NOT_SENT),  # noqa: E501 - a row
    Row(name="proxy stalls on CONNECT", scene=scenes.through_proxy(scenes.after_first_bytes("stall")), verdict=NOT_SENT, timeouts=BY_CONNECT, says=NO_CONNECTION, shapes=TWO_SHAPES),  # noqa: E501 - a row
    # A connection stands, no answer comes.
    Row(name="RST at accept", scene=serving(scenes.at_accept("reset")), verdict=TRUE),
    Row(name="FIN at accept", scene=serving(scenes.at_accept("close")), verdict=TRUE),
    # Whatever leaves is read here, so that "not sent" is held to the truth.
    Row(name="FIN at accept, by one who reads on", scene=serving(scenes.fin_and_take_in), verdict=TRUE),
    Row(name="RST in the middle of the request", scene=serving(scenes.after_first_bytes("reset")), verdict=UNKNOWN),
    Row(name="FIN in the middle of the request", scene=serving(scenes.after_first_bytes("close")), verdict=UNKNOWN),
    Row(name="RST after the request", scene=answering(b"", "reset"), verdict=UNKNOWN, read=1),
    Row(name="FIN after the request", scene=answering(b""), verdict=UNKNOWN, read=1),
    Row(name="no answer, read time-out", scene=answering(b"", "stall"), verdict=UNKNOWN, read=1, timeouts=BY_READ, shapes=TWO_SHAPES, says=SILENT),  # noqa: E501 - a row
    Row(name="no answer, total time-out", scene=answering(b"", "stall"), verdict=UNKNOWN, read=1, timeouts=BY_TOTAL, says=NOT_WHOLE, shapes=TWO_SHAPES),  # noqa: E501 - a row
    # An answer that is none.
    Row(name="garbage", scene=answering(b"hello?\r\n\r\n"), verdict=UNKNOWN, read=1),
    Row(name="garbage, held open", scene=answering(b"hello?\r\n\r\n", "stall"), verdict=UNKNOWN, read=1),
    Row(name="a TLS alert", scene=answering(b"\x15\x03\x03\x00\x02\x02\x28"), verdict=UNKNOWN, read=1),
    Row(name="a status that does not exist", scene=answering(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"), verdict=UNKNOWN, read=1),  # noqa: E501 - a row
    Row(name="another protocol", scene=answering(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "stall"), verdict=UNKNOWN, read=1),  # noqa: E501 - a row
    Row(name="status line cut short", scene=answering(b"HTTP/1.1 20"), verdict=UNKNOWN, read=1),
    Row(name="an interim answer only", scene=answering(b"HTTP/1.1 100 Continue\r\n\r\n"), verdict=UNKNOWN, read=1),
    Row(name="endless header", scene=answering(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2_000_000), verdict=UNKNOWN, read=1),
    # An answer that breaks off behind its status line.
    Row(name="headers cut short", scene=answering(b"HTTP/1.1 200 OK\r\nContent-Le"), verdict=UNKNOWN, read=1, status=200, status_may_be_lost=True),  # noqa: E501 - a row
    Row(name="body cut short", scene=answering(HALF), verdict=UNKNOWN, read=1, status=200),
    Row(name="body reset", scene=answering(HALF, "reset"), verdict=UNKNOWN, read=1, status=200),
    Row(name="chunked body cut short", scene=answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"), verdict=UNKNOWN, read=1, status=200),  # noqa: E501 - a row
    Row(name="chunks damaged", scene=answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"), verdict=UNKNOWN, read=1, status=200, status_may_be_lost=True),  # noqa: E501 - a row
    Row(name="body without length, reset", scene=answering(b"HTTP/1.1 200 OK\r\n\r\n{", "reset"), verdict=UNKNOWN, read=1, status=200),  # noqa: E501 - a row
    Row(name="body stalls, read", scene=answering(HALF, "stall"), verdict=UNKNOWN, read=1, status=200, timeouts=BY_READ, says=SILENT, shapes=TWO_SHAPES),  # noqa: E501 - a row
    Row(name="body stalls, total", scene=answering(HALF, "stall"), verdict=UNKNOWN, read=1, status=200, timeouts=BY_TOTAL, says=NOT_WHOLE, shapes=TWO_SHAPES),  # noqa: E501 - a row
    Row(name="body drips, total", scene=serving(scenes.drip), verdict=UNKNOWN, read=1, status=200, timeouts=BY_TOTAL, says=NOT_WHOLE, shapes=TWO_SHAPES),  # noqa: E501 - a row
    # An answer that would fill the memory, or whose body cannot be read.
    Row(name="too large", scene=answering(framed(b"x" * (MAX_RESPONSE_BYTES + 1))), verdict=UNKNOWN, read=1, status=200, says="larger", shapes=TWO_SHAPES),  # noqa: E501 - a row
    Row(name="too large, no length", scene=answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_RESPONSE_BYTES + 1)), verdict=UNKNOWN, read=1, status=200, says="larger", shapes=TWO_SHAPES),  # noqa: E501 - a row
    Row(name="gzip bomb", scene=answering(framed(BOMB, "Content-Encoding: gzip")), verdict=UNKNOWN, read=1, status=200, says="larger", shapes=TWO_SHAPES),  # noqa: E501 - a row
    Row(name="gzip cut short", scene=answering(framed(gzip.compress(b"{}" * 99)[:-9], "Content-Encoding: gzip")), verdict=UNKNOWN, read=1, status=200, shapes=ONE_SHAPE),  # noqa: E501 - a row
    Row(name="gzip damaged", scene=answering(framed(b"no gzip", "Content-Encoding: gzip")), verdict=UNKNOWN, read=1, status=200, shapes=ONE_SHAPE),  # noqa: E501 - a row
    Row(name="unknown coding", scene=answering(framed(zlib.compress(b"{}"), "Content-Encoding: x-odd")), verdict=UNKNOWN, read=1, status=200, shapes=ONE_SHAPE),  # noqa: E501 - a row
    # Sent twice by a transport that repeats on its own.
    Row(name="stale keep-alive", scene=scenes.stale, verdict=TRUE, may_connect_anew=True),
    Row(name="processed, then FIN", scene=answering(b""), verdict=UNKNOWN, read=1, shapes=RESENT_BY_SOME),
    Row(name="processed, then RST", scene=answering(b"", "reset"), verdict=UNKNOWN, read=1, shapes=RESENT_BY_SOME),
    Row(name="processed, then FIN, a second one would be answered", scene=serving(scenes.close_first_answer_second), verdict=UNKNOWN, read=1, shapes=RESENT_BY_SOME),  # noqa: E501 - a row
    Row(name="processed, then FIN, listener gone", scene=serving(scenes.close_and_stop_listening), verdict=UNKNOWN, read=1, shapes=RESENT_BY_SOME),  # noqa: E501 - a row
    Row(name="redirected to a dead host", scene=scenes.redirect_to_dead_host, verdict=ANSWER, read=1, status=307),
)  # fmt: skip
