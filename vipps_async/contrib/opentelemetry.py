"""Vipps in OpenTelemetry: a span and a measurement for each call to Vipps and for each of its attempts.

::

    async with VippsSession.from_env() as vipps:
        with observed(vipps):
            ...

A call is a span such as `vipps.epayment.capture` (kind internal), a child of the span that is current where it begins;
its attempts are children of it (kind client), named and described as OpenTelemetry's conventions for HTTP clients say.
One departure: there is no `url.full`, as paths hold ids of payments and of customers, but the `url.template`. Each is
current while it lasts, so that the spans of an instrumented aiohttp lie below the attempt, and a look-up below its
call. This module adds no header to a request. A call whose process dies leaves no span: that is what the journal is
for.

Spans tell the payment's id (it is the merchant's own, and what one looks a payment up by) and the idempotency key;
metrics, whose attributes must stay few, tell neither. Amounts, texts, credentials, tokens and all that customers share
stand in none of them, nor does the text of an error.

Needs the extra `opentelemetry`, which is the API alone: without an SDK that the application has set up it does nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from contextvars import Token
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, TypeAlias
from urllib.parse import urlsplit

from attrs import define

from vipps_async.extras import missing_extra

try:
    from opentelemetry import context, metrics, trace
    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue
except ModuleNotFoundError as _error:
    raise missing_extra("vipps_async.contrib.opentelemetry", "opentelemetry", _error) from _error

from vipps_async._version import __version__
from vipps_async.core.events import CallListener
from vipps_async.core.open_operations import OpenOperations
from vipps_async.core.operation import Call
from vipps_async.errors import JournalError, VippsError
from vipps_async.input_rules import check_seconds
from vipps_async.session import VippsSession

__all__ = ["observed", "report_open_operations"]

_SCOPE: Final = "vipps_async"

#: Seconds: those that OpenTelemetry's conventions advise for `http.client.request.duration`, and, as a call with its
#: retries may take far longer, the default deadline's order of magnitude.
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60)
#: Numbers of attempts.
_ATTEMPTS: Final = (1, 2, 3, 4, 5, 10)

Attributes: TypeAlias = dict[str, AttributeValue]


@contextlib.contextmanager
def observed(
    session: VippsSession,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
) -> Iterator[None]:
    """Trace and measure what a session does, until the block ends.

    Spans are `vipps.<operation>` for a call and `<METHOD> <template>` for an attempt. Metrics are histograms:
    `vipps.client.operation.duration` and `vipps.client.attempt.duration` in seconds, `vipps.client.operation.attempts`
    in attempts (not of calls that were cancelled, whose attempts nobody has counted).

    Args:
        session: the session.
        tracer_provider: where spans go; OpenTelemetry's global one by default.
        meter_provider: where measurements go; OpenTelemetry's global one by default.
    """
    with session.listening_to_calls(_Observer(session.base_url, tracer_provider, meter_provider)):
        yield


async def report_open_operations(
    session: VippsSession, *, every: float = 30.0, meter_provider: metrics.MeterProvider | None = None
) -> NoReturn:
    """Measure what the session's journal has open, until the task that runs it is cancelled.

    ::

        async with asyncio.TaskGroup() as group:
            group.create_task(report_open_operations(vipps))

    Gauges are `vipps.journal.open.operations`, by `vipps.merchant_serial_number`, and `vipps.journal.open.age` in
    seconds: how old the oldest of them is, 0 if there is none. They tell what was read last; while the journal cannot
    be read, and once the task has ended, they tell nothing, so let an alarm go off when they are missing.

    Args:
        session: the session, whose journal may have entries of several sales units.
        every: how many seconds lie between two looks into the journal.
        meter_provider: where measurements go; OpenTelemetry's global one by default.

    Raises:
        ConfigurationError: the session has no journal, is closed, or belongs to another event loop.
        InvalidInputError: `every` is no positive number of seconds.
    """
    check_seconds("every", every)
    found: list[OpenOperations] = []

    def count(_options: metrics.CallbackOptions) -> Iterator[metrics.Observation]:
        for operations in tuple(found):
            units = operations.by_unit or {session.merchant_serial_number: 0}
            yield from (metrics.Observation(n, {"vipps.merchant_serial_number": unit}) for unit, n in units.items())

    def age(_options: metrics.CallbackOptions) -> Iterator[metrics.Observation]:
        for operations in tuple(found):
            oldest = operations.oldest
            yield metrics.Observation(0.0 if oldest is None else (datetime.now(UTC) - oldest).total_seconds())

    meter = metrics.get_meter(_SCOPE, __version__, meter_provider)
    meter.create_observable_gauge(
        "vipps.journal.open.operations",
        [count],
        unit="{operation}",
        description="Operations in the journal whose outcome is not known, those under way included.",
    )
    meter.create_observable_gauge(
        "vipps.journal.open.age", [age], unit="s", description="How long ago the oldest open operation was begun."
    )
    try:
        while True:
            try:
                found[:] = [await session.open_operations(all_units=True)]
            except JournalError:
                found.clear()
            await asyncio.sleep(every)
    finally:
        found.clear()


@define(eq=False)
class _Running:
    """A call that is under way in this context."""

    call: Call[Any]
    span: trace.Span
    #: Give back the contexts in which call and attempt are current.
    token: Token[Context] | None = None
    attempt: trace.Span | None = None
    attempt_token: Token[Context] | None = None

    def end_attempt(self, outcome: Attributes) -> None:
        """End the attempt that is under way, if one is."""
        if self.attempt is None or self.attempt_token is None:
            return
        self.attempt.set_attributes(outcome)
        if "error.type" in outcome:
            self.attempt.set_status(trace.StatusCode.ERROR)
        self.attempt.end()
        context.detach(self.attempt_token)
        self.attempt = self.attempt_token = None


class _Observer(CallListener):
    """Makes spans and measurements of what a session tells."""

    def __init__(
        self,
        base_url: str,
        tracer_provider: trace.TracerProvider | None,
        meter_provider: metrics.MeterProvider | None,
    ) -> None:
        url = urlsplit(base_url)
        self._server: Attributes = {"server.address": url.hostname or ""}
        self._server["server.port"] = url.port or (443 if url.scheme == "https" else 80)
        self._tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider)
        meter = metrics.get_meter(_SCOPE, __version__, meter_provider)
        self._operation_duration = meter.create_histogram(
            "vipps.client.operation.duration",
            unit="s",
            description="How long calls took, with all their attempts, pauses and questions.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._operation_attempts = meter.create_histogram(
            "vipps.client.operation.attempts",
            unit="{attempt}",
            description="How many times calls were tried.",
            explicit_bucket_boundaries_advisory=_ATTEMPTS,
        )
        self._attempt_duration = meter.create_histogram(
            "vipps.client.attempt.duration",
            unit="s",
            description="How long single requests took.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        # Of this observer alone, so that several do not meet.
        self._key = context.create_key("vipps_async.call")

    def began(self, call: Call[Any]) -> None:
        """Begin the span of a call, and make it current."""
        about: Attributes = {"vipps.operation": call.operation.name}
        span = self._tracer.start_span(f"vipps.{call.operation.name}", attributes=about | _ids_of(call))
        running = _Running(call, span)
        running.token = context.attach(context.set_value(self._key, running, trace.set_span_in_context(span)))

    def attempt_began(self, call: Call[Any], *, number: int) -> None:
        """Begin the span of an attempt, and make it current."""
        running = self._running(call)
        if running is None:
            return
        # Of one that ended without being told: the transport could not be used.
        running.end_attempt({"error.type": "not sent"})
        operation = call.operation
        template = operation.path.replace("{}", "{id}")
        about: Attributes = {"http.request.method": operation.method, "url.template": template, **self._server}
        if number > 1:
            about["http.request.resend_count"] = number - 1
        span = self._tracer.start_span(f"{operation.method} {template}", kind=trace.SpanKind.CLIENT, attributes=about)
        running.attempt, running.attempt_token = span, context.attach(trace.set_span_in_context(span))

    def attempted(
        self,
        call: Call[Any],
        *,
        number: int,  # noqa: ARG002 - the protocol's
        seconds: float,
        status: int | None,
        failure: str | None,
    ) -> None:
        """Measure an attempt, and end its span."""
        outcome = _outcome_of(status, failure)
        about: Attributes = {"vipps.operation": call.operation.name, "http.request.method": call.operation.method}
        self._attempt_duration.record(seconds, about | self._server | outcome)
        running = self._running(call)
        if running is not None:
            running.end_attempt(outcome)

    def ended(
        self,
        call: Call[Any],
        *,
        outcome: str,
        seconds: float,
        attempts: int | None,
        settled_by: str | None,
        error: VippsError | None,
    ) -> None:
        """Measure a call, and end its span."""
        about: Attributes = {"vipps.operation": call.operation.name, "vipps.outcome": outcome}
        if settled_by is not None:
            about["vipps.settled_by"] = settled_by
        failed = outcome != "done"
        if failed:
            about["error.type"] = outcome
        self._operation_duration.record(seconds, about)
        if attempts is not None:
            self._operation_attempts.record(attempts, about)
        running = self._running(call)
        if running is None or running.token is None:
            # It began before it was observed.
            return
        running.end_attempt({"error.type": outcome})
        # A new mapping: an SDK may keep the one that it was given for a measurement.
        running.span.set_attributes(about | _facts_of(attempts, error))
        if failed:
            # Without words: those of an error may hold what Vipps wrote.
            running.span.set_status(trace.StatusCode.ERROR)
        running.span.end()
        context.detach(running.token)

    def _running(self, call: Call[Any]) -> _Running | None:
        running = context.get_value(self._key)
        return running if isinstance(running, _Running) and running.call is call else None


def _ids_of(call: Call[Any]) -> Attributes:
    ids: Attributes = {}
    if call.payment is not None:
        ids["vipps.payment"] = call.payment
    if call.idempotency_key is not None:
        ids["vipps.idempotency_key"] = call.idempotency_key
    return ids


def _facts_of(attempts: int | None, error: VippsError | None) -> Attributes:
    facts: Attributes = {}
    if attempts is not None:
        facts["vipps.attempts"] = attempts
    if error is not None:
        facts["vipps.effect"] = error.effect.value
        status = getattr(error, "status", None)
        if isinstance(status, int):
            facts["http.response.status_code"] = status
    return facts


def _outcome_of(status: int | None, failure: str | None) -> Attributes:
    if status is None:
        return {} if failure is None else {"error.type": failure}
    outcome: Attributes = {"http.response.status_code": status}
    return outcome if status < 400 else outcome | {"error.type": str(status)}
