"""`VippsSession` traced from below, by OpenTelemetry's instrumentation of aiohttp's client."""

from __future__ import annotations

from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from benchmarks.sides.dropping_exporter import DroppingExporter
from benchmarks.sides.sdk import Sdk

__all__ = ["open_side"]


def open_side(url: str, limit: int | None) -> Sdk:
    """Make the side, and trace everything from now on."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(DroppingExporter()))
    AioHttpClientInstrumentor().instrument(tracer_provider=provider)
    return Sdk(url, limit)
