"""The HTTP side of the API: who may call, what a call says, and what it is answered."""

from __future__ import annotations

import re
import weakref
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from aiohttp import web

from vipps_async.sandbox.answers import (
    cancel_answer,
    capture_answer,
    details_answer,
    refund_answer,
    status_answer,
)
from vipps_async.sandbox.changes import Changes
from vipps_async.sandbox.clock import SandboxClock
from vipps_async.sandbox.json_body import read_json
from vipps_async.sandbox.landing import landing_url
from vipps_async.sandbox.ledger import UNDISTURBED, Disturbance
from vipps_async.sandbox.orders import Order, OrderBook
from vipps_async.sandbox.problems import (
    Refusal,
    SandboxError,
    gateway_refusal,
    invalid_request,
    management_refusal,
    oauth_refusal,
    problem_refusal,
    vipps_refusal,
)
from vipps_async.sandbox.rate_limits import RateLimits
from vipps_async.sandbox.settings import Settings
from vipps_async.sandbox.tokens import SandboxCredentials, TokenIssuer
from vipps_async.sandbox.validation import (
    check_headers,
    check_order_id,
    check_request_id,
    read_approval,
    read_cancellation,
    read_initiation,
    read_payment_action,
)
from vipps_async.sandbox.wallet import Wallet

__all__ = [
    "OPERATIONS",
    "Api",
    "FaultNotes",
    "Permissions",
    "fault_notes",
    "json_answer",
    "refusal_answer",
    "unauthorised",
]


@dataclass(slots=True)
class FaultNotes:
    """What faults note on a request."""

    disturbance: Disturbance = UNDISTURBED
    #: How old its view of details is.
    stale_by: timedelta = timedelta(0)
    #: When it came, if it takes effect later: its token is judged then.
    received_at: datetime | None = None


#: By the identity of the request, which cannot be hashed, and whose own store takes other keys in each aiohttp.
_NOTES: dict[int, FaultNotes] = {}


def fault_notes(request: web.Request) -> FaultNotes:
    """Return what faults note on a request, to be read and changed."""
    notes = _NOTES.get(id(request))
    if notes is None:
        notes = _NOTES[id(request)] = FaultNotes()
        weakref.finalize(request, _NOTES.pop, id(request), None)
    return notes


_PAYMENTS = "/ecomm/v2/payments"
_ORDER = f"{_PAYMENTS}/{{order_id}}"
_MSN = re.compile(r"[0-9]{5,6}")

#: Path template → name of the operation.
OPERATIONS = {
    "/accesstoken/get": "token",
    "/accessToken/get": "token",
    _PAYMENTS: "initiate",
    f"{_ORDER}/capture": "capture",
    f"{_ORDER}/cancel": "cancel",
    f"{_ORDER}/refund": "refund",
    f"{_ORDER}/details": "details",
    f"{_ORDER}/status": "status",
    "/ecomm/v2/integration-test/payments/{order_id}/approve": "approve",
    "/vipps-userinfo-api/userinfo/{sub}": "userinfo",
}
# The vendor's quick start initiates with a slash at the end.
OPERATIONS |= {f"{path}/": operation for path, operation in OPERATIONS.items()}
_SUBSCRIPTION_KEY = "Ocp-Apim-Subscription-Key"


@dataclass(frozen=True, kw_only=True)
class Permissions:
    """What sales units may do, and whose keys are accepted."""

    #: The keys to check against; None accepts any that are not empty.
    credentials: Sequence[SandboxCredentials] | None = None
    #: Sales units whose payments are captured with the reservation.
    direct_capture: Collection[str] = frozenset()
    #: Sales units that may skip the landing page.
    skip_landing_page: Collection[str] = frozenset()
    #: Sales units that may ask for the national identity number.
    nin: Collection[str] = frozenset()


