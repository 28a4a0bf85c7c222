"""The program that uses both APIs: what eCom made is captured and refunded by ePayment, and so is ePayment's own."""

from __future__ import annotations

import pytest

from examples import both_apis
from vipps_async import OrderNotFoundError, nok
from vipps_async.testing import Sandbox


async def test_the_program_says_what_it_has_moved(capsys: pytest.CaptureFixture[str]) -> None:
    """Both payments are captured in full, and the same part of each is paid back."""
    await both_apis.main()
    assert capsys.readouterr().out.splitlines() == [
        "acme-shop-123: captured 499.00 NOK, refunded 99.00 NOK",
        "acme-shop-124: captured 499.00 NOK, refunded 99.00 NOK",
    ]


async def test_a_payment_of_ecom_is_shipped_by_epayment() -> None:
    """Each payment is made by the API that its function names, and ePayment moves its money, for each return once."""
    async with Sandbox(rate_limits=False) as sandbox, sandbox.session() as vipps:
        await both_apis.old_payment(vipps, "acme-shop-123", nok("499.00"))
        await both_apis.new_payment(vipps, "acme-shop-124", nok("499.00"))
        assert (await vipps.ecom.details("acme-shop-123")).order_id == "acme-shop-123"
        with pytest.raises(OrderNotFoundError):
            await vipps.ecom.details("acme-shop-124")
        await sandbox.approve("acme-shop-123")
        for return_id, refunded in (("return-1", 9_900), ("return-1", 9_900), ("return-2", 19_800)):
            await both_apis.ship(vipps, "acme-shop-123", return_id)
            moved = sandbox.payment("acme-shop-123")
            assert (moved.captured, moved.refunded) == (49_900, refunded)
    paths = [request.path for request in sandbox.requests if request.operation in {"capture", "refund"}]
    assert paths == [f"/epayment/v1/payments/acme-shop-123/{name}" for name in ("capture", "refund") * 3]
