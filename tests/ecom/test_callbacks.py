"""What Vipps calls at the merchant, read from bytes and headers."""

from __future__ import annotations

import copy
import traceback
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from attrs import evolve

from tests.contract.schema import CONTRACT, conform
from tests.ecom.callback_bodies import EXPRESS, NO_INFO, PERSONAL, QUESTION, REGULAR, TOKEN, as_body, with_info
from tests.support.rows import each_row
from vipps_async import ShippingDetails, nok
from vipps_async.ecom.dialect import CALLBACK
from vipps_async.errors import CallbackError, ErrorInfo, InvalidInputError
from vipps_async.receiver import (
    ANYONE_MAY_CALL,
    AddressType,
    CallbackStatus,
    ConsentRemoval,
    EcomCallbacks,
    Limits,
    PaymentUpdate,
    Receiver,
    ShippingDetailsRequest,
)

HEADERS = {"authorization": TOKEN, "Content-Type": "application/json"}
PATH = "/vipps/v2/payments/acme-1"
SOURCE: EcomCallbacks[Any] = EcomCallbacks(TOKEN)
READER = Receiver(SOURCE)
USER_ID = "+/uiJskNQ6qNN1iwN891uuob=="


def read(body: object = REGULAR, *, path: str = PATH, headers: Any = HEADERS, method: str = "POST") -> Any:
    """Read a request that Vipps could have made."""
    return READER.read(method, path, headers, body if isinstance(body, bytes) else as_body(body))


def refusal(*arguments: Any, **changes: Any) -> CallbackError:
    """Read a request that must be refused."""
    with pytest.raises(CallbackError) as raised:
        read(*arguments, **changes)
    return raised.value


# -- payments ----------------------------------------------------------------------------------------------------------


def test_a_regular_payment() -> None:
    """A regular callback is read whole; the sales unit may come as a number."""
    assert read() == PaymentUpdate(
        order_id="acme-1",
        merchant_serial_number="123456",
        claimed_status=CallbackStatus.RESERVED,
        claimed_amount=49900,
        time_stamp=datetime(2026, 11, 22, 8, 0, 0, 246_000, UTC),
        transaction_id="5001446662",
    )


def test_an_express_payment() -> None:
    """An express callback brings the customer and where to ship; the post code comes as zipCode, the cost in NOK."""
    event = read(EXPRESS)
    assert event.claimed_status is CallbackStatus.RESERVED
    assert event.shipping_details.shipping_cost == Decimal("109.5")
    assert event.shipping_details.shipping_method_id == "posten-servicepakke"
    assert event.shipping_details.address.post_code == "0154"
    assert (event.user_details.first_name, event.user_details.user_id) == ("Ada", "uiJskNQ6qNN1iwN891uuob==")


def test_a_post_code_by_its_other_name() -> None:
    """The description requires postCode where Vipps sends zipCode: both are read."""
    body = copy.deepcopy(EXPRESS)
    body["shippingDetails"]["address"]["postCode"] = body["shippingDetails"]["address"].pop("zipCode")
    assert read(body) == read(EXPRESS)


@pytest.mark.parametrize("written", ["RESERVE", "RESERVED"])
def test_reserve_and_reserved_are_one_thing(written: str) -> None:
    """Whichever word Vipps takes, it is the same status and the same news."""
    event = read(with_info(status=written))
    assert event.claimed_status is CallbackStatus.RESERVED
    assert event.dedup_key == read().dedup_key


@pytest.mark.parametrize("status", ["SALE", "RESERVE_FAILED", "SALE_FAILED", "CANCELLED", "REJECTED"])
def test_every_documented_status_is_known(status: str) -> None:
    """The documented statuses are members."""
    event = read(with_info(status=status))
    assert event.claimed_status.known
    assert event.claimed_status == status


def test_a_status_that_vipps_adds_later() -> None:
    """An unknown status is kept as it came."""
    event = read(with_info(status="ON_HOLD"))
    assert event.claimed_status == "ON_HOLD"
    assert not event.claimed_status.known
    assert SOURCE.restore(CALLBACK, event.record) == evolve(event, is_redelivered=True)


def test_no_transaction_info() -> None:
    """Some failures come without transactionInfo, in the group PAYMENTS, which answers call Payment."""
    event = read(NO_INFO)
    assert (event.claimed_status, event.claimed_amount, event.time_stamp) == (None, None, None)
    assert event.error_info == ErrorInfo("Payment", "45", "User did not act", "c-1")


