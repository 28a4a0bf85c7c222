"""What each method of the eCom API asks the runner to do."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from tests.ecom.scripted_runner import ScriptedRunner, body_of, refusal
from tests.support.rows import each_row
from vipps_async import (
    AirlineData,
    CaptureResult,
    EcomApi,
    ExpressCheckout,
    InitiatedPayment,
    Money,
    PaymentDetails,
    Scope,
    ShippingDetails,
    TransactionInfo,
    TransactionStatus,
    dkk,
    eur,
    nok,
)
from vipps_async.config import Environment
from vipps_async.core.converter import decode, encode
from vipps_async.core.operation import Applied, NoContent
from vipps_async.ecom.operations import APPROVE, CANCEL, CAPTURE, DETAILS, INITIATE, REFUND, STATUS
from vipps_async.errors import ConfigurationError, InvalidInputError, OutcomeUnknown
from vipps_async.not_given import NOT_GIVEN

ORDER = "acme-shop-123-order123abc"
MERCHANT = {"merchantSerialNumber": "123456"}
#: The least that initiate takes.
LEAST: dict[str, Any] = {
    "order_id": ORDER,
    "amount": 49900,
    "transaction_text": "One pair of socks.",
    "callback_prefix": "https://example.com/callbacks",
    "fall_back": "https://example.com/result",
}
CONSENT = "https://example.com/consent"


async def test_the_least_that_initiate_sends(ecom: EcomApi, runner: ScriptedRunner) -> None:
    """What was not given is not sent, but for the empty customerInfo that Vipps requires."""
    payment = InitiatedPayment(order_id=ORDER, url="https://x")
    runner.results.append(payment)
    assert await ecom.initiate(**LEAST) is payment
    assert body_of(runner) == {
        "customerInfo": {},
        "merchantInfo": {
            **MERCHANT,
            "callbackPrefix": "https://example.com/callbacks",
            "fallBack": "https://example.com/result",
        },
        "transaction": {"orderId": ORDER, "amount": 49900, "transactionText": "One pair of socks."},
    }
    call = runner.only
    assert call.operation is INITIATE
    assert (call.path, call.payment, call.idempotency_key) == ("/ecomm/v2/payments", ORDER, None)
    assert call.secrets == ()
    assert call.reconciliation is not None
    assert call.reconciliation.lookup.path == f"/ecomm/v2/payments/{ORDER}/details"


async def test_all_that_initiate_sends(ecom: EcomApi, runner: ScriptedRunner) -> None:
    """Everything that was given goes where Vipps wants it, and what is personal or secret is marked so."""
    await ecom.initiate(
        **LEAST,
        mobile_number="91234567",
        is_app=True,
        skip_landing_page=True,
        auth_token="s3cret",
        scope=[Scope.NAME, "phoneNumber"],
        airline_data=AirlineData(
            passenger_name="FLYER / MARY MS.",
            airline_code="074",
            airline_designator_code="KL",
            ticket_number="074-5799804843",
            agency_invoice_number="123456",
        ),
    )
    body = body_of(runner)
    assert body["customerInfo"] == {"mobileNumber": "91234567"}
    assert body["merchantInfo"]["authToken"] == "s3cret"
    assert body["merchantInfo"]["isApp"] is True
    assert body["transaction"]["skipLandingPage"] is True
    assert body["transaction"]["scope"] == "name phoneNumber"
    assert body["transaction"]["additionalData"] == {
        "passengerName": "FLYER / MARY MS.",
        "airlineCode": "074",
        "airlineDesignatorCode": "KL",
        "ticketNumber": "074-5799804843",
        "agencyInvoiceNumber": "123456",
    }
    assert runner.only.secrets == ("91234567", "s3cret", "FLYER / MARY MS.", "074-5799804843")


async def test_express_with_static_shipping(ecom: EcomApi, runner: ScriptedRunner) -> None:
    """Ways of shipping are sent with Vipps' Y and N, and costs in kroner with their decimals."""
    post = ShippingDetails(
        is_default=True, priority=1, shipping_cost=nok("49.90"), shipping_method="Post", shipping_method_id="post"
    )
    pick_up = ShippingDetails(shipping_cost=nok(0), shipping_method="Pick up", shipping_method_id="pick-up")
    await ecom.initiate(
        **LEAST,
        express=ExpressCheckout(
            consent_removal_prefix=CONSENT, static_shipping_details=[post, pick_up], use_explicit_checkout_flow=True
        ),
    )
    merchant = body_of(runner)["merchantInfo"]
    assert merchant["paymentType"] == "eComm Express Payment"
    assert merchant["consentRemovalPrefix"] == CONSENT
    assert merchant["staticShippingDetails"] == [
        {
            "isDefault": "Y",
            "priority": 1,
            "shippingCost": 49.9,
            "shippingMethod": "Post",
            "shippingMethodId": "post",
        },
        {"isDefault": "N", "shippingCost": 0, "shippingMethod": "Pick up", "shippingMethodId": "pick-up"},
    ]
    assert "shippingDetailsPrefix" not in merchant
    assert body_of(runner)["transaction"]["useExplicitCheckoutFlow"] is True
    assert b'"shippingCost":49.90,' in encode(runner.only.body)


