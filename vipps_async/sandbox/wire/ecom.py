"""The HTTP side of the API: who may call, what a call says, and what it is answered."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from vipps_async.sandbox.ledger.changes import Changes
from vipps_async.sandbox.ledger.clock import SandboxClock
from vipps_async.sandbox.ledger.customer_simulator import Wallet
from vipps_async.sandbox.ledger.orders import Order, OrderBook
from vipps_async.sandbox.ledger.rate_limits import RateLimits
from vipps_async.sandbox.ledger.settings import NUMBERS, Settings
from vipps_async.sandbox.network.callers import MSN_HEADER, SUBSCRIPTION_KEY, Callers, agreed_msn
from vipps_async.sandbox.network.fault_notes import fault_notes
from vipps_async.sandbox.network.tokens import SandboxCredentials
from vipps_async.sandbox.pages.landing import landing_url
from vipps_async.sandbox.wire.ecom_answers import (
    cancel_answer,
    capture_answer,
    details_answer,
    refund_answer,
    status_answer,
)
from vipps_async.sandbox.wire.ecom_fields import (
    check_order_id,
    check_request_id,
    read_approval,
    read_cancellation,
    read_initiation,
    read_payment_action,
)
from vipps_async.sandbox.wire.fields import Breaches
from vipps_async.sandbox.wire.ignored import Ignored
from vipps_async.sandbox.wire.json_body import read_json
from vipps_async.sandbox.wire.paths import OPERATIONS, route_path
from vipps_async.sandbox.wire.refusals import (
    Refusal,
    SandboxError,
    invalid_request,
    problem_refusal,
    vipps_refusal,
)

__all__ = ["Api", "json_answer", "refusal_answer"]


@dataclass(slots=True, kw_only=True)
class Api:
    """All endpoints."""

    clock: SandboxClock
    book: OrderBook
    wallet: Wallet
    callers: Callers
    #: None: calls are not limited.
    limits: RateLimits | None
    settings: Settings
    ignored: Ignored
    changes: Changes
    #: Hosts whose URLs pass with http, too: they may be called.
    callback_hosts: Collection[str] = frozenset()
    #: The sandbox's own URL, once it is known.
    url: str = field(default="")

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of all endpoints."""
        handlers = {
            "token": self._token,
            "initiate": self._initiate,
            "capture": self._capture,
            "cancel": self._cancel,
            "refund": self._refund,
            "details": self._details,
            "status": self._status,
            "approve": self._approve,
            "userinfo": self._userinfo,
        }
        return [
            web.route(method, route_path(path), handlers[operation], name=operation)
            for operation, (method, path) in OPERATIONS.items()
        ]

    async def _token(self, request: web.Request) -> web.Response:
        with_body = bool(await request.read())
        return json_answer(self.callers.log_in(request.headers, with_body=with_body))

    def _breaches(self, operation: str) -> Breaches:
        return Breaches(operation, self.ignored, strict=self.settings.strict)

    # -- payments --------------------------------------------------------------------------------------------------

    async def _initiate(self, request: web.Request) -> web.Response:
        keys = self.callers.authorised(request)
        body = await _json(request)
        read_initiation(body, self.callback_hosts, breaches=self._breaches("initiate"))
        transaction = body["transaction"]
        order_id, msn = transaction["orderId"], agreed_msn(request.headers, body)
        if keys is not None and not keys.covers(msn):
            raise vipps_refusal("Merchant", "37", msn=msn)
        self._count("initiate", msn, order_id)
        self._permit(msn, body)
        order = self.book.add(body, direct_capture=msn in self.settings.direct_capture, now=self.clock.now())
        self.wallet.watch(order)
        self.changes.note(order)
        return json_answer({"orderId": order_id, "url": landing_url(self.url, order)})

    def _permit(self, msn: str, body: Mapping[str, Any]) -> None:
        settings, transaction = self.settings, body["transaction"]
        if msn in settings.refused_units:
            raise vipps_refusal("Merchant", settings.refused_units[msn], msn=msn)
        if transaction.get("skipLandingPage") and msn not in settings.skip_landing_page:
            raise vipps_refusal("Merchant", "38", msn=msn)
        if "nin" in transaction.get("scope", "").split() and msn not in settings.nin:
            raise vipps_refusal("Merchant", "51", msn=msn)
        _check_number(body["customerInfo"].get("mobileNumber"))

    async def _capture(self, request: web.Request) -> web.Response:
        order, body, key, amount = await self._payment_action(request, "capture")
        try:
            done = order.payment.capture(
                amount,
                key=key,
                fingerprint=_fingerprint(body),
                text=body["transaction"]["transactionText"],
                now=self.clock.now(),
                disturbance=fault_notes(request).disturbance,
            )
        finally:
            # What is refused stands in the history, too.
            self.changes.note(order)
        return json_answer(capture_answer(order.payment.order_id, done))

    async def _refund(self, request: web.Request) -> web.Response:
        order, body, key, amount = await self._payment_action(request, "refund")
        try:
            done = order.payment.refund(
                amount,
                key=key,
                fingerprint=_fingerprint(body),
                text=body["transaction"]["transactionText"],
                now=self.clock.now(),
                disturbance=fault_notes(request).disturbance,
            )
        finally:
            # What is refused stands in the history, too.
            self.changes.note(order)
        return json_answer(refund_answer(order.payment.order_id, done))

    async def _payment_action(
        self, request: web.Request, operation: str
    ) -> tuple[Order, dict[str, Any], str, int | None]:
        keys = self.callers.authorised(request)
        body = await _json(request)
        amount = read_payment_action(body, breaches=self._breaches(operation))
        key = check_request_id(request.headers.get("X-Request-Id"), required=self.settings.request_id_required)
        return self._order_of_body(request, keys, body, operation), body, key, amount

    async def _cancel(self, request: web.Request) -> web.Response:
        keys = self.callers.authorised(request)
        body = await _json(request)
        release_remaining = read_cancellation(body, breaches=self._breaches("cancel"))
        order = self._order_of_body(request, keys, body, "cancel")
        try:
            done = order.payment.cancel(
                release_remaining=release_remaining,
                text=body["transaction"]["transactionText"],
                now=self.clock.now(),
                disturbance=fault_notes(request).disturbance,
            )
        finally:
            self.changes.note(order)
        return json_answer(cancel_answer(order.payment.order_id, done))

    async def _details(self, request: web.Request) -> web.Response:
        order, now = self._order_of_path(request, "details"), self.clock.now()
        return json_answer(details_answer(order, now, as_of=now - fault_notes(request).stale_by))

    async def _status(self, request: web.Request) -> web.Response:
        return json_answer(status_answer(self._order_of_path(request, "status")))

    async def _approve(self, request: web.Request) -> web.Response:
        order = self._order_of_path(request, "approve")
        key = check_request_id(request.headers.get("X-Request-Id"), required=False)
        # Neither of its fields is needed, nor any body.
        body = await _json(request) if await request.read() else {}
        number, token = read_approval(body, breaches=self._breaches("approve"))
        if token is not None and token != order.token:
            raise invalid_request([("token", "is not the one of the payment's url")])
        _check_number(number)
        if key and order.payment.approved_by(key, _fingerprint(body)):
            return web.Response(status=200)
        if order.express or order.skip_landing_page:
            raise vipps_refusal("VippsError", "91")
        try:
            await self.wallet.approve(order, force=True)
        except SandboxError as error:
            raise vipps_refusal("VippsError", "92") from error
        if key:
            order.payment.note_approval(key)
            self.changes.note(order)
        return web.Response(status=200)

    async def _userinfo(self, request: web.Request) -> web.Response:
        # The one operation that Vipps answers without a subscription key.
        keys = self.callers.authorised(request, key_needed=False)
        sub, now = request.match_info["sub"], self.clock.now()
        order = self.book.by_sub(sub)
        known = order is not None and order.sub_at is not None and now >= order.sub_at
        if order is None or order.customer is None or not known:
            raise problem_refusal(404, "Not Found", "There is no user with this sub.")
        if keys is not None and not keys.covers(order.payment.merchant_serial_number):
            raise problem_refusal(404, "Not Found", "There is no user with this sub.")
        return json_answer(order.customer.claims(sub, order.scope, expired=order.personal_data_expired(now)))

    # -- who calls, and about which order --------------------------------------------------------------------------

    def _count(self, operation: str, *whose: str) -> None:
        if self.limits is not None:
            self.limits.count(operation, whose, self.clock.now())

    def _order_of_body(
        self, request: web.Request, keys: SandboxCredentials | None, body: Mapping[str, Any], operation: str
    ) -> Order:
        order_id = request.match_info["order_id"]
        check_order_id(order_id)
        msn = agreed_msn(request.headers, body)
        self._count(operation, msn, order_id)
        if keys is not None and not keys.covers(msn):
            raise vipps_refusal("Merchant", "35", order_id=order_id, msn=msn)
        order = self.book.find(order_id, msn)
        self.wallet.settle(order)
        return order

    def _order_of_path(self, request: web.Request, operation: str) -> Order:
        headers, order_id = request.headers, request.match_info["order_id"]
        keys = self.callers.authorised(request)
        check_order_id(order_id)
        msn = headers.get(MSN_HEADER)
        self._count(operation, headers[SUBSCRIPTION_KEY], msn or "", order_id)
        # Without the header the keys tell whose order it is; here, where any keys will do, the order itself.
        found = [
            order
            for order in self.book.all_of(order_id)
            if msn in {None, order.payment.merchant_serial_number}
            and (keys is None or keys.covers(order.payment.merchant_serial_number))
        ]
        if len(found) != 1:
            raise vipps_refusal("Merchant", "35", order_id=order_id, msn=msn or "")
        self.wallet.settle(found[0])
        return found[0]


async def _json(request: web.Request) -> dict[str, Any]:
    return read_json(await request.read(), request.headers.get("Content-Type", ""))


def _check_number(number: str | None) -> None:
    if number in NUMBERS:
        raise vipps_refusal(*NUMBERS[number])


def _fingerprint(body: Mapping[str, Any]) -> str:
    # The same payload, however its JSON was laid out.
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()


def json_answer(body: object) -> web.Response:
    """Return a success."""
    return web.Response(body=orjson.dumps(body), headers={"Content-Type": "application/json;charset=UTF-8"})


def refusal_answer(refusal: Refusal) -> web.Response:
    """Return a refusal as it goes over the wire."""
    return web.Response(
        status=refusal.status,
        body=orjson.dumps(refusal.body),
        headers={"Content-Type": refusal.media, **refusal.headers},
    )