@pytest.mark.parametrize(
    "body",
    [
        {"orderId": "acme-1"},
        {"orderId": "acme-1", "transactionInfo": None, "errorInfo": None, "merchantSerialNumber": None},
        {"orderId": "acme-1", "transactionInfo": {}, "errorInfo": {}, "userDetails": {}, "shippingDetails": {}},
        with_info(transactionId=None),
        with_info(amount="49900"),
        with_info(timeStamp="2026-11-22T08:00:00"),
        REGULAR | {"somethingNew": {"a": [1]}},
    ],
)
def test_shapes_seen_in_the_wild(body: Any) -> None:
    """Nothing but the order is needed, and what is new is passed over."""
    assert read(body).order_id == "acme-1"


def test_duplicates_have_one_dedup_key() -> None:
    """The same news has the same key, however it is written; other news has another, or none without a time."""
    same = [
        read(),
        read(as_body(REGULAR) + b"\n"),
        read(REGULAR | {"merchantSerialNumber": "123456"}),
        read(with_info(timeStamp="2026-11-22T08:00:00.246000+00:00")),
        read(EXPRESS),
    ]
    assert len({event.dedup_key for event in same}) == 1
    others = [
        read(with_info(**change))
        for change in (
            {"status": "CANCELLED"},
            {"amount": 100},
            {"timeStamp": "2026-11-22T08:00:01Z"},
            {"transactionId": "1"},
        )
    ]
    others += [read(NO_INFO), read(REGULAR | {"merchantSerialNumber": "654321"})]
    others += [read(REGULAR | {"orderId": "acme-2"}, path="/v2/payments/acme-2")]
    keys = {event.dedup_key for event in [same[0], *others]}
    assert len(keys) == 8
    assert {len(key) for key in keys - {None}} == {40}
    assert read(NO_INFO).dedup_key is None


def test_a_dedup_key_is_the_same_in_every_version() -> None:
    """The keys are kept in journals: they must not change."""
    assert read().dedup_key == "05f5d5228dd46de4e4edef7929df377ba671bb1b"


def test_the_record_is_a_callback_without_anybody_in_it() -> None:
    """What is kept of an express callback reads as a callback again, and nothing personal is in it."""
    event = read(EXPRESS)
    assert not [value for value in PERSONAL if value.encode() in event.record]
    again: Any = SOURCE.restore(CALLBACK, event.record)
    assert (again.dedup_key, again.is_redelivered) == (event.dedup_key, True)
    assert (again.claimed_status, again.claimed_amount) == (event.claimed_status, event.claimed_amount)
    assert again.user_details is None


def test_reprs_show_nobody() -> None:
    """Events can be printed."""
    for shown in (read(EXPRESS), read(QUESTION, path=PATH + "/shippingDetails"), removal(USER_ID), READER, SOURCE):
        assert not [value for value in (*PERSONAL, USER_ID, TOKEN) if value in repr(shown)]


def test_an_error_text_is_cleaned() -> None:
    """Whoever writes a phone number into an error's text does not get it into the event."""
    body = NO_INFO | {"errorInfo": {"errorCode": 45, "errorMessage": "91234567 did not act"}}
    assert read(body).error_info == ErrorInfo("", "45", "[redacted] did not act")


@each_row(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 1_500, "not JSON"),
        (b"[]", "not an object"),
        (b"null", "not an object"),
        (b"{}", "orderId is missing"),
        ({"orderId": None}, "orderId is missing"),
        ({"orderId": ["acme-1"]}, "orderId is not a text"),
        (with_info(amount="Ada Lovelace"), "transactionInfo.amount is not a whole number"),
    ],
)
def test_malformed_bodies(body: Any, reason: str) -> None:
    """What cannot be read is answered 400; the text names the field and never what stood in it."""
    error = refusal(body)
    assert error.status == 400
    assert reason in str(error)
    told = "".join(traceback.format_exception(error))
    assert not [value for value in PERSONAL if value in told]


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        (with_info(status=91234567), "claimed_status"),
        (with_info(timeStamp="91234567"), "time_stamp"),
        (with_info(transactionId=["x"]), "transaction_id"),
        (REGULAR | {"userDetails": "Ada Lovelace"}, "user_details"),
        (REGULAR | {"shippingDetails": [1]}, "shipping_details"),
        (REGULAR | {"errorInfo": "Ada Lovelace"}, "error_info"),
        (REGULAR | {"merchantSerialNumber": {"a": 1}}, "merchant_serial_number"),
    ],
)
def test_one_optional_part_that_cannot_be_read_loses_no_news(body: Any, missing: str) -> None:
    """That the order has changed is the news; the rest is asked of details anyway."""
    event = read(body)
    assert getattr(event, missing) is None
    assert event.order_id == "acme-1"
    assert event.claimed_amount == read(REGULAR).claimed_amount


