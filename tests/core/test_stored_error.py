"""Which refusals last, and that they come back from the journal as what they were."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import each_row
from vipps_async import errors
from vipps_async.core.stored_error import is_permanent, read_stored_error, write_stored_error
from vipps_async.ecom.dialect import ECOM
from vipps_async.errors import ApiError, CaptureError, Effect, ErrorInfo, RefundError
from vipps_async.journals.entries import Outcome, Settlement

CLASSES = [
    cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, ApiError) and cls is not ApiError
]
CODES = [str(number) for number in range(20, 100)] + ["1082", "1501", "4711"]
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


def on_record(answer: bytes) -> Settlement:
    """Make a settlement as a journal gives it back."""
    return Settlement(outcome=Outcome.REFUSED, answer=answer, settled_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


@each_row("cls", CLASSES)
def test_every_class_comes_back_as_itself(cls: type[ApiError]) -> None:
    """Class, status, codes and advice survive; the text says since when it is on record and that nothing was sent."""
    error = cls("no", status=402, errors=(ErrorInfo("Payment", "61", "too much", "ctx"),), advice="ask details")
    again = read_stored_error(on_record(write_stored_error(error)), RefundError)
    assert type(again) is cls
    assert (again.status, again.errors, again.retryable) == (402, error.errors, False)
    assert again.message == "no; on record since 2026-01-02 03:04:05 UTC, nothing was sent now"
    assert again.advice == "ask details; use a new idempotency key for a new try"


def test_without_advice_the_class_gives_its_own() -> None:
    """An error that was recorded without advice still says what to do."""
    again = read_stored_error(on_record(write_stored_error(CaptureError("no", status=400, advice=""))), CaptureError)
    assert again.advice == CaptureError.default_advice


@given(st.lists(st.tuples(TEXT, TEXT, TEXT, st.none() | TEXT), max_size=3), TEXT)
def test_codes_and_texts_of_any_kind_survive(infos: list[tuple[str, str, str, str | None]], text: str) -> None:
    """Whatever Vipps wrote comes back as it was read."""
    error = CaptureError(text, status=400, errors=tuple(ErrorInfo(*info) for info in infos))
    again = read_stored_error(on_record(write_stored_error(error)), RefundError)
    assert again.errors == error.errors


@each_row(
    "answer",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b"{}",
        orjson.dumps({"class": "CaptureError", "message": "m", "status": "x", "advice": "", "errors": []}),
        orjson.dumps({"class": "CaptureError", "message": "m", "status": 400, "advice": "", "errors": [["a"]]}),
        orjson.dumps({"class": "CaptureError", "message": "m", "status": 400, "advice": "", "errors": 7}),
    ],
)
def test_a_record_that_cannot_be_read_is_still_a_refusal(answer: bytes) -> None:
    """A damaged record becomes the operation's own error: it was refused, only the reason is gone."""
    again = read_stored_error(on_record(answer), CaptureError)
    assert type(again) is CaptureError
    assert "cannot be read" in again.message
    assert again.effect is Effect.NONE


@pytest.mark.parametrize("name", ["Effect", "ConfigurationError", "Any", "os", "LaterError"])
def test_a_class_that_is_no_api_error_is_never_made(name: str) -> None:
    """A name from a later version, or a forged one, makes nothing but the operation's own error."""
    record = {"class": name, "message": "m", "status": 400, "advice": "", "errors": [["Payment", "61", "t", None]]}
    again = read_stored_error(on_record(orjson.dumps(record)), CaptureError)
    assert type(again) is CaptureError
    assert again.errors[0].code == "61"


@given(st.binary(max_size=60) | st.recursive(st.none() | TEXT | st.integers(), st.lists).map(repr).map(str.encode))
def test_no_record_makes_it_fail(answer: bytes) -> None:
    """No bytes whatever make reading a record raise."""
    assert isinstance(read_stored_error(on_record(answer), CaptureError), ApiError)


FOREVER = {
    ("Payment", "73"),
    ("Payment", "93"),
    ("Payment", "95"),
    ("Payment", "96"),
    ("Payment", "98"),
    ("Merchant", "34"),
}


@each_row(
    ("group", "code"),
    [
        *((group, code) for group in ("Payment", "VippsError", "User", "Customer", "Merchant") for code in CODES),
        ("InvalidRequest", "amount"),
        ("Merchant", "merchantInfo.fallBack.invalid"),
        ("", ""),
    ],
)
def test_only_what_can_never_change_lasts(group: str, code: str) -> None:
    """A reason that another reservation, another capture or a word with Vipps can mend leaves the key usable."""
    error = CaptureError("no", status=400, errors=(ErrorInfo(group, code, "t"),))
    assert is_permanent(error, ECOM) is ((group, code) in FOREVER)


def test_what_may_be_sent_again_does_not_last() -> None:
    """A refusal beside which stands a code that settles nothing is not one for ever, nor one of a token."""
    infos = (ErrorInfo("Payment", "73", "t"),)
    assert not is_permanent(CaptureError("no", status=400, errors=infos, retryable=True), ECOM)
    error = CaptureError("no", status=400, errors=infos)
    error.__cause__ = CaptureError("no", status=400, operation="token.get")
    assert not is_permanent(error, ECOM)
    assert not is_permanent(CaptureError("no", status=400), ECOM)
