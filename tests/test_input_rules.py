"""The rules that arguments must keep."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from decimal import Decimal
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.rows import each_row
from vipps_async import input_rules as rules
from vipps_async.core.dialect import Dialect
from vipps_async.core.operation import Operation, Repeat
from vipps_async.ecom.operations import CAPTURE
from vipps_async.errors import InvalidInputError
from vipps_async.money import Money, dkk, eur, nok
from vipps_async.userinfo import USERINFO


class Text(str):
    """A subclass of str, as frameworks hand them out."""

    __slots__ = ()


def refused(check: Callable[[object], object], value: object) -> InvalidInputError:
    """Return the error that a check raises for a value."""
    with pytest.raises(InvalidInputError) as caught:
        check(value)
    return caught.value


@pytest.mark.parametrize("value", ["a", "acme-shop-123-order123abc", "0", "-", "a" * 50, Text("a-1"), "123"])
def test_order_ids(value: str) -> None:
    """1 to 50 letters, digits and hyphens are an order id, short ones and ones of digits included."""
    assert value == rules.check_order_id(value)


@each_row(
    "value",
    [
        "",
        "a" * 51,
        "a\n",
        "\na",
        "a b",
        "a/b",
        "..",
        ".",
        "a#1",
        "a?b",
        "ø",
        "١",
        "a_b",
        "a%2F",
        None,
        5,
        b"a",
        "a\x00",
    ],
)
def test_no_order_ids(value: object) -> None:
    """Anything else is refused, above all what could change a path, and a trailing line break."""
    error = refused(rules.check_order_id, value)
    assert ("order_id", value) == (error.parameter, error.value)
    assert isinstance(error, ValueError)


@settings(deadline=None)  # a busy machine is no failure
@given(st.text())
def test_no_order_id_changes_the_path(value: str) -> None:
    """An order id is refused, or stands in the path as it is."""
    try:
        rules.check_order_id(value)
    except InvalidInputError:
        return
    assert f"/ecomm/v2/payments/{value}/capture" == CAPTURE.path_for(value)


@pytest.mark.parametrize("value", [100, 49900, 2**31 - 1])
def test_amounts(value: int) -> None:
    """Whole øre from 1 NOK on are an amount, and so is as much Money."""
    assert [value, value] == [rules.check_amount(value), rules.check_amount(Money(value, "NOK"))]


@each_row(
    "value",
    [
        None,
        0,
        99,
        -100,
        2**31,
        True,
        False,
        100.0,
        math.nan,
        math.inf,
        Decimal(100),
        "100",
        b"100",
        [100],
        pytest.param(10**5000, id="huge"),
        nok("0.99"),
        dkk(100),
        eur(100),
        Money(10_000, "nok"),
        Money(2**31, "NOK"),
    ],
)
def test_no_amounts(value: object) -> None:
    """None, 0, bools, floats, Decimals, texts and sums in other currencies are refused."""
    assert refused(rules.check_amount, value).parameter == "amount"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(nok(49), "49.00"), (4_900, "49.00"), (nok("12.1"), "12.10"), (0, "0.00"), (5, "0.05"), (nok(0), "0.00")],
)
def test_shipping_costs(value: object, expected: str) -> None:
    """Money and whole øre are a shipping cost in kroner."""
    assert expected == str(rules.check_shipping_cost(value))


@each_row("value", [1.5, True, None, "49.00", -1, Decimal(1), Decimal("NaN"), "", 2**31, dkk(1), eur(0)])
def test_no_shipping_costs(value: object) -> None:
    """Floats, texts, Decimals, negative sums and other currencies are refused."""
    assert refused(rules.check_shipping_cost, value).parameter == "shipping_cost"


@pytest.mark.parametrize("value", ["a", "å" * 100, "Two lines\nand a\ttab", "🧦"])
def test_transaction_texts(value: str) -> None:
    """1 to 100 characters of any script are a text."""
    assert value == rules.check_transaction_text(value)


@each_row("value", ["", " ", "\n", "a" * 101, None, 5, b"a", "a\x00", "\x1b[0m", "\ud800"])
def test_no_transaction_texts(value: object) -> None:
    """Nothing, white space, too much, control characters and halves of characters are refused."""
    assert refused(rules.check_transaction_text, value).parameter == "transaction_text"


@pytest.mark.parametrize("value", ["a", "a" * 40, "order 12, part 3", "kRk3uEeiogxLu1yGSZRlNgsIv3TuNS"])
def test_idempotency_keys(value: str) -> None:
    """1 to 40 printable ASCII characters are a key."""
    assert value == rules.check_idempotency_key(value)


@each_row("value", ["", "a" * 41, "a\n", "a\r\nX: y", " a", "a ", "ø", None, 5, b"a", "\x7f"])
def test_no_idempotency_keys(value: object) -> None:
    """What a header cannot hold is refused."""
    assert refused(rules.check_idempotency_key, value).parameter == "idempotency_key"


def test_longer_idempotency_keys() -> None:
    """The header of the ePayment API takes 50 characters."""
    assert rules.check_idempotency_key("a" * 50, longest=50) == "a" * 50
    assert refused(lambda one: rules.check_idempotency_key(one, longest=50), "a" * 51).rule.startswith("1 to 50")


@pytest.mark.parametrize("value", ["123", "12345678901", "12345\n", 123456, "١٢٣٤٥", "", None])
def test_no_merchant_serial_numbers(value: object) -> None:
    """Only a text of 4 to 10 ASCII digits is a serial number."""
    assert rules.check_merchant_serial_number("12345") == "12345"
    assert refused(rules.check_merchant_serial_number, value).parameter == "merchant_serial_number"


@each_row("value", ["9123456", "912345678", "+4791234567", "9123 4567", "91234567\n", 91234567, "٩١٢٣٤٥٦٧", ""])
def test_no_mobile_numbers(value: object) -> None:
    """Only 8 ASCII digits are a phone number, and the error does not show what was given."""
    assert rules.check_mobile_number("91234567") == "91234567"
    error = refused(rules.check_mobile_number, value)
    assert (error.parameter, error.value) == ("mobile_number", None)
    assert not str(value) or str(value) not in f"{error} {error!r}"


@each_row("value", ["", "canary\n", "canary\r\nX: y", "canø", "canary" * 50, 5, None, " canary"])
def test_no_auth_tokens(value: object) -> None:
    """What a header cannot hold is refused, and the error does not show it."""
    assert rules.check_auth_token("a" * 255) == "a" * 255
    error = refused(rules.check_auth_token, value)
    assert (error.parameter, error.value) == ("auth_token", None)
    assert "can" not in f"{error} {error!r}"


@pytest.mark.parametrize("value", ["", "canary canary", "canary\n", 5, "canary" * 700])
def test_no_tokens(value: object) -> None:
    """A payment's token is visible ASCII, and the error does not show it."""
    assert rules.check_token("eyJ.x") == "eyJ.x"
    assert "canary" not in repr(refused(rules.check_token, value))


