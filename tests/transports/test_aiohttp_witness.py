"""The witness of the aiohttp transport, held against a bare connection: it is written once at most."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_writer import StreamWriter
from multidict import CIMultiDict

from vipps_async.transports import Request
from vipps_async.transports.aiohttp_adopted import WitnessedBody
from vipps_async.transports.early_answer import AnsweredTooEarly
from vipps_async.transports.unread_bytes import UnreadBytes


def _attempt() -> WitnessedBody:
    return WitnessedBody(
        Request(method="PUT", url="http://h", headers={}, body=b"{}"), UnreadBytes(), replace_headers=False
    )


async def _connection(*, closing: bool = False) -> tuple[ResponseHandler, StreamWriter, Mock]:
    loop = asyncio.get_running_loop()
    protocol = ResponseHandler(loop)
    wire = Mock(spec=asyncio.Transport)
    wire.is_closing.return_value = closing
    wire.get_extra_info.return_value = None
    protocol.connection_made(wire)
    writer = StreamWriter(protocol, loop)
    await writer.write_headers("PUT / HTTP/1.1", CIMultiDict({"Content-Length": "2"}))
    return protocol, writer, wire


async def test_headers_are_written_with_the_body_and_not_before() -> None:
    """The first byte of the headers leaves inside the witness's own call: the proof that all else rests on."""
    attempt = _attempt()
    _, writer, wire = await _connection()
    assert (wire.write.called, attempt.sent) == (False, False)
    await attempt.write(writer)
    assert (wire.write.called, attempt.sent) == (True, True)
    assert (
        b"".join(call.args[0] for call in wire.write.call_args_list) == b"PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
    )


async def test_it_is_written_once_only() -> None:
    """A second write, by any way of resending, puts not one byte on its connection."""
    attempt = _attempt()
    await attempt.write((await _connection())[1])
    _, writer, wire = await _connection()
    with pytest.raises(aiohttp.ClientConnectionError):
        await attempt.write(writer)
    assert not wire.write.called


async def test_it_is_not_written_after_it_was_given_up() -> None:
    """Once an attempt is over its verdict stands: nothing is written afterwards."""
    attempt = _attempt()
    attempt.over = True
    _, writer, wire = await _connection()
    with pytest.raises(aiohttp.ClientConnectionError):
        await attempt.write(writer)
    assert not wire.write.called
    assert not attempt.sent


async def test_nothing_is_sent_on_a_connection_that_is_closing() -> None:
    """A connection that closed while the request waited for its turn has not been written to, and counts so."""
    attempt = _attempt()
    _, writer, wire = await _connection(closing=True)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await attempt.write(writer)
    assert not wire.write.called
    assert not attempt.sent


async def test_nothing_is_sent_where_bytes_are_waiting() -> None:
    """A connection over which something has come unasked is not written to."""
    attempt = _attempt()
    protocol, writer, wire = await _connection()
    protocol.data_received(b"HTTP/1.1 408 Time-out\r\n\r\n")
    with pytest.raises(AnsweredTooEarly):
        await attempt.write(writer)
    assert not wire.write.called
    assert not attempt.sent
