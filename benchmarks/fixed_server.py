"""A server that answers every capture at once with the same bytes, so that the client is what is measured."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator

__all__ = ["running"]

_TOKEN = b'{"token_type":"Bearer","expires_in":"86400","access_token":"benchmark-token"}'
_CAPTURE = (
    b'{"paymentInstrument":"Visa","orderId":"%s","transactionInfo":{"amount":1000,'
    b'"timeStamp":"2026-01-01T12:00:00.000Z","transactionText":"Benchmark","status":"Captured",'
    b'"transactionId":"5000000001"},"transactionSummary":{"capturedAmount":1000,"remainingAmountToCapture":0,'
    b'"refundedAmount":0,"remainingAmountToRefund":1000}}'
)
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


class _FixedAnswer(asyncio.Protocol):
    """Reads just enough HTTP/1.1 to know where a request ends and which order it is about."""

    def __init__(self, answer_time: float) -> None:
        self._waiting = b""
        self._answer_time = answer_time

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
            self._waiting = self._waiting[end + 4 + length :]
            parts = head.split(b" ", 2)[1].split(b"/")
            body = _TOKEN if parts[1].lower() == b"accesstoken" else _CAPTURE % parts[4]
            answer = _HEAD % (len(body), body)
            if self._answer_time:
                asyncio.get_running_loop().call_later(self._answer_time, self._transport.write, answer)
            else:
                self._transport.write(answer)


async def _serve(answer_time: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _FixedAnswer(answer_time), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def running(answer_time: float = 0.0) -> Iterator[str]:
    """Run the server in a process of its own; gives its URL.

    Args:
        answer_time: how long it takes over each answer, in seconds.
    """
    command = [sys.executable, __file__, str(answer_time)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(float(sys.argv[1])))
