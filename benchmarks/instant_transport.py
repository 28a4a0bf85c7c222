"""A transport that answers at once, from answers made beforehand: what is left is the work of the client itself."""

from __future__ import annotations

from attrs import field, frozen

from benchmarks.answers import CAPTURE, DETAILS, EPAYMENT_CAPTURE, INITIATE, ORDER_ID, TOKEN
from vipps_async.transports.protocol import Request, Response

__all__ = ["InstantTransport", "order_ids"]

_PAYMENTS = "/ecomm/v2/payments"
_EPAYMENTS = "/epayment/v1/payments"


def order_ids(count: int) -> list[str]:
    """Return order ids as a shop would make them."""
    return [f"acme-shop-123-order{number:05}" for number in range(count)]


@frozen
class InstantTransport:
    """Answers captures and details of any of its orders; initiate only of the first one, as its URL names none."""

    base_url: str
    orders: list[str]
    _answers: dict[str, Response] = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make all answers."""
        headers = {"content-type": "application/json"}
        self._answers[self.base_url + "/accesstoken/get"] = Response(status=200, headers=headers, body=TOKEN.encode())
        for order in self.orders:
            for path, answer in (
                (f"{_PAYMENTS}/{order}/capture", CAPTURE),
                (f"{_PAYMENTS}/{order}/details", DETAILS),
                (f"{_EPAYMENTS}/{order}/capture", EPAYMENT_CAPTURE),
            ):
                body = answer.replace(ORDER_ID, order).encode()
                self._answers[self.base_url + path] = Response(status=200, headers=headers, body=body)
        body = INITIATE.replace(ORDER_ID, self.orders[0]).encode()
        self._answers[self.base_url + _PAYMENTS] = Response(status=200, headers=headers, body=body)

    @_answers.default
    def _no_answers(self) -> dict[str, Response]:
        return {}

    async def send(self, request: Request) -> Response:
        """Look the answer up."""
        return self._answers[request.url]

    async def aclose(self) -> None:
        """Nothing is open."""
