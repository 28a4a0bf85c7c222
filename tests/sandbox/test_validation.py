"""Request bodies: what is right passes, and each single fault is refused under the name of its field."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.rows import each_row
from vipps_async.sandbox.wire.ecom_bodies import (
    check_order_id,
    check_request_id,
    read_approval,
    read_cancellation,
    read_initiation,
    read_payment_action,
    violations_of_shipping_answer,
)
from vipps_async.sandbox.wire.ecom_fields import EcomViolations
from vipps_async.sandbox.wire.face import Ignored, Refusal
from vipps_async.sandbox.wire.fields import drop_nulls, read_json

MISSING = object()

STATIC_SHIPPING = {
    "isDefault": "Y",
    "priority": 1,
    "shippingCost": 49.5,
    "shippingMethod": "Parcel",
    "shippingMethodId": "parcel",
}


def _initiation() -> dict[str, Any]:
    return {
        "customerInfo": {"mobileNumber": "91234567"},
        "merchantInfo": {
            "merchantSerialNumber": "123456",
            "callbackPrefix": "https://example.com/callbacks",
            "fallBack": "https://example.com/result",
            "authToken": "a token",
            "isApp": False,
            "paymentType": "eComm Regular Payment",
        },
        "transaction": {
            "orderId": "acme-1",
            "amount": 49900,
            "transactionText": "One pair of socks.",
            "skipLandingPage": False,
            "scope": "name phoneNumber",
            "useExplicitCheckoutFlow": True,
            "additionalData": {
                "passengerName": "FLYER / MARY MS.",
                "airlineCode": "074",
                "airlineDesignatorCode": "KL",
                "ticketNumber": "074-5799804843",
                "agencyInvoiceNumber": "123456",
            },
        },
    }


def _express() -> dict[str, Any]:
    body = _initiation()
    body["merchantInfo"]["paymentType"] = "eComm Express Payment"
    body["merchantInfo"]["consentRemovalPrefix"] = "https://example.com/consents"
    body["merchantInfo"]["staticShippingDetails"] = [dict(STATIC_SHIPPING)]
    del body["transaction"]["scope"]
    return body


def _with(body: dict[str, Any], place: str, value: object) -> dict[str, Any]:
    body = copy.deepcopy(body)
    *parents, name = place.split(".")
    node: Any = body
    for parent in parents:
        node = node[int(parent)] if parent.isdigit() else node[parent]
    if value is MISSING:
        del node[name]
    else:
        node[name] = value
    return body


def _codes(refusal: Refusal) -> list[tuple[str, str]]:
    body: Any = refusal.body
    return [(error["errorGroup"], error["errorCode"]) for error in body]


def test_right_bodies_pass() -> None:
    """Regular, express, app and minimal initiations are taken as they are."""
    read_initiation(_initiation())
    read_initiation(_express())
    for name in ("customerInfo.mobileNumber", "transaction.scope", "merchantInfo.authToken"):
        read_initiation(_with(_initiation(), name, MISSING))
    # Of older descriptions, which the vendor's Python example was made after.
    for name in ("timeStamp", "refOrderId"):
        read_initiation(_with(_initiation(), f"transaction.{name}", "2018-12-12T11:18:38.246"))


def test_a_phone_number_may_be_a_number() -> None:
    """So the vendor's Python example sends it; what is written afterwards is text, and a bad one is 81 all the same."""
    body = _with(_initiation(), "customerInfo.mobileNumber", 91234567)
    read_initiation(body)
    assert body["customerInfo"]["mobileNumber"] == "91234567"
    with pytest.raises(Refusal) as caught:
        read_initiation(_with(_initiation(), "customerInfo.mobileNumber", 9123456))
    assert _codes(caught.value) == [("User", "81")]
    assert read_approval({"customerPhoneNumber": 91234567}) == ("91234567", None)


