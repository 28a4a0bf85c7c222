"""A server of bare sockets that fails on cue, and counts the complete requests that it has read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from attrs import define, field, frozen

#: Seconds that any single wait in a script may take: far more than it needs, so that only a hang reaches it.
PATIENCE = 10.0

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@frozen
class ReceivedRequest:
    """One complete request, exactly as it came."""

    #: The request line, such as ``POST /path HTTP/1.1``.
    line: str
    #: The headers in their order and spelling.
    headers: tuple[tuple[str, str], ...]
    body: bytes


@define
class Connection:
    """One accepted connection, as a script sees it."""

    server: RawServer
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    #: Its number, from 0, in the order of acceptance.
    number: int

    async def read_request(self) -> ReceivedRequest:
        """Read one request to its end and count it."""
        head = await self._received(self.reader.readuntil(b"\r\n\r\n"))
        line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        headers = tuple((name, value.strip()) for name, _, value in (text.partition(":") for text in lines))
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        request = ReceivedRequest(line, headers, await self._received(self.reader.readexactly(length)))
        self.server.requests.append(request)
        return request

    async def read_some(self) -> bytes:
        """Wait for the first bytes of whatever comes."""
        return await self._received(self.reader.read(1))

    async def _received(self, reading: Awaitable[bytes]) -> bytes:
        data = await asyncio.wait_for(reading, PATIENCE)
        self.server.bytes_read += len(data)
        return data

    async def send(self, data: bytes) -> None:
        """Send bytes, whatever they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, data: bytes = OK) -> None:
        """Read a request and answer it."""
        await self.read_request()
        await self.send(data)

    def fin_now(self) -> None:
        """Send a FIN at once, without giving the event loop a chance to see it on the other side."""
        with self._socket() as twin:
            twin.shutdown(socket.SHUT_WR)

    def send_now(self, data: bytes) -> None:
        """Send bytes at once, without giving the event loop a chance to see them on the other side."""
        with self._socket() as twin:
            assert twin.send(data) == len(data)

    def _socket(self) -> socket.socket:
        # A second descriptor of the same connection: what an event loop hands out is no whole socket (uvloop's cannot
        # be shut down), and its transport may keep what is written until the loop's next turn.
        return socket.fromfd(self.writer.get_extra_info("socket").fileno(), socket.AF_INET, socket.SOCK_STREAM)

    def reset(self) -> None:
        """Close with a RST."""
        # Linger on, for no time: close() then drops the connection with a RST (socket(7), SO_LINGER).
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        """Close with a FIN."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await asyncio.wait_for(self.writer.wait_closed(), PATIENCE)

    async def stall(self) -> None:
        """Do nothing more until the server is stopped."""
        await self.server.stopping.wait()

    async def take_in(self) -> None:
        """Read and count bytes until the client closes the connection, without making requests of them."""
        while await self._received(self.reader.read(65536)):
            pass


Script = Callable[[Connection], Awaitable[None]]


@define
class RawServer:
    """The server, as a test sees it."""

    port: int = 0
    #: Every complete request, over all connections.
    requests: list[ReceivedRequest] = field(factory=list)
    connections: list[Connection] = field(factory=list)
    #: Bytes that scripts have read, complete requests or not.
    bytes_read: int = 0
    stopping: asyncio.Event = field(factory=asyncio.Event)
    listener: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The address over plain http."""
        return f"http://127.0.0.1:{self.port}"

    def stop_listening(self) -> None:
        """Refuse new connections, and leave the open ones alone."""
        assert self.listener is not None
        self.listener.close()


@contextlib.asynccontextmanager
async def raw_server(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Serve each connection on loopback by the script; a mistake in a script fails the test."""
    server = RawServer()
    mistakes: list[BaseException] = []
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        connection = Connection(server, reader, writer, len(server.connections))
        server.connections.append(connection)
        try:
            await script(connection)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client went away, which is what many of these tests are about
        except Exception as mistake:  # noqa: BLE001 - raised again below, in the test's own task
            mistakes.append(mistake)
        finally:
            writer.transport.abort()
            tasks.discard(task)

    server.listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    server.port = server.listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.stopping.set()
        server.listener.close()
        for connection in server.connections:
            connection.writer.transport.abort()  # wakes the scripts that wait for more
        if tasks:
            await asyncio.wait(tasks, timeout=PATIENCE)
        await asyncio.wait_for(server.listener.wait_closed(), PATIENCE)
    if mistakes:
        raise mistakes[0]


def dead_port() -> int:
    """Return a loopback port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """Yield a loopback port whose queue of connections is full, so that connecting to it takes for ever."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        # Linux queues one more than it is told; the third one is for good measure.
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003 - the method takes nothing else
            with contextlib.suppress(BlockingIOError):
                waiting.connect(("127.0.0.1", port))
        yield port
