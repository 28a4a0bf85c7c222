"""What is read from JSON and written to it."""

from __future__ import annotations

import copy
import logging
import math
import pickle
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Optional

import orjson
import pytest
from attrs import field, frozen
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.rows import each_row
from vipps_async import CaptureResult, PaymentDetails, RefundResult, ShippingDetails
from vipps_async.core.converter import NOT_IN_JSON, STRICT, YES_NO, UnreadableAnswer, decode, encode, json_name
from vipps_async.core.open_enum import OpenEnum
from vipps_async.core.operation import NoContent
from vipps_async.core.unread_fields import unread_fields
from vipps_async.not_given import NOT_GIVEN, NotGiven
from vipps_async.userinfo import UserInfo


class Colour(OpenEnum):
    """Two colours, named otherwise than they are written."""

    DARK = "Red"
    LIGHT = "Blue"


@frozen(kw_only=True)
class Part:
    """A part of a Sample."""

    post_code: str = field(metadata=json_name("postCode", "zipCode"))


@frozen(kw_only=True)
class Sample:
    """A model with a field of every kind, none of which may be unreadable."""

    whole: int
    some_text: str | None = field(default=None, metadata=STRICT)
    flag: bool | None = field(default=None, metadata=STRICT)
    price: Decimal | None = field(default=None, metadata=STRICT)
    time_stamp: datetime | None = field(default=None, metadata=STRICT)
    colour: Colour | None = field(default=None, metadata=STRICT)
    line1: str | None = field(default=None, metadata=STRICT)
    part: Part | None = field(default=None, metadata=STRICT)
    parts: tuple[Part, ...] = field(default=(), metadata=STRICT)
    words: tuple[str, ...] = field(default=(), metadata=STRICT)
    is_default: bool = field(default=False, metadata=YES_NO)
    local: str = field(default="here", metadata=NOT_IN_JSON)


def read(**fields: object) -> Sample:
    """Decode a Sample whose JSON has these fields."""
    return decode(orjson.dumps({"whole": 1, **fields}), Sample)


def refusal(value: object, cls: type[Any] = Sample) -> str:
    """Return why a value cannot be read."""
    with pytest.raises(UnreadableAnswer) as caught:
        decode(value if isinstance(value, bytes) else orjson.dumps(value), cls)
    return caught.value.reason


def test_names_become_camel_case() -> None:
    """Snake case in Python is camel case in JSON, in both directions."""
    assert encode(Sample(whole=1, some_text="a")) == b'{"whole":1,"someText":"a","parts":[],"words":[],"isDefault":"N"}'
    assert read(someText="a", line1="b") == Sample(whole=1, some_text="a", line1="b")


def test_irregular_names_have_aliases() -> None:
    """A field with other names is read under each of them and written under the first."""
    assert Part(post_code="0154") == decode(b'{"postCode":"0154"}', Part)
    assert Part(post_code="0154") == decode(b'{"zipCode":"0154"}', Part)
    assert Part(post_code="0154") == decode(b'{"zipCode":"9999","postCode":"0154"}', Part)
    assert encode(Part(post_code="0154")) == b'{"postCode":"0154"}'


def test_what_is_not_there_is_left_out() -> None:
    """None and NOT_GIVEN leave no trace in the JSON."""

    @frozen(kw_only=True)
    class Sum:
        amount: int | NotGiven | None

    assert b"{}" == encode(Sum(amount=None)) == encode(Sum(amount=NOT_GIVEN))
    assert encode(Sum(amount=0)) == b'{"amount":0}'
    assert repr(NOT_GIVEN) == "NOT_GIVEN"


def test_fields_outside_json_keep_their_default() -> None:
    """What JSON never holds is neither written nor believed."""
    assert read(local="there").local == "here"
    assert b"local" not in encode(Sample(whole=1, local="there"))


def test_unknown_fields_are_ignored() -> None:
    """A field that Vipps adds later does not disturb."""
    assert Sample(whole=1) == read(brandNew={"deep": [1, 2]})


def test_null_is_the_same_as_missing() -> None:
    """A null gives the field its default; for a required field it counts as missing."""
    assert Sample(whole=1) == read(someText=None, parts=None, isDefault=None)
    assert refusal({"whole": None}) == "whole is missing"


