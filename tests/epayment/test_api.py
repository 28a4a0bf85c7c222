"""What each method of the ePayment API sends, and what it refuses before anything is sent."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.ecom.scripted_runner import ScriptedRunner, body_of, refusal
from tests.epayment.creations import EVERYTHING
from tests.epayment.payments import event, events, payment
from tests.epayment.service import EpaymentService
from tests.epayment.sessions import ORDER, opened
from tests.support.rows import each_row
from vipps_async import (
    ConfigurationError,
    CreatedPayment,
    EpaymentApi,
    InvalidInputError,
    Money,
    SettledBy,
    dkk,
    eur,
    nok,
)
from vipps_async.config import Environment
from vipps_async.epayment.operations import OPERATIONS
from vipps_async.epayment.requests import create_request
from vipps_async.journals.entries import KeyOrigin

URL = "https://example.com/back"


@pytest.mark.parametrize("name", ["capture", "refund"])
@pytest.mark.parametrize("amount", [nok("12.50"), dkk("0.01"), eur("0.01")])
async def test_a_sum_is_moved(epayment: EpaymentApi, runner: ScriptedRunner, name: str, amount: Money) -> None:
    """Path, body, key and what the journal notes; the currency goes with the sum."""
    await getattr(epayment, name)(ORDER, amount=amount)
    call = runner.only
    assert (call.operation, call.path) == (OPERATIONS[name], f"/epayment/v1/payments/{ORDER}/{name}")
    assert body_of(runner) == {"modificationAmount": {"value": amount.value, "currency": amount.currency}}
    assert call.idempotency_key
    assert call.audit is not None
    assert (call.audit.amount, call.audit.currency, call.audit.origin) == (
        amount.value,
        amount.currency,
        KeyOrigin.MADE,
    )


@pytest.mark.parametrize("name", ["capture", "refund"])
async def test_a_key_of_yours(epayment: EpaymentApi, runner: ScriptedRunner, name: str) -> None:
    """Up to 50 characters go as they are; each call without one has a key of its own."""
    await getattr(epayment, name)(ORDER, amount=nok(1), idempotency_key="k" * 50)
    await getattr(epayment, name)(ORDER, amount=nok(1))
    await getattr(epayment, name)(ORDER, amount=nok(1))
    mine, *made = (call.idempotency_key for call in runner.calls)
    assert mine == "k" * 50
    assert len(set(made)) == 2
    assert runner.calls[0].audit is not None
    assert runner.calls[0].audit.origin is KeyOrigin.GIVEN


@each_row("name", ["capture", "refund"])
@each_row(
    ("parameter", "arguments"),
    [
        ("amount", {"amount": None}),
        ("amount", {"amount": 0}),
        ("amount", {"amount": 49900}),
        ("amount", {"amount": nok(0)}),
        ("amount", {"amount": nok("0.99")}),
        ("amount", {"amount": Money(65_000_001, "NOK")}),
        ("amount", {"amount": Money(100, "SEK")}),
        ("idempotency_key", {"idempotency_key": None}),
        ("idempotency_key", {"idempotency_key": ""}),
        ("idempotency_key", {"idempotency_key": "k" * 51}),
        ("idempotency_key", {"idempotency_key": "a\nb"}),
    ],
)
async def test_a_sum_is_refused(
    epayment: EpaymentApi, runner: ScriptedRunner, name: str, parameter: str, arguments: dict[str, Any]
) -> None:
    """What is no sum that Vipps takes, or no key, never leaves."""
    given = {"amount": nok(1)} | arguments
    assert (await refusal(runner, getattr(epayment, name)(ORDER, **given))).parameter == parameter


REFERENCES: list[Callable[[EpaymentApi, Any], Awaitable[object]]] = [
    lambda api, reference: api.get(reference),
    lambda api, reference: api.events(reference),
    lambda api, reference: api.capture(reference, amount=nok(1)),
    lambda api, reference: api.refund(reference, amount=nok(1)),
    lambda api, reference: api.cancel(reference),
    lambda api, reference: api.approve(reference),
    lambda api, reference: api.wait_for(reference),
    lambda api, reference: api.create(reference=reference, amount=nok(1), return_url=URL),
]


@each_row("number", range(len(REFERENCES)))
@each_row("reference", ["", "a/../../b", "a" * 65, "order no 1", "order-12\n", "ørdre-123", 12345678, None])
async def test_what_is_no_reference(epayment: EpaymentApi, runner: ScriptedRunner, number: int, reference: Any) -> None:
    """Every method refuses it, so that no other path is ever asked for."""
    error = await refusal(runner, REFERENCES[number](epayment, reference))
    assert error.parameter == "reference"


@pytest.mark.parametrize("reference", ["1", "order-7"])
async def test_an_order_id_that_is_too_short(epayment: EpaymentApi, runner: ScriptedRunner, reference: str) -> None:
    """An order id of eCom can be shorter than any reference: the error says who can handle it."""
    error = await refusal(runner, epayment.get(reference))
    assert "handled by eCom only" in str(error)
    assert "eCom" not in str(await refusal(runner, epayment.get("a b")))


async def test_cancel(epayment: EpaymentApi, runner: ScriptedRunner) -> None:
    """An object without fields, or the flag alone; and a key, for which nothing stands."""
    await epayment.cancel(ORDER)
    assert body_of(runner) == {}
    assert runner.only.path == f"/epayment/v1/payments/{ORDER}/cancel"
    assert runner.only.idempotency_key
    assert runner.only.audit is not None
    assert (runner.only.audit.amount, runner.only.audit.currency) == (None, "XXX")
    runner.calls.clear()
    await epayment.cancel(ORDER, cancel_transaction_only=True)
    assert body_of(runner) == {"cancelTransactionOnly": True}
    runner.calls.clear()
    flag: Any = "yes"
    error = await refusal(runner, epayment.cancel(ORDER, cancel_transaction_only=flag))
    assert error.parameter == "cancel_transaction_only"


async def test_create(epayment: EpaymentApi, runner: ScriptedRunner) -> None:
    """What is asked for is sent, neither body nor answer is kept, and personal values are known as such."""
    runner.results.append(CreatedPayment(reference=ORDER, redirect_url="https://x/"))
    created = await epayment.create(
        reference=ORDER, amount=nok(499), return_url=URL, phone_number="4791234567", idempotency_key="mine"
    )
    call = runner.only
    assert created.redirect_url == "https://x/"
    assert (call.path, call.payment, call.idempotency_key) == ("/epayment/v1/payments", ORDER, "mine")
    assert body_of(runner) == {
        "amount": {"value": 49900, "currency": "NOK"},
        "paymentMethod": {"type": "WALLET"},
        "customer": {"phoneNumber": "4791234567"},
        "reference": ORDER,
        "userFlow": "WEB_REDIRECT",
        "returnUrl": URL,
    }
    assert call.secrets == ("4791234567",)
    assert call.audit is not None
    assert (call.audit.keep_body, call.audit.keep_answer, call.audit.amount) == (False, False, 49900)


def test_create_takes_what_a_request_takes() -> None:
    """The same names, annotations and defaults, but for what a session knows itself."""
    of_request = inspect.signature(create_request).parameters
    of_method = inspect.signature(EpaymentApi.create).parameters
    assert set(of_method) - {"self", "idempotency_key"} == set(of_request) - {"loopback", "is_vipps"}
    for name in set(of_method) & set(of_request):
        assert (of_method[name].annotation, of_method[name].default) == (
            of_request[name].annotation,
            of_request[name].default,
        )


async def test_create_passes_everything_on(epayment: EpaymentApi, runner: ScriptedRunner) -> None:
    """No argument gets lost on its way into the request."""
    runner.results.append(CreatedPayment(reference="acme-shop-7"))
    everything = EVERYTHING | {"reference": "acme-shop-7", "amount": nok(499), "return_url": URL}
    del everything["is_vipps"]
    await epayment.create(**everything)
    assert runner.only.body == create_request(**everything, loopback=True, is_vipps=False)


async def test_where_create_takes_urls_on_this_machine(runner: ScriptedRunner) -> None:
    """In tests, but neither in production nor towards Vipps' own hosts."""
    url = "http://127.0.0.1:8000/back"
    runner.results.append(CreatedPayment(reference=ORDER))
    api = EpaymentApi(runner, merchant_serial_number="123456", environment=Environment.TEST)
    await api.create(reference=ORDER, amount=nok(1), return_url=url)
    runner.calls.clear()
    api = EpaymentApi(runner, merchant_serial_number="123456", environment=Environment.PRODUCTION)
    assert (await refusal(runner, api.create(reference=ORDER, amount=nok(1), return_url=url))).parameter == "return_url"


