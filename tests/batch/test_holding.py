"""Which rows are held: the same order, operation and amount, where one side has no reference."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from attrs import evolve

from tests.batch.row_stores import new_row_store
from tests.support.rows import each_row
from vipps_async import nok
from vipps_async.batch import BatchOperation, BatchRow, Origin
from vipps_async.batch.holding import hold_of, hold_rows, met_by, met_text
from vipps_async.batch.layout import Layout
from vipps_async.batch.results import RowCause
from vipps_async.core.stored_error import write_drop
from vipps_async.core.undecided import PaymentRecord
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.journals.entries import Attempts, DamagedEntry, Entry, Intent, KeyOrigin, Outcome, Settlement
from vipps_async.journals.memory import MemoryJournal
from vipps_async.not_given import NOT_GIVEN

CAPTURE = BatchOperation.CAPTURE
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UNNAMED = BatchRow(payment="order-1", text="x", amount=1000, origin=Origin(digest="ab" * 32, number=1, line=2))
NAMED = evolve(UNNAMED, reference="s-1")


def entry(
    outcome: Outcome | None = Outcome.DONE,
    *,
    reference: str = "",
    api: str = "ecom",
    operation: str = "capture",
    amount: int | None = 1000,
    key: str = "k",
    origin: KeyOrigin = KeyOrigin.GIVEN,
) -> Entry:
    """What the journal has of the order."""
    intent = Intent(
        key=key,
        api=api,
        operation=operation,
        payment="order-1",
        merchant_serial_number="123456",
        amount=amount,
        currency="NOK",
        digest="d",
        created_at=NOW,
        reference=reference,
        origin=origin,
    )
    settlement = None if outcome is None else Settlement(outcome=outcome, settled_at=NOW)
    return Entry(intent=intent, settlement=settlement, lease_until=NOW, attempts=Attempts(last_at=NOW))


@each_row(
    ("row", "reference"),
    [(UNNAMED, ""), (UNNAMED, "s-1"), (NAMED, "")],
    ids=["neither is named", "the entry is", "the row is"],
)
@each_row("outcome", [None, Outcome.DONE], ids=["open", "done"])
@each_row("api", ["ecom", "epayment"])
def test_a_row_is_held_unless_both_sides_have_a_reference(
    row: BatchRow, reference: str, outcome: Outcome | None, api: str
) -> None:
    """Whatever the text, and whichever API did it."""
    found = entry(outcome, reference=reference, api=api)
    assert met_by(row, CAPTURE, "mine", [found], api="ecom") is found


@pytest.mark.parametrize("is_dropped", [False, True])
def test_two_references_do_not_tell_a_row_from_what_is_not_decided(*, is_dropped: bool) -> None:
    """What is open or dropped may yet take effect: by hand another one is refused as well, and a batch holds its row.

    Once it is settled, or another amount is asked for, they are two operations.
    """
    found = dropped("theirs") if is_dropped else entry(None, key="theirs")
    found = evolve(found, intent=evolve(found.intent, reference="s-2"))
    hold = hold_of(NAMED, CAPTURE, "mine", PaymentRecord(entries=(found,)), api="ecom", is_released=False)
    assert hold is not None
    assert hold.cause is RowCause.UNDECIDED
    assert hold.reason.startswith("meets a capture of 10.00 NOK over ecom, which is open, with reference s-2 and the")
    assert hold.reason.endswith(", and its outcome is not known: run this row again once that is settled")
    assert ("was dropped" in hold.reason or "dropped by hand" in hold.reason) is is_dropped
    assert met_by(evolve(NAMED, amount=999), CAPTURE, "mine", [found], api="ecom") is None
    assert hold_of(NAMED, CAPTURE, "mine", PaymentRecord(entries=(found,)), api="ecom", is_released=True) is None


def test_an_open_row_of_the_same_file_holds_none_of_its_siblings() -> None:
    """A file may well capture the same sum twice: a worker that has the first in its hands holds up no other one."""
    found = entry(None, key="sibling", reference="s-2")
    assert met_by(NAMED, CAPTURE, "mine", [found], api="ecom", file_keys=["sibling"]) is None


@pytest.mark.parametrize("is_sibling", [True, False])
async def test_the_keys_of_named_siblings_are_known(*, is_sibling: bool) -> None:
    """What is open under the reference of another row of the file holds nothing; of another file it holds both rows."""
    journal = MemoryJournal()
    await journal.open()
    with new_row_store() as store:
        content = b"order_id,amount_ore,transaction_text,reference\norder-1,1000,x,s-1\norder-1,1000,x,s-2\n"
        store.load(io.BytesIO(content), Layout(api=ECOM_API, operation=CAPTURE))
        key = evolve(NAMED, reference="s-2").idempotency_key(CAPTURE, "123456") if is_sibling else "theirs"
        await journal.begin(entry(None, key=key, reference="s-2").intent, owner="somebody", lease=60)
        await hold_rows(store, ECOM_API, CAPTURE, "123456", journal)
        assert [row.line for row in store.held_rows()] == ([] if is_sibling else [2, 3])


def test_a_row_in_money_is_held_too() -> None:
    """It is the sum that counts, however it was given."""
    found = entry()
    assert met_by(evolve(UNNAMED, amount=nok(10)), CAPTURE, "mine", [found], api="ecom") is found


@each_row(
    ("row", "entries"),
    [
        (NAMED, [entry(reference="s-2")]),
        (UNNAMED, []),
        (UNNAMED, [entry(amount=1001)]),
        (evolve(UNNAMED, amount=nok("10.01")), [entry()]),
        (UNNAMED, [entry(amount=None)]),
        (UNNAMED, [entry(operation="refund")]),
        (UNNAMED, [entry(Outcome.REFUSED)]),
        (UNNAMED, [entry(Outcome.NOT_DONE)]),
        (evolve(UNNAMED, amount=NOT_GIVEN), [entry(amount=None), entry()]),
    ],
    ids=[
        "two names",
        "nothing",
        "another amount",
        "another sum",
        "all",
        "refund",
        "refused",
        "not done",
        "a row that takes all",
    ],
)
def test_what_holds_no_row(row: BatchRow, entries: list[Entry]) -> None:
    """Another wish, or one without effect."""
    assert met_by(row, CAPTURE, "mine", entries, api="ecom") is None


@pytest.mark.parametrize("outcome", [None, Outcome.DONE])
def test_a_row_does_not_meet_itself(outcome: Outcome | None) -> None:
    """An entry under its own key is an earlier run of this very row, also where it was released from another entry."""
    assert met_by(UNNAMED, CAPTURE, "mine", [entry(), entry(outcome, key="mine")], api="ecom") is None


@pytest.mark.parametrize("row", [UNNAMED, NAMED], ids=["by its place in the file", "by its reference"])
@pytest.mark.parametrize("amount", [1000, 1])
def test_the_same_row_over_another_api_is_the_same_wish(row: BatchRow, amount: int) -> None:
    """Its key is the same over every API: what is done over one of them is not done again over another."""
    found = entry(api="epayment", key="mine", reference=row.reference or "", amount=amount)
    assert met_by(row, CAPTURE, "mine", [found], api="ecom") is found
    assert met_by(row, CAPTURE, "mine", [found], api="epayment") is None


def test_a_refused_entry_of_its_own_releases_nothing() -> None:
    """It had no effect: what it met before still counts."""
    other = entry()
    assert met_by(UNNAMED, CAPTURE, "mine", [other, entry(Outcome.REFUSED, key="mine")], api="ecom") is other


def test_a_cancel_is_never_held() -> None:
    """Twice it does no more than once."""
    row = evolve(UNNAMED, amount=NOT_GIVEN)
    assert met_by(row, BatchOperation.CANCEL, "mine", [entry(operation="cancel", amount=None)], api="ecom") is None


def test_what_is_met_is_told() -> None:
    """Amount, state, reference and key."""
    assert met_text(entry(reference="s-7"), UNNAMED) == (
        "meets a capture of 10.00 NOK over ecom, done 2026-01-02 03:04:05 UTC, with reference s-7 and the key k"
    )
    assert (
        met_text(entry(None), UNNAMED)
        == "meets a capture of 10.00 NOK over ecom, which is open, with no reference and the key k"
    )


DAMAGED = DamagedEntry(position=7, payment="order-1", reason="its row is malformed")
CANCEL_ROW = evolve(UNNAMED, amount=NOT_GIVEN)


def reason(
    record: PaymentRecord,
    row: BatchRow = UNNAMED,
    operation: BatchOperation = CAPTURE,
    *,
    is_released: bool = False,
) -> str:
    """Why a row with the key "mine" is held."""
    found = hold_of(row, operation, "mine", record, api="ecom", is_released=is_released)
    if found is None:
        return ""
    # Only what was dropped under the row's own key is not released by naming its payment.
    assert (found.cause is RowCause.DROPPED) is found.reason.startswith("was dropped")
    return found.reason


@pytest.mark.parametrize(
    ("row", "operation"),
    [
        (NAMED, CAPTURE),
        (evolve(NAMED, amount=1), CAPTURE),
        (evolve(UNNAMED, amount=NOT_GIVEN), BatchOperation.REFUND),
        (CANCEL_ROW, BatchOperation.CANCEL),
    ],
    ids=["named", "another amount", "all that is left", "cancel"],
)
def test_what_cannot_be_read_holds_every_row_of_its_payment(row: BatchRow, operation: BatchOperation) -> None:
    """It may be any operation; named as another one, the payment's rows go on."""
    record = PaymentRecord(entries=(entry(reference="s-2"),), damaged=(DAMAGED,))
    assert reason(record, row, operation) == (
        "is of a payment of which the journal has what cannot be read, and may have moved money: entry 7 of the "
        "journal, payment order-1 (its row is malformed)"
    )
    assert reason(record, row, operation, is_released=True) == ""


