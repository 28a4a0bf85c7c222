"""The rows of a file and what became of them; and the report that is made of it."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.batch.row_stores import new_row_store
from tests.support.rows import each_row
from vipps_async import CaptureError, ErrorInfo
from vipps_async.batch import BatchOperation, BatchRow, RowOutcome, RowResult
from vipps_async.batch.layout import BatchFileError, Layout
from vipps_async.batch.report import ReportRow, columns, outcome_word, write_report
from vipps_async.batch.results import Hold
from vipps_async.batch.row_store import RowStore
from vipps_async.batch.tables import ReportFormat
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.not_given import NOT_GIVEN
from vipps_async.time_zone import TimeZone

CAPTURE, OSLO = BatchOperation.CAPTURE, TimeZone.named()
HEADING = "order_id,amount_ore,transaction_text,reference\n"


def loaded(content: str) -> RowStore:
    """A store of a CSV file."""
    store = new_row_store()
    store.load(io.BytesIO(content.encode()), Layout(api=ECOM_API, operation=CAPTURE))
    return store


def result(row: BatchRow, outcome: RowOutcome, **values: object) -> RowResult:
    """What became of a row."""
    return RowResult(row=row, outcome=outcome, idempotency_key="key", **values)  # type: ignore[arg-type] # as given


def test_rows_come_out_as_they_were_read() -> None:
    """With the file's digest and their places, over many pages."""
    content = HEADING + "".join(f"acme-{number},100,Socks,s-{number}\n" for number in range(1, 1801))
    with loaded(content) as store:
        rows = list(store.rows())
    assert [row.payment for row in rows] == [f"acme-{number}" for number in range(1, 1801)]
    assert rows[7].origin is not None
    assert (rows[7].origin.number, rows[7].origin.line, len(rows[7].origin.digest)) == (8, 9, 64)
    assert rows[7].reference == "s-8"


def test_bad_rows_are_kept_apart() -> None:
    """They are listed with their lines, and never come out as work."""
    with loaded(HEADING + "acme-1,99,Socks,s-1\nacme-2,100,Socks,s-2\nacme 3,100,Socks,s-3\n") as store:
        assert [row.payment for row in store.rows()] == ["acme-2"]
        assert [(line, order_id) for line, order_id, _ in store.invalid_rows(10)] == [(2, "acme-1"), (4, "acme 3")]
        assert len(store.invalid_rows(1)) == 1
        totals = store.totals()
    assert (totals.rows, totals.bad, totals.outcomes) == (3, 2, {RowOutcome.NOT_BEGUN: 1})


def test_a_reference_that_stands_there_twice_counts_once() -> None:
    """The first row goes through, each later one is refused and names the first: also for another order or amount."""
    with loaded(HEADING + "a,100,x,s-1\nb,100,x,s-1\nc,100,x,s-2\na,500,x,s-1\n") as store:
        assert [row.payment for row in store.rows()] == ["a", "c"]
        assert store.invalid_rows(9) == [
            (3, "b", "the same reference as in line 2"),
            (5, "a", "the same reference as in line 2"),
        ]


def test_a_bad_row_takes_no_reference_from_a_good_one() -> None:
    """A row that is not sent anyway does not make the next one a repetition."""
    with loaded(HEADING + "a,99,x,s-1\na,100,x,s-1\n") as store:
        assert [row.amount for row in store.rows()] == [100]


def test_rows_that_are_alike_in_everything_need_references() -> None:
    """The same line twice is more often a mistake than two captures; another amount is another capture."""
    content = "order_id,amount_ore,transaction_text\na,100,x\na,all,x\na,100,x\na,all,x\na,200,x\na,100,y\n"
    with loaded(content) as store:
        assert [(row.amount, row.text) for row in store.rows()] == [
            (100, "x"),
            (NOT_GIVEN, "x"),
            (200, "x"),
            (100, "y"),
        ]
        assert [line for line, _, _ in store.invalid_rows(9)] == [4, 5]
        assert "the same as line 2" in store.invalid_rows(9)[0][2]
        assert store.repeated_payments() == {"a"}
        store.hold_repetitions()
        (held,) = store.held_rows()
        assert (held.line, held.payment, held.amount, held.hold.cause) == (7, "a", 100, None)
        assert held.hold.reason == "meets line 2 of this file, and one of the two has no reference"
        assert len(list(store.rows())) == 3


