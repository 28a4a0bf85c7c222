"""Express checkout adds shipping: the customer's choice comes on top of the merchant's amount, wherever a sum is told.

Source: the vendor's API guide and FAQ, express checkout: the merchant sends the amount without shipping, and Vipps adds
the cost of the chosen way of shipping, the only sum in NOK with decimals.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.driver import Merchant, Shop, merchant_at, shop
from vipps_async.sandbox import SandboxServer, SandboxSettings

#: Øre.
GOODS = 49_900
PARCEL = {"isDefault": "Y", "shippingCost": 49.5, "shippingMethod": "Parcel", "shippingMethodId": "parcel"}
FETCHED = {"isDefault": "N", "shippingCost": 0, "shippingMethod": "Fetch it", "shippingMethodId": "shop"}
ORDER = "/sandbox/payments/123456/acme-1"


def express(place: Shop, *methods: dict[str, Any]) -> dict[str, Any]:
    """Return what makes an initiate an express checkout whose ways of shipping do not depend on the address."""
    return {
        "callbackPrefix": place.url,
        "paymentType": "eComm Express Payment",
        "consentRemovalPrefix": place.url,
        "staticShippingDetails": list(methods),
    }


@pytest.mark.parametrize(("method", "total"), [("parcel", 54_850), ("shop", 49_900)])
async def test_goods_and_shipping_are_reserved(
    sandbox: SandboxServer, merchant: Merchant, place: Shop, method: str, total: int
) -> None:
    """Callback, details, status and sums tell goods and shipping; the history keeps what the merchant asked for."""
    await merchant.initiate("acme-1", GOODS, merchantInfo=express(place, PARCEL, FETCHED))
    assert (await merchant.details("acme-1")).json["transactionLogHistory"][0]["amount"] == GOODS
    await sandbox.approve("acme-1", shipping_method_id=method)
    await sandbox.callbacks_delivered()
    ((_, _, _, told),) = place.received
    assert (told["transactionInfo"]["status"], told["transactionInfo"]["amount"]) == ("RESERVE", total)
    details = (await merchant.details("acme-1")).json
    assert [(entry["operation"], entry["amount"]) for entry in details["transactionLogHistory"]] == [
        ("RESERVE", total),
        ("INITIATE", GOODS),
    ]
    assert details["transactionSummary"]["remainingAmountToCapture"] == total
    assert details["shippingDetails"]["shippingCost"] == {"parcel": 49.5, "shop": 0}[method]
    assert (await merchant.status("acme-1")).json["transactionInfo"]["amount"] == total
    payment = sandbox.payment("acme-1")
    assert (payment.amount, payment.reserved) == (GOODS, total)


async def test_ways_of_shipping_that_the_shop_was_asked_for_are_added_too(
    sandbox: SandboxServer, merchant: Merchant, place: Shop
) -> None:
    """Dynamic shipping is added as static shipping is."""
    place.answer = {"addressId": 100, "orderId": "acme-1", "shippingDetails": [PARCEL]}
    prefixes = {**express(place), "shippingDetailsPrefix": place.url}
    del prefixes["staticShippingDetails"]
    await merchant.initiate("acme-1", GOODS, merchantInfo=prefixes)
    assert (await sandbox.approve("acme-1")).reserved == 54_850


async def test_all_of_it_can_be_captured_and_nothing_more(
    sandbox: SandboxServer, merchant: Merchant, place: Shop
) -> None:
    """A capture of more than both is refused with 61; a capture and a refund without an amount are of both."""
    await merchant.initiate("acme-1", GOODS, merchantInfo=express(place, PARCEL))
    await sandbox.approve("acme-1")
    assert (await merchant.capture("acme-1", 54_851)).codes == [("Payment", "61")]
    captured = (await merchant.capture("acme-1")).json
    assert captured["transactionInfo"]["amount"] == captured["transactionSummary"]["capturedAmount"] == 54_850
    assert (await merchant.refund("acme-1")).json["transaction"]["amount"] == 54_850


async def test_a_cancel_releases_both(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """What was reserved for shipping is given back with the goods."""
    await merchant.initiate("acme-1", GOODS, merchantInfo=express(place, PARCEL))
    await sandbox.approve("acme-1")
    assert (await merchant.cancel("acme-1")).json["transactionInfo"]["amount"] == 54_850
    assert sandbox.payment("acme-1").released == 54_850


async def test_direct_capture_takes_both(place: Shop) -> None:
    """A sales unit with direct capture has captured goods and shipping at once."""
    async with (
        SandboxServer(settings=SandboxSettings(direct_capture={"123456"})) as sandbox,
        merchant_at(sandbox.url) as merchant,
    ):
        await merchant.initiate("acme-1", GOODS, merchantInfo=express(place, PARCEL))
        await sandbox.approve("acme-1")
        await sandbox.callbacks_delivered()
        assert place.received[0][3]["transactionInfo"] | {"timeStamp": "", "transactionId": ""} == {
            "amount": 54_850,
            "status": "SALE",
            "timeStamp": "",
            "transactionId": "",
        }
        assert sandbox.payment("acme-1").captured == 54_850


async def test_a_bank_that_refuses_refuses_both(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """A test amount is told by the goods; the failed reservation and its callback are of goods and shipping."""
    await merchant.initiate("acme-1", 151, merchantInfo=express(place, PARCEL))
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    told = place.received[0][3]["transactionInfo"]
    assert (told["status"], told["amount"]) == ("RESERVE_FAILED", 5_101)
    entry = (await merchant.details("acme-1")).json["transactionLogHistory"][0]
    assert (entry["operation"], entry["amount"], entry["operationSuccess"]) == ("RESERVE", 5_101, False)
    assert sandbox.payment("acme-1").reserved == 0


async def test_a_bank_that_takes_an_hour_reserves_both(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """The choice is kept while the reservation is unknown."""
    await merchant.initiate("acme-1", 201, merchantInfo=express(place, PARCEL))
    assert (await sandbox.approve("acme-1")).reserved == 0
    sandbox.clock.advance(3600)
    await sandbox.callbacks_delivered()
    assert sandbox.payment("acme-1").reserved == 5_151
    assert place.received[0][3]["transactionInfo"]["amount"] == 5_151


@pytest.mark.parametrize(
    ("cost", "oere"), [(1.15, 115), (19.99, 1_999), (0.29, 29), (1023.49, 102_349), (30, 3_000), (30.0, 3_000)]
)
async def test_kroner_with_decimals_are_added_to_the_oere(
    sandbox: SandboxServer, merchant: Merchant, place: Shop, cost: float, oere: int
) -> None:
    """No øre is lost to floating point."""
    await merchant.initiate("acme-1", GOODS, merchantInfo=express(place, {**PARCEL, "shippingCost": cost}))
    assert (await sandbox.approve("acme-1")).reserved == GOODS + oere


async def test_a_restart_keeps_the_shipping(tmp_path: Path) -> None:
    """What was reserved with shipping before the sandbox ended is reserved with shipping after it, and is captured."""
    async with shop() as place, SandboxServer(state=tmp_path / "shop.db") as sandbox:
        async with merchant_at(sandbox.url) as merchant:
            await merchant.initiate("acme-1", GOODS, merchantInfo=express(place, PARCEL))
        await sandbox.approve("acme-1")
    async with SandboxServer(state=tmp_path / "shop.db") as sandbox, merchant_at(sandbox.url) as merchant:
        assert sandbox.payment("acme-1").reserved == 54_850
        assert (await merchant.capture("acme-1")).json["transactionInfo"]["amount"] == 54_850
        assert (await merchant.details("acme-1")).json["shippingDetails"]["shippingCost"] == 49.5


async def test_the_customer_reads_what_is_paid_in_all(merchant: Merchant, place: Shop) -> None:
    """The landing page says that shipping comes on top, and the app what each choice costs in all."""
    answer = await merchant.initiate("acme-1", GOODS, merchantInfo=express(place, PARCEL, FETCHED))
    landing, app = await pages(merchant, answer.json["url"])
    assert "Comes on top" in landing
    for text in ("Parcel", "548.50 NOK in all", "Fetch it", "499.00 NOK in all"):
        assert text in app
    assert button(app) == "Pay"


async def test_with_one_choice_the_button_says_the_sum(merchant: Merchant, place: Shop) -> None:
    """Where all ways of shipping cost the same the button names the sum, as it does in a regular payment."""
    same = {**FETCHED, "shippingCost": 49.5}
    answer = await merchant.initiate("acme-1", GOODS, merchantInfo=express(place, PARCEL, same))
    assert button((await pages(merchant, answer.json["url"]))[1]) == "Pay 548.50 NOK"
    landing, app = await pages(merchant, (await merchant.initiate("acme-2", GOODS)).json["url"])
    assert "Comes on top" not in landing + app
    assert button(app) == "Pay 499.00 NOK"


async def test_the_dashboard_tells_them_apart(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """Before the choice each way stands there with its total; after it goods, shipping and reservation do."""
    await merchant.initiate("acme-1", GOODS, merchantInfo=express(place, PARCEL, FETCHED))
    before = (await merchant.call("GET", ORDER)).body.decode()
    assert "Parcel, 49.50 NOK: 548.50 NOK in all" in before
    assert "added by Vipps" not in before
    await sandbox.approve("acme-1")
    after = (await merchant.call("GET", ORDER)).body.decode()
    for name, sum_ in (("Amount", "499.00"), ("Shipping, added by Vipps", "49.50"), ("Reserved", "548.50")):
        assert f"<dt>{name}</dt><dd>{sum_} NOK</dd>" in after
    assert "548.50" in (await merchant.call("GET", "/")).body.decode()


async def pages(merchant: Merchant, url: str) -> tuple[str, str]:
    """Load the landing page of a payment and the app."""
    path = url.removeprefix(merchant.url)
    landing = await merchant.call("GET", path)
    app = await merchant.call("GET", path.replace("vippsgateway?v=2&", "vippsgateway/app?"))
    return landing.body.decode(), app.body.decode()


def button(html: str) -> str:
    """Return what the button says that approves."""
    found = re.search(r'value="approve"[^>]*>([^<]*)<', html)
    assert found is not None
    return found[1]
