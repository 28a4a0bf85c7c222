"""What all pages have in common: who may post, who is the merchant, and how a page is made."""

from __future__ import annotations

import secrets
from datetime import datetime
from pathlib import Path
from typing import Annotated

from attrs import frozen
from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from examples.shop.goods import PRICE, PRODUCT
from examples.shop.orders import Order, Orders
from examples.shop.payments import Payments
from examples.shop.settings import Settings
from vipps_async import VippsSession, format_nok
from vipps_async.receiver import starlette_session

HERE = Path(__file__).parent


def _moment(value: datetime | None) -> str:
    return "" if value is None else f"{value:%d %b %Y, %H:%M}"


# Everything is escaped, whatever a template is called; a name that is missing is a mistake, not an empty place.
_environment = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined)
_environment.filters |= {"nok": format_nok, "moment": _moment}
_environment.globals |= {"product": PRODUCT, "price": PRICE.value}
pages = Jinja2Templates(env=_environment)


@frozen
class Shop:
    """What every page may need."""

    settings: Settings
    orders: Orders
    payments: Payments


def get_shop(request: Request) -> Shop:
    """Return the shop."""
    shop: Shop = request.app.state.shop
    return shop


Vipps = Annotated[VippsSession, Depends(starlette_session)]
TheShop = Annotated[Shop, Depends(get_shop)]


async def get_order(order_id: str, shop: TheShop) -> Order:
    """Return the order that the path names; 404 if there is none."""
    order = await shop.orders.get(order_id)
    if order is None:
        raise HTTPException(404, "There is no such order.")
    return order


TheOrder = Annotated[Order, Depends(get_order)]


def same_origin(request: Request, shop: TheShop) -> None:
    """Let a form come from our own pages only: every browser says where one comes from."""
    if request.method == "POST" and request.headers.get("origin") != shop.settings.url:
        raise HTTPException(403, "This form does not come from the shop's own pages.")


async def merchant_only(
    shop: TheShop, credentials: Annotated[HTTPBasicCredentials | None, Depends(HTTPBasic(auto_error=False))]
) -> None:
    """Let the merchant in only. Put your own way of logging in here."""
    wanted = shop.settings.merchant_password
    given = "" if credentials is None else credentials.password
    if wanted is not None and not secrets.compare_digest(given.encode(), wanted.encode()):
        raise HTTPException(401, "This page is the merchant's.", {"WWW-Authenticate": 'Basic realm="Merchant"'})
