"""Batches know no API: they work over a toy API, with eCom not even there."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.batch.row_stores import new_row_store
from tests.toy.api import TOY_API, ToyApi, rebuild
from tests.toy.service import ToyService
from tests.toy.without_ecom import run_without_ecom
from vipps_async.batch import (
    BatchOperation,
    BatchRow,
    RowOutcome,
    RowResult,
    cancel_many,
    capture_many,
    preview_many,
    refund_many,
)
from vipps_async.batch.holding import hold_rows
from vipps_async.batch.layout import Layout
from vipps_async.batch.report import write_report
from vipps_async.batch.tables import ReportFormat
from vipps_async.config import Credentials, Environment, RetryPolicy, Settings
from vipps_async.core.pipeline import Pipeline
from vipps_async.core.recorder import Recorder
from vipps_async.core.recovery import Recovery
from vipps_async.journals.entries import World
from vipps_async.journals.memory import MemoryJournal
from vipps_async.journals.protocol import Journal
from vipps_async.not_given import NOT_GIVEN
from vipps_async.time_zone import TimeZone

MSN = "123456"
PACKAGE = Path(__file__).parents[2] / "vipps_async"


async def _world() -> World:
    return World(environment="test", host="toy")


@asynccontextmanager
async def opened(
    service: ToyService,
    journal: Journal | None = None,
    *,
    attempts: int = 1,
    find_world: Callable[[], Awaitable[World]] = _world,
) -> AsyncIterator[tuple[ToyApi, Recovery]]:
    """The toy API over a pipeline and a journal of its own, as a session puts them together."""
    keys = Credentials(client_id="a", client_secret="b", subscription_key="c", merchant_serial_number=MSN)
    settings = Settings.build(
        keys,
        environment=Environment.TEST,
        base_url=None,
        timeouts=None,
        retry=RetryPolicy(attempts=attempts, base=0.001, cap=0.002),
        system=None,
    )
    pipeline, journal = Pipeline(settings, service.transport), journal or MemoryJournal()
    runner = Recorder(
        pipeline,
        journal,
        rebuild=rebuild,
        merchant_serial_number=MSN,
        deadline=5.0,
        settle_after=60.0,
        find_world=find_world,
    )
    await runner.open()
    try:
        yield (
            ToyApi(runner=runner, listening=pipeline.log.listening, journal=journal),
            Recovery(runner, rebuild=rebuild, moved=lambda _, result: result.amount.value),
        )
    finally:
        await pipeline.aclose()
        await runner.aclose()


def row(number: int, **changes: object) -> BatchRow:
    """Take 300 of `toy-{number}`."""
    return BatchRow(**{"payment": f"toy-{number}", "amount": 300, "reference": f"r-{number}"} | changes)  # type: ignore[arg-type] # as given


async def collect(results: AsyncIterator[RowResult]) -> list[tuple[str, RowOutcome, int | None]]:
    """Reference, outcome and amount of all results."""
    return sorted([(found.row.reference or "", found.outcome, found.amount) async for found in results])


async def test_rows_are_carried_out_over_any_api() -> None:
    """Captures, refunds and cancels, each once under the row's key in the API's own header; run again, none is sent."""
    service = ToyService({f"toy-{number}": 1000 for number in range(4)})
    rows = [row(number) for number in range(3)]
    async with opened(service) as (toy, _):
        first = await collect(capture_many(toy, [*rows, row(9), row(1, reference="bad", payment="no toy")]))
        again = await collect(capture_many(toy, rows))
        refunds = await collect(refund_many(toy, [row(0, amount=100), row(1, amount=9999)]))
        cancels = [row(3, amount=NOT_GIVEN)]
        cancelled = await collect(cancel_many(toy, cancels))
    assert first == [
        ("bad", RowOutcome.REFUSED, None),
        ("r-0", RowOutcome.DONE, 300),
        ("r-1", RowOutcome.DONE, 300),
        ("r-2", RowOutcome.DONE, 300),
        ("r-9", RowOutcome.REFUSED, None),
    ]
    assert again == [(f"r-{number}", RowOutcome.DONE_BEFORE, 300) for number in range(3)]
    assert refunds == [("r-0", RowOutcome.DONE, 100), ("r-1", RowOutcome.REFUSED, None)]
    assert cancelled == [("r-3", RowOutcome.DONE, 1000)]
    captures = [key for verb, key in service.sent if verb == "capture"]
    assert sorted(captures) == sorted(each.idempotency_key(BatchOperation.CAPTURE, MSN) for each in rows)


async def test_a_row_that_takes_all_has_its_amount_computed_once() -> None:
    """It stands in the journal's intent: run again, the same is asked, and nothing moves twice."""
    service = ToyService({"toy-0": 1000})
    everything = row(0, amount=NOT_GIVEN)
    async with opened(service) as (toy, recovery):
        assert await collect(capture_many(toy, [row(0, reference="part")])) == [("part", RowOutcome.DONE, 300)]
        assert await collect(capture_many(toy, [everything])) == [("r-0", RowOutcome.DONE, 700)]
        assert toy.journal is not None
        _, entry = await toy.journal.find(payment="toy-0", merchant_serial_number=MSN)
        assert (entry.intent.amount, entry.intent.currency) == (700, "EUR")
        # What is left is nothing now: only the amount in the journal makes the second run the same operation.
        assert await collect(capture_many(toy, [everything])) == [("r-0", RowOutcome.DONE_BEFORE, 700)]
        assert await collect(capture_many(toy, [row(0, amount=NOT_GIVEN, reference="more")])) == [
            ("more", RowOutcome.REFUSED, None)
        ]
        assert (await recovery.run(concurrency=1)).stays_open == 0
    assert service.total("toy-0", "capture") == 1000
    assert len(service.sent) == 2


