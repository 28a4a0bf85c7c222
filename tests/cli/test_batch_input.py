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


@pytest.mark.parametrize("by_variable", [True, False])
@pytest.mark.parametrize("action", [["capture"], ["submit", "--dsn", "host=nowhere"]], ids=["one machine", "many"])
async def test_an_unknown_api_is_refused_by_name(
    sandbox: Sandbox, tmp_path: Path, action: list[str], *, by_variable: bool
) -> None:
    """Said by `--api` or by `VIPPS_API`: nothing is read or sent, and the known ones are named."""
    file = tmp_path / "day.csv"
    file.write_text("order_id,transaction_text\norder-1,Shipped.\n")
    variables = env(sandbox, VIPPS_API="fpayment") if by_variable else env(sandbox)
    options = [] if by_variable else ["--api", "fpayment"]
    refused = await inline("batch", action[0], str(file), *action[1:], *options, env=variables)
    assert (refused.status, sandbox.requests) == (2, ())
    assert "there is no API 'fpayment'; name one of ecom" in refused.err


async def test_the_api_is_named_on_the_command_line(sandbox: Sandbox, tmp_path: Path) -> None:
    """`--api ecom` beats the variable, and what is done says which API it went over."""
    file, report = tmp_path / "day.csv", tmp_path / "report.csv"
    file.write_text("order_id,transaction_text\norder-1,Shipped.\n")
    options = ["--api", "ecom", "--report", str(report)]
    done = await inline("batch", "capture", str(file), *options, env=env(sandbox, VIPPS_API="fpayment"))
    assert (done.status, sandbox.payment("order-1").captured) == (0, 49_900)
    assert "over ecom for sales unit" in done.err
    assert [line.split(",")[1] for line in report.read_text().splitlines()] == ["api", "ecom"]


async def test_a_unit_that_the_api_does_not_know_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    """The units belong to the API, and it says which ones it has."""
    file = tmp_path / "day.csv"
    file.write_text("order_id,amount,transaction_text\norder-1,499,Shipped.\n")
    refused = await inline("batch", "capture", str(file), "--unit", "dkk", env=env(sandbox))
    assert (refused.status, sandbox.requests) == (2, ())
    assert "say --unit ore or nok" in refused.err
