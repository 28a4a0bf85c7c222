"""Keys that follow from what a job is about."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import each_row
from vipps_async import idempotency_keys
from vipps_async.errors import InvalidInputError
from vipps_async.idempotency_keys import derive_idempotency_key

#: Published in the docstring. They never change: jobs that began under one version end under another.
VECTORS: list[tuple[tuple[str | int, ...], str]] = [
    (("capture", "acme-shop-123-order123abc", 1), "d1-qyauamperjuhwdnm7znbvjxy7pqbqzb3"),
    (("a", "bc"), "d1-jod66jysr7bdl3rbrjaxw6whf3yu6qxn"),
    (("ab", "c"), "d1-cognxuzh5l272h3zjxlwsxa6parnrmf4"),
    ((1,), "d1-67sl3mb656wkammukbyfzyctvd37hfw3"),
    (("1",), "d1-5jglhb3t3pvweemldjy7ocjjy4s6zvnk"),
    ((-9223372036854775808, ""), "d1-c3skzjpittkpm6ynog2jglgyycg4zefv"),
    (("Blåbær", "🧦"), "d1-n4bqz4yj7tqovsiaht5kcpry7vtpujej"),
]

PARTS = st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.integers(-(2**63), 2**63 - 1), min_size=1).map(
    tuple
)


def tagged(parts: tuple[str | int, ...]) -> list[tuple[type, str | int]]:
    """The parts with their kinds, which `==` alone would mix up."""
    return [(type(part), part) for part in parts]


@pytest.mark.parametrize(("parts", "key"), VECTORS)
def test_published_vectors(parts: tuple[str | int, ...], key: str) -> None:
    """The published parts give the published keys."""
    assert derive_idempotency_key(*parts) == key


def test_the_docstring_publishes_the_vectors() -> None:
    """The docstring shows these very vectors."""
    assert idempotency_keys.derive_idempotency_key.__doc__ is not None
    published = re.findall(r"d1-[a-z2-7]{32}", idempotency_keys.derive_idempotency_key.__doc__)
    assert [key for _, key in VECTORS] == published


def test_the_same_in_another_process() -> None:
    """Another interpreter, with another hash seed, makes the same key."""
    code = "from vipps_async.idempotency_keys import derive_idempotency_key as d; print(d('a', 'bc'))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    assert done.stdout.strip() == derive_idempotency_key("a", "bc")


@given(PARTS)
def test_every_key_fits_a_header(parts: tuple[str | int, ...]) -> None:
    """Whatever the parts, the key has 35 characters that any header may hold."""
    assert re.fullmatch(r"d1-[a-z2-7]{32}", derive_idempotency_key(*parts))


@given(PARTS, PARTS)
def test_distinct_parts_have_distinct_keys(one: tuple[str | int, ...], other: tuple[str | int, ...]) -> None:
    """Two lists of parts have the same key exactly if they are the same."""
    assert (derive_idempotency_key(*one) == derive_idempotency_key(*other)) == (tagged(one) == tagged(other))


#: Parts that a careless recipe would mix up.
CONFUSABLE: list[tuple[tuple[str | int, ...], tuple[str | int, ...]]] = [
    (("a", "bc"), ("ab", "c")),
    ((1,), ("1",)),
    (("a",), ("a", "")),
    (("", "a"), ("a", "")),
    (("s1:a",), ("a",)),
    (("as1:b",), ("a", "b")),
    (("\u00e5",), ("a\u030a",)),
    (("A",), ("a",)),
    ((" a",), ("a",)),
    ((1, 2), (12,)),
    ((-1,), (1,)),
]


@each_row(("one", "other"), CONFUSABLE)
def test_confusable_parts(one: tuple[str | int, ...], other: tuple[str | int, ...]) -> None:
    """Parts that look alike have different keys; Unicode is taken as it is."""
    assert derive_idempotency_key(*one) != derive_idempotency_key(*other)


@each_row("part", [True, False, 1.0, None, b"a", ["a"], "\ud800", 2**63, -(2**63) - 1])
def test_other_parts_are_refused(part: Any) -> None:
    """A part that is neither text nor a whole number of 64 bits is refused."""
    with pytest.raises(InvalidInputError, match="parts"):
        derive_idempotency_key("a", part)


def test_no_parts_are_refused() -> None:
    """Without parts there is no key: it would be the same for everything."""
    with pytest.raises(InvalidInputError, match="parts"):
        derive_idempotency_key()
