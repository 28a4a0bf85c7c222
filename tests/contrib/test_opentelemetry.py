"""Spans and measurements of calls to Vipps: what they tell, what they never tell, and that they change nothing."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import aiohttp
import pytest
from attrs import frozen
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from tests.epayment.payments import aggregate
from vipps_async import (
    AiohttpTransport,
    CaptureError,
    ConfigurationError,
    Credentials,
    OutcomeUnknown,
    RequestNotSent,
    RetryPolicy,
    VippsError,
    VippsSession,
    nok,
)
from vipps_async.contrib.opentelemetry import observed
from vipps_async.testing import Sandbox, ScriptedTransport, answer

ORDER = "acme-shop-1"
PHONE, NAME, TOKEN, SUB = "48059990", "Canary Nordmann", "canary-token", "canary-sub"
NUMBER = f"47{PHONE}"
SECRETS = {"client_id": "canary-id", "client_secret": "canary-secret", "subscription_key": "canary-key"}
KEYS = Credentials(**SECRETS, merchant_serial_number="123456")
RETRY = RetryPolicy(base=0.001, throttled_base=0.001, cap=0.002)
EVERYTHING = f"canary {PHONE} {NAME} {TOKEN} {SUB}"


def captured(amount: int = 49900) -> Any:
    """Make the answer to a capture."""
    return answer(
        200,
        {
            "orderId": ORDER,
            "paymentInstrument": "Visa",
            "transactionInfo": {
                "amount": amount,
                "status": "Captured",
                "timeStamp": "2026-01-02T03:04:05.678Z",
                "transactionId": "5000000001",
                "transactionText": EVERYTHING,
            },
        },
    )


def refusal(status: int, code: str) -> Any:
    """Make a refusal by Vipps."""
    return answer(status, [{"errorGroup": "Payment", "errorCode": code, "errorMessage": EVERYTHING, "contextId": "c"}])


def moved(amount: int = 49900) -> Any:
    """Make the answer to a capture over ePayment, with all that Vipps might add to it."""
    sums = aggregate(amount, captured=amount)
    body = {"reference": ORDER, "state": "AUTHORIZED", "amount": sums["authorizedAmount"], "pspReference": "psp-1"}
    return answer(200, {**body, "aggregate": sums, "userDetails": {"firstName": NAME, "mobileNumber": PHONE}})


def problem(status: int, code: str) -> Any:
    """Make a refusal by ePayment."""
    details = [{"name": "ErrorCode", "reason": code}]
    told = {"type": EVERYTHING, "title": EVERYTHING, "detail": EVERYTHING, "status": status, "traceId": "t"}
    return answer(status, {**told, "extraDetails": details})


@frozen
class Watch:
    """A session that is observed, and what comes of it."""

    vipps: VippsSession
    transport: ScriptedTransport
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader
    tracers: TracerProvider

    def spans(self, name: str) -> list[ReadableSpan]:
        """The finished spans of this name, in their order."""
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def points(self, name: str) -> list[HistogramDataPoint]:
        """The data points of a histogram."""
        data = self.reader.get_metrics_data()
        assert data is not None
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
            if isinstance(point, HistogramDataPoint)
        ]

    def told(self) -> str:
        """All that has gone out, as text."""
        data = self.reader.get_metrics_data()
        spans = "".join(span.to_json() for span in self.exporter.get_finished_spans())
        return spans + ("" if data is None else data.to_json())


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Keep spans in memory."""
    return InMemorySpanExporter()


