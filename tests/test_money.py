"""Kroner into whole øre, exactly or not at all."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vipps_async import money
from vipps_async.errors import InvalidInputError
from vipps_async.money import LARGEST_AMOUNT, MINIMUM_AMOUNT, format_nok, nok


@pytest.mark.parametrize(
    ("kroner", "oere"),
    [
        ("499.00", 49900),
        ("499", 49900),
        ("0.01", 1),
        ("-5.50", -550),
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
    """Text, whole numbers and Decimals become whole øre."""
    assert oere == nok(kroner)
    assert type(nok(kroner)) is int


@pytest.mark.parametrize(
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
    """Floats, bools, other notations, parts of an øre and what no amount of Vipps can hold are refused by name."""
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
        assert nok("12345.67") == 1234567
        assert nok(Decimal("12345.67")) == 1234567


def test_the_applications_own_traps_do_not_matter() -> None:
    """An application that traps nothing still gets a refusal for what is no number."""
    with decimal.localcontext() as context:
        context.clear_traps()
        with pytest.raises(InvalidInputError):
            nok(Decimal("sNaN"))


@given(st.integers(-LARGEST_AMOUNT, LARGEST_AMOUNT))
def test_every_amount_round_trips(oere: int) -> None:
    """Whatever amount is written as kroner is read back as the same øre."""
    assert oere == nok(format_nok(oere).removesuffix(" NOK"))
    assert oere == nok(Decimal(oere).scaleb(-2))


@given(st.decimals() | st.text(max_size=12) | st.integers())
@example(Decimal("-0"))
@example("-0")
def test_whatever_comes_in(kroner: Decimal | str | int) -> None:
    """Any text or number is either an exact amount or refused, and nothing else is raised."""
    try:
        oere = nok(kroner)
    except InvalidInputError:
        return
    assert oere == Decimal(kroner) * 100


@pytest.mark.parametrize(
    ("oere", "shown"), [(49900, "499.00 NOK"), (1, "0.01 NOK"), (0, "0.00 NOK"), (-550, "-5.50 NOK"), (-5, "-0.05 NOK")]
)
def test_amounts_for_people(oere: int, shown: str) -> None:
    """Øre are shown as kroner with two decimals, the sign in front."""
    assert shown == format_nok(oere)


def test_the_smallest_amount() -> None:
    """Vipps moves no less than one krone."""
    assert nok(1) == MINIMUM_AMOUNT


def test_everything_public_is_listed() -> None:
    """What the module offers is what its __all__ names."""
    assert set(money.__all__) == {"LARGEST_AMOUNT", "MINIMUM_AMOUNT", "format_amount", "format_nok", "nok"}
