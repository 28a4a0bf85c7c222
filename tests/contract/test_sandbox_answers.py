"""Every answer of the sandbox, and every call it makes, is held against the vendor's description.

Where the vendor's own reality departs from its description the sandbox follows reality; each such place is named here
with its reason.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.contract.schema import CONTRACT, Contract, conform, undeclared_properties
from tests.sandbox.driver import MSN, Answer, Merchant, Shop, merchant_at, shop
from vipps_async.sandbox import SandboxServer, SandboxSettings

CALLBACK = "/callbackPrefix/v2/payments/{orderId}"
SHIPPING = "/shippingDetailsPrefix/v2/payments/{orderId}/shippingDetails"
METHODS = [{"isDefault": "Y", "shippingCost": 49.5, "shippingMethod": "Parcel", "shippingMethodId": "parcel"}]


@pytest.fixture
def spec() -> Contract:
    """The vendor's description of eCom."""
    return CONTRACT


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    """With a second sales unit that captures directly."""
    async with SandboxServer(
        settings=SandboxSettings(sub_delay=0.0, direct_capture={"654321"}), rate_limits=False
    ) as server:
        yield server


@pytest.fixture
async def merchant(sandbox: SandboxServer, spec: Contract) -> AsyncIterator[Merchant]:
    """Holds each answer that it gets against the description."""

    def check(method: str, path: str, answer: Answer) -> None:
        schema = spec.response_schema(spec.template_for(path), method, answer.status)
        if schema:
            conform(answer.json, schema)
        else:
            assert answer.body == b""

    async with merchant_at(sandbox.url) as opened:
        opened.on_answer = check
        yield opened


@pytest.fixture
async def place() -> AsyncIterator[Shop]:
    """A shop that takes callbacks."""
    async with shop() as opened:
        yield opened