@pytest.mark.parametrize(("value", "expected"), [(5, 5), ("5", 5), ("-5", -5), (49900.0, 49900), ("007", 7)])
def test_whole_numbers(value: object, expected: int) -> None:
    """A whole number may come as number, as text, or as a float that is whole."""
    assert expected == read(whole=value).whole


@each_row("value", [True, "5.0", "", " 5", "5\n", "٥", "9" * 19, 1.5, 2.0**60, [5], {"a": 5}])
def test_no_whole_numbers(value: object) -> None:
    """Anything else is no whole number: no bool, no fraction, no digits of other scripts."""
    assert refusal({"whole": value}) == "whole is not a whole number"


@pytest.mark.parametrize(("value", "expected"), [("a", "a"), ("", ""), (5001446662, "5001446662")])
def test_texts(value: object, expected: str) -> None:
    """A text may come as a whole number."""
    assert expected == read(someText=value).some_text


@pytest.mark.parametrize("value", [True, 1.5, 10**30, ["a"], {}])
def test_no_texts(value: object) -> None:
    """No text comes from a bool, or from a float, which may have lost digits of an id."""
    body = b'{"whole":1,"someText":%s}' % (str(value).encode() if value == 10**30 else orjson.dumps(value))
    assert refusal(body) == "someText is not a text"


@pytest.mark.parametrize(
    ("value", "expected"), [(True, True), (False, False), ("true", True), ("False", False), ("TRUE", True)]
)
def test_bools(value: object, expected: bool) -> None:  # noqa: FBT001 - a parameter of the test, not of an API
    """A bool may come as text."""
    assert expected is read(flag=value).flag


@pytest.mark.parametrize("value", [0, 1, "yes", "", "Y", [], 1.0])
def test_no_bools(value: object) -> None:
    """Numbers and other words are no bools."""
    assert refusal({"whole": 1, "flag": value}) == "flag is not true or false"


def test_yes_and_no() -> None:
    """Where Vipps writes Y and N, these are written, and read like true and false."""
    assert b'"isDefault":"Y"' in encode(Sample(whole=1, is_default=True))
    assert [read(isDefault=value).is_default for value in ("Y", "N", True, "false")] == [True, False, True, False]
    assert refusal({"whole": 1, "isDefault": "maybe"}) == "isDefault is not true or false"


@pytest.mark.parametrize(
    ("json", "expected"),
    [(b"12.1", "12.1"), (b'"12.10"', "12.10"), (b"12", "12"), (b"0.1", "0.1"), (b"-3", "-3"), (b"499.00", "499.0")],
)
def test_decimals_without_noise(json: bytes, expected: str) -> None:
    """A decimal number is read as it was written, without the noise of binary fractions."""
    price = decode(b'{"whole":1,"price":%s}' % json, Sample).price
    assert expected == str(price)


@pytest.mark.parametrize("value", ["NaN", "1e5", "", "1,5", "1.", True, [1]])
def test_no_decimals(value: object) -> None:
    """Words, exponents in text and commas are no decimal numbers."""
    assert refusal({"whole": 1, "price": value}) == "price is not a decimal number"


@pytest.mark.parametrize(
    ("value", "expected"), [("12.10", b"12.10"), ("499", b"499"), ("1E+2", b"100"), ("0.30", b"0.30")]
)
def test_decimals_are_written_exactly(value: str, expected: bytes) -> None:
    """A decimal number is written as a JSON number with its own digits."""
    assert b'"price":%s,' % expected in encode(Sample(whole=1, price=Decimal(value)))


@each_row(
    ("value", "expected"),
    [
        ("2018-12-12T11:18:38.246Z", datetime(2018, 12, 12, 11, 18, 38, 246_000, tzinfo=UTC)),
        ("2018-12-12T11:18:38Z", datetime(2018, 12, 12, 11, 18, 38, tzinfo=UTC)),
        ("2018-12-12T11:18:38.2", datetime(2018, 12, 12, 11, 18, 38, 200_000, tzinfo=UTC)),
        ("2018-12-12T11:18:38.123456789Z", datetime(2018, 12, 12, 11, 18, 38, 123_456, tzinfo=UTC)),
        ("2018-12-12T12:18:38.5+01:00", datetime(2018, 12, 12, 11, 18, 38, 500_000, tzinfo=UTC)),
        ("2018-12-12T12:18:38+0100", datetime(2018, 12, 12, 11, 18, 38, tzinfo=UTC)),
        ("2018-12-12T11:18:38.12 Z", datetime(2018, 12, 12, 11, 18, 38, 120_000, tzinfo=UTC)),
        ("2018-12-12 11:18:38", datetime(2018, 12, 12, 11, 18, 38, tzinfo=UTC)),
    ],
)
def test_times(value: str, expected: datetime) -> None:
    """Times come with or without zone and with any number of fraction digits, and are read as UTC."""
    time = read(timeStamp=value).time_stamp
    assert expected == time
    assert time is not None
    assert time.tzinfo is UTC


