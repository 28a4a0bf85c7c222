"""That the call which recovery makes again is the one that the intent was written for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ecom.scripted_runner import ScriptedRunner
from tests.ecom.test_rebuilt_calls import intent_of as intent_in_kroner
from tests.epayment.payments import payment
from vipps_async import CreatedPayment, EpaymentApi, JournalError, dkk, eur, nok
from vipps_async.apis import rebuild_call
from vipps_async.config import Environment
from vipps_async.core.operation import Call, NotApplied, Repeat
from vipps_async.journals.entries import Intent

ORDER = "acme-order-1"
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "capture": ("capture", {"reference": ORDER, "amount": dkk(5)}),
    "refund": ("refund", {"reference": ORDER, "amount": eur(5), "idempotency_key": "mine"}),
    "cancel": ("cancel", {"reference": ORDER}),
    "cancel unless accepted": ("cancel", {"reference": ORDER, "cancel_transaction_only": True}),
    "create": ("create", {"reference": ORDER, "amount": nok(5), "return_url": "https://example.com/"}),
}


async def made(name: str, **arguments: Any) -> Call[Any]:
    """Return the call that a method of the API makes."""
    runner = ScriptedRunner([CreatedPayment(reference=ORDER)])
    api = EpaymentApi(runner, merchant_serial_number="123456", environment=Environment.TEST)
    await getattr(api, name)(**arguments)
    return runner.only


def intent_of(call: Call[Any], **changes: Any) -> Intent:
    """Write the intent of a call as the recorder does."""
    assert call.audit is not None
    return intent_in_kroner(call, currency=call.audit.currency, **changes)


@pytest.mark.parametrize(("name", "arguments"), CALLS.values(), ids=CALLS.keys())
async def test_it_is_the_same_call(name: str, arguments: dict[str, Any]) -> None:
    """Path, payment, key, what is noted and the way to look it up are those of the first call."""
    call = await made(name, **arguments)
    again = rebuild_call(intent_of(call))
    assert (again.operation.name, again.path, again.payment) == (call.operation.name, call.path, call.payment)
    assert (again.idempotency_key, again.audit) == (call.idempotency_key, call.audit)
    assert again.reconciliation is not None
    assert call.reconciliation is not None
    assert again.reconciliation.lookup == call.reconciliation.lookup
    assert getattr(again.reconciliation.interpret, "keywords", None) == getattr(
        call.reconciliation.interpret, "keywords", None
    )


async def test_a_create_is_never_sent_again() -> None:
    """Its body is kept nowhere: it can be looked up, and without an answer that anybody waits for that is enough."""
    again = rebuild_call(intent_of(await made(*CALLS["create"][:1], **CALLS["create"][1])))
    assert again.operation.repeat is Repeat.ONCE
    assert again.body is None


@pytest.mark.parametrize("body", [None, b"", b"not json", b"[]", b"null", b'{"cancelTransactionOnly": "true"}'])
async def test_a_cancel_whose_body_does_not_say_so_spares_nothing(body: bytes | None) -> None:
    """Only a plain true in the body leaves an accepted payment alone, and so can be excluded by an acceptance."""
    again = rebuild_call(intent_of(await made("cancel", reference=ORDER), body=body))
    assert again.reconciliation is not None
    found = again.reconciliation.interpret(payment())
    assert isinstance(found, NotApplied)
    assert not found.excluded


@pytest.mark.parametrize(
    "changes", [{"operation": "charge"}, {"amount": None}, {"operation": "create", "amount": None}]
)
async def test_what_is_not_known_here(changes: dict[str, Any]) -> None:
    """An operation of a later version, or a sum that is missing, is refused by name, with advice."""
    call = await made("capture", reference=ORDER, amount=nok(5))
    with pytest.raises(JournalError, match=r"'epayment\.") as caught:
        rebuild_call(intent_of(call, **changes))
    assert "newer" in caught.value.advice
