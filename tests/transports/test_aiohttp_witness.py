"""The witness of the aiohttp transport, held against a bare connection: it is written once at most."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_writer import StreamWriter
from multidict import CIMultiDict

from vipps_async import Request
from vipps_async.errors import InvalidInputError
from vipps_async.transports.aiohttp.failures import NotResent
from vipps_async.transports.aiohttp.one_write import PreparedRequest
from vipps_async.transports.aiohttp.session_request import WitnessedBody
from vipps_async.transports.failures import UnsolicitedData
from vipps_async.transports.http1 import parse_target


def _attempt() -> WitnessedBody:
    return WitnessedBody(Request(method="PUT", url="http://h", headers={}, body=b"{}"))


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
    with pytest.raises(NotResent):
        await attempt.write(writer)
    assert not wire.write.called
    assert not attempt.sent


async def test_nothing_is_sent_where_bytes_are_waiting() -> None:
    """A connection over which something has come unasked is not written to."""
    attempt = _attempt()
    protocol, writer, wire = await _connection()
    protocol.data_received(b"HTTP/1.1 408 Time-out\r\n\r\n")
    with pytest.raises(UnsolicitedData):
        await attempt.write(writer)
    assert not wire.write.called
    assert not attempt.sent


# --- the prepared request, which leaves in one write ----------------------------------------------------------------


def _prepared(**changes: Any) -> PreparedRequest:
    request = Request(method="PUT", url="http://h/p", headers={"X-A": "1"}, body=b"{}", **changes)
    return PreparedRequest(request, parse_target(request.url))


async def test_head_and_body_leave_in_one_write() -> None:
    """Nothing leaves before `write`, and then all of it in one call, with the witness set by then."""
    prepared = _prepared()
    protocol, _, wire = await _connection()
    wire.write.side_effect = lambda _data: seen.append(prepared.sent)
    seen: list[bool] = []
    assert (wire.write.called, prepared.sent) == (False, False)
    prepared.write(protocol)
    wire.write.assert_called_once_with(b"PUT /p HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nContent-Length: 2\r\n\r\n{}")
    assert not wire.writelines.called
    assert seen == [True], "from the first byte on it counts as sent"


async def test_a_write_that_fails_counts_as_sent() -> None:
    """If the write itself breaks, nobody can say how much of it went out."""
    prepared = _prepared()
    protocol, _, wire = await _connection()
    wire.write.side_effect = OSError
    with pytest.raises(OSError):  # noqa: PT011 - this very one
        prepared.write(protocol)
    assert prepared.sent


async def test_a_prepared_request_is_written_once_only() -> None:
    """A second write, by any way of resending, puts not one byte on its connection."""
    prepared = _prepared()
    prepared.write((await _connection())[0])
    protocol, _, wire = await _connection()
    with pytest.raises(aiohttp.ClientConnectionError):
        prepared.write(protocol)
    assert not wire.write.called


async def test_a_prepared_request_is_not_written_after_it_was_given_up() -> None:
    """Once a prepared request is over its verdict stands: nothing is written afterwards."""
    prepared = _prepared()
    prepared.over = True
    protocol, _, wire = await _connection()
    with pytest.raises(aiohttp.ClientConnectionError):
        prepared.write(protocol)
    assert not wire.write.called
    assert not prepared.sent


@pytest.mark.parametrize("how", ["closing", "lost", "closed"])
async def test_no_prepared_request_goes_to_a_connection_that_is_closing(how: str) -> None:
    """A connection that closed while the request waited for its turn has not been written to, and counts so."""
    prepared = _prepared()
    protocol, _, wire = await _connection(closing=how == "closing")
    if how == "lost":
        protocol.connection_lost(None)
    if how == "closed":
        protocol.close()
    with pytest.raises(NotResent) as caught:
        prepared.write(protocol)
    assert isinstance(caught.value.error, aiohttp.ServerDisconnectedError)
    assert not wire.write.called
    assert not prepared.sent


@pytest.mark.parametrize("parsed", [False, True])
async def test_no_prepared_request_goes_where_bytes_are_waiting(*, parsed: bool) -> None:
    """A connection over which something has come unasked is not written to, whether aiohttp has read it or not."""
    prepared = _prepared()
    protocol, _, wire = await _connection()
    if parsed:
        protocol.set_response_params()
    protocol.data_received(b"HTTP/1.1 408 Time-out\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(UnsolicitedData):
        prepared.write(protocol)
    assert not wire.write.called
    assert not prepared.sent


def test_a_prepared_request_is_refused_before_it_exists() -> None:
    """What cannot be written is an error while nothing is open yet."""
    with pytest.raises(InvalidInputError):
        PreparedRequest(Request(method="PUT", url="http://h", headers={"A B": "1"}), parse_target("http://h"))


def test_without_a_limit_no_request_times_out() -> None:
    """A prepared request that was given no limit notes progress, and names none."""
    prepared = _prepared()
    prepared.progress()
    assert prepared.timed_out() is None