@each_row(
    "value",
    [
        "",
        "yesterday",
        "2018-13-12T11:18:38Z",
        "2018-12-12",
        "0001-01-01T00:00:00+23:00",
        5,
        True,
        "2018-W50-3T11:18:38Z",
    ],
)
def test_no_times(value: object) -> None:
    """What is no point in time is refused, at the edge of the calendar too."""
    assert refusal({"whole": 1, "timeStamp": value}) == "timeStamp is not a time"


def test_known_enum_values() -> None:
    """A known value is the member itself."""
    assert Colour.DARK is read(colour="Red").colour
    assert Colour.DARK.known
    assert str(Colour.DARK) == "Red"
    assert hash("Red") == hash(Colour.DARK)


def test_enum_values_that_come_later() -> None:
    """An unknown value keeps its text, says that it is unknown, and equals nothing but that text."""
    green = read(colour="Green").colour
    assert green is not None
    assert not green.known
    assert green == Colour("Green")
    assert [green] == ["Green"]
    assert (str(green), green.value) == ("Green", "Green")
    assert {green}.isdisjoint({Colour.DARK, Colour.LIGHT, "green", "GREEN"})
    assert hash("Green") == hash(green)
    assert list(Colour) == [Colour.DARK, Colour.LIGHT]
    assert b'"colour":"Green"' in encode(Sample(whole=1, colour=green))
    assert green == pickle.loads(pickle.dumps(green)) == copy.deepcopy(green)  # noqa: S301 - made in this very line


def test_an_unknown_value_may_look_like_a_members_name() -> None:
    """The name that a member has in Python means nothing in JSON."""
    assert not Colour("DARK").known
    assert Colour("DARK") != Colour.DARK


def test_enums_are_texts() -> None:
    """A number is no value of an enum, in JSON nor in Python."""
    assert refusal({"whole": 1, "colour": 5}) == "colour is not a text"
    with pytest.raises(ValueError, match="5 is not a valid Colour"):
        Colour(5)  # type: ignore[arg-type]  # the point of the test


def test_lists_are_lists() -> None:
    """Neither a text nor an object is taken apart as if it were a list."""
    assert (Part(post_code="1"), Part(post_code="2")) == read(parts=[{"postCode": "1"}, {"zipCode": 2}]).parts
    assert refusal({"whole": 1, "words": "abc"}) == "words is not a list"
    assert refusal({"whole": 1, "parts": {}}) == "parts is not a list"


def test_the_path_of_the_field_is_named() -> None:
    """The reason names where in the JSON the trouble is, by the names in the JSON."""
    entry = {"operation": "RESERVE", "amount": 1, "operationSuccess": True}
    body = {"orderId": "a", "transactionLogHistory": [entry, {**entry, "amount": "canary"}]}
    assert refusal(body, PaymentDetails) == "transactionLogHistory[1].amount is not a whole number"
    assert refusal({"orderId": "a", "transactionInfo": {"status": "x"}}, CaptureResult) == (
        "transactionInfo.amount is missing"
    )
    assert refusal({"orderId": "a", "transactionInfo": ["x"]}, RefundResult) == "transaction is not an object"


@pytest.mark.parametrize(
    "body", [b"", b"<html>canary</html>", b'{"whole":', b"\xff\xfe", b"[" * 1500, b"NaN", b'"\\ud800"']
)
def test_what_is_no_json(body: bytes) -> None:
    """Bytes that are no JSON are refused without being quoted."""
    assert refusal(body) == "the body is not JSON"


@pytest.mark.parametrize("body", [b"[]", b"null", b"5", b'"canary"', b"true"])
def test_what_is_no_object(body: bytes) -> None:
    """JSON that is no object is no model, not even one whose fields are all optional."""
    assert refusal(body) == "the answer is not an object"
    assert refusal(body, UserInfo) == "the answer is not an object"


