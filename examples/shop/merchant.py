"""The merchant's pages: all orders, and one order with what can be done about its money."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from examples.shop.api import Entry, Standing
from examples.shop.orders import Order
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
    standing: Standing | None = None
    history: Sequence[Entry] = ()
    try:
        standing, history = await shop.payments.apis[order.api].look_closely(vipps, order.payment_id)
        order = await shop.payments.settle(order, standing)
    except OrderNotFoundError:
        pass
    # How often each was tried, as this page shows it. The forms send it back: see `_move`.
    tried = {name: sum(entry.operation == name for entry in history) for name in ("CAPTURE", "REFUND")}
    context = {"order": order, "standing": standing, "history": history, "tried": tried}
    return pages.TemplateResponse(request, "order.html", context)


_Do = Callable[[VippsSession, str, int, str], Awaitable[None]]
Kroner = Annotated[str, Form()]
Tried = Annotated[int, Form()]


@router.post("/orders/{order_id}/capture")
async def capture(order: TheOrder, shop: TheShop, vipps: Vipps, amount: Kroner, tried: Tried) -> Response:
    """Take what is reserved, or a part of it."""
    return await _move(vipps, order, "capture", shop.payments.apis[order.api].capture, kroner=amount, tried=tried)


@router.post("/orders/{order_id}/refund")
async def refund(order: TheOrder, shop: TheShop, vipps: Vipps, amount: Kroner, tried: Tried) -> Response:
    """Pay back what was taken, or a part of it."""
    return await _move(vipps, order, "refund", shop.payments.apis[order.api].refund, kroner=amount, tried=tried)


async def _move(vipps: VippsSession, order: Order, operation: str, do: _Do, *, kroner: str, tried: int) -> Response:
    """Move money once, however often the button is pressed.

    The key is made of what the merchant saw and asked for. The same page, sent twice, by a double click, from two tabs
    or after a crash, has the same key, and Vipps moves the money once. A page that is loaded afterwards shows one
    operation more, has another key, and may move the same amount again.
    """
    oere = nok(kroner.strip().replace(",", ".")).value
    key = derive_idempotency_key(operation, order.payment_id, tried, oere)
    await _nothing_else_open(vipps, order, key)
    await do(vipps, order.payment_id, oere, key)
    return _back(order)


@router.post("/orders/{order_id}/cancel")
async def cancel(order: TheOrder, shop: TheShop, vipps: Vipps) -> Response:
    """Give back all that is reserved, or the rest of it after a part was captured."""
    await _nothing_else_open(vipps, order)
    await shop.payments.apis[order.api].release(vipps, order.payment_id)
    return _back(order)


async def _nothing_else_open(vipps: VippsSession, order: Order, key: str = "") -> None:
    """Begin nothing as long as it is not known what became of an earlier operation; the shop is finding that out."""
    for left in await vipps.unfinished(order.payment_id):
        if left.intent.operation in {"capture", "refund", "cancel"} and left.intent.key != key:
            raise OrderLockedError("an earlier operation on this order is not settled yet", status=0, retryable=True)


def _back(order: Order) -> Response:
    return RedirectResponse(f"/merchant/orders/{order.id}", 303)
