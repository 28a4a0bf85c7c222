"""The tutorial's steps are those of the program that it is about, and that program moves the money that it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from examples import first_payment
from vipps_async.testing import SHORT_WAIT, Sandbox, SandboxSettings

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "tutorial.md").read_text("utf-8")
PROGRAM = Path(first_payment.__file__).read_text("utf-8")
ORDER = "acme-shop-123-order123abc"


def _functions(code: str) -> dict[str, str]:
    return {node.name: ast.unparse(node) for node in ast.parse(code).body if isinstance(node, ast.AsyncFunctionDef)}


def test_each_step_is_a_part_of_the_program() -> None:
    """What the page shows is what runs: each function of the program stands there, to the letter."""
    shown: dict[str, str] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        shown |= _functions(block)
    program = _functions(PROGRAM)
    assert {name: shown.get(name) for name in program} == program


async def test_the_program_moves_and_says_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    """All is captured, and 99 kroner are paid back, each once though it is asked for twice."""
    async with Sandbox() as sandbox, sandbox.session() as vipps:
        await first_payment.begin(vipps, ORDER)
        await sandbox.approve(ORDER)
        vipps.ecom.notify(ORDER)  # as a callback does: else the first question comes after five seconds
        assert await first_payment.wait_for_customer(vipps, ORDER)
        for _ in range(2):
            assert await first_payment.ship(vipps, ORDER, "shipment-1")
            await first_payment.pay_back(vipps, ORDER, "return-1")
        payment = sandbox.payment(ORDER)
    assert (payment.captured, payment.refunded) == (49_900, 9_900)
    said = list(dict.fromkeys(capsys.readouterr().out.splitlines()))
    (promised,) = re.findall(r"## What the program prints\n\n```text\n(.*?)\n```", PAGE, re.DOTALL)
    assert [re.sub(r":\d+/", ":42225/", line) for line in said] == promised.splitlines()


@pytest.mark.parametrize("direct", [set(), {"123456"}], ids=["reserved first", "captured directly"])
async def test_run_again_it_finds_what_was_paid_and_takes_nothing_more(
    direct: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A customer who has paid is never said to have declined, and a second run, as after a double click, ends well."""
    async with (
        Sandbox(settings=SandboxSettings(direct_capture=direct), longest_wait=SHORT_WAIT) as sandbox,
        sandbox.session() as vipps,
    ):
        url = await first_payment.begin(vipps, ORDER)
        await sandbox.approve(ORDER)
        for _ in range(2):
            assert await first_payment.wait_for_customer(vipps, ORDER)
            # What was captured directly is paid already: there is nothing to capture, and no key of ours took it.
            assert await first_payment.ship(vipps, ORDER, "shipment-1") is not bool(direct)
            assert await first_payment.begin(vipps, ORDER) == "https://example.com/vipps/result" != url
        payment = sandbox.payment(ORDER)
    assert payment.captured == 49_900
    assert "said no" not in capsys.readouterr().out


async def test_nothing_is_shipped_when_the_customer_says_no() -> None:
    """After a no nothing is waited for any more, and a capture is refused in words."""
    async with Sandbox() as sandbox, sandbox.session() as vipps:
        await first_payment.begin(vipps, ORDER)
        await sandbox.reject(ORDER)
        vipps.ecom.notify(ORDER)
        assert not await first_payment.wait_for_customer(vipps, ORDER)
        assert not await first_payment.ship(vipps, ORDER, "shipment-1")
        assert sandbox.payment(ORDER).captured == 0


async def test_a_second_return_is_paid_back_and_captured_money_is_never_called_untaken(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The longest order id has keys, another return is another refund, and a refusal after a capture tells of it."""
    order = "a" * 50
    async with Sandbox(rate_limits=False) as sandbox, sandbox.session() as vipps:
        await first_payment.begin(vipps, order)
        await sandbox.approve(order)
        assert await first_payment.ship(vipps, order, "shipment-1")
        assert not await first_payment.ship(vipps, order, "shipment-2")
        for return_id in ("return-1", "return-2", "return-1"):
            await first_payment.pay_back(vipps, order, return_id)
        payment = sandbox.payment(order)
    assert (payment.captured, payment.refunded) == (49_900, 19_800)
    assert "look it up, money was taken:" in capsys.readouterr().out