@each_row(
    ("place", "value"),
    [
        ("customerInfo", MISSING),
        ("customerInfo", []),
        ("customerInfo.mobileNumber", 91234567.0),
        ("customerInfo.mobileNumber", True),
        ("merchantInfo", MISSING),
        ("merchantInfo.merchantSerialNumber", MISSING),
        ("merchantInfo.merchantSerialNumber", "1234"),
        ("merchantInfo.merchantSerialNumber", "1234567"),
        ("merchantInfo.merchantSerialNumber", "12345\n"),
        ("merchantInfo.callbackPrefix", MISSING),
        ("merchantInfo.callbackPrefix", "http://example.com/callbacks"),
        ("merchantInfo.callbackPrefix", "https://"),
        ("merchantInfo.callbackPrefix", "https://example.com:99999/"),
        ("merchantInfo.callbackPrefix", "https://example.com/a b"),
        ("merchantInfo.callbackPrefix", "https://example.com/" + "a" * 240),
        ("merchantInfo.callbackPrefix", ""),
        ("merchantInfo.callbackPrefix", None),
        ("merchantInfo.fallBack", MISSING),
        ("merchantInfo.fallBack", "example.com"),
        ("merchantInfo.fallBack", "http://example.com"),
        ("merchantInfo.fallBack", "javascript://alert(1)"),
        ("merchantInfo.fallBack", "intent"),
        ("merchantInfo.fallBack", ""),
        ("merchantInfo.authToken", "a\nb"),
        ("merchantInfo.authToken", "a" * 256),
        ("merchantInfo.isApp", "true"),
        ("merchantInfo.paymentType", "eCom Express Payment"),
        ("merchantInfo.staticShippingDetails", {}),
        ("merchantInfo.consentRemovalPrefix", "http://example.com"),
        ("transaction", MISSING),
        ("transaction.amount", MISSING),
        ("transaction.amount", 99),
        ("transaction.amount", None),
        ("transaction.amount", 2**31),
        ("transaction.orderId", MISSING),
        ("transaction.orderId", ""),
        ("transaction.orderId", "a" * 51),
        ("transaction.orderId", "acme_1"),
        ("transaction.orderId", "acme-1\n"),
        ("transaction.transactionText", MISSING),
        ("transaction.transactionText", ""),
        ("transaction.transactionText", "   "),
        ("transaction.transactionText", "a" * 101),
        ("transaction.skipLandingPage", 1),
        ("transaction.scope", "name shoeSize"),
        ("transaction.scope", 1),
        ("transaction.additionalData.airlineCode", "74"),
        ("transaction.additionalData.passengerName", MISSING),
    ],
)
def test_each_fault_of_an_initiation_is_named(place: str, value: object) -> None:
    """One fault gives one InvalidRequest with the field's name as its code."""
    with pytest.raises(Refusal) as caught:
        read_initiation(_with(_initiation(), place, value))
    assert _codes(caught.value) == [("InvalidRequest", place)]
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("place", "value", "code"),
    [
        ("merchantInfo.consentRemovalPrefix", MISSING, "merchantInfo.consentRemovalPrefix"),
        ("merchantInfo.staticShippingDetails", MISSING, "merchantInfo.shippingDetailsPrefix"),
        ("transaction.scope", "name", "transaction.scope"),
        ("merchantInfo.staticShippingDetails.0.isDefault", True, "merchantInfo.staticShippingDetails[0].isDefault"),
        ("merchantInfo.staticShippingDetails.0.isDefault", [], "merchantInfo.staticShippingDetails[0].isDefault"),
        ("merchantInfo.staticShippingDetails.0.shippingCost", -1, "merchantInfo.staticShippingDetails[0].shippingCost"),
        ("merchantInfo.staticShippingDetails.0.priority", 1.5, "merchantInfo.staticShippingDetails[0].priority"),
    ],
)
def test_each_fault_of_express_checkout_is_named(place: str, value: object, code: str) -> None:
    """Express needs consent removal and shipping, takes no scope, and its shipping methods are checked."""
    with pytest.raises(Refusal) as caught:
        read_initiation(_with(_express(), place, value))
    assert _codes(caught.value) == [("InvalidRequest", code)]