@dataclass(slots=True, kw_only=True)
class Api:
    """All endpoints."""

    clock: SandboxClock
    book: OrderBook
    wallet: Wallet
    tokens: TokenIssuer
    #: None: calls are not limited.
    limits: RateLimits | None
    permissions: Permissions
    settings: Settings
    changes: Changes
    #: Hosts whose URLs pass with http, too: they may be called.
    callback_hosts: Collection[str] = frozenset()
    #: The sandbox's own URL, once it is known.
    url: str = field(default="")

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of all endpoints."""
        handlers = {
            "token": ("POST", self._token),
            "initiate": ("POST", self._initiate),
            "capture": ("POST", self._capture),
            "cancel": ("PUT", self._cancel),
            "refund": ("POST", self._refund),
            "details": ("GET", self._details),
            "status": ("GET", self._status),
            "approve": ("POST", self._approve),
            "userinfo": ("GET", self._userinfo),
        }
        routes = []
        for path, operation in OPERATIONS.items():
            method, handler = handlers[operation]
            routes.append(web.route(method, path, handler))
        return routes

    # -- token -----------------------------------------------------------------------------------------------------

    async def _token(self, request: web.Request) -> web.Response:
        headers, now = request.headers, self.clock.now()
        self._subscriber(headers)
        client_id, client_secret = headers.get("client_id"), headers.get("client_secret")
        if not client_id or not client_secret:
            raise oauth_refusal(400, "invalid_request", 900144, "client_id and client_secret are required.", now)
        if await request.read():
            raise oauth_refusal(400, "invalid_request", 900144, "The body must be empty.", now)
        if self.permissions.credentials is not None:
            keys = next((keys for keys in self.permissions.credentials if keys.client_id == client_id), None)
            if keys is None:
                raise oauth_refusal(400, "unauthorized_client", 700016, "There is no such client_id.", now)
            if keys.client_secret != client_secret:
                raise oauth_refusal(401, "invalid_client", 7000215, "The client_secret is wrong.", now)
        return json_answer(self.tokens.issue(client_id, now))

    # -- payments --------------------------------------------------------------------------------------------------

    async def _initiate(self, request: web.Request) -> web.Response:
        keys = self._authorised(request)
        body = read_json(await request.read(), request.headers.get("Content-Type", ""))
        read_initiation(body, self.callback_hosts)
        transaction = body["transaction"]
        msn = _agreed_msn(request.headers, body)
        if keys is not None and not keys.covers(msn):
            raise vipps_refusal("Merchant", "37")
        self._count("initiate", msn, transaction["orderId"])
        if transaction.get("skipLandingPage") and msn not in self.permissions.skip_landing_page:
            raise vipps_refusal("Merchant", "38")
        if "nin" in transaction.get("scope", "").split() and msn not in self.permissions.nin:
            raise vipps_refusal("Merchant", "51")
        order = self.book.add(body, direct_capture=msn in self.permissions.direct_capture, now=self.clock.now())
        self.wallet.watch(order)
        self.changes.note(order)
        return json_answer({"orderId": order.payment.order_id, "url": landing_url(self.url, order)})

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
        keys = self._authorised(request)
        body = read_json(await request.read(), request.headers.get("Content-Type", ""))
        key = check_request_id(request.headers.get("X-Request-Id"), required=self.settings.request_id_required)
        amount = read_payment_action(body)
        return self._order_of_body(request, keys, body, operation), body, key, amount

    async def _cancel(self, request: web.Request) -> web.Response:
        keys = self._authorised(request)
        body = read_json(await request.read(), request.headers.get("Content-Type", ""))
        release_remaining = read_cancellation(body)
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
        body = read_json(await request.read(), request.headers.get("Content-Type", ""))
        check_request_id(request.headers.get("X-Request-Id"), required=False)
        token = read_approval(body)
        if token is not None and token != order.token:
            raise invalid_request([("token", "is not the one of the payment's url")])
        if order.express or order.skip_landing_page:
            raise vipps_refusal("VippsError", "91")
        try:
            await self.wallet.approve(order, force=True)
        except SandboxError as error:
            raise vipps_refusal("VippsError", "92") from error
        return web.Response(status=200)

    async def _userinfo(self, request: web.Request) -> web.Response:
        # The one operation that Vipps answers without a subscription key.
        keys = self._authorised(request, key_needed=False)
        sub, now = request.match_info["sub"], self.clock.now()
        order = self.book.by_sub(sub)
        known = order is not None and order.sub_at is not None and now >= order.sub_at
        if order is None or order.customer is None or not known:
            raise problem_refusal(404, "Not Found", "There is no user with this sub.")
        if keys is not None and not keys.covers(order.payment.merchant_serial_number):
            raise problem_refusal(404, "Not Found", "There is no user with this sub.")
        return json_answer(order.customer.claims(sub, order.scope, expired=order.personal_data_expired(now)))

    # -- who calls, and about which order --------------------------------------------------------------------------

    def _subscriber(self, headers: Mapping[str, str]) -> SandboxCredentials | None:
        key = headers.get(_SUBSCRIPTION_KEY)
        if not key:
            raise gateway_refusal(401, "Access denied due to missing subscription key.")
        if self.permissions.credentials is None:
            return None
        for keys in self.permissions.credentials:
            if keys.subscription_key == key:
                return keys
        raise gateway_refusal(401, "Access denied due to invalid subscription key.")

    def _authorised(self, request: web.Request, *, key_needed: bool = True) -> SandboxCredentials | None:
        headers = request.headers
        with_key = key_needed or _SUBSCRIPTION_KEY in headers
        keys = self._subscriber(headers) if with_key else None
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        owner = (
            self.tokens.owner(token, fault_notes(request).received_at or self.clock.now())
            if scheme == "Bearer"
            else None
        )
        if owner is None or (keys is not None and owner != keys.client_id):
            raise unauthorised()
        if not with_key:
            keys = next((keys for keys in self.permissions.credentials or () if keys.client_id == owner), None)
        check_headers(headers)
        msn = headers.get("Merchant-Serial-Number")
        if msn is not None and not _MSN.fullmatch(msn):
            raise invalid_request([("Merchant-Serial-Number", "must have 5 or 6 digits")])
        if msn is None and keys is not None and keys.partner:
            raise invalid_request([("Merchant-Serial-Number", "is required with partner keys")])
        return keys

    def _count(self, operation: str, *whose: str) -> None:
        if self.limits is not None:
            self.limits.count(operation, whose, self.clock.now())

    def _order_of_body(
        self, request: web.Request, keys: SandboxCredentials | None, body: Mapping[str, Any], operation: str
    ) -> Order:
        order_id = request.match_info["order_id"]
        check_order_id(order_id)
        msn = _agreed_msn(request.headers, body)
        self._count(operation, msn, order_id)
        if keys is not None and not keys.covers(msn):
            raise vipps_refusal("Merchant", "35")
        order = self.book.find(order_id, msn)
        self.wallet.settle(order)
        return order

    def _order_of_path(self, request: web.Request, operation: str) -> Order:
        headers, order_id = request.headers, request.match_info["order_id"]
        keys = self._authorised(request)
        check_order_id(order_id)
        msn = headers.get("Merchant-Serial-Number")
        self._count(operation, headers[_SUBSCRIPTION_KEY], msn or "", order_id)
        # Without the header the keys tell whose order it is; here, where any keys will do, the order itself.
        found = [
            order
            for order in self.book.all_of(order_id)
            if msn in {None, order.payment.merchant_serial_number}
            and (keys is None or keys.covers(order.payment.merchant_serial_number))
        ]
        if len(found) != 1:
            raise vipps_refusal("Merchant", "35")
        self.wallet.settle(found[0])
        return found[0]


def unauthorised() -> Refusal:
    """Return the answer to a token that is missing, malformed, forged or expired."""
    return management_refusal(401, "Unauthorized", "The access token is missing, not valid or expired.")


def _agreed_msn(headers: Mapping[str, str], body: Mapping[str, Any]) -> str:
    msn: str = body["merchantInfo"]["merchantSerialNumber"]
    if headers.get("Merchant-Serial-Number", msn) != msn:
        raise invalid_request([("Merchant-Serial-Number", "must be the same in header and body")])
    return msn


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