@pytest.fixture
def tracers(exporter: InMemorySpanExporter) -> Iterator[TracerProvider]:
    """Make a provider of our own, so that nothing global is set."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider
    provider.shutdown()


@pytest.fixture
async def watch(exporter: InMemorySpanExporter, tracers: TracerProvider) -> AsyncIterator[Watch]:
    """Observe a session over a script."""
    transport, reader = ScriptedTransport(), InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    async with VippsSession(KEYS, transport=transport, retry=RETRY, base_url="http://127.0.0.1:8787") as vipps:
        with observed(vipps, tracer_provider=tracers, meter_provider=meters):
            yield Watch(vipps, transport, exporter, reader, tracers)
    meters.shutdown()


def facts(span: ReadableSpan) -> dict[str, Any]:
    """Return the attributes of a span."""
    return dict(span.attributes or {})


async def capture_over_epayment(watch: Watch) -> None:
    """Capture 499 kroner under a key."""
    await watch.vipps.epayment.capture(ORDER, amount=nok(499), idempotency_key="key-1")


SERVER = {"server.address": "127.0.0.1", "server.port": 8787}
CAPTURE = {"http.request.method": "POST", "url.template": "/ecomm/v2/payments/{id}/capture", **SERVER}


async def test_a_call_is_a_span_with_a_span_for_each_attempt(watch: Watch) -> None:
    """The call tells its outcome; its attempts are its children, as clients of HTTP, with status or failure."""
    watch.transport.on("/capture", RequestNotSent("refused"), answer(503), captured())
    await watch.vipps.ecom.capture(ORDER, amount=49900, transaction_text="Shipped.", idempotency_key="key-1")
    (call,) = watch.spans("vipps.ecom.capture")
    assert facts(call) == {
        "vipps.operation": "ecom.capture",
        "vipps.outcome": "done",
        "vipps.settled_by": "answer",
        "vipps.attempts": 3,
        "vipps.payment": ORDER,
        "vipps.idempotency_key": "key-1",
    }
    assert (call.kind, call.status.status_code, call.parent) == (SpanKind.INTERNAL, StatusCode.UNSET, None)
    attempts = watch.spans("POST /ecomm/v2/payments/{id}/capture")
    assert [facts(attempt) for attempt in attempts] == [
        {**CAPTURE, "error.type": "not sent"},
        {**CAPTURE, "http.response.status_code": 503, "error.type": "503", "http.request.resend_count": 1},
        {**CAPTURE, "http.response.status_code": 200, "http.request.resend_count": 2},
    ]
    assert [attempt.status.status_code for attempt in attempts] == [
        StatusCode.ERROR,
        StatusCode.ERROR,
        StatusCode.UNSET,
    ]
    times = [call.start_time or 0]
    for attempt in attempts:
        assert attempt.kind is SpanKind.CLIENT
        assert attempt.parent is not None
        assert call.context is not None
        assert attempt.parent.span_id == call.context.span_id
        times += [attempt.start_time or 0, attempt.end_time or 0]
    # The clocks of spans and of calls are two: what they disagree by is far less than this.
    tolerance = 50_000_000
    times.append(call.end_time or 0)
    assert all(earlier <= later + tolerance for earlier, later in itertools.pairwise(times))


async def test_a_call_over_epayment_is_named_by_it(watch: Watch) -> None:
    """Span, metrics and attributes say `epayment.capture`; the path's template has no reference."""
    watch.transport.on("/capture", answer(503), moved())
    await capture_over_epayment(watch)
    (call,) = watch.spans("vipps.epayment.capture")
    assert facts(call) == {
        "vipps.operation": "epayment.capture",
        "vipps.outcome": "done",
        "vipps.settled_by": "answer",
        "vipps.attempts": 2,
        "vipps.payment": ORDER,
        "vipps.idempotency_key": "key-1",
    }
    about = {**CAPTURE, "url.template": "/epayment/v1/payments/{id}/capture"}
    assert [facts(attempt) for attempt in watch.spans("POST /epayment/v1/payments/{id}/capture")] == [
        {**about, "http.response.status_code": 503, "error.type": "503"},
        {**about, "http.response.status_code": 200, "http.request.resend_count": 1},
    ]
    well = {"vipps.operation": "epayment.capture", "vipps.outcome": "done", "vipps.settled_by": "answer"}
    calls = [(dict(point.attributes or {}), point.count) for point in watch.points("vipps.client.operation.duration")]
    assert calls[-1] == (well, 1)
    (tried,) = [
        point.sum for point in watch.points("vipps.client.operation.attempts") if dict(point.attributes or {}) == well
    ]
    assert tried == 2


