"""The customer's pages: a number on the landing page, an answer in the app, and back to the shop."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from vipps_async.sandbox.ledger.customer_simulator import payer
from vipps_async.sandbox.ledger.customers import check_number, corrected_msisdn, corrected_number
from vipps_async.sandbox.ledger.orders import Order
from vipps_async.sandbox.ledger.reasons import Refused, SandboxError
from vipps_async.sandbox.pages.layout import (
    APP_PATH,
    LANDING_PATH,
    QR_PATH,
    WAITING_PATH,
    bank,
    chosen_shipping,
    page,
    see_other,
)
from vipps_async.sandbox.pages.qr_image import qr_image
from vipps_async.sandbox.wire.face import Face, Services
from vipps_async.sandbox.wire.urls import may_redirect_to


def landing_url(base: str, order: Order) -> str:
    """Return the URL that the merchant sends the customer to: the landing page, or a link into the app."""
    if order.is_app:
        return f"vippsMT://?token={order.token}"
    return f"{base}{LANDING_PATH}?v=2&token={order.token}"


def qr_url(base: str, order: Order) -> str:
    """Return where the image of a payment's QR code is."""
    return f"{base}{QR_PATH}?token={order.token}"


class _UnknownLinkError(Exception):
    """There is no payment behind the link."""


class Landing:
    """The customer's pages and forms. Whoever has the token in the URL may use them.

    Args:
        services: clock, orders and customers.
        face_of: returns the API of an order.
    """

    def __init__(self, services: Services, face_of: Callable[[Order], Face]) -> None:
        self._clock = services.clock
        self._book = services.book
        self._customers = services.customers
        self._callback_hosts = services.callback_hosts
        self._face_of = face_of

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the pages and of their forms."""
        return [
            web.get(LANDING_PATH, self._page, allow_head=False),
            web.get(WAITING_PATH, self._page, allow_head=False),
            web.get(APP_PATH, self._page, allow_head=False),
            web.get(QR_PATH, self._qr, allow_head=False),
            web.post(LANDING_PATH, self._answer),
        ]

    def _order(self, token: object) -> Order:
        order = self._book.by_token(str(token))
        if order is None:
            raise _UnknownLinkError
        self._customers.settle(order)
        return order

    async def _page(self, request: web.Request) -> web.Response:
        try:
            order = self._order(request.query.get("token", ""))
        except _UnknownLinkError:
            return _unknown()
        if request.path == APP_PATH:
            return await self._app(order)
        if not self._customers.waits(order):
            return self._back_to_merchant(order) if request.path == WAITING_PATH else self._ended(order)
        if request.path == WAITING_PATH:
            return page("waiting.html", customer=True, title="Open the app", order=order, number=_number(order))
        if order.skip_landing_page:
            # The notification went to the phone without asking.
            return see_other(f"{WAITING_PATH}?token={order.token}")
        return _ask_number(order, _number(order))

    async def _qr(self, request: web.Request) -> web.Response:
        try:
            order = self._order(request.query.get("token", ""))
        except _UnknownLinkError:
            return _unknown()
        target = landing_url(f"{request.scheme}://{request.host}", order)
        return qr_image(target, str(order.details.get("qrFormat", "")), int(order.details.get("qrSize", 0)))

    async def _app(self, order: Order, problem: str = "") -> web.Response:
        methods = None
        status = 409 if problem else 200
        try:
            self._customers.open(order)
            if order.express and problem:
                # Not asked again for a page that says what went wrong when it was asked.
                methods = order.offered
            elif order.express:
                methods = await self._customers.offer(order)
                # The shop took its time to answer; the payment may have ended meanwhile.
                self._customers.open(order)
        except SandboxError as error:
            if not self._customers.waits(order):
                return self._ended(order)
            problem = str(error)
        return page(
            "app.html",
            status,
            customer=True,
            title="Confirm payment",
            order=order,
            person=payer(order),
            methods=methods or [],
            problem=problem,
            bank=bank(order),
            now=self._clock.now(),
        )

    async def _answer(self, request: web.Request) -> web.Response:
        form = await request.post()
        try:
            order = self._order(form.get("token", ""))
        except _UnknownLinkError:
            return _unknown()
        answer = form.get("answer")
        if answer == "number":
            return self._take_number(order, str(form.get("number", "")))
        try:
            if answer == "approve":
                await self._customers.approve(order, shipping_method_id=chosen_shipping(form))
            elif answer == "decline":
                self._customers.reject(order)
            elif answer == "expire":
                self._customers.expire(order)
            else:
                return _message(400, "Nothing chosen", "The answer must be approve, decline or expire.")
        except SandboxError as error:
            return await self._app(order, str(error)) if self._customers.waits(order) else self._ended(order)
        if self._customers.waits(order):
            return await self._app(order, "The bank refused. Another card may be tried.")
        return self._back_to_merchant(order)

    def _take_number(self, order: Order, given: str) -> web.Response:
        if not self._customers.waits(order):
            return self._ended(order)
        number = corrected_number(given)
        if number is None and order.payment.currency != "NOK":
            number = corrected_msisdn(given)
        if number is None:
            return _ask_number(order, given, "That is no phone number: one of Norway has eight digits.")
        try:
            check_number(number)
        except Refused as refused:
            why = self._face_of(order).explain(refused.reason)
            return _ask_number(order, given, f"This number stands for a customer who cannot pay: {why}.")
        self._customers.notify(order, number)
        return see_other(f"{WAITING_PATH}?token={order.token}")

    def _ended(self, order: Order) -> web.Response:
        back = order.return_url if may_redirect_to(order.return_url, self._callback_hosts) else ""
        return page("ended.html", 410, customer=True, title="Payment ended", back=back)

    def _back_to_merchant(self, order: Order) -> web.Response:
        if may_redirect_to(order.return_url, self._callback_hosts):
            return see_other(self._face_of(order).return_url(order))
        return _message(200, "Done", "You may go back to the app that you came from.")


def _number(order: Order) -> str:
    return order.entered_number or order.mobile_number or ""


def _ask_number(order: Order, number: str, wrong: str = "") -> web.Response:
    status = 400 if wrong else 200
    return page(
        "number.html", status, customer=True, title="Pay on your phone", order=order, number=number, wrong=wrong
    )


def _message(status: int, title: str, text: str) -> web.Response:
    return page("customer.html", status, customer=True, title=title, text=text)


def _unknown() -> web.Response:
    return _message(404, "Unknown link", "There is no payment behind this link.")
