"""A whole run against the sandbox, every request and every answer held against the vendor's description."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import attrs
import orjson
import pytest

from tests.contract.schema import CONTRACT, Contract, conform, validate
from tests.end_to_end.checkout import FAST
from tests.end_to_end.test_refusals import CASES, Case
from tests.support.payments import PRICE, initiate
from vipps_async import (
    AiohttpTransport,
    AirlineData,
    ApiError,
    ExpressCheckout,
    OrderNotFoundError,
    Scope,
    ShippingDetails,
    VippsSession,
    nok,
)
from vipps_async.testing import Sandbox, SandboxSettings
from vipps_async.transports.protocol import Request, Response

#: What the client calls and the eCom description does not describe.
_ELSEWHERE = ("/accesstoken/get", "/vipps-userinfo-api/")
#: Sent on every call, and no parameter of the API.
_PLAIN_HEADERS = {"Accept"}


@attrs.define
class Recorder:
    """A transport that lets everything pass and keeps it."""

    inner: AiohttpTransport = attrs.field(factory=AiohttpTransport)
    exchanges: list[tuple[Request, Response]] = attrs.field(factory=list)

    async def send(self, request: Request) -> Response:
        """See Transport."""
        response = await self.inner.send(request)
        self.exchanges.append((request, response))
        return response

    async def aclose(self) -> None:
        """See Transport."""
        await self.inner.aclose()


def _check_request(request: Request, spec: Contract, template: str, method: str) -> None:
    rules = {name.lower(): (name, *rule) for name, rule in spec.header_rules(template, method).items()}
    sent = {name.lower(): value for name, value in request.headers.items()}
    missing = [name for key, (name, required, _) in rules.items() if required and key not in sent]
    assert missing == []
    strange = [name for name in request.headers if name.lower() not in rules and name not in _PLAIN_HEADERS]
    assert strange == []
    for key, value in sent.items():
        if key in rules:
            validate(value, rules[key][2])
    if request.body is not None:
        conform(orjson.loads(request.body), spec.request_body_schema(template, method))


def _check(recorder: Recorder) -> set[tuple[str, str, bool]]:
    """Hold all exchanges against the description; return what was seen: template, method, whether it succeeded."""
    spec = CONTRACT
    seen = set()
    for request, response in recorder.exchanges:
        path = urlsplit(request.url).path
        if path.startswith(_ELSEWHERE):
            continue
        template, method = spec.template_for(path), request.method.lower()
        _check_request(request, spec, template, method)
        schema = spec.response_schema(template, method, response.status)
        if response.body:
            validate(orjson.loads(response.body), schema)
        success = response.status == 200
        if success and response.body:
            conform(orjson.loads(response.body), schema)
        seen.add((template, method, success))
    return seen


async def _everything(sandbox: Sandbox, vipps: VippsSession) -> None:
    """Use every operation, with and without everything that it takes."""
    ecom = vipps.ecom
    payment = await initiate(vipps)
    assert payment.token is not None
    await ecom.approve(payment.order_id, mobile_number="91234567", token=payment.token)
    await ecom.capture(payment.order_id, amount=20_000, transaction_text="A part.")
    await ecom.status(payment.order_id)
    await ecom.refund(payment.order_id, amount=5_000, transaction_text="A part.")
    await ecom.refund(payment.order_id, transaction_text="The rest.", idempotency_key="a-key-of-ours")
    await ecom.cancel(payment.order_id, transaction_text="The rest.", should_release_remaining_funds=True)
    await ecom.details(payment.order_id)

    await initiate(
        vipps,
        "airline",
        mobile_number="91234567",
        auth_token="verbatim",
        scope=list(Scope),
        skip_landing_page=True,
        airline_data=AirlineData(
            passenger_name="FLYER / MARY MS.",
            airline_code="074",
            airline_designator_code="KL",
            ticket_number="123-1234-1234-1234",
            agency_invoice_number="123456",
        ),
    )
    await sandbox.approve("airline")
    sandbox.clock.advance(1)
    sub = (await ecom.details("airline")).sub
    assert sub is not None
    await vipps.userinfo.get(sub)
    await ecom.capture("airline", transaction_text="Everything.")

    methods = [
        ShippingDetails(shipping_method_id="post", shipping_method="Post", shipping_cost=nok("79.90"), is_default=True),
        ShippingDetails(shipping_method_id="bike", shipping_method="Bike", shipping_cost=nok(129), priority=2),
    ]
    await initiate(
        vipps,
        "express",
        is_app=True,
        express=ExpressCheckout(
            consent_removal_prefix="https://example.com/consents",
            static_shipping_details=methods,
            use_explicit_checkout_flow=True,
        ),
    )
    await sandbox.approve("express")
    await ecom.details("express")
    await initiate(
        vipps,
        "express-dynamic",
        express=ExpressCheckout(
            consent_removal_prefix="https://example.com/consents",
            shipping_details_prefix="https://example.com/shipping",
        ),
    )
    await ecom.cancel("express-dynamic", transaction_text="Never opened.")
    await ecom.details("express-dynamic")
    await ecom.status("express-dynamic")


async def test_a_whole_run_keeps_the_contract() -> None:
    """Every operation, with all that it takes: requests and answers conform, and none of the API was left out."""
    spec = CONTRACT
    recorder = Recorder()
    sandbox = Sandbox(
        settings=SandboxSettings(strict=True, skip_landing_page={"123456"}, nin={"123456"}), rate_limits=False
    )
    async with sandbox, sandbox.session(transport=recorder, retry=FAST) as vipps:
        await _everything(sandbox, vipps)
    await recorder.aclose()

    called = {(template, method, True) for template, method in spec.paths() if template.startswith("/ecomm/")}
    assert _check(recorder) == called
    assert {sandbox.payment("acme-shop-1").captured, sandbox.payment("airline").captured} == {20_000, PRICE}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.step.__name__.strip("_"))
async def test_refusals_keep_the_contract(case: Case) -> None:
    """Each way to be refused: the requests conform, and so do the errors that the sandbox answers."""
    recorder = Recorder()
    async with (
        Sandbox(settings=SandboxSettings(strict=True), rate_limits=False) as sandbox,
        sandbox.session(transport=recorder, retry=FAST) as vipps,
    ):
        with pytest.raises(ApiError):
            await case.step(sandbox, vipps)
    await recorder.aclose()
    assert not all(success for _, _, success in _check(recorder))


async def test_gateway_errors_keep_the_contract() -> None:
    """A revoked token and an unknown order: their answers conform, too."""
    recorder = Recorder()
    async with Sandbox() as sandbox, sandbox.session(transport=recorder, retry=FAST) as vipps:
        await initiate(vipps)
        sandbox.revoke_tokens()
        await vipps.ecom.details("acme-shop-1")
        with pytest.raises(OrderNotFoundError):
            await vipps.ecom.details("nobody-knows-it")
    await recorder.aclose()
    assert {response.status for _, response in recorder.exchanges} == {200, 401, 404}
    _check(recorder)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda request: attrs.evolve(request, body=request.body.replace(b'"amount"', b'"ammount"')),
        lambda request: attrs.evolve(request, body=request.body.replace(b'"transactionText"', b'"transactiontext"')),
        lambda request: attrs.evolve(request, headers=_without(request, "X-Request-Id")),
        lambda request: attrs.evolve(request, headers={**request.headers, "X-Requestid": "1"}),
        lambda request: attrs.evolve(request, headers={**request.headers, "Vipps-System-Name": "x" * 31}),
    ],
    ids=["misspelt", "required missing", "header missing", "strange header", "header too long"],
)
async def test_the_check_itself_finds_what_is_wrong(spoil: Callable[[Request], Request]) -> None:
    """A misspelt, missing or overlong piece of a recorded request does not pass."""
    recorder = Recorder()
    async with Sandbox() as sandbox, sandbox.session(transport=recorder, retry=FAST) as vipps:
        await initiate(vipps)
        await sandbox.approve("acme-shop-1")
        await vipps.ecom.capture("acme-shop-1", amount=100, transaction_text="Shipped.")
    await recorder.aclose()
    _check(recorder)
    request, response = recorder.exchanges[-1]
    recorder.exchanges[-1] = (spoil(request), response)
    with pytest.raises(AssertionError):
        _check(recorder)


def _without(request: Request, header: str) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name != header}
