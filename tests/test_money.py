"""Sums in minor units: made exactly or not at all, and reckoned with in one currency only."""

from __future__ import annotations

import decimal
import enum
import operator
import pickle
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from attrs.exceptions import FrozenInstanceError
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.rows import each_row
from vipps_async import money
from vipps_async.core.converter import UnreadableAnswer, decode, encode
from vipps_async.errors import InvalidInputError
from vipps_async.money import LARGEST_AMOUNT, MINIMUM_AMOUNT, Money, dkk, eur, format_nok, nok

#: Any sum that can be made.
VALUES = st.integers(0, LARGEST_AMOUNT)


class Percent(enum.IntEnum):
    """A whole number that is more than one."""

    TWENTY_FIVE = 25


@each_row(
    ("kroner", "oere"),
    [
        ("499.00", 49900),
        ("499", 49900),
        ("0.01", 1),
        ("007.10", 710),
        ("1.230", 123),
        (499, 49900),
        (0, 0),
        (Decimal("19.90"), 1990),
        (Decimal("1E+2"), 10000),
        (Decimal("1.000"), 100),
        ("21474836.47", LARGEST_AMOUNT),
    ],
)
def test_exact_amounts(kroner: str | int | Decimal, oere: int) -> None:
    """Text, whole numbers and Decimals become whole minor units of each currency."""
    assert [Money(oere, "NOK"), Money(oere, "DKK"), Money(oere, "EUR")] == [nok(kroner), dkk(kroner), eur(kroner)]
    assert type(nok(kroner).value) is int


