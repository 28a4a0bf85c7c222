"""An answer that comes through aiohttp, read to its end, within bounds and no further."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol, TypedDict

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDictProxy

from vipps_async.transports.content_coding import UnreadableAnswer, decoded
from vipps_async.transports.protocol import MAX_RESPONSE_BYTES, Response

__all__ = ["BOUNDS", "Answer", "read_answer"]


class _Bounds(TypedDict):
    read_bufsize: int
    max_line_size: int
    max_field_size: int


#: aiohttp's defaults, in bytes; an adopted session could have a buffer that outgrows MAX_RESPONSE_BYTES, or the like.
BOUNDS: Final[_Bounds] = {"read_bufsize": 64 * 1024, "max_line_size": 8190, "max_field_size": 8190}


class Answer(Protocol):
    """What there is of an answer once its headers have come."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The headers, as aiohttp reads them."""
        ...

    @property
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers, byte for byte."""
        ...

    @property
    def content(self) -> aiohttp.StreamReader:
        """The body."""
        ...


class _Headers(Mapping[str, str]):
    """Headers with names in lower case, the last one of a name; made when somebody looks, which few do."""

    __slots__ = ("_items", "_raw")

    def __init__(self, raw: tuple[tuple[bytes, bytes], ...]) -> None:
        self._raw = raw
        self._items: dict[str, str] | None = None

    def _read(self) -> dict[str, str]:
        if self._items is None:
            # latin-1 reads every byte; headers that matter are ASCII (RFC 9110 5.5).
            self._items = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._raw}
        return self._items

    def __getitem__(self, name: str) -> str:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


async def read_answer(
    answer: Answer | aiohttp.ClientResponse,
    *,
    connection: ResponseHandler | None,
    progress: Callable[[], None] | None = None,
) -> Response:
    """Read an answer to its end.

    Args:
        answer: its head.
        connection: the connection it comes over, if that is known.
        progress: called whenever there is more to wait for.

    Raises:
        UnreadableAnswer: it is too large, or cannot be decompressed, or its status is none.
        aiohttp.ClientError: it broke off.
    """
    status = answer.status
    if not 200 <= status <= 599:
        # 101 would leave HTTP, and the others do not exist (RFC 9110 15).
        raise UnreadableAnswer(f"{status} is no status of an answer")
    headers = answer.headers
    body = await _body(answer.content, progress)
    if not (hdrs.CONTENT_LENGTH in headers or hdrs.TRANSFER_ENCODING in headers) and connection is not None:
        # Such a body ends where the connection does, and aiohttp takes a reset for that end as well.
        lost = connection.exception()
        if isinstance(lost, aiohttp.ClientOSError):
            raise lost
    read = _Headers(answer.raw_headers)
    if hdrs.CONTENT_ENCODING in headers:
        body = decoded(body, read["content-encoding"], limit=MAX_RESPONSE_BYTES)
    return Response(status=status, headers=read, body=body)


async def _body(content: aiohttp.StreamReader, progress: Callable[[], None] | None) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        if progress is not None and not content.is_eof():
            progress()
        part = await content.readany()
        if not part:
            break
        size += len(part)
        if size > MAX_RESPONSE_BYTES:
            raise UnreadableAnswer(f"it is larger than {MAX_RESPONSE_BYTES} bytes")
        parts.append(part)
        if content.at_eof():
            break
    return parts[0] if len(parts) == 1 else b"".join(parts)