async def test_express_with_dynamic_shipping(ecom: EcomApi, runner: ScriptedRunner) -> None:
    """Without static ways of shipping Vipps is told where to ask for them."""
    express = ExpressCheckout(consent_removal_prefix=CONSENT, shipping_details_prefix="https://example.com/shipping")
    await ecom.initiate(**LEAST, express=express)
    merchant = body_of(runner)["merchantInfo"]
    assert merchant["shippingDetailsPrefix"] == "https://example.com/shipping"
    assert "staticShippingDetails" not in merchant
    assert "useExplicitCheckoutFlow" not in body_of(runner)["transaction"]


async def test_express_with_both_kinds_of_shipping(ecom: EcomApi, runner: ScriptedRunner) -> None:
    """Both are sent where both are given, each prefix without the slash at its end."""
    post = ShippingDetails(shipping_cost=nok(0), shipping_method="Post", shipping_method_id="post")
    express = ExpressCheckout(
        consent_removal_prefix=CONSENT + "/",
        shipping_details_prefix="https://example.com/shipping/",
        static_shipping_details=[post],
    )
    await ecom.initiate(**{**LEAST, "callback_prefix": "https://example.com/vipps/"}, express=express)
    merchant = body_of(runner)["merchantInfo"]
    assert merchant["callbackPrefix"] == "https://example.com/vipps"
    assert merchant["consentRemovalPrefix"] == CONSENT
    assert merchant["shippingDetailsPrefix"] == "https://example.com/shipping"
    assert [method["shippingMethodId"] for method in merchant["staticShippingDetails"]] == ["post"]


DYNAMIC = ExpressCheckout(consent_removal_prefix=CONSENT, shipping_details_prefix="https://example.com/shipping")


@each_row(
    ("parameter", "arguments"),
    [
        ("order_id", {"order_id": "a/../b"}),
        ("order_id", {"order_id": "a\n"}),
        ("amount", {"amount": 99}),
        ("amount", {"amount": None}),
        ("amount", {"amount": 499.0}),
        ("amount", {"amount": NOT_GIVEN}),
        ("transaction_text", {"transaction_text": ""}),
        ("callback_prefix", {"callback_prefix": "http://example.com"}),
        ("callback_prefix", {"callback_prefix": "INTENT"}),
        ("fall_back", {"fall_back": "javascript://x"}),
        ("mobile_number", {"mobile_number": "+4791234567"}),
        ("is_app", {"is_app": 1}),
        ("skip_landing_page", {"skip_landing_page": "yes"}),
        ("skip_landing_page", {"skip_landing_page": True}),
        ("auth_token", {"auth_token": "a\r\nb"}),
        ("scope", {"scope": "Name"}),
        ("scope", {"scope": "name", "express": DYNAMIC}),
        ("express", {"express": {"consent_removal_prefix": CONSENT}}),
        ("airline_data", {"airline_data": {"passenger_name": "x"}}),
        (
            "consent_removal_prefix",
            {"express": ExpressCheckout(consent_removal_prefix="", shipping_details_prefix=CONSENT)},
        ),
        (
            "shipping_details_prefix",
            {"express": ExpressCheckout(consent_removal_prefix=CONSENT, shipping_details_prefix="")},
        ),
    ],
)
async def test_initiate_refuses(
    ecom: EcomApi, runner: ScriptedRunner, parameter: str, arguments: dict[str, Any]
) -> None:
    """An argument that breaks a rule is named, and nothing is sent."""
    assert parameter == (await refusal(runner, ecom.initiate(**{**LEAST, **arguments}))).parameter