async def test_a_row_in_doubt_that_takes_all_asks_for_the_same_amount_again() -> None:
    """Whatever is left since: the key stands for the amount in the journal, and that alone may move."""
    service = ToyService({"toy-0": 1000}, unknown=True)
    everything = row(0, amount=NOT_GIVEN)
    async with opened(service) as (toy, _):
        assert await collect(capture_many(toy, [everything])) == [("r-0", RowOutcome.UNKNOWN, None)]
        service.unknown = False
        service.events["toy-0"] += [{**service.events["toy-0"][0], "amount": {"currency": "EUR", "value": 500}}]
        assert await collect(capture_many(toy, [everything])) == [("r-0", RowOutcome.DONE, 1000)]
    assert service.total("toy-0", "capture") == 1000


async def test_a_lost_answer_is_found_in_the_events() -> None:
    """The evidence is the API's own: its events prove the capture, and nothing is sent twice."""
    service = ToyService({"toy-0": 1000}, losing=1)
    async with opened(service) as (toy, _):
        assert await collect(capture_many(toy, [row(0)])) == [("r-0", RowOutcome.DONE, 300)]
    assert service.total("toy-0", "capture") == 300
    assert len(service.sent) == 1


async def test_a_dry_run_asks_the_apis_own_history() -> None:
    """What earlier rows would take counts, and nothing is moved."""
    service = ToyService({"toy-0": 1000})
    rows = [row(0, amount=800), row(0, amount=300, reference="too much")]
    async with opened(service) as (toy, _):
        previews = preview_many(toy, rows, BatchOperation.CAPTURE, repeated_payments=frozenset({"toy-0"}))
        found = {each.row.reference: each async for each in previews}
    assert [found[name].outcome for name in ("r-0", "too much")] == [RowOutcome.DONE, RowOutcome.REFUSED]
    assert "earlier rows take 8.00 EUR" in found["too much"].reason
    assert service.sent == []


async def test_files_and_reports_have_the_apis_own_columns(tmp_path: Path) -> None:
    """Headings, units and currency come from the API, and a report names it."""
    service, rows = ToyService({"toy-0": 1000}), new_row_store()
    layout = Layout(api=TOY_API, operation=BatchOperation.CAPTURE)
    rows.load(io.BytesIO(b"toy,amount_eur,reference\ntoy-0,3.5,a\nno,3.5,b\ntoy-0,99999.00,c\n"), layout)
    async with opened(service) as (toy, _):
        await hold_rows(rows, TOY_API, BatchOperation.CAPTURE, MSN, toy.journal)
        rows.save([each async for each in capture_many(toy, rows.rows())])
    write_report(
        tmp_path / "report.csv",
        rows.report(),
        TOY_API,
        BatchOperation.CAPTURE,
        ReportFormat.CSV,
        zone=TimeZone.named("UTC"),
        style=rows.style,
    )
    lines = (tmp_path / "report.csv").read_text().splitlines()
    assert lines[0] == (
        "line,api,toy,amount_eur,reference,outcome,moved_eur,time_UTC,idempotency_key,money_moved,what_happened,"
        "what_to_do"
    )
    assert lines[1].startswith("2,toy,toy-0,3.50,a,captured,3.50,")
    assert "payment must be text that begins with toy-" in lines[2]
    assert "from 0.01 to " in lines[3]


_WITHOUT_ECOM = """
import asyncio
from tests.batch import test_other_api as tests
asyncio.run(tests.test_rows_are_carried_out_over_any_api())
asyncio.run(tests.test_a_row_that_takes_all_has_its_amount_computed_once())
assert not [name for name in sys.modules if name.startswith("vipps_async.ecom")]
print("carried out")
"""


def test_batches_need_no_ecom() -> None:
    """With eCom's folder blocked from import, rows of another API are carried out all the same."""
    found = run_without_ecom(_WITHOUT_ECOM)
    assert (found.stdout, found.returncode) == ("carried out\n", 0), found.stderr


def test_no_word_of_ecom_stands_in_the_batches() -> None:
    """What an API has of its own stands in its own folder."""
    words = ("ecom", "order_id", "orderid", "\u00f8re", "transaction_text", "details")
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted((PACKAGE / "batch").rglob("*.py"))
        for line in path.read_text().splitlines()
        if any(word in line.casefold() for word in words)
    ]
    assert found == []