@each_row(
    "kroner",
    [
        499.0,
        0.1,
        float("nan"),
        True,
        None,
        b"499",
        "",
        " ",
        ".",
        "-",
        "-5.50",
        -1,
        Decimal("-0.01"),
        "499,50",
        "1 000",
        "1_000",
        "1e3",
        "+5",
        "--5",
        "5.5.5",
        "499.00\n",
        "\n499",
        "٤٩٩",
        "½",
        "²",
        "NaN",
        "Infinity",
        "0.001",
        "499.999",
        "21474836.48",
        21474837,
        -21474837,
        pytest.param(10**5000, id="5000 digits"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("0.005"),
        Decimal("1E+999999"),
        Decimal("1E-999999"),
        Decimal("1." + "0" * 40 + "1"),
        Decimal("1." + "0" * 400 + "1"),
        "9" * 5000,
        [499],
    ],
)
def test_what_is_no_exact_amount(kroner: Any) -> None:
    """Floats, bools, other notations, parts of an øre, less than nothing and too much are refused by name."""
    with pytest.raises(InvalidInputError, match=r"^amount must be kroner as str, int or Decimal") as caught:
        nok(kroner)
    assert caught.value.parameter == "amount"


@pytest.mark.parametrize("kroner", ["477,80", "1,000.00", "5,"])
def test_a_comma_is_answered_with_the_point(kroner: str) -> None:
    """Whoever writes kroner as in Norway is told how they are written here."""
    with pytest.raises(InvalidInputError, match=r"with a point before the decimals, such as '477\.80'"):
        nok(kroner)


def test_the_applications_own_precision_does_not_matter() -> None:
    """An application that reckons with three digits still gets every øre."""
    with decimal.localcontext() as context:
        context.prec = 3
        assert nok("12345.67").value == 1234567
        assert nok(Decimal("12345.67")).value == 1234567


def test_the_applications_own_traps_do_not_matter() -> None:
    """An application that traps nothing still gets a refusal for what is no number."""
    with decimal.localcontext() as context:
        context.clear_traps()
        with pytest.raises(InvalidInputError):
            nok(Decimal("sNaN"))


@given(VALUES, st.sampled_from([nok, dkk, eur]))
def test_every_sum_round_trips(value: int, make: Callable[[str | Decimal], Money]) -> None:
    """Whatever sum is written for people, or as a Decimal, is read back as the same sum."""
    money = make(Decimal(value).scaleb(-2))
    assert value == money.value
    assert money == make(str(money).removesuffix(f" {money.currency}"))


@given(st.decimals() | st.text(max_size=12) | st.integers())
@example(Decimal("-0"))
@example("-0")
def test_whatever_comes_in(kroner: Decimal | str | int) -> None:
    """Any text or number is either an exact sum or refused, and nothing else is raised."""
    try:
        made = nok(kroner)
    except InvalidInputError:
        return
    assert made.value == Decimal(kroner) * 100


@given(st.lists(VALUES), st.sampled_from(["NOK", "DKK", "EUR", "SEK"]))
def test_sums_add_up(values: list[int], currency: str) -> None:
    """Sums of one currency add up to what their minor units add up to, and each can be taken away again."""
    total = sum((Money(value, currency) for value in values), start=Money(0, currency))
    assert Money(sum(values), currency) == total
    for value in values:
        total -= Money(value, currency)
    assert not total


@given(VALUES, VALUES)
@example(1, 1)
def test_sums_are_ordered(one: int, other: int) -> None:
    """Sums of one currency are ordered as their minor units are."""
    first, second = Money(one, "EUR"), Money(other, "EUR")
    assert (one < other, one <= other, one > other, one >= other, one == other) == (
        first < second,
        first <= second,
        first > second,
        first >= second,
        first == second,
    )
    assert hash(first) == hash(second) or one != other


@pytest.mark.parametrize("reckon", [operator.add, operator.sub, operator.lt, operator.le, operator.gt, operator.ge])
def test_currencies_do_not_mix(reckon: Callable[[object, object], object]) -> None:
    """Two currencies are neither added, subtracted nor ordered, and neither is a sum with a bare number."""
    with pytest.raises(InvalidInputError, match=r"^currency must be NOK as in the other sum, not 'DKK'"):
        reckon(nok(2), dkk(1))
    for number in (1, 1.0, Decimal(1), None):
        with pytest.raises(TypeError):
            reckon(nok(2), number)
        with pytest.raises(TypeError):
            reckon(number, nok(2))


def test_equal_sums() -> None:
    """Sums are equal in value and currency, never equal to a number, and nothing is false."""
    assert nok(1) == Money(100, "NOK")
    assert len({nok(1), dkk(1), eur(1), nok("1.00")}) == 3
    number: object = 100
    assert nok(1) != number
    assert (bool(nok(0)), bool(nok("0.01"))) == (False, True)


def test_no_less_than_nothing() -> None:
    """A difference below 0 is refused: no sum is negative."""
    with pytest.raises(InvalidInputError, match=r"^value must be a whole number of minor units, 0 or more, not -1"):
        nok("1.00") - nok("1.01")


@pytest.mark.parametrize("value", [-1, 1.0, True, "1", None, Decimal(1), Percent.TWENTY_FIVE])
def test_values_that_are_none(value: Any) -> None:
    """A sum has a whole number from 0 up, of exactly that type."""
    with pytest.raises(InvalidInputError) as caught:
        Money(value, "NOK")
    assert caught.value.parameter == "value"


@pytest.mark.parametrize("currency", ["", None, 578, b"NOK"])
def test_currencies_that_are_none(currency: Any) -> None:
    """A currency is a text."""
    with pytest.raises(InvalidInputError) as caught:
        Money(1, currency)
    assert caught.value.parameter == "currency"


def test_money_in_json() -> None:
    """A sum is read and written as Vipps does; a currency that nobody knows yet is kept, a negative value refused."""
    assert decode(b'{"value": 49900, "currency": "SEK"}', Money) == Money(49_900, "SEK")
    assert encode(nok("499.00")) == b'{"value":49900,"currency":"NOK"}'
    for body in (b'{"value": -1, "currency": "NOK"}', b'{"value": 1.5, "currency": "NOK"}', b'{"value": 1}', b"100"):
        with pytest.raises(UnreadableAnswer):
            decode(body, Money)


def test_money_is_frozen_and_can_be_pickled() -> None:
    """A sum cannot be changed, and goes to other processes."""
    with pytest.raises(FrozenInstanceError):
        nok(1).value = 2  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(eur(5))) == eur(5)  # noqa: S301 - our own bytes
    assert (str(eur(5)), repr(eur(5))) == ("5.00 EUR", "Money(value=500, currency='EUR')")


@pytest.mark.parametrize(
    ("oere", "shown"), [(49900, "499.00 NOK"), (1, "0.01 NOK"), (0, "0.00 NOK"), (-550, "-5.50 NOK"), (-5, "-0.05 NOK")]
)
def test_amounts_for_people(oere: int, shown: str) -> None:
    """Øre are shown as kroner with two decimals, the sign in front."""
    assert shown == format_nok(oere)


def test_the_smallest_amount() -> None:
    """Vipps moves no less than one krone."""
    assert nok(1).value == MINIMUM_AMOUNT


def test_everything_public_is_listed() -> None:
    """What the module offers is what its __all__ names."""
    public = {"LARGEST_AMOUNT", "MINIMUM_AMOUNT", "Money", "dkk", "eur", "format_amount", "format_nok", "nok"}
    assert public == set(money.__all__)
