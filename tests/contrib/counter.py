"""A reception with a shop behind it, over a journal in memory and a transport that has nothing to say."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from attrs import define, field

from tests.contrib.shop import Shop
from tests.ecom.callback_bodies import REGULAR, TOKEN, as_body
from vipps_async import Credentials, VippsSession
from vipps_async.contrib.reception import Answer, Reception
from vipps_async.journals.protocol import Journal
from vipps_async.testing import ScriptedTransport

__all__ = ["Counter", "at_work"]

KEYS = Credentials(client_id="id", client_secret="secret", subscription_key="key", merchant_serial_number="123456")


@define
class Counter:
    """A reception, and what it stands on."""

    shop: Shop
    transport: ScriptedTransport = field(factory=ScriptedTransport)
    reception: Reception = field(init=False)
    vipps: VippsSession = field(init=False)

    async def receive(
        self,
        body: Any = REGULAR,
        *,
        method: str = "POST",
        path: str = "/vipps/v2/payments/acme-1",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Let a request come in."""

        async def read_body(_most: int) -> bytes:
            return body if isinstance(body, bytes) else as_body(body)

        given = {"Authorization": TOKEN} if headers is None else headers
        return await self.reception.receive(method, path, given, read_body)

    async def receive_order(self, number: int) -> Answer:
        """Let a callback about order ``acme-<number>`` come in."""
        return await self.receive(REGULAR | {"orderId": f"acme-{number}"}, path=f"/v2/payments/acme-{number}")


@contextlib.asynccontextmanager
async def at_work(shop: Shop, *, journal: Journal | None = None, **options: Any) -> AsyncIterator[Counter]:
    """Open a session and a reception that serves."""
    counter = Counter(shop)
    arguments: dict[str, Any] = {
        "on_payment": shop.on_payment,
        "on_shipping_details": shop.on_shipping_details,
        "on_consent_removal": shop.on_consent_removal,
        "offer_again_every": 0.05,
        "drain_timeout": 0.05,
    }
    counter.reception = Reception(TOKEN, **(arguments | options))
    async with VippsSession(KEYS, transport=counter.transport, journal=journal) as vipps:
        counter.vipps = vipps
        async with counter.reception.serving(vipps):
            yield counter
