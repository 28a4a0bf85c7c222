"""A FastAPI shop in several processes: any worker takes any request and any callback, and one journal serves them all.

Needs the extras `postgres` and `starlette`, FastAPI and uvicorn; then, with the `VIPPS_…` variables and these set::

    export SHOP_DSN=postgresql://localhost/shop SHOP_URL=https://shop.example SHOP_CALLBACK_TOKEN=…
    uvicorn --factory examples.fastapi_workers:make_app --workers 2
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from starlette.applications import Starlette

from vipps_async import (
    DuplicateOrderError,
    PaymentPending,
    PostgresJournal,
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

#: Seconds between two recoveries in one worker.
RECOVER_EVERY = 300.0

Vipps = Annotated[VippsSession, Depends(starlette_session)]

_log = logging.getLogger(__name__)


async def on_payment(event: PaymentUpdate, vipps: VippsSession) -> None:
    """Capture what a customer has accepted: in whichever worker the callback came, and once."""
    match await event.confirm(vipps):
        case Confirmed(details=details) if details.is_reserved:
            await vipps.ecom.capture(
                event.order_id,
                transaction_text="Your socks are on their way.",
                idempotency_key=derive_idempotency_key("ship", event.order_id),  # the same in every worker
            )
        case Confirmed():
            pass  # declined, refused by the bank so far, out of time, or captured already
        case Contradicted() as contradiction:
            raise RuntimeError(str(contradiction))  # redelivered later, by any worker


async def _recover_for_ever(vipps: VippsSession) -> None:
    # Safe at the same time in all workers: each entry is in one worker's hands.
    while True:
        try:
            await vipps.recover()
        except VippsError as error:
            _log.warning("recovery failed, and is tried again: %s", error)
        await asyncio.sleep(RECOVER_EVERY)


def make_app() -> FastAPI:
    """Make the application of one worker; uvicorn calls it in each, after that process has been started."""
    dsn, url, token = (os.environ[f"SHOP_{name}"] for name in ("DSN", "URL", "CALLBACK_TOKEN"))
    receiver = Receiver(EcomCallbacks(token, on_payment=on_payment))

    def open_session() -> VippsSession:
        return VippsSession.from_env(journal=PostgresJournal(dsn))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        vipps = open_session()
        async with starlette_lifespan(lambda: vipps, receiver)(app) as state, asyncio.TaskGroup() as background:
            recovering = background.create_task(_recover_for_ever(vipps))
            yield state
            recovering.cancel()

    app = FastAPI(title="Shop", lifespan=lifespan)
    app.mount("/vipps", starlette_app(receiver))

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
            # The callback may wake another worker than this one, which then asks Vipps after 5 seconds, and every 2.
            details = await vipps.ecom.wait_for(order, timeout=20)
        except PaymentPending:
            return "We are waiting for Vipps. This page asks again."
        if details.is_cancelled:  # also one that was approved before
            return "Another time, then."
        if details.is_approved:
            return "Thank you!"
        # Refused, and not over: cancel it before you begin another one.
        return "Your bank refused the payment, so nothing was taken. Try another card in Vipps?"

    @app.get("/worker")
    async def worker() -> dict[str, int]:
        """Tell which worker answers, and how many callbacks it has taken."""
        return {"pid": os.getpid(), "received": receiver.counts.received, "handled": receiver.counts.handled}

    return app
