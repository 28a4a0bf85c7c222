"""Captures and refunds without `X-Request-Id`: refused as the vendor's description has it, unless told otherwise.

Source: the OpenAPI description 2.0.3, where the header is required for capture and refund, with at most 40 characters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.sandbox.driver import Answer, Merchant, merchant_at
from vipps_async.sandbox import SandboxServer, SandboxSettings

SETTINGS = "/sandbox/settings"


async def move(
    merchant: Merchant, operation: str, amount: int | None = None, *, headers: Mapping[str, str] | None = None
) -> Answer:
    """Capture or refund with these headers and no key but one among them."""
    transaction: dict[str, Any] = {"transactionText": "Socks."} | ({} if amount is None else {"amount": amount})
    body = {"merchantInfo": {"merchantSerialNumber": merchant.msn}, "transaction": transaction}
    return await merchant.call("POST", f"/ecomm/v2/payments/acme-1/{operation}", body, headers=headers)


@pytest.fixture
async def reserved(sandbox: SandboxServer, merchant: Merchant) -> Merchant:
    """A merchant with 499.00 NOK reserved on acme-1."""
    await merchant.initiate("acme-1")
    await sandbox.approve("acme-1")
    return merchant


async def test_by_default_the_key_is_required(sandbox: SandboxServer, reserved: Merchant) -> None:
    """400 InvalidRequest, which names the header; nothing moves and nothing stands in the history."""
    await reserved.capture("acme-1", 10_000)
    for operation in ("capture", "refund"):
        answer = await move(reserved, operation, 10_000)
        assert (answer.status, answer.codes) == (400, [("InvalidRequest", "X-Request-Id")])
    payment = sandbox.payment("acme-1")
    assert (payment.captured, payment.refunded, len(payment.history)) == (10_000, 0, 3)


async def test_a_sandbox_can_be_made_that_takes_them() -> None:
    """With `request_id_required=False` each one moves money, and none is taken for the repetition of another."""
    async with (
        SandboxServer(settings=SandboxSettings(request_id_required=False)) as sandbox,
        merchant_at(sandbox.url) as merchant,
    ):
        await merchant.initiate("acme-1")
        await sandbox.approve("acme-1")
        for _ in range(2):
            assert (await move(merchant, "capture", 10_000)).status == 200
        assert (await move(merchant, "refund", 10_000)).status == 200
        assert (await move(merchant, "capture", 5_000)).status == 200
        payment = sandbox.payment("acme-1")
        assert (payment.captured, payment.refunded, payment.request_ids) == (25_000, 10_000, ())


async def test_a_key_that_is_there_counts_as_ever(sandbox: SandboxServer, reserved: Merchant) -> None:
    """The switch changes nothing for a key that is there: repeated it moves nothing, a wrong one is refused."""
    sandbox.settings.request_id_required = False
    for _ in range(2):
        assert (await move(reserved, "capture", 10_000, headers={"X-Request-Id": "key-1"})).status == 200
    assert (await move(reserved, "capture", 20_000, headers={"X-Request-Id": "key-1"})).codes == [("Payment", "93")]
    for wrong in ("", "k" * 41):
        assert (await move(reserved, "capture", 10_000, headers={"X-Request-Id": wrong})).status == 400
    assert sandbox.payment("acme-1").captured == 10_000


async def test_without_a_key_there_is_no_more_than_remains(sandbox: SandboxServer, reserved: Merchant) -> None:
    """Without key and amount the first takes all that remains, and the second is refused."""
    sandbox.settings.request_id_required = False
    assert (await move(reserved, "capture")).status == 200
    assert (await move(reserved, "capture")).codes == [("Payment", "61")]
    assert sandbox.payment("acme-1").captured == 49_900


async def test_the_switch_is_set_over_http(reserved: Merchant) -> None:
    """`POST /sandbox/settings` sets it, and back; `GET` tells it."""
    for required, status in ((False, 200), (True, 400)):
        answer = await reserved.call("POST", SETTINGS, {"requestIdRequired": required})
        assert (answer.status, answer.json["requestIdRequired"]) == (200, required)
        assert (await reserved.call("GET", SETTINGS)).json["requestIdRequired"] is required
        assert (await move(reserved, "capture", 10_000)).status == status


@pytest.mark.parametrize("wanted", [{"requestIdRequired": "no"}, {"requestIdRequired": None}, {"strange": 1}, []])
async def test_settings_that_make_no_sense_change_nothing(
    sandbox: SandboxServer, merchant: Merchant, wanted: object
) -> None:
    """They are answered with 400 and the reason."""
    answer = await merchant.call("POST", SETTINGS, wanted)
    assert (answer.status, b"SettingsError" in answer.body) == (400, True)
    assert sandbox.settings.request_id_required