@pytest.mark.parametrize("name", ["postCode", "zipCode", "postalCode"])
def test_a_post_code_by_any_name(name: str) -> None:
    """Vipps writes the post code in three ways, with digits as text or number."""
    question = {key: value for key, value in QUESTION.items() if key not in {"postCode", "zipCode"}}
    assert read(question | {name: "0154"}, path=PATH + "/shippingDetails").post_code == "0154"
    body = EXPRESS | {"shippingDetails": {"address": {name: 7011}, "ShippingMethodId": "post"}}
    details = read(body).shipping_details
    assert (details.address.post_code, details.shipping_method_id) == ("7011", "post")


@pytest.mark.parametrize(("told", "read_as"), [("Y", True), ("N", False), (True, True), ("?", None), (None, None)])
def test_whether_the_customer_is_verified(told: object, read_as: object) -> None:
    """Old callbacks tell whether the customer is verified by BankID."""
    body = EXPRESS | {"userDetails": EXPRESS["userDetails"] | {"bankIdVerified": told}}
    assert read(body).user_details.bank_id_verified is read_as


@pytest.mark.parametrize("other", ["acme-2", "ACME-1", "acme-1 ", "", 1])
def test_path_and_body_must_agree(other: Any) -> None:
    """A callback whose body is about another order than its path is refused."""
    error = refusal(REGULAR | {"orderId": other})
    assert (error.status, error.payment) == (400, "acme-1")
    assert "different orders" in str(error)


def test_the_largest_body() -> None:
    """A body may have so many bytes and not one more."""
    body = as_body(REGULAR)
    assert read(body.ljust(64 * 1024)).order_id == "acme-1"
    assert refusal(body.ljust(64 * 1024 + 1)).status == 413
    small = Receiver(SOURCE, limits=Limits(max_body=10))
    with pytest.raises(CallbackError, match="10 bytes"):
        small.read("POST", PATH, HEADERS, body)


# -- who may call ------------------------------------------------------------------------------------------------------


@each_row(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": TOKEN[:-1]},
        {"Authorization": TOKEN + "="},
        {"Authorization": f"Bearer {TOKEN}"},
        {"Authorization": TOKEN.swapcase()},
        {"Authorization": "é\ud8ff\udc80"},
        {"X-Authorization": TOKEN},
        [("Authorization", TOKEN), ("authorization", TOKEN)],
        [("Authorization", "wrong"), ("Authorization", TOKEN)],
    ],
)
def test_strangers_are_refused(headers: Any) -> None:
    """Without exactly the token, once, everything is answered 401, and the text shows no token."""
    for method, path in (
        ("POST", PATH),
        ("POST", PATH + "/shippingDetails"),
        ("DELETE", f"/v2/consents/{quote(USER_ID, safe='')}"),
    ):
        error = refusal(path=path, headers=headers, method=method)
        assert error.status == 401
        assert TOKEN[:-1] not in str(error)


@pytest.mark.parametrize("headers", [{"AUTHORIZATION": TOKEN}, [("x", "y"), ("Authorization", TOKEN)]])
def test_vipps_is_let_in(headers: Any) -> None:
    """The header's name may be written in any case; headers come as a mapping or as pairs."""
    assert read(headers=headers).order_id == "acme-1"


def test_tokens_can_be_changed_without_a_gap() -> None:
    """Several tokens count at once."""
    source: EcomCallbacks[Any] = EcomCallbacks(["new", "old"])
    for token in ("new", "old"):
        source.check_headers([("authorization", token)])
    with pytest.raises(CallbackError):
        source.check_headers([("authorization", "older")])


