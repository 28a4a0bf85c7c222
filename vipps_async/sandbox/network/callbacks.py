"""Sends requests to the merchant: callbacks, webhooks and shipping requests, each with a time limit and a record."""

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
from vipps_async.sandbox.ledger.entries import PaymentOutcome
from vipps_async.sandbox.ledger.events import Event
from vipps_async.sandbox.ledger.orders import Order
from vipps_async.sandbox.ledger.reasons import SandboxError
from vipps_async.sandbox.ledger.registrations import Registrations
from vipps_async.sandbox.network.history import CallbackRecord
from vipps_async.sandbox.network.webhooks import WebhookSender
from vipps_async.sandbox.network.workers import cancelled, run_workers, worked_off
from vipps_async.sandbox.wire.face import CALLBACK_TIMEOUT, CallbackJob, Face
from vipps_async.sandbox.wire.urls import CallbackHosts

#: The largest answer that is read from a merchant, in bytes.
_MAX_ANSWER = 256 * 1024
#: Callbacks under way at a time.
_WORKERS = 16
#: Length of the queue of callbacks; a callback that finds it full is lost, which Vipps allows itself, too.
_MAX_WAITING = 10_000
#: Seconds that closing waits for callbacks under way and waiting: a callback's own limit and a little more.
_DRAIN_TIMEOUT = CALLBACK_TIMEOUT + 1.0


#: Makes one request, given by method, URL, headers and body; returns status and body of its answer, or raises OSError
#: if there is none.
Deliver = Callable[[str, str, Mapping[str, str], bytes], Awaitable[tuple[int, bytes]]]


class _NoAnswer(Exception):  # noqa: N818 - says what happened
    """The connection broke. aiohttp repeats a request after its own errors, but not after this one."""


async def _only_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    # aiohttp repeats a DELETE by itself when the connection breaks; these two classes are what it watches for.
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _NoAnswer(type(error).__name__) from error


class CallbackSender:
    """Delivers callbacks from a bounded queue, webhooks, and requests whose answer is needed at once.

    Each request is one attempt that follows no redirect. Callbacks and requests are not repeated; webhooks are.

    Args:
        clock: the sandbox's clock, for the records and the repetitions.
        faces: the APIs, by name: they say what is sent, and where.
        registrations: which URLs get which webhooks.
        hosts: which hosts are called.
        keep: how many records are kept; 0: none.
        copies: tells how often a callback or webhook about a payment is delivered: a fault may lose or repeat it.
    """

    def __init__(
        self,
        clock: SandboxClock,
        faces: Mapping[str, Face],
        registrations: Registrations,
        *,
        hosts: CallbackHosts,
        keep: int,
        copies: Callable[[str], int],
    ) -> None:
        self.records: deque[CallbackRecord] = deque(maxlen=keep)
        #: Makes the requests instead of the HTTP client, to any URL; None: the HTTP client makes them.
        self.deliver: Deliver | None = None
        self._clock = clock
        self._faces = faces
        self._webhooks = WebhookSender(clock, registrations, call=self.call, lost=self._lost, copies=copies)
        self._hosts = hosts
        self._copies = copies
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
        self._webhooks.start()

    def announce(self, order: Order, outcome: PaymentOutcome) -> None:
        """Put the callback of an outcome in the queue; if the queue is full, it is lost and recorded as such."""
        job = self._faces[order.api].callback(order, outcome)
        if job is None:
            return
        copies = self._copies(job.order_id)
        if copies == 0:
            self._lost(job, "lost by a fault")
        for _ in range(copies):
            try:
                self._queue.put_nowait(job)
            except asyncio.QueueFull:
                self._lost(job, "lost: too many callbacks are waiting")

    def tell(self, order: Order, event: Event) -> None:
        """Deliver an event's webhook to the URLs that are registered for it."""
        news = self._faces[order.api].webhook(order, event)
        if news is not None:
            self._webhooks.tell(news)

    async def remove_consent(self, user_id: str) -> None:
        """Tell the merchant that a customer withdraws the consent; returns once that was attempted.

        Raises:
            SandboxError: no express order has a customer by that id.
        """
        for face in self._faces.values():
            job = face.consent_removal(user_id)
            if job is not None:
                await self.call(job)
                return
        raise SandboxError("no express order has a customer by that user id")

    def _lost(self, job: CallbackJob, why: str) -> None:
        self._record(job, {}, b"", failure=why)

    async def delivered(self) -> None:
        """Wait until every callback so far, and every webhook that is due, has been attempted."""
        await self._callbacks_attempted()
        await self._webhooks.delivered()

    async def _callbacks_attempted(self) -> None:
        await worked_off(self._queue, self._supervisor, name="vipps sandbox callbacks attempted")

    async def aclose(self) -> None:
        """Stop webhooks, attempt the callbacks that still wait for a few seconds, record the rest, and close."""
        if self._supervisor is None or self._session is None:
            return
        try:
            await self._webhooks.aclose()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_TIMEOUT):
                    await self._callbacks_attempted()
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
            # Only the name of the class: texts of network errors repeat URLs.
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
