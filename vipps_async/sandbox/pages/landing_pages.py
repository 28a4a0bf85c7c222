"""The pages that the shop's customer sees: the number, the wait for the app, the app itself, and the end."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aiohttp import web

from vipps_async.sandbox.ledger.clock import SandboxClock
from vipps_async.sandbox.ledger.customers import Customer
from vipps_async.sandbox.ledger.orders import Order, oere_of
from vipps_async.sandbox.ledger.payment import REFUSED_AMOUNTS, UNKNOWN_AMOUNT
from vipps_async.sandbox.pages.layout import kroner, moment, page_answer
from vipps_async.sandbox.pages.markup import Html, Part, foreign, joined, tag
from vipps_async.sandbox.wire.urls import may_redirect_to

__all__ = [
    "APP_PATH",
    "LANDING_PATH",
    "WAITING_PATH",
    "app_page",
    "ended_page",
    "message_page",
    "number_page",
    "waiting_page",
]

LANDING_PATH = "/dwo-api-application/v1/deeplink/vippsgateway"
#: Where the landing page waits for the app.
WAITING_PATH = f"{LANDING_PATH}/waiting"
#: The app.
APP_PATH = f"{LANDING_PATH}/app"

_NOTE = tag("p", "Sandbox: no real money moves here.", class_="note")


def _card(title: str, *content: Part, status: int = 200, scripts: tuple[str, ...] = ()) -> web.Response:
    return page_answer(
        title,
        tag("main", tag("h1", title), *content, _NOTE, class_="card"),
        landing=True,
        status=status,
        scripts=scripts,
        class_="landing",
    )


def message_page(status: int, title: str, text: str) -> web.Response:
    """Return a page that says one thing."""
    return _card(title, tag("p", text), status=status)


def ended_page(order: Order, callback_hosts: Collection[str]) -> web.Response:
    """Return the page of a payment that waits for nobody any more."""
    back = None
    if may_redirect_to(order.fall_back, callback_hosts):
        back = tag("p", tag("a", "Back to the shop", href=order.fall_back, class_="button primary"))
    return _card("Payment ended", tag("p", "This payment no longer waits for an answer."), back, status=410)


def _what(order: Order) -> Html:
    payment = order.payment
    return tag(
        "dl",
        tag(
            "div", tag("dt", "Goods" if order.express else "Amount"), tag("dd", kroner(payment.amount), class_="amount")
        ),
        tag("div", tag("dt", "Shipping"), tag("dd", "Comes on top, as you choose.")) if order.express else None,
        tag("div", tag("dt", "For"), tag("dd", foreign(payment.text))),
        tag("div", tag("dt", "To"), tag("dd", "Sales unit ", payment.merchant_serial_number)),
        class_="what",
    )


def _secret(order: Order) -> Html:
    return tag("input", type="hidden", name="token", value=order.token)


def number_page(order: Order, *, given: str | None = None, wrong: str = "") -> web.Response:
    """Return the landing page: what is to be paid, and the question for the phone number."""
    number = given if given is not None else order.entered_number or order.mobile_number or ""
    return _card(
        "Pay on your phone",
        _what(order),
        tag(
            "form",
            _secret(order),
            tag("label", "Phone number", for_="number"),
            tag(
                "input",
                id="number",
                name="number",
                type="tel",
                inputmode="tel",
                autocomplete="tel-national",
                maxlength=20,
                required=True,
                value=number,
                aria_describedby="number-help number-wrong" if wrong else "number-help",
                aria_invalid="true" if wrong else None,
            ),
            tag("p", "Eight digits, Norwegian. Any will do here.", id="number-help", class_="help"),
            tag("p", wrong, id="number-wrong", class_="wrong") if wrong else None,
            tag("button", "Next", class_="primary", name="answer", value="number"),
            tag("button", "Cancel", name="answer", value="decline", formnovalidate=True),
            method="post",
            action=LANDING_PATH,
        ),
        status=400 if wrong else 200,
    )


def waiting_page(order: Order) -> web.Response:
    """Return the page that waits while the customer is in the app."""
    number = order.entered_number or order.mobile_number
    # The last digits are enough to know one's own phone by.
    sent = f"A notification went to the phone that ends in {number[-3:]}." if number else "Open the app to pay."
    here = f"?token={order.token}"
    return _card(
        "Open the app",
        tag("p", sent),
        _what(order),
        tag("p", tag("a", "Open the app", href=APP_PATH + here, class_="button primary")),
        tag(
            "p",
            "This page goes on by itself once the payment is answered. ",
            tag("a", "Look now", href=WAITING_PATH + here),
            class_="help",
        ),
        tag("p", "", role="status", id="waiting", data_waiting=WAITING_PATH + here),
        scripts=("waiting.js",),
    )


def app_page(
    order: Order,
    clock: SandboxClock,
    customer: Customer,
    methods: Sequence[Mapping[str, Any]] | None,
    problem: str = "",
    *,
    status: int = 200,
) -> web.Response:
    """Return the app: amount, text and merchant, in express checkout address and shipping, and the three answers.

    Args:
        order: what is to be paid.
        clock: the sandbox's clock.
        customer: who pays.
        methods: the ways of shipping; None, if it is no express checkout or there are none.
        problem: what stands in the way; empty if nothing does.
        status: the HTTP status.
    """
    due_at = order.payment.due_at
    return page_answer(
        "The app",
        tag(
            "main",
            tag("p", "The customer's phone", class_="phone-label"),
            tag(
                "div",
                tag(
                    "div",
                    tag("span", f"{clock.now():%H:%M}"),
                    tag("span", "", class_="island", aria_hidden="true"),
                    tag("span", "Sandbox"),
                    class_="phone-bar",
                ),
                tag("h1", "Confirm payment"),
                _what(order),
                tag("p", problem, class_="wrong", role="alert") if problem else None,
                tag(
                    "form",
                    _secret(order),
                    _shared(order),
                    _delivery(order, customer, methods) if order.express else None,
                    _answers(order, methods),
                    method="post",
                    action=LANDING_PATH,
                ),
                tag("p", "Waits until ", moment(due_at), " UTC.", class_="help") if due_at is not None else None,
                class_="phone",
            ),
            _bank(order.payment.amount),
            _NOTE,
        ),
        landing=True,
        status=status,
        class_="landing app",
    )


def _shared(order: Order) -> Html | None:
    if not order.scope:
        return None
    return tag("p", f"The shop asks for your {', '.join(sorted(order.scope))}. Approving shares it.", class_="help")


def _delivery(order: Order, customer: Customer, methods: Sequence[Mapping[str, Any]] | None) -> Html:
    address = customer.address
    lines: list[Part] = [f"{customer.first_name} {customer.last_name}"]
    for line in (address.line1, address.line2, f"{address.postal_code} {address.city}"):
        if line:
            lines += [tag("br"), line]
    parts: list[Part] = [tag("h2", "Delivery"), tag("address", lines)]
    if methods:
        parts.append(
            tag(
                "fieldset",
                tag("legend", "Shipping"),
                [
                    _method(number, method, _default(methods), goods=order.payment.amount)
                    for number, method in enumerate(methods)
                ],
                class_="choices",
            )
        )
    else:
        again = f"{APP_PATH}?token={order.token}"
        parts.append(tag("p", tag("a", "Ask the shop for shipping again", href=again)))
    return joined(parts)


def _default(methods: Sequence[Mapping[str, Any]]) -> int:
    return next((number for number, method in enumerate(methods) if method.get("isDefault") == "Y"), 0)


def _method(number: int, method: Mapping[str, Any], default: int, *, goods: int) -> Html:
    return tag(
        "label",
        tag(
            "input",
            type="radio",
            name="shipping",
            value=str(method["shippingMethodId"]),
            checked=number == default,
            required=True,
        ),
        tag("span", foreign(str(method["shippingMethod"]))),
        tag(
            "span",
            f"{method['shippingCost']:.2f}\u00a0NOK",
            tag("br"),
            tag("span", f"{kroner(goods + oere_of(method['shippingCost']))} in all", class_="help"),
            class_="cost",
        ),
    )


def _answers(order: Order, methods: Sequence[Mapping[str, Any]] | None) -> Html:
    can_approve = not order.express or bool(methods)
    # What Vipps adds for shipping is part of what is paid; where the choice decides it, each choice says it.
    totals = {order.payment.amount + oere_of(method["shippingCost"]) for method in methods or ()}
    if not order.express:
        totals = {order.payment.amount}
    return tag(
        "div",
        tag(
            "button",
            f"Pay {kroner(totals.pop())}" if len(totals) == 1 else "Pay",
            class_="primary",
            name="answer",
            value="approve",
            disabled=not can_approve,
        ),
        tag("button", "Decline", name="answer", value="decline", formnovalidate=True),
        tag("button", "Let it time out", class_="quiet", name="answer", value="expire", formnovalidate=True),
        class_="answers",
    )


def _bank(amount: int) -> Html | None:
    if amount in REFUSED_AMOUNTS:
        return tag("p", "A test amount: the bank will refuse it.", class_="note")
    if amount == UNKNOWN_AMOUNT:
        return tag("p", "A test amount: the bank will not know for an hour.", class_="note")
    return None