async def test_loopback_is_for_tests(runner: ScriptedRunner) -> None:
    """A callback to this machine is fine for a Vipps that runs here, and refused in production."""
    local = {**LEAST, "callback_prefix": "http://127.0.0.1:8000/x", "fall_back": "http://localhost:8000/"}
    production = EcomApi(runner, merchant_serial_number="123456", environment=Environment.PRODUCTION)
    assert (await refusal(runner, production.initiate(**local))).parameter == "callback_prefix"
    await EcomApi(runner, merchant_serial_number="123456", environment=Environment.TEST).initiate(**local)
    assert body_of(runner)["merchantInfo"]["callbackPrefix"] == "http://127.0.0.1:8000/x"


async def test_urls_for_vipps_itself(runner: ScriptedRunner) -> None:
    """Where calls go to Vipps' own hosts, URLs that it cannot call are refused, and nothing is sent."""
    vipps = EcomApi(runner, merchant_serial_number="123456", environment=Environment.TEST, is_vipps=True)
    for parameter, url in (("callback_prefix", "http://127.0.0.1:8000/x"), ("fall_back", "http://localhost:8000/")):
        assert (await refusal(runner, vipps.initiate(**{**LEAST, parameter: url}))).parameter == parameter
    both: list[dict[str, Any]] = [
        {"consent_removal_prefix": "https://localhost"},
        {"shipping_details_prefix": "https://shop"},
    ]
    for prefixes in both:
        express = ExpressCheckout(**{"consent_removal_prefix": CONSENT, "shipping_details_prefix": CONSENT} | prefixes)
        (parameter,) = prefixes
        assert (await refusal(runner, vipps.initiate(**LEAST, express=express))).parameter == parameter
    with pytest.warns(UserWarning, match="no callback will come") as warned:
        await vipps.initiate(**{**LEAST, "callback_prefix": "https://10.0.0.1/x"})
    assert warned[0].filename == __file__


@pytest.mark.parametrize("name", ["capture", "refund"])
async def test_a_sum_is_moved(ecom: EcomApi, runner: ScriptedRunner, name: str) -> None:
    """Capture and refund send sum, text and serial number, and their answer comes back."""
    result = CaptureResult(order_id=ORDER, transaction=TransactionInfo(amount=10000, status=TransactionStatus.CAPTURED))
    runner.results.append(result)
    assert await getattr(ecom, name)(ORDER, amount=10000, transaction_text="Shipped.", idempotency_key="k") is result
    call = runner.only
    assert call.operation is {"capture": CAPTURE, "refund": REFUND}[name]
    assert (call.path, call.payment) == (f"/ecomm/v2/payments/{ORDER}/{name}", ORDER)
    assert call.idempotency_key == "k"
    assert body_of(runner) == {
        "merchantInfo": MERCHANT,
        "transaction": {"amount": 10000, "transactionText": "Shipped."},
    }
    entry = {"operation": name.upper(), "operationSuccess": True, "requestId": "k"}
    assert call.reconciliation is not None
    judge = call.reconciliation.interpret
    proven, otherwise = (judge(_details({**entry, "amount": amount})) for amount in (10000, 10001))
    assert isinstance(proven, Applied)
    assert isinstance(otherwise, Applied)
    assert (proven.misfit, bool(otherwise.misfit)) == ("", True)
    assert not isinstance(judge(_details({**entry, "amount": 10000, "requestId": "K"})), Applied)


def _details(entry: object) -> PaymentDetails:
    return decode(orjson.dumps({"orderId": ORDER, "transactionLogHistory": [entry]}), PaymentDetails)


@pytest.mark.parametrize("name", ["capture", "refund"])
async def test_money_is_sent_as_whole_oere(ecom: EcomApi, runner: ScriptedRunner, name: str) -> None:
    """Money in NOK makes the same body, byte for byte, and the same note in the journal as its øre do."""
    for amount in (10_000, nok("100.00")):
        await getattr(ecom, name)(ORDER, amount=amount, transaction_text="Shipped.", idempotency_key="k")
    in_oere, in_money = runner.calls
    assert encode(in_oere.body) == encode(in_money.body)
    assert in_oere.audit == in_money.audit
    assert in_money.audit is not None
    assert in_money.audit.amount == 10_000


