"""`vipps-async journal reconcile`: a day of a journal held against Vipps, its report and its exit status."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import openpyxl
import orjson
import pytest
from attrs import evolve

from tests.batch.shop import MSN, stock
from tests.cli.inline import inline
from tests.cli.open_captures import damage, leave_open
from tests.cli.processes import Finished
from tests.cli.shell import env
from tests.support.norwegian_spreadsheet import open_csv
from vipps_async import RetryPolicy, SqliteJournal, VippsError, nok
from vipps_async.cli import journal_reconcile
from vipps_async.journals.entries import Entry
from vipps_async.reconciliation import Comparison, compare_entries, entries_of_day
from vipps_async.reconciliation.report import columns
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox
from vipps_async.time_zone import TimeZone

UNSEEN = (
    "Not seen: payments that this journal did nothing with on that day. Neither API lists payments by day; Vipps' "
    "settlement report does."
)
DAY = ("--day", "today", "--time-zone", "UTC")
COLUMNS = columns(TimeZone.named("UTC"))


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own, with five orders."""
    async with Sandbox(rate_limits=False) as running:
        stock(running, 5)
        yield running


@pytest.fixture
async def path(sandbox: Sandbox, tmp_path: Path) -> Path:
    """A journal of that Vipps with two captures and a refund."""
    path = tmp_path / "journal.db"
    async with sandbox.session(journal=SqliteJournal(path)) as vipps:
        await vipps.ecom.capture("order-0", amount=1000, transaction_text="x")
        await vipps.ecom.capture("order-1", transaction_text="x")
        await vipps.ecom.refund("order-1", amount=nok("2.50"), transaction_text="x")
    return path


async def reconcile(sandbox: Sandbox, path: Path, *options: str, **variables: str) -> Finished:
    """Run the command to its end."""
    command = ("journal", "reconcile", "--journal", str(path), *options)
    return await inline(*command, env=env(sandbox, **variables))


async def kept(path: Path) -> list[object]:
    """All that a journal has."""
    journal = SqliteJournal(path)
    await journal.open()
    try:
        return [row async for row in journal.all_rows()]
    finally:
        await journal.aclose()


async def _with_another_amount(path: Path) -> None:
    """Let the journal say that 3 kroner more were refunded than were, as a defect would."""
    journal = SqliteJournal(path)
    await journal.open()
    entries = [row async for row in journal.all_rows() if isinstance(row, Entry)]
    (refund,) = (entry for entry in entries if entry.intent.operation == "refund")
    assert refund.settlement is not None
    changed = refund.settlement.answer.replace(b'"amount":250', b'"amount":550')
    assert changed != refund.settlement.answer
    await journal.erase(payment="order-1", merchant_serial_number=MSN)
    for entry in entries:
        if entry.intent.payment == "order-1" and entry.settlement is not None:
            answer = changed if entry is refund else entry.settlement.answer
            await journal.settle(entry.intent, evolve(entry.settlement, answer=answer))
    await journal.aclose()


async def test_a_day_that_agrees_is_status_0(sandbox: Sandbox, path: Path) -> None:
    """With what moved, which day is meant, and nothing but look-ups sent; the journal stays as it is."""
    before = len(sandbox.requests)
    entries = await kept(path)
    done = await reconcile(sandbox, path, *DAY)
    assert done.status == 0, done.err
    assert done.out.splitlines() == [
        "        3 agree",
        "        0 differ",
        "        0 only at Vipps",
        "        0 inconclusive",
        "                              journal  Vipps  difference",
        "  capture NOK                   20.00  20.00        0.00",
        "  refund NOK                     2.50   2.50        0.00",
        "  captured less refunded NOK    17.50  17.50        0.00",
        UNSEEN,
    ]
    assert "(UTC), by the time at which each became known as done; sales unit 123456 in the test env" in done.err
    assert {request.operation for request in sandbox.requests[before:]} == {"token", "details"}
    assert await kept(path) == entries