async def test_every_operation_of_a_regular_payment(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Each success, at each stage of a payment, conforms."""
    await merchant.initiate("acme-1")
    await merchant.details("acme-1")
    await merchant.status("acme-1")
    assert (await merchant.force_approve("acme-1")).status == 200
    await merchant.details("acme-1")
    await merchant.capture("acme-1", 10000)
    await merchant.capture("acme-1", 10000)
    await merchant.refund("acme-1", 5000)
    await merchant.status("acme-1")
    assert (await merchant.cancel("acme-1", release=True)).status == 200
    assert (await merchant.details("acme-1")).status == 200
    assert (await merchant.status("acme-1")).status == 200


async def test_cancels_at_each_stage(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Cancelled while initiated, and while reserved."""
    await merchant.initiate("acme-1")
    await merchant.initiate("acme-2")
    await sandbox.approve("acme-2")
    for order_id in ("acme-1", "acme-2"):
        assert (await merchant.cancel(order_id)).status == 200
        assert (await merchant.details(order_id)).status == 200
        assert (await merchant.status(order_id)).status == 200


async def test_failed_and_declined_payments(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Refused by the bank, unknown, declined and timed out."""
    for order_id, amount in (("acme-1", 151), ("acme-2", 201), ("acme-3", 10000), ("acme-4", 10000)):
        await merchant.initiate(order_id, amount)
    await sandbox.approve("acme-1")
    await sandbox.approve("acme-2")
    await sandbox.reject("acme-3")
    await sandbox.expire("acme-4")
    for number in range(1, 5):
        assert (await merchant.details(f"acme-{number}")).status == 200
        assert (await merchant.status(f"acme-{number}")).status == 200


async def test_direct_capture(sandbox: SandboxServer, merchant: Merchant) -> None:
    """A SALE in details and status."""
    merchant.msn = "654321"
    await merchant.initiate("acme-1")
    await sandbox.approve("acme-1")
    assert (await merchant.details("acme-1")).json["transactionLogHistory"][0]["operation"] == "SALE"
    assert (await merchant.status("acme-1")).status == 200


async def test_errors_in_the_apis_shape(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Each group of errors that the sandbox answers with."""
    await merchant.initiate("acme-1")
    answers = [
        await merchant.initiate("acme-1"),
        await merchant.initiate("acme-2", 99),
        await merchant.initiate("acme-2", customerInfo={"mobileNumber": "1"}),
        await merchant.initiate("acme-2", transaction={"scope": "nin"}),
        await merchant.initiate("acme-2", merchantInfo={"merchantSerialNumber": 123456}),
        await merchant.capture("acme-1"),
        await merchant.refund("acme-1"),
        await merchant.details("none"),
        await merchant.status("none"),
        await merchant.cancel("none"),
        await merchant.force_approve("none"),
    ]
    groups = {group for answer in answers for group, _ in answer.codes}
    assert groups == {"Merchant", "InvalidRequest", "User", "VippsError", "Payment"}


async def test_a_wrong_token_in_the_gateways_long_shape(merchant: Merchant) -> None:
    """The description knows this shape for every operation."""
    merchant.token = "wrong"
    for answer in (await merchant.initiate("acme-1"), await merchant.details("acme-1"), await merchant.cancel("a")):
        assert answer.status == 401


async def test_the_gateways_short_shape_is_an_exception(sandbox: SandboxServer, spec: Contract) -> None:
    """A wrong subscription key answers {statusCode, message}, in reality; the description does not have that shape."""
    async with merchant_at(sandbox.url) as bare:
        path = "/ecomm/v2/payments/acme-1/details"
        answer = await bare.call("GET", path, headers={"Ocp-Apim-Subscription-Key": None})
    assert set(answer.json) == {"statusCode", "message"}
    with pytest.raises(AssertionError):
        conform(answer.json, spec.response_schema(spec.template_for(path), "get", 401))


def _prefixes(place: Shop) -> dict[str, Any]:
    return {"callbackPrefix": place.url, "fallBack": place.url}


async def test_regular_callbacks(sandbox: SandboxServer, merchant: Merchant, place: Shop, spec: Contract) -> None:
    """RESERVED, CANCELLED and REJECTED conform, but for two exceptions in what they say of an error."""
    for order_id in ("acme-1", "acme-2", "acme-3"):
        await merchant.initiate(order_id, merchantInfo=_prefixes(place))
    await sandbox.approve("acme-1")
    await sandbox.reject("acme-2")
    await sandbox.expire("acme-3")
    await sandbox.callbacks_delivered()
    schema = spec.schema("RegularCheckOutPaymentRequest")
    bodies = {body["transactionInfo"]["status"]: body for _, _, _, body in place.received}
    assert set(bodies) == {"RESERVED", "CANCELLED", "REJECTED"}
    # In reality the group is called PAYMENTS here, which the description does not list.
    assert bodies["REJECTED"]["errorInfo"]["errorGroup"] == "PAYMENTS"
    bodies["REJECTED"]["errorInfo"]["errorGroup"] = "Payment"
    for body in bodies.values():
        conform(body, schema)


async def test_callbacks_of_failed_reservations(
    sandbox: SandboxServer, merchant: Merchant, place: Shop, spec: Contract
) -> None:
    """RESERVE_FAILED is real, though the description does not list it; all else conforms."""
    await merchant.initiate("acme-1", 151, merchantInfo=_prefixes(place))
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    body = copy.deepcopy(place.received[0][3])
    assert body["transactionInfo"]["status"] == "RESERVE_FAILED"
    body["transactionInfo"]["status"] = "REJECTED"
    body["errorInfo"]["errorGroup"] = "Payment"
    conform(body, spec.schema("RegularCheckOutPaymentRequest"))


async def test_express_checkout(sandbox: SandboxServer, merchant: Merchant, place: Shop, spec: Contract) -> None:
    """The question for shipping, the callback and details of express checkout conform."""
    place.answer = {"addressId": 100, "orderId": "acme-1", "shippingDetails": METHODS}
    conform(place.answer, spec.response_schema(SHIPPING, "post", 200))
    express = {
        **_prefixes(place),
        "paymentType": "eComm Express Payment",
        "consentRemovalPrefix": place.url,
        "shippingDetailsPrefix": place.url,
    }
    await merchant.initiate("acme-1", merchantInfo=express)
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    (_, _, _, question), (_, _, _, told) = place.received
    conform(question, spec.request_body_schema(SHIPPING, "post"))
    conform(told, spec.schema("ExpressCheckOutPaymentRequest"))
    conform(told, spec.request_body_schema(CALLBACK, "post"))
    assert "shippingDetails" in (await merchant.details("acme-1")).json


async def test_scope(sandbox: SandboxServer, merchant: Merchant, place: Shop, spec: Contract) -> None:
    """Details with `sub` conform; the callback has the shape of express but for the shipping that there is not."""
    await merchant.initiate("acme-1", merchantInfo=_prefixes(place), transaction={"scope": "name email"})
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    assert "sub" in (await merchant.details("acme-1")).json
    schema = spec.schema("ExpressCheckOutPaymentRequest")
    body = place.received[0][3]
    with pytest.raises(AssertionError, match="'shippingDetails' is a required property"):
        conform(body, schema)
    conform(body, {**schema, "required": [name for name in schema["required"] if name != "shippingDetails"]})


async def test_the_sandbox_takes_what_the_description_takes(
    sandbox: SandboxServer, merchant: Merchant, place: Shop, spec: Contract
) -> None:
    """The driver's own requests conform, so that the sandbox is not tested with bodies of its own invention."""
    await merchant.initiate("acme-1")
    await sandbox.approve("acme-1")
    await merchant.capture("acme-1", 10000)
    await merchant.refund("acme-1", 5000)
    await merchant.cancel("acme-1", release=True)
    checked = set()
    for record in sandbox.requests:
        if record.body and record.status == 200:
            template = spec.template_for(record.path)
            conform(_json(record.body), spec.request_body_schema(template, record.method))
            checked.add(record.operation)
    assert checked == {"initiate", "capture", "refund", "cancel"}


def _json(body: bytes) -> Any:
    return Answer(200, {}, body).json


async def test_a_field_that_the_sandbox_takes_is_in_the_description_and_the_other_way_round(
    sandbox: SandboxServer, spec: Contract
) -> None:
    """The sandbox knows every field of an initiate that the description has, and no other."""
    schema = spec.request_body_schema("/ecomm/v2/payments", "post")
    known = {f"/{part}/{name}" for part, inner in schema["properties"].items() for name in inner["properties"]}
    express = {
        "authToken": "token",
        "consentRemovalPrefix": "https://example.com",
        "isApp": False,
        "paymentType": "eComm Express Payment",
        "shippingDetailsPrefix": "https://example.com",
        "staticShippingDetails": METHODS,
    }
    transaction = {
        "skipLandingPage": False,
        "useExplicitCheckoutFlow": True,
        "additionalData": {
            "passengerName": "FLYER / MARY MS.",
            "airlineCode": "074",
            "airlineDesignatorCode": "KL",
            "agencyInvoiceNumber": "1",
        },
    }
    async with merchant_at(sandbox.url) as bare:
        body = bare.initiation("acme-1")
        body["merchantInfo"].update(express)
        body["transaction"].update(transaction)
        body["customerInfo"]["mobileNumber"] = "91234567"
        assert undeclared_properties(body, schema) == []
        assert (await bare.call("POST", "/ecomm/v2/payments", body)).status == 200
        sent = {f"/{part}/{name}" for part, inner in body.items() for name in inner}
        # The scope cannot be combined with express checkout: it stands in a body of its own.
        assert known - sent == {"/transaction/scope"}
        assert (await bare.initiate("acme-2", transaction={"scope": "name"})).status == 200
        assert sandbox.ignored == {}
        sandbox.settings.strict = True
        misspelt = await bare.initiate("acme-3", transaction={"skiplandingpage": False})
        assert misspelt.codes == [("InvalidRequest", "transaction.skiplandingpage")]
    assert bare.msn == MSN
