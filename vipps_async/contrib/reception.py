"""Where callbacks come in, whatever the web framework: answered in time, noted durably, handled in the background."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime

from attrs import field, frozen

from vipps_async.contrib.callback_notes import note_of
from vipps_async.contrib.handlers import ConsentHandler, HandlerRunner, PaymentHandler, ShippingHandler
from vipps_async.contrib.reception_log import ReceptionLog, place_of
from vipps_async.contrib.supervision import Counts, InHand, Supervision
from vipps_async.ecom.callbacks import (
    LARGEST_BODY,
    AnyoneMayCall,
    CallbackReader,
    ConsentRemoval,
    Event,
    Headers,
    Kind,
    PaymentUpdate,
    ShippingDetailsRequest,
    target_of,
)
from vipps_async.errors import CallbackError, ConfigurationError, InvalidInputError, JournalError
from vipps_async.input_rules import check_seconds
from vipps_async.journals.protocol import Standing
from vipps_async.session import VippsSession

__all__ = ["Answer", "Reception"]

# Vipps waits 3 seconds for the answer to a callback, and 10 for ways of shipping (API guide, callbacks). What is spent
# here leaves room for the way there and back.

#: Seconds for a body to come in.
_READ_TIME = 1.0
#: Seconds for a note to become durable.
_NOTE_TIME = 1.5
#: Seconds for a handler to find ways of shipping.
_SHIPPING_TIME = 8.0
#: The most handlers that can be asked to run at the same time.
_MOST_HANDLERS = 100_000


@frozen(kw_only=True)
class Answer:
    """What to answer a request with. Nothing personal is in it, but for ways of shipping."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(factory=dict)


def _count(parameter: str, value: object) -> int:
    if type(value) is not int or not 1 <= value <= _MOST_HANDLERS:
        raise InvalidInputError(parameter, f"a whole number from 1 to {_MOST_HANDLERS}", value=value)
    return value


