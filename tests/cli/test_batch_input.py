"""`vipps-async batch`: what it refuses to guess of a file, and that nothing is sent then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.batch.shop import stock_one
from tests.cli.inline import inline
from tests.cli.shell import env
from vipps_async.testing import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own, with a payment of 499 kroner."""
    async with Sandbox(rate_limits=False) as running:
        stock_one(running, "order-1", 49_900)
        yield running


async def test_499_is_not_guessed(sandbox: Sandbox, tmp_path: Path) -> None:
    """A bare `amount` is refused with both sums and status 2; with its unit, said in either way, it is captured."""
    file = tmp_path / "day.csv"
    file.write_text("order_id,amount,transaction_text\norder-1,499,Shipped.\n")
    refused = await inline("batch", "capture", str(file), env=env(sandbox))
    assert refused.status == 2
    assert "4.99 NOK in all if they are øre, 499.00 NOK in all if they are kroner" in refused.err
    assert not sandbox.requests
    assert (await inline("batch", "capture", str(file), "--unit", "nok", env=env(sandbox))).status == 0
    assert sandbox.payment("order-1").captured == 49_900


async def test_the_heading_can_say_it(sandbox: Sandbox, tmp_path: Path) -> None:
    """`amount_ore` in JSON Lines, too; another unit beside it is refused."""
    file = tmp_path / "day.jsonl"
    file.write_text('{"order_id": "order-1", "amount_ore": 499, "transaction_text": "Shipped."}\n')
    refused = await inline("batch", "capture", str(file), "--unit", "nok", env=env(sandbox))
    assert (refused.status, sandbox.requests) == (2, ())
    assert "amount_ore is not counted in nok" in refused.err
    assert (await inline("batch", "capture", str(file), env=env(sandbox))).status == 0
    assert sandbox.payment("order-1").captured == 499