async def test_days_are_counted_in_oslo_unless_it_is_said(sandbox: Sandbox, path: Path) -> None:
    """The zone and what it means are printed; another day has nothing of this one."""
    done = await reconcile(sandbox, path, "--day", "2026-01-02")
    assert (done.status, done.out.splitlines()[0]) == (0, "        0 agree")
    assert "Day: 2026-01-02 in Europe/Oslo (2026-01-01 23:00 to 2026-01-02 23:00 UTC)" in done.err


async def test_a_difference_is_status_1_and_a_negative_number_in_the_report(sandbox: Sandbox, path: Path) -> None:
    """It is named with both amounts; the report has every entry, and its sums can be added up in a spreadsheet."""
    await _with_another_amount(path)
    report = path.with_name("day.csv")
    done = await reconcile(sandbox, path, *DAY, "--report", str(report), "--semicolons")
    assert done.status == 1, done.err
    first = done.out.splitlines()[0]
    assert first.startswith("differs: ecom.refund of 2.50 NOK, payment order-1, key ")
    assert first.endswith("UTC: the journal has 5.50 NOK, Vipps 2.50 NOK")
    assert "  refund NOK                     5.50   2.50       -3.00" in done.out.splitlines()
    heading, *rows = open_csv(report.read_bytes())
    assert heading == list(COLUMNS)
    table = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    assert [(row["operation"], row["vipps_less_journal"]) for row in table] == [
        ("capture", Decimal(0)),
        ("capture", Decimal(0)),
        ("refund", Decimal("-3.00")),
    ]
    assert (table[2]["asked"], table[2]["journal"], table[2]["vipps"]) == (
        Decimal("2.50"),
        Decimal("5.50"),
        Decimal("2.50"),
    )


async def test_what_only_vipps_has_is_status_1(sandbox: Sandbox, path: Path) -> None:
    """A refund of the portal is listed with its time in Oslo, added up, and says what to do in the report."""
    async with sandbox.session() as portal:
        await portal.ecom.refund("order-1", amount=nok(1), transaction_text="x", idempotency_key="portal")
    report = path.with_name("day.csv")
    done = await reconcile(sandbox, path, "--day", "today", "--report", str(report))
    assert done.status == 1, done.err
    line = done.out.splitlines()[0]
    assert line.startswith("only at Vipps: ecom.refund of 1.00 NOK, payment order-1, key portal, done 2")
    assert line.endswith(" Europe/Oslo: the journal does not have it")
    assert "  refund NOK                     2.50   3.50        1.00" in done.out.splitlines()
    *_, last = report.read_text().splitlines()
    assert last.startswith("only at Vipps,ecom,refund,order-1,,portal,,2")
    assert last.endswith(
        ",NOK,,0.00,1.00,1.00,,the journal does not have it,"
        '"find out who made it (the portal, another system), and book it"'
    )


async def test_what_is_open_is_status_3(sandbox: Sandbox, path: Path) -> None:
    """Money may have moved that the journal does not count: a day with that is not one on which all agree."""
    sandbox.faults.script("capture", *[Fault.HTTP_500_BEFORE] * 20)
    sandbox.faults.script("details", *[Fault.HTTP_500_BEFORE] * 20)
    async with sandbox.session(journal=SqliteJournal(path), retry=RetryPolicy(attempts=1)) as vipps:
        with pytest.raises(VippsError):
            await vipps.ecom.capture("order-2", amount=500, transaction_text="x")
    sandbox.faults.clear()
    done = await reconcile(sandbox, path, *DAY, "--json")
    facts = orjson.loads(done.out)
    assert (done.status, facts["agree"], facts["open_that_day"], facts["open"]) == (3, 3, 1, 1), done.err
    done = await reconcile(sandbox, path, *DAY)
    assert done.out.startswith("open in the journal: ecom.capture of 5.00 NOK, payment order-2, key ")
    assert "        1 open, and tried that day" in done.out.splitlines()


async def test_what_is_not_known_at_vipps_stands_in_a_column_of_its_own(sandbox: Sandbox, path: Path) -> None:
    """So that the sums can be followed: the journal's, and the difference, are Vipps' and what is not known there."""
    sandbox.faults.script("details", *[Fault.HTTP_500_BEFORE] * 20, order_id="order-0")
    done = await reconcile(sandbox, path, *DAY)
    assert done.status == 3, done.err
    table = [line for line in done.out.splitlines() if line.startswith("  ") and "NOK" in line]
    assert table[0].split()[2:] == ["20.00", "10.00", "0.00", "10.00"]
    assert table[2].split()[4:] == ["17.50", "7.50", "0.00", "10.00"]