def test_what_ended_for_good_does_not_come_out_again() -> None:
    """Another round gets the rows that are unknown, not done or not begun; sums are added up by outcome."""
    with loaded(HEADING + "".join(f"a-{number},100,x,s-{number}\n" for number in range(10))) as store:
        rows = list(store.rows())
        error = CaptureError("no", status=400, errors=(ErrorInfo("Payment", "61", "too much"),))
        store.save(
            [
                result(rows[0], RowOutcome.DONE, amount=100, time=datetime(2026, 1, 1, 13, 0, tzinfo=UTC)),
                result(rows[1], RowOutcome.DONE_BEFORE, amount=100),
                result(rows[2], RowOutcome.REFUSED, error=error),
                result(rows[3], RowOutcome.UNKNOWN),
                result(rows[4], RowOutcome.NOT_DONE),
                result(rows[7], RowOutcome.OTHERWISE, amount=50),
                result(rows[8], RowOutcome.OTHERWISE_BEFORE, amount=60),
                result(rows[9], RowOutcome.FOUND_DONE),
            ]
        )
        store.hold([(rows[6], Hold("meets another"))])
        assert [row.payment for row in store.rows()] == ["a-3", "a-4", "a-5"]
        totals = store.totals()
        assert totals.outcomes == dict.fromkeys(RowOutcome, 1)
        assert totals.moved[RowOutcome.DONE] == totals.moved[RowOutcome.DONE_BEFORE] == 100
        assert (totals.moved[RowOutcome.OTHERWISE], totals.moved[RowOutcome.OTHERWISE_BEFORE]) == (50, 60)
        assert totals.refusals == {"Payment 61": 1}
        # What was unknown a moment ago and is found on record now was done by this run.
        store.save([result(rows[3], RowOutcome.DONE_BEFORE, amount=100)])
        store.save([result(rows[4], RowOutcome.OTHERWISE_BEFORE, amount=90)])
        assert store.totals().outcomes[RowOutcome.DONE] == store.totals().outcomes[RowOutcome.OTHERWISE] == 2


def test_loading_ends_when_nobody_waits_for_it() -> None:
    """Ctrl-C while a million rows are checked does not wait for the last of them."""
    asked = 0

    def given_up() -> bool:
        nonlocal asked
        asked += 1
        return True

    store = new_row_store()
    content = HEADING + "".join(f"a-{number},100,x,s-{number}\n" for number in range(5000))
    store.load(io.BytesIO(content.encode()), Layout(api=ECOM_API, operation=CAPTURE), given_up=given_up)
    assert asked == 1
    assert store.totals().rows < 5000


def test_a_file_that_is_wrong_as_a_whole_is_not_loaded() -> None:
    """The error comes through."""
    with pytest.raises(BatchFileError):
        loaded("nonsense\n")


# --- report -----------------------------------------------------------------------------------------------------------


def _row(**values: object) -> ReportRow:
    standard: dict[str, object] = {
        "line": 2,
        "payment": "acme-1",
        "amount": 100,
        "text": "Socks",
        "reference": "s-1",
        "violation": None,
        "outcome": RowOutcome.DONE,
        "moved": 100,
        "time": datetime(2026, 1, 1, 23, 30, 0, 123_000, tzinfo=UTC),
        "idempotency_key": "key",
        "reason": "",
    }
    return ReportRow(**standard | values)  # type: ignore[arg-type] # as given


@each_row("text", ["=1+1", "+SUM(A1)", "-2", "@cmd", "\t=1", "\r=1", "\n=1", "\uff1d1+1"])
def test_no_cell_of_a_report_is_a_formula(tmp_path: Path, text: str) -> None:
    """What a spreadsheet would compute gets an apostrophe in front, in every column."""
    path = tmp_path / "report.csv"
    write_report(
        path,
        [_row(text=text, reference=text, reason=text, payment="-1")],
        ECOM_API,
        CAPTURE,
        ReportFormat.CSV,
        zone=OSLO,
    )
    with path.open(encoding="utf-8", newline="") as stream:
        (line,) = csv.DictReader(stream)
    # Behind a tab another cell would begin.
    guarded = text.replace("\t", "\t'")
    assert {line["transaction_text"], line["reference"], line["what_happened"]} == {f"'{guarded}"}
    assert line["order_id"] == "'-1"


