"""The page of one payment: where it stands, what can be done, its history, and what was said about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from vipps_async.sandbox.ledger.entries import LogEntry
from vipps_async.sandbox.ledger.orders import Order, oere_of
from vipps_async.sandbox.ledger.payment import REFUSED_AMOUNTS, UNKNOWN_AMOUNT
from vipps_async.sandbox.network.history import CallbackRecord, RequestRecord
from vipps_async.sandbox.pages.landing_pages import APP_PATH, LANDING_PATH
from vipps_async.sandbox.pages.layout import kroner, moment
from vipps_async.sandbox.pages.markup import Html, Part, foreign, tag
from vipps_async.sandbox.pages.payments_view import payment_path, state_badge
from vipps_async.sandbox.pages.traffic_view import callback_list, request_list
from vipps_async.sandbox.wire.urls import may_redirect_to

__all__ = ["payment_content"]


def payment_content(
    order: Order,
    *,
    waits: bool,
    now: datetime,
    requests: Sequence[RequestRecord],
    callbacks: Sequence[CallbackRecord],
    problem: str = "",
) -> list[Part]:
    """Return the content of the page.

    Args:
        order: the payment.
        waits: whether it waits for the customer.
        now: the sandbox's time.
        requests: the requests about it that are on record, oldest first.
        callbacks: the calls at the shop about it that are on record, oldest first.
        problem: what stood in the way of the last button; empty if nothing did.
    """
    payment = order.payment
    return [
        tag("p", tag("a", "All payments", href="/"), class_="crumbs"),
        tag("h1", payment.order_id, " ", tag("span", state_badge(order), id="state", data_live=True)),
        tag("p", problem, class_="wrong", role="alert") if problem else None,
        tag(
            "div",
            tag("section", tag("h2", "Sums"), _sums(order), aria_label="Sums", class_="panel"),
            tag(
                "section",
                tag("h2", "Customer and bank"),
                _actions(order, waits),
                aria_label="Customer and bank",
                class_="panel",
            ),
            class_="columns",
        ),
        tag("section", tag("h2", "History"), _timeline(payment.history), aria_label="History"),
        tag("section", tag("h2", "Callbacks"), callback_list(callbacks, identity="callbacks"), aria_label="Callbacks"),
        tag("section", tag("h2", "Requests"), request_list(requests, identity="requests"), aria_label="Requests"),
        tag("section", tag("h2", "What the shop said"), _facts(order, now), aria_label="What the shop said"),
    ]


def _pairs(pairs: Sequence[tuple[str, Part]], **attributes: str | bool) -> Html:
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs], **attributes)


def _sums(order: Order) -> Html:
    payment = order.payment
    return _pairs(
        [
            ("Amount", kroner(payment.amount)),
            *([("Shipping, added by Vipps", kroner(order.shipping.oere))] if order.shipping is not None else []),
            ("Reserved", kroner(payment.reserved)),
            ("Captured", kroner(payment.captured)),
            ("Refunded", kroner(payment.refunded)),
            ("Released", kroner(payment.released)),
            ("Left to capture", kroner(payment.remaining_to_capture)),
            ("Left to refund", kroner(payment.remaining_to_refund)),
        ],
        class_="sums",
        id="sums",
        data_live=True,
    )


def _actions(order: Order, waits: bool) -> Html:  # noqa: FBT001 - two words for it would say no more
    if not waits:
        unknown = order.payment.known_at is not None
        said = (
            "The bank takes an hour to say what it did. Advance the clock."
            if unknown
            else "The customer is done with it. Captures, refunds and cancellations are the shop's to make."
        )
        return tag("div", tag("p", said, class_="help"), id="actions", data_live=True)
    path = payment_path(order)
    return tag(
        "div",
        tag(
            "form",
            _shipping(order),
            tag("button", "Approve", class_="primary", formaction=f"{path}/approve", id="do-approve"),
            tag("button", "Decline", formaction=f"{path}/decline", id="do-decline"),
            tag("button", "Let it time out", formaction=f"{path}/expire", id="do-expire"),
            tag("button", "Open in the app", formaction=f"{path}/open", id="do-open")
            if order.payment.opened_at is None
            else None,
            method="post",
            action=f"{path}/approve",
            class_="buttons",
        ),
        tag(
            "p",
            "Or play it through: ",
            tag("a", "landing page", href=f"{LANDING_PATH}?v=2&token={order.token}"),
            ", ",
            tag("a", "app", href=f"{APP_PATH}?token={order.token}"),
            ".",
            class_="help",
        ),
        _deadline(order),
        _bank(order.payment.amount),
        id="actions",
        data_live=True,
    )


def _deadline(order: Order) -> Html | None:
    due_at = order.payment.due_at
    return None if due_at is None else tag("p", "Times out at ", moment(due_at), " UTC.", class_="help")


def _shipping(order: Order) -> Html | None:
    if not order.express:
        return None
    methods = order.offered or order.static_shipping
    if not methods:
        return tag("p", "The shop is asked for shipping when you approve; its default is taken.", class_="help")
    options = [
        tag(
            "option",
            f"{method['shippingMethod']}, {method['shippingCost']:.2f} NOK: "
            f"{kroner(order.payment.amount + oere_of(method['shippingCost']))} in all",
            value=str(method["shippingMethodId"]),
            selected=method["isDefault"] == "Y",
        )
        for method in methods
    ]
    return tag(
        "p",
        tag("label", "Shipping", for_="shipping"),
        " ",
        tag("select", options, id="shipping", name="shipping"),
        class_="wide",
    )


def _bank(amount: int) -> Html | None:
    if amount in REFUSED_AMOUNTS:
        return tag("p", "A test amount: the bank refuses it when the customer approves.", class_="help")
    if amount == UNKNOWN_AMOUNT:
        return tag("p", "A test amount: the bank will not know for an hour.", class_="help")
    amounts = ", ".join(f"{oere // 100}.{oere % 100:02d}" for oere in sorted(REFUSED_AMOUNTS))
    return tag("p", f"The bank refuses payments of {amounts} NOK.", class_="help")


def _timeline(history: Sequence[LogEntry]) -> Html:
    return tag("ol", [_event(entry) for entry in history], class_="timeline", id="history", data_live=True)


def _event(entry: LogEntry) -> Html:
    facts: list[tuple[str, Part]] = [("Text", foreign(entry.text)), ("Transaction", tag("code", entry.transaction_id))]
    if entry.request_id:
        facts.insert(0, ("Request id", tag("code", foreign(entry.request_id))))
    return tag(
        "li",
        tag(
            "p",
            tag("strong", entry.operation),
            " ",
            kroner(entry.amount),
            " ",
            None if entry.success else tag("span", "refused", class_="badge bad"),
            " ",
            moment(entry.time),
            class_="event",
        ),
        _pairs(facts, class_="facts"),
        class_="done" if entry.success else "failed",
    )


def _facts(order: Order, now: datetime) -> Html:
    payment = order.payment
    kind = "express checkout" if order.express else "regular"
    flags = [
        name
        for name, holds in (
            ("in an app", order.is_app),
            ("skips the landing page", order.skip_landing_page),
            ("direct capture", payment.direct_capture),
        )
        if holds
    ]
    pairs: list[tuple[str, Part]] = [
        ("Text", foreign(payment.text)),
        ("Sales unit", payment.merchant_serial_number),
        ("Kind", ", ".join([kind, *flags])),
        ("Initiated", moment(payment.initiated_at)),
        ("Callbacks to", _prefix(order.callback_prefix)),
        ("Callback token", "yes, hidden" if order.auth_token else "none"),
        ("Back to", _link(order.fall_back)),
    ]
    if order.shipping_details_prefix:
        pairs.append(("Shipping from", _prefix(order.shipping_details_prefix)))
    if order.consent_removal_prefix:
        pairs.append(("Consent removal", _prefix(order.consent_removal_prefix)))
    if order.scope:
        pairs.append(("Asks for", ", ".join(sorted(order.scope))))
    if order.shipping is not None:
        cost = f"{order.shipping.cost:.2f} NOK"
        pairs.append(("Shipping", [foreign(order.shipping.method), f", {cost}"]))
    if order.personal_data_expired(now):
        pairs.append(("Personal data", "expired: older than 7 days"))
    return _pairs(pairs, class_="facts", id="facts", data_live=True)


def _prefix(url: str) -> list[Part]:
    said = " (Vipps itself refuses http)" if url.lower().startswith("http:") else None
    return [tag("code", foreign(url)), said]


def _link(url: str) -> Html:
    text = tag("code", foreign(url))
    return tag("a", text, href=url, rel="noreferrer") if may_redirect_to(url) else text
