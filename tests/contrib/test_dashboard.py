"""The dashboard for Grafana asks for what is measured, by the names that OpenTelemetry's exporters give it."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, Metric

from tests.support.rows import each_row
from tests.test_session import CAPTURED, CREDENTIALS
from vipps_async import MemoryJournal, VippsError, VippsSession
from vipps_async.contrib.opentelemetry import observed, report_open_operations
from vipps_async.testing import ScriptedTransport, answer

DASHBOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs" / "grafana" / "vipps.json").read_text("utf-8")
)
TARGETS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
QUERIES = [*TARGETS, *(one["query"]["query"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query")]
#: What exporters put behind a name for its unit (OpenTelemetry's compatibility with Prometheus, metric metadata).
UNITS = {"s": "_seconds", "{attempt}": "", "{operation}": ""}


async def measured() -> list[Metric]:
    """Measure something of everything."""
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    transport = ScriptedTransport().on("/capture", CAPTURED).on("/details", answer(404, b""))
    async with VippsSession(CREDENTIALS, transport=transport, journal=MemoryJournal()) as vipps:
        with observed(vipps, meter_provider=meters):
            reporting = asyncio.create_task(report_open_operations(vipps, meter_provider=meters))
            await vipps.ecom.capture("acme-1", amount=49900, transaction_text="Shipped.")
            with pytest.raises(VippsError):
                await vipps.ecom.details("acme-1")
            data = reader.get_metrics_data()
            reporting.cancel()
    meters.shutdown()
    assert data is not None
    return [one for resource in data.resource_metrics for scope in resource.scope_metrics for one in scope.metrics]


def _series(metric: Metric) -> set[str]:
    name = metric.name.replace(".", "_") + UNITS[metric.unit or ""]
    if isinstance(metric.data.data_points[0], HistogramDataPoint):
        return {f"{name}_{part}" for part in ("bucket", "count", "sum")}
    return {name}


async def test_each_query_names_what_is_measured_and_each_metric_is_shown() -> None:
    """Names of series and labels follow from the instruments; none is asked for that does not exist."""
    metrics = await measured()
    assert len(metrics) == 5
    series = set().union(*map(_series, metrics))
    labels = {
        name.replace(".", "_")
        for metric in metrics
        for point in metric.data.data_points
        for name in point.attributes or {}
    }
    asked = set(re.findall(r"\bvipps_(?:client|journal)_[a-z_]+", " ".join(QUERIES)))
    assert asked - series == set()
    assert [metric.name for metric in metrics if not _series(metric) & asked] == []
    grouped = [name.strip() for names in re.findall(r"by \(([^)]*)\)", " ".join(QUERIES)) for name in names.split(",")]
    selected = re.findall(r"([a-z_]+)(?:=~|!=|=)\"", " ".join(QUERIES))
    shown = re.findall(r"\{\{([a-z_]+)\}\}", json.dumps(DASHBOARD))
    assert len(selected) > 10
    assert set(grouped + selected + shown) - labels - {"le"} == set()


def test_the_file_is_one_that_grafana_can_import() -> None:
    """Ids are unique, panels do not overlap, and each query goes to the data source that is chosen."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 10
    places = [panel["gridPos"] for panel in panels]
    taken = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24
    for panel in panels:
        assert panel["description"]
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
    assert DASHBOARD["uid"] == "vipps-async"
    assert "http" not in json.dumps([panel["targets"] for panel in panels]).replace("http_response_status_code", "")


@each_row("query", TARGETS)
def test_brackets_of_queries_match(query: str) -> None:
    """Each bracket that a query opens it closes."""
    waiting: list[str] = []
    for sign in re.sub(r'"[^"]*"', "", query):
        if sign in "([{":
            waiting.append({"(": ")", "[": "]", "{": "}"}[sign])
        elif sign in ")]}":
            assert waiting.pop() == sign
    assert waiting == []