@each_row("value", ["", ".", "..", "../canary", "canary/..", "canary\\..", "can ary", "canary\n", "a" * 256, 5, "ø"])
def test_no_subs(value: object) -> None:
    """What could climb out of the path is no user's id, and the error does not show it."""
    error = refused(rules.check_sub, value)
    assert (error.parameter, error.value) == ("sub", None)
    assert "ary" not in f"{error} {error!r}"


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(st.characters(codec="ascii"), max_size=30))
def test_a_sub_stays_one_segment(value: str) -> None:
    """A user's id is refused, or stands in the path as one segment that decodes to it."""
    try:
        rules.check_sub(value)
    except InvalidInputError:
        return
    head, _, segment = USERINFO.path_for(value).rpartition("/")
    assert ("/vipps-userinfo-api/userinfo", value) == (head, unquote(segment))
    assert segment not in {".", ".."}
    assert "?" not in segment
    assert "#" not in segment


@pytest.mark.parametrize("value", [0, 1, None, "true", "", []])
def test_no_flags(value: object) -> None:
    """Only True and False are flags."""
    assert rules.check_flag("is_app", value=True)
    assert refused(lambda one: rules.check_flag("is_app", one), value).parameter == "is_app"


@pytest.mark.parametrize("value", [0, -1, True, math.inf, math.nan, None, "5"])
def test_no_seconds(value: object) -> None:
    """Only a positive, finite number is a span of time."""
    assert rules.check_seconds("timeout", 0.5) == 0.5
    assert refused(lambda one: rules.check_seconds("timeout", one), value).parameter == "timeout"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("name", "name"),
        ("name phoneNumber", "name phoneNumber"),
        (["name", "nin", "name"], "name nin"),
        (("email",), "email"),
        ((word for word in ("address", "birthDate")), "address birthDate"),
        ({"brandNew": 1}, "brandNew"),
    ],
)
def test_scopes(value: object, expected: str) -> None:
    """A scope is given as text or as strings, each value counts once, and later values are let through."""
    assert expected == rules.check_scope(value)


