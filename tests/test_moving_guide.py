"""The guide from eCom to ePayment is whole: every call, field, state and error stands there as the library has it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import vipps_async
from tests.support.rows import each_row
from vipps_async import OperationName, OrderStatus, PaymentDetails, PaymentState, VippsError, VippsSession, nok
from vipps_async.core.dialect import ErrorRule
from vipps_async.ecom import errors as ecom_errors
from vipps_async.ecom.client import EcomApi
from vipps_async.epayment import errors as epayment_errors
from vipps_async.epayment.client import EpaymentApi
from vipps_async.errors import ErrorInfo
from vipps_async.testing import Sandbox

PAGE = (Path(__file__).parents[1] / "docs" / "moving-to-epayment.md").read_text("utf-8")
WORDS = set(re.findall(r"\w+", PAGE))
#: Of the library, not of the API.
PLUMBING = {"aclose", "batch", "notify", "in_currency"}
#: What a call that takes effect by its very name raises if no code says otherwise.
BY_OPERATION = {"CaptureError", "CancelError", "RefundError", "PaymentRefusedError"}
ERRORS = [
    tuple(cell.strip() for cell in row.strip("|").split("|"))
    for row in re.search(r"## Each error.*?\|---.*?\n(.*?)\n\n", PAGE, re.DOTALL)[1].splitlines()  # type: ignore[index]
]


def _ecom_codes(cell: str) -> list[tuple[str, str]]:
    return [
        ("" if group == "gateway" else group, code)
        for group, codes in re.findall(r"([A-Za-z]+) ((?:\d+(?:, (?=\d))?)+)", cell)
        if group != "any"
        for code in codes.split(", ")
    ]


def _agrees(rule: ErrorRule | None, cell: str) -> bool:
    """Tell whether a cell has the class of a rule, by its name."""
    assert rule is not None
    named = set(re.findall(r"`(\w+)`", cell))
    if rule.unsettled:
        return "OutcomeUnknown" in named
    return bool(named & BY_OPERATION) if rule.error is None else rule.error.__name__ in named


@pytest.mark.parametrize("api", ["ecom", "epayment"])
async def test_what_was_paid_back_or_released_pays_for_nothing(api: str) -> None:
    """The page's function counts what is reserved or kept: not a rest that was released, nor what went back."""
    names: dict[str, Any] = {}
    (block,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "def is_paid_for" in block)
    exec(compile(block, "moving-to-epayment.md", "exec", dont_inherit=True), names)  # noqa: S102 - our own page

    async def paid(vipps: VippsSession, price: int) -> bool:
        payment = await (vipps.ecom.details("acme-shop-1") if api == "ecom" else vipps.epayment.get("acme-shop-1"))
        found: bool = names["is_paid_for"](payment, nok(price))
        return found

    async with Sandbox(rate_limits=False) as sandbox, sandbox.session() as vipps:
        await vipps.ecom.initiate(
            order_id="acme-shop-1",
            amount=nok(499),
            transaction_text="Socks.",
            callback_prefix="https://example.com/vipps",
            fall_back="https://example.com/result",
        )
        assert not await paid(vipps, 499)
        await sandbox.approve("acme-shop-1")
        assert await paid(vipps, 499)
        await vipps.epayment.capture("acme-shop-1", amount=nok(200), idempotency_key="ship-1")
        assert await paid(vipps, 499)
        await vipps.epayment.cancel("acme-shop-1")
        assert (await paid(vipps, 499), await paid(vipps, 200)) == (False, True)
        await vipps.epayment.refund("acme-shop-1", amount=nok(200), idempotency_key="return-1")
        assert not await paid(vipps, 200)


@pytest.mark.parametrize("api", [EcomApi, EpaymentApi])
def test_every_call_stands_there(api: type) -> None:
    """Each public operation of both APIs is named."""
    calls = {name for name in vars(api) if not name.startswith("_")} - PLUMBING
    assert calls <= WORDS


@pytest.mark.parametrize("call", [EcomApi.initiate, EcomApi.capture, EcomApi.cancel, EcomApi.refund])
def test_every_argument_of_ecom_stands_there(call: object) -> None:
    """Each argument of eCom's calls is named; the key under its headers' names."""
    assert callable(call)
    assert set(inspect.signature(call).parameters) - {"self", "idempotency_key"} <= WORDS


def test_every_field_of_details_stands_there() -> None:
    """Each field and question of eCom's details has a counterpart."""
    ours = {name for name in vars(PaymentDetails) if not name.startswith("_")}
    assert ours - {"last_successful_operation", "entry", "entries", "transaction_summary"} <= WORDS


def test_every_state_stands_there() -> None:
    """Each operation and state of eCom, and each state of ePayment, is named."""
    for words in (OperationName, OrderStatus, PaymentState):
        assert {word.value for word in words} <= WORDS


def test_every_code_of_ecom_stands_there() -> None:
    """Each code that the library knows of eCom is in the table, in its group."""
    known = {(group, code) for group, codes in ecom_errors._CODES.items() for code in codes}
    told = [(group.casefold(), code) for row in ERRORS for group, code in _ecom_codes(row[0])]
    assert known == set(told)
    assert len(told) == len(set(told))


@each_row("row", ERRORS, ids=lambda row: row[0])
def test_the_errors_are_those_of_the_library(row: tuple[str, ...]) -> None:
    """Each code of a row becomes an error that the row names, and each name is an error's."""
    for group, code in _ecom_codes(row[0]):
        assert _agrees(ecom_errors.rule_for(ErrorInfo(group=group, code=code, message="")), row[2]), code
    for code in re.findall(r"\b\d{4,5}\b", row[3]):
        rule = epayment_errors.rule_for(ErrorInfo(group=epayment_errors.CODE, code=code, message=""))
        # 4150 is told apart by the call, which no rule says.
        assert code == "4150" or _agrees(rule, row[4]), code
    for name in re.findall(r"`(\w+)`", row[2] + row[4]):
        assert issubclass(getattr(vipps_async, name), VippsError)