async def test_every_operation_of_epayment_has_a_template(watch: Watch) -> None:
    """No path of a span holds a reference, whichever operation it is."""
    watch.transport.on("", then=problem(404, "5090"))
    epayment = watch.vipps.epayment
    calls = [
        epayment.create(reference=ORDER, amount=nok(499), return_url="https://example.com/canary", phone_number=NUMBER),
        epayment.get(ORDER),
        epayment.events(ORDER),
        epayment.capture(ORDER, amount=nok(1)),
        epayment.refund(ORDER, amount=nok(1)),
        epayment.cancel(ORDER),
        epayment.approve(ORDER, phone_number=NUMBER, token=TOKEN),
    ]
    await asyncio.gather(*calls, return_exceptions=True)
    paths = {
        str(facts(span)["url.template"])
        for span in watch.exporter.get_finished_spans()
        if "url.template" in facts(span)
    }
    payment = "/epayment/v1/payments/{id}"
    assert paths == {
        "/accesstoken/get",
        "/epayment/v1/payments",
        payment,
        "/epayment/v1/test/payments/{id}/approve",
        *(f"{payment}/{verb}" for verb in ("events", "capture", "refund", "cancel")),
    }


async def test_a_call_belongs_to_what_was_current(watch: Watch) -> None:
    """The span of a call is a child of the application's own span, and what is current stays so."""
    watch.transport.on("/capture", captured())
    tracer = watch.tracers.get_tracer("shop")
    with tracer.start_as_current_span("checkout") as checkout:
        await watch.vipps.ecom.capture(ORDER, transaction_text="Shipped.")
        assert trace.get_current_span() is checkout
    (call,) = watch.spans("vipps.ecom.capture")
    assert call.parent is not None
    assert call.parent.span_id == checkout.get_span_context().span_id
    assert not {name for name in watch.transport.requests[0].headers if name.lower() in {"traceparent", "tracestate"}}


async def test_an_error_is_told_without_its_words(watch: Watch) -> None:
    """A refused call is an error with its class, effect and status; the text of the refusal stays out."""
    watch.transport.on("/capture", refusal(400, "61"))
    # A key that is given may have been used before: one look at the history comes first, and does not have it.
    watch.transport.on("/details", answer(200, {"orderId": ORDER, "transactionLogHistory": []}))
    with pytest.raises(CaptureError):
        await watch.vipps.ecom.capture(ORDER, transaction_text="Shipped.", idempotency_key="key-1")
    (call,) = watch.spans("vipps.ecom.capture")
    assert facts(call) == {
        "vipps.operation": "ecom.capture",
        "vipps.outcome": "CaptureError",
        "error.type": "CaptureError",
        "vipps.attempts": 1,
        "vipps.effect": "no money moved",
        "http.response.status_code": 400,
        "vipps.payment": ORDER,
        "vipps.idempotency_key": "key-1",
    }
    assert (call.status.status_code, call.status.description, call.events) == (StatusCode.ERROR, None, ())


