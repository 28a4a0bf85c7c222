"""The vendor's example in Python, a Flask application, against the sandbox: its requests as data, in its order.

It follows an older description: it sends no `X-Request-Id`, the phone number as a number, a `timeStamp` without a zone,
express prefixes with every payment, and all of initiate's `merchantInfo` with captures and refunds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.end_to_end.outsider import KEYS, Outsider, Sent, outsider_at
from tests.sandbox.driver import Shop, shop
from vipps_async.sandbox import SandboxServer, SandboxSettings, State

#: It makes ids of twelve lower-case letters and digits.
ORDER = "k3x9q2m7a0bz"
#: Øre.
PRICE = 49_900
METHODS = [
    {"isDefault": "N", "priority": 1, "shippingCost": 30.0, "shippingMethod": "Slow", "shippingMethodId": "a1b2c3"},
    {"isDefault": "Y", "priority": 2, "shippingCost": 30.0, "shippingMethod": "Fast", "shippingMethodId": "d4e5f6"},
]


def merchant_info(place: Shop, *, express: bool) -> dict[str, Any]:
    """Return what it says of the merchant: in every initiate, and after it in every capture and refund."""
    return {
        "merchantSerialNumber": "123456",
        "shippingDetailsPrefix": f"{place.url}/vipps",
        "consentRemovalPrefix": f"{place.url}/vipps",
        "callbackPrefix": f"{place.url}/vipps",
        "fallBack": f"{place.url}/order/{ORDER}",
        "isApp": False,
        "paymentType": "eComm Express Payment" if express else "eComm Regular Payment",
    }


class Example:
    """Calls as the example does."""

    def __init__(self, outsider: Outsider, place: Shop) -> None:
        self.outsider = outsider
        self.place = place
        self.bearer = ""
        self.merchant_info: dict[str, Any] = {}

    async def _send(self, method: str, path: str, body: Any = None, *, order_header: bool = True) -> tuple[int, Any]:
        headers = {
            "Content-Type": "application/json",
            "Ocp-Apim-Subscription-Key": "key",
            "authorization": f"Bearer {self.bearer}",
        }
        if order_header:
            headers["orderId"] = ORDER
        return await self.outsider.send(Sent(method, f"/ecomm/v2/payments{path}", headers, body))

    async def log_in(self) -> None:
        """Fetch a token, which it does before each page."""
        headers = {"client_id": "client-id", "client_secret": "client-secret", "Ocp-Apim-Subscription-Key": "key"}
        status, answer = await self.outsider.send(Sent("POST", "/accesstoken/get", headers))
        assert status == 200
        self.bearer = answer["access_token"]

    async def initiate(self, amount: object = PRICE, *, express: bool = False) -> tuple[int, Any]:
        """Initiate, as the landing page's form does."""
        await self.log_in()
        self.merchant_info = merchant_info(self.place, express=express)
        body = {
            "merchantInfo": self.merchant_info,
            "transaction": {
                "orderId": ORDER,
                "timeStamp": "2019-06-27T11:18:38.246813",
                "amount": amount,
                "transactionText": "One pair of socks.",
            },
            "customerInfo": {"mobileNumber": 91234567},
        }
        return await self._send("POST", "", body, order_header=False)

    async def move(self, operation: str) -> tuple[int, Any]:
        """Capture or refund all that remains, which it writes as 0."""
        await self.log_in()
        transaction = {"amount": 0, "transactionText": operation.capitalize()}
        return await self._send(
            "POST", f"/{ORDER}/{operation}", {"merchantInfo": self.merchant_info, "transaction": transaction}
        )

    async def cancel(self) -> tuple[int, Any]:
        """Cancel."""
        await self.log_in()
        body = {"merchantInfo": {"merchantSerialNumber": "123456"}, "transaction": {"transactionText": "Cancelled."}}
        return await self._send("PUT", f"/{ORDER}/cancel", body)

    async def look(self) -> tuple[str, list[str]]:
        """Ask status and details, as its page of an order does; return the one's word and the other's operations."""
        status, answer = await self._send("GET", f"/{ORDER}/status")
        assert status == 200
        word: str = answer["transactionInfo"]["status"]
        status, answer = await self._send("GET", f"/{ORDER}/details")
        assert status == 200
        return word, [entry["operation"] for entry in answer["transactionLogHistory"]]


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    """One that looks at the keys."""
    async with SandboxServer(settings=SandboxSettings(credentials=[KEYS])) as server:
        yield server


