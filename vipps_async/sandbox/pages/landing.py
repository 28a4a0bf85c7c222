"""The way of the customer: a number on the landing page, an answer in the app, and back to the shop."""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web

from vipps_async.sandbox.ledger.clock import SandboxClock
from vipps_async.sandbox.ledger.customer_simulator import Wallet, payer
from vipps_async.sandbox.ledger.entries import Outcome, State
from vipps_async.sandbox.ledger.orders import Order, OrderBook
from vipps_async.sandbox.ledger.phone_numbers import corrected_number
from vipps_async.sandbox.ledger.settings import NUMBERS
from vipps_async.sandbox.pages.landing_pages import (
    APP_PATH,
    LANDING_PATH,
    WAITING_PATH,
    app_page,
    ended_page,
    message_page,
    number_page,
    waiting_page,
)
from vipps_async.sandbox.wire.refusals import SandboxError, error_text
from vipps_async.sandbox.wire.urls import may_redirect_to

__all__ = ["LANDING_PATH", "Landing", "landing_url"]


def landing_url(base: str, order: Order) -> str:
    """Return where the merchant is to send the customer: the landing page, or a link into the app."""
    if order.is_app:
        return f"vippsMT://?token={order.token}"
    return f"{base}{LANDING_PATH}?v=2&token={order.token}"


class Landing:
    """Serves the pages and takes the customer's answers. The token in the URL is all that it takes to do so."""

    def __init__(
        self, clock: SandboxClock, book: OrderBook, wallet: Wallet, callback_hosts: Collection[str] = ()
    ) -> None:
        self._clock = clock
        self._callback_hosts = callback_hosts
        self._book = book
        self._wallet = wallet

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the pages and of their forms."""
        return [
            web.get(LANDING_PATH, self._ask_number, allow_head=False),
            web.get(WAITING_PATH, self._wait, allow_head=False),
            web.get(APP_PATH, self._app, allow_head=False),
            web.post(LANDING_PATH, self._answer),
        ]

    def _order(self, token: object) -> Order:
        order = self._book.by_token(str(token))
        if order is None:
            raise _UnknownLinkError
        self._wallet.settle(order)
        return order

    async def _ask_number(self, request: web.Request) -> web.Response:
        try:
            order = self._order(request.query.get("token", ""))
        except _UnknownLinkError:
            return _unknown()
        if not self._wallet.waits(order):
            return ended_page(order, self._callback_hosts)
        if order.skip_landing_page:
            # The notification went to the phone without asking.
            return _see(f"{WAITING_PATH}?token={order.token}")
        return number_page(order)

    async def _wait(self, request: web.Request) -> web.Response:
        try:
            order = self._order(request.query.get("token", ""))
        except _UnknownLinkError:
            return _unknown()
        return waiting_page(order) if self._wallet.waits(order) else _back_to_merchant(order, self._callback_hosts)

    async def _app(self, request: web.Request) -> web.Response:
        try:
            order = self._order(request.query.get("token", ""))
        except _UnknownLinkError:
            return _unknown()
        return await self._in_the_app(order)

    async def _in_the_app(self, order: Order, problem: str = "") -> web.Response:
        methods = None
        status = 409 if problem else 200
        try:
            self._wallet.open(order)
            if order.express and problem:
                # Not asked again for a page that says what went wrong when it was asked.
                methods = order.offered
            elif order.express:
                methods = await self._wallet.offer(order)
                # The shop took its time to answer; the payment may have ended meanwhile.
                self._wallet.open(order)
        except SandboxError as error:
            if not self._wallet.waits(order):
                return ended_page(order, self._callback_hosts)
            problem = str(error)
        return app_page(order, self._clock, payer(order), methods, problem, status=status)

    async def _answer(self, request: web.Request) -> web.Response:
        form = await request.post()
        try:
            order = self._order(form.get("token", ""))
        except _UnknownLinkError:
            return _unknown()
        answer = form.get("answer")
        try:
            if answer == "number":
                return self._take_number(order, str(form.get("number", "")))
            if answer == "approve":
                shipping = form.get("shipping")
                await self._wallet.approve(order, shipping_method_id=None if shipping is None else str(shipping))
            elif answer == "decline":
                self._wallet.reject(order)
            elif answer == "expire":
                self._wallet.expire(order)
            else:
                return message_page(400, "Nothing chosen", "The answer must be approve, decline or expire.")
        except SandboxError as error:
            if order.payment.state is State.INITIATE and self._wallet.waits(order):
                return await self._in_the_app(order, str(error))
            return ended_page(order, self._callback_hosts)
        return _back_to_merchant(order, self._callback_hosts)

    def _take_number(self, order: Order, given: str) -> web.Response:
        if not self._wallet.waits(order):
            return ended_page(order, self._callback_hosts)
        number = corrected_number(given)
        if number is None:
            wrong = "That is no Norwegian phone number: it has eight digits."
            return number_page(order, given=given, wrong=wrong)
        if number in NUMBERS:
            group, code = NUMBERS[number]
            wrong = f"This number stands for a customer who cannot pay ({code}): {error_text(group, code)}."
            return number_page(order, given=given, wrong=wrong)
        self._wallet.notify(order, number)
        return _see(f"{WAITING_PATH}?token={order.token}")


class _UnknownLinkError(Exception):
    """There is no payment behind the link."""


def _unknown() -> web.Response:
    return message_page(404, "Unknown link", "There is no payment behind this link.")


def _see(url: str) -> web.Response:
    return web.Response(
        status=303, headers={"Location": url, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    )


def _back_to_merchant(order: Order, callback_hosts: Collection[str]) -> web.Response:
    if may_redirect_to(order.fall_back, callback_hosts):
        return _see(_with_status(order))
    return message_page(200, "Done", "You may go back to the app that you came from.")


def _with_status(order: Order) -> str:
    """Return `fallBack` with the parameter that the vendor calls phased out, and still sends."""
    payment = order.payment
    status = "100" if payment.reserved_at is not None else "301" if payment.ending is Outcome.DECLINED else ""
    if not status:
        return order.fall_back
    url, mark, fragment = order.fall_back.partition("#")
    return f"{url}{'&' if '?' in url else '?'}status={status}{mark}{fragment}"