def test_a_model_that_refuses_its_values() -> None:
    """What a model's own checks refuse is unreadable as well, at the model's place."""

    @frozen(kw_only=True)
    class Basket:
        methods: tuple[ShippingDetails, ...]

    method = {"shippingCost": "-1", "shippingMethod": "canary", "shippingMethodId": "a"}
    assert refusal({"methods": [method]}, Basket) == "methods[0] is not readable"
    assert refusal(method, ShippingDetails) == "the answer is not readable"


def test_a_byte_order_mark_is_skipped() -> None:
    """Some servers begin their JSON with a byte order mark, of any Unicode form."""
    assert decode(b'\xef\xbb\xbf{"whole":1}', Sample).whole == 1
    for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
        assert decode('\ufeff{"whole":1,"someText":"ø"}'.encode(encoding), Sample).some_text == "ø"


def test_nothing_of_the_body_travels_with_the_error() -> None:
    """Neither the error nor what hangs on it holds a value of the body."""
    for body in (b'{"whole":"canary"}', b'{"canary"', b'{"whole":1,"timeStamp":"canary"}'):
        with pytest.raises(UnreadableAnswer) as caught:
            decode(body, Sample)
        assert caught.value.__context__ is None
        assert caught.value.__cause__ is None
        assert "canary" not in f"{caught.value!r} {caught.value}"


def test_an_answer_without_content_needs_no_body() -> None:
    """An operation whose answer does not matter reads nothing or any JSON, but not a proxy's page."""
    assert NoContent() == decode(b"", NoContent) == decode(b"{}", NoContent)
    with pytest.raises(UnreadableAnswer):
        decode(b"<html>", NoContent)


def test_a_bare_list() -> None:
    """An answer that is a list of models is read as a tuple of them; what is wrong is named with its place."""
    wanted = tuple[Part, ...]
    assert decode(b'[{"postCode": "0154"}, {"zipCode": 5}]', wanted) == (Part(post_code="0154"), Part(post_code="5"))
    assert decode(b"[]", wanted) == ()
    for body, reason in (
        (b'{"postCode": "1"}', "not a list"),
        (b"", "not JSON"),
        (b'[{"postCode": "1"}, {}]', r"\[1\]"),
    ):
        with pytest.raises(UnreadableAnswer, match=reason):
            decode(body, wanted)


@frozen(kw_only=True)
class Labelled:
    """A model with names of somebody's own choosing."""

    labels: Mapping[str, str] | None = None
    needed: Mapping[str, str] | None = field(default=None, metadata=STRICT)


def test_names_of_somebodys_own_choosing() -> None:
    """An object of texts is read as it is: numbers become texts, nulls count as missing."""
    body = b'{"labels": {"a": "1", "b": 2, "camelCase": "c", "none": null}}'
    assert decode(body, Labelled).labels == {"a": "1", "b": "2", "camelCase": "c"}
    before = unread_fields().get("Labelled.labels", 0)
    for labels in (b"[]", b'"text"', b'{"a": 1.5}', b'{"a": ["b"]}'):
        assert decode(b'{"labels": ' + labels + b"}", Labelled).labels is None
        with pytest.raises(UnreadableAnswer, match=r"^needed is not"):
            decode(b'{"needed": ' + labels + b"}", Labelled)
    assert unread_fields()["Labelled.labels"] == before + 4


samples = st.builds(
    Sample,
    whole=st.integers(-(10**18) + 1, 10**18 - 1),
    some_text=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    flag=st.none() | st.booleans(),
    # As many digits as a JSON number keeps on its way through a float.
    price=st.none() | st.decimals(-(10**9), 10**9, places=2),
    time_stamp=st.none()
    | st.datetimes(
        datetime.fromisoformat("1900-01-01"),
        datetime.fromisoformat("9000-01-01"),
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=2))]),
    ),
    colour=st.none() | st.sampled_from(Colour) | st.text(st.characters(exclude_categories=["Cs"])).map(Colour),
    part=st.none() | st.builds(Part, post_code=st.text(st.characters(exclude_categories=["Cs"]))),
    parts=st.lists(st.builds(Part, post_code=st.just("0154")), max_size=3).map(tuple),
    words=st.lists(st.text(st.characters(codec="ascii")), max_size=3).map(tuple),
    is_default=st.booleans(),
)


