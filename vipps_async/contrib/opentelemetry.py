"""Vipps in OpenTelemetry: a span and a measurement for each call to Vipps and for each of its attempts.

::

    async with VippsSession.from_env() as vipps:
        with observed(vipps):
            ...

A call is a span such as `vipps.epayment.capture` (kind internal), a child of the span that was current where it ended;
its attempts are children of it (kind client), named and described as OpenTelemetry's conventions for HTTP clients say.
One departure: there is no `url.full`, as paths hold ids of payments and of customers, but the `url.template`. All are
made when the call ends, with the times at which things happened. So nothing is current while a call runs, no header is
added to a request, and a call whose process dies leaves no span: that is what the journal is for.

Spans tell the payment's id (it is the merchant's own, and what one looks a payment up by) and the idempotency key;
metrics, whose attributes must stay few, tell neither. Amounts, texts, credentials, tokens and all that customers share
stand in none of them, nor does the text of an error.

Needs the extra `opentelemetry`, which is the API alone: without an SDK that the application has set up it does nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from attrs import frozen

from vipps_async.extras import missing_extra

try:
    from opentelemetry import metrics, trace
    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue
except ModuleNotFoundError as _error:
    raise missing_extra("vipps_async.contrib.opentelemetry", "opentelemetry", _error) from _error

from vipps_async._version import __version__
from vipps_async.core.operation import Call
from vipps_async.errors import VippsError
from vipps_async.session import VippsSession

__all__ = ["observed"]

_SCOPE: Final = "vipps_async"

#: Seconds: those that OpenTelemetry's conventions advise for `http.client.request.duration`, and, as a call with its
#: retries may take far longer, the default deadline's order of magnitude.
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60)
#: Numbers of attempts.
_ATTEMPTS: Final = (1, 2, 3, 4, 5, 10)

#: How many calls may be under way with an attempt behind them. One whose end is never told (a transport raised what it
#: must not) would else be kept for ever.
_MOST_UNDER_WAY: Final = 10_000

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


@frozen
class _Attempt:
    number: int
    #: Nanoseconds since 1970.
    began: int
    ended: int
    seconds: float
    status: int | None
    failure: str | None

    @property
    def error_type(self) -> str | None:
        if self.status is None:
            return self.failure
        return str(self.status) if self.status >= 400 else None


class _Observer:
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
        # By identity: calls may be equal. The call is kept so that its identity is not given to another one meanwhile.
        self._under_way: OrderedDict[int, tuple[Call[Any], list[_Attempt]]] = OrderedDict()

    def attempted(
        self, call: Call[Any], *, number: int, seconds: float, status: int | None, failure: str | None
    ) -> None:
        """Measure an attempt, and keep it for the span of its call."""
        ended = time.time_ns()
        attempt = _Attempt(number, ended - _nanoseconds(seconds), ended, seconds, status, failure)
        _, attempts = self._under_way.setdefault(id(call), (call, []))
        attempts.append(attempt)
        if len(self._under_way) > _MOST_UNDER_WAY:
            self._under_way.popitem(last=False)
        about: Attributes = {"vipps.operation": call.operation.name, "http.request.method": call.operation.method}
        self._attempt_duration.record(seconds, about | self._server | _outcome_of(attempt))

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
        """Measure a call, and make its span and those of its attempts."""
        now = time.time_ns()
        _, told = self._under_way.pop(id(call), (call, []))
        about: Attributes = {"vipps.operation": call.operation.name, "vipps.outcome": outcome}
        if settled_by is not None:
            about["vipps.settled_by"] = settled_by
        failed = error is not None or outcome == "cancelled"
        if failed:
            about["error.type"] = outcome
        self._operation_duration.record(seconds, about)
        if attempts is not None:
            self._operation_attempts.record(attempts, about)
        span = self._tracer.start_span(
            f"vipps.{call.operation.name}",
            # A new mapping: an SDK may keep the one that it was given for a measurement.
            attributes=about | _facts_of(call, attempts, error),
            start_time=now - _nanoseconds(seconds),
        )
        if failed:
            # Without words: those of an error may hold what Vipps wrote.
            span.set_status(trace.StatusCode.ERROR)
        if span.is_recording():
            within = trace.set_span_in_context(span)
            for attempt in told:
                self._span_of(call, attempt, within)
        span.end(now)

    def _span_of(self, call: Call[Any], attempt: _Attempt, within: Context) -> None:
        operation = call.operation
        template = operation.path.replace("{}", "{id}")
        about: Attributes = {"http.request.method": operation.method, "url.template": template}
        about |= self._server | _outcome_of(attempt)
        if attempt.number > 1:
            about["http.request.resend_count"] = attempt.number - 1
        span = self._tracer.start_span(
            f"{operation.method} {template}",
            within,
            kind=trace.SpanKind.CLIENT,
            attributes=about,
            start_time=attempt.began,
        )
        if attempt.error_type is not None:
            span.set_status(trace.StatusCode.ERROR)
        span.end(attempt.ended)


def _facts_of(call: Call[Any], attempts: int | None, error: VippsError | None) -> Attributes:
    facts: Attributes = {}
    if attempts is not None:
        facts["vipps.attempts"] = attempts
    if call.payment is not None:
        facts["vipps.payment"] = call.payment
    if call.idempotency_key is not None:
        facts["vipps.idempotency_key"] = call.idempotency_key
    if error is not None:
        facts["vipps.effect"] = error.effect.value
        status = getattr(error, "status", None)
        if isinstance(status, int):
            facts["http.response.status_code"] = status
    return facts


def _outcome_of(attempt: _Attempt) -> Attributes:
    outcome: Attributes = {}
    if attempt.status is not None:
        outcome["http.response.status_code"] = attempt.status
    if attempt.error_type is not None:
        outcome["error.type"] = attempt.error_type
    return outcome


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