@each_row(
    "tokens", ["", [], [""], ["good", ""], (), None, b"bytes", [b"bytes"], {"a": "b"}, 5, "a\nb", "x" * 256, [None]]
)
def test_no_token_never_means_everybody(tokens: Any) -> None:
    """An empty token, an empty list or something that is no token is refused when the reader is made."""
    with pytest.raises(InvalidInputError) as raised:
        EcomCallbacks(tokens)
    assert "good" not in str(raised.value)


def test_everybody_may_call_if_that_is_said_aloud() -> None:
    """Only a choice with a name of its own switches the check off."""
    source: EcomCallbacks[Any] = EcomCallbacks(ANYONE_MAY_CALL)
    assert isinstance(Receiver(source).read("POST", PATH, {}, as_body(REGULAR)), PaymentUpdate)


def test_comparing_takes_the_same_time_for_every_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every token is compared, by the function that does not tell how far it came, as bytes."""
    compared: list[tuple[Any, Any]] = []

    def compare(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return bool(one == other)

    monkeypatch.setattr("vipps_async.auth_tokens.hmac.compare_digest", compare)
    source: EcomCallbacks[Any] = EcomCallbacks(["one", "two", "three"])
    source.check_headers([("authorization", "one")])
    assert compared == [(b"one", b"one"), (b"one", b"two"), (b"one", b"three")]


# -- paths -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v2/payments/acme-1", PaymentUpdate),
        ("/v2/payments/acme-1/", PaymentUpdate),
        ("/a/b/v2/payments/acme-1?x=/v2/consents/y", PaymentUpdate),
        ("/v2/payments/x/v2/payments/acme%2D1", PaymentUpdate),
        ("http://example.com/v2/payments/acme-1/shippingDetails", ShippingDetailsRequest),
    ],
)
def test_paths_with_an_order(path: str, kind: type) -> None:
    """What stands before Vipps' own part of a path is of no matter."""
    event = read(QUESTION if kind is ShippingDetailsRequest else REGULAR, path=path)
    assert (type(event), event.order_id) == (kind, "acme-1")


@each_row(
    "path",
    [
        "",
        "/",
        "/v2/payments",
        "/v2/payments/",
        "/v2/payments//",
        "/v2/payments/a/b",
        "/v2/consents/",
        "/v2/consents",
        "/v3/payments/acme-1",
        "/v2/payments/acme-1/shippingdetails",
        "/v2/payments//shippingDetails",
        "/" + "a" * 2000 + "/v2/payments/acme-1",
    ],
)
def test_paths_that_vipps_does_not_call(path: str) -> None:
    """Other paths are answered 404."""
    assert refusal(path=path).status == 404


@each_row("order_id", ["a_b", "a%2Fb", "..", "%2e%2e", "a" * 51, "a%0A", "%", "%zz", "æ"])
def test_paths_with_what_is_no_order_id(order_id: str) -> None:
    """An order id that could not be one is answered 400, and is not repeated."""
    error = refusal(path=f"/v2/payments/{order_id}")
    assert (error.status, error.payment) == (400, None)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "post", ""])
def test_other_methods(method: str) -> None:
    """A payment update comes by POST and nothing else, a consent removal by DELETE."""
    assert refusal(method=method).status == 405
    if method != "DELETE":
        assert refusal(path="/v2/consents/abc=", method=method).status == 405


# -- consents ----------------------------------------------------------------------------------------------------------


def removal(user_id: str) -> Any:
    """Read the removal of a user's consent, by the path's own writing of the id."""
    return read(b"", path=f"/vipps/v2/consents/{user_id}", method="DELETE")


@pytest.mark.parametrize(
    "written",
    [
        quote(USER_ID, safe=""),
        "%2b%2fuiJskNQ6qNN1iwN891uuob%3d%3D",
        USER_ID,
        "+%2FuiJskNQ6qNN1iwN891uuob==",
        quote(quote(USER_ID, safe=""), safe=""),
        "%252b%252fuiJskNQ6qNN1iwN891uuob%253d%253d",
        quote(USER_ID, safe="") + "?x=1",
    ],
)
def test_user_ids_however_they_are_encoded(written: str) -> None:
    """The id comes out the same: encoded once, in small letters, not at all, in part, or once more by a proxy."""
    assert removal(written) == ConsentRemoval(user_id=USER_ID)


