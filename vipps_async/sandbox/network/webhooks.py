"""Delivers webhooks to registered URLs: signed, in order, repeated for seven days until the merchant answers 2xx.

For each registration and payment one delivery is under way at a time: a refused one holds back those after it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import partial
from urllib.parse import urlsplit

import orjson

from vipps_async.sandbox.ledger.clock import SandboxClock
from vipps_async.sandbox.ledger.registrations import Registration, Registrations
from vipps_async.sandbox.network.workers import cancelled, run_workers, worked_off
from vipps_async.sandbox.wire.face import CallbackJob, WebhookNews

#: Seconds that Vipps waits for an answer.
_TIMEOUT = 10.0
#: Deliveries under way at a time.
_WORKERS = 16
#: The most deliveries that wait; a further one is lost.
_MAX_WAITING = 10_000
#: How long after the first attempt the last one may be.
_GIVEN_UP = timedelta(days=7)
#: (Last attempt, seconds of the pause before each attempt up to it), by the published schedule.
_PAUSES = ((4, 2.0), (5, 60.0), (6, 120.0), (29, 3_600.0))
_LONGEST_PAUSE = 86_400.0


def pause_before(attempt: int) -> timedelta:
    """Return the pause between the attempt before this one and this one; the first attempt is number 1."""
    seconds = next((pause for last, pause in _PAUSES if attempt <= last), _LONGEST_PAUSE)
    return timedelta(seconds=seconds)


@dataclass(slots=True)
class _Delivery:
    """An event on its way to one registration."""

    news: WebhookNews
    #: How often it is delivered: more than once by a fault, 0 if it is lost by one.
    copies: int
    attempts: int = 0
    first_at: datetime | None = None


@dataclass(slots=True)
class _Lane:
    """The queue of deliveries of one registration and payment."""

    registration: Registration
    waiting: deque[_Delivery] = field(default_factory=deque)


class WebhookSender:
    """Sends webhooks to registered URLs.

    Args:
        clock: retries go by it.
        registrations: which URLs get which events.
        call: makes a request at the merchant, and keeps a record of it.
        lost: keeps a record of what was not delivered, and why.
        copies: says how often an event about a payment is delivered; Vipps may lose one, or send it twice.
    """

    def __init__(
        self,
        clock: SandboxClock,
        registrations: Registrations,
        *,
        call: Callable[[CallbackJob], Awaitable[tuple[int, bytes] | None]],
        lost: Callable[[CallbackJob, str], None],
        copies: Callable[[str], int],
    ) -> None:
        self._clock = clock
        self._registrations = registrations
        self._call = call
        self._lost = lost
        self._copies = copies
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._waiting = 0
        #: Lanes whose first delivery is due.
        self._due: asyncio.Queue[_Lane] = asyncio.Queue()
        self._supervisor: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to deliver."""
        self._supervisor = asyncio.create_task(
            run_workers(self._due, self._deliver, most=_WORKERS, name="vipps sandbox webhook worker"),
            name="vipps sandbox webhooks",
        )

    async def aclose(self) -> None:
        """Stop; deliveries that still wait are dropped."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        try:
            await cancelled(supervisor)
        finally:
            self._lanes.clear()
            self._waiting, self._due = 0, asyncio.Queue()

    def tell(self, news: WebhookNews) -> None:
        """Queue an event for each URL that is registered for it."""
        for registration in self._registrations.for_event(news.sales_unit, news.event):
            delivery = _Delivery(news, self._copies(news.reference))
            if self._supervisor is None or self._waiting >= _MAX_WAITING:
                why = "too many webhooks are waiting" if self._supervisor is not None else "the sandbox is not running"
                self._lost(_signed(registration, news, self._clock.now()), f"lost: {why}")
                continue
            lane = self._lanes.setdefault((registration.id, news.reference), _Lane(registration))
            lane.waiting.append(delivery)
            self._waiting += 1
            if len(lane.waiting) == 1:
                self._due.put_nowait(lane)

    async def delivered(self) -> None:
        """Wait until every delivery that is due was attempted; one that waits for its repetition is not due."""
        await worked_off(self._due, self._supervisor, name="vipps sandbox webhooks attempted")

    async def _deliver(self, lane: _Lane) -> None:
        """Deliver what is queued in a lane, up to the first that is refused; that is repeated later."""
        while lane.waiting:
            delivery = lane.waiting[0]
            if not self._registrations.has(lane.registration):
                self._drop(lane)
                return
            pause = await self._attempt(lane.registration, delivery)
            if pause:
                self._clock.call_at(self._clock.now() + pause, partial(self._due.put_nowait, lane))
                return
            if pause is None:
                lane.waiting.popleft()
                self._waiting -= 1
                if not lane.waiting:
                    self._forget(lane, delivery)

    def _drop(self, lane: _Lane) -> None:
        self._waiting -= len(lane.waiting)
        self._forget(lane, lane.waiting[0])
        lane.waiting.clear()

    def _forget(self, lane: _Lane, delivery: _Delivery) -> None:
        self._lanes.pop((lane.registration.id, delivery.news.reference), None)

    async def _attempt(self, registration: Registration, delivery: _Delivery) -> timedelta | None:
        """Make an attempt; returns how long to wait before the next one, or None: there is none."""
        now = self._clock.now()
        delivery.first_at = delivery.first_at or now
        if delivery.copies == 0:
            self._lost(_signed(registration, delivery.news, now), "lost by a fault")
            return None
        delivery.attempts += 1
        answer = await self._call(_signed(registration, delivery.news, now))
        if answer is None or not 200 <= answer[0] < 300:
            pause = pause_before(delivery.attempts + 1)
            return None if self._clock.now() + pause > delivery.first_at + _GIVEN_UP else pause
        delivery.copies -= 1
        return timedelta(0) if delivery.copies else None


def _signed(registration: Registration, news: WebhookNews, now: datetime) -> CallbackJob:
    """Return a request that is signed now, over the registered URL's path and host."""
    body = orjson.dumps(news.body)
    parts = urlsplit(registration.url)
    usual = {"https": 443, "http": 80}[parts.scheme]
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    host = host if parts.port in {None, usual} else f"{host}:{parts.port}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    date = format_datetime(now, usegmt=True)
    content = base64.b64encode(hashlib.sha256(body).digest()).decode()
    text = f"POST\n{target}\n{date};{host};{content}"
    signature = base64.b64encode(hmac.digest(registration.secret.encode(), text.encode(), hashlib.sha256)).decode()
    return CallbackJob(
        kind="webhook",
        order_id=news.reference,
        merchant_serial_number=news.sales_unit,
        url=registration.url,
        auth_token=f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}",
        headers={"x-ms-date": date, "x-ms-content-sha256": content, "Webhook-Id": registration.id},
        body=news.body,
        timeout=_TIMEOUT,
    )
