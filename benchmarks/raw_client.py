"""The least that a client can do: fixed bytes over open sockets, so that the server's own limit can be seen.

Run as a process: `python -m benchmarks.raw_client URL CALLS`; prints the seconds that the calls took.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from urllib.parse import urlsplit

from benchmarks import machine

__all__ = ["seconds_for"]

_CONNECTIONS = 64
_BODY = b'{"merchantInfo":{"merchantSerialNumber":"123456"},"transaction":{"amount":1000,"transactionText":"Raw"}}'
#: More than any answer here, which then comes in one piece.
_MOST = 65536


def seconds_for(url: str, calls: int) -> float:
    """Make so many captures over 64 connections, without looking at the answers, and return how long they took.

    Args:
        url: the server.
        calls: how many, at least one for each connection.
    """
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    head = (
        f"POST /ecomm/v2/payments/acme-shop-1/capture HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n\r\n"
    )
    request = head.encode() + _BODY
    sockets = {}
    poll = select.epoll()
    for _ in range(_CONNECTIONS):
        connection = socket.create_connection((parts.hostname, parts.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[connection.fileno()] = connection
        poll.register(connection, select.EPOLLIN)
    started = time.perf_counter()
    for connection in sockets.values():
        connection.send(request)
    sent, answered = len(sockets), 0
    while answered < calls:
        for number, _ in poll.poll():
            connection = sockets[number]
            if not connection.recv(_MOST):
                raise ConnectionError("the server closed the connection")
            answered += 1
            if sent < calls:
                connection.send(request)
                sent += 1
    seconds = time.perf_counter() - started
    poll.close()
    for connection in sockets.values():
        connection.close()
    return seconds


if __name__ == "__main__":
    machine.pin(0, machine.CLIENT_CORE)
    print(seconds_for(sys.argv[1], int(sys.argv[2])))