@pytest.mark.parametrize(
    "place",
    [
        *("customerInfo.phone", "merchantInfo.shippingDetailPrefix", "transaction.timeStamp", "surprise"),
        "transaction.additionalData.seat",
    ],
)
def test_unknown_fields_and_nulls_are_counted_or_refused(place: str) -> None:
    """Vipps ignores both; they are counted by place, and a strict sandbox refuses them under the field's name."""
    for value, kind in (("x", "unknown"), (None, "null")):
        ignored = Ignored()
        body = _with(_initiation(), place, value)
        read_initiation(body, violations=EcomViolations("initiate", ignored))
        assert ignored.counts == {("initiate", place, kind): 1}
        with pytest.raises(Refusal) as caught:
            read_initiation(
                _with(_initiation(), place, value), violations=EcomViolations("initiate", ignored, strict=True)
            )
        assert _codes(caught.value) == [("InvalidRequest", place)]


def test_what_is_counted_is_bounded() -> None:
    """Neither the number of places nor their names fill the memory; what is known goes on being counted."""
    ignored = Ignored()
    for _ in range(2):
        for number in range(1_500):
            ignored.count("initiate", f"{number}{'x' * 5_000}", "unknown")
    assert len(ignored.counts) == 1_000
    assert set(ignored.counts.values()) == {2}
    assert max(len(place) for _, place, _ in ignored.counts) == 200


def test_nulls_are_dropped_however_deep_they_are() -> None:
    """In lists and objects of any depth, and nowhere a null that stands in a list."""
    body: dict[str, Any] = {"a": None}
    for _ in range(5_000):
        body = {"x": [body]}
    innermost: Any = body
    drop_nulls(body, EcomViolations())
    while innermost:
        (innermost,) = innermost["x"]
    assert innermost == {}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("transaction.amount", 499.0),
        ("transaction.amount", 499.5),
        ("transaction.amount", "49900"),
        ("transaction.amount", True),
        ("transaction.amount", {}),
        ("merchantInfo.merchantSerialNumber", 123456),
        ("merchantInfo.merchantSerialNumber", 123456.0),
    ],
)
def test_what_vipps_breaks_at_is_answered_500(place: str, value: object) -> None:
    """As at Vipps, and the message names the field."""
    with pytest.raises(Refusal) as caught:
        read_initiation(_with(_initiation(), place, value))
    assert (caught.value.status, _codes(caught.value)) == (500, [("VippsError", "99")])
    assert place in str(caught.value.body)


def test_a_required_name_in_another_case_is_answered_500() -> None:
    """`fallback` for `fallBack`; the message names both."""
    body = _with(_with(_initiation(), "merchantInfo.fallBack", MISSING), "merchantInfo.fallback", "https://example.com")
    with pytest.raises(Refusal) as caught:
        read_initiation(body)
    assert (caught.value.status, _codes(caught.value)) == (500, [("VippsError", "99")])
    assert "merchantInfo.fallBack is required, and fallback is not its name" in str(caught.value.body)


def test_several_faults_come_together() -> None:
    """One answer names all that is wrong."""
    body = _with(_with(_initiation(), "transaction.amount", 1), "transaction.orderId", "?")
    with pytest.raises(Refusal) as caught:
        read_initiation(body)
    assert _codes(caught.value) == [("InvalidRequest", "transaction.amount"), ("InvalidRequest", "transaction.orderId")]


def test_a_sales_unit_given_as_a_number_answers_500() -> None:
    """As at Vipps: an integer breaks the server instead of being refused."""
    with pytest.raises(Refusal) as caught:
        read_initiation(_with(_initiation(), "merchantInfo.merchantSerialNumber", 123456))
    assert (caught.value.status, _codes(caught.value)) == (500, [("VippsError", "99")])


@each_row(
    "number",
    [
        *(
            "48059528",
            "+47 480 59 528",
            "4748059528",
            "004748059528",
            "0047 48 05 95 28",
            "480-59-528",
            "(+47)48059528",
        ),
        "47480595",
    ],
)
def test_numbers_are_corrected(number: str) -> None:
    """Country code and separators are taken off; eight digits that begin with 47 are eight digits."""
    body = _with(_initiation(), "customerInfo.mobileNumber", number)
    read_initiation(body)
    assert body["customerInfo"]["mobileNumber"] == ("47480595" if number == "47480595" else "48059528")


