"""Delivers callbacks to an application in this process, by the `request` method of an httpx or test client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Protocol

from vipps_async.sandbox.network.callbacks import Deliver


class AppResponse(Protocol):
    """The application's answer, as httpx has it."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        ...

    @property
    def content(self) -> bytes:
        """The body."""
        ...


class AsyncRequest(Protocol):
    """The method `request` of `httpx.AsyncClient`, and whatever can be called so."""

    def __call__(self, method: str, url: str, /, *, content: bytes, headers: dict[str, str]) -> Awaitable[AppResponse]:
        """Make a request."""
        ...


class SyncRequest(Protocol):
    """The method `request` of Starlette's `TestClient`, and whatever can be called so."""

    def __call__(self, method: str, url: str, /, *, content: bytes, headers: dict[str, str]) -> AppResponse:
        """Make a request."""
        ...


def by_async(request: AsyncRequest) -> Deliver:
    """Deliver by a function that is awaited."""

    async def deliver(method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        try:
            answer = await request(method, url, content=body, headers=dict(headers))
        except Exception as error:
            # Whatever the application raises is no answer to Vipps.
            raise ConnectionError("the application gave no answer") from error
        return answer.status_code, answer.content

    return deliver


def by_sync(request: SyncRequest) -> Deliver:
    """Deliver by a plain function, in a thread: it may take its time, and call the sandbox meanwhile."""

    async def in_a_thread(method: str, url: str, /, *, content: bytes, headers: dict[str, str]) -> AppResponse:
        return await asyncio.to_thread(request, method, url, content=content, headers=headers)

    return by_async(in_a_thread)
