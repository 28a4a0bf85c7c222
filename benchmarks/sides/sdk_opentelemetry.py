"""`VippsSession` traced by OpenTelemetry: each span is made, batched and dropped by the exporter.

By the package's own instrumentation where it has one, else by the general one for aiohttp's client.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from benchmarks.sides.sdk import Sdk

__all__ = ["open_side"]


class _Dropping(SpanExporter):
    """An exporter that sends nothing anywhere."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - the exporter's signature
        """Drop the spans."""
        return SpanExportResult.SUCCESS


def open_side(url: str, limit: int | None) -> Sdk:
    """Make the side, and trace everything from now on."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_Dropping()))
    AioHttpClientInstrumentor().instrument(tracer_provider=provider)
    return Sdk(url, limit)
