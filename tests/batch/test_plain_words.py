"""What a report and a summary say to people who keep the books: no name of a class, and whether money moved."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.batch.row_stores import new_row_store
from tests.support.norwegian_spreadsheet import open_csv
from tests.support.rows import each_row
from vipps_async import errors
from vipps_async.batch import BatchOperation, BatchRow, RowOutcome, RowResult
from vipps_async.batch.layout import Layout
from vipps_async.batch.report import columns, write_report
from vipps_async.batch.report_texts import money_moved, what_to_do
from vipps_async.batch.results import RowCause, failed
from vipps_async.batch.tables import FileStyle, ReportFormat
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.errors import ApiError, CaptureError, Effect, ErrorInfo, OutcomeUnknown, VippsError
from vipps_async.time_zone import TimeZone

CAPTURE, OSLO = BatchOperation.CAPTURE, TimeZone.named()
ROW = BatchRow(payment="order-1", text="x", reference="r")
#: Names such as CaptureError, and those of libraries.
CLASS = re.compile(r"\b[A-Z][a-z]+[A-Z]\w*\b|\b\w+(?:Error|Exception)\b")


def classes(cls: type[VippsError] = VippsError) -> list[type[VippsError]]:
    """All errors of the package."""
    return [cls, *(each for below in cls.__subclasses__() for each in classes(below))]


def test_every_kind_of_error_has_a_name_in_plain_words() -> None:
    """Also one that is added later: its nearest parent's, and never that of its class."""
    assert len(classes()) > 20
    for cls in classes():
        result = RowResult(row=ROW, outcome=RowOutcome.REFUSED, idempotency_key="k", error=cls.__new__(cls))
        if isinstance(result.error, ApiError):
            result.error.errors = ()
        assert result.code, cls
        assert not CLASS.search(result.code), cls
    own = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, VippsError)}
    assert own <= {cls.__name__ for cls in classes()}


def test_vipps_own_code_comes_first() -> None:
    """It is what Vipps' support asks for."""
    error = CaptureError("no", status=400, errors=(ErrorInfo("Payment", "61", "too much"),))
    assert failed(ROW, "k", error, ECOM_API).code == "Payment 61"


@pytest.mark.parametrize(
    "message",
    [
        "the exchange with api.vipps.no failed (ServerDisconnectedError)",
        "the exchange with api.vipps.no failed (TransferEncodingError).",
        "the exchange with api.vipps.no failed (builtins.OSError)",
    ],
)
def test_what_happened_names_no_class_of_a_library(message: str) -> None:
    """And neither the payment, nor the key, nor what to do: those stand in columns of their own."""
    error = OutcomeUnknown(message, operation="ecom.capture", payment="order-1", idempotency_key="secret-key")
    result = failed(ROW, "secret-key", error, ECOM_API, hint="Vipps has of this payment: reserved 5.00 NOK.")
    assert result.what_happened == (
        "the exchange with api.vipps.no failed. Vipps has of this payment: reserved 5.00 NOK."
    )
    assert "money may have moved" in result.reason


#: Whether money moved, and a word of what to do, by how a row ended.
ENDINGS = {
    RowOutcome.DONE: ("yes", ""),
    RowOutcome.DONE_BEFORE: ("yes, before this run", ""),
    RowOutcome.FOUND_DONE: ("yes, by this run or before", ""),
    RowOutcome.OTHERWISE: ("yes, another amount", "by hand"),
    RowOutcome.OTHERWISE_BEFORE: ("yes, another amount, before this run", "by hand"),
    RowOutcome.REFUSED: ("no", "correct the row"),
    RowOutcome.NOT_DONE: ("no", "run the same file again"),
    RowOutcome.UNKNOWN: ("perhaps", "do nothing by hand"),
    RowOutcome.HELD: ("not by this row", "--another"),
    RowOutcome.NOT_BEGUN: ("not by this row", "run the same file again"),
}


@each_row("outcome", RowOutcome)
def test_each_row_says_whether_money_moved_and_what_to_do(tmp_path: Path, outcome: RowOutcome) -> None:
    """`no` only where it is proven: what an earlier run did for a row that was not sent now is not known."""
    store = new_row_store()
    with (tmp_path / "day.csv").open("w+b") as file:
        file.write(b"order_id,amount_nok,transaction_text\norder-1,5.00,x\n")
        file.seek(0)
        store.load(file, Layout(api=ECOM_API, operation=CAPTURE))
    (row,) = store.rows()
    error = VippsError("so", effect=Effect.POSSIBLE)
    store.save([RowResult(row=row, outcome=outcome, idempotency_key="k", error=error)])
    path = tmp_path / "report.csv"
    style = FileStyle(separator=";", encoding="utf-8-sig", decimal_sign=",")
    write_report(path, store.report(), ECOM_API, CAPTURE, ReportFormat.CSV, zone=OSLO, style=style)
    _, cells = open_csv(path.read_bytes())
    table = dict(zip(columns(ECOM_API, CAPTURE, OSLO), cells, strict=True))
    moved, words = ENDINGS[outcome]
    assert (table["money_moved"], table["what_happened"]) == (moved, "so.")
    assert words in str(table["what_to_do"])
    write_report(path, store.report(), ECOM_API, CAPTURE, ReportFormat.CSV, zone=OSLO, style=style, preview=True)
    table = dict(zip(columns(ECOM_API, CAPTURE, OSLO), open_csv(path.read_bytes())[1], strict=True))
    assert table["money_moved"] == (
        moved if outcome.is_earlier or outcome is RowOutcome.FOUND_DONE else "no: a dry run"
    )


@pytest.mark.parametrize(
    ("cause", "way_out", "is_released_by_naming"),
    [
        (None, "leave it if it is the one that was done before", True),
        (RowCause.UNDECIDED, "journal recover", True),
        (RowCause.DAMAGED, "journal discard", True),
        (RowCause.OWN_DAMAGED, "payment show", False),
        (RowCause.DROPPED, "journal send", False),
    ],
)
def test_each_row_that_is_held_has_its_way_out(
    cause: RowCause | None, way_out: str, *, is_released_by_naming: bool
) -> None:
    """The report names what settles it, and `--another` only where naming the payment releases it."""
    told = what_to_do(RowOutcome.HELD, cause, "order-1", None, "reference", preview=False)
    assert way_out in told
    assert ("--another order-1" in told) is is_released_by_naming


@pytest.mark.parametrize("cause", [None, *RowCause])
def test_what_is_unknown_is_never_said_not_to_have_moved(cause: RowCause | None) -> None:
    """Whatever stands under the row's key: it may have taken effect, and the same file finds out."""
    assert money_moved(RowOutcome.UNKNOWN, cause, is_plan=False) == "perhaps"
    told = what_to_do(RowOutcome.UNKNOWN, cause, "order-1", None, "reference", preview=False)
    assert told.startswith("run the same file again")