@pytest.mark.parametrize("number", ["+4612345678", "1234567", "912345678", "none", "", "+47", "٩١٢٣٤٥٦٧"])
def test_a_bad_number_is_81(number: str) -> None:
    """A phone number of other than eight digits belongs to no user."""
    with pytest.raises(Refusal) as caught:
        read_initiation(_with(_initiation(), "customerInfo.mobileNumber", number))
    assert _codes(caught.value) == [("User", "81")]


def test_skipping_the_landing_page_needs_a_number() -> None:
    """There is nobody to push the payment to without one."""
    body = _with(_initiation(), "customerInfo.mobileNumber", MISSING)
    body["transaction"]["skipLandingPage"] = True
    with pytest.raises(Refusal) as caught:
        read_initiation(body)
    assert _codes(caught.value) == [("InvalidRequest", "customerInfo.mobileNumber")]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/x",
        "http://127.0.0.1:8000/x",
        "http://[::1]:80/",
        "INTENT",
        "myapp://result",
        "my.app-2://",
    ],
)
def test_fall_backs_that_are_taken(url: str) -> None:
    """Https, an app's own scheme, the word INTENT, and http on loopback for a shop that runs here."""
    read_initiation(_with(_initiation(), "merchantInfo.fallBack", url))


def test_an_app_may_give_any_url() -> None:
    """With isApp true URLs are not validated, but for their length."""
    body = _initiation()
    body["merchantInfo"]["isApp"] = True
    read_initiation(_with(_with(body, "merchantInfo.callbackPrefix", "anything"), "merchantInfo.fallBack", "at all"))
    with pytest.raises(Refusal):
        read_initiation(_with(body, "merchantInfo.fallBack", "x" * 256))


def _action() -> dict[str, Any]:
    return {
        "merchantInfo": {"merchantSerialNumber": "123456"},
        "transaction": {"amount": 100, "transactionText": "Shipped."},
    }


@pytest.mark.parametrize(
    ("value", "amount"), [(100, 100), (2**31 - 1, 2**31 - 1), (0, None), (None, None), (MISSING, None)]
)
def test_amounts_of_captures_and_refunds(value: object, amount: int | None) -> None:
    """At least 100 øre; 0, null and nothing at all mean everything that remains."""
    assert amount == read_payment_action(_with(_action(), "transaction.amount", value))


@pytest.mark.parametrize("value", [1, 99, -100, 2**31])
def test_wrong_amounts_of_captures_and_refunds(value: object) -> None:
    """Anything else is refused under the field's name."""
    with pytest.raises(Refusal) as caught:
        read_payment_action(_with(_action(), "transaction.amount", value))
    assert _codes(caught.value) == [("InvalidRequest", "transaction.amount")]


@pytest.mark.parametrize("value", ["100", 100.0, False, []])
def test_amounts_that_are_no_integers(value: object) -> None:
    """A capture's amount breaks Vipps as that of an initiate does: nothing moves."""
    with pytest.raises(Refusal) as caught:
        read_payment_action(_with(_action(), "transaction.amount", value))
    assert (caught.value.status, _codes(caught.value)) == (500, [("VippsError", "99")])


def test_a_cancel_takes_the_flag_and_no_amount() -> None:
    """The flag is read as a boolean; a field that cancel does not have is counted, or refused by a strict sandbox."""
    body = _with(_action(), "transaction.amount", MISSING)
    assert not read_cancellation(body)
    assert read_cancellation({**body, "shouldReleaseRemainingFunds": True})
    assert not read_cancellation({**body, "releaseRemaining": True})
    for wrong in (_action(), {**body, "shouldReleaseRemainingFunds": "true"}, {**body, "releaseRemaining": True}):
        with pytest.raises(Refusal):
            read_cancellation(wrong, violations=EcomViolations(strict=True))
    with pytest.raises(Refusal):
        read_cancellation({**body, "shouldReleaseRemainingFunds": "true"})