async def test_a_workbook_and_json(sandbox: Sandbox, path: Path) -> None:
    """For people who have one, and for machines: sums in minor units, one object and nothing else."""
    report = path.with_name("day.xlsx")
    done = await reconcile(sandbox, path, *DAY, "--report", str(report), "--json", "--api", "ecom")
    facts = orjson.loads(done.out)
    assert (done.status, done.err) == (0, "")
    assert (facts["time_zone"], facts["entries"], facts["agree"], facts["differ"], facts["inconclusive"]) == (
        "UTC",
        3,
        3,
        0,
        0,
    )
    standard = {"currency": "NOK", "difference": 0, "not_known": 0}
    assert facts["sums"] == [
        {**standard, "operation": "capture", "journal": 2000, "vipps": 2000},
        {**standard, "operation": "refund", "journal": 250, "vipps": 250},
    ]
    sheet = openpyxl.load_workbook(report).active
    assert [cell.value for cell in list(sheet.columns)[COLUMNS.index("vipps")]] == ["vipps", 10, 10, 2.5]
    other = await reconcile(sandbox, path, *DAY, "--json", "--api", "epayment")
    assert orjson.loads(other.out)["entries"] == 0


async def test_a_report_on_standard_output_stands_alone_there(sandbox: Sandbox, path: Path) -> None:
    """What people read goes to standard error then."""
    done = await reconcile(sandbox, path, *DAY, "--report", "-")
    assert done.out.splitlines()[0] == ",".join(COLUMNS)
    assert len(done.out.splitlines()) == 4
    assert "3 agree" in done.err


async def test_what_could_not_be_read_is_status_3(sandbox: Sandbox, path: Path) -> None:
    """No difference is known, and no agreement either."""
    async with Sandbox(rate_limits=False) as other:
        found = await reconcile(other, path, *DAY)
    assert found.status == 2, "another sandbox is another Vipps"
    assert "the journal has the facts of test at 127.0.0.1" in found.err
    sandbox.faults.randomise(rate=1.0, seed=1, operations=("details",), kinds=(Fault.DETAILS_WITHOUT_KEYS,))
    done = await reconcile(sandbox, path, *DAY, "--concurrency", "1")
    assert done.status == 3, done.out
    assert "inconclusive: ecom.capture of 10.00 NOK, payment order-0" in done.out
    assert "        3 inconclusive" in done.out


