"""The customer's pages: the product, the checkout, and how the order stands."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from examples.shop.orders import Kind
from examples.shop.web import TheOrder, TheShop, Vipps, pages, same_origin
from vipps_async import VippsError

#: How long a page waits for news before it is shown, in seconds.
_PAGE_PATIENCE = 2.0
#: How long the page's script waits for news, in seconds.
_SCRIPT_PATIENCE = 8.0

router = APIRouter(dependencies=[Depends(same_origin)])


@router.get("/")
async def product(request: Request) -> Response:
    """Show what there is to buy."""
    return pages.TemplateResponse(request, "product.html")


@router.get("/checkout")
async def checkout(request: Request) -> Response:
    """Show what it costs, and ask for a phone number."""
    return pages.TemplateResponse(request, "checkout.html")


@router.post("/pay")
async def pay(shop: TheShop, vipps: Vipps, mobile_number: Annotated[str, Form()] = "") -> Response:
    """Begin a payment, and send the customer to Vipps."""
    number = mobile_number.replace(" ", "").removeprefix("+47")
    return RedirectResponse(await shop.payments.begin(vipps, Kind.REGULAR, number or None), 303)


@router.post("/buy-now")
async def buy_now(shop: TheShop, vipps: Vipps, kind: Annotated[Kind, Form()]) -> Response:
    """Begin an express checkout: Vipps asks for the address and the way of shipping."""
    return RedirectResponse(await shop.payments.begin(vipps, kind), 303)


@router.get("/orders/{order_id}")
async def result(request: Request, order: TheOrder, shop: TheShop, vipps: Vipps) -> Response:
    """Show how an order stands: the fallBack. That somebody comes here proves nothing, so Vipps is asked."""
    unreachable = False
    try:
        order = await shop.payments.wait(vipps, order, _PAGE_PATIENCE)
    except VippsError:
        unreachable = True  # The page loads itself again.
    return pages.TemplateResponse(request, "result.html", {"order": order, "unreachable": unreachable})


@router.get("/orders/{order_id}/state")
async def state(order: TheOrder, shop: TheShop, vipps: Vipps) -> dict[str, str]:
    """Tell the page's script how an order stands, as soon as there is news."""
    return {"state": (await shop.payments.wait(vipps, order, _SCRIPT_PATIENCE)).state.name}


@router.post("/orders/{order_id}/again")
async def again(order: TheOrder, shop: TheShop, vipps: Vipps, attempt: Annotated[int, Form()]) -> Response:
    """Begin a new attempt at an order that was not paid, unless the page that asks for it is an old one."""
    url = await shop.payments.begin_again(vipps, order) if order.attempt == attempt else None
    return RedirectResponse(url or f"/orders/{order.id}", 303)
