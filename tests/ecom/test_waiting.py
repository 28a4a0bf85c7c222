"""The eCom API's own wait for a customer; how payments are read meanwhile is tested with the poller."""

from __future__ import annotations

import pytest

from tests.ecom.payments import details, entry
from tests.ecom.scripted_runner import ScriptedRunner
from vipps_async import EcomApi
from vipps_async.errors import InvalidInputError

RESERVED = details(entry("RESERVE"), entry("INITIATE"))


async def test_the_api_waits(ecom: EcomApi, runner: ScriptedRunner) -> None:
    """The API's own wait asks details of the order, at once if there is news."""
    runner.results.append(RESERVED)
    ecom.notify("acme-1")
    assert await ecom.wait_for("acme-1") is RESERVED
    assert runner.only.path == "/ecomm/v2/payments/acme-1/details"


async def test_the_api_checks_order_ids(ecom: EcomApi, runner: ScriptedRunner) -> None:
    """A wait or news about what is no order id is refused."""
    with pytest.raises(InvalidInputError, match="order_id"):
        await ecom.wait_for("acme/1")
    with pytest.raises(InvalidInputError, match="order_id"):
        ecom.notify("acme 1")
    assert not runner.calls