async def test_a_create_on_record_is_read_again(epayment: EpaymentApi, runner: ScriptedRunner) -> None:
    """A payment that does not wait any more has no URL to go to."""
    for state, url in (("CREATED", "https://x/"), ("EXPIRED", None)):
        runner.results += [CreatedPayment(settled_by=SettledBy.JOURNAL), payment(state, redirectUrl="https://x/")]
        created = await epayment.create(reference=ORDER, amount=nok(499), return_url=URL)
        assert created == CreatedPayment(reference=ORDER, redirect_url=url, settled_by=SettledBy.JOURNAL)


async def test_reads(epayment: EpaymentApi, runner: ScriptedRunner) -> None:
    """Payment and events are read without key and body."""
    runner.results += [payment(), events(event("CREATED"))]
    assert (await epayment.get(ORDER)).is_authorized
    assert [found.name for found in await epayment.events(ORDER)] == ["CREATED"]
    assert [call.path for call in runner.calls] == [
        f"/epayment/v1/payments/{ORDER}",
        f"/epayment/v1/payments/{ORDER}/events",
    ]
    assert [(call.idempotency_key, call.body, call.audit) for call in runner.calls] == [(None, None, None)] * 2


async def test_events_come_oldest_first(epayment: EpaymentApi, runner: ScriptedRunner) -> None:
    """No order is promised, so their times decide; where one is missing, they stay as they came."""
    late, early = (
        event("CAPTURED", timestamp="2026-01-01T10:00:01Z"),
        event("CREATED", timestamp="2026-01-01T10:00:00Z"),
    )
    runner.results += [events(late, early), events(late, event("CREATED"))]
    assert [found.name for found in await epayment.events(ORDER)] == ["CREATED", "CAPTURED"]
    assert [found.name for found in await epayment.events(ORDER)] == ["CAPTURED", "CREATED"]


