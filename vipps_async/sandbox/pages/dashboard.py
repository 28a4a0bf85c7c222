"""The dashboard: its pages, its buttons, and the stream that tells open pages of changes."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import orjson
from aiohttp import web

from vipps_async.sandbox.ledger.changes import Changes, Subscription
from vipps_async.sandbox.ledger.clock import SandboxClock
from vipps_async.sandbox.ledger.customer_simulator import Wallet, state_word
from vipps_async.sandbox.ledger.orders import Order, OrderBook
from vipps_async.sandbox.network.faults import Fault, Faults
from vipps_async.sandbox.network.guard import Guard
from vipps_async.sandbox.network.history import CallbackRecord, RequestRecord
from vipps_async.sandbox.pages.controls_view import CLOCK_STEPS, CLOCK_UNITS, SWITCHES_PATH, switches_content
from vipps_async.sandbox.pages.layout import Frame, assets_routes
from vipps_async.sandbox.pages.markup import tag
from vipps_async.sandbox.pages.payment_view import payment_content
from vipps_async.sandbox.pages.payments_view import payment_path, payments_content, requests_content
from vipps_async.sandbox.pages.traffic_view import requests_of
from vipps_async.sandbox.wire.ignored import Ignored
from vipps_async.sandbox.wire.refusals import SandboxError, gateway_refusal

__all__ = ["EVENTS_PATH", "Dashboard"]

EVENTS_PATH = "/sandbox/events"
_PAYMENT = "/sandbox/payments/{msn}/{order_id}"

#: Payments on one page: more than one wants to look through, few enough to render in milliseconds.
PAGE_SIZE = 50
#: Requests on their page.
_REQUESTS = 100
#: Times that one form scripts a fault.
_MAX_TIMES = 1_000
#: Seconds between two messages to one page: as live as eyes are, and no load under a load test.
_PAUSE = 0.5
#: Seconds after which a silent stream gives a sign of life.
_SIGN_OF_LIFE = 15.0
#: Seconds after which a page connects again when the stream breaks, for `retry` in milliseconds.
_RETRY = 2_000


@dataclass(slots=True, kw_only=True)
class Dashboard:
    """Serves the dashboard to this machine's browsers, and to nobody who comes by a foreign name."""

    clock: SandboxClock
    book: OrderBook
    wallet: Wallet
    faults: Faults
    changes: Changes
    guard: Guard
    frame: Frame
    requests: deque[RequestRecord]
    callbacks: deque[CallbackRecord]
    ignored: Ignored
    #: The sandbox's own URL.
    url: Callable[[], str]

    def routes(self) -> list[web.RouteDef]:
        """Return all routes."""
        return [
            web.get("/", self._payments, allow_head=False),
            web.get("/sandbox/requests", self._last_requests, allow_head=False),
            web.get(SWITCHES_PATH, self._switches, allow_head=False),
            web.post(f"{SWITCHES_PATH}/{{switch}}", self._turn),
            web.get(_PAYMENT, self._payment, allow_head=False),
            web.post(f"{_PAYMENT}/{{action}}", self._act),
            web.get(EVENTS_PATH, self._events, allow_head=False),
            *assets_routes(),
        ]

    # -- pages -------------------------------------------------------------------------------------------------------

    async def _payments(self, request: web.Request) -> web.Response:
        self.guard.look(request)
        self.wallet.settle_due()
        query = request.query.get("query", "").strip()
        number = request.query.get("page", "1")
        page = max(1, int(number)) if number.isascii() and number.isdecimal() and len(number) < 10 else 1
        if query:
            found = (order for order in self.book.newest(0, len(self.book)) if query in order.payment.order_id)
            orders = list(islice(found, PAGE_SIZE))
        else:
            orders = self.book.newest((page - 1) * PAGE_SIZE, PAGE_SIZE)
        content = payments_content(
            self.url(), orders, total=len(self.book), page=page, page_size=PAGE_SIZE, query=query, now=self.clock.now()
        )
        return self.frame.page("Payments", *content, here="/")

    async def _last_requests(self, request: web.Request) -> web.Response:
        self.guard.look(request)
        records = [record for record in tuple(self.requests) if record.operation][-_REQUESTS:]
        return self.frame.page("Requests", *requests_content(records, self.ignored.counts), here="/sandbox/requests")

    async def _payment(self, request: web.Request) -> web.Response:
        self.guard.look(request)
        order = self._order(request)
        return self._missing() if order is None else self._payment_page(order)

    def _order(self, request: web.Request) -> Order | None:
        try:
            return self.book.only(request.match_info["order_id"], request.match_info["msn"])
        except SandboxError:
            return None

    def _missing(self) -> web.Response:
        return self.frame.page("No such payment", tag("h1", "No such payment"), status=404)

    def _payment_page(self, order: Order, problem: str = "") -> web.Response:
        msn, order_id = order.payment.merchant_serial_number, order.payment.order_id
        content = payment_content(
            order,
            waits=self.wallet.waits(order),
            now=self.clock.now(),
            requests=list(requests_of(tuple(self.requests), msn, order_id)),
            callbacks=[
                record
                for record in tuple(self.callbacks)
                if (record.order_id, record.merchant_serial_number) == (order_id, msn)
            ],
            problem=problem,
        )
        return self.frame.page(order_id, *content, here="/", status=409 if problem else 200)

    async def _switches(self, request: web.Request) -> web.Response:
        self.guard.look(request)
        return self._switches_page()

    def _switches_page(self, problem: str = "") -> web.Response:
        content = switches_content(self.faults, self.clock.now(), problem=problem)
        return self.frame.page("Faults and clock", *content, here=SWITCHES_PATH, status=400 if problem else 200)

    # -- buttons -----------------------------------------------------------------------------------------------------

    async def _act(self, request: web.Request) -> web.Response:
        self.guard.change(request)
        order = self._order(request)
        if order is None:
            return self._missing()
        form, action = await request.post(), request.match_info["action"]
        try:
            if action == "approve":
                shipping = form.get("shipping")
                await self.wallet.approve(order, shipping_method_id=None if shipping is None else str(shipping))
            elif action == "decline":
                self.wallet.reject(order)
            elif action == "expire":
                self.wallet.expire(order)
            elif action == "open":
                self.wallet.open(order)
            else:
                raise gateway_refusal(404, "There is no such action.")
        except SandboxError as error:
            return self._payment_page(order, str(error))
        return _see(payment_path(order))

    async def _turn(self, request: web.Request) -> web.Response:
        self.guard.change(request)
        form, switch = await request.post(), request.match_info["switch"]
        turns: dict[str, Callable[[_Form], None]] = {
            "clock": self._advance,
            "script": self._script,
            "randomise": self._randomise,
            "clear": self._clear,
        }
        if switch not in turns:
            raise gateway_refusal(404, "There is no such switch.")
        try:
            turns[switch](_Form({name: [str(value) for value in form.getall(name)] for name in form}))
        except ValueError as error:
            return self._switches_page(str(error))
        self.changes.note()
        return _see(SWITCHES_PATH)

    def _advance(self, form: _Form) -> None:
        step = form.get("step")
        if step:
            if step not in CLOCK_STEPS:
                raise ValueError("There is no such step.")
            count, unit = CLOCK_STEPS[step]
            self.clock.advance(count * CLOCK_UNITS[unit])
            return
        unit = form.get("unit")
        if unit not in CLOCK_UNITS:
            raise ValueError("There is no such unit.")
        self.clock.advance(form.number("count", "The time to advance by") * CLOCK_UNITS[unit])

    def _script(self, form: _Form) -> None:
        times = form.whole("times", "How often")
        if not 1 <= times <= _MAX_TIMES:
            raise ValueError(f"How often must be from 1 to {_MAX_TIMES}.")
        self.faults.script(
            form.get("operation"), *[_fault(form.get("fault"))] * times, order_id=form.get("order").strip() or None
        )

    def _randomise(self, form: _Form) -> None:
        self.faults.randomise(
            rate=form.number("rate", "The part of the requests") / 100,
            seed=form.whole("seed", "The seed"),
            operations=form.values.get("operations") or None,
            kinds=[_fault(name) for name in form.values.get("kinds", [])] or None,
        )

    def _clear(self, _: _Form) -> None:
        self.faults.clear()

    # -- live --------------------------------------------------------------------------------------------------------

    async def _events(self, request: web.Request) -> web.StreamResponse:
        self.guard.look(request)
        subscription = self.changes.subscribe()
        if subscription is None:
            raise gateway_refusal(503, "Too many dashboards are open.")
        try:
            stream = web.StreamResponse(
                headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"}
            )
            await stream.prepare(request)
            # The page that stands there closes: nothing to tell any more.
            with contextlib.suppress(ConnectionError):
                await stream.write(f"retry: {_RETRY}\n\n".encode())
                await self._tell(stream, subscription)
            return stream
        finally:
            self.changes.unsubscribe(subscription)

    async def _tell(self, stream: web.StreamResponse, subscription: Subscription) -> None:
        while not subscription.end.is_set():
            try:
                async with asyncio.timeout(_SIGN_OF_LIFE):
                    await subscription.woken.wait()
            except TimeoutError:
                await stream.write(b": still here\n\n")
                continue
            text = _sentence(*subscription.taken())
            await stream.write(b"data: " + orjson.dumps({"text": text}) + b"\n\n")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE):
                    await subscription.end.wait()


@dataclass(frozen=True, slots=True)
class _Form:
    """What a form sent: name → values."""

    values: dict[str, list[str]]

    def get(self, name: str) -> str:
        return self.values.get(name, [""])[0]

    def number(self, name: str, label: str) -> float:
        try:
            return float(self.get(name))
        except ValueError:
            raise ValueError(f"{label} must be a number.") from None

    def whole(self, name: str, label: str) -> int:
        try:
            return int(self.get(name))
        except ValueError:
            raise ValueError(f"{label} must be a whole number.") from None


def _fault(name: str) -> Fault:
    try:
        return Fault(name)
    except ValueError:
        raise ValueError("There is no such fault.") from None


def _sentence(order: Order | None, count: int) -> str:
    if order is None:
        return ""
    said = f"Order {order.payment.order_id}: {state_word(order)}."
    return said if count == 1 else f"{count} changes. The last: {said}"


def _see(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path, "Cache-Control": "no-store"})