async def test_a_cancelled_call_is_an_error(watch: Watch) -> None:
    """A call whose task is cancelled ends its span as such; how often it was tried is not told."""
    begun = asyncio.Event()

    async def stall(_request: object) -> Any:
        begun.set()
        await asyncio.Event().wait()

    watch.transport.on("/details", stall)
    task = asyncio.create_task(watch.vipps.ecom.details(ORDER))
    await asyncio.wait_for(begun.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (call,) = watch.spans("vipps.ecom.details")
    assert facts(call) == {
        "vipps.operation": "ecom.details",
        "vipps.outcome": "cancelled",
        "error.type": "cancelled",
        "vipps.payment": ORDER,
    }
    assert call.status.status_code is StatusCode.ERROR


async def test_calls_at_the_same_time_keep_their_attempts_apart(watch: Watch) -> None:
    """Each attempt is the child of its own call, however many are under way."""
    orders = [f"acme-shop-{number}" for number in range(20)]
    for order in orders:
        watch.transport.on(f"/{order}/details", answer(503), answer(404, b""))
    calls = [watch.vipps.ecom.details(order) for order in orders]
    assert all(isinstance(one, VippsError) for one in await asyncio.gather(*calls, return_exceptions=True))
    spans = {
        span.context.span_id: facts(span) for span in watch.spans("vipps.ecom.details") if span.context is not None
    }
    assert sorted(span["vipps.payment"] for span in spans.values()) == sorted(orders)
    parents = [span.parent.span_id for span in watch.spans("GET /ecomm/v2/payments/{id}/details") if span.parent]
    assert sorted(parents) == sorted([*spans, *spans])


async def test_metrics_count_calls_attempts_and_outcomes(watch: Watch) -> None:
    """Histograms of calls and attempts, by operation and outcome, with few attributes and no ids."""
    watch.transport.on("/capture", answer(503), captured(), refusal(400, "61"))
    await watch.vipps.ecom.capture(ORDER, transaction_text="Shipped.")
    with pytest.raises(CaptureError):
        await watch.vipps.ecom.capture(ORDER, transaction_text="Shipped.")
    well = {"vipps.operation": "ecom.capture", "vipps.outcome": "done", "vipps.settled_by": "answer"}
    badly = {"vipps.operation": "ecom.capture", "vipps.outcome": "CaptureError", "error.type": "CaptureError"}
    token = {**well, "vipps.operation": "token.get"}
    calls = [(dict(point.attributes or {}), point.count) for point in watch.points("vipps.client.operation.duration")]
    assert calls == [(token, 1), (well, 1), (badly, 1)]
    tried = [(dict(point.attributes or {}), point.sum) for point in watch.points("vipps.client.operation.attempts")]
    assert tried == [(token, 1), (well, 2), (badly, 1)]
    capture = {"vipps.operation": "ecom.capture", "http.request.method": "POST", **SERVER}
    attempts = [(dict(point.attributes or {}), point.count) for point in watch.points("vipps.client.attempt.duration")]
    assert attempts == [
        ({**capture, "vipps.operation": "token.get", "http.response.status_code": 200}, 1),
        ({**capture, "http.response.status_code": 503, "error.type": "503"}, 1),
        ({**capture, "http.response.status_code": 200}, 1),
        ({**capture, "http.response.status_code": 400, "error.type": "400"}, 1),
    ]
    assert all(point.sum < 10 for point in watch.points("vipps.client.attempt.duration")), "seconds"
    assert watch.points("vipps.client.attempt.duration")[0].explicit_bounds[0] == 0.005


def over_ecom(vipps: VippsSession) -> list[Coroutine[Any, Any, object]]:
    """Calls over eCom with all that is personal or secret."""
    return [
        vipps.ecom.capture(ORDER, amount=49900, transaction_text=EVERYTHING),
        vipps.ecom.initiate(
            order_id=ORDER,
            amount=49900,
            transaction_text=EVERYTHING,
            callback_prefix="https://example.com/canary",
            fall_back="https://example.com/canary",
            mobile_number=PHONE,
            auth_token=TOKEN,
        ),
    ]


def over_epayment(vipps: VippsSession) -> list[Coroutine[Any, Any, object]]:
    """The same over ePayment."""
    return [
        vipps.epayment.capture(ORDER, amount=nok(499)),
        vipps.epayment.create(
            reference=ORDER,
            amount=nok(499),
            payment_description=EVERYTHING,
            return_url="https://example.com/canary",
            phone_number=NUMBER,
            metadata={"canary": EVERYTHING},
        ),
        vipps.epayment.approve(ORDER, phone_number=NUMBER, token=TOKEN),
    ]


@pytest.mark.parametrize(
    ("make", "names", "reply"),
    [
        (make, names, reply)
        for make, names, replies in (
            (over_ecom, ("ecom.capture", "ecom.initiate"), (captured(), refusal(400, "61"))),
            (
                over_epayment,
                ("epayment.capture", "epayment.create", "epayment.approve"),
                (moved(), problem(400, "6070"), problem(409, "4150")),
            ),
        )
        for reply in (*replies, answer(200, EVERYTHING.encode()), None)
    ],
)
async def test_nothing_secret_or_personal_goes_out(
    make: Callable[[VippsSession], list[Coroutine[Any, Any, object]]],
    names: tuple[str, ...],
    reply: Any,
    watch: Watch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Credentials, tokens, texts, customers' ids and what Vipps writes stand in no span, no measurement and no log."""
    caplog.set_level(logging.DEBUG, "vipps_async")
    reply = reply or OutcomeUnknown(EVERYTHING)
    watch.transport.on("", then=reply)
    await asyncio.gather(*make(watch.vipps), watch.vipps.userinfo.get(SUB), return_exceptions=True)
    told = watch.told()
    assert {f"vipps.{name}" for name in names} <= {span.name for span in watch.exporter.get_finished_spans()}
    assert "/vipps-userinfo-api/userinfo/{id}" in told
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert [name for name in names if f"operation={name} payment={ORDER}" not in logged] == []
    canaries = (*SECRETS.values(), PHONE, NAME, TOKEN, SUB, "canary", "scripted-token", "example.com")
    assert [canary for canary in canaries if canary in told + logged] == []
    # As a word: five digits in a row stand by chance in the ids and times of spans.
    assert re.search(r"\b49900\b", told) is None, "the amount"
    assert re.search(r"(amount|value)\S*49900", logged) is None


async def test_it_ends_with_its_block(watch: Watch, tracers: TracerProvider, exporter: InMemorySpanExporter) -> None:
    """After the block nothing is told, and the session is as before."""
    transport = ScriptedTransport().on("/details", then=refusal(404, "61"))
    async with VippsSession(KEYS, transport=transport, retry=RETRY) as vipps:
        with observed(vipps, tracer_provider=tracers), pytest.raises(VippsError):
            await vipps.ecom.details(ORDER)
        told = len(exporter.get_finished_spans())
        with pytest.raises(VippsError):
            await vipps.ecom.details(ORDER)
        assert len(exporter.get_finished_spans()) == told > 0
        assert vipps._parts.pipeline.log.listeners == []
    (attempt,) = [span for span in exporter.get_finished_spans() if span.name.startswith("GET")]
    assert (facts(attempt)["server.address"], facts(attempt)["server.port"]) == ("apitest.vipps.no", 443)


async def test_what_is_not_sampled_costs_no_spans() -> None:
    """Where the sampler says no, no span of an attempt is made, and calls go on as ever."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    transport = ScriptedTransport().on("/capture", captured())
    async with VippsSession(KEYS, transport=transport) as vipps:
        with observed(vipps, tracer_provider=provider):
            await vipps.ecom.capture(ORDER, transaction_text="Shipped.")
    provider.shutdown()
    assert exporter.get_finished_spans() == ()


async def test_without_an_sdk_nothing_happens() -> None:
    """With the API alone, as libraries have it, a call is as it would be."""
    transport = ScriptedTransport().on("/capture", captured())
    async with VippsSession(KEYS, transport=transport) as vipps:
        with observed(vipps):
            result = await vipps.ecom.capture(ORDER, transaction_text="Shipped.")
    assert result.order_id == ORDER


# --- what is current


def current() -> tuple[str, str | None]:
    """Return the name of the current span, and the id of its parent."""
    span = trace.get_current_span()
    assert isinstance(span, ReadableSpan)
    return span.name, None if span.parent is None else f"{span.parent.span_id:x}"


def span_id(span: ReadableSpan) -> str:
    """Return a span's id."""
    assert span.context is not None
    return f"{span.context.span_id:x}"


async def test_call_and_attempt_are_current_while_they_last(watch: Watch) -> None:
    """What a transport does lies below the attempt; a look-up lies below the call that asked, as its token does."""
    seen: list[tuple[str, str | None]] = []

    def fail(_request: object) -> Any:
        seen.append(current())
        return answer(503)

    def history(_request: object) -> Any:
        seen.append(current())
        return answer(200, {"orderId": ORDER, "transactionLogHistory": []})

    watch.transport.on("/cancel", fail, then=refusal(400, "51")).on("/details", then=history)
    with pytest.raises(VippsError):
        await watch.vipps.ecom.cancel(ORDER, transaction_text="No.")
    (call,) = watch.spans("vipps.ecom.cancel")
    assert seen[0] == ("PUT /ecomm/v2/payments/{id}/cancel", span_id(call))
    looks = watch.spans("vipps.ecom.details")
    assert seen[1] == ("GET /ecomm/v2/payments/{id}/details", span_id(looks[0]))
    below = [*looks, *watch.spans("vipps.token.get")]
    assert {f"{span.parent.span_id:x}" for span in below if span.parent} == {span_id(call)}


async def test_what_was_current_before_is_current_afterwards(watch: Watch) -> None:
    """Whatever a call ends in, with two observers as with one, the application's own span is current again."""
    begun = asyncio.Event()

    async def stall(_request: object) -> Any:
        begun.set()
        await asyncio.Event().wait()

    def break_down(_request: object) -> Any:
        raise ZeroDivisionError

    def refuse(_request: object) -> Any:
        raise ConfigurationError("closed")

    watch.transport.on("/details", answer(503), break_down, answer(404, b""), stall, refuse)
    tracer = watch.tracers.get_tracer("shop")

    async def details(error: type[BaseException]) -> None:
        with tracer.start_as_current_span("checkout") as checkout:
            with pytest.raises(error):
                await watch.vipps.ecom.details(ORDER)
            assert trace.get_current_span() is checkout

    with observed(watch.vipps, tracer_provider=watch.tracers):
        await details(ZeroDivisionError)
        await details(VippsError)
        cancelled = asyncio.create_task(details(asyncio.CancelledError))
        await asyncio.wait_for(begun.wait(), 5)
        cancelled.cancel()
        await cancelled
        await details(ConfigurationError)
    outcomes = [facts(span)["vipps.outcome"] for span in watch.spans("vipps.ecom.details")]
    assert sorted(outcomes) == sorted(2 * ["ZeroDivisionError", "ApiError", "cancelled", "ConfigurationError"])
    attempts = watch.spans("GET /ecomm/v2/payments/{id}/details")
    assert [facts(span).get("error.type") for span in attempts[::2]] == [
        "503",
        "ZeroDivisionError",
        "404",
        "cancelled",
        "ConfigurationError",
    ]


async def test_a_call_that_began_before_it_was_observed_is_measured_only(
    tracers: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    """There is no span without a beginning, and nothing that was current is lost."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(_request: object) -> Any:
        begun.set()
        await go_on.wait()
        return answer(503)

    transport = ScriptedTransport().on("/details", wait, answer(404, b""))
    async with VippsSession(KEYS, transport=transport, retry=RETRY) as vipps:
        call = asyncio.create_task(vipps.ecom.details(ORDER))
        await asyncio.wait_for(begun.wait(), 5)
        with observed(vipps, tracer_provider=tracers):
            go_on.set()
            with pytest.raises(VippsError):
                await call
    assert exporter.get_finished_spans() == ()


async def test_spans_of_an_instrumented_aiohttp_lie_below_the_attempt(
    tracers: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    """Over an adopted session with traces of its own, each request's span is a child of its attempt's."""

    async def instrument(*_: object) -> None:
        # As instrumentations of aiohttp do, when it tells them of a request.
        tracers.get_tracer("aiohttp").start_span("request").end()

    traces = aiohttp.TraceConfig()
    traces.on_request_start.append(instrument)
    async with Sandbox() as sandbox, aiohttp.ClientSession(trace_configs=[traces]) as own:
        transport = AiohttpTransport(own)
        async with VippsSession(KEYS, base_url=sandbox.url, transport=transport) as vipps:
            with observed(vipps, tracer_provider=tracers), pytest.raises(VippsError):
                await vipps.ecom.details(ORDER)
        await transport.aclose()
    spans = {span_id(span): span for span in exporter.get_finished_spans()}
    requests = [span for span in spans.values() if span.name == "request"]
    attempts = [spans[f"{span.parent.span_id:x}"].name for span in requests if span.parent]
    assert attempts == ["POST /accesstoken/get", "GET /ecomm/v2/payments/{id}/details"]
