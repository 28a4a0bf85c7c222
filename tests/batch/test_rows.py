"""One row of a batch, and the key that it has in every run."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from tests.support.rows import each_row
from vipps_async import InvalidInputError, Money, derive_idempotency_key, eur, nok
from vipps_async.apis import APIS
from vipps_async.batch import BatchOperation, BatchRow, Origin
from vipps_async.core.batch import AmountRule
from vipps_async.not_given import NOT_GIVEN

ROW = BatchRow(payment="acme-1", text="Shipped.", amount=49900, reference="shipment-7")
ORIGIN = Origin(digest="ab" * 32, number=3, line=4)
CAPTURE = BatchOperation.CAPTURE


def test_the_key_follows_from_the_reference_by_the_documented_recipe() -> None:
    """Any program can derive it: batch, operation, sales unit, order, "reference" and the reference."""
    expected = derive_idempotency_key("batch", "capture", "123456", "acme-1", "reference", "shipment-7")
    assert expected == ROW.idempotency_key(CAPTURE, "123456")


def test_without_a_reference_it_follows_from_the_file_and_the_place_in_it() -> None:
    """The same bytes and the same row number: the same key, on any machine."""
    row = evolve(ROW, reference=None, origin=ORIGIN)
    expected = derive_idempotency_key("batch", "capture", "123456", "acme-1", "file", "ab" * 32, 3)
    assert expected == row.idempotency_key(CAPTURE, "123456")


@each_row(
    ("operation", "reference", "key"),
    [
        (BatchOperation.CAPTURE, "shipment-7", "d1-dxsti6rxnwqnrke5faevm7r77vv6y4xa"),
        (BatchOperation.CAPTURE, "Bl\xe5b\xe6r 7", "d1-kgsyp5na4syqere3iy57rvlwez4cl5jg"),
        (BatchOperation.CAPTURE, None, "d1-s2ob6sylromf5gsy6i3wtfyrxofsnufd"),
        (BatchOperation.REFUND, "shipment-7", "d1-rzuxd72nubss62ns5ek5rrrg3mgh2bty"),
        (BatchOperation.REFUND, "Bl\xe5b\xe6r 7", "d1-lwtgonnochg35w5o3is5yngs4vi3qffk"),
        (BatchOperation.REFUND, None, "d1-7rsmj6fgemnz2t7iforbxosqfaa5twhg"),
        (BatchOperation.CANCEL, "shipment-7", "d1-cibvmwpt4wwgtmi44qm6avjo7rpmzvsi"),
        (BatchOperation.CANCEL, "Bl\xe5b\xe6r 7", "d1-6osctycau25j45pdqatesl75voprokur"),
        (BatchOperation.CANCEL, None, "d1-ljgriejcs4srjm2kr5p5h2f3jvy672g3"),
    ],
)
def test_the_keys_of_rows_never_change(operation: BatchOperation, reference: str | None, key: str) -> None:
    """A row that was captured yesterday must have the same key today: a change of these moves money twice."""
    row = BatchRow(payment="acme-1", text="x", reference=reference, origin=ORIGIN)
    assert key == row.idempotency_key(operation, "123456")


def test_the_reference_counts_and_not_the_file() -> None:
    """A row with a reference is the same one in a file that was written anew."""
    assert ROW.idempotency_key(CAPTURE, "1") == evolve(ROW, origin=ORIGIN).idempotency_key(CAPTURE, "1")


def test_neither_amount_nor_text_is_part_of_it() -> None:
    """The same reference with another amount must be refused as a mismatch, not be another operation."""
    for amount in (100, nok(1), eur(1)):
        other = evolve(ROW, amount=amount, text="Else")
        assert ROW.idempotency_key(CAPTURE, "1") == other.idempotency_key(CAPTURE, "1")


@pytest.mark.parametrize(
    ("given", "minor_units"), [({}, None), ({"amount": 100}, 100), ({"amount": nok(1)}, 100), ({"amount": eur(1)}, 100)]
)
def test_amounts_in_minor_units(given: dict[str, Any], minor_units: int | None) -> None:
    """An amount is a number of minor units or Money; without one it is all that remains."""
    assert BatchRow(payment="a", reference="c", **given).minor_units == minor_units


def test_everything_that_makes_it_another_operation_is_part_of_it() -> None:
    """Order, sales unit, operation, reference, file and place each make another key."""
    unnamed = evolve(ROW, reference=None, origin=ORIGIN)
    keys = {
        ROW.idempotency_key(CAPTURE, "123456"),
        ROW.idempotency_key(CAPTURE, "654321"),
        ROW.idempotency_key(BatchOperation.REFUND, "123456"),
        evolve(ROW, payment="acme-2").idempotency_key(CAPTURE, "123456"),
        evolve(ROW, reference="shipment-8").idempotency_key(CAPTURE, "123456"),
        unnamed.idempotency_key(CAPTURE, "123456"),
        evolve(unnamed, origin=evolve(ORIGIN, number=4)).idempotency_key(CAPTURE, "123456"),
        evolve(unnamed, origin=evolve(ORIGIN, digest="cd" * 32)).idempotency_key(CAPTURE, "123456"),
    }
    assert len(keys) == 8


@each_row(
    "wrong",
    [
        {"payment": ""},
        {"payment": "x" * 256},
        {"amount": -1},
        {"amount": 0},
        {"amount": None},
        {"amount": 100.0},
        {"amount": 2**63},
        {"amount": Decimal(100)},
        {"amount": nok(0)},
        {"amount": Money(2**63, "NOK")},
        {"text": None},
        {"text": "x" * 1001},
        {"reference": ""},
        {"reference": "x" * 101},
        {"reference": "a\0b"},
        {"reference": None},
    ],
    ids=str,
)
def test_a_wrong_row_cannot_be_made(wrong: dict[str, object]) -> None:
    """A row that breaks a rule of all APIs is refused when it is made, not when its turn comes."""
    values: dict[str, object] = {"payment": "acme-1", "text": "Shipped.", "reference": "r"} | wrong
    with pytest.raises(InvalidInputError):
        BatchRow(**values)  # type: ignore[arg-type] # wrong on purpose


def test_no_amount_means_all_that_remains() -> None:
    """Leaving the amount out is the one way to say "everything"."""
    assert BatchRow(payment="a", text="b", reference="c").amount is NOT_GIVEN


def test_an_operation_that_must_be_given_an_amount_refuses_a_row_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it would be with one that adds to a payment: there is no "all that remains" of it."""
    monkeypatch.setattr(CAPTURE, "facts", evolve(CAPTURE.facts, amount=AmountRule.REQUIRED))
    APIS["ecom"].check(ROW, CAPTURE)
    with pytest.raises(InvalidInputError, match="given in the rows of a capture"):
        APIS["ecom"].check(evolve(ROW, amount=NOT_GIVEN), CAPTURE)


def test_an_operation_that_an_api_lacks_is_refused_by_name() -> None:
    """An operation that one API alone has is no bare KeyError in a batch over another one."""
    with pytest.raises(InvalidInputError, match="one that ecom has, not 'capture'"):
        evolve(APIS["ecom"], operations={}).check(ROW, CAPTURE)
