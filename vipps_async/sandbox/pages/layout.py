"""Renders templates: filters, escaping, and the security headers of pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from aiohttp import web
from markupsafe import Markup

from vipps_async.sandbox.ledger.entries import State
from vipps_async.sandbox.ledger.orders import Order
from vipps_async.sandbox.ledger.terms import REFUSED_AMOUNTS, UNKNOWN_AMOUNT
from vipps_async.sandbox.pages.traffic_view import shown_body, shown_headers, shown_path, shown_url

if TYPE_CHECKING:
    from jinja2 import Environment

#: Where `initiate` sends the customer.
LANDING_PATH = "/dwo-api-application/v1/deeplink/vippsgateway"
#: Where the landing page waits for the app.
WAITING_PATH = f"{LANDING_PATH}/waiting"
APP_PATH = f"{LANDING_PATH}/app"
#: Where the images of QR codes are.
QR_PATH = "/qr-image/v1"

_ASSETS = {
    "icon.svg": "image/svg+xml",
    "style.css": "text/css",
    "live.js": "text/javascript",
}
#: Nothing inline, nothing from elsewhere, no frames.
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
#: The customer's pages: the URL holds a secret. `form-action` stays open, since browsers hold it against the redirect
#: to the merchant's own page, too.
_CUSTOMER_HEADERS = {**_HEADERS, "Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
#: The dashboard's. Without a referrer browsers would call the origin of a form "null".
_DASHBOARD_HEADERS = {
    **_HEADERS,
    "Content-Security-Policy": f"{_POLICY}; form-action 'self'",
    "Referrer-Policy": "same-origin",
}
#: Control characters, and those that change the direction of writing.
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
#: State → its meaning.
_MEANINGS = {
    "INITIATE": "waits for the customer",
    "REGISTER": "the bank does not know yet",
    "RESERVE": "money is reserved",
    "SALE": "reserved and captured at once",
    "CAPTURE": "captured, all of it or a part: see the sums",
    "REFUND": "paid back, all of it or a part: see the sums",
    "CANCEL": "ended before any reservation",
    "VOID": "the rest was released",
    "FAILED": "the bank refused",
}


def _visible(value: object) -> object:
    """Replace invisible characters, and those that change the direction of writing, by their code points."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _INVISIBLE.sub(lambda found: f"[U+{ord(found[0]):04X}]", value)
    return "" if value is None else value


def _foreign(text: str) -> Markup:
    """Return text from outside, isolated (`bdi`) so that its direction of writing does not spread."""
    return Markup("<bdi>{}</bdi>").format(_visible(text))


def _bare(minor: int) -> str:
    """Write an amount of minor units without its currency."""
    return f"{minor // 100:,}.{minor % 100:02d}".replace(",", "\u00a0")


def _money(minor: int, currency: str = "NOK") -> str:
    return f"{_bare(minor)} {currency}"


def _amount(minor: int, currency: str) -> str:
    return _bare(minor) if currency == "NOK" else _money(minor, currency)


def _moment(time: datetime, today: datetime | None = None) -> Markup:
    """Write a time of the sandbox's clock, to the second; without the date if it is that of `today`."""
    text = time.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
    shown = text[11:] if today is not None and today.date() == time.date() else text
    return Markup('<time datetime="{}Z" title="{} UTC">{}</time>').format(text.replace(" ", "T"), text, shown)


def shown_state(order: Order) -> str:
    """Return the state to show: CAPTURE or REFUND for a reservation of which something was captured or refunded."""
    payment = order.payment
    if payment.state in {State.RESERVE, State.SALE} and payment.sums.refunded:
        return "REFUND"
    return "CAPTURE" if payment.state is State.RESERVE and payment.sums.captured else order.state_word


def payment_path(order: Order) -> str:
    """Return the path of a payment's page."""
    return f"/sandbox/payments/{order.payment.sales_unit}/{order.payment.reference}"


def bank(order: Order) -> str:
    """Return what the bank does with a test amount; empty for any other amount."""
    amount = order.payment.amount
    return "refuses" if amount in REFUSED_AMOUNTS else "does not know" if amount == UNKNOWN_AMOUNT else ""


@cache
def _templates() -> Environment:
    # Loaded with the first page: tests need none, and jinja2 takes a fifth of the time that the sandbox takes to load.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    templates = Environment(
        loader=PackageLoader("vipps_async.sandbox.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    own = (shown_body, shown_headers, shown_path, shown_state, shown_url)
    templates.filters.update({function.__name__: function for function in own})
    templates.filters.update(
        amount=_amount, bare=_bare, foreign=_foreign, moment=_moment, money=_money, path=payment_path
    )
    templates.globals.update(
        meanings=_MEANINGS, landing_path=LANDING_PATH, waiting_path=WAITING_PATH, app_path=APP_PATH
    )
    return templates


def page(template: str, status: int = 200, *, customer: bool = False, **values: Any) -> web.Response:
    """Return a page: a template filled with values. `customer`: the shop's customer sees it, a secret in its URL."""
    return web.Response(
        status=status,
        text=_templates().get_template(template).render(values),
        content_type="text/html",
        headers=_CUSTOMER_HEADERS if customer else _DASHBOARD_HEADERS,
    )


def chosen_shipping(form: Mapping[str, object]) -> str | None:
    """Return the shipping method that a form chose; None: it chose none."""
    chosen = form.get("shipping")
    return None if chosen is None else str(chosen)


def see_other(url: str) -> web.Response:
    """Return the redirect after a form, to a URL that may hold a secret."""
    headers = {"Location": url, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return web.Response(status=303, headers=headers)


def asset_route() -> web.RouteDef:
    """Return the route of the style and the scripts."""
    return web.get("/sandbox/pages/{name}", _asset, allow_head=False)


async def _asset(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in _ASSETS:
        raise web.HTTPNotFound(reason="There is no such file.")
    headers = {**_HEADERS, "Cache-Control": "no-cache"}
    return web.Response(body=_read_asset(name), content_type=_ASSETS[name], charset="utf-8", headers=headers)


@cache
def _read_asset(name: str) -> bytes:
    return resources.files("vipps_async.sandbox.pages").joinpath("static", name).read_bytes()
