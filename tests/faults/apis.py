"""What storms and kills need to know of each API: how a payment is made, how an ask becomes a call, what was moved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from attrs import frozen

from tests.faults.audit import Asked
from tests.faults.plan import Kind
from vipps_async import Money, VippsSession
from vipps_async.core.batch import BatchOperation
from vipps_async.core.payment_api import PaymentCommand
from vipps_async.idempotency_keys import derive_idempotency_key

__all__ = ["APIS", "FAILING", "TradedApi"]

#: Operations of both APIs in which workers are let down: a capture and all that it rests on.
FAILING = frozenset({"capture", "details", "get", "events", "token"})


@frozen
class TradedApi:
    """One API."""

    #: Makes a payment: session, payment, øre, text, and where the merchant's server is.
    create: Callable[[VippsSession, str, int, str, str], Awaitable[Any]]
    #: Makes the call that carries an ask out.
    call: Callable[[VippsSession, Kind, Asked], Callable[[], Awaitable[Any]]]
    #: How many øre a result says were moved; None: it does not say.
    moved: Callable[[Any], int | None]


async def _initiate(vipps: VippsSession, order_id: str, amount: int, text: str, url: str) -> None:
    await vipps.ecom.initiate(
        order_id=order_id, amount=amount, transaction_text=text, callback_prefix=url, fall_back=url
    )


def _ecom_call(vipps: VippsSession, kind: Kind, asked: Asked) -> Callable[[], Awaitable[Any]]:
    ecom, order_id, text = vipps.ecom, asked.order_id, asked.text
    if asked.operation == "cancel":
        release = kind is Kind.RELEASE
        return partial(ecom.cancel, order_id, transaction_text=text, should_release_remaining_funds=release)
    method = ecom.capture if kind is Kind.CAPTURE else ecom.refund
    call = partial(method, order_id, transaction_text=text)
    if asked.key is not None:
        call = partial(call, idempotency_key=asked.key)
    return call if asked.amount is None else partial(call, amount=asked.amount)


async def _create(vipps: VippsSession, reference: str, amount: int, text: str, url: str) -> None:
    # With a key that the seed gives, so that the faults it meets follow from the seed.
    await vipps.epayment.create(
        reference=reference,
        amount=Money(amount, "NOK"),
        payment_description=text,
        return_url=url,
        idempotency_key=derive_idempotency_key("create", reference),
    )


def _epayment_call(vipps: VippsSession, kind: Kind, asked: Asked) -> Callable[[], Awaitable[Any]]:
    epayment = vipps.epayment
    if asked.operation == "cancel":
        return partial(epayment.cancel, asked.order_id)
    if asked.amount is None:
        return partial(_take_all, vipps, BatchOperation(asked.operation), asked.order_id, asked.key)
    method = epayment.capture if kind is Kind.CAPTURE else epayment.refund
    call = partial(method, asked.order_id, amount=Money(asked.amount, "NOK"))
    return call if asked.key is None else partial(call, idempotency_key=asked.key)


async def _take_all(vipps: VippsSession, operation: BatchOperation, reference: str, key: str | None) -> Any:
    """Capture or refund all that is left as a batch's row does: ePayment must be told how much that is."""
    batch = vipps.epayment.batch
    command = PaymentCommand(
        operation=operation, payment=reference, merchant_serial_number=batch.merchant_serial_number, key=key
    )
    return await batch.runner.run(batch.api.make_call(await batch.with_amount(command)))


def _moved_by_ecom(result: Any) -> int | None:
    return None if result.transaction is None else result.transaction.amount


#: By name.
APIS = {
    "ecom": TradedApi(_initiate, _ecom_call, _moved_by_ecom),
    "epayment": TradedApi(_create, _epayment_call, lambda result: result.amount.value),
}