@each_row("separator", [",", ";"])
@each_row(
    "text",
    [
        "a;=1+1",
        ";=1",
        "a; +1",
        'a;"=1"',
        "a,b;@cmd",
        'x";-2',
        "a;\t=1",
        "a;\r1",
        "a\n=1",
        "a\r\n=1;=2;\uff1d3",
        'a,"b\n=1',
        "-1;-2",
    ],
)
def test_no_semicolon_begins_a_formula(tmp_path: Path, text: str, separator: str) -> None:
    """A spreadsheet that separates by semicolons, as it does in Norway, finds no formula inside a cell of ours."""
    path = tmp_path / "report.csv"
    write_report(path, [_row(text=text, reference=text, reason=text)], ECOM_API, CAPTURE, ReportFormat.CSV, zone=OSLO)
    with path.open(encoding="utf-8", newline="") as stream:
        cells = [cell for line in csv.reader(stream, delimiter=separator) for cell in line]
    starts = {cell.lstrip(' "\n')[:1] for cell in cells}
    assert not starts & set("=+-@\t\r\uff1d\uff0b\uff0d\uff20")


def test_a_report_does_not_steer_a_terminal(tmp_path: Path) -> None:
    """Escape sequences, bells and what turns the direction of a text are written as escapes; other text stays."""
    path = tmp_path / "report.csv"
    text = "Sk\u00f8\u00a0\u20ac \x1b[2J\x07\x9b1m\u202e\U000e0001; a;b"
    write_report(path, [_row(text=text)], ECOM_API, CAPTURE, ReportFormat.CSV, zone=OSLO)
    with path.open(encoding="utf-8", newline="") as stream:
        (line,) = csv.DictReader(stream)
    assert line["transaction_text"] == ("Sk\u00f8\u00a0\u20ac \\u001b[2J\\u0007\\u009b1m\\u202e\\udb40\\udc01; a;b")


def test_json_lines_have_everything_as_it_is(tmp_path: Path) -> None:
    """For programs: no apostrophes, numbers as numbers."""
    path = tmp_path / "report.jsonl"
    write_report(path, [_row(text="=1+1", amount=None)], ECOM_API, CAPTURE, ReportFormat.JSONL, zone=OSLO)
    line = json.loads(path.read_text(encoding="utf-8"))
    assert tuple(line) == columns(ECOM_API, CAPTURE, OSLO)
    assert (line["transaction_text"], line["moved_nok"], line["amount_nok"]) == ("=1+1", "1.00", "all")
    assert line["time_Europe/Oslo"] == "2026-01-02T00:30:00.123+01:00"


def test_a_report_is_whole_or_not_there(tmp_path: Path) -> None:
    """If it cannot be finished the older one stays, and no half of a file lies about."""
    path = tmp_path / "report.csv"
    write_report(path, [_row(), _row(line=3)], ECOM_API, CAPTURE, ReportFormat.CSV, zone=OSLO)
    before = path.read_bytes()

    def broken() -> object:
        yield _row()
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_report(path, broken(), ECOM_API, CAPTURE, ReportFormat.CSV, zone=OSLO)  # type: ignore[arg-type] # a generator
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_is_its_owners(tmp_path: Path) -> None:
    """It tells what was sold to whom: nobody else reads it."""
    path = tmp_path / "report.csv"
    write_report(path, [], ECOM_API, CAPTURE, ReportFormat.CSV, zone=OSLO)
    assert path.stat().st_mode & 0o077 == 0


def test_outcomes_have_words() -> None:
    """Words that a person in the shop understands."""
    words = [outcome_word(outcome, CAPTURE) for outcome in RowOutcome]
    first = [
        "captured",
        "captured before",
        "found captured",
        "captured otherwise",
        "captured otherwise before",
        "refused",
        "not done",
    ]
    assert words == [*first, "unknown", "held", "not begun"]
    assert outcome_word(None, CAPTURE) == "not begun"
    assert outcome_word(RowOutcome.DONE, BatchOperation.REFUND, preview=True) == "would be refunded"
    assert outcome_word(RowOutcome.REFUSED, BatchOperation.REFUND, preview=True) == "would be refused"
    assert outcome_word(RowOutcome.DONE_BEFORE, BatchOperation.CANCEL) == "cancelled before"
