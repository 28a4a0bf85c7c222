"""The dashboard: its pages and its buttons."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from aiohttp import web

from vipps_async.sandbox.ledger.changes import Changes
from vipps_async.sandbox.ledger.orders import Order
from vipps_async.sandbox.ledger.reasons import SandboxError
from vipps_async.sandbox.ledger.settings import TOLD_KEYS
from vipps_async.sandbox.ledger.terms import REFUSED_AMOUNTS
from vipps_async.sandbox.network.faults import Faults
from vipps_async.sandbox.network.history import CallbackRecord, RequestRecord
from vipps_async.sandbox.network.request_filter import RequestFilter
from vipps_async.sandbox.pages.controls_view import CONTROLS_PATH, apply_form, controls
from vipps_async.sandbox.pages.layout import (
    asset_route,
    bank,
    chosen_shipping,
    page,
    payment_path,
    see_other,
    shown_state,
)
from vipps_async.sandbox.wire.face import Face, Services
from vipps_async.sandbox.wire.urls import may_redirect_to

_PAYMENT = "/sandbox/payments/{msn}/{order_id}"

#: Payments on one page: few enough to render in milliseconds.
PAGE_SIZE = 50
#: Requests on their page, and entries of the list of ignored fields.
_REQUESTS = _MAX_IGNORED = 100


@dataclass(slots=True, kw_only=True)
class Dashboard:
    """The routes of the dashboard; requests from other origins are refused."""

    services: Services
    faults: Faults
    changes: Changes
    request_filter: RequestFilter
    #: By the API's name.
    faces: Mapping[str, Face]
    requests: deque[RequestRecord]
    callbacks: deque[CallbackRecord]
    #: The sandbox's own URL.
    url: Callable[[], str]

    def routes(self) -> list[web.RouteDef]:
        """Return all routes."""
        return [
            web.get("/", self._payments, allow_head=False),
            web.get("/sandbox/requests", self._last_requests, allow_head=False),
            web.get(CONTROLS_PATH, self._controls, allow_head=False),
            web.post(f"{CONTROLS_PATH}/{{control}}", self._change),
            web.get(_PAYMENT, self._payment, allow_head=False),
            web.post(f"{_PAYMENT}/{{action}}", self._act),
            asset_route(),
        ]

    def _page(self, template: str, status: int = 200, *, here: str = "", **values: Any) -> web.Response:
        changed = self.changes.latest
        return page(
            template,
            status,
            here=here,
            news="" if changed is None else f"Order {changed.payment.reference}: {shown_state(changed)}.",
            now=self.services.clock.now(),
            open_to="" if self.request_filter.loopback_only else self.request_filter.host,
            controls_path=CONTROLS_PATH,
            titles={name: face.title or name for name, face in self.faces.items()},
            **values,
        )

    # -- pages -------------------------------------------------------------------------------------------------------

    async def _payments(self, request: web.Request) -> web.Response:
        self.request_filter.check_read(request)
        query = request.query.get("query", "").strip()
        number = request.query.get("page", "1")
        page_number = max(1, int(number)) if number.isascii() and number.isdecimal() and len(number) < 10 else 1
        total = len(self.services.book)
        if query:
            found = (order for order in self.services.book.newest(0, total) if query in order.payment.reference)
            orders = list(islice(found, PAGE_SIZE))
        else:
            orders = self.services.book.newest((page_number - 1) * PAGE_SIZE, PAGE_SIZE)
        taken = self.services.settings.credentials
        return self._page(
            "payments.html",
            here="/",
            # Keys that were given to the sandbox are not shown.
            keys=TOLD_KEYS if taken is None or TOLD_KEYS in taken else None,
            url=self.url(),
            orders=orders,
            total=total,
            page=page_number,
            last_page=-(-total // PAGE_SIZE),
            query=query,
        )

    async def _last_requests(self, request: web.Request) -> web.Response:
        self.request_filter.check_read(request)
        records = [record for record in tuple(self.requests) if record.operation][-_REQUESTS:]
        ignored = sorted(self.services.ignored.counts.items())[:_MAX_IGNORED]
        return self._page("requests.html", here="/sandbox/requests", records=records, ignored=ignored)

    async def _payment(self, request: web.Request) -> web.Response:
        self.request_filter.check_read(request)
        order = self._order(request)
        return self._missing() if order is None else self._payment_page(order)

    def _order(self, request: web.Request) -> Order | None:
        try:
            return self.services.book.only(request.match_info["order_id"], request.match_info["msn"])
        except SandboxError:
            return None

    def _missing(self) -> web.Response:
        return self._page("missing.html", 404)

    def _payment_page(self, order: Order, problem: str = "") -> web.Response:
        sales_unit, reference = order.payment.sales_unit, order.payment.reference
        return self._page(
            "payment.html",
            409 if problem else 200,
            here="/",
            order=order,
            waits=self.services.customers.waits(order),
            # A request that names no sales unit may be about any that has such a payment.
            records=[
                record
                for record in tuple(self.requests)
                if record.about[1] == reference and record.about[0] in {"", sales_unit}
            ],
            callbacks=[
                record
                for record in tuple(self.callbacks)
                if (record.order_id, record.merchant_serial_number) == (reference, sales_unit)
            ],
            problem=problem,
            bank=bank(order),
            refused_amounts=sorted(REFUSED_AMOUNTS),
            back=order.return_url if may_redirect_to(order.return_url) else "",
            facts=self.faces[order.api].facts(order) if order.api in self.faces else [],
        )

    async def _controls(self, request: web.Request) -> web.Response:
        self.request_filter.check_read(request)
        return self._controls_page()

    def _controls_page(self, problem: str = "") -> web.Response:
        values = controls(self.faults)
        return self._page("controls.html", 400 if problem else 200, here=CONTROLS_PATH, problem=problem, **values)

    # -- buttons -----------------------------------------------------------------------------------------------------

    async def _act(self, request: web.Request) -> web.Response:
        self.request_filter.check_change(request)
        order = self._order(request)
        if order is None:
            return self._missing()
        form, action = await request.post(), request.match_info["action"]
        try:
            if action == "approve":
                await self.services.customers.approve(order, shipping_method_id=chosen_shipping(form))
            elif action == "decline":
                self.services.customers.reject(order)
            elif action == "expire":
                self.services.customers.expire(order)
            elif action == "open":
                self.services.customers.open(order)
            else:
                raise web.HTTPNotFound(reason="There is no such action: approve, decline, open or expire.")
        except SandboxError as error:
            return self._payment_page(order, str(error))
        return see_other(payment_path(order))

    async def _change(self, request: web.Request) -> web.Response:
        self.request_filter.check_change(request)
        form = await request.post()
        values = {name: [str(value) for value in form.getall(name)] for name in form}
        try:
            apply_form(request.match_info["control"], values, self.faults, self.services.clock)
        except ValueError as error:
            return self._controls_page(str(error))
        return see_other(CONTROLS_PATH)
