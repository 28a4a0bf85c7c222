"""That the call which recovery makes again is the one that the intent was written for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ecom.scripted_runner import ScriptedRunner
from vipps_async import JournalError, nok
from vipps_async.config import Environment
from vipps_async.core.clock import SystemClock
from vipps_async.core.operation import Call
from vipps_async.core.pipeline import render
from vipps_async.ecom.calls import rebuild_call
from vipps_async.ecom.client import EcomApi
from vipps_async.journals.entries import Intent


async def made(name: str, **arguments: Any) -> Call[Any]:
    """Return the call that a method of the API makes."""
    runner = ScriptedRunner()
    api = EcomApi(runner, merchant_serial_number="123456", environment=Environment.TEST)
    await getattr(api, name)(**arguments)
    return runner.only


def intent_of(call: Call[Any], **changes: Any) -> Intent:
    """Write the intent of a call as the runner does."""
    assert call.audit is not None
    facts: dict[str, Any] = {
        "key": call.idempotency_key or "made-for-the-journal",
        "api": call.operation.dialect.name,
        "operation": call.operation.verb,
        "payment": call.payment,
        "merchant_serial_number": "123456",
        "amount": call.audit.amount,
        "currency": "NOK",
        "digest": "d",
        "body": render(call) if call.audit.keep_body else None,
        "created_at": SystemClock().now(),
        "origin": call.audit.origin,
    }
    return Intent(**facts | changes)


CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "capture of a part": ("capture", {"order_id": "o-1", "amount": nok(5), "transaction_text": "x"}),
    "capture of all": ("capture", {"order_id": "o-1", "transaction_text": "x"}),
    "refund of a part": ("refund", {"order_id": "o-1", "amount": nok(5), "transaction_text": "x"}),
    "refund of all": ("refund", {"order_id": "o-1", "transaction_text": "x"}),
    "cancel": ("cancel", {"order_id": "o-1", "transaction_text": "x"}),
    "release of the rest": (
        "cancel",
        {"order_id": "o-1", "transaction_text": "x", "should_release_remaining_funds": True},
    ),
    "initiate": (
        "initiate",
        {
            "order_id": "o-1",
            "amount": nok(5),
            "transaction_text": "x",
            "callback_prefix": "https://example.com/callbacks",
            "fall_back": "https://example.com/back",
            "mobile_number": "98765432",
        },
    ),
}


@pytest.mark.parametrize(("name", "arguments"), CALLS.values(), ids=CALLS.keys())
async def test_it_is_the_same_call(name: str, arguments: dict[str, Any]) -> None:
    """Operation, path, order, key, note and the way to ask afterwards are those of the first call."""
    call = await made(name, **arguments)
    again = rebuild_call(intent_of(call))
    assert (again.operation, again.path, again.payment) == (call.operation, call.path, call.payment)
    assert (again.idempotency_key, again.audit) == (call.idempotency_key, call.audit)
    assert again.reconciliation is not None
    assert call.reconciliation is not None
    assert again.reconciliation.lookup == call.reconciliation.lookup
    assert getattr(again.reconciliation.interpret, "keywords", None) == getattr(
        call.reconciliation.interpret, "keywords", None
    )


async def test_a_key_of_the_journal_is_not_sent_with_a_cancel() -> None:
    """Cancel and initiate have no key at Vipps: the journal's own key stays at home."""
    for name, arguments in (CALLS["cancel"], CALLS["initiate"]):
        assert rebuild_call(intent_of(await made(name, **arguments))).idempotency_key is None


@pytest.mark.parametrize("body", [None, b"", b"not json", b"[]", b"null", b'{"shouldReleaseRemainingFunds": "true"}'])
async def test_a_cancel_whose_body_does_not_say_so_releases_nothing(body: bytes | None) -> None:
    """Only a plain true in the body asks for the rest; anything else does not."""
    call = await made("cancel", order_id="o-1", transaction_text="x")
    again = rebuild_call(intent_of(call, body=body))
    assert again.reconciliation is not None
    assert getattr(again.reconciliation.interpret, "keywords", {})["should_release_remaining_funds"] is False


async def test_an_operation_of_a_later_version_is_named() -> None:
    """What is not known here is refused by name, with advice."""
    call = await made("capture", order_id="o-1", transaction_text="x")
    with pytest.raises(JournalError, match=r"'ecom\.charge'") as caught:
        rebuild_call(intent_of(call, operation="charge"))
    assert "newer" in caught.value.advice
