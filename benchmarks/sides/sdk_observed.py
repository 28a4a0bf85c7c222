"""`VippsSession` traced and measured by the package's own instrumentation; what it tells is dropped at the end."""

from __future__ import annotations

import contextlib
import importlib

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from benchmarks.sides.dropping_exporter import DroppingExporter
from benchmarks.sides.sdk import Sdk

__all__ = ["open_side"]


class _Observed(Sdk):
    """Calls that are traced and measured."""

    def __init__(self, url: str, limit: int | None) -> None:
        super().__init__(url, limit)
        spans = TracerProvider()
        spans.add_span_processor(BatchSpanProcessor(DroppingExporter()))
        meters = MeterProvider([InMemoryMetricReader()])
        # By its name: it can be measured only where the package has it.
        observed = importlib.import_module("vipps_async.contrib.opentelemetry").observed
        self._observing = contextlib.ExitStack()
        self._observing.enter_context(observed(self.session, tracer_provider=spans, meter_provider=meters))

    async def aclose(self) -> None:
        """Stop observing, and close the session."""
        self._observing.close()
        await super().aclose()


def open_side(url: str, limit: int | None) -> Sdk:
    """Make the side."""
    return _Observed(url, limit)