def dropped(key: str, *, operation: str = "capture") -> Entry:
    """An open entry that somebody has dropped."""
    return evolve(entry(None, key=key, operation=operation), attempts=Attempts(last_at=NOW, refusal=write_drop(NOW)))


@pytest.mark.parametrize("is_released", [False, True])
def test_what_was_dropped_is_not_sent_again_by_a_batch(*, is_released: bool) -> None:
    """Under its own key a row is what was dropped, also if its payment is named: the way back is another command."""
    record = PaymentRecord(entries=(dropped("mine"),))
    found = reason(record, is_released=is_released)
    assert found == "was dropped by hand on 2026-01-02 03:04:05 UTC: `vipps-async journal send mine` sends it again"
    cancel = PaymentRecord(entries=(dropped("mine", operation="cancel"),))
    assert reason(cancel, CANCEL_ROW, BatchOperation.CANCEL, is_released=is_released) == found


def test_what_was_dropped_is_open_to_other_rows() -> None:
    """It holds what may be the same, as anything open does, and that is released by naming its payment."""
    record = PaymentRecord(entries=(dropped("-other"),))
    found = reason(record)
    assert found.startswith("meets a capture of 10.00 NOK over ecom, which is open, with no reference and the key -oth")
    assert found.endswith("`vipps-async journal send -- -other` sends it again")
    assert reason(record, is_released=True) == ""
    assert reason(record, evolve(UNNAMED, amount=1)) == ""


