"""`vipps-async batch`: a row that Vipps carried out otherwise than asked has an outcome of its own, for good."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from tests.batch.shop import stock
from tests.cli.inline import inline
from tests.cli.processes import Finished
from tests.cli.shell import env
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox

HEADING = "order_id,amount_ore,transaction_text,reference\n"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own with three payments, which moves half of what is asked of the first one."""
    async with Sandbox(rate_limits=False) as running:
        stock(running, 3)
        running.faults.script("capture", Fault.OTHER_AMOUNT_MOVED, order_id="order-0")
        yield running


async def capture(sandbox: Sandbox, day: Path, *arguments: str) -> Finished:
    """Capture a file."""
    return await inline("batch", "capture", str(day), *arguments, env=env(sandbox))


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """Captures ten kroner of each."""
    file = tmp_path / "day.csv"
    file.write_text(HEADING + "".join(f"order-{number},1000,Shipped.,s-{number}\n" for number in range(3)))
    return file


async def test_it_is_told_with_both_amounts_and_never_tried_again(sandbox: Sandbox, day: Path) -> None:
    """Status 3, what moved in the report and in the sums; the same command again says that it was before."""
    report = day.with_name("report.jsonl")
    for run in (1, 2):
        done = await capture(sandbox, day, "--report", str(report))
        assert done.status == 3
        assert f"1 captured otherwise{' before' if run == 2 else ''}, 5.00 NOK" in done.out
        assert ("Captured now: 0.00 NOK. Captured before: 25.00 NOK." in done.out) is (run == 2)
        first, second, third = (orjson.loads(line) for line in report.read_bytes().splitlines())
        outcome = "captured otherwise" if run == 1 else "captured otherwise before"
        assert (first["outcome"], first["amount_ore"], first["moved_ore"]) == (outcome, 1000, 500)
        assert "10.00 NOK were asked for, and " in first["what_happened"]
        assert "5.00 NOK" in first["what_happened"]
        assert first["money_moved"] == f"yes, another amount{', before this run' if run == 2 else ''}"
        assert first["time_Europe/Oslo"] is not None
        assert {second["outcome"], third["outcome"]} == {"captured" if run == 1 else "captured before"}
        assert len(sandbox.payment("order-0").moved("CAPTURE")) == 1
    sent = [request for request in sandbox.requests if request.operation == "capture"]
    assert len(sent) == 3


async def test_the_sums_for_machines(sandbox: Sandbox, day: Path) -> None:
    """Counted by itself, and so is its money."""
    done = await capture(sandbox, day, "--json")
    facts = orjson.loads(done.out)
    assert done.status == 3
    assert facts["outcomes"]["otherwise"] == 1
    assert facts["outcomes"]["unknown"] == 0
    assert (facts["moved"], facts["moved_before"], facts["moved_otherwise"]) == (2000, 0, 500)
    again = orjson.loads((await capture(sandbox, day, "--json")).out)
    assert (again["moved"], again["moved_before"], again["moved_otherwise"]) == (0, 2000, 0)
    assert again["moved_otherwise_before"] == 500


async def test_the_rest_of_its_order_goes_on(sandbox: Sandbox, tmp_path: Path) -> None:
    """It has ended: the rows behind it are carried out as they stand."""
    file = tmp_path / "day.csv"
    file.write_text(HEADING + "order-0,400,First.,s-1\norder-0,all,Second.,s-2\n")
    done = await capture(sandbox, file)
    assert (done.status, sandbox.payment("order-0").captured) == (3, 1000)
    assert [entry.amount for entry in sandbox.payment("order-0").moved("CAPTURE")] == [200, 800]


async def test_another_row_of_the_same_amount_is_held(sandbox: Sandbox, day: Path) -> None:
    """It took effect, so it holds what may be the same operation."""
    await capture(sandbox, day)
    unnamed = day.with_name("unnamed.csv")
    unnamed.write_text("order_id,amount_ore,transaction_text\norder-0,1000,Shipped.\n")
    done = await capture(sandbox, unnamed)
    assert (done.status, sandbox.payment("order-0").captured) == (5, 500)