async def test_initiate_takes_money(ecom: EcomApi, runner: ScriptedRunner) -> None:
    """Money in NOK makes the same payment as its øre do."""
    for amount in (49_900, nok("499.00")):
        await ecom.initiate(**{**LEAST, "amount": amount})
    in_oere, in_money = runner.calls
    assert encode(in_oere.body) == encode(in_money.body)
    assert in_oere.audit == in_money.audit


@pytest.mark.parametrize("amount", [dkk(100), eur(100), Money(10_000, "SEK"), nok("0.99"), nok(0)])
async def test_money_that_ecom_does_not_take(ecom: EcomApi, runner: ScriptedRunner, amount: Money) -> None:
    """Another currency, or too little, is refused by name, and nothing is sent."""
    calls = [
        ecom.initiate(**{**LEAST, "amount": amount}),
        ecom.capture(ORDER, amount=amount, transaction_text="Shipped."),
        ecom.refund(ORDER, amount=amount, transaction_text="Returned."),
    ]
    for call in calls:
        error = await refusal(runner, call)
        assert error.parameter == "amount"
        assert "Money in NOK, or whole øre as int, 100 to 2147483647 øre" in str(error)


@pytest.mark.parametrize("name", ["capture", "refund"])
@pytest.mark.parametrize("given", [{}, {"amount": NOT_GIVEN}])
async def test_all_that_remains(ecom: EcomApi, runner: ScriptedRunner, name: str, given: dict[str, Any]) -> None:
    """Leaving the amount out leaves it out of the JSON too: all that remains."""
    await getattr(ecom, name)(ORDER, transaction_text="Shipped.", **given)
    assert body_of(runner)["transaction"] == {"transactionText": "Shipped."}


@pytest.mark.parametrize("name", ["capture", "refund"])
async def test_each_call_makes_a_key(ecom: EcomApi, runner: ScriptedRunner, name: str) -> None:
    """A key is made for each call; it is in the call, so that every attempt has the same."""
    for _ in range(2):
        await getattr(ecom, name)(ORDER, transaction_text="Shipped.")
    keys = [call.idempotency_key for call in runner.calls]
    assert all(key and len(key) <= 40 for key in keys)
    assert keys[0] != keys[1]


@each_row("name", ["capture", "refund"])
@each_row(
    ("parameter", "arguments"),
    [
        ("order_id", {"order_id": ".."}),
        ("amount", {"amount": None}),
        ("amount", {"amount": 0}),
        ("amount", {"amount": True}),
        ("amount", {"amount": 100.0}),
        ("transaction_text", {"transaction_text": "x" * 101}),
        ("idempotency_key", {"idempotency_key": None}),
        ("idempotency_key", {"idempotency_key": ""}),
        ("idempotency_key", {"idempotency_key": "x" * 41}),
    ],
)
async def test_a_sum_is_refused(
    ecom: EcomApi, runner: ScriptedRunner, name: str, parameter: str, arguments: dict[str, Any]
) -> None:
    """No wrong sum, text or key goes out; above all no None or 0, which Vipps would take for everything."""
    given = {"order_id": ORDER, "transaction_text": "Shipped.", **arguments}
    method: Callable[..., Awaitable[object]] = getattr(ecom, name)
    assert parameter == (await refusal(runner, method(given.pop("order_id"), **given))).parameter


async def test_cancel(ecom: EcomApi, runner: ScriptedRunner) -> None:
    """Cancel sends its text, no key, and does not release what is left unless told so."""
    await ecom.cancel(ORDER, transaction_text="No socks.")
    call = runner.only
    assert call.operation is CANCEL
    assert (call.path, call.idempotency_key) == (f"/ecomm/v2/payments/{ORDER}/cancel", None)
    assert body_of(runner) == {"merchantInfo": MERCHANT, "transaction": {"transactionText": "No socks."}}
    assert call.reconciliation is not None
    assert not isinstance(
        call.reconciliation.interpret(_details({"operation": "SALE", "operationSuccess": True, "amount": 5})), Applied
    )


async def test_cancel_of_the_rest(ecom: EcomApi, runner: ScriptedRunner) -> None:
    """Releasing what is left has to be asked for."""
    await ecom.cancel(ORDER, transaction_text="No more socks.", should_release_remaining_funds=True)
    assert body_of(runner)["shouldReleaseRemainingFunds"] is True


