"""The merchant's pages: all orders, and one order with what can be done about its money."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from examples.shop.orders import Order
from examples.shop.payments import PRODUCT
from examples.shop.web import TheOrder, TheShop, Vipps, merchant_only, pages, same_origin
from vipps_async import OrderLockedError, OrderNotFoundError, VippsSession, derive_idempotency_key, nok

router = APIRouter(prefix="/merchant", dependencies=[Depends(merchant_only), Depends(same_origin)])


@router.get("")
async def orders(request: Request, shop: TheShop) -> Response:
    """Show the newest orders."""
    return pages.TemplateResponse(request, "orders.html", {"orders": await shop.orders.newest()})


@router.get("/orders/{order_id}")
async def order_page(request: Request, order: TheOrder, shop: TheShop, vipps: Vipps) -> Response:
    """Show one order as Vipps has it."""
    try:
        details = await vipps.ecom.details(order.payment_id)
        order = await shop.payments.settle(order, details)
    except OrderNotFoundError:
        details = None
    history = () if details is None else details.transaction_log_history
    # How often each was tried, as this page shows it. The forms send it back: see `_move`.
    tried = {name: sum(entry.operation == name for entry in history) for name in ("CAPTURE", "REFUND")}
    context = {"order": order, "details": details, "history": history, "tried": tried}
    return pages.TemplateResponse(request, "order.html", context)


Kroner = Annotated[str, Form()]
Tried = Annotated[int, Form()]


@router.post("/orders/{order_id}/capture")
async def capture(order: TheOrder, vipps: Vipps, amount: Kroner, tried: Tried) -> Response:
    """Take what is reserved, or a part of it."""
    return await _move(vipps, order, "capture", amount, tried)


@router.post("/orders/{order_id}/refund")
async def refund(order: TheOrder, vipps: Vipps, amount: Kroner, tried: Tried) -> Response:
    """Pay back what was taken, or a part of it."""
    return await _move(vipps, order, "refund", amount, tried)


async def _move(vipps: VippsSession, order: Order, operation: str, kroner: str, tried: int) -> Response:
    """Move money once, however often the button is pressed.

    The key is made of what the merchant saw and asked for. The same page, sent twice, by a double click, from two tabs
    or after a crash, has the same key, and Vipps moves the money once. A page that is loaded afterwards shows one
    operation more, has another key, and may move the same amount again.
    """
    oere = nok(kroner.strip().replace(",", ".")).value
    key = derive_idempotency_key(operation, order.payment_id, tried, oere)
    await _nothing_else_open(vipps, order, key)
    do: Callable[..., Awaitable[object]] = vipps.ecom.capture if operation == "capture" else vipps.ecom.refund
    text = PRODUCT if operation == "capture" else f"Refund: {PRODUCT}"
    await do(order.payment_id, amount=oere, transaction_text=text, idempotency_key=key)
    return _back(order)


@router.post("/orders/{order_id}/cancel")
async def cancel(order: TheOrder, vipps: Vipps) -> Response:
    """Give back all that is reserved, or the rest of it after a part was captured."""
    await _nothing_else_open(vipps, order)
    await vipps.ecom.cancel(
        order.payment_id, transaction_text=f"Cancelled: {PRODUCT}", should_release_remaining_funds=True
    )
    return _back(order)


async def _nothing_else_open(vipps: VippsSession, order: Order, key: str = "") -> None:
    """Begin nothing as long as it is not known what became of an earlier operation; the shop is finding that out."""
    for left in await vipps.unfinished(order.payment_id):
        if left.intent.operation in {"capture", "refund", "cancel"} and left.intent.key != key:
            raise OrderLockedError("an earlier operation on this order is not settled yet", status=0, retryable=True)


def _back(order: Order) -> Response:
    return RedirectResponse(f"/merchant/orders/{order.id}", 303)