@each_row("value", ["", [], " ", "name  email", "name,email", "phonenumber", ["name email"], [5], 5, b"name", "name\n"])
def test_no_scopes(value: object) -> None:
    """Nothing, other separators and a known value in other capitals are refused."""
    assert refused(rules.check_scope, value).parameter == "scope"


HTTPS = [
    "https://example.com/vipps",
    "https://example.com",
    "https://[::1]:8443/x",
    "https://a.no/x_y/%20",
    "HTTPS://A.no",
]
NO_URLS: list[object] = [
    "",
    "example.com",
    "https://",
    "https:///x",
    "https:example.com",
    "https://example.com/ x",
    "https://example.com/x\n",
    "\nhttps://example.com",
    "https://exa\tmple.com",
    "https://example.com/ø",
    "https://canary:canary@example.com",
    "https://canary@example.com",
    "https://example.com\\@evil.com",
    "https://exam<ple>.com",
    "https://example.com:port",
    "https://example.com:0/",
    "https://example.com:99999/",
    "https://[::1",
    "https://[v1.x]/",
    "https://-a.com/",
    "https://example.com/" + "a" * 236,
    "http://example.com/vipps",
    "http://127.0.0.1.example.com/",
    "http://localhost@example.com/",
    "//example.com/x",
    "ftp://example.com/",
    "data:text/html,x",
    None,
    5,
    b"https://example.com",
]


@pytest.mark.parametrize("value", [*HTTPS, "https://example.com/" + "a" * 235])
def test_urls(value: str) -> None:
    """An https URL with a host and at most 255 characters is one that Vipps can call."""
    assert value == rules.check_callback_url("callback_prefix", value, loopback=False)
    assert value == rules.check_fall_back(value, loopback=False)


@each_row("value", NO_URLS)
def test_no_urls(value: object) -> None:
    """Anything else is refused, and what may be a password is not shown."""
    error = refused(lambda one: rules.check_callback_url("callback_prefix", one, loopback=True), value)
    assert error.parameter == "callback_prefix"
    assert "canary" not in f"{error} {error!r} {error.value}"
    error = refused(lambda one: rules.check_fall_back(one, loopback=True), value)
    assert error.parameter == "fall_back"
    assert "canary" not in f"{error} {error!r} {error.value}"


@pytest.mark.parametrize("value", ["http://127.0.0.1:8000/x", "http://localhost/x", "http://[::1]:8000/x"])
def test_loopback(value: str) -> None:
    """Plain http leads to this very machine only, and only where that is allowed."""
    assert value == rules.check_callback_url("callback_prefix", value, loopback=True)
    assert value == rules.check_fall_back(value, loopback=True)
    refused(lambda one: rules.check_callback_url("callback_prefix", one, loopback=False), value)
    refused(lambda one: rules.check_fall_back(one, loopback=False), value)


@pytest.mark.parametrize(
    "value",
    ["https://example.com/#x", "https://example.com/#", "INTENT", "myapp://x", "https://a.no/x?y=z", "https://a.no?"],
)
def test_what_vipps_cannot_call(value: str) -> None:
    """Vipps appends a path to a callback prefix, so that it can have no query or fragment, nor be an app."""
    refused(lambda one: rules.check_callback_url("callback_prefix", one, loopback=True), value)


@pytest.mark.parametrize("value", ["https://a.no/vipps/", "https://a.no/vipps//"])
def test_a_slash_at_the_end_of_a_prefix_is_taken_off(value: str) -> None:
    """Vipps puts its path behind the prefix as it is: a slash at its end would be there twice."""
    assert rules.check_callback_url("callback_prefix", value, loopback=False) == "https://a.no/vipps"


@pytest.mark.parametrize("value", ["https://a.no/x?y=z", "https://a.no/x/", "https://a.no/" + "x" * 2_487])
def test_a_url_that_is_called_as_it_is(value: str) -> None:
    """A callback URL of the ePayment API may have a query and 2,500 characters, and keeps the slash at its end."""
    assert value == rules.check_callback_url("callback_url", value, loopback=False, is_prefix=False)


@pytest.mark.parametrize("value", ["https://a.no/#x", "https://a.no/" + "x" * 2_488, "myapp://x", "INTENT"])
def test_no_url_that_is_called(value: str) -> None:
    """A callback URL has no fragment, leads to a server, and is not longer."""
    refused(lambda one: rules.check_callback_url("callback_url", one, loopback=True, is_prefix=False), value)