@pytest.mark.parametrize(
    ("parameter", "arguments"),
    [
        ("order_id", {"order_id": "a b"}),
        ("transaction_text", {"transaction_text": " "}),
        ("should_release_remaining_funds", {"should_release_remaining_funds": "no"}),
    ],
)
async def test_cancel_refuses(ecom: EcomApi, runner: ScriptedRunner, parameter: str, arguments: dict[str, Any]) -> None:
    """An argument that breaks a rule is named, and nothing is sent."""
    given = {"order_id": ORDER, "transaction_text": "No socks.", **arguments}
    assert parameter == (await refusal(runner, ecom.cancel(given.pop("order_id"), **given))).parameter


async def test_reads(ecom: EcomApi, runner: ScriptedRunner) -> None:
    """Details and status send no body and no key."""
    await ecom.details(ORDER)
    await ecom.status(ORDER)
    asked, status = runner.calls
    assert (asked.operation, asked.path) == (DETAILS, f"/ecomm/v2/payments/{ORDER}/details")
    assert (status.operation, status.path) == (STATUS, f"/ecomm/v2/payments/{ORDER}/status")
    for call in runner.calls:
        assert (call.body, call.idempotency_key, call.reconciliation, call.payment) == (None, None, None, ORDER)


@pytest.mark.parametrize("name", ["details", "status", "wait_for"])
async def test_reads_refuse(ecom: EcomApi, runner: ScriptedRunner, name: str) -> None:
    """An order id that breaks its rule is not asked for."""
    assert (await refusal(runner, getattr(ecom, name)("a\n"))).parameter == "order_id"


async def test_approve(ecom: EcomApi, runner: ScriptedRunner) -> None:
    """Approve sends number and token, marked as secret, with a key of its own, and returns nothing."""
    runner.results.append(NoContent())
    assert await ecom.approve(ORDER, mobile_number="91234567", token="eyJ.x") is None  # type: ignore[func-returns-value]
    call = runner.only
    assert call.operation is APPROVE
    assert call.path == f"/ecomm/v2/integration-test/payments/{ORDER}/approve"
    assert body_of(runner) == {"customerPhoneNumber": "91234567", "token": "eyJ.x"}
    assert call.secrets == ("91234567", "eyJ.x")
    assert call.idempotency_key


async def test_approve_without_number_and_token(ecom: EcomApi, runner: ScriptedRunner) -> None:
    """Vipps wants neither: what is left out is not sent."""
    runner.results.append(NoContent())
    await ecom.approve(ORDER)
    assert body_of(runner) == {}
    assert runner.only.secrets == ()


async def test_approve_never_in_production(runner: ScriptedRunner) -> None:
    """In production nobody but the customer approves."""
    production = EcomApi(runner, merchant_serial_number="123456", environment=Environment.PRODUCTION)
    with pytest.raises(ConfigurationError, match="test environment only"):
        await production.approve(ORDER, mobile_number="91234567", token="eyJ.x")
    assert not runner.calls


async def test_approve_refuses(ecom: EcomApi, runner: ScriptedRunner) -> None:
    """A wrong order id, number or token is not sent."""
    for arguments in ((".", "91234567", "x"), (ORDER, "1", "x"), (ORDER, "91234567", "")):
        await refusal(runner, ecom.approve(arguments[0], mobile_number=arguments[1], token=arguments[2]))


async def test_errors_pass_through(ecom: EcomApi, runner: ScriptedRunner) -> None:
    """What the runner raises reaches the caller untouched."""
    error = OutcomeUnknown("no answer")
    runner.results.append(error)
    with pytest.raises(OutcomeUnknown) as caught:
        await ecom.capture(ORDER, transaction_text="Shipped.")
    assert caught.value is error


def test_a_serial_number_that_is_none() -> None:
    """The serial number is checked when the API is made."""
    with pytest.raises(InvalidInputError, match="merchant_serial_number"):
        EcomApi(ScriptedRunner(), merchant_serial_number="1", environment=Environment.TEST)


def test_parameters_are_named() -> None:
    """Only the order id may be given without its name, so that no two arguments can be swapped."""
    for name in ("initiate", "capture", "refund", "cancel", "details", "status", "approve", "wait_for"):
        parameters = list(inspect.signature(getattr(EcomApi, name)).parameters.values())[1:]
        positional = [one.name for one in parameters if one.kind is not inspect.Parameter.KEYWORD_ONLY]
        assert positional == ([] if name == "initiate" else ["order_id"])