async def test_twenty_differences_are_shown_and_all_are_counted(
    sandbox: Sandbox, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report has the others: a screen full of lines is read by nobody."""
    original = compare_entries

    async def compare(*given: object, **options: object) -> object:
        (first, *_) = await original(*given, **options)  # type: ignore[arg-type]
        return [evolve(first, comparison=Comparison.DIFFERS, reason="so\x1b[2J")] * 25

    monkeypatch.setattr(journal_reconcile, "compare_entries", compare)
    done = await reconcile(sandbox, path, *DAY)
    lines = done.out.splitlines()
    assert (done.status, len([line for line in lines if line.startswith("differs: ")])) == (1, 20)
    assert lines[20] == "... and 5 more; --report lists them all."
    assert lines[22] == "       25 differ"
    assert "\x1b" not in done.out


async def test_open_and_others_operations_are_told(
    sandbox: Sandbox, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day is not in order while something of it is not known; what another sales unit did is said to be left out."""
    original = entries_of_day

    async def entries(*given: object, **options: object) -> object:
        return evolve(await original(*given, **options), open=2, of_other_units=4)  # type: ignore[arg-type]

    monkeypatch.setattr(journal_reconcile, "entries_of_day", entries)
    done = await reconcile(sandbox, path, *DAY)
    assert done.status == 3
    assert done.out.splitlines()[-3:-1] == [
        "4 of other sales units are done that day: not looked at.",
        (
            "2 operations are open since that day or before, and may have been carried out on it: "
            "vipps-async journal recover"
        ),
    ]


async def test_an_open_operation_may_be_of_each_day_since_it_was_begun(sandbox: Sandbox, tmp_path: Path) -> None:
    """Status 3 for the day that it was begun on, though nothing is known as done; not for a day before it."""
    path = tmp_path / "open.db"
    await leave_open(path, "lost", payment="order-2")
    done = await reconcile(sandbox, path, *DAY)
    assert done.status == 3, done.err
    assert "1 operation is open since that day or before, and may have been carried out on it: vipps" in done.out
    before = await reconcile(sandbox, path, "--day", "yesterday", "--time-zone", "UTC", "--json")
    assert (before.status, orjson.loads(before.out)["open"]) == (0, 0)
    journal = SqliteJournal(path)
    await journal.open()
    (lost,) = await journal.find(payment="order-2", merchant_serial_number=MSN)
    earlier = evolve(lost.intent, key="earlier", payment="order-3", created_at=lost.intent.created_at - timedelta(2))
    await journal.begin(earlier, owner="a", lease=0)
    await journal.aclose()
    since = await reconcile(sandbox, path, "--day", "yesterday", "--time-zone", "UTC", "--json")
    assert (since.status, orjson.loads(since.out)["open"]) == (3, 1)


# --- what cannot be read ----------------------------------------------------------------------------------------------


@pytest.fixture
async def damaged(sandbox: Sandbox, path: Path) -> Path:
    """That journal with a capture of another order that is done and cannot be read any more, as its fourth entry."""
    async with sandbox.session(journal=SqliteJournal(path)) as vipps:
        await vipps.ecom.capture("order-2", amount=700, transaction_text="x", idempotency_key="lost")
    damage(path, "lost")
    return path


async def test_what_cannot_be_read_is_a_row_and_what_vipps_has_of_it_too(sandbox: Sandbox, damaged: Path) -> None:
    """Inconclusive, with its number and payment; money that Vipps has moved for it is not passed over in silence."""
    report = damaged.with_name("day.jsonl")
    done = await reconcile(sandbox, damaged, *DAY, "--report", str(report))
    assert done.status == 1, done.err
    first, second, *_ = done.out.splitlines()
    assert first == (
        "inconclusive: an operation, payment order-2: entry 4 of the journal cannot be read (what it holds does not "
        "fit its checksum); what Vipps has of the payment and no other entry has is listed"
    )
    assert second.startswith("only at Vipps: ecom.capture of 7.00 NOK, payment order-2, key lost, done 2")
    assert second.endswith(": it may be entry 4 of the journal, which cannot be read")
    assert "  capture NOK                   20.00  27.00        7.00" in done.out.splitlines()
    assert done.out.splitlines()[-2] == (
        "1 entry of the journal cannot be read and may be of that day: the journal's sums lack it, see "
        "vipps-async journal check"
    )
    *_, row, at_vipps = [orjson.loads(line) for line in report.read_bytes().splitlines()]
    assert (row["comparison"], row["payment"], row["api"], row["currency"], row["journal"]) == (
        "inconclusive",
        "order-2",
        None,
        None,
        None,
    )
    assert row["what_to_do"] == (
        "vipps-async payment show order-2; hold that against the books, and then: vipps-async journal discard 4"
    )
    assert at_vipps["what_to_do"] == ("book it, unless the books have it already: this journal may have carried it out")


async def test_what_cannot_be_read_counts_for_machines(sandbox: Sandbox, damaged: Path) -> None:
    """Among what is inconclusive, and by itself: whoever adds the sums up sees what they lack."""
    facts = orjson.loads((await reconcile(sandbox, damaged, *DAY, "--json")).out)
    assert (facts["agree"], facts["inconclusive"], facts["only_at_vipps"], facts["damaged"]) == (3, 1, 1, 1)
    reason = "what it holds does not fit its checksum"
    assert facts["damaged_entries"] == [{"position": 4, "payment": "order-2", "reason": reason}]


async def test_what_cannot_be_read_of_a_payment_that_vipps_does_not_know_is_status_3(
    sandbox: Sandbox, damaged: Path
) -> None:
    """The name may be what is damaged: nothing is known of it, and nothing differs."""
    damage(damaged, "lost", "payment = 'prder-2', amount = 700")
    done = await reconcile(sandbox, damaged, *DAY)
    assert done.status == 3, done.out
    assert done.out.startswith("inconclusive: an operation, payment prder-2: entry 4 of the journal cannot be read (")
    assert "; what Vipps has of the payment could not be read; its name may be what is damaged\n" in done.out


async def test_what_cannot_be_read_beside_what_can(sandbox: Sandbox, path: Path) -> None:
    """Of a payment with entries of the day: those agree, each has its own row, and one look-up is enough."""
    damage(path, (await _key_of(path, "refund")))
    before = len(sandbox.requests)
    done = await reconcile(sandbox, path, *DAY)
    assert done.status == 1, done.err
    assert [line.split(":")[0] for line in done.out.splitlines()[:2]] == ["inconclusive", "only at Vipps"]
    assert "only at Vipps: ecom.refund of 2.50 NOK, payment order-1" in done.out
    assert "        2 agree" in done.out
    assert [each.operation for each in sandbox.requests[before:]].count("details") == 2


async def test_a_refused_one_that_cannot_be_read_leaves_nothing_at_vipps(sandbox: Sandbox, path: Path) -> None:
    """Vipps shows no more than the others have: that is said, and it stays inconclusive, for Vipps may lag."""
    await leave_open(path, "lost")
    damage(path, "lost")
    done = await reconcile(sandbox, path, *DAY)
    assert done.status == 3, done.err
    assert "; Vipps shows no capture or refund of the payment but what other entries have\n" in done.out


async def test_what_cannot_be_read_of_epayment_is_looked_up_there(sandbox: Sandbox, tmp_path: Path) -> None:
    """Which API it is of cannot be read either: all are asked."""
    path = tmp_path / "journal.db"
    async with sandbox.session(journal=SqliteJournal(path)) as vipps:
        await vipps.epayment.create(reference="acme-order-1", amount=nok(100), return_url="https://example.com/back")
        await sandbox.approve("acme-order-1")
        await vipps.epayment.capture("acme-order-1", amount=nok(10), idempotency_key="lost")
    damage(path, "lost")
    done = await reconcile(sandbox, path, *DAY)
    assert "only at Vipps: epayment.capture of 10.00 NOK, payment acme-order-1, key lost" in done.out, done.out


async def test_what_cannot_be_read_and_was_begun_later_is_of_no_earlier_day(sandbox: Sandbox, damaged: Path) -> None:
    """By the earliest of its times; one that is none leaves it of any day."""
    yesterday = ("--day", "yesterday", "--time-zone", "UTC", "--json")
    assert orjson.loads((await reconcile(sandbox, damaged, *yesterday)).out)["damaged"] == 0
    damage(damaged, "lost", "created_at = 5")
    assert orjson.loads((await reconcile(sandbox, damaged, *yesterday)).out)["damaged"] == 1
    damage(damaged, "lost", f"created_at = {2**62}")
    assert orjson.loads((await reconcile(sandbox, damaged, *yesterday)).out)["damaged"] == 1


async def _key_of(path: Path, operation: str) -> str:
    rows = [row for row in await kept(path) if isinstance(row, Entry)]
    return next(row.intent.key for row in rows if row.intent.operation == operation)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--day", "27.11.2026"), "day must be such as 2026-11-27"),
        (
            ("--day", "2026-11-27", "--time-zone", "Europe/Olso"),
            "knows no time zone 'Europe/Olso'; Europe/Oslo is near it",
        ),
        ((*DAY, "--report", "{journal}"), "would overwrite"),
        ((*DAY, "--journal", "nowhere.db"), "there is no journal nowhere.db"),
        ((*DAY, "--concurrency", "0"), "not from 1 to 100"),
        ((*DAY, "--api", "fpayment"), "fpayment"),
        ((), "--day"),
    ],
)
async def test_wrong_use_is_status_2(sandbox: Sandbox, path: Path, options: tuple[str, ...], words: str) -> None:
    """Before Vipps is asked anything."""
    before = len(sandbox.requests)
    done = await reconcile(sandbox, path, *(option.replace("{journal}", str(path)) for option in options))
    assert (done.status, words in done.err) == (2, True), done.err
    assert len(sandbox.requests) == before


