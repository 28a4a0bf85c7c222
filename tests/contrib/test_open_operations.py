"""Gauges of what the journal has open: they follow the journal, and tell nothing that is not known."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint

from tests.core.virtual_time import run_in_virtual_time
from tests.journals.material import intent
from tests.test_session import CREDENTIALS
from vipps_async import ConfigurationError, InvalidInputError, JournalError, MemoryJournal, VippsSession
from vipps_async.contrib.opentelemetry import report_open_operations
from vipps_async.testing import ScriptedTransport

Values = dict[str, list[tuple[dict[str, Any], float]]]


class Flaky(MemoryJournal):
    """A journal that can be told to fail."""

    broken = False

    def open_entries(self, **arguments: Any) -> Any:
        """Go through it, or fail."""
        if self.broken:
            raise JournalError("the disk is gone")
        return super().open_entries(**arguments)


@contextlib.asynccontextmanager
async def reported(journal: MemoryJournal) -> AsyncIterator[Callable[[], Values]]:
    """Report every ten seconds, and return what reads the gauges."""
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)

    def values() -> Values:
        data = reader.get_metrics_data()
        return {
            metric.name: [
                (dict(point.attributes or {}), point.value)
                for point in metric.data.data_points
                if isinstance(point, NumberDataPoint)
            ]
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    async with VippsSession(CREDENTIALS, transport=ScriptedTransport(), journal=journal) as vipps:
        task = asyncio.create_task(report_open_operations(vipps, every=10, meter_provider=meters))
        await asyncio.sleep(1)
        yield values
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not any(values().values())
    meters.shutdown()


def test_they_follow_the_journal() -> None:
    """Count by sales unit and age of the oldest are those of the last look, zero if nothing is open."""

    async def main() -> None:
        journal = MemoryJournal()
        async with reported(journal) as values:
            assert values() == {
                "vipps.journal.open.operations": [({"vipps.merchant_serial_number": "123456"}, 0)],
                "vipps.journal.open.age": [({}, 0.0)],
            }
            hour_ago = datetime.now(UTC) - timedelta(hours=1)
            for number, unit in enumerate(("123456", "123456", "654321")):
                begun = intent(number + 1, merchant_serial_number=unit, created_at=hour_ago)
                await journal.begin(begun, owner="somebody", lease=0)
            await asyncio.sleep(10)
            found = values()
        units = {
            about["vipps.merchant_serial_number"]: value for about, value in found["vipps.journal.open.operations"]
        }
        assert units == {"123456": 2, "654321": 1}
        assert found["vipps.journal.open.age"][0][1] == pytest.approx(3600, abs=60)

    run_in_virtual_time(main())


def test_a_journal_that_cannot_be_read_is_told_by_silence() -> None:
    """No old number stays when the journal fails, and they come back with it."""

    async def main() -> None:
        journal = Flaky()
        async with reported(journal) as values:
            journal.broken = True
            await asyncio.sleep(10)
            assert not any(values().values())
            journal.broken = False
            await asyncio.sleep(10)
            assert len(values()["vipps.journal.open.age"]) == 1

    run_in_virtual_time(main())


async def test_what_can_never_be_reported_is_told_at_once() -> None:
    """Without a journal, or with a pause that is none, the task ends with the reason."""
    async with VippsSession(CREDENTIALS, transport=ScriptedTransport()) as vipps:
        with pytest.raises(ConfigurationError, match="no journal"):
            await report_open_operations(vipps)
        with pytest.raises(InvalidInputError, match="every must be"):
            await report_open_operations(vipps, every=0)