@pytest.fixture
async def example(sandbox: SandboxServer) -> AsyncIterator[Example]:
    """The example, with a shop that answers what it answers."""
    async with outsider_at(sandbox.url) as outsider, shop() as place:
        place.answer = {"addressId": 100, "orderId": ORDER, "shippingDetails": METHODS}
        yield Example(outsider, place)


async def test_a_regular_payment(example: Example, sandbox: SandboxServer) -> None:
    """Initiate, look, capture and refund by its buttons; the sandbox was told to take them without `X-Request-Id`."""
    sandbox.settings.request_id_required = False
    status, payment = await example.initiate()
    assert (status, payment["orderId"]) == (200, ORDER)
    assert await example.look() == ("INITIATE", ["INITIATE"])
    await sandbox.approve(ORDER)
    assert await example.look() == ("RESERVE", ["RESERVE", "INITIATE"])
    status, answer = await example.move("capture")
    assert (status, answer["transactionInfo"]["amount"]) == (200, PRICE)
    status, answer = await example.move("refund")
    assert (status, answer["transaction"]["amount"]) == (200, PRICE)
    assert await example.look() == ("REFUND", ["REFUND", "CAPTURE", "RESERVE", "INITIATE"])
    await sandbox.callbacks_delivered()
    ((_, path, _, told),) = example.place.received
    assert (path, told["transactionInfo"]["status"]) == (f"/vipps/v2/payments/{ORDER}", "RESERVED")


async def test_a_cancelled_payment(example: Example, sandbox: SandboxServer) -> None:
    """Its third button ends a payment that nobody has accepted."""
    assert (await example.initiate())[0] == 200
    status, answer = await example.cancel()
    assert (status, answer["transactionInfo"]["status"]) == (200, "Cancelled")
    assert await example.look() == ("CANCEL", ["CANCEL", "INITIATE"])
    assert sandbox.payment(ORDER).state is State.CANCEL


async def test_an_express_payment_is_captured_on_its_callback(example: Example, sandbox: SandboxServer) -> None:
    """Its shipping is asked for and added; on `RESERVE` in a callback it captures all, which is goods and shipping."""
    sandbox.settings.request_id_required = False
    assert (await example.initiate(express=True))[0] == 200
    await sandbox.approve(ORDER)
    await sandbox.callbacks_delivered()
    (_, asked, _, question), (_, _, _, told) = example.place.received
    assert (asked, question["addressId"]) == (f"/vipps/v2/payments/{ORDER}/shippingDetails", 100)
    assert (told["transactionInfo"]["status"], told["transactionInfo"]["amount"]) == ("RESERVE", PRICE + 3_000)
    assert told["shippingDetails"]["shippingMethodId"] == "d4e5f6"
    status, answer = await example.move("capture")
    assert (status, answer["transactionInfo"]["amount"]) == (200, PRICE + 3_000)
    customer = told["userDetails"]["userId"]
    await sandbox.remove_consent(customer)
    assert (example.place.received[-1][0], example.place.received[-1][1].rpartition("/")[0]) == (
        "DELETE",
        "/vipps/v2/consents",
    )


@pytest.mark.parametrize("operation", ["capture", "refund"])
async def test_without_a_request_id_no_money_moves(example: Example, sandbox: SandboxServer, operation: str) -> None:
    """By default its captures and refunds are refused, as the vendor's description has it."""
    await example.initiate()
    await sandbox.approve(ORDER)
    status, errors = await example.move(operation)
    assert (status, errors[0]["errorCode"]) == (400, "X-Request-Id")
    assert (sandbox.payment(ORDER).captured, len(sandbox.payment(ORDER).history)) == (0, 2)


async def test_an_amount_that_is_text_is_refused(example: Example, sandbox: SandboxServer) -> None:
    """Its form hands the amount on as text: no integer, so no payment is made."""
    status, _ = await example.initiate(amount="49900")
    assert status in {400, 500}
    assert sandbox.payments == ()