@settings(deadline=None)  # a busy machine is no failure
@given(samples)
def test_round_trip(sample: Sample) -> None:
    """What is written is read back as it was."""
    assert sample == decode(encode(sample), Sample)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "orderId",
                    "transactionInfo",
                    "transaction",
                    "transactionSummary",
                    "transactionLogHistory",
                    "amount",
                    "operation",
                    "operationSuccess",
                    "timeStamp",
                    "shippingDetails",
                    "shippingCost",
                    "address",
                    "other_addresses",
                ]
            )
            | st.text(st.characters(exclude_categories=["Cs"])),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(deadline=None)  # a busy machine is no failure
@given(json_values, st.sampled_from([CaptureResult, RefundResult, PaymentDetails, UserInfo, Sample]))
@example({"orderId": "a", "transactionLogHistory": "abc"}, PaymentDetails)
@example({"shippingDetails": {"shippingCost": 1e308}}, PaymentDetails)
def test_any_json_is_read_or_refused(value: object, cls: type[object]) -> None:
    """Whatever JSON comes: a model, or UnreadableAnswer, and nothing else."""
    try:
        model = decode(orjson.dumps(value), cls)
    except UnreadableAnswer as error:
        assert error.reason  # noqa: PT017 - both ends are fine
    else:
        assert isinstance(model, cls)