def test_what_was_dropped_and_has_ended_holds_nothing() -> None:
    """Settled as never done, it is over, and the row may be begun again."""
    over = Settlement(outcome=Outcome.NOT_DONE, answer=write_drop(NOW), settled_at=NOW)
    assert reason(PaymentRecord(entries=(evolve(dropped("mine"), settlement=over),))) == ""


@pytest.mark.parametrize("outcome", [None, Outcome.DONE], ids=["open", "done"])
@pytest.mark.parametrize("amount", [900, 1100])
def test_another_amount_of_a_row_of_another_file_may_be_a_correction(outcome: Outcome | None, amount: int) -> None:
    """Neither has a reference: the amount was changed in the file after it was carried out, or another one is meant."""
    found = entry(outcome, amount=amount, origin=KeyOrigin.ROW)
    assert met_by(UNNAMED, CAPTURE, "mine", [found], api="ecom") is found
    assert met_text(found, UNNAMED).endswith("; this row has another amount: is it a correction, or another one?")


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (NAMED, entry(amount=900, origin=KeyOrigin.ROW)),
        (UNNAMED, entry(amount=900, origin=KeyOrigin.ROW, reference="s-1")),
        (UNNAMED, entry(amount=900, origin=KeyOrigin.GIVEN)),
        (UNNAMED, entry(amount=900, origin=KeyOrigin.ROW, key="same-file")),
        (UNNAMED, entry(Outcome.REFUSED, amount=900, origin=KeyOrigin.ROW)),
        (UNNAMED, entry(amount=900, origin=KeyOrigin.ROW, operation="refund")),
    ],
    ids=["the row is named", "the entry is", "by hand", "of the same file", "refused", "refund"],
)
def test_what_is_no_correction(row: BatchRow, found: Entry) -> None:
    """A name tells two operations apart, and so do two rows of one file; what is done by hand is no row at all."""
    assert met_by(row, CAPTURE, "mine", [found], api="ecom", file_keys=["same-file"]) is None


def test_the_same_amount_is_met_before_another() -> None:
    """What is most likely the same operation is what is told."""
    other, same = entry(amount=900, origin=KeyOrigin.ROW, key="a"), entry(origin=KeyOrigin.ROW, key="b")
    assert met_by(UNNAMED, CAPTURE, "mine", [other, same], api="ecom") is same
