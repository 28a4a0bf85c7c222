"""The receiver: takes requests from Vipps in any web framework, and replies in time whatever the handlers do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Mapping

from attrs import field, frozen

from vipps_async.core.events import place_of
from vipps_async.errors import CallbackError, ConfigurationError, InvalidInputError
from vipps_async.receiver._handler_worker import HandlerThreads, HandlerWorker, ReceiverLog
from vipps_async.receiver._limits import Counts, Limits
from vipps_async.receiver._source import Headers, Notification, Query, Source
from vipps_async.session import VippsSession


@frozen(kw_only=True)
class Reply:
    """The response to a request. It holds nothing personal, except for the response to a query."""

    status: int
    """The HTTP status."""
    body: bytes = field(default=b"", repr=False)
    """The body; empty: none."""
    headers: Mapping[str, str] = field(factory=dict)
    """The headers of the body."""


class Receiver:
    """Receives Vipps' requests, and calls your handlers with them.

    Vipps waits a few seconds for the answer, so that never waits for a handler: it runs in the background. If the
    session has a journal, an event is durable in it before Vipps is answered, and redelivered to its handler, also
    after a crash, until the handler succeeds; so a handler may be called twice for the same news and has to bear it.
    Without a journal an event that meets a failing handler or a crash is lost: poll with `wait_for` as well.

    A handler gets the event and the session. A coroutine function runs on the event loop, and if it blocks the loop,
    nobody can be answered; a plain function runs in a thread. For payments, begin with
    ``await event.confirm(vipps)``: being called proves nothing.

    It may be made before there is an event loop. `serving` starts it; the functions for Starlette and aiohttp do that
    for you.

    Args:
        sources: the kinds of requests to receive, such as `EcomCallbacks`.
        limits: sizes, numbers and times.

    Attributes:
        counts: its counters.

    Raises:
        InvalidInputError: there is no source, two have a kind of request in common, or a handler is no function.
    """

    def __init__(self, *sources: Source, limits: Limits | None = None) -> None:
        kinds = [(source.api, kind) for source in sources for kind in source.handlers]
        if not kinds or len(set(kinds)) < len(kinds):
            raise InvalidInputError("sources", "at least one source, and no kind of request in two of them")
        if not all(handler is None or callable(handler) for source in sources for handler in source.handlers.values()):
            raise InvalidInputError("handlers", "functions, or None")
        self._sources = sources
        self._limits = limits or Limits()
        self.counts: Counts = Counts()
        self._log = ReceiverLog()
        self._worker: HandlerWorker | None = None
        self._query_threads: HandlerThreads | None = None
        self._queries: set[asyncio.Task[object]] = set()

    def __repr__(self) -> str:
        return f"<Receiver, {'serving' if self._worker is not None else 'closed'}>"

    @property
    def running(self) -> int:
        """How many handlers of notifications are running."""
        return 0 if self._worker is None else self._worker.running

    @contextlib.asynccontextmanager
    async def serving(self, session: VippsSession) -> AsyncIterator[None]:
        """Receive inside the `async with` block; at its end, wait for the handlers that are running.

        Args:
            session: an open session; its journal, if it has one, keeps the events. It must stay open all the time.

        Raises:
            ConfigurationError: it serves already, it has no handler, or the session's journal is not open.
        """
        if self._worker is not None:
            raise ConfigurationError("the receiver serves already", advice="make a second one")
        if not any(handler for source in self._sources for handler in source.handlers.values()):
            raise ConfigurationError("the receiver has no handler", advice="give its source one, such as on_payment")
        if session.journal is not None and not session.journal.is_open:
            raise ConfigurationError("the session's journal is not open", advice="enter the session first: async with")
        worker = HandlerWorker(session, self._sources, self._limits, self.counts, self._log)
        # Threads of their own: a customer waits for a query while handlers of notifications take their time.
        threads = HandlerThreads(self._limits.threads, "vipps-queries")
        self._worker, self._query_threads = worker, threads
        worker.start()
        try:
            yield
        finally:
            try:
                for task in tuple(self._queries):
                    task.cancel()
                await worker.stop()
            finally:
                threads.close()
                self._worker = self._query_threads = None

    def read(self, method: str, path: str, headers: Headers, body: bytes) -> Notification | Query:
        """Authenticate and read a request, and do no more: for an application that has no event loop.

        Args:
            method: the HTTP method.
            path: the path as it was sent, still percent-encoded, with or without query.
            headers: the request's headers.
            body: the request's body.

        Raises:
            CallbackError: with the status to answer: 404 no path of Vipps', 405 another method, 401 not authentic,
                415 compressed, 413 too large, 400 malformed.
        """
        source, _, pairs = self._admit(method, path, headers)
        return self._parse(source, path, pairs, body)

    async def handle(self, method: str, path: str, headers: Headers, body: bytes | AsyncIterable[bytes]) -> Reply:
        """Answer a request, in time for Vipps whatever the handlers do.

        Args:
            method: the HTTP method.
            path: the path as it was sent, still percent-encoded, with or without query.
            headers: the request's headers.
            body: the body, or its chunks as they come: what is not authentic or too large is not read to its end.

        Raises:
            Exception: what the chunks raise, such as a lost connection.
        """
        try:
            source, kind, event = await self._receive(method, path, headers, body)
        except CallbackError as error:
            self.counts.invalid += 1
            reason, payment = error.message, error.payment
            self._log.warn("vipps.inbound_invalid", payment=payment, status=error.status, reason=reason)
            allow = {"Allow": self._route(path)[2]} if error.status == 405 else {}
            return Reply(status=error.status, body=reason.encode(), headers={**_TEXT, **allow})
        worker = self._worker
        if worker is None or (worker.is_stopping and isinstance(event, Query)):
            self.counts.rejected += 1
            return _UNAVAILABLE
        self.counts.received += 1
        if isinstance(event, Query):
            return await self._answer(source, kind, event, worker.session)
        if event.payment is not None:
            # Who waits for the customer wakes up, whatever becomes of the handler.
            source.notify(worker.session, event.payment)
        outcome, is_safe = await worker.accept(source, kind, event)
        self._log.info("vipps.inbound", kind=f"{source.api}.{kind}", payment=event.payment, outcome=outcome)
        return Reply(status=200) if is_safe else _UNAVAILABLE

    # -- a request ---------------------------------------------------------------------------------------------------

    def _route(self, path: str) -> tuple[Source, str, str]:
        for source in self._sources:
            if (found := source.match(path)) is not None:
                return source, *found
        raise CallbackError("Vipps calls no such path", status=404)

    def _admit(self, method: str, path: str, headers: Headers) -> tuple[Source, str, list[tuple[str, str]]]:
        source, kind, allowed = self._route(path)
        if method != allowed:
            raise CallbackError(f"{kind} comes by {allowed}", status=405)
        given = headers.items() if isinstance(headers, Mapping) else headers
        pairs = [(str(name).lower(), str(value)) for name, value in given]
        source.check_headers(pairs)
        # Vipps compresses nothing, and a compressed body could grow beyond bounds in memory.
        if any(name == "content-encoding" and value.strip().lower() != "identity" for name, value in pairs):
            raise CallbackError("a compressed body is not taken", status=415)
        return source, kind, pairs

    async def _receive(
        self, method: str, path: str, headers: Headers, body: bytes | AsyncIterable[bytes]
    ) -> tuple[Source, str, Notification | Query]:
        source, kind, pairs = self._admit(method, path, headers)
        if source.handlers.get(kind) is None:
            raise CallbackError(f"there is no handler for {kind}", status=404)
        return source, kind, self._parse(source, path, pairs, await self._read_body(body))

    async def _read_body(self, body: bytes | AsyncIterable[bytes]) -> bytes:
        if isinstance(body, bytes):
            return body
        received = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_timeout):
                async for chunk in body:
                    received += chunk
                    if len(received) > self._limits.max_body:
                        break
        except TimeoutError:
            raise CallbackError("the body did not come in time", status=408) from None
        return bytes(received)

    def _parse(self, source: Source, path: str, headers: list[tuple[str, str]], body: bytes) -> Notification | Query:
        if len(body) > self._limits.max_body:
            raise CallbackError(f"the body has more than {self._limits.max_body} bytes", status=413)
        return source.read(path, headers, body)

    # -- a query -----------------------------------------------------------------------------------------------------

    async def _answer(self, source: Source, kind: str, query: Query, session: VippsSession) -> Reply:
        handler, threads, kind = source.handlers[kind], self._query_threads, f"{source.api}.{kind}"
        has_room = len(self._queries) < self._limits.max_handlers
        outcome = "started" if has_room else "rejected"
        self._log.info("vipps.inbound", kind=kind, payment=query.payment, outcome=outcome)
        if not has_room or handler is None or threads is None:
            self.counts.rejected += 1
            return _UNAVAILABLE
        task = asyncio.create_task(threads.run(handler, query, session), name=f"vipps {kind} {query.payment}")
        # Kept until it has ended, also if it does not heed its cancellation: so many may run, and no more.
        self._queries.add(task)
        task.add_done_callback(self._query_ended)
        try:
            await asyncio.wait({task}, timeout=self._limits.query_timeout)
        finally:
            if not task.done():
                task.cancel()
        error: BaseException = TimeoutError()
        if task.done():
            try:
                reply = _reply_to(query, task.result())
            except BaseException as failure:  # noqa: BLE001 - whatever the handler has raised, or its cancellation
                error = failure
            else:
                self.counts.handled += 1
                self._log.info("vipps.inbound_handled", kind=kind, payment=query.payment)
                return reply
        self.counts.failed += 1
        place, failed = place_of(error), type(error).__name__
        self._log.warn("vipps.inbound_failed", kind=kind, payment=query.payment, error=failed, place=place)
        return Reply(status=500 if task.done() else 503)

    def _query_ended(self, task: asyncio.Task[object]) -> None:
        self._queries.discard(task)
        if not task.cancelled():
            # Looked at, for one that fails after its time is up has been counted already.
            task.exception()


def _reply_to(query: Query, result: object) -> Reply:
    try:
        return Reply(status=200, body=query.respond(result), headers=_JSON)
    except CallbackError as refusal:
        return Reply(status=refusal.status, body=refusal.message.encode(), headers=_TEXT)


_TEXT: Mapping[str, str] = {"Content-Type": "text/plain; charset=utf-8"}
_JSON: Mapping[str, str] = {"Content-Type": "application/json;charset=UTF-8"}
_UNAVAILABLE = Reply(status=503)
