"""The landing page: a plain page in the browser where one plays the customer and approves or declines."""

from __future__ import annotations

from html import escape

from aiohttp import web

from vipps_async.sandbox.ledger import State
from vipps_async.sandbox.orders import Order, OrderBook
from vipps_async.sandbox.problems import SandboxError
from vipps_async.sandbox.urls import may_redirect_to
from vipps_async.sandbox.wallet import Wallet

__all__ = ["LANDING_PATH", "Landing", "landing_url"]

LANDING_PATH = "/dwo-api-application/v1/deeplink/vippsgateway"

#: No scripts, no frames, nothing from elsewhere. `form-action` stays open: browsers hold it against the redirect to
#: the merchant's own page, too.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}

_STYLE = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:26rem;margin:3rem auto;padding:0 1rem}"
    "dt{color:#555}dd{margin:0 0 1rem;font-size:1.3rem}button{font:inherit;padding:.6rem 1.4rem;margin-right:1rem}"
)


def landing_url(base: str, order: Order) -> str:
    """Return where the merchant is to send the customer: the landing page, or a link into the app."""
    if order.is_app:
        return f"vippsMT://?token={order.token}"
    return f"{base}{LANDING_PATH}?v=2&token={order.token}"


class Landing:
    """Serves the page and takes the customer's answer."""

    def __init__(self, book: OrderBook, wallet: Wallet) -> None:
        self._book = book
        self._wallet = wallet

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the page and of its form."""
        return [web.get(LANDING_PATH, self._show, allow_head=False), web.post(LANDING_PATH, self._answer)]

    async def _show(self, request: web.Request) -> web.Response:
        order = self._book.by_token(request.query.get("token", ""))
        if order is None:
            return _message(404, "Unknown link", "There is no payment behind this link.")
        try:
            # The page is the app, too: whoever sees it has opened the payment there.
            self._wallet.open(order)
        except SandboxError:
            return _ended(order)
        return _page(200, "Pay with Vipps", _form(order))

    async def _answer(self, request: web.Request) -> web.Response:
        form = await request.post()
        order = self._book.by_token(str(form.get("token", "")))
        if order is None:
            return _message(404, "Unknown link", "There is no payment behind this link.")
        answer = form.get("answer")
        try:
            if answer == "approve":
                await self._wallet.approve(order)
            elif answer == "decline":
                self._wallet.reject(order)
            else:
                return _message(400, "Nothing chosen", "The answer must be approve or decline.")
        except SandboxError as error:
            if order.payment.state is State.INITIATE:
                return _message(409, "Not possible", str(error))
            return _ended(order)
        return _back_to_merchant(order)


def _kroner(oere: int) -> str:
    return f"{oere // 100}.{oere % 100:02d} NOK"


def _form(order: Order) -> str:
    payment = order.payment
    return (
        "<dl>"
        f"<dt>Amount</dt><dd>{escape(_kroner(payment.amount))}</dd>"
        f"<dt>For</dt><dd>{escape(payment.text)}</dd>"
        f"<dt>To</dt><dd>Sales unit {escape(payment.merchant_serial_number)}</dd>"
        "</dl>"
        f'<form method="post" action="{LANDING_PATH}">'
        f'<input type="hidden" name="token" value="{escape(order.token)}">'
        '<button name="answer" value="approve">Approve</button>'
        '<button name="answer" value="decline">Decline</button>'
        "</form>"
    )


def _back_to_merchant(order: Order) -> web.Response:
    if may_redirect_to(order.fall_back):
        return web.Response(status=303, headers={**_HEADERS, "Location": order.fall_back})
    return _message(200, "Done", "You may go back to the app that you came from.")


def _ended(order: Order) -> web.Response:
    back = ""
    if may_redirect_to(order.fall_back):
        back = f'<p><a href="{escape(order.fall_back)}">Back to the shop</a></p>'
    return _page(410, "Payment ended", f"<p>This payment no longer waits for an answer.</p>{back}")


def _message(status: int, title: str, text: str) -> web.Response:
    return _page(status, title, f"<p>{escape(text)}</p>")


def _page(status: int, title: str, content: str) -> web.Response:
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)} - sandbox</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{content}<p><small>Sandbox: no real money moves here.</small></p></body></html>"
    )
    return web.Response(status=status, text=html, content_type="text/html", headers=_HEADERS)