async def test_a_report_that_cannot_be_written_is_status_8(
    sandbox: Sandbox, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is there, on standard output; the report is not."""

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(journal_reconcile, "write_day_report", full)
    done = await reconcile(sandbox, path, *DAY, "--report", str(path.with_name("day.csv")))
    assert (done.status, "3 agree" in done.out) == (8, True)
    assert "the report could not be written" in done.err


async def test_the_journal_is_free_while_vipps_is_asked(
    sandbox: Sandbox, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service can have its journal again: it is held for as short as reading takes."""
    monkeypatch.setattr(journal_reconcile, "_PROGRESS_EVERY", 0.0)
    original, opened = compare_entries, []

    async def compare(*given: object, **options: object) -> object:
        journal = SqliteJournal(path)
        await journal.open()
        opened.append(journal.is_open)
        await journal.aclose()
        return await original(*given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(journal_reconcile, "compare_entries", compare)
    done = await reconcile(sandbox, path, *DAY)
    assert (done.status, opened) == (0, [True])
    assert "3 of 3 compared ..." in done.err


@pytest.mark.parametrize("api", ["ecom", "epayment"])
async def test_a_payment_that_is_cancelled_twice_is_counted_once(sandbox: Sandbox, tmp_path: Path, api: str) -> None:
    """The second one finds it cancelled, and is told as that. Neither report has a key, which no history shows."""
    journal, file, report = tmp_path / "cancels.db", tmp_path / "cancels.csv", tmp_path / "report.jsonl"
    text = ",transaction_text" if api == "ecom" else ""
    heading = "order_id" if api == "ecom" else "reference"
    if api == "epayment":
        async with sandbox.session() as vipps:
            await vipps.epayment.create(
                reference="order-0-long", amount=nok(10), payment_description="Socks", return_url="https://example.com/"
            )
        await sandbox.approve("order-0-long")
    payment = "order-0" if api == "ecom" else "order-0-long"
    for number in range(2):
        # Another file, so another row: over ePayment the same one would be answered from the journal.
        file.write_text(f"{heading}{text}\n{payment}{',No.' if text else ''}\n" + "\n" * number)
        command = ("batch", "cancel", str(file), "--api", api, "--journal", str(journal), "--report", str(report))
        assert (await inline(*command, env=env(sandbox))).status == 0
        assert orjson.loads(report.read_bytes())["idempotency_key"] is None
    done = await reconcile(sandbox, journal, *DAY, "--report", str(report))
    assert done.status == 0, done.err
    rows = [orjson.loads(line) for line in report.read_bytes().splitlines()]
    assert [row["idempotency_key"] for row in rows] == [None] * len(rows)
    assert sum(row["comparison"] == "agrees" for row in rows) == 1
    assert done.out.splitlines()[0] == "        1 agree"


async def test_a_second_cancel_on_another_day_is_of_the_first_one(sandbox: Sandbox, path: Path) -> None:
    """The cancel was counted on its own day: on a later one the journal knows it, and does not count it again."""
    async with sandbox.session(journal=SqliteJournal(path)) as vipps:
        for _ in range(2):
            await vipps.ecom.cancel("order-2", transaction_text="x")
    journal = SqliteJournal(path)
    await journal.open()
    entries = [row async for row in journal.all_rows() if isinstance(row, Entry)]
    cancels = [entry for entry in entries if entry.intent.operation == "cancel"]
    await journal.erase(payment="order-2", merchant_serial_number=MSN)
    for entry in cancels:
        assert entry.settlement is not None
        earlier = timedelta(days=2) if entry is cancels[0] else timedelta()
        await journal.settle(entry.intent, evolve(entry.settlement, settled_at=entry.settlement.settled_at - earlier))
    await journal.aclose()
    facts = orjson.loads((await reconcile(sandbox, path, *DAY, "--json")).out)
    assert (facts["agree"], facts["cancelled_before"], facts["entries"]) == (3, 1, 4)