@settings(deadline=None)  # a busy machine is no failure
@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Whatever bytes come: a model, or UnreadableAnswer, and nothing else."""
    try:
        assert isinstance(decode(body, UserInfo), UserInfo)
    except UnreadableAnswer as error:
        assert error.reason  # noqa: PT017 - both ends are fine


# --- optional fields -----------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Shelf:
    """A model with optional fields of every kind, and in every spelling."""

    whole: int | None = None
    old_style: Optional[int] = field(default=None, metadata=STRICT)  # noqa: UP045 - what the test is about
    words: tuple[str, ...] | None = field(default=None, metadata=STRICT)
    gaps: tuple[int | None, ...] = field(default=(), metadata=STRICT)
    colour: Colour | None = None
    part: Part | None = field(default=None, metadata=STRICT)
    parts: tuple[Part | None, ...] | None = field(default=None, metadata=STRICT)
    is_default: bool | None = field(default=None, metadata={**YES_NO, **STRICT})
    needed: int | None


def test_optional_fields() -> None:
    """An optional field is read as what it is when it is there, and as None when it is null."""
    shelf = {
        "whole": "5",
        "oldStyle": 6.0,
        "words": ["a", 1],
        "gaps": [1, None, "2"],
        "colour": "Red",
        "part": {"zipCode": 154},
        "parts": [None, {"postCode": "1"}],
        "isDefault": "Y",
        "needed": 1,
    }
    assert decode(orjson.dumps(shelf), Shelf) == Shelf(
        whole=5,
        old_style=6,
        words=("a", "1"),
        gaps=(1, None, 2),
        colour=Colour.DARK,
        part=Part(post_code="154"),
        parts=(None, Part(post_code="1")),
        is_default=True,
        needed=1,
    )
    assert decode(b'{"needed":1,"whole":null,"part":null,"words":null,"isDefault":null}', Shelf) == Shelf(needed=1)


@each_row(
    ("shelf", "reason"),
    [
        ({}, "needed is missing"),
        ({"needed": None}, "needed is missing"),
        ({"needed": "x"}, "needed is not a whole number"),
        ({"needed": 1, "oldStyle": []}, "oldStyle is not a whole number"),
        ({"needed": 1, "gaps": [1, None, "x"]}, "gaps[2] is not a whole number"),
        ({"needed": 1, "words": "ab"}, "words is not a list"),
        ({"needed": 1, "part": []}, "part is not an object"),
        ({"needed": 1, "parts": [None, {}]}, "parts[1].postCode is missing"),
        ({"needed": 1, "isDefault": "maybe"}, "isDefault is not true or false"),
    ],
)
def test_optional_fields_that_do_not_fit(shelf: dict[str, object], reason: str) -> None:
    """Optional does not mean that anything goes; the reason says where and why."""
    assert refusal(shelf, Shelf) == reason


def test_an_alias_does_not_change_what_was_read() -> None:
    """The name that is written wins over its aliases, and a null gives way to an alias."""
    assert decode(b'{"postCode":null,"zipCode":"1"}', Part) == Part(post_code="1")
    assert decode(b'{"postCode":"2","zipCode":null}', Part) == Part(post_code="2")
    assert refusal({"postCode": None, "zipCode": None}, Part) == "postCode is missing"


@frozen(kw_only=True)
class Parcel:
    """A model of which only the number and the sum count."""

    number: str
    sum: int | None = field(default=None, metadata=STRICT)
    sent_at: datetime | None = None
    colour: Colour | None = None
    weight: Decimal | None = field(default=None, metadata=json_name("weightInKilos"))
    part: Part | None = None
    parts: tuple[Part, ...] = ()
    is_big: bool | None = field(default=None, metadata=YES_NO)


@each_row("value", [[], {}, "", "x", True, 1.5, -1, [1], {"a": 1}, "9" * 40])
def test_an_optional_field_that_cannot_be_read_is_none(value: object) -> None:
    """It never sinks what counts, and a good field beside it is read; what counts stays strict."""
    for name, default in (("sentAt", None), ("colour", None), ("weightInKilos", None), ("part", None), ("parts", ())):
        # Some of them are a colour, a weight or a list.
        if (name, type(value)) in {("colour", str), ("weightInKilos", int), ("weightInKilos", float)}:
            continue
        parcel = decode(orjson.dumps({"number": "a", name: value, "isBig": "Y"}), Parcel)
        assert getattr(parcel, {"sentAt": "sent_at", "weightInKilos": "weight"}.get(name, name)) == default
        assert parcel.is_big is True
    if value != -1:
        assert refusal({"number": "a", "sum": value}, Parcel) == "sum is not a whole number"


def test_what_could_not_be_read_is_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """Each time counts; the log has the name the first, tenth and hundredth time, and never the value."""

    @frozen(kw_only=True)
    class Crate:
        sent_at: datetime | None = None
        weight: Decimal | None = None

    caplog.set_level(logging.WARNING, "vipps_async")
    for _ in range(101):
        decode(b'{"sentAt":"canary","weight":1}', Crate)
    assert unread_fields()["Crate.sentAt"] == 101
    assert "Crate.weight" not in unread_fields()
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        f"event=vipps.field_unread field=Crate.sentAt count={count} level=warning" for count in (1, 10, 100)
    ]


LONG = 2**20


def _history(entry: bytes, last: bytes) -> bytes:
    times = (LONG - 100) // (len(entry) + 1)
    return b'{"orderId":"a","transactionLogHistory":[' + (entry + b",") * times + last + b"]}"


GOOD = b'{"amount":1,"operation":"CAPTURE","operationSuccess":true,"timeStamp":"2018-12-12T11:18:38Z"%s}'
NO_TIMES = (
    b'{"amount":1,"operation":"X","operationSuccess":true,"timeStamp":[],"requestId":{},"transactionId":1.5,"x":"%s"}'
)


@each_row(
    "body",
    [
        _history(b"{}", b"{}"),
        _history(b"1", b"1"),
        _history(b'{"amount":"x"}', b"{}"),
        _history(GOOD % (b',"x":"' + b"a" * 440 + b'"'), b"{}"),
        _history(NO_TIMES % (b"a" * 1000), b"{}"),
        b'{"orderId":"a","transactionLogHistory":' + b"[" * 500 + b"]" * 500 + b',"x":"' + b"a" * LONG + b'"}',
        b'{"orderId":[' + b"1," * (LONG // 2) + b"1]}",
        b'{"orderId":"a","transactionLogHistory":"' + b"a" * LONG + b'"}',
        b"<" * LONG,
        b"[" * LONG,
    ],
    ids=lambda body: repr(body[:60]),
)
def test_an_unreadable_mebibyte_is_quickly_told(body: bytes) -> None:
    """Only the first fault of an unreadable answer is looked for: it takes the processor less than 50 ms."""
    best = math.inf
    for _ in range(3):
        # The thread's own time: what other processes take of the machine says nothing about the reading.
        start = time.thread_time()
        with pytest.raises(UnreadableAnswer):
            decode(body, PaymentDetails)
        best = min(best, time.thread_time() - start)
    assert best < 0.05


names = st.sampled_from(
    [
        name
        for each in ("whole", "some_text", "flag", "price", "time_stamp", "colour", "part", "parts", "words", "gaps")
        for name in (each, "".join(part.title() if at else part for at, part in enumerate(each.split("_"))))
    ]
    + ["isDefault", "oldStyle", "needed", "postCode", "zipCode", "line1", "local"]
)
nearly_right = st.one_of(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["5", "x", "Red", "Y", "true", "2018-12-12T11:18:38Z", "2018-12-12 11:18:38 Z", "2018-12-12T25:00:00Z"]
    ),
)
WISHES = {
    "missing",
    "not readable",
    "not an object",
    "not a list",
    "not a text",
    "not a time",
    "not true or false",
    "not a whole number",
    "not a decimal number",
}
nearly_models = st.recursive(
    nearly_right,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=6),
    max_leaves=20,
)


@settings(deadline=None, max_examples=400)  # a busy machine is no failure
@given(
    json_values
    | st.dictionaries(names, nearly_models, max_size=8)
    | st.dictionaries(names, nearly_models, max_size=8).map(lambda rest: {**rest, "whole": 1, "needed": 1}),
    st.sampled_from([CaptureResult, RefundResult, PaymentDetails, UserInfo, ShippingDetails, Sample, Shelf, Part]),
)
@example({"zipCode": "1"}, Part)
@example({"whole": 1, "parts": [{"zipCode": "1"}, {"zipCode": None}]}, Sample)
def test_nearly_right_answers(value: object, cls: type[Any]) -> None:
    """What is read is read again from what it writes, as the same; what is not names a place and a wish."""
    try:
        model = decode(orjson.dumps(value), cls)
    except UnreadableAnswer as error:
        assert error.reason.partition(" is ")[2] in WISHES  # noqa: PT017 - both ends are fine
    else:
        assert decode(encode(model), cls) == model


@each_row(
    "value",
    [
        "2018-12-12T11:18:38Z",
        "2018-12-12 11:18:38Z",
        "2018-12-12T11:18:38 Z",
        "2018-12-12 11:18:38 Z",
        "2018-12-12 11:18:38",
        "2018-12-12T11:18:38.000000 Z",
        "2018-12-12T11:18:38.0000009Z",
        "2018-12-12 11:18:38.0 +00:00",
        "2018-12-12T13:18:38 +0200",
        "2018-12-12T09:18:38 -02:00",
    ],
)
def test_times_however_they_are_spaced(value: str) -> None:
    """A T or a space in the middle, a space before the zone, a Z, an offset or nothing: the same moment in UTC."""
    time = read(timeStamp=value).time_stamp
    assert time == datetime(2018, 12, 12, 11, 18, 38, tzinfo=UTC)
    assert time is not None
    assert time.tzinfo is UTC


@each_row(
    "value",
    [
        " 2018-12-12T11:18:38Z",
        "2018-12-12T11:18:38Z ",
        "2018-12-12T11:18:38Z\n",
        "2018-12-12T11:18:38  Z",
        "2018-12-12  11:18:38Z",
        "2018-12-12T 11:18:38Z",
        "2018-12-12T11:18:38\tZ",
        "2018-12-12t11:18:38z",
        "2018-02-30T11:18:38Z",
        "2018-12-12T11:60:38Z",
        "2018-12-12T11:18:38.Z",
        "٢018-12-12T11:18:38Z",
    ],
)
def test_times_that_are_spaced_otherwise_are_refused(value: str) -> None:
    """Spaces in other places, small letters and moments that do not exist are no times."""
    assert refusal({"whole": 1, "timeStamp": value}) == "timeStamp is not a time"


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.datetimes(datetime.fromisoformat("0001-01-01"), datetime.fromisoformat("9999-12-31")),
    st.integers(0, 9),
    st.sampled_from("T "),
    st.sampled_from(["", "Z", " Z", "+00:00", " +0000"]),
)
def test_any_time_in_utc(moment: datetime, digits: int, between: str, zone: str) -> None:
    """However a moment in UTC is written, it is read to the microsecond, and what is finer is cut off."""
    fraction = f"{moment.microsecond:06d}999"[:digits]
    text = f"{moment:%Y-%m-%d}".zfill(10) + between + f"{moment:%H:%M:%S}" + (f".{fraction}" if fraction else "") + zone
    exact = moment.replace(microsecond=int(fraction[:6].ljust(6, "0") or 0), tzinfo=UTC)
    assert read(timeStamp=text).time_stamp == exact