@pytest.mark.parametrize("value", ["INTENT", "https://a.no/" + "x" * 2_488, "http://a.no", "javascript://x"])
def test_no_return_url(value: str) -> None:
    """A return URL is a page or an app, up to 2,500 characters, and by its own name in the error."""
    assert (
        refused(lambda one: rules.check_return_url("return_url", one, loopback=True), value).parameter == "return_url"
    )


PUBLIC = [
    "https://example.com/vipps",
    "https://shop.example.com.:443/a.b/..c",
    "https://xn--blbr-roah.no:8080/x",
    "https://93.184.216.34/x",
    "https://[2606:2800:220:1::1]/x",
]
NOT_FOR_VIPPS = [
    "https://localhost/x",
    "https://shop/x",
    "https://shop.local/x",
    "https://shop.internal/x",
    "https://shop_1.example.com/x",
    "https://shop..example.com/x",
    "https://example.com//x",
    "https://example.com/a/../b",
    "https://example.com/%zz",
    "https://example.com/%1",
]


@pytest.mark.parametrize("value", PUBLIC)
def test_public_urls_are_for_vipps(value: str) -> None:
    """A public host passes Vipps' own check, and nothing is warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert value == rules.check_callback_url("callback_prefix", value, loopback=True, is_vipps=True)
        assert value == rules.check_fall_back(value, loopback=True, is_vipps=True)


@each_row("value", NOT_FOR_VIPPS)
def test_what_vipps_itself_refuses(value: str) -> None:
    """Vipps' own hosts refuse it, so it is refused before it is sent; another Vipps, on this machine, takes it."""
    error = refused(lambda one: rules.check_callback_url("callback_prefix", one, loopback=True, is_vipps=True), value)
    assert "Vipps refuses others" in str(error)
    refused(lambda one: rules.check_fall_back(one, loopback=True, is_vipps=True), value)
    assert value == rules.check_callback_url("callback_prefix", value, loopback=True)
    assert value == rules.check_fall_back(value, loopback=True)


@pytest.mark.parametrize(
    "value",
    ["http://127.0.0.1:8000/x", "https://127.0.0.1/x", "https://127.1.2.3/", "https://[::1]/", "https://0.0.0.0/"],
)
def test_vipps_calls_no_loopback(value: str) -> None:
    """Vipps cannot call back to this machine; the customer's browser can come back to it."""
    refused(lambda one: rules.check_callback_url("callback_prefix", one, loopback=True, is_vipps=True), value)
    assert value == rules.check_fall_back(value, loopback=True, is_vipps=True)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("https://192.168.1.5/x", "on 192.168.1.5"),
        ("https://10.0.0.1/x", "on 10.0.0.1"),
        ("https://[fd00::1]/x", "on fd00::1"),
        ("https://example.com:8443/x", "port 8443; Vipps calls 80, 443, 8080 only"),
    ],
)
def test_what_vipps_takes_but_does_not_reach(value: str, words: str) -> None:
    """Vipps takes the payment and never calls: that is warned of."""
    with pytest.warns(UserWarning, match="no callback will come") as caught:
        assert value == rules.check_callback_url("callback_prefix", value, loopback=True, is_vipps=True)
    assert words in str(caught[0].message)
    assert value == rules.check_callback_url("callback_prefix", value, loopback=True)


@pytest.mark.parametrize(
    "value",
    ["myapp://", "myapp://back?order=1", "no.shop.app://x", "intent://x#Intent;end", "INTENT", "https://a.no/#x"],
)
def test_ways_back(value: str) -> None:
    """The customer can come back to an app, or to a fragment of a page."""
    assert value == rules.check_fall_back(value, loopback=False)


@each_row(
    "value",
    [
        "javascript://x%0Aalert(1)",
        "JavaScript:alert(1)",
        "data://x",
        "file:///etc/passwd",
        "intent",
        "INTENT\n",
        "myapp:x",
        "vbscript://x",
        "blob://x",
        "myapp://canary:canary@x",
        "1app://x",
        "view-source://https://a.no",
        "ws://a.no",
    ],
)
def test_no_ways_back(value: str) -> None:
    """Schemes that a browser acts upon by itself lead to no app."""
    assert "canary" not in repr(refused(lambda one: rules.check_fall_back(one, loopback=True), value))


def test_a_path_without_placeholder_stays_as_it_is() -> None:
    """An operation whose path names no order ignores the segment."""
    operation = Operation(
        dialect=Dialect(name="toy"), verb="x", method="GET", path="/x", result=str, repeat=Repeat.SAFE
    )
    assert operation.path_for("a/b") == "/x"
