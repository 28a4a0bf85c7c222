"""A receiver with a shop behind it, over a journal in memory and a transport that has nothing to say."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from attrs import define, field

from tests.ecom.callback_bodies import REGULAR, TOKEN, as_body
from tests.receiver.shop import Shop
from vipps_async import Credentials, VippsSession
from vipps_async.journals.protocol import Journal
from vipps_async.receiver import EcomCallbacks, Limits, Receiver, Reply
from vipps_async.testing import ScriptedTransport

__all__ = ["KEYS", "Served", "at_work", "receiver_of"]

KEYS = Credentials(client_id="id", client_secret="secret", subscription_key="key", merchant_serial_number="123456")


@define
class Served:
    """A receiver, and what it stands on."""

    shop: Shop
    transport: ScriptedTransport = field(factory=ScriptedTransport)
    receiver: Receiver = field(init=False)
    vipps: VippsSession = field(init=False)

    async def receive(
        self,
        body: Any = REGULAR,
        *,
        method: str = "POST",
        path: str = "/vipps/v2/payments/acme-1",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Let a request come in."""
        given = {"Authorization": TOKEN} if headers is None else headers
        return await self.receiver.handle(method, path, given, body if isinstance(body, bytes) else as_body(body))

    async def receive_order(self, number: int) -> Reply:
        """Let a callback about order ``acme-<number>`` come in."""
        return await self.receive(REGULAR | {"orderId": f"acme-{number}"}, path=f"/v2/payments/acme-{number}")


def receiver_of(shop: Shop, *, auth_token: str = TOKEN, **options: Any) -> Receiver:
    """Make a receiver that hands everything to a shop, but for the handlers and limits that are given."""
    handlers: dict[str, Any] = {
        "on_payment": shop.on_payment,
        "on_shipping_details": shop.on_shipping_details,
        "on_consent_removal": shop.on_consent_removal,
    }
    chosen = {name: options.pop(name, handler) for name, handler in handlers.items()}
    return Receiver(EcomCallbacks(auth_token, **chosen), limits=Limits(**options))


@contextlib.asynccontextmanager
async def at_work(shop: Shop, *, journal: Journal | None = None, **options: Any) -> AsyncIterator[Served]:
    """Open a session and a receiver that serves."""
    served = Served(shop)
    soon: dict[str, Any] = {"redeliver_after": 0.05, "drain_timeout": 0.05}
    served.receiver = receiver_of(shop, **(soon | options))
    async with VippsSession(KEYS, transport=served.transport, journal=journal) as vipps:
        served.vipps = vipps
        async with served.receiver.serving(vipps):
            yield served
