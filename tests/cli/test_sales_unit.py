"""`--msn`: a command acts for another sales unit than `VIPPS_MERCHANT_SERIAL_NUMBER` names, with partner keys."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from tests.cli.inline import inline
from tests.cli.open_captures import leave_open
from tests.cli.processes import Finished
from tests.cli.shell import env, shell
from tests.cli.test_payment import APPROVE, CAPTURE, INITIATE
from vipps_async.cli.main import carried_out, read_command_line
from vipps_async.cli.options import SALES_UNIT
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox

OTHER = "654321"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own."""
    async with Sandbox(rate_limits=False) as running:
        yield running


def of_order_2(command: tuple[str, ...]) -> list[str]:
    """The same command about the payment that is made here."""
    return [part.replace("order-1", "order-2") for part in command]


async def test_a_payment_of_another_sales_unit(sandbox: Sandbox, tmp_path: Path) -> None:
    """It is made, captured, and told how to go on with; the sales unit of the variable does not have it."""
    where = ("--journal", str(tmp_path / "journal.db"))

    async def run(*command: str, said: str = "") -> Finished:
        return await inline(*command, env=env(sandbox), said=said)

    made = await run(*INITIATE, "--msn", OTHER)
    assert (await run(*of_order_2(APPROVE), "--msn", OTHER, said=made.out)).status == 0
    assert (await run("payment", "show", "order-2")).status == 1
    assert (await run("payment", "show", "order-2", "--msn", OTHER)).status == 0
    sandbox.faults.script("capture", *[Fault.HTTP_503_BEFORE] * 9)
    lost = await run(*of_order_2(CAPTURE), "--all", "--msn", OTHER, *where)
    sandbox.faults.clear()
    assert lost.status == 3
    assert f"vipps-async payment show order-2 --msn {OTHER}\n" in lost.err
    assert (await run("journal", "recover", *where)).out.startswith("0 looked at")
    recover = next(line for line in lost.err.splitlines() if line.startswith("To settle it")).partition(": ")[2]
    assert (await run(*recover.split()[1:])).status == 0
    assert [payment.captured for payment in sandbox.payments] == [49_900]


async def test_a_batch_of_another_sales_unit_settles_its_own(sandbox: Sandbox, tmp_path: Path) -> None:
    """What is open of the others in the journal is left alone."""
    path, file = tmp_path / "journal.db", tmp_path / "day.csv"
    await leave_open(path, "other")
    await leave_open(path, "mine", merchant_serial_number=OTHER)
    file.write_text("order_id,amount_ore,transaction_text,reference\norder-1,1000,Shipped.,s-1\n")
    done = await inline("batch", "capture", str(file), "--msn", OTHER, "--journal", str(path), env=env(sandbox))
    assert ("key mine" in done.err, "key other" in done.err) == (True, False)
    assert f"for sales unit {OTHER} in the test environment" in done.err


@pytest.mark.parametrize("before", [None, "123456"])
async def test_the_variable_is_as_it_was(before: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever calls `main` in a process of his own finds it so."""
    monkeypatch.delenv(SALES_UNIT, raising=False)
    if before is not None:
        monkeypatch.setenv(SALES_UNIT, before)
    options = read_command_line(["journal", "recover", "--msn", OTHER, "--journal", str(tmp_path / "none.db")])
    assert await carried_out(options) == 2
    assert os.environ.get(SALES_UNIT) == before


async def test_it_is_a_sales_unit(sandbox: Sandbox) -> None:
    """4 to 10 digits, else status 2, and nothing is asked."""
    refused = await inline("payment", "show", "order-1", "--msn", "12a", env=env(sandbox))
    assert (refused.status, "4 to 10 digits" in refused.err) == (2, True)
    assert not sandbox.requests


async def test_what_is_open_of_other_sales_units_is_told(sandbox: Sandbox, tmp_path: Path) -> None:
    """Recovery settles its own, and says how many are left to whom; the list says whose each is."""
    path = tmp_path / "pay.db"
    arguments = ("--journal", str(path))
    await leave_open(path, "mine")
    assert "of sales unit" not in (await shell(sandbox, "journal", "list", *arguments)).out
    for number, unit in enumerate(("654321", "654321", "654322")):
        await leave_open(path, f"other-{number}", payment=f"order-{number + 7}", merchant_serial_number=unit)
    listed = await shell(sandbox, "journal", "list", "--open", *arguments)
    assert [line.strip() for line in listed.out.splitlines() if "of sales unit" in line] == [
        "of sales unit 123456",
        *["of sales unit 654321"] * 2,
        "of sales unit 654322",
    ]
    finished = await shell(sandbox, "journal", "recover", *arguments)
    assert finished.out.endswith(
        "3 more are open of other sales units: the same command with --msn 654321 or --msn 654322.\n"
    )
    told = orjson.loads((await shell(sandbox, "journal", "recover", "--json", *arguments)).out)
    assert told["open_of_other_sales_units"] == {"654321": 2, "654322": 1}
