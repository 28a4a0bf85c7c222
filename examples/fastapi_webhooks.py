"""A FastAPI shop that sells by ePayment: webhooks registered at the start, signed, captured once; with recovery.

Needs the extra `starlette`, FastAPI and uvicorn; then, with the `VIPPS_…` variables and these set::

    export SHOP_JOURNAL=vipps-journal.db SHOP_SECRETS=vipps-webhooks.json SHOP_URL=https://shop.example
    uvicorn --factory examples.fastapi_webhooks:make_app
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from starlette.applications import Starlette

from examples.fastapi_one_process import recover_for_ever
from examples.shop.webhook_secrets import WebhookSecrets
from vipps_async import (
    PAYMENT_EVENTS,
    EventName,
    PaymentPending,
    SqliteJournal,
    VippsError,
    VippsSession,
    derive_idempotency_key,
    nok,
)
from vipps_async.receiver import (
    NotificationConfirmed,
    OtherNotification,
    PaymentNotification,
    Receiver,
    Webhooks,
    starlette_app,
    starlette_lifespan,
    starlette_session,
)

Vipps = Annotated[VippsSession, Depends(starlette_session)]

_log = logging.getLogger(__name__)


def _from_environment() -> VippsSession:
    return VippsSession.from_env(journal=SqliteJournal(os.environ["SHOP_JOURNAL"]))


async def on_event(event: PaymentNotification | OtherNotification, vipps: VippsSession) -> None:
    """Capture what a customer has accepted."""
    if not isinstance(event, PaymentNotification) or event.name != EventName.AUTHORIZED:
        return  # another product's, or news that this shop does not act on
    match await event.confirm(vipps):
        case NotificationConfirmed(payment=payment) if payment.remaining_to_capture == payment.amount:
            await vipps.epayment.capture(
                event.reference,
                amount=payment.amount,
                idempotency_key=derive_idempotency_key("ship", event.reference),  # the same if this runs twice
            )
        case _:
            pass  # captured or cancelled meanwhile; what the payment does not show yet is redelivered by itself


def make_app(open_session: Callable[[], VippsSession] = _from_environment) -> FastAPI:
    """Make the application; a test gives the function that makes its session."""
    url = os.environ["SHOP_URL"]
    webhook_url = f"{url}/vipps/webhooks"
    secrets = WebhookSecrets(Path(os.environ["SHOP_SECRETS"]))
    receiver = Receiver(Webhooks(url=webhook_url, secrets=secrets.by_id, on_event=on_event))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        vipps = open_session()
        async with starlette_lifespan(lambda: vipps, receiver)(app) as state:
            try:
                # With several processes this is a step of the deployment, before they start.
                await vipps.webhooks.ensure(
                    url=webhook_url, events=PAYMENT_EVENTS, known_ids=secrets.by_id.keys(), save=secrets.save
                )
            except VippsError as error:
                if not secrets.by_id:
                    raise  # nothing that Vipps delivers could be verified
                _log.warning("the webhooks stay as an earlier start left them: %s", error)
            async with asyncio.TaskGroup() as background:
                recovering = background.create_task(recover_for_ever(vipps))
                yield state
                recovering.cancel()

    app = FastAPI(title="Shop", lifespan=lifespan)
    app.mount("/vipps", starlette_app(receiver))

    @app.post("/buy/{order}")
    async def buy(order: str, vipps: Vipps) -> str:
        result = f"{url}/thanks/{order}"
        payment = await vipps.epayment.create(
            reference=order,
            amount=nok("499.00"),
            payment_description="One pair of socks.",
            return_url=result,
        )
        # Once the customer has answered, a second click gets no URL any more.
        return payment.redirect_url or result

    @app.get("/thanks/{order}")
    async def thanks(order: str, vipps: Vipps) -> str:
        try:
            payment = await vipps.epayment.wait_for(order, timeout=20)  # a webhook wakes it
        except PaymentPending:
            return "We are waiting for Vipps. This page asks again."
        # The state stays AUTHORIZED when a payment is cancelled after that: the sums tell.
        paid = payment.remaining_to_capture.value > 0 or payment.aggregate.captured_amount.value > 0
        return "Thank you!" if paid else "Another time, then."

    return app
