"""A FastAPI shop in one process: session, journal, recovery, callbacks, readiness, and an end in which nothing is lost.

Needs the extra `starlette`, FastAPI and uvicorn; then, with the `VIPPS_…` variables and these set::

    export SHOP_JOURNAL=vipps-journal.db SHOP_URL=https://shop.example SHOP_CALLBACK_TOKEN=…
    uvicorn --factory examples.fastapi_one_process:make_app --timeout-graceful-shutdown 60
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Response
from starlette.applications import Starlette

from vipps_async import (
    DuplicateOrderError,
    PaymentPending,
    SqliteJournal,
    VippsError,
    VippsSession,
    derive_idempotency_key,
    nok,
)
from vipps_async.receiver import (
    Confirmed,
    Contradicted,
    EcomCallbacks,
    PaymentUpdate,
    Receiver,
    starlette_app,
    starlette_lifespan,
    starlette_session,
)

#: Seconds between two recoveries.
RECOVER_EVERY = 300.0

Vipps = Annotated[VippsSession, Depends(starlette_session)]

_log = logging.getLogger(__name__)


def _from_environment() -> VippsSession:
    return VippsSession.from_env(journal=SqliteJournal(os.environ["SHOP_JOURNAL"]))


async def on_payment(event: PaymentUpdate, vipps: VippsSession) -> None:
    """Capture what a customer has accepted."""
    match await event.confirm(vipps):
        case Confirmed(details=details) if details.is_reserved:
            await vipps.ecom.capture(
                event.order_id,
                transaction_text="Your socks are on their way.",
                idempotency_key=derive_idempotency_key("ship", event.order_id),  # the same if this runs twice
            )
        case Confirmed():
            pass  # declined, refused by the bank so far, out of time, or captured already
        case Contradicted() as contradiction:
            raise RuntimeError(str(contradiction))  # redelivered later


async def recover_for_ever(vipps: VippsSession) -> None:
    """Settle what is open: at the start what the last process left, then what no answer came to."""
    while True:
        try:
            report = await vipps.recover()
            if report.stays_open:
                _log.error("%s operations stay open: money may have moved", report.stays_open)
        except VippsError as error:
            _log.warning("recovery failed, and is tried again: %s", error)
        await asyncio.sleep(RECOVER_EVERY)


def make_app(open_session: Callable[[], VippsSession] = _from_environment) -> FastAPI:
    """Make the application; a test gives the function that makes its session."""
    url, token = os.environ["SHOP_URL"], os.environ["SHOP_CALLBACK_TOKEN"]
    receiver = Receiver(EcomCallbacks(token, on_payment=on_payment))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        vipps = open_session()
        async with (
            starlette_lifespan(lambda: vipps, receiver)(app) as state,  # 3. drains handlers, closes session and journal
            asyncio.TaskGroup() as background,  # 2. waits until recovery has ended
        ):
            recovering = background.create_task(recover_for_ever(vipps))
            yield state  # 1. the server has ended its requests
            recovering.cancel()

    app = FastAPI(title="Shop", lifespan=lifespan)
    app.mount("/vipps", starlette_app(receiver))

    @app.get("/ready")
    async def ready(vipps: Vipps, response: Response) -> tuple[str, ...]:
        found = await vipps.ready(timeout=2)
        response.status_code = 200 if found.is_ready else 503
        return found.reasons

    @app.post("/buy/{order}")
    async def buy(order: str, vipps: Vipps) -> str:
        result = f"{url}/thanks/{order}"
        try:
            payment = await vipps.ecom.initiate(
                order_id=order,
                amount=nok("499.00"),
                transaction_text="One pair of socks.",
                callback_prefix=f"{url}/vipps",
                fall_back=result,
                auth_token=token,
            )
        except DuplicateOrderError:
            return result  # a second click: eCom tells a payment's URL once, and that page how the payment stands
        return payment.url

    @app.get("/thanks/{order}")
    async def thanks(order: str, vipps: Vipps) -> str:
        try:
            details = await vipps.ecom.wait_for(order, timeout=20)  # a callback wakes it
        except PaymentPending:
            return "We are waiting for Vipps. This page asks again."
        if details.is_cancelled:  # also one that was approved before
            return "Another time, then."
        if details.is_approved:
            return "Thank you!"
        # Refused, and not over: cancel it before you begin another one.
        return "Your bank refused the payment, so nothing was taken. Try another card in Vipps?"

    return app