async def test_approve(epayment: EpaymentApi, runner: ScriptedRunner) -> None:
    """Number and token are sent if given, and are known as personal."""
    await epayment.approve(ORDER, phone_number="4791234567", token="eyJ.x")
    assert runner.only.path == f"/epayment/v1/test/payments/{ORDER}/approve"
    assert body_of(runner) == {"customer": {"phoneNumber": "4791234567"}, "token": "eyJ.x"}
    assert runner.only.secrets == ("4791234567", "eyJ.x")
    assert (runner.only.audit, runner.only.idempotency_key) == (None, None)
    runner.calls.clear()
    await epayment.approve(ORDER)
    assert body_of(runner) == {}


async def test_approve_never_in_production(runner: ScriptedRunner) -> None:
    """It is refused before anything is sent."""
    api = EpaymentApi(runner, merchant_serial_number="123456", environment=Environment.PRODUCTION)
    with pytest.raises(ConfigurationError, match="test environment"):
        await api.approve(ORDER, token="eyJ.x")
    assert not runner.calls


async def test_the_api_waits(epayment: EpaymentApi, runner: ScriptedRunner) -> None:
    """It reads the payment at once if there is news of it, such as a webhook's."""
    accepted = payment()
    runner.results.append(accepted)
    epayment.notify(ORDER)
    assert await epayment.wait_for(ORDER) is accepted
    assert runner.only.path == f"/epayment/v1/payments/{ORDER}"
    with pytest.raises(InvalidInputError, match="reference"):
        epayment.notify("acme 1")


async def test_closing_a_session_ends_its_waits(service: EpaymentService) -> None:
    """Nobody waits for an answer that can come no more."""
    service.make(ORDER, 49900)
    async with opened(service) as vipps:
        waiting = asyncio.create_task(vipps.epayment.wait_for(ORDER))
        await asyncio.sleep(0)
    with pytest.raises(ConfigurationError, match="closed"):
        await waiting


def test_how_often_vipps_takes_each_operation() -> None:
    """Per payment and minute: five that change something, 120 reads; retries keep to it."""
    assert {name: operation.per_minute for name, operation in OPERATIONS.items()} == {
        "create": 5,
        "capture": 5,
        "refund": 5,
        "cancel": 5,
        "get": 120,
        "events": 120,
        "approve": None,
    }


@pytest.mark.parametrize("number", ["1234", "1234567", "1234567890"])
async def test_serial_numbers(service: EpaymentService, number: str) -> None:
    """4 to 10 digits, sent as a header with every call."""
    service.make(ORDER, 49900)
    transport = service.transport
    async with opened(service, merchant_serial_number=number, transport=transport) as vipps:
        await vipps.epayment.get(ORDER)
        await vipps.epayment.cancel(ORDER)
    assert [request.headers["Merchant-Serial-Number"] for request in transport.requests] == [number] * 2
    assert all(request.headers["Ocp-Apim-Subscription-Key"] for request in transport.requests)


@pytest.mark.parametrize("number", ["123", "12345678901", 1234567])
def test_a_serial_number_that_is_none(number: Any) -> None:
    """The serial number is checked when the API is made."""
    with pytest.raises(InvalidInputError, match="merchant_serial_number"):
        EpaymentApi(ScriptedRunner(), merchant_serial_number=number, environment=Environment.TEST)
