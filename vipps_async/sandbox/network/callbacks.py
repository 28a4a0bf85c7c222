"""Sends requests to the merchant: one attempt each, with a time limit, no redirects, and a record."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

import aiohttp
import orjson
from yarl import URL

from vipps_async.sandbox.ledger.clock import SandboxClock
from vipps_async.sandbox.network.history import CallbackRecord
from vipps_async.sandbox.network.workers import cancelled, run_workers, worked_off
from vipps_async.sandbox.wire.face import CALLBACK_TIMEOUT, CallbackJob
from vipps_async.sandbox.wire.urls import CallbackHosts

#: The largest answer that is read from a merchant, in bytes.
_MAX_ANSWER = 256 * 1024
#: Callbacks under way at a time.
_WORKERS = 16
#: Callbacks that may wait; what comes on top is lost, as callbacks may be.
_MAX_WAITING = 10_000
#: Seconds that closing waits for callbacks under way and waiting: a callback's own limit and a little more.
_DRAIN_TIMEOUT = CALLBACK_TIMEOUT + 1.0


#: Makes one request, given by method, URL, headers and body, and returns status and body of its answer. An OSError says
#: that there is none.
Deliver = Callable[[str, str, Mapping[str, str], bytes], Awaitable[tuple[int, bytes]]]


class _NoAnswer(Exception):  # noqa: N818 - says what happened
    """The connection broke. A class that aiohttp does not answer with a second attempt of its own."""


async def _only_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    # aiohttp repeats a DELETE by itself when the connection breaks; these two classes are what it watches for.
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _NoAnswer(type(error).__name__) from error


class CallbackSender:
    """Delivers callbacks from a bounded queue, and asks for shipping methods while the customer waits.

    Args:
        clock: the sandbox's clock, for the records.
        keep: how many records are kept; 0: none.
        hosts: which hosts are called.
        copies: says, for each callback, how often it is delivered; Vipps may lose one, or send it twice.
        changed: is called after each record.
    """

    def __init__(
        self,
        clock: SandboxClock,
        *,
        keep: int,
        hosts: CallbackHosts,
        copies: Callable[[CallbackJob], int],
        changed: Callable[[], None],
    ) -> None:
        self.records: deque[CallbackRecord] = deque(maxlen=keep)
        #: Makes the requests in the place of HTTP, to whatever URL; None: HTTP does.
        self.deliver: Deliver | None = None
        self._clock = clock
        self._hosts = hosts
        self._copies = copies
        self._changed = changed
        self._queue: asyncio.Queue[CallbackJob] = asyncio.Queue(_MAX_WAITING)
        self._session: aiohttp.ClientSession | None = None
        self._supervisor: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the HTTP client and start the workers."""
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_only_once,),
            skip_auto_headers=("User-Agent",),
            headers={"User-Agent": "Vipps-Sandbox"},
        )
        self._supervisor = asyncio.create_task(
            run_workers(self._queue, self.call, most=_WORKERS, name="vipps sandbox callback worker"),
            name="vipps sandbox callbacks",
        )

    def send(self, job: CallbackJob) -> None:
        """Put a callback in the queue; if the queue is full, the callback is lost and recorded as such."""
        copies = self._copies(job)
        if copies == 0:
            self.lost(job, "lost by a fault")
        for _ in range(copies):
            try:
                self._queue.put_nowait(job)
            except asyncio.QueueFull:
                self.lost(job, "lost: too many callbacks are waiting")

    def lost(self, job: CallbackJob, why: str) -> None:
        """Record a request that is not made."""
        self._record(job, {}, b"", failure=why)

    async def delivered(self) -> None:
        """Wait until every callback so far has been attempted."""
        await worked_off(self._queue, self._supervisor, name="vipps sandbox callbacks attempted")

    async def aclose(self) -> None:
        """Attempt what is still waiting for a few seconds, record the rest as not attempted, and close."""
        if self._supervisor is None or self._session is None:
            return
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_TIMEOUT):
                    await self.delivered()
        finally:
            try:
                await cancelled(self._supervisor)
            finally:
                while not self._queue.empty():
                    self._record(self._queue.get_nowait(), {}, b"", failure="not attempted: the sandbox was closed")
                    self._queue.task_done()
                await self._session.close()
                self._session = self._supervisor = None

    async def call(self, job: CallbackJob) -> tuple[int, bytes] | None:
        """Make a request now, once; return status and body of the answer, or None if there was none."""
        body = b"" if job.body is None else orjson.dumps(job.body)
        headers = {"Content-Type": "application/json;charset=UTF-8"} if body else {}
        if job.auth_token is not None:
            headers["Authorization"] = job.auth_token
        headers |= job.headers
        failure = None if self.deliver is not None else self._hosts.why_not_called(job.url)
        if failure is None and self._session is None:
            failure = "not attempted: the sandbox is not running"
        if failure is not None or self._session is None:
            self._record(job, headers, body, failure=failure or "")
            return None
        status: int | None = None
        failure = "cancelled: the sandbox was closed"
        answer = b""
        deliver = self.deliver or functools.partial(_by_http, self._session)
        try:
            async with asyncio.timeout(job.timeout):
                status, answer = await deliver(job.method, job.url, headers, body)
            failure = ""
        except TimeoutError:
            failure = f"no answer within {job.timeout:g} seconds"
        except (aiohttp.ClientError, _NoAnswer, OSError, ValueError) as error:
            # The class alone: texts of network errors repeat URLs.
            failure = f"no answer: {type(error.__cause__ or error).__name__}"
        finally:
            self._record(job, headers, body, status=status, answer=answer, failure=failure)
        return None if status is None else (status, answer)

    def _record(
        self,
        job: CallbackJob,
        headers: Mapping[str, str],
        body: bytes,
        *,
        status: int | None = None,
        answer: bytes = b"",
        failure: str,
    ) -> None:
        self.records.append(
            CallbackRecord(
                kind=job.kind,
                order_id=job.order_id,
                merchant_serial_number=job.merchant_serial_number,
                method=job.method,
                url=job.url,
                headers=headers,
                body=body,
                status=status,
                answer=answer,
                failure=failure,
                at=self._clock.now(),
            )
        )
        self._changed()


async def _by_http(
    session: aiohttp.ClientSession, method: str, url: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, bytes]:
    async with session.request(
        method,
        URL(url, encoded=True),
        data=body or None,
        headers=headers,
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(total=None),
    ) as response:
        answer = await response.content.read(_MAX_ANSWER)
        while not response.content.at_eof() and len(answer) < _MAX_ANSWER:
            answer += await response.content.read(_MAX_ANSWER - len(answer))
        return response.status, answer