@each_row("written", ["%20", "a%0A", "a b", "a=b", "===", "x" * 101, "%E6", "%25252525", "..%2e"])
def test_what_is_no_user_id(written: str) -> None:
    """What is no base64 is answered 400, and is not repeated."""
    error = refusal(b"", path=f"/v2/consents/{written}", method="DELETE")
    assert error.status == 400
    assert written not in str(error)


# -- shipping ----------------------------------------------------------------------------------------------------------


def method_of(name: str = "post", **changes: Any) -> ShippingDetails:
    """Return a way of shipping."""
    arguments: dict[str, Any] = {
        "shipping_method_id": name,
        "shipping_method": "Posten",
        "shipping_cost": nok("109.50"),
    }
    return ShippingDetails(**(arguments | changes))


def question() -> ShippingDetailsRequest:
    """Return what Vipps asks."""
    asked = read(QUESTION, path=PATH + "/shippingDetails")
    assert isinstance(asked, ShippingDetailsRequest)
    return asked


def test_a_question_about_shipping() -> None:
    """The question is read whole."""
    asked = question()
    assert (asked.order_id, asked.address_id, asked.post_code, asked.city) == ("acme-1", 3960, "0154", "Oslo")
    assert (asked.address_line1, asked.address_line2, asked.country) == ("Robert Levins gate 5", None, "NO")
    assert asked.address_type is AddressType.HOME


def test_a_question_that_conforms_is_read() -> None:
    """What the vendor describes as a question can be read."""
    schema = CONTRACT.request_body_schema("/shippingDetailsPrefix/v2/payments/{orderId}/shippingDetails", "post")
    body = {name: value for name, value in QUESTION.items() if value is not None}
    conform(body, schema)
    assert READER.read("POST", PATH + "/shippingDetails", HEADERS, as_body(body)) == question()


@pytest.mark.parametrize("body", [REGULAR, EXPRESS])
def test_bodies_here_are_what_the_vendor_describes(body: Any) -> None:
    """The bodies of these tests keep to the vendor's description, but for the sales unit as a number."""
    name = "ExpressCheckOutPaymentRequest" if "userDetails" in body else "RegularCheckOutPaymentRequest"
    conform(body | {"merchantSerialNumber": "123456"}, CONTRACT.schema(name))


def test_the_answer_conforms() -> None:
    """The answer keeps to the vendor's description: kroner with decimals, Y and N."""
    answer = question().respond([method_of(is_default=True, priority=1), method_of("pickup", shipping_cost=nok(1))])
    conform(
        orjson.loads(answer),
        CONTRACT.response_schema("/shippingDetailsPrefix/v2/payments/{orderId}/shippingDetails", "post", 200),
    )
    assert b'"shippingCost":109.50' in answer
    assert orjson.loads(answer)["shippingDetails"][1] == {
        "isDefault": "N",
        "shippingCost": 1.0,
        "shippingMethod": "Posten",
        "shippingMethodId": "pickup",
    }
    assert (orjson.loads(answer)["addressId"], orjson.loads(answer)["orderId"]) == (3960, "acme-1")


@pytest.mark.parametrize(
    "methods",
    [
        [],
        None,
        method_of(is_default=True),
        ["post"],
        [method_of()],
        [method_of(is_default=True), method_of("other", is_default=True)],
        [method_of(is_default=True), method_of()],
    ],
)
def test_answers_that_vipps_would_not_take(methods: Any) -> None:
    """No method, no default, two defaults, or one id twice is refused before Vipps sees it."""
    with pytest.raises(InvalidInputError, match="shipping_details"):
        question().respond(methods)


@pytest.mark.parametrize("change", [{"shipping_method_id": "x" * 101}, {"shipping_method": "x" * 257}])
def test_ids_and_texts_that_are_too_long(change: Any) -> None:
    """Ids have 100 characters at most, texts 256."""
    with pytest.raises(InvalidInputError):
        method_of(**change)


def test_a_question_without_an_address_id() -> None:
    """The id goes back in the answer, so that a question without one cannot be answered."""
    body = {name: value for name, value in QUESTION.items() if name != "addressId"}
    error = refusal(body, path=PATH + "/shippingDetails")
    assert error.status == 400
    assert "addressId is missing" in str(error)
