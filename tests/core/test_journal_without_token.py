"""A call for which no token was given: the journal keeps its key good for the day on which there is one."""

from __future__ import annotations

import pytest

from vipps_async import ApiError, Credentials, Effect, MemoryJournal, Outcome, VippsSession
from vipps_async.testing import ScriptedTransport, answer

CREDENTIALS = Credentials(
    client_id="client-id", client_secret="client-secret", subscription_key="sub-key", merchant_serial_number="123456"
)


@pytest.mark.parametrize(
    "body",
    [
        {"error": "invalid_request", "error_description": "AADSTS900144"},
        {"error": "unauthorized_client", "error_description": "AADSTS700016"},
        {"statusCode": 400, "message": "Bad request"},
    ],
    ids=["oauth", "unknown client", "gateway"],
)
@pytest.mark.parametrize("status", [400, 422])
async def test_a_refused_token_does_not_use_up_the_key(status: int, body: dict[str, object]) -> None:
    """A client id that was configured wrongly for an hour must not refuse each capture of that hour for ever."""
    transport = ScriptedTransport().on("/accesstoken/get", then=answer(status, body))
    journal = MemoryJournal()
    async with VippsSession(CREDENTIALS, transport=transport, journal=journal) as vipps:
        with pytest.raises(ApiError) as caught:
            await vipps.ecom.capture("order-1", amount=1000, transaction_text="Shipped.", idempotency_key="key-1")
        assert caught.value.effect is Effect.NONE
        (entry,) = [entry async for entry in journal.recent_entries()]
        assert entry.settlement is not None
        assert entry.settlement.outcome is Outcome.NOT_DONE
