"""The shop as an application: its pages, the paths that Vipps calls, and what lives as long as it does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from examples.shop import customer, merchant
from examples.shop.orders import Orders
from examples.shop.payments import Payments
from examples.shop.settings import Settings
from examples.shop.web import HERE, Shop, pages
from examples.shop.words import in_words
from vipps_async import ApiError, InvalidInputError, VippsError, VippsSession
from vipps_async.receiver import Receiver, starlette_app, starlette_lifespan

_log = logging.getLogger(__name__)

#: Pages load nothing from elsewhere, stand in no frame, and tell no other site where they are. `form-action` is left
#: out, because browsers hold it against the redirect to Vipps, too.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def make_app(settings: Settings, open_session: Callable[[], VippsSession]) -> FastAPI:
    """Make the application.

    Args:
        settings: what differs from one place to another.
        open_session: makes the session, with a journal: it keeps captures, refunds and news over a crash.
    """
    orders = Orders(settings.data / "orders.db")
    payments = Payments(settings, orders)
    receiver = Receiver(*payments.sources())

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        vipps = open_session()
        with contextlib.closing(orders):
            async with starlette_lifespan(lambda: vipps, receiver)(app) as state, asyncio.TaskGroup() as background:
                looking = background.create_task(_look_after_for_ever(payments, vipps))
                yield state
                looking.cancel()

    app = FastAPI(title="Shop", lifespan=lifespan, openapi_url=None)
    app.state.shop = Shop(settings, orders, payments)
    app.include_router(customer.router)
    app.include_router(merchant.router)
    app.mount("/vipps", starlette_app(receiver))
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    app.add_exception_handler(VippsError, _show_vipps_error)
    app.add_exception_handler(HTTPException, _show_http_error)
    app.add_exception_handler(RequestValidationError, _show_form_error)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[settings.host])

    @app.middleware("http")
    async def add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        if not request.url.path.startswith("/static/"):
            # Orders change, and a page from the browser's store would show an old one.
            response.headers["Cache-Control"] = "no-store"
        response.headers.update(_HEADERS)
        return response

    return app


async def _look_after_for_ever(payments: Payments, vipps: VippsSession) -> None:
    started = False
    while True:
        started = started or await _succeeds(payments.start, vipps)
        await _succeeds(payments.look_after, vipps)
        await asyncio.sleep(payments.settings.look_after_every)


async def _succeeds(work: Callable[[VippsSession], Awaitable[None]], vipps: VippsSession) -> bool:
    try:
        await work(vipps)
    except VippsError as error:
        _log.warning("work in the background failed, and is tried again: %s", error)
        return False
    return True


async def _show_vipps_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, VippsError):
        raise error
    # The error's own text is for the log and for support: it has no secrets, but it speaks to programmers.
    _log.warning("%s %s: %s", request.method, request.url.path, error)
    status = 400 if isinstance(error, InvalidInputError) else 409 if isinstance(error, ApiError) else 502
    return _error_page(request, in_words(error), status)


async def _show_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return _error_page(request, error.detail, error.status_code, error.headers)


async def _show_form_error(request: Request, _: Exception) -> Response:
    return _error_page(request, "Something is missing in what was sent. Go back, and try again.", 400)


def _error_page(request: Request, text: str, status: int, headers: Any = None) -> Response:
    order_path = request.url.path.rpartition("/")[0] if request.method == "POST" else ""
    back = order_path if "/orders/" in order_path else "/"
    return pages.TemplateResponse(request, "error.html", {"text": text, "back": back}, status, headers)