def test_a_force_approve_knows_two_fields() -> None:
    """Number and token, both optional, and nothing else."""
    assert read_approval({}) == (None, None)
    assert read_approval({"customerPhoneNumber": "+47 91234567", "token": "abc"}) == ("91234567", "abc")
    with pytest.raises(Refusal):
        read_approval({"mobileNumber": "91234567"}, violations=EcomViolations(strict=True))


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"{}", "text/plain", "Content-Type"),
        (b"{}", "", "Content-Type"),
        (b"", "application/json", "body"),
        (b"[]", "application/json", "body"),
        (b'{"a":1,"a":2}', "application/json", "body"),
        (b'{"a":"\\ud800"}', "application/json", "body"),
    ],
)
def test_what_is_no_json_object_is_refused(body: bytes, content_type: str, code: str) -> None:
    """Another content type, no body, a name given twice, half a character."""
    with pytest.raises(Refusal) as caught:
        read_json(body, content_type, EcomViolations())
    status = 415 if code == "Content-Type" else 400
    assert (caught.value.status, _codes(caught.value)) == (status, [("InvalidRequest", code)])


@each_row(
    ("body", "reason"),
    [
        (b'{\n  "a": 1,\n}', "the comma in line 2 stands before }, where JSON takes none"),
        (b'{"a": ",}", "b": {"c": 1\n ,\n\n} }', "the comma in line 2 stands before }, where JSON takes none"),
        (b'{\n"a": [1,\n2, ]}', "the comma in line 3 stands before ], where JSON takes none"),
        (b'{"a": 1,, "b": 2}', "line 1, column 9: "),
        (b'{"a": ",}"', "line 1, column 11: "),
        (b"{", "line 1, column 2: "),
        (b'{"a":NaN}', "NaN is no number of JSON"),
        (b'{"a":-Infinity}', "-Infinity is no number of JSON"),
        (b"\xff", "byte 0 is no text"),
        # How deep is too deep differs from one Python to another.
        (b"[" * 100_000, ""),
        (b'{"a":' + b"1" * 10_000 + b"}", "a number in it is too long"),
    ],
    ids=lambda value: None if isinstance(value, str) else value[:20].decode("ascii", "replace"),
)
def test_json_that_does_not_parse_answers_500_and_says_where(body: bytes, reason: str) -> None:
    """As at Vipps it is an internal error; here the message names the comma and its line, or what else is wrong."""
    with pytest.raises(Refusal) as caught:
        read_json(body, "application/json", EcomViolations())
    assert (caught.value.status, _codes(caught.value)) == (500, [("VippsError", "99")])
    assert f": the body is not JSON: {reason}" in json.dumps(caught.value.body)


def test_a_content_type_may_name_its_charset() -> None:
    """Parameters and case of the content type do not matter."""
    assert read_json(b'{"a": 1}', "Application/JSON; charset=UTF-8", EcomViolations()) == {"a": 1}


# A busy machine is slow, not wrong.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_json_breaks_the_checks(value: object) -> None:
    """Whatever a client sends is read or refused: nothing else escapes."""
    for read in (read_initiation, read_payment_action, read_cancellation, read_approval):
        body = {"merchantInfo": value, "transaction": value, "customerInfo": value, "token": value}
        with contextlib.suppress(Refusal):
            read(read_json(json.dumps(body).encode(), "application/json", EcomViolations()))


def test_order_ids_in_paths() -> None:
    """A path's order id obeys the same rule as a body's."""
    check_order_id("acme-1")
    for wrong in ("", "a/b", "acme-1\n", "a" * 51):
        with pytest.raises(Refusal):
            check_order_id(wrong)


def test_idempotency_keys() -> None:
    """At most 40 characters; required for captures and refunds, optional for force approve."""
    assert check_request_id("k" * 40) == "k" * 40
    assert check_request_id(None, required=False) == ""
    for wrong in (None, "", "k" * 41):
        with pytest.raises(Refusal) as caught:
            check_request_id(wrong)
        assert _codes(caught.value) == [("InvalidRequest", "X-Request-Id")]


def test_a_merchants_shipping_answer() -> None:
    """It must hold address, order and at least one whole method."""
    good = {"addressId": 100, "orderId": "acme-1", "shippingDetails": [STATIC_SHIPPING]}
    assert violations_of_shipping_answer(good) == []
    assert violations_of_shipping_answer({**good, "shippingDetails": []})[0][0] == "shippingDetails"
    assert violations_of_shipping_answer({"orderId": "acme-1"})[0] == ("addressId", "is required")
