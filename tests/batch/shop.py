"""A sandbox full of orders that wait to be captured, entered without a request for each."""

from __future__ import annotations

from vipps_async.sandbox import SandboxServer
from vipps_async.sandbox.wire.ecom import EcomFace

__all__ = ["MSN", "stock", "stock_one"]

#: The sales unit of `Sandbox.session()`.
MSN = "123456"


def stock_one(sandbox: SandboxServer, order_id: str, amount: int, *, approve: bool = True) -> None:
    """Enter one order; approved unless told otherwise."""
    body = {
        "merchantInfo": {
            "merchantSerialNumber": MSN,
            "callbackPrefix": "https://example.com/callbacks",
            "fallBack": "https://example.com/back",
        },
        "customerInfo": {},
        "transaction": {"orderId": order_id, "amount": amount, "transactionText": "Socks"},
    }
    now = sandbox.clock.now()
    ecom = sandbox._faces["ecom"]
    assert isinstance(ecom, EcomFace)
    order = ecom.enter(body)
    if approve:
        order.payment.approve(now)


def stock(sandbox: SandboxServer, count: int, *, amount: int = 1000) -> None:
    """Enter approved orders `order-0` to `order-{count - 1}`."""
    for number in range(count):
        stock_one(sandbox, f"order-{number}", amount)
