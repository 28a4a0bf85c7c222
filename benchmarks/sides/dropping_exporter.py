"""Where the spans of the benchmarks end: they are made and batched, and sent nowhere."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

__all__ = ["DroppingExporter"]


class DroppingExporter(SpanExporter):
    """An exporter that sends nothing anywhere."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - the exporter's signature
        """Drop the spans."""
        return SpanExportResult.SUCCESS