class Reception:
    """Takes callbacks in and hands them to your handlers.

    Vipps calls once and waits 3 seconds, so the answer never waits for a handler: it runs in the background. If the
    session has a journal, a callback is noted in it before Vipps is answered, and offered to its handler again, also
    after a crash, until the handler succeeds; so a handler may be called twice for the same news and has to bear it.
    Without a journal a callback that meets a failing handler or a crash is lost: poll with `wait_for` as well.

    A handler gets the event and the session. A coroutine function runs on the event loop, and if it blocks the loop,
    nobody can be answered; a plain function runs in a thread. For payments, begin with
    ``await event.confirm(vipps)``: a callback proves nothing.

    It may be made before there is an event loop. `serving` puts it to work; the adapters for Starlette and aiohttp do
    that for you.

    Args:
        auth_tokens: the `auth_token` of your payments; several while it is being changed. `ANYONE_MAY_CALL` switches
            the check off.
        on_payment: called when something happened to a payment.
        on_shipping_details: returns the ways of shipping of an express checkout, within 8 seconds. None: such requests
            are answered 404.
        on_consent_removal: deletes what you know of a customer. None: such requests are answered 404.
        largest_body: the largest body that is read, in bytes.
        most_at_once: how many handlers may run at the same time. What comes on top is noted in the journal and handled
            later; without a journal it is answered 503.
        threads: how many plain functions run at the same time, for payments and consents, and again for shipping.
        handler_timeout: after how many seconds a coroutine is cancelled. A plain function cannot be.
        drain_timeout: how many seconds `serving` waits at its end for handlers that are still running.
        offer_again_every: after how many seconds a handler that has failed is called again. Doubled with each failure
            up to 64 times as long.

    Attributes:
        counts: what happened so far, in numbers.

    Raises:
        InvalidInputError: an argument breaks a rule; an empty token or list of tokens is one.
    """

    def __init__(
        self,
        auth_tokens: str | Iterable[str] | AnyoneMayCall,
        *,
        on_payment: PaymentHandler,
        on_shipping_details: ShippingHandler | None = None,
        on_consent_removal: ConsentHandler | None = None,
        largest_body: int = LARGEST_BODY,
        most_at_once: int = 100,
        threads: int = 8,
        handler_timeout: float = 300.0,
        drain_timeout: float = 10.0,
        offer_again_every: float = 60.0,
    ) -> None:
        self._reader = CallbackReader(auth_tokens, largest_body=largest_body)
        self._on_payment = _callable("on_payment", on_payment)
        self._on_shipping_details = on_shipping_details
        self._on_consent_removal = on_consent_removal
        self._most_at_once = _count("most_at_once", most_at_once)
        self._thread_count = _count("threads", threads)
        self._handler_timeout = check_seconds("handler_timeout", handler_timeout)
        self._drain_timeout = check_seconds("drain_timeout", drain_timeout)
        self._offer_again_every = check_seconds("offer_again_every", offer_again_every)
        self.counts = Counts()
        self._log = ReceptionLog()
        self._session: VippsSession | None = None
        self._supervision: Supervision | None = None
        self._shipping: set[asyncio.Task[object]] = set()
        self._shipping_runner: HandlerRunner | None = None

    def __repr__(self) -> str:
        return f"<Reception, {'serving' if self._supervision is not None else 'closed'}>"

    @property
    def in_hand(self) -> int:
        """How many handlers of payments and consents are running."""
        return 0 if self._supervision is None else self._supervision.in_hand

    @contextlib.asynccontextmanager
    async def serving(self, session: VippsSession) -> AsyncIterator[None]:
        """Take callbacks in for the time of the context; at its end, wait for the handlers that are running.

        Args:
            session: an open session; its journal, if it has one, keeps the notes. It must stay open all the time.

        Raises:
            ConfigurationError: it serves already, or the session's journal is not open.
        """
        if self._supervision is not None:
            raise ConfigurationError("the reception serves already", advice="make a second one")
        if session.journal is not None and not session.journal.is_open:
            raise ConfigurationError("the session's journal is not open", advice="enter the session first: async with")
        supervision = Supervision(
            session,
            on_payment=self._on_payment,
            on_consent_removal=self._on_consent_removal,
            runner=HandlerRunner(self._thread_count, "vipps-callbacks"),
            log=self._log,
            counts=self.counts,
            most_at_once=self._most_at_once,
            handler_timeout=self._handler_timeout,
            offer_again_every=self._offer_again_every,
        )
        self._session, self._supervision = session, supervision
        self._shipping_runner = HandlerRunner(self._thread_count, "vipps-shipping")
        supervision.start()
        try:
            yield
        finally:
            try:
                for task in tuple(self._shipping):
                    task.cancel()
                await supervision.stop(self._drain_timeout)
            finally:
                self._shipping_runner.close()
                self._session = self._supervision = self._shipping_runner = None

    async def receive(
        self, method: str, path: str, headers: Headers, read_body: Callable[[int], Awaitable[bytes]]
    ) -> Answer:
        """Answer a request, in time for Vipps whatever the handlers do.

        Args:
            method: the HTTP method.
            path: the path as it was sent, still percent-encoded, with or without query.
            headers: the request's headers.
            read_body: reads the body; it may stop when it has more bytes than it is told.
        """
        try:
            event = await self._read(method, path, headers, read_body)
        except CallbackError as error:
            self.counts.refused += 1
            self._log.refused(error.status, error.message, error.payment)
            allow = {"Allow": target_of(path).kind.method} if error.status == 405 else {}
            return Answer(status=error.status, body=error.message.encode(), headers={**_TEXT, **allow})
        if self._session is None or self._supervision is None:
            self.counts.turned_away += 1
            return _UNAVAILABLE
        if isinstance(event, ShippingDetailsRequest):
            return await self._ship(event, self._session)
        return await self._take_in(event, self._session, self._supervision)

    async def _read(
        self, method: str, path: str, headers: Headers, read_body: Callable[[int], Awaitable[bytes]]
    ) -> Event:
        target = target_of(path)
        if method != target.kind.method:
            raise CallbackError(f"a {target.kind.value} comes by {target.kind.method}", status=405)
        shipping_is_missing = target.kind is Kind.SHIPPING_DETAILS and self._on_shipping_details is None
        if shipping_is_missing or (target.kind is Kind.CONSENT_REMOVAL and self._on_consent_removal is None):
            raise CallbackError(f"there is no handler for a {target.kind.value}", status=404)
        # Before the body is read: strangers are not listened to.
        self._reader.authenticate(headers)
        try:
            async with asyncio.timeout(_READ_TIME):
                body = await read_body(self._reader.largest_body)
        except TimeoutError:
            raise CallbackError("the body did not come in time", status=408) from None
        return self._reader.read_target(target, body)

    async def _take_in(
        self, event: PaymentUpdate | ConsentRemoval, session: VippsSession, supervision: Supervision
    ) -> Answer:
        self.counts.received += 1
        order_id = None
        if isinstance(event, PaymentUpdate):
            order_id = event.order_id
            # Who waits for the customer wakes up, whatever becomes of the handler.
            session.ecom.notify(order_id)
        kind = Kind.PAYMENT_UPDATE if isinstance(event, PaymentUpdate) else Kind.CONSENT_REMOVAL
        how, answer = await self._noted(event, session, supervision)
        self._log.received(kind.value, order_id, how)
        return answer

    async def _noted(
        self, event: PaymentUpdate | ConsentRemoval, session: VippsSession, supervision: Supervision
    ) -> tuple[str, Answer]:
        note = note_of(event, merchant_serial_number=session.merchant_serial_number, now=datetime.now(UTC))
        if supervision.has(note):
            self.counts.duplicates += 1
            return "duplicate", _TAKEN
        owner, is_noted = uuid.uuid4().hex, False
        if session.journal is not None:
            try:
                async with asyncio.timeout(_NOTE_TIME):
                    standing, _ = await session.journal.begin(note, owner=owner, lease=supervision.lease)
            except (JournalError, TimeoutError) as error:
                self.counts.not_noted += 1
                self._log.journal_trouble("noting a callback", error)
            else:
                if standing is not Standing.MINE:
                    self.counts.duplicates += 1
                    return "duplicate", _TAKEN
                is_noted = True
        if supervision.has_room:
            supervision.begin(InHand(event=event, note=note, owner=owner, is_journalled=session.journal is not None))
            # Not noted, it may still be lost: Vipps is told the truth, though it does not ask again.
            lost_perhaps = session.journal is not None and not is_noted
            return "handed over", _UNAVAILABLE if lost_perhaps else _TAKEN
        if is_noted:
            await supervision.leave_for_later(note, owner)
            return "noted for later", _TAKEN
        self.counts.turned_away += 1
        return "turned away", _UNAVAILABLE

    async def _ship(self, request: ShippingDetailsRequest, session: VippsSession) -> Answer:
        kind = Kind.SHIPPING_DETAILS.value
        self.counts.received += 1
        supervision, runner = self._supervision, self._shipping_runner
        if supervision is None or supervision.is_stopping or runner is None or self._on_shipping_details is None:
            self.counts.turned_away += 1
            return _UNAVAILABLE
        if len(self._shipping) >= self._most_at_once:
            self.counts.turned_away += 1
            self._log.received(kind, request.order_id, "turned away")
            return _UNAVAILABLE
        self._log.received(kind, request.order_id, "handed over")
        task: asyncio.Task[object] = asyncio.create_task(
            runner.run(self._on_shipping_details, request, session), name=f"vipps shipping {request.order_id}"
        )
        # Kept until it has ended, also if it does not heed its cancellation: so many may run, and no more.
        self._shipping.add(task)
        task.add_done_callback(self._shipping_ended)
        try:
            await asyncio.wait({task}, timeout=_SHIPPING_TIME)
        finally:
            if not task.done():
                task.cancel()
        return self._shipping_answer(request, task)

    def _shipping_answer(self, request: ShippingDetailsRequest, task: asyncio.Task[object]) -> Answer:
        why, place = "TimeoutError", ""
        if task.done() and not task.cancelled():
            error = task.exception()
            if error is None:
                try:
                    body = request.answer(task.result()).to_json()  # type: ignore[arg-type] # checked by `answer`
                except InvalidInputError as wrong:
                    error = wrong
                else:
                    self.counts.handled += 1
                    self._log.handled(Kind.SHIPPING_DETAILS.value, request.order_id)
                    return Answer(status=200, body=body, headers=_JSON)
            why, place = type(error).__name__, place_of(error)
        self.counts.failed += 1
        self._log.failed(Kind.SHIPPING_DETAILS.value, request.order_id, why, place=place)
        return Answer(status=500 if task.done() else 503)

    def _shipping_ended(self, task: asyncio.Task[object]) -> None:
        self._shipping.discard(task)
        if not task.cancelled():
            # Looked at, for one that fails after its time is up has been counted already.
            task.exception()


def _callable(parameter: str, handler: PaymentHandler) -> PaymentHandler:
    if not callable(handler):
        raise InvalidInputError(parameter, "a function", value=handler)
    return handler


_TEXT: Mapping[str, str] = {"Content-Type": "text/plain; charset=utf-8"}
_JSON: Mapping[str, str] = {"Content-Type": "application/json;charset=UTF-8"}
_TAKEN = Answer(status=200)
_UNAVAILABLE = Answer(status=503)
