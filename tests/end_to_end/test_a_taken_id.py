"""A payment is begun under an id that has one: whoever does what the error says does not sell twice."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from vipps_async import DuplicateOrderError, MemoryJournal, VippsError, VippsSession, errors, nok
from vipps_async.ecom import errors as ecom_errors
from vipps_async.epayment import errors as epayment_errors
from vipps_async.testing import SHORT_WAIT, Fault, Sandbox

ORDER = "acme-shop-123"


async def _begin(vipps: VippsSession, api: str) -> object:
    if api == "ecom":
        return await vipps.ecom.initiate(
            order_id=ORDER,
            amount=nok(499),
            transaction_text="Socks",
            callback_prefix="https://example.com/c",
            fall_back="https://example.com/b",
        )
    # Another amount: the same payment asked for again would be answered with its URL.
    return await vipps.epayment.create(
        reference=ORDER, amount=nok(498), payment_description="Socks", return_url="https://example.com/b"
    )


@pytest.mark.parametrize("api", ["ecom", "epayment"])
async def test_a_paid_payment_is_looked_up_before_a_new_id_is_taken(api: str) -> None:
    """The error of a second click on a paid order does not say that no money moved, and sends to the payment first."""
    async with Sandbox(longest_wait=SHORT_WAIT) as sandbox, sandbox.session(journal=MemoryJournal()) as vipps:
        await _begin(vipps, "ecom")
        await sandbox.approve(ORDER)
        await vipps.ecom.capture(ORDER, transaction_text="Shipped.", idempotency_key="ship-1")
        with pytest.raises(DuplicateOrderError) as caught:
            await _begin(vipps, api)
    text = str(caught.value)
    assert "no money moved" not in text
    assert "this call moved no money, but the payment that has this id may be paid; look that payment up first" in text


async def test_what_the_history_shows_as_paid_is_told_in_the_same_words() -> None:
    """Each attempt is throttled, and the history has the payment: the error says the same as a refusal."""
    async with Sandbox(longest_wait=SHORT_WAIT) as sandbox, sandbox.session(journal=MemoryJournal()) as vipps:
        await _begin(vipps, "ecom")
        await sandbox.approve(ORDER)
        sandbox.faults.script("initiate", *[Fault.HTTP_429] * 8)
        with pytest.raises(DuplicateOrderError) as caught:
            await _begin(vipps, "ecom")
    assert "may be paid; look" in str(caught.value)


def _advices() -> Iterator[str]:
    for rule in (
        *(rule for codes in ecom_errors._CODES.values() for rule in codes.values()),
        *epayment_errors._CODES.values(),
    ):
        yield rule.advice
    for each in vars(errors).values():
        if isinstance(each, type) and issubclass(each, VippsError):
            yield each.default_advice


def test_no_advice_names_a_new_id_before_it_tells_to_cancel_or_look_up() -> None:
    """A payment that was refused, or is there already, may still be paid: a second one beside it sells twice."""
    told = {advice for advice in _advices() if re.search(r"\bnew (order )?id\b", advice)}
    assert len(told) >= 5
    for advice in told:
        before = re.split(r"\bnew (?:order )?id\b", advice)[0]
        assert re.search(r"look that|look the|ask details", before), advice
        assert "cancel it" in advice or "cancel the payment" in advice, advice
