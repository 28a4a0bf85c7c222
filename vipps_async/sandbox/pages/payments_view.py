"""The pages of the dashboard that show many things at once: all payments, and the last requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from vipps_async.sandbox.ledger.customer_simulator import state_word
from vipps_async.sandbox.ledger.orders import Order
from vipps_async.sandbox.network.history import RequestRecord
from vipps_async.sandbox.pages.layout import bare_kroner, moment
from vipps_async.sandbox.pages.markup import Html, Part, foreign, joined, tag
from vipps_async.sandbox.pages.traffic_view import request_list

__all__ = ["payment_path", "payments_content", "requests_content", "state_badge"]

#: What each state means, for those who do not know the words by heart.
_MEANING = {
    "INITIATE": "waits for the customer",
    "REGISTER": "the bank does not know yet",
    "RESERVE": "money is reserved",
    "SALE": "reserved and captured at once",
    "CANCEL": "ended before any reservation",
    "VOID": "the rest was released",
    "FAILED": "the bank refused",
}

#: Lines of the list of what was ignored.
_MAX_IGNORED = 100


def payment_path(order: Order) -> str:
    """Return the path of a payment's page."""
    return f"/sandbox/payments/{order.payment.merchant_serial_number}/{order.payment.order_id}"


def state_badge(order: Order) -> Html:
    """Return where a payment stands, the word and its meaning."""
    word = state_word(order)
    return tag("span", word, class_=f"badge state {word.lower()}", title=_MEANING[word])


def payments_content(
    url: str, orders: Sequence[Order], *, total: int, page: int, page_size: int, query: str, now: datetime
) -> list[Part]:
    """Return the content of the dashboard's first page.

    Args:
        url: where the sandbox answers.
        orders: the payments to show, the newest first.
        total: how many payments there are in all.
        page: the number of the page, from 1.
        page_size: how many payments a page shows.
        query: the part of the order id that was asked for.
        now: the sandbox's time.
    """
    return [
        tag("h1", "Payments"),
        _search(query),
        tag(
            "div",
            _table(orders, now) if orders else None if total else _first_steps(url),
            tag("p", "No order id has that in it.", class_="help") if total and not orders else None,
            _pages(total=total, page=page, page_size=page_size, query=query),
            id="payments",
            data_live=True,
        ),
    ]


def _search(query: str) -> Html:
    return tag(
        "form",
        tag("label", "Order id", for_="query"),
        tag("input", id="query", name="query", type="search", value=query, maxlength=50),
        tag("button", "Find"),
        method="get",
        action="/",
        role="search",
        class_="inline",
    )


def _table(orders: Sequence[Order], now: datetime) -> Html:
    money = ("Amount", "Reserved", "Captured", "Refunded")
    heads = ("Order", "State", *money, "Sales unit", "Last change")
    return tag(
        "div",
        tag(
            "table",
            tag("caption", "The newest first. Amounts in NOK, times in UTC."),
            tag("thead", tag("tr", [tag("th", h, scope="col", class_="money" if h in money else None) for h in heads])),
            tag("tbody", [_row(order, now) for order in orders]),
        ),
        class_="scroll",
        role="region",
        aria_label="Payments",
        tabindex=0,
    )


def _row(order: Order, now: datetime) -> Html:
    payment = order.payment
    return tag(
        "tr",
        tag("th", tag("a", payment.order_id, href=payment_path(order)), scope="row"),
        tag("td", state_badge(order), data_head="State"),
        tag("td", bare_kroner(payment.total), class_="money", data_head="Amount"),
        *(
            tag("td", bare_kroner(oere) if oere else tag("span", "–", class_="none"), class_="money", data_head=head)
            for head, oere in (
                ("Reserved", payment.reserved),
                ("Captured", payment.captured),
                ("Refunded", payment.refunded),
            )
        ),
        tag("td", payment.merchant_serial_number, data_head="Sales unit"),
        tag("td", moment(payment.history[-1].time, today=now), data_head="Last change"),
        id=f"row-{payment.merchant_serial_number}-{payment.order_id}",
    )


def _pages(*, total: int, page: int, page_size: int, query: str) -> Html | None:
    if query or total <= page_size:
        return None
    last = -(-total // page_size)
    return tag(
        "nav",
        tag("a", "Newer", href=f"/?page={page - 1}") if page > 1 else None,
        tag("span", f"Page {page} of {last}, {total} payments"),
        tag("a", "Older", href=f"/?page={page + 1}") if page < last else None,
        aria_label="Pages",
        class_="pages",
    )


def _first_steps(url: str) -> Html:
    exports = (
        f"export VIPPS_BASE_URL={url} VIPPS_ENVIRONMENT=test VIPPS_MERCHANT_SERIAL_NUMBER=123456\n"
        "export VIPPS_CLIENT_ID=id VIPPS_CLIENT_SECRET=secret VIPPS_SUBSCRIPTION_KEY=key"
    )
    return tag(
        "div",
        tag("h2", "No payments yet"),
        tag("p", "Point your shop at this sandbox, and initiate one. It appears here by itself."),
        tag("pre", tag("code", exports), tabindex=0),
        class_="empty",
    )


def requests_content(records: Sequence[RequestRecord], ignored: Mapping[tuple[str, str, str], int]) -> list[Part]:
    """Return the content of the page of the last requests, and of what was taken and ignored in all of them."""
    return [
        tag("h1", "Requests"),
        tag("section", tag("h2", "Taken and ignored"), _ignored(ignored), aria_label="Taken and ignored"),
        tag("p", "The last requests to the API, the newest first.", class_="help"),
        joined(request_list(records, identity="requests")),
    ]


def _ignored(ignored: Mapping[tuple[str, str, str], int]) -> Html:
    if not ignored:
        said = "Nothing yet. Fields that Vipps does not know, and nulls, are counted here; --strict refuses them."
        return tag("div", tag("p", said, class_="help"), id="ignored", data_live=True)
    lines = [
        tag("li", tag("strong", operation), " ", tag("code", foreign(place)), f" {kind}, {count} times")
        for (operation, place, kind), count in sorted(ignored.items())[:_MAX_IGNORED]
    ]
    return tag(
        "div",
        tag("p", "Vipps takes these and does nothing with them. Is one of them misspelt?", class_="help"),
        tag("ul", lines),
        id="ignored",
        data_live=True,
    )
