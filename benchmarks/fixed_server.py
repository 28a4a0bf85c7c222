"""A server in pure Python that answers every call at once with the same bytes: where there is no nginx.

It also counts what it is asked, and can hold its answers back; for both there are paths of its own: `/counts` tells
the numbers, `/release` sends the answers that are held.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
from attrs import define, field

from benchmarks.answers import CAPTURE, DETAILS, EPAYMENT_CAPTURE, INITIATE, ORDER_ID, TOKEN

__all__ = ["ROOT", "process", "running"]

#: The project's directory, where `python -m benchmarks...` finds itself.
ROOT = Path(__file__).parents[1]

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
_ASKED_ORDER = re.compile(rb'"orderId":\s*"([^"]+)"')
#: How long the queue of connections that wait to be accepted may be: a thousand come at once.
_BACKLOG = 8192


def _template(answer: str) -> bytes:
    return answer.replace("%", "%%").replace(ORDER_ID, "%s").encode()


_INITIATE = _template(INITIATE)
_ANSWERS = {
    (b"ecomm", b"capture"): _template(CAPTURE),
    (b"ecomm", b"details"): _template(DETAILS),
    (b"epayment", b"capture"): _template(EPAYMENT_CAPTURE),
}


@define
class _Till:
    """What all connections share."""

    #: How long each answer takes, in seconds.
    answer_time: float
    #: Whether answers wait for `/release`.
    holds: bool
    counts: Counter[str] = field(factory=Counter)
    held: list[tuple[asyncio.Transport, bytes]] = field(factory=list)

    def release(self) -> None:
        for transport, answer in self.held:
            transport.write(answer)
        self.held.clear()


class _FixedAnswer(asyncio.Protocol):
    """Reads just enough HTTP/1.1 to know where a request ends and which order it is about."""

    def __init__(self, till: _Till) -> None:
        self._waiting = b""
        self._till = till

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to answer on."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._waiting += data
        while (end := self._waiting.find(b"\r\n\r\n")) >= 0:
            head = self._waiting[:end]
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if len(self._waiting) < end + 4 + length:
                return
            request_body = self._waiting[end + 4 : end + 4 + length]
            self._waiting = self._waiting[end + 4 + length :]
            self._answer(head.split(b" ", 2)[1], request_body)

    def _answer(self, path: bytes, request_body: bytes) -> None:
        till = self._till
        parts = path.split(b"/")
        if path == b"/counts":
            self._transport.write(_framed(orjson.dumps({**till.counts, "held": len(till.held)})))
        elif path == b"/release":
            till.release()
            self._transport.write(_framed(b"{}"))
        elif parts[1].lower() == b"accesstoken":
            till.counts["token"] += 1
            self._send(_framed(TOKEN.encode()), hold=False)
        elif parts[1] == b"sandbox":
            # A session with a journal asks which sandbox it is: none.
            self._transport.write(_framed(b"{}"))
        elif len(parts) > 5:
            till.counts["other"] += 1
            self._send(
                _framed(_ANSWERS.get((parts[1], parts[5]), _ANSWERS[b"ecomm", b"capture"]) % parts[4]), hold=till.holds
            )
        else:
            till.counts["other"] += 1
            asked = _ASKED_ORDER.search(request_body)
            assert asked is not None
            self._send(_framed(_INITIATE % asked[1]), hold=till.holds)

    def _send(self, answer: bytes, *, hold: bool) -> None:
        if hold:
            self._till.held.append((self._transport, answer))
        elif self._till.answer_time:
            asyncio.get_running_loop().call_later(self._till.answer_time, self._transport.write, answer)
        else:
            self._transport.write(answer)


def _framed(body: bytes) -> bytes:
    return _HEAD % (len(body), body)


async def _serve(till: _Till) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _FixedAnswer(till), "127.0.0.1", 0, backlog=_BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def process(answer_time: float = 0.0, *, hold: bool = False) -> Iterator[tuple[str, int]]:
    """Run the server in a process of its own; gives its URL and the id of the process.

    Args:
        answer_time: how long it takes over each answer, in seconds.
        hold: keep the answers back until `/release` is asked for.
    """
    command = [sys.executable, "-m", "benchmarks.fixed_server", str(answer_time), "hold" if hold else "answer"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}", server.pid
        finally:
            server.terminate()


@contextlib.contextmanager
def running(answer_time: float = 0.0) -> Iterator[str]:
    """Run the server in a process of its own; gives its URL.

    Args:
        answer_time: how long it takes over each answer, in seconds.
    """
    with process(answer_time) as (url, _):
        yield url


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(_Till(answer_time=float(sys.argv[1]), holds=sys.argv[2] == "hold")))
